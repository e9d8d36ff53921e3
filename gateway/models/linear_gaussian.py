"""The generative model of all signals of an asset, learnt from its first healthy rows.

    y_t = location + scale * (level_t + W z_t + e_t)
    level_t = level_(t-1) + w_t,   w ~ N(0, diag(drift)),   z ~ N(0, I),   e ~ N(0, diag(noise))

- location and scale are robust (median; deviation within blocks of neighbouring rows, outliers
  clipped), so a slow wander does not inflate the noise and a spike does not set the scale;
- W and noise: factor analysis of the deviations within blocks, order by held-out likelihood;
- drift per signal, and what neighbouring rows have in common: the local level model of drift.py.
  A slow channel is one whose level moves: the data say so, no name does.

Left to others: living with the model row by row (tracker.py).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.models import drift, factor_analysis

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BLOCKS_MIN: Final = 5
_CLIP_DEVIATIONS: Final = 5.0
_FAR_DEVIATIONS: Final = 1e6
_HALF_QUANTILE: Final = 0.6745
_MOST_QUANTILE: Final = 1.6449
"""Half and nine tenths of normal values lie within so many standard deviations."""


class UnfitRowsError(ValueError):
    """The training rows cannot carry a model; the message says why. Fuse names the asset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearGaussian:
    """A learnt model; arrays run over the used signals, in units of `scale` unless they say."""

    used: Bools
    """(all signals,): False for a signal that did not vary in training."""
    location: Floats
    """(signals,), in the signals' own units."""
    scale: Floats
    """(signals,), in the signals' own units."""
    order: int
    row_covariance: Floats
    """(signals, signals): W W' + diag(noise)."""
    long_run_covariance: Floats
    """(signals, signals): n times the covariance of the mean of n rows, for large n."""
    drift: Floats
    """(signals,): variance the level gains per row."""
    level: Floats
    """(signals,): level at the last training row."""
    level_covariance: Floats
    """(signals, signals): how well that level is known."""
    degrees: float
    """Degrees of freedom of the variances of block means: blocks - 1."""
    tail: Floats
    """(window - 1, signals): the last training rows, so that live windows are full at once."""


def fit(rows: Floats, window_rows: int, drift_safety: float) -> LinearGaussian:
    """Fit the model to rows (n, all signals) of normal operation; NaN marks a missing value.

    `window_rows` is the length of a block of neighbouring rows, and of the live window.
    Raises `UnfitRowsError` for too few rows, too many gaps, or when no signal varies.
    """
    blocks = _blocks(rows, window_rows)
    means, deviations = _split(_clipped(blocks))
    used = _varies(rows)
    if not used.any():
        raise UnfitRowsError("no signal varies in the training rows")
    means, deviations, raw = means[:, used], deviations[:, used], rows[:, used]
    complete = deviations[~np.isnan(deviations).any(axis=1)]
    if len(complete) <= 2 * raw.shape[1] or len(complete) < len(rows) // 2:
        raise UnfitRowsError(f"only {len(complete)} of {len(rows)} training rows are complete")
    location = np.nanmedian(raw, axis=0)
    scale = np.maximum(complete.std(axis=0), _resolution(raw) / np.sqrt(12.0))
    factors = factor_analysis.choose(complete / scale)
    row_covariance = factors.covariance
    scaled_means = (means - location) / scale
    wanders = [
        drift.learn(column[~np.isnan(column)], white / window_rows, drift_safety)
        for column, white in zip(scaled_means.T, np.diag(row_covariance), strict=True)
    ]
    block_noise = np.array([wander.noise for wander in wanders])
    inflation = np.sqrt(block_noise * window_rows / np.diag(row_covariance))
    long_run = row_covariance * np.outer(inflation, inflation)
    per_row = np.array([wander.drift for wander in wanders]) / window_rows
    level, level_covariance = _settle(scaled_means, long_run / window_rows, per_row * window_rows)
    return LinearGaussian(
        used=used,
        location=location,
        scale=scale,
        order=factors.loadings.shape[1],
        row_covariance=row_covariance,
        long_run_covariance=long_run,
        drift=per_row,
        level=level,
        level_covariance=level_covariance,
        degrees=float(len(blocks) - 1),
        tail=standardised(raw[-(window_rows - 1) :], location, scale),
    )


def standardised(rows: Floats, location: Floats, scale: Floats) -> Floats:
    """Return (..., signals) in units of scale from the location; absurd values are held at a limit.

    The limit is far beyond anything a model can tell apart and keeps squares from overflowing.
    """
    reach = _FAR_DEVIATIONS * scale
    return (np.clip(rows, location - reach, location + reach) - location) / scale


