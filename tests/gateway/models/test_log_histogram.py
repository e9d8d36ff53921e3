"""The histogram of durations: its error is as stated, whatever comes it stays small and exact."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.models.log_histogram import BEYOND_S, BUCKETS_MAX, HistogramState, LogHistogram

HALF_BUCKET = 2 ** (1 / 32)


def filled(values) -> LogHistogram:
    histogram = LogHistogram()
    for value in values:
        assert histogram.add(float(value))
    return histogram


@pytest.mark.parametrize("probability", [0.01, 0.5, 0.99, 1.0])
def test_a_quantile_is_off_by_at_most_half_a_bucket(probability: float) -> None:
    values = np.sort(np.random.default_rng(1).lognormal(-3.0, 2.0, 2001))
    found = filled(values).quantile(probability)
    truth = values[math.ceil(probability * values.size) - 1]
    assert found is not None
    assert 1 / HALF_BUCKET <= found / truth <= HALF_BUCKET


def test_limits_of_a_quantile_cover_it_as_often_as_promised() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(300):
        low, high = filled(rng.exponential(1.0, 400)).quantile_limits(0.5)
        assert low is not None
        assert high is not None
        covered += low <= math.log(2) <= high
    assert covered >= 0.94 * 300


def test_one_value_many_times_is_that_value() -> None:
    histogram = filled([0.25] * 1000)
    assert histogram.quantile(0.99) == 0.25
    assert histogram.quantile_limits(0.5) == (0.25, 0.25)


def test_nothing_says_nothing() -> None:
    histogram = LogHistogram()
    assert histogram.quantile(0.5) is None
    assert histogram.quantile_limits(0.5) == (None, None)
    assert LogHistogram(histogram.state()).count == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e304, -1e16])
def test_what_is_no_number_is_refused(value: float) -> None:
    histogram = LogHistogram()
    assert not histogram.add(value)
    assert histogram.count == 0


def test_a_value_before_its_time_is_the_least_of_all() -> None:
    histogram = filled([-0.5, -0.25, 0.0, 1.0, 2.0])
    assert histogram.quantile(0.2) == -0.5
    assert histogram.below(range(20, 22)) == [
        (pytest.approx(1.048576), 4),
        (pytest.approx(2.097152), 5),
    ]


@given(st.lists(st.floats(-BEYOND_S, BEYOND_S), min_size=1, max_size=60))
def test_any_numbers_stay_within_bounds(values: list[float]) -> None:
    histogram = LogHistogram()
    for value in values:
        assert histogram.add(value)
    median = histogram.quantile(0.5)
    assert median is not None
    assert histogram.least_s <= median <= histogram.greatest_s
    counts = histogram.state().counts
    assert all(-1 <= place < BUCKETS_MAX for place in counts)
    edges = histogram.below(range(0, 40, 3))
    assert [below for _, below in edges] == sorted(below for _, below in edges)
    again = LogHistogram(histogram.state())
    assert (again.state(), again.count) == (histogram.state(), len(values))


@pytest.mark.parametrize(
    "state",
    [
        HistogramState({BUCKETS_MAX: 1}, 1.0, 1.0, 1.0),
        HistogramState({-2: 1}, 1.0, 1.0, 1.0),
        HistogramState({0: 0}, 1.0, 1.0, 1.0),
        HistogramState({0: 1 << 63}, 1.0, 1.0, 1.0),
        HistogramState({0: 1}, math.nan, 1.0, 1.0),
        HistogramState({0: 1}, 1.0, 2.0, 1.0),
    ],
)
def test_a_state_that_cannot_be_is_refused(state: HistogramState) -> None:
    with pytest.raises(ValueError, match="none"):
        LogHistogram(state)
