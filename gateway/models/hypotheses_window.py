"""The exact joint law of a window of rows, in the form in which hypotheses can be compared.

    y_it = level_i + C_i x_t + e_it       signals i of u, rows t of n, NaN where missing
    cov(y_it, y_js) = C_i Gamma(t - s) C_j' + [i = j] N_i(t, s)
    N_i(t, s) = noise_i p_i^|t - s| + level_variance_i + drift_i min(t, s)

Gamma is the autocovariance of the factors (state_space.py), p_i the persistence of a signal's own
noise and N_i all that is a signal's own. With K the covariance of all seen values and r their
residuals, everything a hypothesis about signal i asks for is the i-th diagonal block of K^-1 and
the i-th part of K^-1 r:

    P_i = R_i - R_i W_i R_i,    z_i = b_i - R_i C_i x^,     R_i = N_i^-1, b_i = R_i r_i
    W = (Kx^-1 + sum_i R_i (x) C_i C_i')^-1,    x^ = W sum_i C_i (x) b_i,
    W_i(t, s) = C_i W(t, s) C_i'

(Woodbury; Kx is the covariance of the factors over the window). No matrix of n u by n u is made:
O(u n^3 + (n k)^3) for k factors.

Promised: exact for any pattern of missing values; a missing value has rows and columns of zeros.
Densities are Student with the degrees of freedom of what was learnt, so that a window in which
everything is a little wider than believed does not look for a culprit.
Left to others: what may have happened (hypotheses_*.py) and how probable that is (causes.py).

Sources: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), A.2 and A.3;
Roth (2013), On the multivariate t distribution, for the density.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import gammaln

from gateway.models.state_space import StateSpace, stationary

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_JITTER: Final = 1e-10
"""Added to the diagonal of the factors' covariance, relative: in companion form it is singular."""


class Law(NamedTuple):
    """What the rows of an asset obey when all is well; arrays (u,), units of each signal's scale.

    Rows are residuals: the level has been taken off.
    """

    state_space: StateSpace
    persistence: Floats
    """Correlation of a signal's own noise from one row to the next, 0 to below 1."""
    level_variance: Floats
    """How uncertain the level is at the first row of the window (calibration age included)."""
    drift: Floats
    """Variance the level gains per row."""
    resolution: Floats
    """Smallest step between two different values, above zero."""
    hold: Floats
    """Probability that a healthy value is exactly its predecessor."""
    missing: Floats
    """Probability that a healthy value is missing."""
    degrees: float
    """Degrees of freedom of what was learnt."""

    @property
    def spread(self) -> Floats:
        """Standard deviation (u,) of a healthy row about its level: the "sigma" of a size."""
        current = self.state_space.current
        gamma = stationary(self.state_space)[: current.shape[1], : current.shape[1]]
        variance = np.einsum("if,fg,ig->i", current, gamma, current) + self.state_space.noise
        result: Floats = np.sqrt(variance)
        return result


class Window(NamedTuple):
    """A window of rows and what the law says about it; n rows, u signals, k factors."""

    law: Law
    values: Floats
    """(u, n): residuals, 0 where missing."""
    seen: Bools
    """(u, n)."""
    own: Floats
    """(u, n, n): N_i, for all rows."""
    own_precision: Floats
    """(u, n, n): R_i."""
    coupling: Floats
    """(n, k, n, k): W."""
    factors: Floats
    """(n, k): x^, the factors given all that was seen."""
    precision: Floats
    """(u, n, n): P_i."""
    weighted: Floats
    """(u, n): z_i."""
    distance: float
    """r' K^-1 r."""
    log_determinant: float
    """log det K."""
    total: int
    """Values seen."""

    @property
    def log_density(self) -> float:
        """Log density of the window under the law."""
        return float(log_density(self.distance, self.log_determinant, self.total, self.law.degrees))


def log_density(
    distance: Floats | float,
    log_determinant: Floats | float,
    count: Floats | float,
    degrees: float,
) -> Floats:
    """Log of the multivariate Student density at squared distances; shapes as they broadcast."""
    half = 0.5 * (degrees + np.asarray(count, dtype=np.float64))
    shape = gammaln(half) - gammaln(0.5 * degrees)
    spread = 0.5 * (np.asarray(count) * np.log(degrees * np.pi) + log_determinant)
    result: Floats = shape - spread - half * np.log1p(np.maximum(distance, 0.0) / degrees)
    return result


