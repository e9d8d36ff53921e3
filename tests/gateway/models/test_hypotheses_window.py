"""The law of a window against one joint Gaussian of all its values."""

import numpy as np
import pytest
from scipy.stats import multivariate_t

from gateway.models.hypotheses_window import (
    deviation_given_all,
    given_others,
    left_out,
    log_density,
    weigh,
    without_from,
)
from tests.gateway.models import windows

ROWS = 12


@pytest.fixture(scope="module")
def case():
    """A law with everything in it, rows with gaps, and the joint covariance."""
    law = windows.law(persistence=0.4, drift=0.01)
    rows = windows.healthy(law, seed=3, rows=ROWS)
    rows[3, 1] = rows[7:10, 2] = np.nan
    rows[-1] = np.nan
    covariance = windows.joint_covariance(law, ROWS)
    return law, rows, covariance, weigh(law, rows)


def conditional(covariance, values, given, asked):
    """Return mean and covariance of asked values given others of a joint Gaussian."""
    gain = np.linalg.solve(covariance[np.ix_(given, given)], covariance[np.ix_(given, asked)]).T
    left = covariance[np.ix_(asked, asked)] - gain @ covariance[np.ix_(given, asked)]
    return gain @ values[given], left


def places(signal, first=0):
    """Return where the rows of a signal from `first` on stand in the joint vector."""
    return np.arange(signal * ROWS + first, (signal + 1) * ROWS)


def test_density_and_precision_are_those_of_the_joint_gaussian(case):
    law, rows, covariance, window = case
    values = rows.T.ravel()
    seen = np.flatnonzero(~np.isnan(values))
    among = covariance[np.ix_(seen, seen)]
    inverse = np.zeros_like(covariance)
    inverse[np.ix_(seen, seen)] = np.linalg.inv(among)
    assert window.total == len(seen)
    assert window.distance == pytest.approx(values[seen] @ np.linalg.solve(among, values[seen]))
    assert window.log_determinant == pytest.approx(np.linalg.slogdet(among)[1])
    for signal in range(windows.SIGNALS):
        block = inverse[np.ix_(places(signal), places(signal))]
        np.testing.assert_allclose(window.precision[signal], block, atol=1e-7)
    expected = multivariate_t(shape=among, df=law.degrees).logpdf(values[seen])
    assert window.log_density == pytest.approx(expected)


@pytest.mark.parametrize(("signal", "age"), [(0, 6), (2, 4), (4, ROWS), (1, 1)])
def test_leaving_values_out_is_marginalising_them(case, signal, age):
    _, rows, covariance, window = case
    values = rows.T.ravel()
    kept = ~np.isnan(values)
    kept[places(signal, ROWS - age)] = False
    kept = np.flatnonzero(kept)
    among = covariance[np.ix_(kept, kept)]
    left = left_out(window)
    assert left.remaining[signal, age - 1] == len(kept)
    distance = values[kept] @ np.linalg.solve(among, values[kept])
    assert left.distance[signal, age - 1] == pytest.approx(distance)
    determinant = np.linalg.slogdet(among)[1]
    assert left.log_determinant[signal, age - 1] == pytest.approx(determinant)


@pytest.mark.parametrize("signal", [0, 2, 4])
def test_a_signal_given_the_others_is_the_conditional_gaussian(case, signal):
    _, rows, covariance, window = case
    values = rows.T.ravel()
    others = ~np.isnan(values)
    others[places(signal)] = False
    mean, left = conditional(covariance, values, np.flatnonzero(others), places(signal))
    rest = given_others(window)
    np.testing.assert_allclose(rest.mean[signal], mean, atol=1e-7)
    np.testing.assert_allclose(rest.covariance[signal], left, atol=1e-7)


@pytest.mark.parametrize(("signal", "first"), [(1, 6), (2, 8), (3, 0)])
def test_expected_rows_use_the_signal_before_the_onset(case, signal, first):
    _, rows, covariance, window = case
    values = rows.T.ravel()
    given = ~np.isnan(values)
    given[places(signal, first)] = False
    asked = places(signal, first)
    mean, left = conditional(covariance, values, np.flatnonzero(given), asked)
    found, deviation = without_from(window, signal, first)
    np.testing.assert_allclose(found, mean, atol=1e-7)
    np.testing.assert_allclose(deviation**2, np.diag(left), atol=1e-7)


def test_deviation_given_all_is_that_of_the_middle_value():
    law = windows.law()
    covariance = windows.joint_covariance(law, ROWS)
    precision = np.linalg.inv(covariance)
    middle = [signal * ROWS + ROWS // 2 for signal in range(windows.SIGNALS)]
    expected = 1.0 / np.sqrt(np.diag(precision)[middle])
    np.testing.assert_allclose(deviation_given_all(law, ROWS), expected, rtol=1e-7)


def test_an_empty_window_says_nothing():
    window = weigh(windows.law(), np.full((ROWS, windows.SIGNALS), np.nan))
    assert window.total == 0
    assert window.distance == 0.0
    assert window.log_density == pytest.approx(0.0, abs=1e-8)


def test_a_law_without_factors_has_independent_signals():
    law = windows.law()
    space = law.state_space
    alone = law._replace(
        state_space=space._replace(
            transition=np.zeros((0, 0)),
            state_noise=np.zeros((0, 0)),
            loadings=np.zeros((windows.SIGNALS, 0)),
            factors=0,
            lags=0,
        )
    )
    rows = windows.healthy(law, seed=1, rows=ROWS)
    window = weigh(alone, rows)
    by_hand = sum(
        float(rows[:, signal] @ np.linalg.solve(window.own[signal], rows[:, signal]))
        for signal in range(windows.SIGNALS)
    )
    assert window.distance == pytest.approx(by_hand)


def test_few_degrees_take_surprise_more_lightly():
    near, far = 10.0, 200.0
    light = log_density(near, 0.0, 10, 4.0) - log_density(far, 0.0, 10, 4.0)
    heavy = log_density(near, 0.0, 10, 400.0) - log_density(far, 0.0, 10, 400.0)
    assert 0.0 < light < heavy
