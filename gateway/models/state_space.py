"""A linear-Gaussian dynamic factor model: its law, its belief row by row, its samples.

    y_t = C f_t + e_t,                        e ~ N(0, diag(noise))        signals (s,)
    f_t = A_1 f_(t-1) + ... + A_p f_(t-p) + w_t,   w ~ N(0, Q)             factors (k,)

The state x_t = (f_t, ..., f_(t-p+1)) has d = k * max(p, 1) numbers (companion form), so that
x_t = A x_(t-1) + w_t. With no lags the factors are white: factor analysis. Rows start in the
stationary law, are centred and scaled by the caller, and hold NaN where a value is missing; any
pattern of missing values is integrated out exactly.

Everything is low rank plus diagonal: with G = C' R^-1 C over the seen signals, R their noise,

    (C P C' + R)^-1 = R^-1 - R^-1 C P+ C' R^-1,      P+ = P - P_f (I + G P_ff)^-1 G P_f'

(Woodbury), where P_f are the columns of the present factors and P_ff their block. So no matrix of
the size of the signals is ever inverted, P may be singular (in companion form it often is), and a
row costs O(signals * factors^2 + d^2 * factors).

Promised: covariances that leave are symmetric; a row without any value changes nothing.
Left to others: learning (em.py), number of factors and lags (order.py), levels, scale, regimes.

Sources: Durbin and Koopman, Time Series Analysis by State Space Methods (2012), 4.2-4.5;
Jungbacker and Koopman (2015), Likelihood-based dynamic factor analysis, for the small G;
Luetkepohl, New Introduction to Multiple Time Series Analysis (2005), 2.1, for the companion form.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.models import passes, recurrence
from gateway.models.passes import Dynamics, Pass
from gateway.models.recurrence import Means

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_LOG_TWO_PI: Final = math.log(2.0 * math.pi)
_DOUBLINGS_MAX: Final = 60


class StateSpace(NamedTuple):
    """A model of centred, scaled rows; s signals, d = factors * max(lags, 1) numbers of state."""

    transition: Floats
    """(d, d): A in companion form; all zero without lags. Its spectral radius is below 1."""
    state_noise: Floats
    """(d, d): Q; only the block of the present factors is not zero."""
    loadings: Floats
    """(s, d): C; only the columns of the present factors are not zero."""
    noise: Floats
    """(s,): variance of each signal's own noise, above zero."""
    factors: int
    lags: int

    @property
    def current(self) -> Floats:
        """Loadings of the present factors, (s, factors)."""
        return self.loadings[:, : self.factors]


class Belief(NamedTuple):
    """What is known of the state at one row: mean (d,) and covariance (d, d)."""

    mean: Floats
    covariance: Floats


class Updated(NamedTuple):
    """What one row did to a belief."""

    belief: Belief
    innovation: Floats
    """(s,): value minus what the belief expected; NaN where missing."""
    log_density: float
    """Of the seen values given the belief; 0 if nothing was seen."""
    seen: Bools
    """(s,): where the row had a value."""


class _Gain(NamedTuple):
    """What seen signals of noise R do to a belief of covariance P, without their values."""

    precision_rows: Floats
    """(o, k): R^-1 C of the o seen signals."""
    resolvent: Floats
    """(k, k): (I + G P_ff)^-1."""
    covariance: Floats
    """(d, d): P+."""
    log_determinant: float
    """Of the covariance of the seen signals."""


# --- the law --------------------------------------------------------------------------------------


def assemble(
    coefficients: Floats, noise_of_factors: Floats, current: Floats, noise: Floats, lags: int
) -> StateSpace:
    """Make a model from VAR coefficients (k, k * lags), Q of the factors (k, k), C (s, k), noise.

    Without lags the coefficients are empty, (k, 0).
    """
    factors = current.shape[1]
    states = factors * max(lags, 1)
    transition = np.zeros((states, states))
    transition[:factors, : factors * lags] = coefficients
    transition[factors:, : states - factors] = np.eye(states - factors)
    state_noise = np.zeros((states, states))
    state_noise[:factors, :factors] = noise_of_factors
    loadings = np.zeros((len(noise), states))
    loadings[:, :factors] = current
    return StateSpace(transition, state_noise, loadings, noise, factors, lags)


def stationary(model: StateSpace) -> Floats:
    """Return the covariance (d, d) of the state when nothing has been seen.

    The sum of A^i Q A'^i, doubled in length at each step: always positive semi-definite.
    """
    power = model.transition
    total = model.state_noise
    for _ in range(_DOUBLINGS_MAX):
        more = power @ total @ power.T
        total = total + more
        if np.abs(more).max(initial=0.0) <= 1e-16 * np.abs(total).max(initial=0.0):
            break
        power = power @ power
    return _symmetric(total)


def covariance(model: StateSpace) -> Floats:
    """Return the covariance (s, s) of a row."""
    return autocovariance(model, 0)


