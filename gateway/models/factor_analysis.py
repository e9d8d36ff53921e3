"""Factor analysis: a few common causes plus noise of each signal's own.

    y = W z + e,   z ~ N(0, I_order),   e ~ N(0, diag(noise)),   so   cov(y) = W W' + diag(noise)

The number of causes is chosen by held-out likelihood over contiguous folds, so neither "too few"
nor "as many as fit" is anybody's taste. Rows are centred by the caller. Sums run through einsum,
not a threaded BLAS, so that the same rows give the same bits whatever the load of the machine.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NOISE_MIN: Final = 1e-3
"""Least own noise of a signal of unit variance; keeps the covariance well conditioned."""
_ITERATIONS: Final = 100
_FOLDS: Final = 5


class FactorModel(NamedTuple):
    """Loadings (signals, order) and own noise variances (signals,)."""

    loadings: Floats
    noise: Floats

    @property
    def covariance(self) -> Floats:
        """Covariance of a row, (signals, signals)."""
        covariance: Floats = self.loadings @ self.loadings.T + np.diag(self.noise)
        return covariance


def order_max(signals: int) -> int:
    """Return the largest identifiable number of factors (Ledermann's bound)."""
    return int((2 * signals + 1 - math.sqrt(8 * signals + 1)) / 2)


def fit(covariance: Floats, order: int) -> FactorModel:
    """Fit loadings and noise to a sample covariance (signals, signals) by EM.

    Rubin and Thayer (1982); a fixed number of iterations from the principal axes: deterministic.
    """
    variances = np.diag(covariance)
    if order == 0:
        return FactorModel(np.zeros((len(variances), 0)), np.maximum(variances, NOISE_MIN))
    values, vectors = np.linalg.eigh(covariance)
    spare = max(float(values[:-order].mean()), NOISE_MIN)
    loadings = vectors[:, -order:] * np.sqrt(np.maximum(values[-order:] - spare, NOISE_MIN))
    noise = np.maximum(variances - (loadings**2).sum(axis=1), NOISE_MIN)
    for _ in range(_ITERATIONS):
        # E step: posterior mean is gain @ y; the second moment of z given all rows follows.
        gain = np.linalg.solve(loadings @ loadings.T + np.diag(noise), loadings).T
        second = np.eye(order) - gain @ loadings + gain @ covariance @ gain.T
        loadings = np.linalg.solve(second, gain @ covariance).T
        noise = np.maximum(variances - (loadings * (gain @ covariance).T).sum(axis=1), NOISE_MIN)
    return FactorModel(loadings, noise)


def second_moment(rows: Floats) -> Floats:
    """Return rows' rows / n for centred rows (n, signals)."""
    moment: Floats = np.einsum("ni,nj->ij", rows, rows) / len(rows)
    return moment


def choose(rows: Floats) -> FactorModel:
    """Fit centred rows (n, signals) with the order that predicts held-out rows best.

    The folds are contiguous, since neighbouring rows are alike; the smallest order wins a tie.
    """
    folds = [fold for fold in np.array_split(np.arange(len(rows)), _FOLDS) if len(fold)]
    moments = [second_moment(rows[fold]) for fold in folds]
    sizes = np.array([len(fold) for fold in folds], dtype=np.float64)
    gains = [_held_out(moments, sizes, order) for order in range(order_max(rows.shape[1]) + 1)]
    return fit(second_moment(rows), int(np.argmax(gains)))


def _held_out(moments: list[Floats], sizes: Floats, order: int) -> float:
    """Return the log-likelihood of each fold under a model of the others, summed."""
    total = 0.0
    weighted = sum(size * moment for size, moment in zip(sizes, moments, strict=True))
    for size, moment in zip(sizes, moments, strict=True):
        others = (weighted - size * moment) / (sizes.sum() - size)
        covariance = fit(others, order).covariance
        _, log_determinant = np.linalg.slogdet(covariance)
        trace = float(np.trace(np.linalg.solve(covariance, moment)))
        total -= 0.5 * float(size) * (float(log_determinant) + trace)
    return total
