"""Second moments of rows across lags: they add up over segments, and give EM a place to start.

    products_h = sum over t of y_(t+h) y_t',   counts_h = how many such pairs were both seen

Start values: loadings and noise by factor analysis of the covariance (Rubin and Thayer's EM, which
needs the covariance only); then the factors' autocovariances from those of the signals,
Gamma_f(h) = B Gamma_y(h) B' with the factor scores B = (I + C' R^-1 C)^-1 C' R^-1, free of own
noise for h > 0 since that is white; then Yule and Walker's equations for the VAR coefficients.

Left to others: the likelihood, which these values only approach (em.py).

Sources: Rubin and Thayer (1982), EM algorithms for ML factor analysis; Doz, Giannone and Reichlin
(2011), A two-step estimator for large approximate dynamic factor models.
"""

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from gateway.models.normal_form import NOISE_MIN, canonical, floored, limited
from gateway.models.state_space import Floats, StateSpace, assemble

_ANALYSES: Final = 30
"""Iterations of factor analysis; EM goes on from there."""
_RIDGE: Final = 1e-3
"""Added to the unit variance of the factors in Yule and Walker's equations, for sampling noise."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Lagged products of s signals for lags 0..h; add them with `+`."""

    products: Floats
    """(h + 1, s, s): sums of value of the later row times value of the earlier one."""
    counts: Floats
    """(h + 1, s, s): pairs in those sums."""

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(products=self.products + other.products, counts=self.counts + other.counts)


def moments(rows: Floats, lags: int) -> Moments:
    """Return the moments of centred rows (n, s), NaN where missing, up to `lags` (at least 1)."""
    seen = (~np.isnan(rows)).astype(np.float64)
    values = np.where(seen > 0.0, rows, 0.0)
    spans = range(max(lags, 1) + 1)
    return Moments(
        products=np.stack([values[h:].T @ values[: len(values) - h] for h in spans]),
        counts=np.stack([seen[h:].T @ seen[: len(seen) - h] for h in spans]),
    )


def initial(sums: Moments, factors: int, lags: int) -> StateSpace:
    """Return start values; `sums` must hold lags up to `lags`."""
    averages = sums.products / np.maximum(sums.counts, 1.0)
    covariance = _positive(averages[0], sums.counts[0])
    current, noise = _factor_analysis(covariance, factors)
    precision_rows = current / noise[:, None]
    scores = np.linalg.solve(np.eye(factors) + current.T @ precision_rows, precision_rows.T)
    lagged = [scores @ average @ scores.T for average in averages[1 : lags + 1]]
    coefficients, innovations = _yule_walker(lagged, factors)
    return canonical(limited(assemble(coefficients, innovations, current, noise, lags)))


def _positive(covariance: Floats, counts: Floats) -> Floats:
    """Return the nearest covariance (s, s) that is positive definite, unit where nothing was seen.

    Averages over different pairs of rows need not be one.
    """
    unseen = np.diag(counts) == 0.0
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T) + np.diag(unseen * 1.0))
    result: Floats = (vectors * np.maximum(values, NOISE_MIN)) @ vectors.T
    return result


def _factor_analysis(covariance: Floats, factors: int) -> tuple[Floats, Floats]:
    """Return loadings (s, k) and noise (s,) of a covariance (s, s), k from 0 to s.

    Starts from the principal axes relative to half of what the others leave of each signal.
    """
    variances = np.diag(covariance)
    if factors == 0:
        return np.zeros((len(variances), 0)), np.maximum(variances, NOISE_MIN)
    noise = np.maximum(0.5 / np.diag(np.linalg.inv(covariance)), NOISE_MIN)
    scale = np.sqrt(noise)
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    values, vectors = values[-factors:], vectors[:, -factors:]
    current = scale[:, None] * vectors * np.sqrt(np.maximum(values - 1.0, NOISE_MIN))
    noise = np.maximum(variances - (current**2).sum(axis=1), NOISE_MIN)
    for _ in range(_ANALYSES):
        precision_rows = current / noise[:, None]
        gain = np.linalg.solve(np.eye(factors) + current.T @ precision_rows, precision_rows.T)
        crossed = gain @ covariance
        second = np.eye(factors) - gain @ current + crossed @ gain.T
        current = np.linalg.solve(second, crossed).T
        noise = np.maximum(variances - (current * crossed.T).sum(axis=1), NOISE_MIN)
    return current, noise


def _yule_walker(lagged: list[Floats], factors: int) -> tuple[Floats, Floats]:
    """Return coefficients (k, k * lags) and innovations (k, k) from Gamma_f(1), ..., Gamma_f(lags).

    Gamma_f(0) is the unit matrix.
    """
    lags = len(lagged)
    if lags == 0 or factors == 0:
        return np.zeros((factors, factors * lags)), np.eye(factors)
    gammas = [np.eye(factors) * (1.0 + _RIDGE), *lagged]
    # Block (i, j) is cov(f_(t-1-i), f_(t-1-j)).
    system = np.block(
        [[gammas[j - i] if j >= i else gammas[i - j].T for j in range(lags)] for i in range(lags)]
    )
    right = np.hstack(lagged)
    coefficients: Floats = np.linalg.solve(system, right.T).T
    return coefficients, floored(np.eye(factors) - coefficients @ right.T)
