"""One form for all equivalent state-space models, and the limits within which they are kept.

Factors may be turned and stretched without changing any prediction. The form kept here has factors
of unit variance, uncorrelated with each other at any one row, whose information on the signals,
C' R^-1 C, is diagonal and falls; each factor's largest loading is positive. That is unique unless
two factors carry equal information.

Limits, the same for all data:
- `RADIUS_MAX`: spectral radius of the transition. A factor then forgets within some thousand rows;
  what moves more slowly is the business of the levels, which are random walks.
- `INNOVATION_MIN`: least variance of what is new in a factor of unit variance; keeps the stationary
  covariance invertible.
- `NOISE_MIN`: least own noise of a signal of unit variance, a hundredth of its deviation; keeps the
  row covariance well conditioned where signals are copies of each other.

Sources: Lawley and Maxwell, Factor Analysis as a Statistical Method (1971), 2.3, for the form;
Luetkepohl (2005), 2.1, for the roots of a companion matrix.
"""

from typing import Final

import numpy as np

from gateway.models.state_space import Floats, StateSpace, assemble, stationary

RADIUS_MAX: Final = 0.999
INNOVATION_MIN: Final = 1e-6
NOISE_MIN: Final = 1e-4


def coefficients_of(model: StateSpace) -> Floats:
    """Return the VAR coefficients (k, k * lags) of a model."""
    return model.transition[: model.factors, : model.factors * model.lags]


def radius(model: StateSpace) -> float:
    """Return the spectral radius of the transition; 0 without lags or factors."""
    if model.factors * model.lags == 0:
        return 0.0
    return float(np.abs(np.linalg.eigvals(model.transition)).max())


def limited(model: StateSpace) -> StateSpace:
    """Return the model with its spectral radius at most RADIUS_MAX.

    Replacing A_j by c^j A_j multiplies every root of the companion matrix by c: all directions
    forget faster by the same rate, none is singled out.
    """
    found = radius(model)
    if found <= RADIUS_MAX:
        return model
    shrink = RADIUS_MAX / found
    powers = np.repeat(shrink ** np.arange(1, model.lags + 1), model.factors)
    return with_dynamics(model, coefficients_of(model) * powers, noise_of_factors(model))


def noise_of_factors(model: StateSpace) -> Floats:
    """Return the covariance (k, k) of what is new in the factors."""
    return model.state_noise[: model.factors, : model.factors]


def with_dynamics(model: StateSpace, coefficients: Floats, innovations: Floats) -> StateSpace:
    """Return the model with other VAR coefficients (k, k * lags) and innovations (k, k)."""
    return assemble(coefficients, innovations, model.current, model.noise, model.lags)


def floored(innovations: Floats) -> Floats:
    """Return the covariance (k, k) with eigenvalues of at least INNOVATION_MIN, symmetric."""
    values, vectors = np.linalg.eigh(0.5 * (innovations + innovations.T))
    result: Floats = (vectors * np.maximum(values, INNOVATION_MIN)) @ vectors.T
    return 0.5 * (result + result.T)


def canonical(model: StateSpace) -> StateSpace:
    """Return the equivalent model in normal form."""
    factors = model.factors
    if factors == 0:
        return model
    stretch = np.linalg.cholesky(stationary(model)[:factors, :factors])
    current = model.current @ stretch
    _, turn = np.linalg.eigh(current.T @ (current / model.noise[:, None]))
    turn = turn[:, ::-1]
    largest = np.argmax(np.abs(current @ turn), axis=0)
    turn = turn * np.where((current @ turn)[largest, np.arange(factors)] < 0.0, -1.0, 1.0)
    forth = stretch @ turn
    back = np.linalg.solve(stretch, np.eye(factors)).T @ turn
    blocks = coefficients_of(model).reshape(factors, model.lags, factors)
    coefficients = np.einsum("ai,alb,bj->ilj", back, blocks, forth)
    innovations = back.T @ noise_of_factors(model) @ back
    return assemble(
        coefficients.reshape(factors, factors * model.lags),
        0.5 * (innovations + innovations.T),
        model.current @ forth,
        model.noise,
        model.lags,
    )
