"""Known dynamic factor models, and the same answers from one joint Gaussian of all rows."""

from typing import NamedTuple

import numpy as np

from gateway.models import state_space
from gateway.models.state_space import StateSpace, assemble

RADIUS = 0.9


def known(factors: int, lags: int, signals: int, seed: int = 0, noise: float = 1.0) -> StateSpace:
    """Return a model with random parameters and a spectral radius of RADIUS (0 without lags)."""
    rng = np.random.default_rng([seed, factors, lags, signals])
    coefficients = rng.normal(size=(factors, factors * lags))
    current = rng.normal(size=(signals, factors))
    own = noise * rng.uniform(0.2, 1.0, signals)
    model = assemble(coefficients, np.eye(factors), current, own, lags)
    if coefficients.size:
        shrink = RADIUS / np.abs(np.linalg.eigvals(model.transition)).max()
        coefficients *= np.repeat(shrink ** np.arange(1, lags + 1), factors)
    return assemble(coefficients, np.eye(factors), current, own, lags)


def gapped(rows: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Return a copy of the rows with a share of the values missing at random."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(rows.shape) < share, np.nan, rows)


class Joint(NamedTuple):
    """All rows as one Gaussian vector: n * s values, n * d numbers of state."""

    values: np.ndarray
    seen: np.ndarray
    covariance: np.ndarray
    """Of the values, own noise and extra noise included."""
    with_states: np.ndarray
    """Of the values with the states."""
    states: np.ndarray

    def given(self, targets: np.ndarray, with_seen: np.ndarray, own: np.ndarray, seen=None):
        """Return mean and covariance of targets given seen values.

        `with_seen` is their covariance with all values, `own` that among themselves.
        """
        seen = self.seen if seen is None else seen
        gain = np.linalg.solve(self.covariance[np.ix_(seen, seen)], with_seen[:, seen].T).T
        mean = gain @ self.values[seen]
        return mean[targets], (own - gain @ with_seen[:, seen].T)[np.ix_(targets, targets)]

    def log_likelihood(self) -> float:
        """Return the log density of all seen values."""
        values = self.values[self.seen]
        covariance = self.covariance[np.ix_(self.seen, self.seen)]
        _, log_determinant = np.linalg.slogdet(covariance)
        distance = values @ np.linalg.solve(covariance, values)
        return -0.5 * float(len(values) * np.log(2.0 * np.pi) + log_determinant + distance)


def joint(model: StateSpace, rows: np.ndarray, extra_noise: np.ndarray | None = None) -> Joint:
    """Return the joint Gaussian of rows (n, s); nothing of the filter is used, only powers of A."""
    count, states = len(rows), len(model.transition)
    stationary = state_space.stationary(model)
    covariance = np.zeros((count * states, count * states))
    for later in range(count):
        for earlier in range(later + 1):
            power = np.linalg.matrix_power(model.transition, later - earlier)
            here = np.s_[later * states : (later + 1) * states]
            there = np.s_[earlier * states : (earlier + 1) * states]
            covariance[here, there] = power @ stationary
            covariance[there, here] = (power @ stationary).T
    observing = np.kron(np.eye(count), model.loadings)
    noise = np.broadcast_to(model.noise + (0.0 if extra_noise is None else extra_noise), rows.shape)
    values = rows.ravel()
    return Joint(
        values,
        ~np.isnan(values),
        observing @ covariance @ observing.T + np.diag(noise.ravel()),
        observing @ covariance,
        covariance,
    )
