"""How a signal moves between its samples: a Gaussian process for each signal, learnt at any times.

    y_j = mean + x(t_j) + e_j,    e_j ~ N(0, noise)
    cov(x(t), x(t + d)) = variance (1 + smooth z) exp(-z),    z = rate |d|

With smooth = 0 this is Ornstein and Uhlenbeck's process, rough like a random walk, which it becomes
as the rate goes to 0; with smooth = 1 it is Matern's of order 3/2, which has a slope, of variance
rate^2 variance. Both are Markov with the state (x, dx/dt), so the likelihood of n samples at any
times costs n steps:

    F = exp(-z) [1 + smooth z, smooth d; -smooth rate z, smooth (1 - z)]
    state after a gap: F state,   its covariance F P F' + P0 - F P0 F'
    P0 = variance diag(1, smooth rate^2)

Learning tries a grid of rates and of noises. The variance is found in closed form (concentrated
likelihood) from the first `FIT_SHARE` of the samples, the best rate and noise of each kind too;
which kind it is, the likelihood of the held-out rest decides. One sample's distance counts up to
`REACH` deviations.

Promises: a signal that did not move, or whose numbers run out, has a law that says so (`is_known`
False) and never one made up. No rate is faster than one over the usual gap between samples: what
is faster cannot be told from noise of the sensor, and is taken for it.
Left to others: using it (alignment.py), which samples are healthy (alignment_rows.py).

Sources: Uhlenbeck and Ornstein (1930); Rasmussen and Williams, Gaussian Processes for Machine
Learning (2006), 4.2.1 and B.2; Hartikainen and Sarkka (2010), Kalman filtering and smoothing
solutions to temporal Gaussian process regression models, 3 and 4; Huber (1981) for the reach.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SAMPLES: Final = 256
"""Samples a law is learnt from: parameters to about a tenth, some seconds to minutes of signal."""
FIT_SHARE: Final = 2.0 / 3.0
REACH: Final = 4.0
"""Deviations beyond which one sample says no more: a spike is no law."""
_STEPS_PER_GAP: Final = tuple(2.0**-power for power in range(10))
"""Rate times the usual gap: from one, see above, to a memory of about a thousand samples."""
_NOISES: Final = (0.0, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
"""Noise over half the variance of the change in one usual gap."""
_QUANTILES: Final = ((0.5, 0.4549), (0.9, 2.7055), (0.95, 3.8415))
"""Of the square of a standard normal number."""
_TINY: Final = 1e-9
"""Least noise over variance, so that two samples at one time can be computed with."""
_ABSURD: Final = 1e100
"""Beyond it squares overflow; no quantity is so large."""


class Law(NamedTuple):
    """How each of s signals moves; arrays (s,) in the signals' own units and seconds."""

    rate: Floats
    """1 / s."""
    smooth: Floats
    """0: Ornstein-Uhlenbeck; 1: Matern 3/2."""
    variance: Floats
    """Of the signal about its mean, without noise."""
    noise: Floats
    """Variance of what a sample has by itself."""
    is_known: Bools

    def of(self, places: NDArray[np.intp]) -> "Law":
        """Return the laws of some signals."""
        return Law(
            self.rate[places],
            self.smooth[places],
            self.variance[places],
            self.noise[places],
            self.is_known[places],
        )


class _Grid(NamedTuple):
    """What is tried, (b, g) for b signals; the variance is 1."""

    rate: Floats
    smooth: Floats
    noise: Floats


class _Run(NamedTuple):
    """Predictions of n samples, (n, b, g): squared errors over variances, and log variances."""

    square: Floats
    log_variance: Floats


def unknown(signals: int) -> Law:
    """Return the law of signals of which nothing is known: they move nowhere."""
    nothing = np.zeros(signals)
    return Law(nothing, nothing, nothing, nothing, np.zeros(signals, dtype=np.bool_))


def correlation(rate: Floats, smooth: Floats, gap_s: Floats) -> Floats:
    """Return the correlation of the signal with itself `gap_s` >= 0 later; shapes broadcast."""
    moved = rate * gap_s
    result: Floats = (1.0 + smooth * moved) * np.exp(-moved)
    return result


def change_variance(law: Law, gap_s: Floats) -> Floats:
    """Return the variance (s,) of the change of each signal within `gap_s` (s,)."""
    result: Floats = 2.0 * law.variance * (1.0 - correlation(law.rate, law.smooth, gap_s))
    return result


