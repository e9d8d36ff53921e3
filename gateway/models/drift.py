"""How fast a healthy signal wanders, and where its level is: local level models of block means.

    mean_b = level_b + n_b,   level_b = level_(b-1) + w_b,   n ~ N(0, noise),   w ~ N(0, drift)

`noise` also holds what neighbouring rows have in common, so block means are not believed to be
better than they are. A few dozen blocks say little about two variances: both are averaged over
their posterior on a grid (geometric mean), and the drift is taken on the safe side, since a drift
rated too small is a false alarm later. Signals are treated one by one, so the belief about levels
is diagonal: what they have in common is the business of the factors.

Promised: the log-likelihoods on the grid of several segments add up (`evidence`), so a drift can
be learnt where the rows are and agreed elsewhere.
Sources: Durbin and Koopman, Time Series Analysis by State Space Methods (2012), 2.2 and 2.4.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NOISE_FACTORS: Final = np.geomspace(0.35, 8.0, 14)
_DRIFT_FACTORS: Final = np.geomspace(1e-3, 1e3, 40)
_LOG_NOISE_DEVIATION: Final = 0.7
"""Prior on log(noise / white noise): within a factor of two, two times out of three."""


class Wander(NamedTuple):
    """Variances of block means: own noise, and drift from one block to the next; (u,) or scalar."""

    noise: Floats
    drift: Floats


class Levels(NamedTuple):
    """Levels of b blocks of u signals: before and after each block was seen."""

    predicted: Floats
    """(b, u)."""
    predicted_variance: Floats
    """(b, u)."""
    mean: Floats
    """(b, u): given the blocks up to and with this one, or given all after `smooth`."""
    variance: Floats
    """(b, u)."""


def block_means(rows: Floats, window_rows: int) -> tuple[Floats, Floats]:
    """Return means (b, u) of blocks of rows (n, u) and how many values each has; NaN for none."""
    if not len(rows):
        return np.empty((0, rows.shape[1])), np.empty((0, rows.shape[1]))
    starts = np.arange(0, len(rows), window_rows)
    seen = ~np.isnan(rows)
    counts = np.add.reduceat(seen, starts, axis=0, dtype=np.float64)
    sums = np.add.reduceat(np.where(seen, rows, 0.0), starts, axis=0)
    means: Floats = np.where(counts > 0, sums / np.maximum(counts, 1.0), np.nan)
    return means, counts


def block_medians(rows: Floats, window_rows: int) -> Floats:
    """Return the medians (b, u) of blocks of rows (n, u); NaN for a block without a value."""
    count = -(-len(rows) // window_rows)
    filled = np.full((count * window_rows, rows.shape[1]), np.nan)
    filled[: len(rows)] = rows
    ordered = np.sort(filled.reshape(count, window_rows, rows.shape[1]), axis=1)
    seen = (~np.isnan(ordered)).sum(axis=1, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum((seen - 1) // 2, 0), axis=1)
    high = np.take_along_axis(ordered, np.minimum(seen // 2, window_rows - 1), axis=1)
    medians: Floats = (0.5 * (low + high))[:, 0, :]
    return medians


def evidence(means: Floats, noise: Floats, white: Floats) -> Floats:
    """Return log-likelihoods (u, noises, drifts) of block means (b, u) on the grid.

    `noise` (b, u) is what a block's mean would have if its rows were as the rest of the model
    says; the grid is of factors on it, and of drifts in units of `white` (u,). NaN is no mean.
    The first mean of a signal sets its level.
    """
    factors, drifts = np.meshgrid(_NOISE_FACTORS, _DRIFT_FACTORS, indexing="ij")
    drift = white[:, None, None] * drifts
    table = np.zeros(drift.shape)
    level = np.zeros(drift.shape)
    variance = np.full(drift.shape, np.inf)
    for mean, own in zip(means, noise, strict=True):
        variance = variance + drift
        seen = ~np.isnan(mean)
        if not seen.any():
            continue
        part = variance[seen]
        is_first = np.isinf(part)
        total = np.where(is_first, 1.0, part) + own[seen, None, None] * factors
        gain = np.where(is_first, 1.0, part / total)
        surprise = mean[seen, None, None] - level[seen]
        gained = -0.5 * (np.log(total) + surprise**2 / total)
        table[seen] += np.where(is_first, 0.0, gained)
        level[seen] += gain * surprise
        variance[seen] = own[seen, None, None] * factors * gain
    return table


def conclude(table: Floats, white: Floats, safety: float) -> Wander:
    """Return noise and drift (u,) of signals whose evidence is `table` (u, noises, drifts).

    `safety` is how many posterior standard deviations (of its logarithm) the drift is raised.
    """
    log_factors, log_drifts = np.log(_NOISE_FACTORS), np.log(_DRIFT_FACTORS)
    prior = -0.5 * (log_factors / _LOG_NOISE_DEVIATION) ** 2
    log_posterior = table + prior[:, None]
    weights = np.exp(log_posterior - log_posterior.max(axis=(1, 2), keepdims=True))
    weights /= weights.sum(axis=(1, 2), keepdims=True)
    log_noise = weights.sum(axis=2) @ log_factors
    of_drift = weights.sum(axis=1)
    log_drift = of_drift @ log_drifts
    deviation = np.sqrt((of_drift * (log_drifts - log_drift[:, None]) ** 2).sum(axis=1))
    return Wander(white * np.exp(log_noise), white * np.exp(log_drift + safety * deviation))


def learn(means: Floats, white: float, safety: float) -> Wander:
    """Learn from block means (b,) of one signal whose noise would be `white` if rows were apart."""
    base = np.array([white])
    wander = conclude(evidence(means[:, None], np.full((len(means), 1), white), base), base, safety)
    return Wander(wander.noise[0], wander.drift[0])


def follow(means: Floats, noise: Floats, drift: Floats, level: Floats, variance: Floats) -> Levels:
    """Filter block means (b, u) of noise (b, u), from a level (u,) known to `variance` (u,).

    `drift` (u,) is gained before each block, the first one too.
    """
    levels = Levels(*(np.empty(means.shape) for _ in range(4)))
    for index, (mean, own) in enumerate(zip(means, noise, strict=True)):
        variance = variance + drift
        levels.predicted[index], levels.predicted_variance[index] = level, variance
        seen = ~np.isnan(mean)
        gain = np.where(seen, variance / (variance + own), 0.0)
        level = level + gain * np.where(seen, mean - level, 0.0)
        variance = variance * (1.0 - gain)
        levels.mean[index], levels.variance[index] = level, variance
    return levels


def smooth(levels: Levels) -> Levels:
    """Return the levels given all blocks (Rauch, Tung and Striebel 1965)."""
    mean, variance = levels.mean.copy(), levels.variance.copy()
    for index in range(len(mean) - 2, -1, -1):
        gain = variance[index] / levels.predicted_variance[index + 1]
        mean[index] += gain * (mean[index + 1] - levels.predicted[index + 1])
        rest = variance[index + 1] - levels.predicted_variance[index + 1]
        variance[index] += gain**2 * rest
    return levels._replace(mean=mean, variance=variance)


def rowwise(blocks: Floats, rows: int, window_rows: int) -> Floats:
    """Return values (rows, u) interpolated between the middles of blocks (b, u)."""
    starts = np.arange(0, rows, window_rows)
    middles = 0.5 * (starts + np.minimum(starts + window_rows, rows) - 1)
    place = np.clip(np.searchsorted(middles, np.arange(rows)) - 1, 0, max(len(middles) - 2, 0))
    after = np.minimum(place + 1, len(middles) - 1)
    span = np.maximum(middles[after] - middles[place], 1.0)
    share = np.clip((np.arange(rows) - middles[place]) / span, 0.0, 1.0)[:, None]
    result: Floats = blocks[place] * (1.0 - share) + blocks[after] * share
    return result
