"""The generative model of one asset: a frozen record, and the questions it answers.

    y_t = location + scale * (m_r(t) + level_t + C x_t + e_t),   e_t ~ N(0, diag(noise))
    x_t = A x_(t-1) + w_t,   w_t ~ N(0, Q)          the state space (state_space.py)
    level_t = level_(t-1) + v_t,   v_t ~ N(0, diag(drift))
    r(t): a sticky Markov chain over regimes        (regimes.py)

S counts all signals of the asset, u those that take part (`scaling.used`). Rows are (n, S) in the
signals' own units, NaN for a missing value, one period apart; a signal that takes no part has NaN
for an answer. Levels are followed block by block, the factors row by row between them: the belief
about levels is diagonal and not correlated with that about the factors (assumed density).

An interval is mean +- Student quantile * deviation (`interval`).

Left to others: learning the model (fit.py), living with it row by row (tracker.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from gateway.models import state_space
from gateway.models.centring import Centred, Law, Standing, centre
from gateway.models.regimes import Regimes
from gateway.models.scaling import Scaling, scaled
from gateway.models.state_space import StateSpace

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class WrongModelError(ValueError):
    """A model was given rows or an asset it was not fitted to; the message names the channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinModel:
    """A learnt model; arrays (u,) run over the used signals in units of their scale."""

    asset: str
    signals: tuple[str, ...]
    """(S,): every signal the model was fitted to, used or not."""
    units: tuple[str, ...]
    """(S,)."""
    period_ns: int
    scaling: Scaling
    state_space: StateSpace
    """Of the u used signals."""
    regimes: Regimes
    drift: Floats
    """(u,): variance the level gains per row."""
    level: Floats
    """(u,): level at the last training row."""
    level_variance: Floats
    """(u,): how well that level is known; kept diagonal."""
    long_run: Floats
    """(u,): the own noise of the mean of n rows has the variance long_run * noise / n, n large."""
    is_slow: Bools
    """(u,): the level moves more than the rows around it: a covariate, told by the data."""
    tail: Floats
    """(window - 1, u): the last training rows, scaled: where the record ended, for whoever asks."""
    degrees: float
    """Effective degrees of freedom of what was learnt; intervals are Student with so many."""
    conditional_widening: Floats
    """(u,): factor on the deviation of a signal given others, learnt from held-out blocks."""
    forecast_widening: Floats
    """(u,): factor on the deviation of a forecast, learnt from held-out blocks."""
    calibration: object | None
    """Limits of the evidence (calibration.py), None before it is made."""
    facts: Mapping[str, object]
    """What a report wants to say about the fit; JSON-able, nothing is computed from it."""

    @property
    def window_rows(self) -> int:
        """Rows of a block of neighbours."""
        return len(self.tail) + 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names (u,) of the used signals."""
        return tuple(np.array(self.signals, dtype=object)[self.scaling.used])


class Imputed(NamedTuple):
    """Every value of n rows (n, S): a seen one as it is with deviation 0, else what is expected."""

    mean: Floats
    deviation: Floats


class Virtual(NamedTuple):
    """Target signals (n, targets) as the others say they are."""

    mean: Floats
    deviation: Floats


class Forecast(NamedTuple):
    """The next h rows (h, S), own noise included."""

    mean: Floats
    deviation: Floats


class Smoothed(NamedTuple):
    """What n rows were without their own noise, given all of them."""

    mean: Floats
    """(n, S)."""
    deviation: Floats
    """(n, S): of that mean."""
    factors: Floats
    """(n, factors)."""
    level: Floats
    """(n, u), scaled."""
    regimes: Floats
    """(n, r): probability of each regime."""


def interval(
    model: TwinModel, mean: Floats, deviation: Floats, share: float
) -> tuple[Floats, Floats]:
    """Return the ends of the central interval that holds with probability `share`."""
    reach = float(stdtrit(model.degrees, 0.5 + 0.5 * share)) * deviation
    return mean - reach, mean + reach


def log_predictive_density(model: TwinModel, rows: Floats) -> Floats:
    """Return the log density (n,) of each row given the rows before it, per own units.

    Rows follow the training rows, or rows like them. With several regimes it is that of the most
    probable one, times its probability.
    """
    values = _values(model, rows)
    centred = _centre(model, values, is_causal=True)
    passed = state_space.filter_rows(model.state_space, centred.rows, centred.variance)
    scale = np.where(np.isnan(values), 0.0, np.log(model.scaling.scale[model.scaling.used]))
    density: Floats = passed.log_densities + centred.cost - scale.sum(axis=1)
    return density


def impute(model: TwinModel, rows: Floats) -> Imputed:
    """Return the rows with what is missing filled in from all rows, before and after."""
    values = _values(model, rows)
    mean, variance, _ = _smoothed(model, values)
    spread = model.conditional_widening * np.sqrt(variance + model.state_space.noise)
    filled = _own_units(model, mean, spread)
    used_missing = np.isnan(rows)
    used_missing[:, model.scaling.used] = np.isnan(values)
    return Imputed(np.where(used_missing, filled[0], rows), np.where(used_missing, filled[1], 0.0))


def virtual(model: TwinModel, rows: Floats, targets: Sequence[str]) -> Virtual:
    """Return the targets as the other signals of the row and of the rows before say they are.

    The targets' own values are not looked at. Raises `WrongModelError` for an unknown target.
    """
    places = [_place(model, target) for target in targets]
    hidden = np.array(rows, dtype=np.float64)
    hidden[:, places] = np.nan
    centred = _centre(model, _values(model, hidden), is_causal=True)
    space = model.state_space
    passed = state_space.filter_rows(space, centred.rows, centred.variance)
    mean, variance = _signals(space, passed.means, passed.covariances)
    spread = np.sqrt(variance + space.noise + centred.variance) * model.conditional_widening
    means, deviations = _own_units(model, mean + centred.centre, spread)
    return Virtual(means[:, places], deviations[:, places])


def forecast(model: TwinModel, rows: Floats, steps: int) -> Forecast:
    """Return the `steps` rows that follow `rows`."""
    centred = _centre(model, _values(model, rows), is_causal=True)
    space = model.state_space
    belief = state_space.start(space)
    if len(rows):
        passed = state_space.filter_rows(space, centred.rows, centred.variance)
        belief = state_space.Belief(passed.means[-1], passed.covariances[-1])
    means, covariances = state_space.forecast(space, belief, steps)
    ages = np.arange(1, steps + 1)[:, None]
    variance = np.einsum("hss->hs", covariances) + centred.standing.variance + ages * model.drift
    now = centred.chain[-1] if len(rows) else model.regimes.weights
    offset, spread = _offset_ahead(model, now, steps)
    deviation = np.sqrt(variance + spread) * model.forecast_widening
    return Forecast(*_own_units(model, means + centred.standing.level + offset, deviation))


def forecasts(model: TwinModel, rows: Floats, horizon: int) -> tuple[NDArray[np.intp], Forecast]:
    """Return the row `horizon` rows after many origins, and the origins: last rows of blocks.

    One pass over all rows (n, S) instead of one for each origin; means and deviations (origins, S).
    """
    values, window = _values(model, rows), model.window_rows
    origins = np.arange(window - 1, len(rows) - horizon, window)
    centred = _centre(model, values, is_causal=True)
    space = model.state_space
    passed = state_space.filter_rows(space, centred.rows, centred.variance)
    power = np.linalg.matrix_power(space.transition, horizon)
    gone = state_space.stationary(space)
    ahead = gone + power @ (passed.covariances[origins] - gone) @ power.T
    mean, spread = _signals(space, passed.means[origins] @ power.T, ahead)
    # The first row of the next block has the level that this block left.
    following = origins + 1
    variance = spread + space.noise + centred.variance[following] + horizon * model.drift
    variance -= model.drift * window
    parts = [_offset_ahead(model, centred.chain[origin], horizon) for origin in origins]
    level = centred.level[following]
    offset = np.array([part[0][-1] for part in parts]).reshape(mean.shape)
    unsure = np.array([part[1][-1] for part in parts]).reshape(mean.shape)
    deviation = np.sqrt(variance + unsure) * model.forecast_widening
    return origins, Forecast(*_own_units(model, mean + level + offset, deviation))


def sample(model: TwinModel, rows: int, rng: np.random.Generator) -> Floats:
    """Draw rows (n, S) of a healthy asset at the level where training ended.

    Factors and regime start in their stationary laws. NaN for signals that take no part.
    """
    used = len(model.drift)
    steps = rng.normal(size=(rows, used)) * np.sqrt(model.drift)
    level = model.level + rng.normal(size=used) * np.sqrt(model.level_variance)
    regime = np.empty(rows, dtype=np.intp)
    weights = model.regimes.weights
    for index, drawn in enumerate(rng.random(rows)):
        regime[index] = min(int(np.searchsorted(np.cumsum(weights), drawn)), len(weights) - 1)
        weights = model.regimes.transition[regime[index]]
    values = state_space.sample(model.state_space, rows, rng) + level + np.cumsum(steps, axis=0)
    mean, _ = _own_units(model, values + model.regimes.offsets[regime], np.zeros(values.shape))
    return mean


def smooth(model: TwinModel, rows: Floats) -> Smoothed:
    """Return what the rows were without own noise, given all of them."""
    mean, variance, parts = _smoothed(model, _values(model, rows))
    centred, factors = parts
    means, deviations = _own_units(model, mean, np.sqrt(variance) * model.conditional_widening)
    return Smoothed(means, deviations, factors, centred.level, centred.chain)


def at_end(model: TwinModel, rows: Floats) -> TwinModel:
    """Return the model with level and tail as after `rows` (n, S): the last healthy ones of a site.

    What was learnt of an asset, or of several of a kind, stays; only where this one stands changes.
    """
    values = _values(model, rows)
    centred = _centre(model, values, is_causal=True)
    tail = np.vstack([model.tail, values])[-len(model.tail) :] if len(model.tail) else model.tail
    return replace(
        model, level=centred.standing.level, level_variance=centred.standing.variance, tail=tail
    )


def _smoothed(model: TwinModel, values: Floats) -> tuple[Floats, Floats, tuple[Centred, Floats]]:
    """Return mean and variance (n, u) of scaled rows without own noise, given all, and parts."""
    centred = _centre(model, values, is_causal=False)
    space = model.state_space
    passed = state_space.smooth(space, centred.rows, centred.variance)
    mean, variance = _signals(space, passed.means, passed.covariances)
    factors = passed.means[:, : space.factors]
    return mean + centred.centre, variance + centred.variance, (centred, factors)


def _signals(space: StateSpace, means: Floats, covariances: Floats) -> tuple[Floats, Floats]:
    """Return C m and the diagonal of C P C' (n, u) of states (n, d), (n, d, d)."""
    block = covariances[:, : space.factors, : space.factors]
    spread = np.einsum("sk,nkl,sl->ns", space.current, block, space.current, optimize=True)
    return means[:, : space.factors] @ space.current.T, np.maximum(spread, 0.0)