def update(
    level: Floats, covariance: Floats, measured: Floats, noise: Floats
) -> tuple[Floats, Floats]:
    """Kalman update of a level (signals,) by a measurement of it; NaN measures nothing."""
    seen = ~np.isnan(measured)
    if not seen.any():
        return level, covariance
    gain = np.linalg.solve(
        covariance[np.ix_(seen, seen)] + noise[np.ix_(seen, seen)], covariance[seen]
    ).T
    after = covariance - gain @ covariance[seen]
    return level + gain @ (measured[seen] - level[seen]), 0.5 * (after + after.T)


def _blocks(rows: Floats, window_rows: int) -> Floats:
    """Return the last whole blocks of the rows, (blocks, window, all signals)."""
    count = len(rows) // window_rows
    if count < BLOCKS_MIN or len(rows) <= rows.shape[1]:
        raise UnfitRowsError(
            f"{len(rows)} training rows of {rows.shape[1]} signals are too few; at least "
            f"{max(BLOCKS_MIN * window_rows, rows.shape[1] + 1)} are needed"
        )
    return rows[len(rows) - count * window_rows :].reshape(count, window_rows, rows.shape[1])


def _clipped(blocks: Floats) -> Floats:
    """Return the blocks with values far from their block's median pulled in.

    So a spike moves neither the mean of its block nor, through it, the deviation of its neighbours.
    """
    is_empty = np.isnan(blocks).all(axis=1, keepdims=True)
    medians = np.nanmedian(np.where(is_empty, 0.0, blocks), axis=1, keepdims=True)
    deviations = blocks - medians
    limit = _CLIP_DEVIATIONS * np.array(
        [_spread(column) for column in deviations.T.reshape(blocks.shape[2], -1)]
    )
    clipped: Floats = medians + np.clip(deviations, -limit, limit)
    return clipped


def _spread(deviations: Floats) -> float:
    """Return a robust standard deviation of (n,) values around zero; NaN values do not count.

    The larger of what the middle half and the middle nine tenths say: a signal that mostly repeats
    one value has a narrow middle. If both are zero, the plain deviation.
    """
    seen = np.abs(deviations[~np.isnan(deviations)])
    if not len(seen):
        return 0.0
    half, most = np.quantile(seen, (0.5, 0.9))
    robust = max(half / _HALF_QUANTILE, most / _MOST_QUANTILE)
    return float(robust if robust > 0.0 else np.sqrt((seen**2).mean()))


def _split(blocks: Floats) -> tuple[Floats, Floats]:
    """Return block means (blocks, signals) and deviations from them (rows, signals).

    The deviations are stretched by sqrt(n / (n - 1)), so that their variance is unbiased.
    """
    seen = ~np.isnan(blocks)
    counts = seen.sum(axis=1)
    sums = np.where(seen, blocks, 0.0).sum(axis=1)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    stretch = np.sqrt(counts / np.maximum(counts - 1, 1))
    deviations = (blocks - means[:, None, :]) * stretch[:, None, :]
    return means, deviations.reshape(-1, blocks.shape[2])


def _varies(rows: Floats) -> Bools:
    """Tell for each signal whether its training values differ by more than rounding."""
    seen = ~np.isnan(rows)
    top = np.where(seen, rows, -np.inf).max(axis=0)
    bottom = np.where(seen, rows, np.inf).min(axis=0)
    span = top - bottom
    varies: Bools = np.isfinite(span) & (span > 1e-9 * np.maximum(np.abs(top), np.abs(bottom)))
    return varies


def _resolution(rows: Floats) -> Floats:
    """Return the smallest step between neighbouring values of each signal, (signals,)."""
    steps = np.abs(np.diff(rows, axis=0))
    resolution: Floats = np.where(steps > 0.0, steps, np.inf).min(axis=0)
    return np.where(np.isfinite(resolution), resolution, 0.0)


def _settle(means: Floats, noise: Floats, drift_per_block: Floats) -> tuple[Floats, Floats]:
    """Return the level after the last block and its covariance (a Kalman filter over blocks)."""
    level = np.where(np.isnan(means[0]), 0.0, means[0])
    covariance = noise + np.diag(np.where(np.isnan(means[0]), 1e6, 0.0))
    for mean in means[1:]:
        level, covariance = update(level, covariance + np.diag(drift_per_block), mean, noise)
    return level, covariance
