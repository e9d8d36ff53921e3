"""Factor analysis finds the covariance and the number of causes that made the rows."""

import numpy as np
import pytest

from gateway.models import factor_analysis
from tests.gateway.models import healthy


def centred(count, seed=0):
    """Return rows of the known model in scaled units."""
    return (healthy.rows(count, seed) - healthy.LOCATION) / healthy.SCALE


def test_the_known_covariance_and_order_are_found():
    model = factor_analysis.choose(centred(4000))
    assert model.loadings.shape == (healthy.SIGNALS, 2)
    np.testing.assert_allclose(model.covariance, healthy.COVARIANCE, atol=0.12)


def test_independent_signals_need_no_factor():
    rng = np.random.default_rng(1)
    assert factor_analysis.choose(rng.normal(size=(2000, 4))).loadings.shape == (4, 0)


def test_fit_raises_the_likelihood_over_that_of_independent_signals():
    moment = factor_analysis.second_moment(centred(1000))

    def log_likelihood(covariance):
        _, log_determinant = np.linalg.slogdet(covariance)
        return -log_determinant - np.trace(np.linalg.solve(covariance, moment))

    fits = [log_likelihood(factor_analysis.fit(moment, order).covariance) for order in (0, 1, 2)]
    assert fits == sorted(fits)
    assert fits[2] > fits[0] + 0.5


@pytest.mark.parametrize(("signals", "order"), [(1, 0), (2, 0), (3, 1), (5, 2), (8, 4), (50, 40)])
def test_the_largest_order_is_that_of_ledermann(signals, order):
    assert factor_analysis.order_max(signals) == order


def test_identical_signals_stay_invertible():
    rng = np.random.default_rng(2)
    column = rng.normal(size=(500, 1))
    model = factor_analysis.choose(np.hstack([column, column, column]))
    assert np.linalg.cond(model.covariance) < 1e5


def test_the_same_rows_give_the_same_bits():
    first, second = (factor_analysis.choose(centred(400)) for _ in range(2))
    assert first.loadings.tobytes() == second.loadings.tobytes()
    assert first.noise.tobytes() == second.noise.tobytes()