def learn(times_s: Floats, values: Floats) -> Law:
    """Learn the laws of b signals from their samples (b, n), times ascending, all finite.

    At least 16 samples; the times of a signal may have any distances, but not all be one.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _learn(times_s, values)


def _learn(times_s: Floats, values: Floats) -> Law:
    gaps_s = np.diff(times_s, axis=1)
    usual_s = np.median(gaps_s, axis=1)
    usual_s = np.where(usual_s > 0.0, usual_s, np.mean(gaps_s, axis=1))
    fitted = int(FIT_SHARE * values.shape[1])
    centred = values - np.median(values[:, :fitted], axis=1, keepdims=True)
    unit = np.std(centred[:, :fitted], axis=1)
    sound = (usual_s > 0.0) & (unit > 0.0) & (np.abs(values).max(axis=1) < _ABSURD)
    scaled = np.where(sound[:, None], centred / unit[:, None], 0.0)
    grid = _grid(np.where(usual_s > 0.0, usual_s, 1.0))
    run = _predicted(gaps_s, scaled, grid)
    variance = _scale(run.square[:fitted])
    score = -_cost(run, slice(0, fitted), variance)
    held_out = -_cost(run, slice(fitted, None), variance)
    chosen = _chosen(score, held_out, grid.smooth)
    own = np.arange(len(values)), chosen
    found = variance[own] * unit**2
    sound &= np.isfinite(found) & (found > 0.0)
    return Law(
        np.where(sound, grid.rate[own], 0.0),
        np.where(sound, grid.smooth[own], 0.0),
        np.where(sound, found, 0.0),
        np.where(sound, found * grid.noise[own], 0.0),
        sound,
    )


def _grid(usual_s: Floats) -> _Grid:
    """Return what is tried for signals with these gaps (b,)."""
    moved, smooth, noise = (
        part.ravel() for part in np.meshgrid(_STEPS_PER_GAP, (0.0, 1.0), _NOISES, indexing="ij")
    )
    per_gap = 1.0 - correlation(moved, smooth, np.ones_like(moved))
    shape = (len(usual_s), len(moved))
    return _Grid(
        moved / usual_s[:, None],
        np.broadcast_to(smooth, shape),
        np.broadcast_to(np.maximum(noise * per_gap, _TINY), shape),
    )


def _predicted(gaps_s: Floats, values: Floats, grid: _Grid) -> _Run:
    """Predict each sample (b, n) from those before it, for every entry of the grid."""
    count = values.shape[1]
    square, variance = (np.empty((count, *grid.rate.shape)) for _ in range(2))
    slope = grid.smooth * grid.rate**2
    level, rising = np.zeros_like(grid.rate), np.zeros_like(grid.rate)
    p00, p01, p11 = np.ones_like(level), np.zeros_like(level), slope.copy()
    for place in range(count):
        if place:
            gap_s = gaps_s[:, place - 1, None]
            moved = grid.rate * gap_s
            fading = np.exp(-moved)
            f00 = fading * (1.0 + grid.smooth * moved)
            f01 = fading * grid.smooth * gap_s
            f10 = -fading * grid.smooth * grid.rate * moved
            f11 = fading * grid.smooth * (1.0 - moved)
            level, rising = f00 * level + f01 * rising, f10 * level + f11 * rising
            # P - P0 is moved alone: F (P - P0) F' + P0.
            d00, d01, d11 = p00 - 1.0, p01, p11 - slope
            p00 = 1.0 + f00 * f00 * d00 + 2.0 * f00 * f01 * d01 + f01 * f01 * d11
            p01 = f00 * f10 * d00 + (f00 * f11 + f01 * f10) * d01 + f01 * f11 * d11
            p11 = slope + f10 * f10 * d00 + 2.0 * f10 * f11 * d01 + f11 * f11 * d11
        total = p00 + grid.noise
        away = values[:, place, None] - level
        square[place], variance[place] = away * away / total, total
        gain, turn = p00 / total, p01 / total
        level, rising = level + gain * away, rising + turn * away
        p11 = p11 - turn * p01
        p01, p00 = p01 * (1.0 - gain), p00 * (1.0 - gain)
    return _Run(square, np.log(variance))


def _scale(square: Floats) -> Floats:
    """Return the variance (b, g) that squared errors over it (n, b, g) speak for, robustly.

    The largest that a quantile of them says: a signal may rest most of the time, and then move.
    """
    rough = np.zeros(square.shape[1:])
    for share, normal in _QUANTILES:
        rough = np.maximum(rough, np.quantile(square, share, axis=0) / normal)
    rough = np.where(rough > 0.0, rough, square.mean(axis=0))
    result: Floats = np.minimum(square, REACH**2 * rough).mean(axis=0)
    return result


def _cost(run: _Run, part: slice, variance: Floats) -> Floats:
    """Return minus twice the mean log density (b, g) of some samples, less a constant."""
    scale = np.maximum(variance, np.finfo(np.float64).tiny)
    square = np.minimum(run.square[part] / scale, REACH**2)
    result: Floats = (run.log_variance[part] + square).mean(axis=0) + np.log(scale)
    return result


def _chosen(score: Floats, held_out: Floats, smooth: Floats) -> NDArray[np.intp]:
    """Return the place (b,) in the grid: the best of each kind, and of those what held out says."""
    own = np.arange(len(score))
    rough = np.argmax(np.where(smooth == 0.0, score, -np.inf), axis=1)
    soft = np.argmax(np.where(smooth == 1.0, score, -np.inf), axis=1)
    is_soft = held_out[own, soft] > held_out[own, rough]
    chosen: NDArray[np.intp] = np.where(is_soft, soft, rough)
    return chosen
