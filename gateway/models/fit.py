"""Learn a TwinModel from healthy rows, here or where they are.

Rows are never handed around: each `TrainingPart` answers with counts and sums, which are added up,
so a fit of several parts is the fit of all their rows (to rounding). In this order:

1. scaling by histograms; channels that cannot take part, and copies of others, each named;
2. levels: noise and drift of block means, first as if rows were apart;
3. factors and lags by held-out likelihood, then EM on the rows less their levels;
4. levels once more, with what the state space says neighbouring rows have in common, and EM again;
5. regimes, if held-out likelihood says there are several (regime_fit.py);
6. how much too narrow intervals are on held-out blocks (coverage is earned, not hoped for).

The levels taken off are uncertain; in the M-step their posterior variance belongs to the noise.

Left to others: what the model answers (twin_model.py), limits of the evidence (calibration.py).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from gateway.models import drift, em, held_out, order, regimes, scaling
from gateway.models.scaling import Problem, Scaling, Survey, UnfitRowsError
from gateway.models.state_space import StateSpace
from gateway.models.training_part import Frame, Products, TrainingPart
from gateway.models.twin_model import TwinModel, at_end, mean_noise

Floats = NDArray[np.float64]

__all__ = ["BLOCKS_MIN", "Settings", "UnfitRowsError", "fit", "fit_parts"]

BLOCKS_MIN: Final = 5
_UNKNOWN: Final = 1e8
"""Variance of a level before the first row of the site."""
_LONG_RUN_MIN: Final = 0.25
_SLOW: Final = 20.0
"""A level that moves so many times the noise of a block from one block to the next is a covariate.
Only what the last block says is then left of its past."""
_FACTORS_MAX: Final = 16


class Settings(NamedTuple):
    """How a model is learnt; stated choices, valid for all assets."""

    window_rows: int = 20
    """Rows of a block of neighbours, the unit in which drift is learnt."""
    drift_safety: float = 0.25
    """Posterior standard deviations by which the learnt drift is raised (docs/decisions/0005)."""
    order: tuple[int, int] | None = None
    """Factors and lags; None chooses them by held-out likelihood."""


class Asset(NamedTuple):
    """What is modelled: names and units (S,), and the period of its rows."""

    name: str
    signals: tuple[str, ...]
    units: tuple[str, ...]
    period_ns: int


def fit(
    segments: Floats | Sequence[Floats],
    signals: tuple[str, ...],
    units: tuple[str, ...],
    *,
    period_ns: int,
    asset: str,
    settings: Settings | None = None,
) -> TwinModel:
    """Fit rows (n, S), or several segments of them, of normal operation; NaN is missing.

    Raises `UnfitRowsError` when the rows cannot carry a model.
    """
    chosen = Settings() if settings is None else settings
    listed = [segments] if isinstance(segments, np.ndarray) else list(segments)
    _check_shapes(listed, signals, units)
    part = TrainingPart(listed, chosen.window_rows)
    model = fit_parts([part], Asset(asset, signals, units, period_ns), chosen)
    return at_end(model, listed[-1])


def fit_parts(
    parts: Sequence[TrainingPart], asset: Asset, settings: Settings | None = None
) -> TwinModel:
    """Fit parts of which only sums are asked; level and tail are unknown until `at_end`.

    Raises `UnfitRowsError` when their rows cannot carry a model.
    """
    chosen = Settings() if settings is None else settings
    total = reduce(Survey.merged, [part.survey() for part in parts])
    _check_size(total, asset, chosen.window_rows)
    agreed, products, problems = _agree(parts, total, asset)
    learnt = _learn(parts, agreed, products, chosen, chosen.order)
    degrees = max(float(total.rows // chosen.window_rows - 1), 1.0)
    used = len(learnt.drift)
    model = TwinModel(
        asset=asset.name,
        signals=asset.signals,
        units=asset.units,
        period_ns=asset.period_ns,
        scaling=agreed,
        state_space=learnt.space,
        regimes=regimes.single(used),
        drift=learnt.drift,
        level=np.zeros(used),
        level_variance=np.full(used, _UNKNOWN),
        long_run=learnt.long_run,
        is_slow=learnt.is_slow,
        tail=np.full((chosen.window_rows - 1, used), np.nan),
        degrees=degrees,
        conditional_widening=np.ones(used),
        forecast_widening=np.ones(used),
        calibration=None,
        facts={
            "rows": total.rows,
            "problems": [str(problem) for problem in problems],
            "factors": learnt.space.factors,
            "lags": learnt.space.lags,
        },
    )
    return _widened(parts, model, products, chosen)


class _Learnt(NamedTuple):
    """What was learnt of the used signals."""

    space: StateSpace
    drift: Floats
    """(u,): per row."""
    long_run: Floats
    is_slow: NDArray[np.bool_]


def _widened(
    parts: Sequence[TrainingPart], model: TwinModel, products: Products, settings: Settings
) -> TwinModel:
    """Return the model with intervals as wide as a model of the first rows should have had them."""
    heads = [part.head() for part in parts]
    pair = model.state_space.factors, model.state_space.lags
    learnt = _learn(heads, model.scaling, products, settings, pair)
    younger = replace(
        model,
        state_space=learnt.space,
        drift=learnt.drift,
        long_run=learnt.long_run,
    )
    found = reduce(held_out.Surprises.merged, [part.surprises(younger) for part in parts])
    per_row, per_block = settings.window_rows, len(held_out.HORIZONS)
    return replace(
        model,
        conditional_widening=held_out.widening(found.conditional, model.degrees, per_row),
        forecast_widening=held_out.widening(found.forecast, model.degrees, per_block),
    )


def _agree(
    parts: Sequence[TrainingPart], total: Survey, asset: Asset
) -> tuple[Scaling, Products, tuple[Problem, ...]]:
    """Agree on location, scale and who takes part."""
    agreed = scaling.agree(
        total,
        lambda low, width: _summed([part.value_counts(low, width) for part in parts]),
        lambda low, width: _summed([part.spread_counts(low, width) for part in parts]),
        asset.signals,
    )
    problems = scaling.problems(total, asset.signals)
    if not agreed.used.any():
        listing = "; ".join(str(problem) for problem in problems)
        raise UnfitRowsError(f"no signal of {asset.name} can be modelled: {listing}")
    products = _products(parts, agreed)
    names = tuple(np.array(asset.signals, dtype=object)[agreed.used])
    problems += _outliers(products, names, total.rows)
    copies = scaling.copies(products.about_mean(), names)
    if copies:
        used = agreed.used.copy()
        used[np.flatnonzero(used)[[place for place, _ in copies]]] = False
        agreed = agreed._replace(used=used)
        products = _products(parts, agreed)
        problems += tuple(problem for _, problem in copies)
    return agreed, products, problems


def _learn(
    parts: Sequence[TrainingPart],
    agreed: Scaling,
    products: Products,
    settings: Settings,
    pair: tuple[int, int] | None,
) -> _Learnt:
    """Learn levels and state space in turns; `pair` is factors and lags, None to choose."""
    window = settings.window_rows
    white = products.deviations / np.maximum(products.freedom, 1.0)
    counts = np.maximum(np.arange(window + 1), 1)[:, None]
    frame = _levels(parts, agreed, white / counts, settings)
    detrended = [_Detrended(part, frame) for part in parts]
    chosen = _choose(detrended) if pair is None else pair
    space = em.fit_parts(detrended, *chosen).model
    is_slow = frame.block_drift > _SLOW * frame.block_noise
    again = _levels(parts, agreed, mean_noise(space, np.ones(len(white)), window), settings)
    # A slow level stays a random walk: a root near 1 learnt from a few hundred rows is no return.
    drifts = np.where(is_slow, np.maximum(frame.block_drift, again.block_drift), again.block_drift)
    frame = again._replace(block_drift=drifts)
    detrended = [_Detrended(part, frame) for part in parts]
    found = em.improve(detrended, space, iterations=em.ITERATIONS, tolerance=em.TOLERANCE).model
    rows = sum(part.rows for part in detrended)
    lost = _summed([part.variance * part.rows for part in detrended]) / rows
    space = found._replace(noise=found.noise + lost)
    common = mean_noise(space, np.zeros(len(white)), window)[-1]
    long_run = np.maximum((frame.block_noise - common) * window / space.noise, _LONG_RUN_MIN)
    return _Learnt(space, frame.block_drift / window, long_run, is_slow)


def _levels(
    parts: Sequence[TrainingPart], agreed: Scaling, noise: Floats, settings: Settings
) -> Frame:
    """Learn noise and drift of block means; `noise` (window + 1, u) is that of so many values."""
    unit = noise[-1]
    table = _summed([part.wander(agreed, noise, unit) for part in parts])
    wander = drift.conclude(table, unit, settings.drift_safety)
    return Frame(agreed, settings.window_rows, np.zeros(len(unit)), wander.noise, wander.drift)


@final
class _Detrended:
    """A part as EM sees it: its rows less their levels, and the mean variance of those (u,)."""

    def __init__(self, part: TrainingPart, frame: Frame) -> None:
        self.segments, self.variance = part.detrended(frame)
        self.rows = sum(len(rows) for rows in self.segments)
        self._local = em.LocalPart(self.segments)

    def moments(self, lags: int) -> em.Moments:
        """Return the lagged moments."""
        return self._local.moments(lags)

    def expect(self, model: StateSpace) -> em.Statistics:
        """Return the statistics under a model."""
        return self._local.expect(model)

    def choice(self) -> order.Choice:
        """Return the number of factors and lags that suit these rows."""
        signals = self.segments[0].shape[1]
        limit = max(1, min(signals // 2, _FACTORS_MAX))
        return order.choose(self.segments, factors_max=limit)


def _choose(parts: Sequence[_Detrended]) -> tuple[int, int]:
    """Return factors and lags: the weighted median of what each part chose for itself."""
    choices = sorted(part.choice() for part in parts)
    half = 0.5 * sum(choice.values for choice in choices)
    passed = np.cumsum([choice.values for choice in choices])
    median = choices[int(np.searchsorted(passed, half))]
    return median.factors, median.lags


def _products(parts: Sequence[TrainingPart], agreed: Scaling) -> Products:
    """Return the sums over all parts."""
    return reduce(Products.merged, [part.products(agreed) for part in parts])


def _outliers(products: Products, names: tuple[str, ...], rows: int) -> tuple[Problem, ...]:
    """Return which channels have values that were left out for being far from their neighbours."""
    return tuple(
        Problem(
            name,
            f"{int(count)} of {rows} training values are far from their neighbours",
            "they are taken as missing; look at them if they are many",
        )
        for name, count in zip(names, products.outliers, strict=True)
        if count
    )


def _check_shapes(
    segments: Sequence[Floats], signals: tuple[str, ...], units: tuple[str, ...]
) -> None:
    """Refuse rows that are not (n, S), and units that are not one for each signal."""
    if len(units) != len(signals) or len(set(signals)) != len(signals):
        raise UnfitRowsError(f"{len(signals)} signals have {len(units)} units, or a name is double")
    if not segments:
        raise UnfitRowsError("there are no rows to learn from")
    for rows in segments:
        if rows.ndim != 2 or rows.shape[1] != len(signals):
            raise UnfitRowsError(
                f"rows of shape {rows.shape} do not have one column for each of the signals "
                f"{', '.join(signals)}"
            )


def _check_size(total: Survey, asset: Asset, window_rows: int) -> None:
    """Refuse fewer rows than blocks and channels need."""
    least = max(BLOCKS_MIN * window_rows, len(asset.signals) + 1)
    if total.rows < least:
        raise UnfitRowsError(
            f"{total.rows} training rows of the {len(asset.signals)} signals of {asset.name} "
            f"({', '.join(asset.signals)}) are too few; at least {least} are needed"
        )


def _summed(parts: Sequence[Floats]) -> Floats:
    """Return the sum of arrays of one shape."""
    total: Floats = np.sum(parts, axis=0)
    return total
