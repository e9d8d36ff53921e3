"""The law of all signals together: a vector autoregression with a full covariance.

    e_t = y_t - mean - sum over lags of B_l (y_(t-l) - mean),   e ~ (0, covariance)

Promised: lags and ridge by held-out likelihood over contiguous folds; folds that were held out
give the covariance, so it is as wide as on new rows.
Left to others: what it says of live rows (evidence_joint.py), whether levels wander, limits
(calibration.py).

Sources: Luetkepohl, New Introduction to Multiple Time Series Analysis (2005), 3.2; Hoerl and
Kennard (1970) for the ridge.
"""

from collections.abc import Sequence
from itertools import product
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LAGS: Final = (1, 2)
_RIDGES: Final = (1e-3, 1e-2, 1e-1)
"""Prior precision of a coefficient, over that of the rows that speak for it."""
_FOLDS: Final = 5
_ROWS_PER_REGRESSOR: Final = 4
_REGRESSORS_MAX: Final = 256
_NOISE_MIN: Final = 1e-6
"""Least share of a variance that is own; keeps covariances well conditioned."""


class JointLaw(NamedTuple):
    """A learnt regression of u signals."""

    mean: Floats
    """(u,)."""
    coefficients: Floats
    """(lags * u, u): times the rows before, newest first, gives the prediction."""
    covariance: Floats
    """(u, u): of an innovation."""
    degrees: float
    """Degrees of freedom the covariance was learnt from."""
    follows_levels: bool
    """Whether levels that wander are taken off; else the mean of training holds."""

    @property
    def lags(self) -> int:
        """How many rows before a row predict it."""
        return len(self.coefficients) // len(self.mean)

    @property
    def passed_on(self) -> Floats:
        """G (u, u): what a lasting offset of the signals leaves in the innovations."""
        signals = len(self.mean)
        summed = self.coefficients.reshape(self.lags, signals, signals).sum(axis=0)
        result: Floats = np.eye(signals) - summed.T
        return result


def learn(rows: Floats) -> JointLaw | None:
    """Learn from healthy scaled rows (n, u); None if they are too few for even one lag."""
    signals = rows.shape[1]
    for lags_max in range(max(_LAGS), 0, -1):
        enough = signals * lags_max <= _REGRESSORS_MAX
        lagged = _lagged(rows, lags_max)
        if enough and len(lagged) >= _ROWS_PER_REGRESSOR * signals * lags_max + signals:
            return _best(lagged, signals, [lags for lags in _LAGS if lags <= lags_max])
    return None


def _best(lagged: Floats, signals: int, lags: Sequence[int]) -> JointLaw:
    """Return the law whose lags and ridge predict held-out folds best."""
    trials = {
        (count, ridge): _held_out(lagged[:, : (count + 1) * signals], signals, ridge)
        for count, ridge in product(lags, _RIDGES)
    }
    count, ridge = min(trials, key=lambda trial: _cost(trials[trial]))
    chosen = lagged[:, : (count + 1) * signals]
    mean, coefficients = _regress(chosen, signals, ridge)
    degrees = float(max(len(chosen) - count * signals - 1, 1))
    return JointLaw(mean, coefficients, _covariance(trials[count, ridge]), degrees, False)


def _regress(lagged: Floats, signals: int, ridge: float) -> tuple[Floats, Floats]:
    """Return the mean (u,) and the coefficients (lags u, u) of lagged rows (n, (1 + lags) u)."""
    mean = lagged[:, :signals].mean(axis=0)
    centred = lagged - np.tile(mean, lagged.shape[1] // signals)
    products = np.einsum("ni,nj->ij", centred, centred, optimize=True)
    past = products[signals:, signals:]
    # Relative to each regressor's own square, so that no choice of scale matters.
    weight = ridge * np.diag(np.maximum(np.diag(past), _NOISE_MIN * len(lagged)))
    coefficients: Floats = np.linalg.solve(past + weight, products[signals:, :signals])
    return mean, coefficients


def _held_out(lagged: Floats, signals: int, ridge: float) -> Floats:
    """Return the innovations (n, u) of contiguous folds under what the other folds taught."""
    found = np.empty((len(lagged), signals))
    for fold in np.array_split(np.arange(len(lagged)), _FOLDS):
        others = np.delete(lagged, fold, axis=0)
        mean, coefficients = _regress(others, signals, ridge)
        centred = lagged[fold] - np.tile(mean, lagged.shape[1] // signals)
        found[fold] = centred[:, :signals] - centred[:, signals:] @ coefficients
    return found


def _covariance(found: Floats) -> Floats:
    """Return the second moment (u, u) of innovations (n, u)."""
    moment: Floats = np.einsum("ni,nj->ij", found, found, optimize=True) / len(found)
    return moment + _NOISE_MIN * np.diag(np.maximum(np.diag(moment), _NOISE_MIN))


def _cost(found: Floats) -> float:
    """Return how badly innovations were predicted: log determinant of their covariance."""
    return float(np.linalg.slogdet(_covariance(found))[1])


def _lagged(rows: Floats, lags: int) -> Floats:
    """Return (m, (1 + lags) u): each row and those before it, newest first, without gaps."""
    count = len(rows) - lags
    stacked = np.hstack([rows[lags - lag : lags - lag + count] for lag in range(lags + 1)])
    complete: Floats = stacked[~np.isnan(stacked).any(axis=1)]
    return complete
