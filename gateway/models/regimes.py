"""Regimes: ways of running that differ by an offset of every signal, and a sticky chain of them.

    y_t = m_r(t) + residual,   P(r(t) = j | r(t-1) = i) = transition[i, j],   P(r(1)) = weights

A row is weighed against each regime under the stationary law of what varies within it, so regimes
that are told apart lie some deviations from each other; what is nearer is the business of factors
and levels. Most assets have one regime, and then nothing here costs anything.

Promised: `follow` is causal; sums of the expectation step add up over segments.
Left to others: finding them (regime_fit.py).
Sources: Rabiner (1989), A tutorial on hidden Markov models, III; Hamilton (1989).
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.models import state_space
from gateway.models.state_space import StateSpace

Floats = NDArray[np.float64]
_LOG_TWO_PI: Final = math.log(2.0 * math.pi)


class Regimes(NamedTuple):
    """Offsets (r, u) in units of scale, transition (r, r), weights (r,) of the regimes."""

    offsets: Floats
    transition: Floats
    weights: Floats


class Chain(NamedTuple):
    """What is known of the regime at each of n rows."""

    predicted: Floats
    """(n, r): before the row."""
    filtered: Floats
    """(n, r): with the row."""
    log_densities: Floats
    """(n,): of each row given those before."""


def single(signals: int) -> Regimes:
    """Return the one regime without offset."""
    return Regimes(np.zeros((1, signals)), np.ones((1, 1)), np.ones(1))


def emissions(
    model: StateSpace, offsets: Floats, rows: Floats, extra_noise: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return log densities (n, r) of rows (n, u) at each offset, and squared distances (n, r).

    Under the stationary law of a row: covariance C Gamma C' + diag(noise + extra_noise), by the
    small matrix of the factors (state_space.py) for every pattern of missing values.
    """
    seen = ~np.isnan(rows)
    noise = model.noise if extra_noise is None else model.noise + extra_noise
    precision = np.where(seen, 1.0 / noise, 0.0)
    current = model.current
    gamma = state_space.stationary(model)[: model.factors, : model.factors]
    gram = np.einsum("sk,ns,sl->nkl", current, precision, current, optimize=True)
    inner = np.eye(model.factors) + gram @ gamma
    residual = np.where(seen[:, None, :], rows[:, None, :] - offsets, 0.0)
    pulled = np.einsum("nrs,ns,sk->nrk", residual, precision, current, optimize=True)
    solved = np.linalg.solve(inner, np.swapaxes(pulled, 1, 2))
    distance = np.einsum("nrs,nrs,ns->nr", residual, residual, precision, optimize=True)
    distance -= np.einsum("nrk,kl,nlr->nr", pulled, gamma, solved, optimize=True)
    _, log_determinant = np.linalg.slogdet(inner)
    constant = log_determinant + np.where(seen, np.log(noise) + _LOG_TWO_PI, 0.0).sum(axis=1)
    return -0.5 * (constant[:, None] + distance), np.maximum(distance, 0.0)


def forward(regimes: Regimes, logs: Floats) -> Chain:
    """Run the chain over log densities (n, r) of rows under each regime."""
    count, kinds = logs.shape
    chain = Chain(np.empty((count, kinds)), np.empty((count, kinds)), np.empty(count))
    top = logs.max(axis=1)
    likely = np.exp(logs - top[:, None])
    weights = regimes.weights
    for index in range(count):
        joint = weights * likely[index]
        total = joint.sum()
        chain.predicted[index], chain.filtered[index] = weights, joint / total
        chain.log_densities[index] = math.log(total)
        weights = chain.filtered[index] @ regimes.transition
    return chain._replace(log_densities=chain.log_densities + top)


def backward(regimes: Regimes, chain: Chain) -> tuple[Floats, Floats]:
    """Return smoothed probabilities (n, r) and expected transitions (r, r), summed."""
    smoothed = chain.filtered.copy()
    moves = np.zeros(regimes.transition.shape)
    for index in range(len(smoothed) - 2, -1, -1):
        ratio = smoothed[index + 1] / np.maximum(chain.predicted[index + 1], 1e-300)
        pair = chain.filtered[index][:, None] * regimes.transition * ratio
        moves += pair
        smoothed[index] = pair.sum(axis=1)
    return smoothed, moves