def _centre(model: TwinModel, values: Floats, *, is_causal: bool) -> Centred:
    """Find regime and level of scaled rows (n, u), from the rows before or from all."""
    law = Law(model.state_space, model.regimes, model.drift, model.long_run, model.window_rows)
    start = Standing(model.level, model.level_variance)
    return centre(law, start, values, is_causal=is_causal)


def _offset_ahead(model: TwinModel, now: Floats, steps: int) -> tuple[Floats, Floats]:
    """Return mean and variance (h, u) of the offset in the rows to come, from regimes now (r,)."""
    mean, variance = (np.empty((steps, len(model.drift))) for _ in range(2))
    offsets = model.regimes.offsets
    for step in range(steps):
        now = now @ model.regimes.transition
        mean[step] = now @ offsets
        variance[step] = now @ (offsets - mean[step]) ** 2
    return mean, variance


def _own_units(model: TwinModel, mean: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """Return (n, S) in the signals' own units from scaled (n, u); NaN for what takes no part."""
    used = model.scaling.used
    means, deviations = (np.full((len(mean), len(used)), np.nan) for _ in range(2))
    means[:, used] = model.scaling.location[used] + model.scaling.scale[used] * mean
    deviations[:, used] = model.scaling.scale[used] * deviation
    return means, deviations


def _values(model: TwinModel, rows: Floats) -> Floats:
    """Return rows (n, S) scaled (n, u)."""
    if rows.ndim != 2 or rows.shape[1] != len(model.signals):
        raise WrongModelError(
            f"rows of shape {rows.shape} do not fit the model of {model.asset}, which has the "
            f"{len(model.signals)} signals {', '.join(model.signals)}"
        )
    return scaled(model.scaling, rows)


def _place(model: TwinModel, signal: str) -> int:
    """Return the place of a signal that takes part."""
    if signal not in model.signals:
        raise WrongModelError(
            f"signal {signal} is not in the model of {model.asset}; it has "
            f"{', '.join(model.signals)}"
        )
    return model.signals.index(signal)
