"""One event seen by two sources: an interval between their clocks, held against what they claim."""

import math

import pytest

from gateway import status
from gateway.models.timed_events import Window
from gateway.records_time import SyncCause
from gateway.stages.anchors import AnchorRule
from gateway.stages.events import Events
from tests.gateway.stages.test_events import PUMP, START_NS, S, value

RULE = AnchorRule(
    machine="run-state",
    state="running",
    signal="pump-b:current",
    level=0.6,
    is_rising=True,
    delay=Window(0, S // 2),
    within_ns=60 * S,
)


def events(rule=RULE):
    return Events([PUMP._replace(anchors=(rule,))])


def start(stage, second, offset_s=0.0, bound_s=0.1, period_s=0.5):
    """Let the pump start: run-state by the PLC, current by a node whose clock is off."""
    found = []
    for poll in range(40):
        at = second + poll * period_s
        is_on = poll >= 20
        state = value(at, 2 if is_on else (1 if poll > 10 else 0), bound_s)
        current = value(at + offset_s, 1.0 if is_on else 0.1, bound_s, "pump-b:current")
        now_ns = START_NS + round((at + 5.0) * S)
        for item in sorted((state, current), key=lambda each: each.time_ns):
            stage.feed(item, now_ns)
            found += stage.findings()
    return found


def test_clocks_that_agree_are_not_mentioned() -> None:
    assert start(events(), 0) == []


@pytest.mark.parametrize("offset_s", [3.0, -3.0])
def test_a_clock_that_is_off_is_found_with_its_sign(offset_s) -> None:
    found = start(events(), 0, offset_s)
    assert len(found) == 1
    check = found[0]
    assert (check.cause, check.source, check.signal) == (
        SyncCause.LAG,
        "pump-b",
        "run-state/running/pump-b:current",
    )
    assert abs(check.size - offset_s) <= check.size_uncertainty
    assert check.since_ns <= check.time_ns
    assert "one of the two is wrong" in check.text


def test_the_end_is_said_when_they_agree_again() -> None:
    stage = events()
    first = start(stage, 0, 3.0)
    last = start(stage, 100)
    assert [check.is_active for check in (*first, *last)] == [True, False]
    assert [check.sequence for check in (*first, *last)] == [0, 1]
    assert "they do again" in last[0].text


def test_what_the_clocks_admit_is_no_finding() -> None:
    assert start(events(), 0, 3.0, bound_s=2.0) == []


def test_what_lies_too_far_apart_is_not_one_event() -> None:
    assert start(events(RULE._replace(within_ns=S)), 0, 3.0) == []


def test_a_falling_level() -> None:
    rule = RULE._replace(is_rising=False, state="stopped", level=0.5)
    stage = events(rule)
    start(stage, 0)
    for at, state, current in (
        (30, 2, 1.0),
        (31, 0, 1.0),
        (32, 0, 1.0),
        (40, 0, 0.1),
        (45, 0, 0.1),
    ):
        now_ns = START_NS + at * S
        stage.feed(value(at, state), now_ns)
        stage.feed(value(at, current, signal="pump-b:current"), now_ns)
    assert [check.is_active for check in stage.findings()] == [True]


def test_events_without_a_partner_are_bounded_and_counted() -> None:
    stage = events()
    for cycle in range(30):
        for at, number in ((0, 0), (1, 1), (5, 2)):
            second = cycle * 10 + at
            stage.feed(value(second, number), START_NS + second * S)
    assert stage.findings() == []
    assert stage.anchor_counts["unpaired"] == 22


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_values_that_are_none_cross_nothing(number) -> None:
    stage = events()
    for second, current in ((0, 0.1), (1, number), (2, 0.1), (3, 0.1)):
        stage.feed(value(second, current, signal="pump-b:current"), START_NS + second * S)
    bad = value(4, 5.0, signal="pump-b:current", code=status.BAD_NO_COMMUNICATION)
    stage.feed(bad, START_NS + 4 * S)
    assert stage.anchor_counts == {}


def fed(stage, samples):
    """Return what (second, number, signal) samples find, in the order of their times."""
    found = []
    for second, number, signal in sorted(samples):
        now_ns = START_NS + round((second + 1.0) * S)
        stage.feed(value(second, number, signal=signal), now_ns)
        found += stage.findings()
    return found


def started(offset_s=0.0, rise_s=35.0, until_s=60.0):
    """Return samples of a start at 35 s, the current by a clock that is off."""
    states = [(at * 0.5, 0 if at < 60 else 1 if at < 70 else 2) for at in range(120)]
    samples = [(second, number, "plc:run-state") for second, number in states if second < until_s]
    return samples + [
        (second + 0.01 + offset_s, 1.0 if second >= rise_s else 0.1, "pump-b:current")
        for second, _ in states
    ]


def test_a_crossing_long_before_is_not_the_event() -> None:
    """A spike 20 s before the start is within reach, but the start is still to come."""
    stage = events()
    samples = started()
    spike = next(i for i, each in enumerate(samples) if each[0] == 15.01)
    samples[spike] = (15.01, 0.7, "pump-b:current")
    assert fed(stage, samples) == []
    assert stage.anchor_counts["pairs"] == 1


def test_the_distance_is_that_to_the_window_of_the_delay() -> None:
    """With a delay of 10 s to 20 s a crossing 18 s later is nearer than one 1 s before that."""
    stage = events(RULE._replace(delay=Window(10 * S, 20 * S)))
    samples = started(rise_s=53.0)
    early = next(i for i, each in enumerate(samples) if each[0] == 41.01)
    samples[early] = (41.01, 0.7, "pump-b:current")
    assert fed(stage, samples) == []
    assert stage.anchor_counts["pairs"] == 1


def test_of_several_crossings_none_contradicts() -> None:
    stage = events()
    samples = started(5.0)
    for i, (second, _, signal) in enumerate(samples):
        if signal == "pump-b:current" and 41.5 < second < 42.5:
            samples[i] = (second, 0.1, signal)
    assert fed(stage, samples) == []
    assert stage.anchor_counts["ambiguous"] == 1


def test_a_machine_that_reports_changes_only_is_not_waited_for_without_end() -> None:
    stage = events()
    rare = ((0, 0), (30, 1), (34.9, 1), (35, 2))
    samples = [(*each, "plc:run-state") for each in rare]
    currents = [each for each in started(3.0) if each[2] == "pump-b:current"]
    assert fed(stage, samples + currents) == []
    stage.tick(START_NS + 200 * S)
    assert [check.is_active for check in stage.findings()] == [True]


def test_a_stamp_of_the_future_is_got_over() -> None:
    stage = events()
    stage.feed(value(3e9, 0.1, signal="pump-b:current"), START_NS)
    assert [check.is_active for check in fed(stage, started(3.0))] == [True]
    assert stage.anchor_counts["late"] == 16
    assert stage.anchor_counts["clock_set_back"] == 1


def test_a_gateway_clock_that_was_set_back_starts_anchors_anew() -> None:
    stage = events()
    day = 86_400
    for second in range(day, day + 3):
        now_ns = START_NS + second * S
        stage.feed(value(second, 0.1, signal="pump-b:current"), now_ns)
        stage.feed(value(second, 0), now_ns)
    assert [check.is_active for check in fed(stage, started(3.0))] == [True]


def test_a_machine_that_was_set_back_starts_its_anchors_anew() -> None:
    stage = events()
    for second, number in ((1_000, 0), (1_001, 1), (1_002, 2)):
        stage.feed(value(second, number), START_NS + 1_002 * S)
    for second in range(17):
        stage.feed(value(second, 0), START_NS + 1_002 * S)
    assert stage.counts["clock_set_back"] == 1
    stage.feed(value(1_001, 0.1, signal="pump-b:current"), START_NS + 1_002 * S)
    stage.feed(value(1_002, 1.0, signal="pump-b:current"), START_NS + 1_002 * S)
    assert stage.anchor_counts.get("pairs", 0) == 0
