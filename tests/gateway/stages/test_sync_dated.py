"""Sources that show a date: polled clocks, stamped values, and what neither can tell."""

import pytest

from gateway.records import Polled, Reading
from gateway.records_time import ClockEstimate, SyncCause, SyncCheck
from tests.gateway.stages.clocks import MS, Plant, S


def polled(plant, clock_ns=None, stamp_ns=None, *, resolution_ns=MS, took_ns=10 * MS, status=0):
    """Poll a PLC now; return its value aligned."""
    plant.now_ns += S
    reading = Reading(
        signal="plc:x", unit="V", value=1.0, tick_us=None, stamp_ns=stamp_ns, status=status
    )
    poll = Polled(
        source="plc", link="modbus", readings=(reading,), requested_ns=plant.now_ns - took_ns,
        received_ns=plant.now_ns, clock_ns=clock_ns, clock_resolution_ns=resolution_ns,
    )  # fmt: skip
    (checked,) = plant.verify.feed(poll, plant.now_ns)
    (value,) = plant.sync.feed(checked, plant.now_ns)
    plant.records += plant.sync.findings()
    return value


def test_the_clock_of_a_polled_source_has_a_bound_and_steps_are_found():
    plant = Plant()
    for _ in range(40):
        polled(plant, plant.now_ns + S - 5 * MS - 3600 * S)
    estimate = [each for each in plant.records if isinstance(each, ClockEstimate)][-1]
    assert estimate.is_two_way
    assert abs(estimate.offset_ns - 3600 * S) <= estimate.bound_ns < 20 * MS
    for _ in range(5):
        polled(plant, plant.now_ns + S - 5 * MS - 3595 * S)
    plant.sync.tick(plant.now_ns + 6 * S)
    plant.records += plant.sync.findings()
    ((_, cause, size),) = plant.begun()
    assert (cause, size) == (SyncCause.STEP, pytest.approx(5.0, abs=0.02))


def test_a_source_at_the_year_2000_is_unset_until_it_is_set():
    plant = Plant()
    for number in range(5):
        value = polled(plant, (946_684_800 + number) * S)
        assert value.bound_ns == 5 * MS
    polled(plant, plant.now_ns + S)
    told = [each for each in plant.records if isinstance(each, SyncCheck)]
    assert [(each.cause, each.is_active) for each in told] == [
        (SyncCause.CLOCK_UNSET, True),
        (SyncCause.CLOCK_UNSET, False),
    ]
    assert "2000-01-01" in told[0].text


def test_a_stamp_by_a_known_clock_keeps_its_bound_and_its_status():
    plant = Plant()
    for _ in range(20):
        shown_ns = plant.now_ns + S - 5 * MS - 60 * S
        value = polled(plant, shown_ns, shown_ns - S // 2, status=0x4000_0000)
    assert abs(value.time_ns - (plant.now_ns - 5 * MS - S // 2)) <= value.bound_ns < 20 * MS
    assert value.status == 0x4000_0000
    # What does not change keeps its stamp, and its time.
    assert polled(plant, shown_ns + S, shown_ns - S // 2).time_ns == pytest.approx(
        value.time_ns, abs=MS
    )


@pytest.mark.parametrize("behind_ns", [2 * S, 3600 * S, -S])
def test_a_stamp_of_a_clock_behind_the_server_is_not_taken_for_the_servers(behind_ns):
    plant = Plant()
    for _ in range(20):
        shown_ns = plant.now_ns + S - 5 * MS
        value = polled(plant, shown_ns, shown_ns - behind_ns)
        assert abs(value.time_ns - (plant.now_ns - 5 * MS)) <= value.bound_ns == 5 * MS


def test_a_slow_message_heard_one_way_is_inside_the_longest_delay_of_its_site():
    plant = Plant()
    for _ in range(20):
        taken_ns = plant.now_ns + S - 1700 * MS
        value = polled(plant, None, taken_ns, took_ns=2 * S)
        assert abs(value.time_ns - taken_ns) <= value.bound_ns


def test_a_jump_between_two_polls_that_follow_closely_is_a_step():
    plant = Plant()
    for _ in range(30):
        polled(plant, plant.now_ns + S - 5 * MS)
    for _ in range(6):
        plant.now_ns -= S - 20 * MS
        polled(plant, plant.now_ns + S - 5 * MS + 7200 * S)
    plant.sync.tick(plant.now_ns + 6 * S)
    plant.records += plant.sync.findings()
    assert [cause for _, cause, _ in plant.begun()] == [SyncCause.STEP]


def test_a_source_that_only_stamps_claims_no_offset():
    plant = Plant()
    for _ in range(60):
        value = polled(plant, None, plant.now_ns + S - 60 * S - plant.rng.randrange(MS))
    assert value.time_ns <= plant.now_ns
    assert value.bound_ns == S
    estimate = [each for each in plant.records if isinstance(each, ClockEstimate)][-1]
    assert (estimate.is_two_way, estimate.bound_ns, estimate.delay_ns) == (False, None, None)
    assert "cannot be known" in estimate.text
    assert plant.begun() == []
    polled(plant, None, plant.now_ns + S - 30 * S)
    ((_, cause, size),) = plant.begun()
    assert (cause, size) == (SyncCause.STEP, pytest.approx(30, abs=0.1))


@pytest.mark.parametrize("stamp_ns", [-(1 << 63), (1 << 63) - 1, 0, 1 << 62])
def test_absurd_dates_are_verdicts_and_the_value_gets_the_gateways_time(stamp_ns):
    plant = Plant()
    value = polled(plant, stamp_ns, stamp_ns)
    assert value.time_ns == plant.now_ns
    assert len(plant.begun()) == 1


@pytest.mark.parametrize("off_ns", [S, -S])
def test_one_false_clock_of_a_poll_gives_no_stamp_a_time(off_ns):
    plant = Plant()
    for number in range(60):
        shown_ns = plant.now_ns + S - 5 * MS - 60 * S
        false_ns = off_ns if number == 40 else 0
        value = polled(plant, shown_ns + false_ns, shown_ns - S // 2)
        taken_ns = plant.now_ns - 5 * MS - S // 2
        assert abs(value.time_ns - taken_ns) <= max(value.bound_ns, S // 2)
        assert (value.bound_ns < 20 * MS) == (number not in {40, 41})
    told = [each for each in plant.records if isinstance(each, SyncCheck)]
    assert [each.cause for each in told] == [SyncCause.ABSURD_STAMP]


def test_a_clock_read_off_now_in_steps_of_1_and_now_of_2_ms_is_followed():
    plant = Plant()
    for number in range(40):
        resolution_ns = (1 + number % 2) * MS
        polled(plant, plant.now_ns + S - 5 * MS, resolution_ns=resolution_ns)
    assert plant.sync._dated["plc"].clock.exchanges >= 38


def test_a_device_that_loses_its_date_is_told_though_its_stamps_went_back():
    plant = Plant()
    for number in range(40):
        stamp_ns = plant.now_ns if number < 20 else (946_684_800 + number) * S
        polled(plant, None, stamp_ns, took_ns=2 * S)
    assert [cause for _, cause, _ in plant.begun()] == [SyncCause.CLOCK_UNSET]
