"""The Kalman clock: Singer's noise, the moments of a cut normal law, and what it converges to."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm

from gateway.models.clock_hull import LineFit
from gateway.models.clock_kalman import DRIFT_TIME_S, ClockKalman, singer_noise, truncation

MS = 1e6
US = 1e3


def clock(**changes):
    chosen = {"skew_max": 50_000.0, "wander": 10.0, "floor_ns": 100.0} | changes
    return ClockKalman(0.0, 5 * MS, 5 * MS, **chosen)


def variance(filter_):
    names = ["xx", "xh", "xs", "xd", "hh", "hs", "hd", "ss", "sd", "dd"]
    p = {name: getattr(filter_, f"p_{name}") for name in names}
    rows = ("xx xh xs xd", "xh hh hs hd", "xs hs ss sd", "xd hd sd dd")
    return np.array([[p[name] for name in row.split()] for row in rows])


@pytest.mark.parametrize("alpha", [-40.0, -20.01, -19.99, -5.0, -1.0, 0.0, 2.5, 7.9, 9.0])
def test_moments_of_a_normal_law_cut_from_above(alpha):
    """Textbook: at 0 the half normal law, mean sqrt(2/pi), variance 1 - 2/pi."""
    rate, kappa = truncation(alpha)
    if alpha == 0.0:
        assert rate == pytest.approx(math.sqrt(2 / math.pi))
        assert kappa == pytest.approx(1 - 2 / math.pi)
    # With w = alpha - q the density is exp(-q^2/2 + alpha q), whatever underflows.
    reach = 12.0 + alpha if alpha > 0 else min(12.0, 40 / max(-alpha, 1e-9))
    q = np.linspace(0, reach, 400_001)
    density = np.exp(-(q**2) / 2 + alpha * q)
    mean = (q * density).sum() / density.sum()
    known = ((q - mean) ** 2 * density).sum() / density.sum()
    assert rate == pytest.approx(mean - alpha, rel=1e-4, abs=1e-4)
    assert kappa == pytest.approx(known, rel=1e-3)


@pytest.mark.parametrize("step_s", [1.0, 14.9, 15.1, 100.0, 3000.0])
def test_noise_of_singers_model(step_s):
    """Q is the integral of F(u) G q G' F(u)' over the step, F = exp(A u)."""
    rate = np.array([[0, 1, 0], [0, 0, 1], [0, 0, -1 / DRIFT_TIME_S]])
    density = 2 * 10.0**2 / DRIFT_TIME_S
    places = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    for said, (i, j) in zip(singer_noise(step_s, 10.0, DRIFT_TIME_S), places, strict=True):

        def rows(u, i=i, j=j):
            column = expm(rate * u)[:, 2]
            return density * column[i] * column[j]

        # Leading terms only below k = 0.05: a few percent.
        assert said == pytest.approx(quad(rows, 0, step_s)[0], rel=0.06)


def test_prediction_is_the_matrix_form():
    """F P F' + Q of the four states, written out in scalars."""
    ours = clock()
    ours.predict(1.0)
    ours.update(5.5 * MS, 5.1 * MS)
    before = variance(ours)
    step = 7.0
    decay = math.exp(-step / DRIFT_TIME_S)
    c2 = DRIFT_TIME_S * (1 - decay)
    c1 = DRIFT_TIME_S * (step - c2)
    f = np.array([[1, 0, step, c1], [0, 1, 0, 0], [0, 0, 1, c2], [0, 0, 0, decay]])
    mean = f @ np.array([ours.offset_ns, ours.half_ns, ours.skew, ours.drift])
    q11, q12, q13, q22, q23, q33 = singer_noise(step, 10.0, DRIFT_TIME_S)
    noise = np.zeros((4, 4))
    noise[np.ix_([0, 2, 3], [0, 2, 3])] = [[q11, q12, q13], [q12, q22, q23], [q13, q23, q33]]
    noise[0, 0] += 100.0 * step
    noise[1, 1] += 10_000.0 * step + (0.5 / 3600 * ours.half_ns * step) ** 2
    said = ours.at(8.0)
    ours.predict(8.0)
    assert np.allclose(variance(ours), f @ before @ f.T + noise, rtol=1e-6)
    assert [ours.offset_ns, ours.half_ns, ours.skew, ours.drift] == pytest.approx(list(mean))
    assert said.offset_ns == pytest.approx(ours.offset_ns)
    assert said.variance == pytest.approx(ours.p_xx, rel=1e-6)


