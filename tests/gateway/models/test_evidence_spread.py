"""Loud, quiet and healthy: differences that say so, whatever the level does."""

from itertools import pairwise

import numpy as np
import pytest

from gateway.models import evidence_spread
from gateway.models.evidence_spread import WINDOW_ROWS, SpreadLaw


def rows(count, seed=0):
    """Return (count, 3) rows: white, a random walk, and one that repeats rounded values."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 3))
    values[:, 1] = np.cumsum(values[:, 1])
    values[:, 2] = np.round(values[:, 2])
    return values


@pytest.fixture(scope="module")
def law():
    return evidence_spread.learn(rows(4000))


def evidence_of(law, values):
    return evidence_spread.weigh(law, *evidence_spread.means(law, values))


def test_variances_of_differences_are_learnt_without_outliers(law):
    np.testing.assert_allclose(law.variance, [2.0, 1.0, 2.0 * (1 + 1 / 12)], rtol=0.1)
    spiked = rows(4000)
    spiked[100, :] = 1e9
    np.testing.assert_allclose(evidence_spread.learn(spiked).variance, law.variance, rtol=0.05)


def test_freedom_is_less_than_the_rows_where_differences_share_values(law):
    assert law.freedom[1] > 1.15 * law.freedom[0]
    assert law.freedom[0] == pytest.approx(WINDOW_ROWS * 2 / 3, rel=0.25)


def test_health_exceeds_no_more_often_than_a_bayes_factor(law):
    evidence, _ = evidence_of(law, rows(4000, seed=1))
    for bound in (3.0, 10.0):
        assert ((evidence > np.log(bound)).mean(axis=0) <= 1.3 / bound).all()


@pytest.mark.parametrize(("factor", "is_quiet"), [(4.0, False), (0.1, True), (0.0, True)])
def test_noise_that_grows_or_goes_is_found_within_a_window(law, factor, is_quiet):
    values = rows(300, seed=2)
    values[150:, 0] *= factor
    evidence, quiet = evidence_of(law, values)
    assert evidence[150 + WINDOW_ROWS :, 0].min() > 3.0
    assert (quiet[150 + WINDOW_ROWS :, 0] == is_quiet).all()
    assert evidence[150:, 1].max() < 5.0


def test_a_jump_of_the_level_is_one_difference_and_says_little(law):
    values = rows(300, seed=3)
    values[150:] += 1e6
    jumped, _ = evidence_of(law, values)
    healthy, _ = evidence_of(law, rows(300, seed=3))
    assert (jumped - healthy).max() < 6.0


def test_empty_windows_say_nothing_and_short_ones_less(law):
    values = rows(60, seed=4)
    values[20:] = np.nan
    evidence, _ = evidence_of(law, values)
    np.testing.assert_allclose(evidence[40:], 0.0, atol=1e-12)
    loud, _ = evidence_spread.weigh(law, np.full(3, 4.0), np.full(3, 20.0))
    short, _ = evidence_spread.weigh(law, np.full(3, 4.0), np.full(3, 5.0))
    assert (short < 0.5 * loud).all()
    nothing, _ = evidence_spread.weigh(law, *evidence_spread.mean(np.full((20, 3), np.nan)))
    np.testing.assert_allclose(nothing, 0.0, atol=1e-12)


def test_row_by_row_is_all_at_once(law):
    values = rows(80, seed=5)
    values[40, 1] = np.nan
    at_once = evidence_spread.means(law, values)
    squares = np.array(
        [evidence_spread.square(law, before, row) for before, row in pairwise(values)]
    )
    one = evidence_spread.mean(squares[-WINDOW_ROWS:])
    for single, whole in zip(one, at_once, strict=True):
        np.testing.assert_allclose(single, whole[-1])


def test_the_factor_is_the_ratio_of_chi_square_densities():
    law = SpreadLaw(np.ones(1), np.array([12.0]))

    def log_density(ratio, scale):
        return -6.0 * np.log(scale) - 6.0 * ratio / scale

    ratios = [log_density(2.0, k) - log_density(2.0, 1.0) for k in (0.01, 0.1, 1 / 3, 3, 10, 100)]
    expected = np.log(np.mean(np.exp(ratios)))
    evidence, _ = evidence_spread.weigh(law, np.array([2.0]), np.array([20.0]))
    assert evidence[0] == pytest.approx(expected)
