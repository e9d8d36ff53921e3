"""Interval arithmetic on events: every verdict holds for every time that is possible."""

import numpy as np
import pytest

from gateway.models.timed_events import (
    Automaton,
    Lasted,
    Span,
    Transition,
    Window,
    ahead,
    around,
    change,
    contradiction_ns,
    lasted,
    lasted_since,
    timing,
)
from gateway.records_time import Timing

S = 1_000_000_000
PUMP = Automaton(
    (
        Transition("stopped", "starting"),
        Transition("starting", "running", Window(2 * S, 10 * S)),
        Transition("running", "stopped", Window(0, None)),
        Transition("starting", "tripped", Window(0, 3 * S)),
    )
)
GAP = Span(0, S)


@pytest.mark.parametrize(
    ("least", "most", "window", "expected"),
    [
        (3, 4, Window(2, 10), Timing.IN_TIME),
        (2, 10, Window(2, 10), Timing.IN_TIME),
        (0, 1, Window(2, 10), Timing.TOO_EARLY),
        (11, 12, Window(2, 10), Timing.TOO_LATE),
        (1, 3, Window(2, 10), Timing.UNDECIDED),
        (9, 11, Window(2, 10), Timing.UNDECIDED),
        (1, 11, Window(2, 10), Timing.UNDECIDED),
        (0, None, Window(), Timing.IN_TIME),
        (5, None, Window(2, 10), Timing.UNDECIDED),
        (11, None, Window(2, 10), Timing.TOO_LATE),
        (1, None, Window(2), Timing.UNDECIDED),
    ],
)
def test_a_duration_against_its_window(least, most, window, expected) -> None:
    assert timing(Lasted(least, most), window) is expected


def test_a_change_lies_between_two_polls_and_their_bounds() -> None:
    assert change(around(10, 1), around(20, 3)) == Span(9, 23)
    assert change(around(10, 1), around(10, 1)) == Span(9, 11)
    assert change(Span(10, 12), Span(0, 5)) == Span(10, 10)


def test_a_duration_is_the_difference_of_two_intervals() -> None:
    """Moore (1966): [c, d] - [a, b] = [c - b, d - a]."""
    assert lasted(Span(1, 3), Span(10, 14)) == Lasted(7, 13)
    assert lasted(Span(1, 5), Span(4, 6)) == Lasted(0, 5)
    assert lasted_since(Span(1, 3), Span(10, 14)) == Lasted(7, None)


def test_middle_and_bound_hold_the_whole_span() -> None:
    for span in (Span(0, 1), Span(-3, 4), Span(7, 7), Span(2**62, 2**63 + 1)):
        assert span.time_ns - span.bound_ns <= span.earliest_ns
        assert span.time_ns + span.bound_ns >= span.latest_ns


def test_no_verdict_is_ever_wrong() -> None:
    """Random true events, random clock errors within the bounds, random polls."""
    rng = np.random.default_rng(1)
    decided = 0
    for _ in range(2_000):
        entered, stay = 0, int(rng.integers(0, 30))
        left = entered + stay
        spans = []
        for instant in (entered, left):
            before, after = (int(value) for value in rng.integers(0, 4, size=2))
            bound = int(rng.integers(0, 3))
            errors = rng.integers(-bound, bound + 1, size=2)
            still = around(instant - before + int(errors[0]), bound)
            spans.append(change(still, around(instant + after + int(errors[1]), bound)))
        window = Window(8, 20)
        said = timing(lasted(*spans), window)
        truth = {True: Timing.IN_TIME}.get(
            8 <= stay <= 20, Timing.TOO_EARLY if stay < 8 else Timing.TOO_LATE
        )
        assert said in (truth, Timing.UNDECIDED)
        decided += said is truth
    assert decided > 500


def test_an_order_that_is_not_there_is_wrong() -> None:
    passage = PUMP.passed("stopped", "tripped", Lasted(5, 6), Span(0, 0))
    assert passage.timing is Timing.UNDECIDED
    assert passage.through == ("starting",)
    wrong = PUMP.passed("tripped", "running", Lasted(5, 6), GAP)
    assert (wrong.timing, wrong.through) == (Timing.WRONG_ORDER, ())


