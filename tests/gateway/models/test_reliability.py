"""Limits of MTBF, availability, ratios and quantiles: published examples, and what they promise."""

import math

import numpy as np
import pytest
from scipy import stats

from gateway.models.reliability import (
    UNKNOWN,
    availability_limits,
    chi_square_quantile,
    mtbf_limits,
    quantile_ranks,
    ratio_limits,
)


def test_mtbf_is_the_example_of_the_nist_handbook() -> None:
    # NIST/SEMATECH e-Handbook 8.4.5.1: 800 h, 2 failures, two-sided 90 %: (127, 2251) h.
    low, high = mtbf_limits(800.0, 2, 0.90)
    assert low == pytest.approx(127.07, abs=0.01)
    assert high == pytest.approx(2251.2, abs=0.1)


@pytest.mark.parametrize(("confidence", "factor"), [(0.95, 2.9957), (0.90, 2.3026), (0.50, 0.6931)])
def test_without_a_failure_the_limit_is_one_sided(confidence: float, factor: float) -> None:
    # The zero-failure factors of the same table; -ln(1 - confidence).
    limits = mtbf_limits(1000.0, 0, confidence)
    assert limits.low == pytest.approx(1000.0 / factor, rel=1e-4)
    assert limits.high is None


def test_chi_square_quantiles_are_those_of_the_tables() -> None:
    # Critical values printed in every table: 0.95 and 0.99.
    assert chi_square_quantile(0.95, 1) == pytest.approx(3.841, abs=5e-4)
    assert chi_square_quantile(0.99, 10) == pytest.approx(23.209, abs=5e-4)


@pytest.mark.parametrize(
    ("up_s", "failures"), [(0.0, 0), (-1.0, 1), (math.inf, 1), (math.nan, 1), (1.0, -1)]
)
def test_nothing_is_known_of_no_time(up_s: float, failures: int) -> None:
    assert mtbf_limits(up_s, failures) == UNKNOWN
    assert availability_limits(up_s, 1.0, failures, repair_s=1.0) == UNKNOWN


def test_the_true_mtbf_lies_between_its_limits_as_often_as_promised() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(2000):
        failures = int(rng.poisson(5.0))
        low, high = mtbf_limits(500.0, failures)
        inside += (low or 0.0) <= 100.0 <= (math.inf if high is None else high)
    assert 0.95 <= inside / 2000 <= 0.99


def test_availability_lies_between_its_limits_as_often_as_promised() -> None:
    rng = np.random.default_rng(2)
    mean_up_s, mean_down_s = 1000.0, 20.0
    truth = mean_up_s / (mean_up_s + mean_down_s)
    inside = 0
    for _ in range(2000):
        ups = rng.exponential(mean_up_s, 8)
        downs = rng.exponential(mean_down_s, 8)
        low, high = availability_limits(float(ups.sum()), float(downs.sum()), 8)
        assert low is not None
        assert high is not None
        inside += low <= truth <= high
    assert 0.945 <= inside / 2000 <= 0.985


def test_availability_without_an_outage_needs_a_repair_time() -> None:
    day_s = 86_400.0
    assert availability_limits(day_s, 0.0, 0) == (None, 1.0)
    low, high = availability_limits(day_s, 0.0, 0, repair_s=60.0)
    assert low == pytest.approx(1 / (1 + 60.0 * 2.9957 / day_s), rel=1e-6)
    assert high == 1.0


@pytest.mark.parametrize(("up_s", "down_s"), [(400_000.0, 3600.0), (1.0, 1e9), (1e9, 1e-3)])
@pytest.mark.parametrize("failures", [0, 1, 2, 50])
def test_limits_hold_the_availability_that_was_seen(
    up_s: float, down_s: float, failures: int
) -> None:
    low, high = availability_limits(up_s, down_s, failures, repair_s=60.0)
    assert low is not None
    assert high is not None
    assert 0.0 <= low <= up_s / (up_s + down_s) <= high <= 1.0


def test_an_outage_that_was_there_at_the_beginning_counts_as_one() -> None:
    before = availability_limits(1000.0, 20.0, 0, repair_s=60.0)
    assert before == availability_limits(1000.0, 20.0, 1)
    assert before != availability_limits(1000.0, 20.0, 2)


def test_a_ratio_has_the_limits_of_clopper_and_pearson() -> None:
    # None of 10: "rule of three" at one side, 1 - 0.025^(1/10) here; 5 of 10 is in every table.
    assert ratio_limits(0, 10) == (0.0, pytest.approx(1 - 0.025**0.1))
    low, high = ratio_limits(5, 10)
    assert (low, high) == (pytest.approx(0.1871, abs=1e-4), pytest.approx(0.8129, abs=1e-4))
    assert ratio_limits(10, 10)[1] == 1.0
    assert ratio_limits(0, 0) == ratio_limits(3, 2) == ratio_limits(-1, 2) == UNKNOWN


def test_a_burst_is_one_event() -> None:
    # Ten losses in a row, three times, are three of a tenth of the messages.
    assert ratio_limits(30, 1000, 300) == pytest.approx(ratio_limits(3, 100))
    assert ratio_limits(30, 1000, 30) == ratio_limits(30, 1000) == ratio_limits(30, 1000, 1)
    low, high = ratio_limits(5, 5, 25)
    assert (low, high) == (pytest.approx(0.025), 1.0)


@pytest.mark.parametrize(
    ("count", "ranks"), [(5, (None, None)), (6, (1, 6)), (10, (2, 9)), (20, (6, 15))]
)
def test_limits_of_a_median_are_the_ranks_of_the_tables(
    count: int, ranks: tuple[int | None, int | None]
) -> None:
    # Distribution-free 95 % limits of a median; Conover, Practical Nonparametric Statistics, 3.2.
    assert quantile_ranks(0.5, count) == ranks


def test_of_the_99th_percentile_there_is_no_upper_limit_below_368_values() -> None:
    assert quantile_ranks(0.99, 367)[1] is None
    assert quantile_ranks(0.99, 368)[1] == 368
    assert quantile_ranks(0.99, 0) == quantile_ranks(1.0, 5) == (None, None)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("count", [37, 400, 12_345])
def test_ranks_are_the_nearest_that_keep_both_sides(probability: float, count: int) -> None:
    low, high = quantile_ranks(probability, count)
    below = stats.binom(count, probability)
    if low is not None:
        assert below.cdf(low - 1) <= 0.025 < below.cdf(low)
    if high is not None:
        assert 1 - below.cdf(high - 1) <= 0.025 < 1 - below.cdf(high - 2)
