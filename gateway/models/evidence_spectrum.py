"""Has a signal's rhythm changed? Evidence from how residuals of neighbouring rows go together.

    x_t = bounded (y_t - y_(t-1)) / deviation            e_t = x_t - sum over l of a_l x_(t-l)
    c_l = sum of w^k e_(t-k) e_(t-k-l) / sum of w^k e_(t-k)^2      k = 0, 1, ...; l = 1 .. `LAGS`
    d   = n sum of c_l^2 / inflation                      about chi2 with `LAGS` degrees in health

    BF = mean over s of (1 + s)^(-LAGS/2) [(1 + d/v) / (1 + d/(v (1 + s)))]^((v + LAGS)/2)

as in evidence.py, with v the number of healthy windows that were learnt from: a few of them cannot
be sure how alike the next one is.

The autoregression a whitens the differences of healthy rows; where their spectrum changes (an
oscillation, a filter switched on, a loop that hunts) it no longer does, and c shows it. Differences
forget levels and slow drift. The ratio forgets how loud the signal is, as long as most differences
stay within reach; loudness is the business of evidence_spread.py. Healthy residuals are seldom
independent, so the variance of c is not counted but learnt, by how much it is above 1/n in health.

Sums forget with w = 1 - 1 / `FORGET_ROWS`, so a rhythm that is over is soon forgotten. With s the
sum of the weights of values that are there, n = s^2 (1 - w^2) is the number of rows that as much
could be known from: (1 + w) / (1 - w) in the long run, less at first and where values are missing.

Promised: causal, one signal at a time; a missing value takes its differences with it; a signal
that does not move has no spectrum and says nothing.
Left to others: limits (calibration.py), which cause it is (causes.py).

Sources: Box and Pierce (1970) for the sum of squared residual correlations; Priestley, Spectral
Analysis and Time Series (1981), 5.4, for Yule and Walker's equations.
"""

from collections import deque
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from gateway.models.evidence import SHIFTS

Floats = NDArray[np.float64]

FORGET_ROWS: Final = 20
"""As long as the windows of the others."""
WINDOW_ROWS: Final = 2 * FORGET_ROWS
"""Rows that as much could be known from if all counted alike, rounded."""
LAGS: Final = 4
REACH: Final = 3.0
"""Deviations of a difference beyond which it counts no further."""
_RIDGE: Final = 1e-3
"""Added to the variance of differences, which alone may not tell their past apart."""
_KEPT: Final = 1.0 - 1.0 / FORGET_ROWS
_POWER_MIN: Final = 1e-6
"""Mean square of residuals, over that of training, below which a signal stands still."""


class SpectrumLaw(NamedTuple):
    """What differences of healthy rows have to do with those before them."""

    deviation: Floats
    """(u,): of a difference, scaled units."""
    coefficients: Floats
    """(LAGS, u): times the differences before, newest first."""
    inflation: Floats
    """(u,): variance of a residual correlation times n, 1 at least."""
    degrees: float
    """v: degrees of freedom of the inflation, windows without overlap."""


def learn(rows: Floats, variance: Floats) -> SpectrumLaw:
    """Learn from healthy scaled rows (n, u) whose differences have `variance` (u,)."""
    deviation = np.sqrt(variance)
    moves = _moves(deviation, np.diff(rows, axis=0))
    degrees = max(len(moves) / WINDOW_ROWS, 1.0)
    plain = SpectrumLaw(deviation, _coefficients(moves), np.ones(len(variance)), degrees)
    correlations, known = _correlations(*_sums(_residuals(plain, moves)))
    squares = (known * (correlations**2).mean(axis=0))[WINDOW_ROWS:]
    inflation = squares.mean(axis=0) if len(squares) else np.ones(len(variance))
    return plain._replace(inflation=np.maximum(inflation, 1.0))


def unknown(variance: Floats) -> SpectrumLaw:
    """Return the law of a signal whose differences have `variance` (u,) and no rhythm known.

    Nothing is then a change of it: such correlations may be as wide as they can be.
    """
    nothing = np.zeros((LAGS, len(variance)))
    return SpectrumLaw(np.sqrt(variance), nothing, np.full(len(variance), float(WINDOW_ROWS)), 1.0)


def over_rows(law: SpectrumLaw, rows: Floats) -> Floats:
    """Return log Bayes factors (n - 1, u) after each row (n, u) but the first."""
    residuals = _residuals(law, _moves(law.deviation, np.diff(rows, axis=0)))
    return _evidence(law, *_correlations(*_sums(residuals)))