def test_unseen_states_need_room_for_their_shortest_stay() -> None:
    fast = PUMP.passed("stopped", "running", Lasted(5, 6), Span(0, S))
    assert fast.timing is Timing.WRONG_ORDER
    slow = PUMP.passed("stopped", "running", Lasted(5, 6), Span(0, 2 * S))
    assert (slow.timing, slow.through) == (Timing.UNDECIDED, ("starting",))
    around_again = PUMP.passed("running", "running", Lasted(5, 6), Span(0, 2 * S))
    assert around_again.through == ("stopped", "starting")


def test_the_shortest_way_is_taken() -> None:
    """Dijkstra (1959): two ways from a to d; the one with less time in between."""
    automaton = Automaton(
        (
            Transition("a", "b"),
            Transition("b", "d", Window(5)),
            Transition("a", "c"),
            Transition("c", "e", Window(1)),
            Transition("e", "d", Window(2)),
        )
    )
    assert automaton.passed("a", "d", Lasted(0, 1), Span(0, 4)).through == ("c", "e")
    assert automaton.passed("a", "d", Lasted(0, 1), Span(0, 2)).timing is Timing.WRONG_ORDER


def test_a_direct_window_holds_only_if_nothing_else_fits_into_the_gap() -> None:
    cycle = Automaton(
        (
            Transition("a", "b", Window(4, 6)),
            Transition("b", "a", Window(4, 6)),
            Transition("a", "a"),
        )
    )
    duration = Lasted(20, 30)
    assert cycle.passed("a", "b", duration, Span(0, 7)).timing is Timing.TOO_LATE
    wide = cycle.passed("a", "b", duration, Span(0, 8))
    assert (wide.timing, wide.through) == (Timing.UNDECIDED, ("b", "a"))
    assert cycle.unseen("a", "a", 4, is_usual=True) == ("b",)
    assert cycle.unseen("a", "a", 3, is_usual=False) == ()


def test_a_way_without_shortest_stays_fits_into_gaps_that_are_not_usual() -> None:
    free = Automaton((Transition("a", "b", Window(0, 6)), Transition("b", "a")))
    assert free.unseen("a", "a", 1, is_usual=True) == ()
    assert free.unseen("a", "a", 1, is_usual=False) == ("b",)
    assert free.passed("a", "b", Lasted(7, 8), GAP).timing is Timing.TOO_LATE
    assert free.passed("a", "b", Lasted(7, 8), GAP, is_usual=False).timing is Timing.UNDECIDED
    # A window without ends is kept whichever way it went.
    assert free.passed("b", "a", Lasted(7, 8), GAP, is_usual=False).timing is Timing.IN_TIME


def test_how_long_a_state_may_last() -> None:
    assert PUMP.longest_ns("starting") == 10 * S
    assert PUMP.longest_ns("running") is None
    assert PUMP.longest_ns("tripped") is None
    assert PUMP.following("starting") == ("running", "tripped")
    assert PUMP.following("nowhere") == ()


def test_an_anchor_gives_an_interval_between_two_clocks() -> None:
    """First says [10, 11], second [15, 16] with 1 to 2 of delay: ahead by 2 to 5."""
    found = ahead(Span(10, 11), Span(15, 16), Window(1, 2))
    assert found == Span(2, 5)
    assert contradiction_ns(found, 1) == 1
    assert contradiction_ns(found, 2) == 0
    assert contradiction_ns(Span(-9, -4), 3) == -1
    assert contradiction_ns(Span(-1, 1), 0) == 0


def test_an_anchor_never_contradicts_honest_clocks() -> None:
    rng = np.random.default_rng(2)
    for _ in range(1_000):
        first_error, second_error, delay, *gaps = (int(v) for v in rng.integers(0, 10, size=7))
        first = Span(100 + first_error - gaps[0], 100 + first_error + gaps[1])
        event = 100 + delay + second_error
        second = Span(event - gaps[2], event + gaps[3])
        assert contradiction_ns(ahead(first, second, Window(0, 9)), 18) == 0