def own_covariance(law: Law, rows: int) -> Floats:
    """Return N_i of every signal, (u, rows, rows)."""
    place = np.arange(rows)
    lags = np.abs(place[:, None] - place[None, :])
    noise = law.state_space.noise[:, None, None] * law.persistence[:, None, None] ** lags
    age = np.minimum(place[:, None], place[None, :])
    wander = law.level_variance[:, None, None] + law.drift[:, None, None] * age
    result: Floats = noise + wander
    return result


def factor_covariance(law: Law, rows: int) -> Floats:
    """Return Kx, the covariance (rows, k, rows, k) of the factors over a window."""
    model = law.state_space
    factors = model.current.shape[1]
    moved = stationary(model)
    gamma = np.empty((rows, factors, factors))
    for lag in range(rows):
        gamma[lag] = moved[:factors, :factors]
        moved = model.transition @ moved
    place = np.arange(rows)
    lags = place[:, None] - place[None, :]
    later = gamma[np.abs(lags)]
    both = np.where((lags >= 0)[:, :, None, None], later, later.swapaxes(2, 3))
    result: Floats = np.ascontiguousarray(both.transpose(0, 2, 1, 3))
    return result


def weigh(law: Law, rows: Floats) -> Window:
    """Weigh residual rows (n, u), NaN where missing, under the law."""
    values = np.ascontiguousarray(rows.T)
    seen = ~np.isnan(values)
    values = np.where(seen, values, 0.0)
    own = own_covariance(law, len(rows))
    own_precision, own_determinant = _inverses(own, seen)
    current = law.state_space.current
    among = factor_covariance(law, len(rows))
    gram = np.einsum("its,if,ig->tfsg", own_precision, current, current, optimize=True)
    coupling, determinant = _woodbury(among, gram)
    own_weighted = np.einsum("its,is->it", own_precision, values)
    flat = own_weighted.T @ current
    factors = np.einsum("tfsg,sg->tf", coupling, flat)
    pulled = np.einsum("its,sf,if->it", own_precision, factors, current, optimize=True)
    weighted = own_weighted - pulled
    mine = _of_signals(coupling, current)
    precision = own_precision - own_precision @ mine @ own_precision
    return Window(
        law,
        values,
        seen,
        own,
        own_precision,
        coupling,
        factors,
        0.5 * (precision + precision.swapaxes(1, 2)),
        weighted,
        float((values * weighted).sum()),
        float(own_determinant.sum()) + determinant,
        int(seen.sum()),
    )


