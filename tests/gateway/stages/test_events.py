"""States of machines: in time, too early, too late, out of order, missing, or not to be decided."""

import math

import pytest

from gateway import status
from gateway.models.timed_events import Transition, Window
from gateway.records import Aligned, Provenance
from gateway.records_time import Timing
from gateway.stages.events import UNSEEN_BOUND_NS, Events, Machine
from tests.gateway.stages.frames import SECOND_NS

S = SECOND_NS
START_NS = 1_583_748_000 * S
STATES = {0: "stopped", 1: "starting", 2: "running", 3: "tripped"}
PUMP = Machine(
    name="run-state",
    signal="plc:run-state",
    states=STATES,
    transitions=(
        Transition("stopped", "starting"),
        Transition("starting", "running", Window(2 * S, 10 * S)),
        Transition("running", "stopped"),
    ),
)

LONG_RUN = Transition("running", "stopped", Window(60 * S))
CYCLE = Machine(
    name="cycle",
    signal="plc:run-state",
    states={0: "A", 1: "B"},
    transitions=(
        Transition("A", "B", Window(4 * S, 6 * S)),
        Transition("B", "A", Window(4 * S, 6 * S)),
    ),
)


def value(second, number, bound_s=0.1, signal="plc:run-state", code=status.GOOD):
    """Return a sample; seconds are since `START_NS`."""
    return Aligned(
        signal=signal,
        unit="count",
        value=float(number),
        time_ns=START_NS + round(second * S),
        bound_ns=round(bound_s * S),
        uncertainty_ns=round(bound_s * S),
        status=code,
        provenance=Provenance.UNAUTHENTICATED,
        source=signal.partition(":")[0],
        sequence=0,
    )


def fed(events, samples, now=None, **more):
    """Return the events that (second, number) samples show, which come at once or at `now`."""
    return [
        event
        for second, number in samples
        for event in events.feed(
            value(second, number, **more), START_NS + round((second if now is None else now) * S)
        )
    ]


def polled(until, changes, period=1.0):
    """Return samples every period; `changes` are (second, number) in order."""
    samples = []
    for poll in range(round(until / period)):
        second = poll * period
        number = [state for since, state in changes if since <= second][-1]
        samples.append((second, number))
    return samples


def test_a_start_in_time() -> None:
    found = fed(Events([PUMP]), polled(20, [(0, 0), (3.5, 1), (8.5, 2)]))
    assert [(event.before, event.after) for event in found] == [
        ("stopped", "starting"),
        ("starting", "running"),
    ]
    started, running = found
    assert running.timing is Timing.IN_TIME
    assert running.elapsed_s == pytest.approx(5.0, abs=0.01)
    assert running.elapsed_bound_s == pytest.approx(1.2, abs=0.01)
    # Between the polls at 3 s and 4 s, and 0.1 s to both sides.
    assert started.time_ns == START_NS + round(3.5 * S)
    assert started.bound_ns == round(0.6 * S)
    assert "2 s to 10 s: in time" in running.text
    assert [event.sequence for event in found] == [0, 1]


@pytest.mark.parametrize(
    ("running", "timing"),
    [(4.0, Timing.TOO_EARLY), (5.0, Timing.UNDECIDED), (7.0, Timing.IN_TIME)],
)
def test_early_is_said_only_if_it_is_sure(running, timing) -> None:
    found = fed(Events([PUMP]), polled(12, [(0, 0), (3, 1), (running, 2)], period=0.5))
    assert found[-1].timing is timing


def test_what_begins_unseen_is_known_from_below() -> None:
    events = Events([PUMP])
    assert fed(events, [(0, 1)]) == []
    found = fed(events, [(1, 1), (2, 1), (3, 2)])
    assert found[0].timing is Timing.UNDECIDED
    assert found[0].elapsed_s == pytest.approx(0.8)
    assert found[0].elapsed_bound_s == UNSEEN_BOUND_NS / S
    late = fed(Events([PUMP]), [*polled(13, [(0, 1)]), (13, 2)])
    assert late[0].timing is Timing.TOO_LATE
    assert "or more" in late[0].text


def test_missing_is_said_once_and_then_late() -> None:
    found = fed(Events([PUMP]), polled(40, [(0, 0), (3, 1), (30, 2)]))
    assert [event.timing for event in found] == [Timing.IN_TIME, Timing.MISSING, Timing.TOO_LATE]
    missing = found[1]
    assert (missing.before, missing.after) == ("starting", "running")
    assert missing.time_ns == START_NS + round(12.5 * S)
    assert "should have left starting for running by now" in missing.text
    assert found[2].elapsed_s == pytest.approx(27.0, abs=0.6)


def test_silence_is_undecided_and_evidence_after_it_is_missing() -> None:
    """A stop takes 60 s, so that within 27 s of silence it cannot have gone round."""
    slow = PUMP._replace(transitions=(*PUMP.transitions[:2], LONG_RUN))
    events = Events([slow])
    fed(events, polled(5, [(0, 0), (3, 1)]))
    assert events.tick(START_NS + 12 * S) == []
    silent = events.tick(START_NS + 20 * S)
    assert [event.timing for event in silent] == [Timing.UNDECIDED]
    assert "nothing has come for 16.0 s" in silent[0].text
    assert events.tick(START_NS + 30 * S) == []
    found = fed(events, [(31, 1), (32, 2)])
    assert [event.timing for event in found] == [Timing.MISSING, Timing.TOO_LATE]


