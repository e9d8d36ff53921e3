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
from functools import reduce
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.models import drift, em, regimes, scaling
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
    learnt = _learn(parts, agreed, products, chosen)
    used = len(learnt.drift)
    return TwinModel(
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
        degrees=max(float(total.rows // chosen.window_rows - 1), 1.0),
        conditional_widening=np.ones(used),
        forecast_widening=np.ones(used),
        calibration=None,
        facts={"rows": total.rows, "problems": [str(problem) for problem in problems]},
    )


class _Learnt(NamedTuple):
    """What was learnt of the used signals."""

    space: StateSpace
    drift: Floats
    """(u,): per row."""
    long_run: Floats
    is_slow: NDArray[np.bool_]


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
    parts: Sequence[TrainingPart], agreed: Scaling, products: Products, settings: Settings
) -> _Learnt:
    """Learn levels and state space in turns."""
    window = settings.window_rows
    white = products.deviations / np.maximum(products.freedom, 1.0)
    counts = np.maximum(np.arange(window + 1), 1)[:, None]
    frame = _levels(parts, agreed, white / counts, settings)
    space = _state_space(parts, frame, None, settings)
    noise = mean_noise(space, np.ones(len(white)), window)
    frame = _levels(parts, agreed, noise, settings)
    space = _state_space(parts, frame, space, settings)
    own = noise[-1] - mean_noise(space, np.zeros(len(white)), window)[-1]
    common = noise[-1] - own
    long_run = np.maximum((frame.block_noise - common) / own, _LONG_RUN_MIN)
    return _Learnt(
        space, frame.block_drift / window, long_run, frame.block_drift > 20.0 * frame.block_noise
    )


def _levels(
    parts: Sequence[TrainingPart], agreed: Scaling, noise: Floats, settings: Settings
) -> Frame:
    """Learn noise and drift of block means; `noise` (window + 1, u) is that of so many values."""
    unit = noise[-1]
    table = _summed([part.wander(agreed, noise, unit) for part in parts])
    wander = drift.conclude(table, unit, settings.drift_safety)
    return Frame(agreed, settings.window_rows, np.zeros(len(unit)), wander.noise, wander.drift)


class _Detrended:
    """A part as EM sees it: its rows less their levels."""

    def __init__(self, part: TrainingPart, frame: Frame) -> None:
        segments, self.variance = part.detrended(frame)
        self.segments = segments
        self._local = em.LocalPart(segments)

    def moments(self, lags: int) -> em.Moments:
        return self._local.moments(lags)

    def expect(self, model: StateSpace) -> em.Statistics:
        return self._local.expect(model)


def _state_space(
    parts: Sequence[TrainingPart], frame: Frame, start: StateSpace | None, settings: Settings
) -> StateSpace:
    """Learn factors, from the start or from a model."""
    detrended = [_Detrended(part, frame) for part in parts]
    if start is None:
        factors, lags = settings.order or (2, 1)
        found = em.fit_parts(detrended, factors, lags)
    else:
        found = em.improve(detrended, start, iterations=em.ITERATIONS, tolerance=em.TOLERANCE)
    return found.model


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
