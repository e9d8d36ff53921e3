"""Rhythm: an oscillation, a filter and a loop that hunts are found; levels and loudness are not."""

import numpy as np
import pytest

from gateway.models import evidence_spectrum, evidence_spread
from gateway.models.evidence import SHIFTS, log_bayes_factor
from gateway.models.evidence_spectrum import LAGS, WINDOW_ROWS, Rhythm, SpectrumLaw


def rows(count, seed=0):
    """Return (count, 3) rows: white, an autoregression, a random walk with noise."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 3))
    for row in range(1, count):
        values[row, 1] += 0.8 * values[row - 1, 1]
    values[:, 2] += np.cumsum(0.5 * rng.normal(size=count))
    return values


def learnt(values):
    return evidence_spectrum.learn(values, evidence_spread.learn(values).variance)


@pytest.fixture(scope="module")
def law():
    return learnt(rows(4000))


def test_differences_are_whitened(law):
    residuals = evidence_spectrum._residuals(
        law, np.diff(rows(4000, seed=1), axis=0) / law.deviation
    )
    for lag in range(1, LAGS + 1):
        correlation = (residuals[lag:] * residuals[:-lag]).mean(axis=0) / residuals.var(axis=0)
        np.testing.assert_array_less(np.abs(correlation), 0.2)
    assert (law.inflation >= 1.0).all()
    assert (law.inflation < 2.0).all()


@pytest.mark.parametrize("training", [400, 4000])
def test_health_exceeds_no_more_often_than_a_bayes_factor(training):
    found = evidence_spectrum.over_rows(learnt(rows(training)), rows(20_000, seed=2))
    for bound in (3.0, 10.0, 30.0):
        assert ((found > np.log(bound)).mean(axis=0) <= 1.5 / bound).all()


def oscillating(values):
    return values + 2.0 * np.sin(2 * np.pi * np.arange(len(values)) / 6.0)[:, None]


def smoothed(values):
    return sum(np.roll(values, lag, axis=0) for lag in range(6)) / np.sqrt(6.0)


@pytest.mark.parametrize("changed", [oscillating, smoothed])
def test_another_rhythm_is_found_and_forgotten_when_it_is_over(law, changed):
    values = rows(600, seed=3)
    values[200:400, :2] = changed(values)[200:400, :2]
    found = evidence_spectrum.over_rows(law, values)
    assert (found[200 + WINDOW_ROWS : 400, :2] > 3.0).mean() > 0.65
    assert found[400 + WINDOW_ROWS :].max() < 6.0
    assert found[:199].max() < 6.0
    assert found[:, 2].max() < 6.0


def test_louder_quieter_elsewhere_and_slowly_moving_is_the_same_rhythm(law):
    for factor, moved, slope in ((2.0, 0.0, 0.0), (0.1, 0.0, 0.0), (1.0, 100.0, 0.05)):
        values = rows(400, seed=4)
        values[200:, 0] *= factor
        values[200:] += moved + slope * np.arange(200)[:, None]
        assert evidence_spectrum.over_rows(law, values).max() < 7.0


def test_a_signal_that_stands_still_or_is_missing_says_nothing(law):
    values = rows(600, seed=5)
    values[100:, 0], values[100:, 1] = 1.0, np.nan
    found = evidence_spectrum.over_rows(law, values)
    # Nothing in the window: each size costs its share, and no correlation speaks for any.
    least = np.log(np.mean((1.0 + np.array(SHIFTS)) ** (-LAGS / 2)))
    np.testing.assert_allclose(found[100 + 8 * WINDOW_ROWS :, 0], least, atol=1e-3)
    np.testing.assert_allclose(found[100 + 8 * WINDOW_ROWS :, 1], least, atol=1e-3)


@pytest.mark.parametrize("degrees", [5.0, 1e7])
def test_the_factor_is_that_of_the_others_and_of_normal_densities_where_much_is_known(degrees):
    law = SpectrumLaw(np.ones(1), np.zeros((LAGS, 1)), np.full(1, 2.0), degrees)
    correlations = np.array([[0.3], [-0.2], [0.1], [0.0]])
    found = evidence_spectrum._evidence(law, correlations, np.full(1, 60.0))[0]
    distance, sizes = 60.0 * 0.14 / 2.0, np.array(SHIFTS)
    assert found == pytest.approx(log_bayes_factor(distance, LAGS, degrees))
    ratios = np.exp(0.5 * distance * sizes / (1 + sizes)) / (1 + sizes) ** (LAGS / 2)
    assert degrees < 1e6 or found == pytest.approx(np.log(ratios.mean()), abs=1e-5)


def test_nobody_who_knows_no_rhythm_finds_another(law):
    unknown = evidence_spectrum.unknown(law.deviation**2)
    found = evidence_spectrum.over_rows(unknown, oscillating(rows(400, seed=6)))
    assert found.max() < 1.0


def test_row_by_row_is_all_at_once_and_a_gap_begins_anew(law):
    values = rows(150, seed=7)
    values[60, 1] = np.nan
    at_once = evidence_spectrum.over_rows(law, values)
    rhythm = Rhythm(law)
    one_by_one = np.array([rhythm.step(row) for row in values])
    np.testing.assert_allclose(one_by_one[1:], at_once, atol=1e-9)
    rhythm.forget()
    again = np.array([rhythm.step(row) for row in values])
    np.testing.assert_allclose(again, one_by_one, atol=1e-9)