def test_after_a_gap_with_room_to_go_round_nothing_is_missing_or_late() -> None:
    events = Events([CYCLE])
    seconds = [*range(60), *range(665, 690)]
    found = fed(events, [(second, second // 5 % 2) for second in seconds])
    assert {event.timing for event in found} == {Timing.UNDECIDED}
    silent = next(event for event in found if event.elapsed_s > 100.0)
    assert "it may have gone through A and come back unseen" in silent.text
    # Of the present stay is known that it began after the one before the gap.
    after = found[found.index(silent) + 1]
    assert after.elapsed_s - after.elapsed_bound_s < 6.0
    assert after.elapsed_s + after.elapsed_bound_s > 600.0


def test_a_change_over_a_gap_with_room_for_more_is_undecided() -> None:
    events = Events([CYCLE])
    samples = [(second, second // 5 % 2) for second in (*range(60), 600)]
    found = fed(events, samples)
    assert (found[-1].before, found[-1].after) == ("B", "A")
    assert found[-1].timing is Timing.UNDECIDED
    assert "it may have gone through A, B between two samples" in found[-1].text


def test_polls_that_miss_whole_cycles_accuse_nobody() -> None:
    """Idle 46 s, busy 2 s, done 2 s, asked every 8 s."""
    machine = Machine(
        name="press",
        signal="plc:run-state",
        states={0: "idle", 1: "busy", 2: "done"},
        transitions=(
            Transition("idle", "busy", Window(0, 60 * S)),
            Transition("busy", "done", Window(S, 3 * S)),
            Transition("done", "idle", Window(0, 2 * S)),
        ),
    )
    phases = [(second, second % 50) for second in range(0, 400, 8)]
    samples = [(second, 0 if at < 46 else 1 if at < 48 else 2) for second, at in phases]
    assert {event.timing for event in fed(Events([machine]), samples)} == {Timing.UNDECIDED}


def test_a_way_that_takes_no_time_is_held_against_silence_only() -> None:
    """Nothing could be said otherwise; a silence has no such excuse."""
    assert fed(Events([PUMP]), polled(20, [(0, 0), (3, 1)]))[-1].timing is Timing.MISSING
    found = fed(Events([PUMP]), [*polled(5, [(0, 0), (3, 1)]), (31, 1)])
    assert found[-1].timing is Timing.UNDECIDED


def test_wrong_order_and_unknown_numbers() -> None:
    found = fed(Events([PUMP]), [(0, 2), (1, 3), (2, 7), (3, 0), (4, 1)])
    assert [(event.after, event.timing) for event in found] == [
        ("tripped", Timing.WRONG_ORDER),
        ("unknown 7", Timing.WRONG_ORDER),
        ("stopped", Timing.UNDECIDED),
        ("starting", Timing.IN_TIME),
    ]
    assert "no such transition" in found[0].text
    assert "does not name the state before" in found[2].text


def test_a_state_too_short_for_the_polls_is_undecided() -> None:
    found = fed(Events([PUMP]), [(0, 0), (1, 0), (4, 2)])
    assert found[0].timing is Timing.UNDECIDED
    assert "may have gone through starting" in found[0].text
    found = fed(Events([PUMP]), [(0, 0), (1, 0), (2, 2)])
    assert found[0].timing is Timing.WRONG_ORDER


@pytest.mark.parametrize(
    "bad",
    [
        value(4, math.nan),
        value(4, math.inf),
        value(4, 2, code=status.BAD_NO_COMMUNICATION),
        value(4, 2, signal="plc:other"),
    ],
)
def test_what_is_no_sample_only_widens_the_gap(bad) -> None:
    events = Events([PUMP])
    fed(events, [(0, 0), (3, 0)])
    assert events.feed(bad, bad.time_ns) == []
    found = fed(events, [(5, 1)])
    assert found[0].bound_ns == round(1.1 * S)


def test_late_values_change_nothing() -> None:
    events = Events([PUMP])
    fed(events, [(0, 0), (5, 0)])
    assert fed(events, [(3, 1)], now=6) == []
    assert events.counts["late"] == 1
    assert fed(events, [(6, 0)]) == []


def test_a_source_that_was_set_back_counts_from_there() -> None:
    events = Events([PUMP])
    fed(events, [(0, 0), (1_000, 0)])
    assert fed(events, [(second, 0) for second in range(20)], now=1_000) == []
    assert events.counts["clock_set_back"] == 1
    assert fed(events, [(20, 1)], now=1_001)[0].timing is Timing.IN_TIME


def test_a_gateway_clock_that_was_set_back_starts_anew() -> None:
    events = Events([PUMP])
    fed(events, [(0, 0), (1_000, 0)])
    assert events.tick(START_NS) == []
    assert fed(events, [(1, 1)]) == []
    assert events.counts["clock_set_back"] == 1


def test_a_time_that_is_not_known_decides_nothing() -> None:
    samples = [(0, 0), (3, 1), (8, 1), (30, 2)]
    found = fed(Events([PUMP]), samples, bound_s=3e8)
    assert [event.timing for event in found] == [Timing.IN_TIME, Timing.UNDECIDED]


@pytest.mark.parametrize("number", [1e300, -1e18, 0.5, 2**63])
def test_absurd_numbers_are_unknown_states(number) -> None:
    found = fed(Events([PUMP]), [(0, 0), (1, number), (2, 0)])
    assert [event.timing for event in found] == [Timing.WRONG_ORDER, Timing.UNDECIDED]


def test_machines_do_not_disturb_each_other() -> None:
    other = PUMP._replace(name="twin", signal="plc:other")
    events = Events([PUMP, other])
    fed(events, [(0, 0)])
    fed(events, [(0, 2)], signal="plc:other")
    assert [event.machine for event in fed(events, [(1, 1)])] == ["run-state"]
    assert [event.machine for event in fed(events, [(1, 0)], signal="plc:other")] == ["twin"]
