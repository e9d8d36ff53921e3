"""A law of motion is learnt from samples at any times, by the exact likelihood of the process."""

import math

import numpy as np
import pytest
from scipy import stats

from gateway.models import alignment_law
from gateway.models.alignment_law import SAMPLES


def covariance(times_s, rate, smooth, variance):
    """Return the covariance (n, n) of the process at times (n,)."""
    return variance * alignment_law.correlation(rate, smooth, np.abs(times_s[:, None] - times_s))


def drawn(rate, smooth, variance, noise, seed, count=SAMPLES):
    """Return times (1, n) with exponential gaps of 1 s, and a sample path with noise there."""
    rng = np.random.default_rng(seed)
    times_s = np.cumsum(rng.exponential(1.0, count))
    root = np.linalg.cholesky(covariance(times_s, rate, smooth, variance) + 1e-9 * np.eye(count))
    values = root @ rng.normal(size=count) + math.sqrt(noise) * rng.normal(size=count)
    return times_s[None], values[None]


def test_the_covariances_are_those_of_the_textbook():
    """Rasmussen and Williams (2006): exp(-r/l), eq. B.15; Matern 3/2, eq. 4.17."""
    length, apart = 2.0, np.array([0.0, 0.5, 3.0])
    rough = alignment_law.correlation(np.array(1 / length), np.array(0.0), apart)
    assert rough == pytest.approx(np.exp(-apart / length))
    root = math.sqrt(3.0)
    soft = alignment_law.correlation(np.array(root / length), np.array(1.0), apart)
    assert soft == pytest.approx((1 + root * apart / length) * np.exp(-root * apart / length))


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_prediction_errors_are_those_of_the_whole_gaussian(smooth):
    """The state-space form and the dense covariance are one law: their likelihoods agree."""
    times_s, values = drawn(0.3, smooth, 1.0, 0.2, seed=1, count=40)
    grid = alignment_law._Grid(*(np.array([[part]]) for part in (0.3, smooth, 0.2)))
    run = alignment_law._predicted(np.diff(times_s), values, grid)
    logs = -0.5 * (run.square + run.log_variance + math.log(2 * math.pi)).sum()
    dense = covariance(times_s[0], 0.3, smooth, 1.0) + 0.2 * np.eye(40)
    wanted = stats.multivariate_normal.logpdf(values[0], np.zeros(40), dense)
    assert logs == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(("rate", "smooth", "noise"), [(0.1, 0.0, 0.4), (0.4, 1.0, 0.04)])
def test_what_a_signal_does_within_a_gap_is_learnt(rate, smooth, noise):
    """The parameters trade off against each other; what they say of one gap may not."""
    found, asked = [], []
    for seed in range(4):
        law = alignment_law.learn(*drawn(rate, smooth, 4.0, noise, seed))
        assert law.is_known.all()
        found.append(alignment_law.change_variance(law, np.ones(1))[0] + 2 * law.noise[0])
        asked.append(8.0 * (1 - alignment_law.correlation(rate, smooth, 1.0)) + 2 * noise)
    assert np.mean(found) == pytest.approx(np.mean(asked), rel=0.25)


def test_smooth_is_told_from_rough_where_there_is_little_noise():
    assert alignment_law.learn(*drawn(0.2, 1.0, 1.0, 1e-6, seed=3)).smooth[0] == 1.0
    assert alignment_law.learn(*drawn(0.2, 0.0, 1.0, 1e-6, seed=3)).smooth[0] == 0.0


def test_white_noise_is_noise():
    rng = np.random.default_rng(4)
    times_s = np.cumsum(rng.exponential(1.0, SAMPLES))[None]
    law = alignment_law.learn(times_s, rng.normal(size=(1, SAMPLES)))
    assert law.noise[0] == pytest.approx(1.0, rel=0.25)
    assert law.variance[0] < 0.1


def test_one_spike_is_no_law():
    times_s, values = drawn(0.1, 0.0, 1.0, 0.01, seed=5)
    clean = alignment_law.learn(times_s, values)
    values[0, 60] += 200.0
    spoilt = alignment_law.learn(times_s, values)
    change = [alignment_law.change_variance(law, np.ones(1))[0] for law in (clean, spoilt)]
    assert change[1] < 3.0 * change[0]


def test_a_signal_that_rests_and_sometimes_moves_is_not_taken_for_one_that_rests():
    rng = np.random.default_rng(6)
    values = np.round(0.45 * rng.normal(size=(1, SAMPLES)))
    assert (values == 0.0).mean() > 0.6
    law = alignment_law.learn(np.arange(float(SAMPLES))[None], values)
    assert law.noise[0] + law.variance[0] == pytest.approx(values.var(), rel=0.4)


@pytest.mark.parametrize(
    "values",
    [np.full(SAMPLES, 7.0), np.full(SAMPLES, 1e300), np.linspace(-1e200, 1e200, SAMPLES)],
)
def test_what_does_not_move_or_is_absurd_has_no_law(values):
    law = alignment_law.learn(np.arange(float(SAMPLES))[None], values[None])
    assert not law.is_known[0]
    assert (law.rate[0], law.variance[0], law.noise[0]) == (0.0, 0.0, 0.0)


def test_samples_at_one_time_have_no_law_and_signals_do_not_touch_each_other():
    times_s, values = drawn(0.2, 0.0, 1.0, 0.1, seed=7)
    both = alignment_law.learn(np.vstack([times_s, 0 * times_s]), np.vstack([values, values]))
    alone = alignment_law.learn(times_s, values)
    assert both.is_known.tolist() == [True, False]
    assert [part[0] for part in both] == [part[0] for part in alone]


def test_units_do_not_matter():
    times_s, values = drawn(0.2, 0.0, 1.0, 0.1, seed=8)
    law = alignment_law.learn(times_s, values)
    other = alignment_law.learn(60.0 * times_s, 1e5 + 1e3 * values)
    assert other.rate[0] == pytest.approx(law.rate[0] / 60.0)
    assert other.variance[0] == pytest.approx(1e6 * law.variance[0], rel=1e-6)
    assert other.noise[0] == pytest.approx(1e6 * law.noise[0], rel=1e-6)