def autocovariance(model: StateSpace, lag: int) -> Floats:
    """Return cov(y_(t + lag), y_t), (s, s); signal of the later row first; `lag` >= 0."""
    moved = np.linalg.matrix_power(model.transition, lag) @ stationary(model)
    result: Floats = model.loadings @ moved @ model.loadings.T
    return _symmetric(result + np.diag(model.noise)) if lag == 0 else result


def mean_state_covariance(model: StateSpace, rows: int) -> Floats:
    """Return the covariance V (d, d) of the mean of the state over `rows` neighbouring rows.

    The mean of those rows of signals then has the covariance C V C' + diag(noise) / rows.
    V = (Gamma + S Gamma + Gamma S') / rows with S = sum over h of (1 - h / rows) A^h, in closed
    form: rows S = B ((rows - 1) I - B (I - A^(rows - 1))), B = (I - A)^-1 A.
    """
    gamma = stationary(model)
    identity = np.eye(len(gamma))
    gone = np.linalg.solve(identity - model.transition, model.transition)
    last = np.linalg.matrix_power(model.transition, rows - 1)
    weighted = gone @ ((rows - 1) * identity - gone @ (identity - last)) / rows
    return _symmetric(gamma + weighted @ gamma + gamma @ weighted.T) / rows


# --- row by row -----------------------------------------------------------------------------------


def start(model: StateSpace) -> Belief:
    """Return the belief before the first row: the stationary law."""
    return Belief(np.zeros(len(model.transition)), stationary(model))


def predict(model: StateSpace, belief: Belief) -> Belief:
    """Return the belief one row later, when that row has not been seen."""
    moved = model.transition @ belief.covariance @ model.transition.T
    return Belief(model.transition @ belief.mean, _symmetric(moved + model.state_noise))


def update(
    model: StateSpace, belief: Belief, row: Floats, extra_noise: Floats | None = None
) -> Updated:
    """Take a row (s,) into a belief about its state; `extra_noise` (s,) adds to the noise.

    Typical extra noise is the variance of a signal's level. Infinite values must not get here.
    """
    seen = row == row  # noqa: PLR0124 - the fast way to tell NaN
    innovation = row - model.current @ belief.mean[: model.factors]
    if not seen.any():
        return Updated(belief, innovation, 0.0, seen)
    noise = _noise(model, extra_noise)[seen]
    gain = _gain(model.current[seen], noise, belief.covariance)
    after, weight = _moved(belief, gain, innovation[seen])
    rest = innovation[seen] - model.current[seen] @ (after.mean - belief.mean)[: model.factors]
    # Two sums of squares instead of a difference of large numbers.
    distance = float(rest @ (rest / noise) + weight @ (after.mean - belief.mean)[: model.factors])
    log_density = -0.5 * (len(noise) * _LOG_TWO_PI + gain.log_determinant + distance)
    return Updated(after, innovation, log_density, seen)


