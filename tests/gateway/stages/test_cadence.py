"""Periods are as stated, or as the values tell; a slow signal is due once a period."""

from gateway.stages.cadence import SignalCadence
from tests.gateway.stages.frames import SECOND_NS


def heard(times_s, stated_s=None):
    """Return a cadence of rows of a second that has heard "a:x" at these times."""
    stated_ns = {} if stated_s is None else {"a:x": int(stated_s * SECOND_NS)}
    cadence = SignalCadence(("a:x", "b:y"), SECOND_NS, stated_ns)
    for time_s in times_s:
        cadence.heard("a:x", int(time_s * SECOND_NS))
    return cadence


def due_rows(cadence, rows):
    """Return the numbers of rows, each from n - 0.5 s to n + 0.5 s, in which "a:x" is due."""
    return [row for row in rows if cadence.is_due("a:x", row * SECOND_NS + SECOND_NS // 2)]


def test_a_stated_period_is_believed_at_once():
    assert due_rows(heard([0], stated_s=10), range(1, 35)) == [10, 20, 30]


def test_a_period_is_recognised_from_five_gaps_and_until_then_every_row_is_due():
    assert due_rows(heard([0, 10, 20, 30, 40]), range(41, 45)) == [41, 42, 43, 44]
    assert due_rows(heard([0, 10, 20, 30, 40, 50]), range(51, 75)) == [60, 70]


def test_a_lost_value_does_not_set_the_period():
    cadence = heard([0, 2, 4, 8, 10, 12])
    assert cadence.period_ns("a:x") == 2 * SECOND_NS


def test_a_slower_signal_is_missing_and_a_faster_one_is_followed():
    slower = heard([0, 2, 4, 6, 8, 10, *range(30, 200, 20)])
    assert slower.period_ns("a:x") == 2 * SECOND_NS
    faster = heard([0, 10, 20, 30, 40, 50, 52, 54, 56, 58, 60], stated_s=10)
    assert faster.period_ns("a:x") == 2 * SECOND_NS


def test_one_as_fast_as_the_rows_or_never_heard_is_due_in_every_row():
    assert due_rows(heard([0], stated_s=1), range(1, 9)) == list(range(1, 9))
    assert due_rows(heard([]), range(3)) == [0, 1, 2]


def test_a_period_that_is_no_multiple_of_the_rows_is_followed_exactly():
    """Values at 2.4, 4.8, 7.2, 9.6; rows end at n + 0.5, and 9.6 may come in row 9 or 10."""
    assert due_rows(heard([0], stated_s=2.4), range(1, 11)) == [2, 5, 7, 9, 10]


def test_jitter_that_may_bring_a_value_forward_is_waited_for():
    assert due_rows(heard([0.6], stated_s=10), range(1, 15)) == [10, 11]


def test_old_times_and_a_clock_set_back_change_no_period():
    cadence = heard([0, 10, 20, 30, 40, 50, 45, 50])
    assert cadence.period_ns("a:x") == 10 * SECOND_NS
    cadence.forget()
    assert due_rows(cadence, [1, 2]) == [1, 2]
    cadence.heard("a:x", 5 * SECOND_NS)
    assert due_rows(cadence, range(6, 20)) == [15]


def test_a_faster_signal_has_more_to_say_until_its_last_sample_of_the_row():
    cadence = heard([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    end_ns = 2 * SECOND_NS
    said = [cadence.has_more("a:x", end_ns - ms * 1_000_000, end_ns) for ms in (900, 130, 120, 10)]
    assert said == [True, True, False, False]


def test_nothing_more_is_waited_for_of_a_signal_about_as_fast_as_the_rows_or_not_known():
    assert not heard([0, 1, 2, 3, 4, 5]).has_more("a:x", 6 * SECOND_NS, 7 * SECOND_NS)
    assert not heard([0.0, 0.1]).has_more("a:x", SECOND_NS, 2 * SECOND_NS)
