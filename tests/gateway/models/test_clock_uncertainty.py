"""Budgets: worked examples of the guides, and the law that is cut to a hard interval."""

import math

import numpy as np
import pytest
from scipy.stats import truncnorm

from gateway.models.clock_uncertainty import (
    combined,
    expanded,
    inside,
    rectangular,
    resolution,
)

MS = 1_000_000


def test_an_end_gauge_of_the_guide():
    """GUM, H.1: u(d) 9.7 nm, 3.9, 6.7 ... the contributions of table H.1 add up to 32 nm."""
    assert combined([25, 9.7, 2.9, 16.6]) == pytest.approx(32, abs=0.5)


def test_a_rectangle_of_the_guide():
    """GUM, 4.3.7: half-width 0.40e-6 gives a standard uncertainty of 0.23e-6."""
    assert rectangular(0.40) == pytest.approx(0.23, abs=0.001)


def test_a_step_of_the_guide():
    """GUM, F.2.2.1: an indication of resolution q leaves 0.29 q."""
    assert resolution(1.0) == pytest.approx(0.29, abs=0.002)
    assert resolution(2.0) == pytest.approx(rectangular(1.0))


def test_expanded_has_the_factor_two():
    assert expanded([3.0, 4.0]) == 10.0


@pytest.mark.parametrize("mean", [-2.0, -0.5, 0.0, 0.9, 1.7])
def test_a_normal_law_cut_on_both_sides(mean):
    known = truncnorm(-1 - mean, 1 - mean, loc=mean)
    said = inside(mean, 1.0, -1.0, 1.0)
    assert said[0] == pytest.approx(known.mean())
    assert said[1] == pytest.approx(known.std())


@pytest.mark.parametrize("mean", [-1e9, -50.0, 0.0, 50.0, 1e9])
@pytest.mark.parametrize("deviation", [0.0, 1e-6, 1.0, 1e12])
def test_it_never_leaves_the_interval(mean, deviation):
    said, left = inside(mean, deviation, -10.0, 10.0)
    assert -10.0 <= said <= 10.0
    assert 0.0 <= left <= 20 / math.sqrt(12) + 1e-9
    assert np.isfinite(left)


def test_limits_that_are_far_away_change_nothing():
    assert inside(1.0, 1.0, -100.0, 100.0) == (1.0, 1.0)


@pytest.mark.parametrize("mean", [-3e5, 0.0, 2e6])
def test_a_law_far_wider_than_the_interval_says_nothing(mean):
    """Its middle stands, wherever the law has its own."""
    said, left = inside(mean, 1e6, -10.0, 10.0)
    assert said == pytest.approx(0.0, abs=0.01)
    assert left == pytest.approx(20 / math.sqrt(12))
