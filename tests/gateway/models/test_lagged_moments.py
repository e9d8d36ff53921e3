"""Lagged moments add up, and lead close to the model the rows came from."""

import numpy as np
import pytest

from gateway.models import lagged_moments, normal_form, state_space
from tests.gateway.models.dynamics import gapped, known


def drawn(model, rows):
    return state_space.sample(model, rows, np.random.default_rng(0))


def test_moments_are_averages_over_pairs_that_were_both_seen():
    rows = np.array([[1.0, 2.0], [np.nan, 3.0], [4.0, np.nan]])
    found = lagged_moments.moments(rows, 1)
    np.testing.assert_array_equal(found.products[0], [[17.0, 2.0], [2.0, 13.0]])
    np.testing.assert_array_equal(found.counts[0], [[2.0, 1.0], [1.0, 2.0]])
    # Later signal first: 3 after 1, 3 after 2, 4 after 3.
    np.testing.assert_array_equal(found.products[1], [[0.0, 12.0], [3.0, 6.0]])
    np.testing.assert_array_equal(found.counts[1], [[0.0, 1.0], [1.0, 1.0]])


def test_moments_of_segments_add_up():
    rows = gapped(drawn(known(2, 1, 4), 100), 0.2)
    both = lagged_moments.moments(rows[:40], 2) + lagged_moments.moments(rows[40:], 2)
    whole = lagged_moments.moments(rows, 2)
    np.testing.assert_allclose(both.products[0], whole.products[0])
    # Pairs across the cut are left out: lag of them for each lag.
    assert (whole.counts[2] - both.counts[2]).max() <= 2.0


@pytest.mark.parametrize(("factors", "lags"), [(2, 0), (2, 1), (1, 2)])
def test_start_values_are_near_the_model(factors, lags):
    model = normal_form.canonical(known(factors, lags, 8))
    found = lagged_moments.initial(
        lagged_moments.moments(drawn(model, 20_000), lags), factors, lags
    )
    for lag in (0, 1, 2):
        law = state_space.autocovariance(model, lag)
        np.testing.assert_allclose(
            state_space.autocovariance(found, lag), law, atol=0.12 * np.abs(law).max() + 0.05
        )


@pytest.mark.parametrize("factors", [0, 1, 5, 10])
def test_fewer_rows_than_signals_still_give_a_start(factors):
    rows = np.random.default_rng(0).normal(size=(6, 10))
    found = lagged_moments.initial(lagged_moments.moments(rows, 1), factors, 1)
    assert all(np.isfinite(part).all() for part in found[:4])
    assert (found.noise >= normal_form.NOISE_MIN).all()
    assert normal_form.radius(found) <= normal_form.RADIUS_MAX + 1e-12


def test_pairwise_moments_that_are_no_covariance_are_mended():
    rows = np.full((300, 3), np.nan)
    rows[:100, :2] = np.linspace(-1.5, 1.5, 100)[:, None]
    rows[100:200, 1:] = np.linspace(-1.5, 1.5, 100)[:, None]
    rows[200:, ::2] = np.linspace(-1.5, 1.5, 100)[:, None] * [1.0, -1.0]
    found = lagged_moments.initial(lagged_moments.moments(rows, 1), 1, 1)
    assert np.linalg.eigvalsh(state_space.covariance(found)).min() > 0.0