def deviation_given_all(law: Law, rows: int) -> Floats:
    """Return the deviation (u,) of a healthy value given all others of a window around it."""
    window = weigh(law, np.zeros((rows, len(law.resolution))))
    result: Floats = 1.0 / np.sqrt(window.precision[:, rows // 2, rows // 2])
    return result


class LeftOut(NamedTuple):
    """The window without the last values of one signal; (u, n), by how many rows are left out.

    Column a - 1 leaves out the rows n - a ... n - 1 of the signal.
    """

    distance: Floats
    log_determinant: Floats
    remaining: Floats
    """Values that remain."""
    taken: Floats
    """Values left out."""
    surprise: Floats
    """Squared distance of the values left out, given all that remains."""
    precision_determinant: Floats
    """log det of the precision of the values left out, given all that remains."""


def left_out(window: Window) -> LeftOut:
    """Return the window without the last 1 ... n rows of each signal, for all of them at once.

    With B the values left out: r_B - E[r_B | rest] = P_B^-1 z_B and cov(r_B | rest) = P_B^-1. One
    Cholesky factor of the reversed block holds the factors of all shorter ones.
    """
    reversed_seen = window.seen[:, ::-1]
    block = window.precision[:, ::-1, ::-1] + _diagonal(~reversed_seen)
    lower = np.linalg.cholesky(block)
    solved = np.linalg.solve(lower, window.weighted[:, ::-1, None])[:, :, 0]
    surprise = np.cumsum(solved**2, axis=1)
    determinant = np.cumsum(2.0 * np.log(np.diagonal(lower, axis1=1, axis2=2)), axis=1)
    taken = np.cumsum(reversed_seen, axis=1).astype(np.float64)
    return LeftOut(
        window.distance - surprise,
        window.log_determinant + determinant,
        window.total - taken,
        taken,
        surprise,
        determinant,
    )


class Rest(NamedTuple):
    """Every signal given all the others over the whole window, its own values unused."""

    mean: Floats
    """(u, n)."""
    covariance: Floats
    """(u, n, n)."""


def given_others(window: Window) -> Rest:
    """Return the law of each signal's rows, missing ones too, given all other signals.

    With W_i as above: cov = N_i + (I - W_i R_i)^-1 W_i, mean = (I - W_i R_i)^-1 (C_i x^ - W_i b_i).
    """
    current = window.law.state_space.current
    mine = _of_signals(window.coupling, current)
    back = np.eye(mine.shape[1]) - mine @ window.own_precision
    own_weighted = np.einsum("its,is->it", window.own_precision, window.values)
    expected = current @ window.factors.T - np.einsum("its,is->it", mine, own_weighted)
    right = np.concatenate([mine, expected[:, :, None]], axis=2)
    solved = np.linalg.solve(back, right)
    covariance = window.own + solved[:, :, :-1]
    return Rest(solved[:, :, -1], 0.5 * (covariance + covariance.swapaxes(1, 2)))


def without_from(window: Window, signal: int, first: int) -> tuple[Floats, Floats]:
    """Return mean and deviation (n - first,) of a signal's rows from `first` on, given the rest.

    The rest is every value of the other signals and the signal's own before `first`.
    """
    rest = given_others(only(window, np.array([signal])))
    mean, covariance = rest.mean[0], rest.covariance[0]
    before = np.flatnonzero(window.seen[signal, :first])
    later = np.arange(first, window.values.shape[1])
    if len(before):
        gain = np.linalg.solve(
            covariance[np.ix_(before, before)], covariance[np.ix_(before, later)]
        ).T
        shift = gain @ (window.values[signal, before] - mean[before])
        mean = mean[later] + shift
        covariance = covariance[np.ix_(later, later)] - gain @ covariance[np.ix_(before, later)]
    else:
        mean, covariance = mean[later], covariance[np.ix_(later, later)]
    return mean, np.sqrt(np.maximum(np.diag(covariance), 0.0))


def only(window: Window, signals: NDArray[np.int64]) -> Window:
    """Return the window with the per-signal arrays of some signals; the rest is untouched.

    For `given_others` of those alone; what is summed over all signals stays what it was.
    """
    law = window.law
    space = law.state_space._replace(loadings=law.state_space.loadings[signals])
    return window._replace(
        law=law._replace(state_space=space),
        values=window.values[signals],
        seen=window.seen[signals],
        own=window.own[signals],
        own_precision=window.own_precision[signals],
    )


def _of_signals(coupling: Floats, current: Floats) -> Floats:
    """Return W_i of every signal, (u, n, n)."""
    rows, factors = coupling.shape[:2]
    once = np.einsum("if,tfsg->itsg", current, coupling, optimize=True)
    result: Floats = np.einsum("itsg,ig->its", once, current).reshape(-1, rows, rows)
    return result if factors else np.zeros((len(current), rows, rows))


def _inverses(covariance: Floats, seen: Bools) -> tuple[Floats, Floats]:
    """Return inverse (u, n, n) and log determinant (u,) of the seen parts; zeros elsewhere."""
    both = seen[:, :, None] & seen[:, None, :]
    filled = np.where(both, covariance, 0.0) + _diagonal(~seen)
    _, log_determinant = np.linalg.slogdet(filled)
    return np.where(both, np.linalg.inv(filled), 0.0), log_determinant


def _woodbury(among: Floats, gram: Floats) -> tuple[Floats, float]:
    """Return W = L (I + L' G L)^-1 L' for Kx = L L' and log det of the inner matrix."""
    shape = among.shape
    size = shape[0] * shape[1]
    if size == 0:
        return np.zeros(shape), 0.0
    covariance = among.reshape(size, size)
    jitter = _JITTER * float(np.trace(covariance)) / size
    lower = np.linalg.cholesky(covariance + jitter * np.eye(size))
    inner = np.eye(size) + lower.T @ gram.reshape(size, size) @ lower
    root = np.linalg.cholesky(inner)
    half = solve_triangular(root, lower.T, lower=True)
    return (half.T @ half).reshape(shape), float(2.0 * np.log(np.diag(root)).sum())


def _diagonal(missing: Bools) -> Floats:
    """Return (u, n, n) with 1 on the diagonal where a value is missing: it then counts nothing."""
    result: Floats = np.eye(missing.shape[1]) * missing[:, None, :]
    return result
