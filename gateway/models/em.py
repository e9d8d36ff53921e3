"""Learning a state-space model by EM, from statistics that add up.

E-step (`expect`): one smoother pass over a segment of rows turns them into `Statistics`: sums of
posterior moments of factors and states, whose sizes do not depend on the number of rows. Statistics
of several segments, or of several sites, are added; nothing else of the rows is needed.
M-step (`maximise`), with f the factors, x the state, < > posterior moments:

    C_i = sum <y_i f'> (sum <f f'>)^-1 over the rows where signal i was seen
    noise_i = mean of <(y_i - C_i f)^2>, not below NOISE_MIN
    A = sum <f_t x_(t-1)'> (sum <x_(t-1) x_(t-1)'>)^-1,   Q = mean of <(f_t - A x_(t-1))(...)'>

Segments start in the stationary law, which depends on A and Q too. So the candidate for A and Q is
judged with that term and within the limits of normal_form.py, and its step is halved until the
expectation does not fall (generalised EM); C and noise are exact maximisers above their floor.
Hence the likelihood never falls. Each step ends in the normal form, which changes no likelihood.

Promised: a fit from parts equals the pooled fit, since a part only answers with sums.
Left to others: how many factors and lags (order.py); centring and scaling (scaling.py).

Sources: Shumway and Stoffer (1982), An approach to time series smoothing and forecasting using the
EM algorithm; Watson and Engle (1983) for dynamic factors; Banbura and Modugno (2014), section 2,
for missing values; Dempster, Laird and Rubin (1977), section 3, for generalised EM; Liu, Rubin and
Wu (1998), Parameter expansion to accelerate EM, for the free covariance of white factors.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from typing import Final, NamedTuple, Protocol, final

import numpy as np
from numpy.typing import NDArray

from gateway.models import passes
from gateway.models.lagged_moments import Moments, initial, moments
from gateway.models.normal_form import (
    NOISE_MIN,
    canonical,
    coefficients_of,
    floored,
    limited,
    noise_of_factors,
    with_dynamics,
)
from gateway.models.recurrence import Stretch
from gateway.models.state_space import Bools, Floats, StateSpace, assemble, causal, stationary

__all__ = [
    "Fit",
    "LocalPart",
    "Moments",
    "Part",
    "Statistics",
    "UnfitSegmentsError",
    "expect",
    "fit",
    "fit_parts",
    "improve",
    "initial",
    "maximise",
    "moments",
]

Places = NDArray[np.intp]

ITERATIONS: Final = 50
TOLERANCE: Final = 1e-6
"""Gain of log-likelihood per seen value and iteration below which EM stops."""
_HALVINGS: Final = 6


class UnfitSegmentsError(ValueError):
    """The segments cannot carry the model asked for; the message says why."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Sums over rows of s signals, k factors, d numbers of state; add them with `+`."""

    log_likelihood: float
    starts: int
    """Segments."""
    steps: int
    """Rows that follow another one."""
    counts: Floats
    """(s,): values seen."""
    squares: Floats
    """(s,): sum of y^2."""
    values: Floats
    """(s, k): sum of <y f'>."""
    seconds: Floats
    """(s, k, k): sum of <f f'> over the rows where the signal was seen."""
    first: Floats
    """(d, d): sum of <x x'> over first rows."""
    previous: Floats
    """(d, d): sum of <x_(t-1) x_(t-1)'> over steps."""
    cross: Floats
    """(k, d): sum of <f_t x_(t-1)'> over steps."""
    present: Floats
    """(k, k): sum of <f_t f_t'> over steps."""

    def __add__(self, other: "Statistics") -> "Statistics":
        names = [field.name for field in fields(self)]
        return Statistics(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Fit(NamedTuple):
    """A model and the log-likelihoods it passed through, which never fall; the last is its own."""

    model: StateSpace
    log_likelihoods: tuple[float, ...]


class Part(Protocol):
    """Who holds rows and answers with sums only: this process, or a gateway far away."""

    def moments(self, lags: int) -> Moments:
        """Return the lagged moments of the part's rows."""

    def expect(self, model: StateSpace) -> Statistics:
        """Return the statistics of the part's rows under a model."""


@final
class LocalPart:
    """Segments of rows (n, s) in this process."""

    def __init__(self, segments: Sequence[Floats]) -> None:
        self.segments = _checked(segments)
        self._groups = _groups(self.segments)

    def moments(self, lags: int) -> Moments:
        """Return the lagged moments; no pair spans two segments."""
        return reduce(add, [moments(rows, lags) for rows in self.segments])

    def expect(self, model: StateSpace) -> Statistics:
        """Return the statistics of all segments."""
        return reduce(add, [expect(model, *group) for group in self._groups])


# --- fit ------------------------------------------------------------------------------------------


def fit(
    segments: Sequence[Floats],
    factors: int,
    lags: int,
    *,
    iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
) -> Fit:
    """Fit to segments of centred rows (n, s) of about unit variance, NaN where missing.

    Raises `UnfitSegmentsError` for no rows, unequal widths, infinite values, or a number of factors
    outside 0..s.
    """
    return fit_parts(
        [LocalPart(segments)], factors, lags, iterations=iterations, tolerance=tolerance
    )


def fit_parts(
    parts: Sequence[Part],
    factors: int,
    lags: int,
    *,
    iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
) -> Fit:
    """Fit to parts that answer with sums only; raises `UnfitSegmentsError` like `fit`."""
    sums = reduce(add, [part.moments(lags) for part in parts])
    signals = sums.products.shape[1]
    if not 0 <= factors <= signals or lags < 0:
        raise UnfitSegmentsError(
            f"{factors} factors and {lags} lags of {signals} signals; "
            f"0 to {signals} factors and 0 lags or more are possible"
        )
    return improve(parts, initial(sums, factors, lags), iterations=iterations, tolerance=tolerance)


def improve(parts: Sequence[Part], model: StateSpace, *, iterations: int, tolerance: float) -> Fit:
    """Go on from a model by at most `iterations` steps of EM."""
    statistics = reduce(add, [part.expect(model) for part in parts])
    passed = [statistics.log_likelihood]
    for _ in range(iterations):
        candidate = maximise(statistics, model)
        statistics = reduce(add, [part.expect(candidate) for part in parts])
        gain = statistics.log_likelihood - passed[-1]
        # At the top rounding decides the sign, and a step down is not taken.
        if not gain >= 0.0:
            break
        model = candidate
        passed.append(statistics.log_likelihood)
        if gain <= tolerance * statistics.counts.sum():
            break
    return Fit(model, tuple(passed))


def _checked(segments: Sequence[Floats]) -> list[Floats]:
    """Return the segments that have rows; raise `UnfitSegmentsError` if EM could not run."""
    filled = [np.asarray(rows, dtype=np.float64) for rows in segments if len(rows)]
    if not filled:
        raise UnfitSegmentsError("there are no rows to learn from")
    widths = {rows.shape[1:] for rows in filled}
    if len(widths) != 1 or len(next(iter(widths))) != 1:
        raise UnfitSegmentsError(f"segments have different shapes of rows: {sorted(widths)}")
    for index, rows in enumerate(filled):
        if np.isinf(rows).any():
            row, signal = np.argwhere(np.isinf(rows))[0]
            raise UnfitSegmentsError(
                f"segment {index}, row {row}: signal {signal} is infinite; NaN marks a missing one"
            )
    return filled


def _groups(segments: Sequence[Floats]) -> list[tuple[Floats, Sequence[int] | None]]:
    """Return the segments as `expect` takes them: those in lanes all at once, others one by one."""
    restless = [passes.is_restless(np.isnan(rows)) for rows in segments]
    groups: list[tuple[Floats, Sequence[int] | None]] = [
        (rows, None) for rows, is_so in zip(segments, restless, strict=True) if not is_so
    ]
    together = [rows for rows, is_so in zip(segments, restless, strict=True) if is_so]
    if together:
        groups.append((np.concatenate(together), [len(rows) for rows in together]))
    return groups


# --- E-step ---------------------------------------------------------------------------------------


def expect(model: StateSpace, rows: Floats, lengths: Sequence[int] | None = None) -> Statistics:
    """Return the statistics of one segment of rows (n, s), n > 0, NaN where missing.

    With `lengths` the rows are several segments of so many rows.
    """
    factors = model.factors
    matrices, means, log_densities = causal(model, rows, None, lengths)
    smoothed = matrices.smoothed(means)
    seen = ~np.isnan(rows)
    values = np.where(seen, rows, 0.0)
    current = smoothed[:, :factors]
    stops = np.cumsum([len(rows)] if lengths is None else lengths)
    firsts = np.append(0, stops[:-1])
    spreads = _spreads(matrices.stretches(), seen, firsts, stops - 1, factors)
    # The products of a step that is none, from one segment to the next, are taken off again.
    crossed = current[1:].T @ smoothed[:-1] - current[firsts[1:]].T @ smoothed[stops[:-1] - 1]
    first = spreads.first + smoothed[firsts].T @ smoothed[firsts]
    last = spreads.last + smoothed[stops - 1].T @ smoothed[stops - 1]
    total = spreads.total + smoothed.T @ smoothed
    return Statistics(
        log_likelihood=float(log_densities.sum()),
        starts=len(stops),
        steps=len(rows) - len(stops),
        counts=seen.sum(axis=0).astype(np.float64),
        squares=np.einsum("ns,ns->s", values, values),
        values=values.T @ current,
        seconds=_seconds(seen, current, spreads),
        first=first,
        previous=total - last,
        cross=spreads.cross[:factors] + crossed,
        present=(total - first)[:factors, :factors],
    )


class _Spreads(NamedTuple):
    """Sums of smoothed covariances (d, d) over the rows of segments."""

    total: Floats
    first: Floats
    """Over first rows."""
    last: Floats
    """Over last rows."""
    cross: Floats
    """Of cross covariances over steps."""
    complete: Floats
    """Over complete rows."""
    partial: Floats
    """(m, k, k): of the factors at each of the other rows."""


def _spreads(
    stretches: Iterable[Stretch], seen: Bools, firsts: Places, lasts: Places, factors: int
) -> _Spreads:
    """Add up covariances of rows in which values (n, s) were seen."""
    complete: Bools = np.all(seen, axis=1)
    weights = np.zeros((len(seen), 5))
    weights[:, 0], weights[:, 4] = 1.0, complete
    weights[firsts, 1], weights[lasts, 2] = 1.0, 1.0
    weights[:, 3] = 1.0 - weights[:, 2]
    each = np.empty((len(seen), factors, factors)) if not complete.all() else None
    passed = np.vstack([np.zeros(5), weights.cumsum(axis=0)])
    shared: list[tuple[Floats, Floats, Floats]] = []
    sums = np.zeros((2, 1, 1, 1))
    for rows, covariance, cross in stretches:
        if isinstance(rows, slice):
            shared.append((passed[rows.stop] - passed[rows.start], covariance, cross))
        else:
            sums = sums + _weighted(weights[rows], covariance, cross)
        if each is not None:
            each[rows] = covariance[..., :factors, :factors]
    if shared:
        sums = sums + _weighted(*(np.array(part) for part in zip(*shared, strict=True)))
    (total, first, last, _, whole), crosses = sums
    partial = np.empty((0, factors, factors)) if each is None else each[~complete]
    return _Spreads(total, first, last, crosses[3], whole, partial)


def _weighted(weights: Floats, covariances: Floats, crosses: Floats) -> Floats:
    """Return the sums (2, w, d, d) of both (m, d, d), with weights (m, w)."""
    result: Floats = np.tensordot(weights.T, np.stack([covariances, crosses]), (1, 1))
    return result.swapaxes(0, 1)


def _seconds(seen: Bools, current: Floats, spreads: _Spreads) -> Floats:
    """Return for each signal the sum of <f f'> (s, k, k) over the rows where it was seen.

    Complete rows have one sum for all signals; only the others are added up one by one.
    """
    factors = current.shape[1]
    complete: Bools = np.all(seen, axis=1)
    common = current[complete].T @ current[complete] + spreads.complete[:factors, :factors]
    result = np.repeat(common[None], seen.shape[1], axis=0)
    if not complete.all():
        rest = current[~complete]
        outer = rest[:, :, None] * rest[:, None, :] + spreads.partial
        result += np.tensordot(seen[~complete].T.astype(np.float64), outer, 1)
    return result


# --- M-step ---------------------------------------------------------------------------------------


def maximise(sums: Statistics, like: StateSpace) -> StateSpace:
    """Return the model, in normal form, that the statistics under `like` lead to."""
    current, noise = _measurement(sums, like)
    moved = _dynamics(sums, like)
    return canonical(
        assemble(coefficients_of(moved), noise_of_factors(moved), current, noise, like.lags)
    )


def _measurement(sums: Statistics, like: StateSpace) -> tuple[Floats, Floats]:
    """Return loadings (s, k) and noise (s,); a signal never seen keeps what it had."""
    was_seen = sums.counts > 0.0
    current, noise = like.current.copy(), like.noise.copy()
    values, seconds = sums.values[was_seen], sums.seconds[was_seen]
    current[was_seen] = np.linalg.solve(seconds, values[:, :, None])[:, :, 0]
    fitted = current[was_seen]
    residual = sums.squares[was_seen] - 2.0 * (fitted * values).sum(axis=1)
    residual += np.einsum("sk,skl,sl->s", fitted, seconds, fitted)
    noise[was_seen] = np.maximum(residual / sums.counts[was_seen], NOISE_MIN)
    return current, noise


def _dynamics(sums: Statistics, like: StateSpace) -> StateSpace:
    """Return `like` with better VAR coefficients and innovations, or as it was."""
    factors = like.factors
    if like.lags == 0:
        total = sums.present + sums.first
        return with_dynamics(
            like, coefficients_of(like), floored(total / (sums.steps + sums.starts))
        )
    if factors == 0 or sums.steps == 0:
        return like
    old = coefficients_of(like)
    best = np.linalg.solve(sums.previous, sums.cross.T).T
    limit = _cost(sums, like)
    for halving in range(_HALVINGS):
        mixed = old + 0.5**halving * (best - old)
        tried = limited(with_dynamics(like, mixed, noise_of_factors(like)))
        kept = coefficients_of(tried)
        tried = with_dynamics(tried, kept, floored(_residual(sums, kept) / sums.steps))
        if _cost(sums, tried) <= limit:
            return tried
    return like


def _cost(sums: Statistics, model: StateSpace) -> float:
    """Return -2 times the expected log density of the states, constants left out."""
    residual = _residual(sums, coefficients_of(model))
    steps = _misfit(noise_of_factors(model), residual, sums.steps)
    return steps + _misfit(stationary(model), sums.first, sums.starts)


def _residual(sums: Statistics, coefficients: Floats) -> Floats:
    """Return the sum of <(f_t - A x_(t-1))(...)'> over steps, (k, k)."""
    crossed = coefficients @ sums.cross.T
    result: Floats = sums.present - crossed - crossed.T
    return result + coefficients @ sums.previous @ coefficients.T


def _misfit(covariance: Floats, squares: Floats, count: int) -> float:
    """Return count * log det + trace of covariance^-1 squares; infinite if it is not positive."""
    sign, log_determinant = np.linalg.slogdet(covariance)
    if sign <= 0.0:
        return np.inf
    trace = float(np.trace(np.linalg.solve(covariance, squares)))
    return count * float(log_determinant) + trace
