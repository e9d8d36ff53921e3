"""Budgets: worked examples of the guides, and the law that is cut to a hard interval."""

import math

import numpy as np
import pytest
from scipy.stats import truncnorm

from gateway.models.clock_uncertainty import (
    combined,
    expanded,
    holdover,
    inside,
    of_value,
    rectangular,
    resolution,
    root_distance_ns,
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


def test_twenty_ppm_for_a_minute():
    """Standards, 8.2: 20 ppm is 1.2 ms per minute; as a limit, that over root three."""
    assert holdover(20.0, 60e9) == pytest.approx(1.2 * MS / math.sqrt(3))
    assert holdover(20.0, -60e9) == holdover(20.0, 60e9)


def test_a_value_that_moves():
    """5 bar/s read with 40 ms of uncertainty is 0.2 bar; 0.15 bar of its own makes 0.25."""
    assert of_value(0.15, -5.0, 40 * MS) == pytest.approx(0.25)


def test_root_distance_as_rfc_5905_sums_it():
    """max(0.01, 0.020 + 0.010)/2 + 0.005 + 0.001 + 15e-6 x 64 + 0.002, in seconds."""
    said = root_distance_ns(
        root_delay_ns=20 * MS, root_dispersion_ns=5 * MS, delay_ns=10 * MS, dispersion_ns=MS,
        age_ns=64e9, jitter_ns=2 * MS,
    )  # fmt: skip
    assert said == pytest.approx((0.015 + 0.005 + 0.001 + 0.00096 + 0.002) * 1e9)
    assert root_distance_ns(root_delay_ns=0, root_dispersion_ns=0) == 5 * MS


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
