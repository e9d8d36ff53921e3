"""Samples of closed rows: few bytes each, a stated bound in all, late ones join them."""

import math

from gateway.models.alignment_history import LATE_WEIGHT, ROW_MAX, History, Sample
from gateway.models.alignment_rows import batch


def keeping(*rows, rows_max=10, total_max=10_000):
    """Return a history of rows 0, 1, ..: lists of (place, time, value)."""
    history = History(2, rows_max, total_max)
    for number, samples in enumerate(rows):
        places, times_ns, values = (list(part) for part in zip(*samples, strict=True))
        history.keep(number, batch(places, times_ns, values, [1.0] * len(samples)))
    return history


def test_samples_come_back_by_signal_in_the_order_of_time():
    history = keeping([(1, 9, 3.0), (0, 5, 1.0), (1, 7, 2.0)])
    assert history.of(0, 0) == [Sample(5, 1.0, 1.0)]
    assert history.of(0, 1) == [Sample(7, 2.0, 1.0), Sample(9, 3.0, 1.0)]
    assert history.of(1, 0) == []
    assert history.has(0, 1, 9)
    assert not history.has(0, 0, 9)


def test_a_late_sample_joins_replaces_or_changes_nothing():
    history = keeping([(0, 5, 1.0)])
    assert history.add(0, 0, Sample(6, 2.0, 1.0))
    assert history.add(0, 0, Sample(5, 3.0, 1.0))
    assert history.add(0, 1, Sample(5, 4.0, 1.0))
    assert not history.add(0, 0, Sample(5, 3.0, 1.0)), "a copy"
    assert not history.add(7, 0, Sample(5, 3.0, 1.0)), "a row that is not known"
    assert not history.add(0, 0, Sample(8, 1e300, 1.0))
    assert not history.add(0, 0, Sample(8, math.nan, 1.0))
    assert history.of(0, 0) == [Sample(5, 3.0, 1.0), Sample(6, 2.0, 1.0)]


def test_rows_samples_and_late_samples_are_bounded():
    row = [(place, time_ns, 1.0) for place in (0, 1) for time_ns in range(20)]
    assert len(keeping(*[row] * 30)) == 10
    assert len(keeping(*[row] * 30, total_max=170)) == 4
    history = keeping(row, row, total_max=41 * 2 + 2 * LATE_WEIGHT * 21)
    assert history.add(1, 0, Sample(50, 1.0, 1.0))
    assert len(history) == 2
    assert history.add(1, 1, Sample(50, 1.0, 1.0))
    assert history.add(1, 1, Sample(51, 1.0, 1.0))
    assert len(history) == 1
    added = [history.add(1, 0, Sample(100 + at, 1.0, 1.0)) for at in range(2 * ROW_MAX)]
    assert sum(added) <= ROW_MAX
    history.forget()
    assert len(history) == 0


def test_a_row_without_samples_is_a_row():
    history = History(2, 10)
    history.keep(3, batch([], [], [], []))
    assert history.add(3, 1, Sample(5, 1.0, 1.0)) is True
    assert len(history.of(3, 1)) == 1
    assert len(history.of(3, 0)) == 0
