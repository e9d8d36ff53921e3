"""Has a signal become louder or too quiet? Evidence from the differences of neighbouring rows.

    s = mean over the window of (y_t - y_(t-1))^2 / variance        about chi2_f / f in health

    log BF = log mean over k of k^(-f/2) exp(f s / 2 (1 - 1/k))     k: variance now over healthy

Differences forget levels, drift and slow factors, so noise that grows (a loose contact) and noise
that goes (a sensor stuck, a value held or made up) stand out from everything a level can do.
Neighbouring differences share a value and healthy noise is seldom normal, so the degrees of freedom
f of a window are not counted but learnt: f = 2 / variance of s over healthy windows. A difference
beyond `REACH` deviations counts no further.

Promised: causal, one signal at a time; a missing value takes its differences with it.
Left to others: limits (calibration.py), which cause it is (causes.py).

Sources: Satterthwaite (1946) for the degrees of freedom; von Neumann (1941) for variances from
successive differences; Basseville and Nikiforov, Detection of Abrupt Changes (1993), 2.6.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WINDOW_ROWS: Final = 20
REACH: Final = 3.0
_RATIOS: Final = np.array([1 / 100, 1 / 10, 1 / 3, 3.0, 10.0, 100.0])
"""Variance of differences in a fault, over the healthy one."""
_FREEDOM_MIN: Final = 1.0
_VARIANCE_MIN: Final = 1e-12
_NINE_TENTHS: Final = 2.7055
"""Nine tenths of the squares of a normal number of variance one lie below."""
_ROUNDS: Final = 3


class SpreadLaw(NamedTuple):
    """What differences of healthy rows are like; arrays (u,)."""

    variance: Floats
    """Of a difference, scaled units, beyond reach limited."""
    freedom: Floats
    """Degrees of freedom of the mean square of a full window."""


def learn(rows: Floats) -> SpreadLaw:
    """Learn from healthy scaled rows (n, u); a signal without two neighbouring values has none."""
    squares = np.diff(rows, axis=0) ** 2
    variance = _variance(squares)
    ratio, window = means(SpreadLaw(variance, np.ones(len(variance))), rows)
    full = window == WINDOW_ROWS
    spread = np.where(full, ratio - 1.0, 0.0)
    wander = (spread**2).sum(axis=0) / np.maximum(full.sum(axis=0), 1)
    freedom = np.clip(2.0 / np.maximum(wander, 1e-3), _FREEDOM_MIN, WINDOW_ROWS)
    return SpreadLaw(variance, freedom)


def _variance(squares: Floats) -> Floats:
    """Return the mean (u,) of squared differences (n, u), those beyond reach limited.

    It starts at what nine tenths of them say, so that no outlier has a say in its own limit.
    """
    seen = ~np.isnan(squares)
    known = np.where(seen, squares, np.inf)
    counts = np.maximum(seen.sum(axis=0), 1)
    place = np.minimum((0.9 * counts).astype(np.intp), len(known) - 1)
    start = np.sort(known, axis=0)[place, np.arange(known.shape[1])] / _NINE_TENTHS
    variance = np.where(np.isfinite(start), np.maximum(start, _VARIANCE_MIN), _VARIANCE_MIN)
    for _ in range(_ROUNDS):
        limited = np.minimum(np.where(seen, squares, 0.0), REACH**2 * variance)
        variance = np.maximum(limited.sum(axis=0) / counts, _VARIANCE_MIN)
    return variance


def square(law: SpreadLaw, before: Floats, row: Floats) -> Floats:
    """Return the bounded square (u,) of a difference over its variance; NaN where it has none."""
    ratio: Floats = np.minimum((row - before) ** 2 / law.variance, REACH**2)
    return ratio


def means(law: SpreadLaw, rows: Floats) -> tuple[Floats, Floats]:
    """Return s and its number of differences, (n - 1, u) each, of windows ending at each row."""
    squares = np.minimum(np.diff(rows, axis=0) ** 2 / law.variance, REACH**2)
    seen = ~np.isnan(squares)
    counts = _trailing(seen.astype(np.float64))
    return _trailing(np.where(seen, squares, 0.0)) / np.maximum(counts, 1.0), counts


def mean(squares: Floats) -> tuple[Floats, Floats]:
    """Return s and its number of differences, (u,) each, of one window of squares (w, u)."""
    seen = ~np.isnan(squares)
    counts = seen.sum(axis=0).astype(np.float64)
    return np.where(seen, squares, 0.0).sum(axis=0) / np.maximum(counts, 1.0), counts


def weigh(law: SpreadLaw, ratio: Floats, counts: Floats) -> tuple[Floats, Bools]:
    """Return log Bayes factors of windows s (..., u), and whether they are too quiet.

    A window with fewer differences has as many fewer degrees of freedom; an empty one says nothing.
    """
    half = (0.5 * law.freedom * counts / WINDOW_ROWS)[..., None]
    logs = half * (ratio[..., None] * (1.0 - 1.0 / _RATIOS) - np.log(_RATIOS))
    top = logs.max(axis=-1)
    evidence: Floats = top + np.log(np.exp(logs - top[..., None]).mean(axis=-1))
    return evidence, ratio < 1.0


def _trailing(values: Floats) -> Floats:
    """Return sums (n, u) over the last `WINDOW_ROWS` rows, fewer at the start."""
    total = np.cumsum(np.vstack([np.zeros((1, values.shape[1])), values]), axis=0)
    ends = np.arange(1, len(values) + 1)
    sums: Floats = total[ends] - total[np.maximum(ends - WINDOW_ROWS, 0)]
    return sums
