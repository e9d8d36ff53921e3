"""Calendars that agree with each other and not with the gateway's; and what only looks like it."""

import random

import pytest

from gateway.models.clock_checks_calendars import Calendars, Shown

S = 1_000_000_000
DAY_S = 86_400
ALIVE_NS = 30 * S


def common(*offsets_s, error_s=0.01, now_ns=0):
    calendars = Calendars()
    for number, offset_s in enumerate(offsets_s):
        calendars.show(str(number), Shown(round(offset_s * S), round(error_s * S)), 0)
    return calendars.common(now_ns, ALIVE_NS)


def test_most_calendars_that_agree_show_that_the_gateways_is_wrong():
    found = common(-3 * DAY_S - 100, -3 * DAY_S - 100.4, 5)
    assert found.sources == ("0", "1")
    assert found.calendars == 3
    assert abs(found.offset_ns + (3 * DAY_S + 100) * S) <= found.error_ns


@pytest.mark.parametrize(
    "offsets_s",
    [
        (),
        (-3 * DAY_S,),
        (-3 * DAY_S, 0.0),
        (-3 * DAY_S, -3 * DAY_S, 0.0, 0.1),
        (-3 * DAY_S, -2 * DAY_S, 70.0),
        (30.0, 30.1, 30.2),
        (1000.0, 1003.0),
    ],
)
def test_too_few_that_agree_and_small_offsets_show_nothing(offsets_s):
    assert common(*offsets_s) is None


@pytest.mark.parametrize("zone_s", [3600, -7200, 20_700, 14 * 3600, -12 * 3600 + 20])
def test_local_time_is_not_a_wrong_date(zone_s):
    assert common(zone_s, zone_s + 0.2, zone_s - 0.3) is None


def test_calendars_not_seen_for_long_and_those_forgotten_do_not_count():
    assert common(500.0, 500.0, now_ns=2 * ALIVE_NS) is None
    calendars = Calendars()
    for name in "ab":
        calendars.show(name, Shown(500 * S, S), 0)
    assert calendars.count == 2
    assert calendars.common(0, ALIVE_NS) is not None
    calendars.drop()
    assert calendars.common(0, ALIVE_NS) is None


def test_a_calendar_that_says_too_little_is_not_taken():
    assert common(500.0, 500.0, error_s=60.0) is None


def test_calendars_that_are_each_off_by_chance_do_not_agree():
    rng = random.Random(4)
    alarms = sum(common(*(rng.gauss(0, 600) for _ in range(3))) is not None for _ in range(2000))
    assert alarms <= 20


def test_any_offsets_lead_to_a_verdict():
    assert common(2.0**62, -(2.0**62), 2.0**62).sources == ("0", "2")
