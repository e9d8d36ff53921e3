"""Has a signal's rhythm changed? Evidence from how residuals of neighbouring rows go together.

    x_t = bounded (y_t - y_(t-1)) / deviation            e_t = x_t - sum over l of a_l x_(t-l)
    c_l = sum of e_t e_(t-l) / sum of e_t^2               over a window, l = 1 .. `LAGS`
    d   = n sum of c_l^2 / inflation                      about chi2 with `LAGS` degrees in health

    log BF = log mean over s of (1 + s)^(-LAGS/2) exp(d / 2 s / (1 + s))

The autoregression a whitens the differences of healthy rows; where their spectrum changes (an
oscillation, a filter switched on, a loop that hunts) it no longer does, and c shows it. Differences
forget levels and slow drift. The ratio forgets how loud the signal is, as long as most differences
stay within reach; loudness is the business of evidence_spread.py. Healthy residuals are seldom
independent, so the variance of c is not counted but learnt, by how much it is above 1/n in healthy
windows.

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

from gateway.models.evidence import SHIFTS

Floats = NDArray[np.float64]

WINDOW_ROWS: Final = 60
"""Three windows of the others: a correlation is known to no better than one over its root."""
LAGS: Final = 4
REACH: Final = 3.0
"""Deviations of a difference beyond which it counts no further."""
_RIDGE: Final = 1e-3
"""Added to the variance of differences, which alone may not tell their past apart."""
_POWER_MIN: Final = 1e-6
"""Mean square of residuals, over that of training, below which a signal stands still."""


class SpectrumLaw(NamedTuple):
    """What differences of healthy rows have to do with those before them."""

    deviation: Floats
    """(u,): of a difference, scaled units."""
    coefficients: Floats
    """(LAGS, u): times the differences before, newest first."""
    inflation: Floats
    """(u,): variance of a residual correlation times the rows of its window, 1 at least."""


def learn(rows: Floats, variance: Floats) -> SpectrumLaw:
    """Learn from healthy scaled rows (n, u) whose differences have `variance` (u,)."""
    deviation = np.sqrt(variance)
    moves = _moves(deviation, np.diff(rows, axis=0))
    plain = SpectrumLaw(deviation, _coefficients(moves), np.ones(len(variance)))
    correlations, pairs = _windows(_residuals(plain, moves))
    full = pairs[WINDOW_ROWS - 1 :: LAGS]
    squares = full * (correlations[WINDOW_ROWS - 1 :: LAGS] ** 2).mean(axis=1)
    inflation = squares.mean(axis=0) if len(full) else np.ones(len(variance))
    return plain._replace(inflation=np.maximum(inflation, 1.0))


def unknown(variance: Floats) -> SpectrumLaw:
    """Return the law of a signal whose differences have `variance` (u,) and no rhythm known.

    Nothing is then a change of it: such correlations may be as wide as they can be.
    """
    nothing = np.zeros((LAGS, len(variance)))
    return SpectrumLaw(np.sqrt(variance), nothing, np.full(len(variance), float(WINDOW_ROWS)))


def over_rows(law: SpectrumLaw, rows: Floats) -> Floats:
    """Return log Bayes factors (n - 1, u) of windows that end at each row (n, u) but the first."""
    correlations, pairs = _windows(_residuals(law, _moves(law.deviation, np.diff(rows, axis=0))))
    return _evidence(law, correlations, pairs)


@final
class Rhythm:
    """The live side: one row in, evidence of its window out."""

    def __init__(self, law: SpectrumLaw) -> None:
        self._law = law
        self._before = np.full(len(law.deviation), np.nan)
        self._moves: deque[Floats] = deque(maxlen=LAGS + 1)
        self._residuals: deque[Floats] = deque(maxlen=WINDOW_ROWS)

    def step(self, row: Floats) -> Floats:
        """Return log Bayes factors (u,) after a scaled row (u,) less the offset of its regime."""
        move = _moves(self._law.deviation, row - self._before)
        self._before = row
        self._moves.append(move)
        past = np.array(self._moves)[-2::-1]
        predicted = (self._law.coefficients[: len(past)] * _known(past)).sum(axis=0)
        self._residuals.append(move - predicted)
        correlations, pairs = _correlations(np.array(self._residuals))
        return _evidence(self._law, correlations, pairs)

    def forget(self) -> None:
        """Begin anew, after a gap."""
        self._before = np.full(len(self._law.deviation), np.nan)
        self._moves.clear()
        self._residuals.clear()


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


def _correlations(residuals: Floats) -> tuple[Floats, Floats]:
    """Return c (LAGS, u) and the number of values (u,) of one window of residuals (w, u)."""
    filled = _known(residuals)
    count = len(filled)
    products = np.array(
        [(filled[lag:] * filled[: max(count - lag, 0)]).sum(axis=0) for lag in range(1, LAGS + 1)]
    )
    pairs = (~np.isnan(residuals)).sum(axis=0).astype(np.float64)
    power = (filled**2).sum(axis=0)
    moves = power > _POWER_MIN * np.maximum(pairs, 1.0)
    return np.where(moves, products / np.where(moves, power, 1.0), 0.0), pairs


def _windows(residuals: Floats) -> tuple[Floats, Floats]:
    """Return c (n, LAGS, u) and counts (n, u) of windows of residuals (n, u), short at first."""
    filled = _known(residuals)
    ends = np.arange(1, len(filled) + 1)
    firsts = np.maximum(ends - WINDOW_ROWS, 0)
    pairs = _sums((~np.isnan(residuals)).astype(np.float64), firsts, ends)
    power = _sums(filled**2, firsts, ends)
    moves = power > _POWER_MIN * np.maximum(pairs, 1.0)
    products = np.zeros((len(filled), LAGS, filled.shape[1]))
    for lag in range(1, LAGS + 1):
        product = np.zeros(filled.shape)
        product[lag:] = filled[lag:] * filled[: max(len(filled) - lag, 0)]
        products[:, lag - 1] = _sums(product, np.minimum(firsts + lag, ends), ends)
    scale = np.where(moves, power, np.inf)[:, None]
    correlations: Floats = products / scale
    return correlations, pairs


def _sums(values: Floats, firsts: NDArray[np.intp], ends: NDArray[np.intp]) -> Floats:
    """Return sums (k, u) of values (n, u) over rows from `firsts` (k,) to before `ends` (k,)."""
    total = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    sums: Floats = total[ends] - total[firsts]
    return sums


def _evidence(law: SpectrumLaw, correlations: Floats, pairs: Floats) -> Floats:
    """Return log Bayes factors (..., u) of correlations (..., LAGS, u) from `pairs` (..., u)."""
    distance = pairs * (correlations**2).sum(axis=-2) / law.inflation
    sizes = np.array(SHIFTS)
    logs = 0.5 * (distance[..., None] * (sizes / (1.0 + sizes)) - LAGS * np.log1p(sizes))
    top = logs.max(axis=-1)
    result: Floats = top + np.log(np.exp(logs - top[..., None]).mean(axis=-1))
    return result
