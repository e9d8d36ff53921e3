"""Stamps that are heard one way: whatever they say, the value was taken within its bound."""

import pytest

from gateway.records import Reading
from gateway.records_time import SyncCause, SyncCheck
from gateway.stages.sync_findings import Findings
from gateway.stages.sync_stamped import StampedClock
from tests.gateway.plant import verified
from tests.gateway.stages.clocks import EPOCH, MS, S

WINDOW_NS = 2 * S
HOUR_NS = 3600 * S


def heard(clock, findings, stamp_ns, received_ns, signal="d:x"):
    """Hear one value; return its place."""
    reading = Reading(signal=signal, unit="V", value=1.0, tick_us=None, stamp_ns=stamp_ns)
    item = verified(
        source="d", readings=(reading,), requested_ns=received_ns - WINDOW_NS,
        received_ns=received_ns,
    )  # fmt: skip
    new_ns = clock.news(item, findings)
    if new_ns is not None:
        clock.take(new_ns, item, findings)
    return clock.place(stamp_ns, item)


def device(law, messages=120, way_ns=5 * MS):
    """Hear a device of a site with a longest delay of 2 s; `law` is its stamp of a moment.

    Return the findings by cause and size, and how many of its values are outside their bound.
    """
    clock, findings = StampedClock("d", 100.0, S, 30 * S), Findings()
    outside, told = 0, []
    for number in range(messages):
        taken_ns = EPOCH + number * S
        received_ns = taken_ns + (way_ns if isinstance(way_ns, int) else way_ns(number))
        placed = heard(clock, findings, law(number, taken_ns), received_ns)
        outside += abs(placed.time_ns - taken_ns) > placed.bound_ns
        findings.tick(received_ns)
        told += [each for each in findings.take() if isinstance(each, SyncCheck)]
    return [(each.cause, each.size) for each in told if each.is_active], outside


def set_at_20(size_ns):
    return lambda number, taken_ns: taken_ns + (size_ns if number >= 20 else 0)


def false_at(when, size_ns=10_000 * S):
    return lambda number, taken_ns: taken_ns + (size_ns if number == when else 0)


@pytest.mark.parametrize("away_ns", [0, -HOUR_NS, HOUR_NS])
def test_a_clock_that_is_off_and_stays_so_is_no_finding(away_ns):
    assert device(lambda _, taken_ns: taken_ns + away_ns) == ([], 0)


@pytest.mark.parametrize(
    ("law", "causes"),
    [
        (false_at(0), [(SyncCause.BACKWARDS, -10_000)]),
        (false_at(20), [(SyncCause.STEP, 10_000), (SyncCause.BACKWARDS, -10_000)]),
        (false_at(20, -10_000 * S), []),
        (set_at_20(-HOUR_NS), [(SyncCause.BACKWARDS, -3600)]),
        (set_at_20(HOUR_NS), [(SyncCause.STEP, 3600)]),
        (set_at_20(-S), []),
        (lambda number, taken_ns: taken_ns + (-1) ** number * 10 * S, None),
        (lambda number, taken_ns: taken_ns - number * 100 * MS, None),
        (lambda number, taken_ns: taken_ns + number * 100 * MS, None),
    ],
)
def test_no_stamp_leads_out_of_the_window_and_what_can_be_seen_is_told(law, causes):
    told, outside = device(law)
    assert outside == 0
    if causes is not None:
        assert [cause for cause, _ in told] == [cause for cause, _ in causes]
        for (_, size), (_, expected) in zip(told, causes, strict=True):
            assert size == pytest.approx(expected, abs=0.1)
    else:
        assert 1 <= len(told) <= 4


def test_a_stamp_that_stands_still_is_told_until_it_moves():
    told, outside = device(lambda number, now_ns: EPOCH + 20 * S if 20 < number < 80 else now_ns)
    assert (told, outside) == ([(SyncCause.STALE, pytest.approx(30))], 0)


def test_after_a_clock_was_set_back_its_stamps_give_the_time_again():
    clock, findings = StampedClock("d", 100.0, S, 30 * S), Findings()
    for number in range(40):
        received_ns = EPOCH + number * S
        stamp_ns = received_ns - 5 * MS - (HOUR_NS if number >= 20 else 0)
        placed = heard(clock, findings, stamp_ns, received_ns)
        is_by_stamp = placed.time_ns == pytest.approx(received_ns, abs=10 * MS)
        assert is_by_stamp == (not 20 <= number < 22)


def test_ways_of_all_lengths_up_to_the_window_are_no_steps():
    waits = [100, 500, 300, 450, 120, 480, 700, 90, 1500, 60, 900, 1999, 50]

    def way_ns(number):
        return waits[number % len(waits)] * MS

    assert device(lambda _, taken_ns: taken_ns, way_ns=way_ns) == ([], 0)


def test_a_value_that_does_not_change_beside_one_that_does_is_no_finding():
    clock, findings = StampedClock("d", 100.0, S, 30 * S), Findings()
    for number in range(100):
        received_ns = EPOCH + number * S
        heard(clock, findings, received_ns - 5 * MS, received_ns)
        old = heard(clock, findings, EPOCH - HOUR_NS // 2, received_ns + MS, "d:set-point")
        assert old.time_ns - old.bound_ns <= received_ns <= old.time_ns + old.bound_ns
    assert findings.take() == []
