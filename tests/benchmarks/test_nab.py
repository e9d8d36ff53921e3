"""The NAB score against examples counted by hand."""

import itertools
import math

import numpy as np
import pytest

from benchmarks.nab import Tally, changes, tally, total, worth


def times(*seconds: float) -> np.ndarray:
    return np.array(seconds, dtype=np.float64)


def test_the_value_of_a_detection_falls_from_one_to_that_of_a_false_alarm() -> None:
    assert worth(0.0) == pytest.approx(1.0)
    assert worth(0.5) == pytest.approx(0.445)
    assert worth(1.0) == pytest.approx(-0.11)
    values = [worth(place) for place in np.linspace(0.0, 1.0, 50)]
    assert all(after < before for before, after in itertools.pairwise(values))


def test_silence_is_worth_nothing_and_perfection_a_hundred() -> None:
    truth = times(100.0, 300.0)
    assert tally(times(), truth).score == 0.0
    assert tally(truth, truth).score == pytest.approx(100.0)


def test_half_found_late_and_one_false_alarm_as_counted_by_hand() -> None:
    # Found half-way through its window, 0.445; missed, -1; false alarm, -0.11; two windows.
    # 100 * (0.445 - 1 - 0.11 + 2) / 4 = 33.375
    result = tally(times(50.0, 130.0), times(100.0, 300.0))
    assert result.value == pytest.approx(-0.665)
    assert result[1:] == (2, 1, 1)
    assert result.score == pytest.approx(33.375)


def test_only_the_first_detection_of_a_window_counts_and_the_others_cost_nothing() -> None:
    assert tally(times(130.0, 140.0, 159.0), times(100.0)) == tally(times(130.0), times(100.0))


def test_both_ends_of_a_window_are_inside() -> None:
    assert tally(times(160.0), times(100.0)).found == 1
    assert tally(times(160.5), times(100.0)).value == pytest.approx(-1.11)
    assert tally(times(99.5), times(100.0)).false == 1


def test_an_overlapping_window_begins_where_the_one_before_it_ends() -> None:
    # The second window is 160 to 190, so 175 stands in its middle.
    result = tally(times(100.0, 175.0), times(100.0, 130.0))
    assert result.value == pytest.approx(1.0 + 0.445)


def test_always_crying_wolf_is_worth_less_than_silence() -> None:
    every_second = np.arange(0.0, 1000.0)
    assert tally(every_second, times(500.0)).score < 0.0


def test_files_add_up_before_the_score_is_taken() -> None:
    one, other = tally(times(), times(10.0)), tally(times(10.0), times(10.0))
    assert total([one, other]) == Tally(0.0, 2, 1, 0)
    assert total([one, other]).score == pytest.approx(50.0)


def test_without_change_points_there_is_no_score() -> None:
    assert math.isnan(total([tally(times(5.0), times())]).score)


def test_a_verdict_changes_into_alarm_and_out_of_it() -> None:
    assert changes(np.array([False, True, True, False, True])).tolist() == [1, 3, 4]
    assert changes(np.array([True, True])).tolist() == [0]
    assert changes(np.array([False, False])).tolist() == []
