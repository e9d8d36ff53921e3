"""Conditional means at wanted times: textbook cases, coverage, a reading that stays itself."""

import math

import numpy as np
import pytest

from gateway.models import alignment_law
from gateway.models.alignment import Samples, resample, time_variance
from gateway.models.alignment_law import Law


def law(rate=0.1, smooth=0.0, variance=4.0, noise=0.0, is_known=True):
    """Return the law of one signal."""
    numbers = (rate, smooth, variance, noise)
    return Law(*(np.array([number]) for number in numbers), np.array([is_known]))


def samples(times_s, values, own=None):
    """Return the samples of one signal; `own` are the places of those of the row."""
    is_own = np.zeros((1, len(times_s)), dtype=np.bool_)
    is_own[0, list(range(len(times_s)) if own is None else own)] = True
    return Samples(np.array([times_s], dtype=float), np.array([values], dtype=float), is_own)


def test_a_brownian_bridge_is_straight_and_widest_in_the_middle():
    """Between exact values of a Wiener process: mean linear, variance q t1 t2 / (t1 + t2)."""
    slow = law(rate=1e-6, variance=1e6 / 2)  # a change of variance 1 a second
    for before_s, after_s in ((1.0, 1.0), (1.0, 3.0)):
        found = resample(slow, samples([-before_s, after_s], [2.0, 6.0], own=()))
        share = before_s / (before_s + after_s)
        assert found.mean[0] == pytest.approx(2.0 + 4.0 * share, abs=1e-3)
        bridge = before_s * after_s / (before_s + after_s)
        assert found.variance[0] == pytest.approx(bridge, rel=1e-3)


def test_mean_and_variance_are_those_of_kriging_with_an_unknown_mean():
    """Cressie (1993), 3.2: weights by Lagrange, here from the dense equations."""
    times_s, values = np.array([-7.0, -2.0, 1.5]), np.array([1.0, 3.0, 2.0])
    known = law(rate=0.2, variance=2.0, noise=0.3)
    dense = 2.0 * np.exp(-0.2 * np.abs(times_s[:, None] - times_s)) + 0.3 * np.eye(3)
    ahead = 2.0 * np.exp(-0.2 * np.abs(times_s))
    bordered = np.block([[dense, np.ones((3, 1))], [np.ones((1, 3)), np.zeros((1, 1))]])
    weights = np.linalg.solve(bordered, np.append(ahead, 1.0))
    found = resample(known, samples(times_s, values, own=()))
    assert found.mean[0] == pytest.approx(weights[:3] @ values, rel=0.01)
    variance = 2.0 - weights @ np.append(ahead, 1.0)
    assert found.variance[0] == pytest.approx(variance, rel=0.01)


@pytest.mark.parametrize("noise", [0.0, 0.5, 50.0])
@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_a_reading_at_the_wanted_time_is_itself_whatever_its_neighbours_say(noise, smooth):
    near = samples([-2.0, -1.0, 0.0, 1.0], [0.0, 0.5, 1234.5, -3.0], own=[2])
    found = resample(law(smooth=smooth, noise=noise), near)
    assert found.carried[0] == pytest.approx(1234.5, rel=1e-9)
    assert found.extra[0] == pytest.approx(0.0, abs=1e-6)


def test_a_reading_far_from_its_time_is_worth_what_the_signal_may_have_done_since():
    """One sample, unknown mean: 2 variance (1 - correlation) more than one at the right time."""
    for gap_s in (0.5, 4.0):
        found = resample(law(noise=0.7), samples([-gap_s], [5.0]))
        assert found.carried[0] == 5.0
        changed = 2 * 4.0 * (1 - math.exp(-0.1 * gap_s))
        assert found.extra[0] == pytest.approx(changed, rel=0.02)


def test_a_ramp_is_followed_to_the_wanted_time():
    times_s = [-9.0, -6.0, -3.0, -1.0, 2.0]
    ramp = samples(times_s, [0.5 * time_s for time_s in times_s], own=[3])
    found = resample(law(rate=0.05, smooth=1.0, variance=25.0, noise=1e-4), ramp)
    assert found.carried[0] == pytest.approx(0.0, abs=0.05)
    assert found.extra[0] < 0.05


def test_several_readings_of_a_row_are_averaged_where_noise_is_all():
    still = law(rate=1e-4, variance=1e-6, noise=1.0)
    found = resample(still, samples([-3.0, -0.2, 0.0, 0.2], [9.0, 1.0, 2.0, 3.0], own=[1, 2, 3]))
    assert found.carried[0] == pytest.approx(2.0, abs=1e-3), "the sample before is not of the row"
    assert found.extra[0] == 0.0


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_stated_variances_hold_for_paths_of_the_law(smooth):
    rng = np.random.default_rng(9)
    count, noise, variance, rate = 4_000, 0.3, 2.0, 0.4
    times_s = np.sort(rng.uniform(-6.0, 3.0, (count, 6)), axis=1)
    whole = np.hstack([times_s, np.zeros((count, 1))])
    gaps_s = np.abs(whole[:, :, None] - whole[:, None, :])
    spread = variance * alignment_law.correlation(rate, smooth, gaps_s) + 1e-9 * np.eye(7)
    paths = np.einsum("sij,sj->si", np.linalg.cholesky(spread), rng.normal(size=(count, 7)))
    values = 100.0 + paths[:, :6] + math.sqrt(noise) * rng.normal(size=(count, 6))
    own = np.abs(times_s) < 1.5
    numbers = (rate, smooth, variance, noise)
    laws = Law(*(np.full(count, number) for number in numbers), np.ones(count, dtype=np.bool_))
    found = resample(laws, Samples(times_s, values, own))
    truth = 100.0 + paths[:, 6]
    assert np.mean(((found.mean - truth) ** 2) / found.variance) == pytest.approx(1.0, abs=0.1)
    single = own.sum(axis=1) == 1
    away = (found.carried - truth)[single] ** 2 / (found.extra + noise)[single]
    assert np.mean(away) == pytest.approx(1.0, abs=0.12)


def test_time_uncertainty_adds_slope_squared_times_its_square():
    """GUM, 5.1.2: u(x) = |dx/dt| u(t); the slope of Matern 3/2 has the variance rate^2 variance."""
    soft = law(rate=0.2, smooth=1.0, variance=9.0)
    unsure = np.array([1e-3])
    flat = samples([-1.0, 0.0], [5.0, 5.0])
    assert time_variance(soft, flat, unsure)[0] == pytest.approx(0.04 * 9.0 * 1e-6, rel=1e-3)
    steep = samples([-1.0, 0.0], [-95.0, 5.0])
    assert time_variance(soft, steep, unsure)[0] == pytest.approx(1e-2, rel=1e-3)


def test_noise_alone_is_no_slope():
    noisy = law(rate=1e-4, variance=1e-6, noise=1.0)
    assert time_variance(noisy, samples([-0.1, 0.0], [0.0, 1.5]), np.array([1.0]))[0] < 1e-9


def test_no_samples_no_value_and_no_law_no_carrying():
    nothing = resample(law(), samples([0.0], [math.nan]))
    assert all(math.isnan(part[0]) for part in nothing)
    foreign = resample(law(), samples([-1.0], [3.0], own=()))
    assert math.isnan(foreign.carried[0])
    assert foreign.mean[0] == pytest.approx(3.0)
    plain = resample(law(is_known=False), samples([-4.0, -1.0, 0.5], [9.0, 2.0, 4.0], own=[1, 2]))
    assert (plain.carried[0], plain.extra[0]) == (3.0, 0.0)
