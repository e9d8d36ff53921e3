"""The Bayes factor is one: its expectation under "normal" is 1, and it grows with the distance."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.models.evidence import SHIFTS, log_bayes_factor


@pytest.mark.parametrize(("signals", "degrees"), [(1, 19), (8, 19), (3, 5)])
def test_it_exceeds_any_bound_no_more_often_than_it_promises(signals, degrees):
    """P(factor >= a | normal) <= 1/a, by simulation of the multivariate t."""
    rng = np.random.default_rng(0)
    count = 20_000
    chi2 = rng.chisquare(degrees, count) / degrees
    distances = (rng.normal(size=(count, signals)) ** 2).sum(axis=1) / chi2
    factors = np.array([log_bayes_factor(d, signals, degrees) for d in distances])
    for bound in (2.0, 10.0, 50.0):
        share = (factors >= math.log(bound)).mean()
        assert share <= 1.0 / bound + 3 * math.sqrt(1.0 / bound / count)


@pytest.mark.parametrize("signals", [1, 2, 8])
def test_it_equals_the_ratio_of_densities_written_out(signals):
    degrees, distance = 12.0, 7.5

    def log_density(scale):
        return -0.5 * signals * math.log(scale) - 0.5 * (degrees + signals) * math.log(
            1 + distance / (degrees * scale)
        )

    ratios = [math.exp(log_density(1 + shift) - log_density(1.0)) for shift in SHIFTS]
    expected = math.log(sum(ratios) / len(ratios))
    assert log_bayes_factor(distance, signals, degrees) == pytest.approx(expected)


@given(st.floats(0, 1e12), st.floats(0, 1e12), st.integers(1, 50), st.floats(4, 500))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_it_is_finite_and_grows_with_the_distance(one, other, signals, degrees):
    near, far = sorted((one, other))
    low = log_bayes_factor(near, signals, degrees)
    assert low <= log_bayes_factor(far, signals, degrees) < math.inf


def test_no_distance_speaks_for_normal():
    assert log_bayes_factor(0.0, 8, 19) < math.log(0.02)