def conditional(
    model: StateSpace, belief: Belief, row: Floats, extra_noise: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return mean and variance (s,) of each signal given the belief and all other seen signals.

    A missing signal is given all seen ones. The variance is that of a value, own noise included.
    Leaving one out needs no second solution: with leverage h_i = c_i' P+ c_i / r_i the mean is
    y_i - (y_i - c_i' m+) / (1 - h_i) and the variance r_i / (1 - h_i).
    """
    after, _, _, seen = update(model, belief, row, extra_noise)
    noise = _noise(model, extra_noise)
    block = after.covariance[: model.factors, : model.factors]
    fitted = model.current @ after.mean[: model.factors]
    spread = np.einsum("sk,sk->s", model.current @ block, model.current)
    # Rounding may lift a leverage to 1 only where a signal is all but free of noise.
    left = np.maximum(1.0 - spread / noise, np.finfo(np.float64).eps)
    mean = np.where(seen, row - (row - fitted) / left, fitted)
    return mean, np.where(seen, noise / left, noise + spread)


def forecast(model: StateSpace, belief: Belief, steps: int) -> tuple[Floats, Floats]:
    """Return means (steps, s) and covariances (steps, s, s) of the rows after that of `belief`."""
    signals = len(model.noise)
    means = np.empty((steps, signals))
    covariances = np.empty((steps, signals, signals))
    for step in range(steps):
        belief = predict(model, belief)
        means[step] = model.loadings @ belief.mean
        spread = model.loadings @ belief.covariance @ model.loadings.T
        covariances[step] = _symmetric(spread + np.diag(model.noise))
    return means, covariances


def _noise(model: StateSpace, extra_noise: Floats | None) -> Floats:
    """Return the noise (s,) with what is added to it."""
    return model.noise if extra_noise is None else model.noise + extra_noise


def _gain(current: Floats, noise: Floats, covariance: Floats) -> _Gain:
    """Return what seen signals, loadings (o, k) and noise (o,), do to a covariance (d, d)."""
    factors = current.shape[1]
    precision_rows: Floats = current / noise[:, None]
    gram = current.T @ precision_rows
    inner = np.eye(factors) + gram @ covariance[:factors, :factors]
    resolvent = np.asarray(np.linalg.inv(inner), dtype=np.float64)
    columns = covariance[:, :factors]
    after = covariance - columns @ (resolvent @ gram) @ columns.T
    _, log_determinant = np.linalg.slogdet(inner)
    total = float(log_determinant) + float(np.log(noise).sum())
    return _Gain(precision_rows, resolvent, _symmetric(after), total)


def _moved(belief: Belief, gain: _Gain, innovation: Floats) -> tuple[Belief, Floats]:
    """Return the belief after the innovation (o,) and the weight (k,) it gave to the factors."""
    weight = gain.resolvent @ (innovation @ gain.precision_rows)
    mean = belief.mean + belief.covariance[:, : len(weight)] @ weight
    return Belief(mean, gain.covariance), weight


def _symmetric(matrix: Floats) -> Floats:
    """Return the symmetric part of (d, d)."""
    result: Floats = 0.5 * (matrix + matrix.T)
    return result


# --- many rows ------------------------------------------------------------------------------------


class Filtered(NamedTuple):
    """The causal belief about the state at each of n rows, before and after the row."""

    predicted_means: Floats
    """(n, d): given the rows before."""
    predicted_covariances: Floats
    """(n, d, d)."""
    means: Floats
    """(n, d): given the rows up to and with this one."""
    covariances: Floats
    """(n, d, d)."""
    log_densities: Floats
    """(n,): of the seen values of a row given all rows before it."""


class Smoothed(NamedTuple):
    """The belief about the state at each of n rows given all of them."""

    means: Floats
    """(n, d)."""
    covariances: Floats
    """(n, d, d)."""
    cross: Floats
    """(n - 1, d, d): covariance of the state of row t + 1 (rows) with that of row t (columns)."""
    log_likelihood: float


class Causal(NamedTuple):
    """A forward pass over n rows."""

    matrices: Pass
    means: Means
    log_densities: Floats
    """(n,)."""


def causal(
    model: StateSpace,
    rows: Floats,
    extra_noise: Floats | None = None,
    lengths: Sequence[int] | None = None,
) -> Causal:
    """Filter rows (n, s) from the stationary start; `extra_noise` is (s,) or (n, s).

    With `lengths` the rows are several segments of so many rows, each from that start.
    """
    seen = ~np.isnan(rows)
    noise = _noise(model, extra_noise)
    # Zero for a missing value, so that it has no part in any sum below.
    precision = np.where(seen, 1.0 / noise, 0.0)
    values = np.where(seen, rows, 0.0)
    dynamics = Dynamics(model.transition, model.state_noise, stationary(model))
    matrices = passes.over(dynamics, model.current, precision, lengths)
    means = matrices.means((values * precision) @ model.current)
    moved = (means.updated - means.predicted)[:, : model.factors]
    values -= means.updated[:, : model.factors] @ model.current.T
    distance = np.einsum("ns,ns,ns->n", values, values, precision)
    distance += np.einsum("nk,nk->n", moved, means.weights)
    constant = np.where(seen, np.log(noise) + _LOG_TWO_PI, 0.0).sum(axis=1)
    constant += matrices.log_determinants()
    return Causal(matrices, means, -0.5 * (constant + distance))


def filter_rows(model: StateSpace, rows: Floats, extra_noise: Floats | None = None) -> Filtered:
    """Return the causal beliefs at rows (n, s); `extra_noise` is (s,) or (n, s)."""
    matrices, means, log_densities = causal(model, rows, extra_noise)
    return Filtered(
        means.predicted, matrices.predicted(), means.updated, matrices.updated(), log_densities
    )


def smooth(model: StateSpace, rows: Floats, extra_noise: Floats | None = None) -> Smoothed:
    """Return the beliefs at rows (n, s) given all of them; `extra_noise` is (s,) or (n, s)."""
    matrices, means, log_densities = causal(model, rows, extra_noise)
    covariances = np.empty((len(rows), *model.transition.shape))
    cross = np.empty_like(covariances)
    for stretch in matrices.stretches():
        covariances[stretch.rows] = stretch.covariance
        cross[stretch.rows] = stretch.cross
    log_likelihood = float(log_densities.sum())
    return Smoothed(matrices.smoothed(means), covariances, cross[:-1], log_likelihood)


def sample(model: StateSpace, rows: int, rng: np.random.Generator) -> Floats:
    """Draw rows (n, s) from the stationary law."""
    first = _root(stationary(model)) @ rng.normal(size=len(model.transition))
    pushes = rng.normal(size=(rows, len(first))) @ _root(model.state_noise).T
    states = recurrence.scan(model.transition, pushes, first)[:rows]
    own = rng.normal(size=(rows, len(model.noise))) * np.sqrt(model.noise)
    result: Floats = states @ model.loadings.T + own
    return result


def _root(covariance: Floats) -> Floats:
    """Return a matrix (d, d) whose product with its transpose is `covariance`, singular or not."""
    values, vectors = np.linalg.eigh(covariance)
    root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return root