def test_an_update_is_the_cut_normal_law():
    """Scalar check: mean and variance of w given w <= y and an exponential tail, by quadrature."""
    ours = clock()
    ours.predict(1.0)
    total = ours.p_xx + 2 * ours.p_xh + ours.p_hh + ours.up_variance
    middle, mean_ns = ours.offset_ns + ours.half_ns, ours.up_mean_ns
    seen = 4.5 * MS
    w = np.linspace(middle - 8 * math.sqrt(total), seen, 200_001)
    density = np.exp(-((w - middle) ** 2) / (2 * total) - (seen - w) / mean_ns)
    expected = (w * density).sum() / density.sum()
    gain = (ours.p_xx + ours.p_xh) / total
    offset_ns = ours.offset_ns
    ours.hear(seen)
    assert ours.offset_ns - offset_ns == pytest.approx(gain * (expected - middle), rel=1e-3)


def test_one_message_held_for_a_day_moves_nothing_much():
    steady, disturbed = clock(), clock()
    rng = np.random.default_rng(0)
    for second in range(1, 200):
        up, down = 5 * MS + rng.exponential(MS, 2)
        for one in (steady, disturbed):
            one.predict(float(second))
            late = 86_400e9 if one is disturbed and second == 150 else 0.0
            one.update(up + late, down)
    assert disturbed.offset_ns == pytest.approx(steady.offset_ns, abs=50 * US)
    assert disturbed.up_mean_ns < 2 * steady.up_mean_ns


@pytest.mark.slow
def test_a_warming_crystal_is_followed():
    """0.02 ppm/s for five minutes, twice the stated wander: the rate is covered and found again."""
    rng = np.random.default_rng(1)
    ours = clock()
    skew = offset = 0.0
    for second in range(1, 900):
        skew += 20.0 if 300 <= second < 600 else 0.0
        offset += skew
        ours.predict(float(second))
        up, down = rng.exponential(0.2 * MS, 2)
        ours.update(5 * MS + offset + up, 5 * MS - offset + down)
        if second > 100:
            assert abs(ours.skew - skew) < 3 * math.sqrt(ours.p_ss)
    assert abs(ours.skew - skew) < 500.0
    assert np.all(np.linalg.eigvalsh(variance(ours)) > 0)


def test_time_that_runs_back_changes_nothing():
    ours = clock()
    ours.predict(5.0)
    before = variance(ours).copy()
    ours.predict(4.0)
    assert ours.time_s == 5.0
    assert np.array_equal(variance(ours), before)


def test_a_line_replaces_only_what_is_less_sure():
    line = LineFit(30.0, 1 * US, 100.0, 5 * MS, 700.0, 300.0**2, MS, MS, 1.0, 60.0, 60)
    ours = clock()
    ours.predict(60.0)
    assert ours.adopt(line, 60.0)
    assert ours.skew == 700.0
    assert ours.offset_ns == pytest.approx(1 * US + 30 * 700.0)
    assert not ours.adopt(line._replace(skew_variance=1e9), 60.0)
    assert not ours.adopt(line._replace(sharpness=2.4), 60.0)
    assert ours.worth < 1


@pytest.mark.parametrize("wander", [0.0, 10.0, 1e6])
@pytest.mark.parametrize("gap_s", [10.0, 86_400.0, 1e7])
def test_the_covariance_stays_one(wander, gap_s):
    """Over gaps up to the limit after which a filter counts as lost; none is negative then."""
    rng = np.random.default_rng(3)
    filter_, now = clock(wander=wander), 0.0
    for index in range(200):
        now += gap_s if index % 7 == 0 else 1.0
        up, down = 4 * MS + rng.exponential(MS, 2)
        if filter_.is_lost(filter_.at(now), up + down):
            filter_ = ClockKalman(now, up, down, skew_max=5e4, wander=wander, floor_ns=100.0)
            continue
        filter_.predict(now)
        filter_.update(up, down)
        known = variance(filter_)
        scale = np.sqrt(np.maximum(np.diag(known), 1e-300))
        assert np.linalg.eigvalsh(known / np.outer(scale, scale)).min() > -1e-6