@final
class Rhythm:
    """The live side: one row in, evidence out."""

    def __init__(self, law: SpectrumLaw) -> None:
        self._law = law
        self._before = np.full(len(law.deviation), np.nan)
        self._moves: deque[Floats] = deque(maxlen=LAGS)
        self._residuals: deque[Floats] = deque(maxlen=LAGS)
        self._products = np.zeros((LAGS + 1, len(law.deviation)))
        self._weight = np.zeros(len(law.deviation))

    def step(self, row: Floats) -> Floats:
        """Return log Bayes factors (u,) after a scaled row (u,) less the offset of its regime."""
        move = _moves(self._law.deviation, row - self._before)
        self._before = row
        residual = move.copy()
        for coefficient, past in zip(self._law.coefficients, self._moves, strict=False):
            residual -= coefficient * past
        self._moves.appendleft(_known(move))
        seen, filled = ~np.isnan(residual), _known(residual)
        self._products *= _KEPT
        self._products[0] += filled * filled
        for lag, past in enumerate(self._residuals, start=1):
            self._products[lag] += filled * past
        self._residuals.appendleft(filled)
        self._weight = self._weight * _KEPT + seen
        return _evidence(self._law, *_correlations(self._products, self._weight))

    def forget(self) -> None:
        """Begin anew, after a gap."""
        self._before = np.full(len(self._law.deviation), np.nan)
        self._moves.clear()
        self._residuals.clear()
        self._products[:] = 0.0
        self._weight = np.zeros(len(self._law.deviation))


def _moves(deviation: Floats, differences: Floats) -> Floats:
    """Return bounded differences (..., u) in deviations."""
    moves: Floats = np.clip(differences / deviation, -REACH, REACH)
    return moves


def _known(values: Floats) -> Floats:
    """Return values with nothing in place of a missing one."""
    known: Floats = np.where(np.isnan(values), 0.0, values)
    return known


def _coefficients(moves: Floats) -> Floats:
    """Return the autoregressions (LAGS, u) of differences (n, u), by Yule and Walker."""
    filled = _known(moves)
    count = max(len(filled), 1)
    products = np.array(
        [(filled[lag:] * filled[: len(filled) - lag]).sum(axis=0) for lag in range(LAGS + 1)]
    )
    covariance = products / count
    covariance[0] += _RIDGE
    places = np.abs(np.subtract.outer(np.arange(LAGS), np.arange(LAGS)))
    toeplitz = np.moveaxis(covariance[places], 2, 0)
    solved = np.linalg.solve(toeplitz, covariance[1:].T[..., None])[..., 0].T
    return np.asarray(solved, dtype=np.float64)


def _residuals(law: SpectrumLaw, moves: Floats) -> Floats:
    """Return what differences (n, u) have that those before them do not explain."""
    filled = np.vstack([np.zeros((LAGS, moves.shape[1])), _known(moves)])
    residuals = np.array(moves, dtype=np.float64)
    for lag in range(LAGS):
        residuals -= law.coefficients[lag] * filled[LAGS - 1 - lag : len(filled) - 1 - lag]
    return residuals


def _sums(residuals: Floats) -> tuple[Floats, Floats]:
    """Return forgetting sums after each of the residuals (n, u).

    Products of lags 0 to LAGS, (LAGS + 1, n, u), and weights of what was seen, (n, u).
    """
    filled, seen = _known(residuals), (~np.isnan(residuals)).astype(np.float64)
    products = np.zeros((LAGS + 1, *filled.shape))
    for lag in range(LAGS + 1):
        products[lag, lag:] = filled[lag:] * filled[: max(len(filled) - lag, 0)]
    forget = [1.0, -_KEPT]
    return lfilter([1.0], forget, products, axis=1), lfilter([1.0], forget, seen, axis=0)


def _correlations(products: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return c (LAGS, ..., u) and n (..., u) from sums (LAGS + 1, ..., u) and (..., u)."""
    known = weight**2 * (1.0 - _KEPT**2)
    moves = products[0] > _POWER_MIN * np.maximum(weight, 1.0)
    return np.where(moves, products[1:] / np.where(moves, products[0], 1.0), 0.0), known


def _evidence(law: SpectrumLaw, correlations: Floats, known: Floats) -> Floats:
    """Return log Bayes factors (..., u) of c (LAGS, ..., u) worth `known` (..., u) rows."""
    distance = (known * (correlations**2).sum(axis=0) / law.inflation)[..., None]
    sizes, v = np.array(SHIFTS), law.degrees
    ratio = np.log1p(distance / v) - np.log1p(distance / (v * (1.0 + sizes)))
    logs = 0.5 * ((v + LAGS) * ratio - LAGS * np.log1p(sizes))
    top = logs.max(axis=-1)
    result: Floats = top + np.log(np.exp(logs - top[..., None]).mean(axis=-1))
    return result
