"""Learn a TwinModel from healthy rows, here or where they are.

Rows are never handed around: each `TrainingPart` answers with counts and sums, which are added up,
so a fit of several parts is the fit of all their rows (to rounding), once the number of factors and
lags is given; chosen, it is the median of what the parts would choose. In this order:

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

from gateway.models import drift, em, held_out, refusals, regime_fit, regimes, scaling
from gateway.models.centring import mean_noise
from gateway.models.normal_form import NOISE_MIN
from gateway.models.refusals import BLOCKS_MIN
from gateway.models.regime_fit import Kinds
from gateway.models.regimes import Regimes
from gateway.models.scaling import Problem, Scaling, Survey, UnfitRowsError
from gateway.models.state_space import StateSpace, assemble
from gateway.models.training_part import Frame, Ground, LevelSums, Products, TrainingPart
from gateway.models.twin_model import TwinModel, at_end

Floats = NDArray[np.float64]

__all__ = ["BLOCKS_MIN", "Settings", "UnfitRowsError", "fit", "fit_parts"]

_LONG_RUN_MIN: Final = 0.25
_SLOW: Final = 20.0
"""A level that moves so many times the noise of a block from one block to the next is a covariate.
Only what the last block says is then left of its past."""
_FACTORS_MAX: Final = 16
_TOLERANCE: Final = 1e-5
"""Gain of log-likelihood per value and iteration below which EM stops."""
_FIRST_ITERATIONS: Final = 12
"""Of EM before the levels are known well; more would polish what is taken off again."""


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
    refusals.check_shapes(listed, signals, units)
    part = TrainingPart(listed, chosen.window_rows)
    model = fit_parts([part], Asset(asset, signals, units, period_ns), chosen)
    return _standing(model, listed)


def fit_parts(
    parts: Sequence[TrainingPart], asset: Asset, settings: Settings | None = None
) -> TwinModel:
    """Fit parts of which only sums are asked. Level and tail are those of no site until `at_end`.

    Raises `UnfitRowsError` when their rows cannot carry a model.
    """
    chosen = Settings() if settings is None else settings
    total = reduce(Survey.merged, [part.survey() for part in parts])
    refusals.check_size(total, asset.name, asset.signals, chosen.window_rows)
    agreed, problems = _agree(parts, total, asset)
    blank = _blank(asset, agreed, total, chosen)
    plain = _learn(parts, Ground(agreed), chosen, None)
    heads = [part.head() for part in parts]
    kinds = _kinds(parts, Ground(agreed), chosen)
    learnt, younger, table = _best(parts, heads, blank, plain, kinds, chosen)
    model = _filled(blank, learnt)
    found = reduce(held_out.Surprises.merged, [part.surprises(younger) for part in parts])
    per_row, per_block = chosen.window_rows, len(held_out.HORIZONS)
    return replace(
        model,
        conditional_widening=held_out.widening(found.conditional, model.degrees, per_row),
        forecast_widening=held_out.widening(found.forecast, model.degrees, per_block),
        facts={
            "rows": total.rows,
            "problems": [str(problem) for problem in problems],
            "factors": learnt.space.factors,
            "lags": learnt.space.lags,
            "held_out_by_order": plain.table,
            "regimes": len(learnt.regimes.weights),
            "held_out_by_regimes": table,
        },
    )


def _standing(model: TwinModel, segments: Sequence[Floats]) -> TwinModel:
    """Return the model with level and tail of the last rows, over as many segments as it takes."""
    first, rows = len(segments), 0
    while first and rows < BLOCKS_MIN * model.window_rows:
        first -= 1
        rows += len(segments[first])
    return reduce(at_end, segments[first:], model)


class _Learnt(NamedTuple):
    """What was learnt of the used signals."""

    space: StateSpace
    regimes: Regimes
    drift: Floats
    """(u,): per row."""
    long_run: Floats
    is_slow: NDArray[np.bool_]
    range_variance: Floats
    """(u,): mean square of the levels in the training rows."""
    table: dict[str, float]
    """Held-out log-likelihood per value by "factors x lags", of the part whose choice it is."""


def _blank(asset: Asset, agreed: Scaling, total: Survey, settings: Settings) -> TwinModel:
    """Return the model in which nothing is learnt but the scale."""
    used = int(agreed.used.sum())
    ones = np.ones(used)
    return TwinModel(
        asset=asset.name,
        signals=asset.signals,
        units=asset.units,
        period_ns=asset.period_ns,
        scaling=agreed,
        state_space=assemble(np.zeros((0, 0)), np.eye(0), np.zeros((used, 0)), ones, 0),
        regimes=regimes.single(used),
        drift=0.0 * ones,
        level=0.0 * ones,
        level_variance=ones,
        long_run=ones,
        is_slow=np.zeros(used, dtype=np.bool_),
        tail=np.full((settings.window_rows - 1, used), np.nan),
        degrees=max(float(total.rows // settings.window_rows - 1), 1.0),
        conditional_widening=ones,
        forecast_widening=ones,
        calibration=None,
        facts={},
    )


def _filled(blank: TwinModel, learnt: _Learnt) -> TwinModel:
    """Return the model with what was learnt."""
    return replace(
        blank,
        state_space=learnt.space,
        regimes=learnt.regimes,
        drift=learnt.drift,
        level_variance=learnt.range_variance,
        long_run=learnt.long_run,
        is_slow=learnt.is_slow,
    )


def _kinds(parts: Sequence[TrainingPart], ground: Ground, settings: Settings) -> list[Kinds]:
    """Return candidates for regimes, fewest first; usually none."""
    return regime_fit.candidates(
        lambda kinds: reduce(regime_fit.Sums.merged, [part.kinds(ground, kinds) for part in parts]),
        int(ground.scaling.used.sum()),
        settings.window_rows,
    )


def _best(
    parts: Sequence[TrainingPart],
    heads: Sequence[TrainingPart],
    blank: TwinModel,
    plain: _Learnt,
    candidates: Sequence[Kinds],
    settings: Settings,
) -> tuple[_Learnt, TwinModel, dict[str, float]]:
    """Return what was learnt with the best number of regimes, and the same of the first rows.

    Best is what gives the held-out rows the highest density; a tie goes to fewer regimes.
    """
    ground = Ground(blank.scaling)
    if sum(head.survey().rows for head in heads) < BLOCKS_MIN * settings.window_rows / 2:
        return plain, blank, {}
    younger = _filled(blank, _learn(heads, ground, settings, _pair(plain)))
    if not candidates:
        return plain, younger, {}
    best = plain, younger
    table = {"1": sum(part.log_density(younger) for part in parts)}
    for kinds in candidates:
        there = Ground(blank.scaling, kinds)
        learnt = _learn(parts, there, settings, None)
        tried = _filled(blank, _learn(heads, there, settings, _pair(learnt)))
        gained = sum(part.log_density(tried) for part in parts)
        if gained > max(table.values()):
            best = learnt, tried
        table[str(len(kinds.regimes.weights))] = gained
    return *best, table


def _pair(learnt: _Learnt) -> tuple[int, int]:
    """Return the number of factors and lags."""
    return learnt.space.factors, learnt.space.lags


def _agree(
    parts: Sequence[TrainingPart], total: Survey, asset: Asset
) -> tuple[Scaling, tuple[Problem, ...]]:
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
        raise UnfitRowsError(f"no signal varies in the training rows of {asset.name}: {listing}")
    products = _products(parts, Ground(agreed))
    names = tuple(np.array(asset.signals, dtype=object)[agreed.used])
    refusals.check_neighbours(products, names)
    problems += refusals.outliers(products, names, total.rows)
    copies = scaling.copies(products.about_mean(), names) if products.rows > len(names) else ()
    used = agreed.used.copy()
    used[np.flatnonzero(used)[[place for place, _ in copies]]] = False
    return agreed._replace(used=used), problems + tuple(problem for _, problem in copies)


def _learn(
    parts: Sequence[TrainingPart], ground: Ground, settings: Settings, pair: tuple[int, int] | None
) -> _Learnt:
    """Learn levels and state space in turns; `pair` is factors and lags, None to choose them."""
    window, safety = settings.window_rows, settings.drift_safety
    products = _products(parts, ground)
    white = np.maximum(products.deviations / np.maximum(products.freedom, 1.0), NOISE_MIN)
    table = _summed([part.wander(ground, white) for part in parts])
    first = Frame(ground, *drift.conclude(table, white / window, safety))
    is_slow = first.block_drift > _SLOW * first.block_noise
    tried: dict[str, float] = {}
    pair = pair or settings.order
    if pair is None:
        pair, tried = _choose(parts, first)
    space = _improved(parts, first, None, pair)
    table = _summed([part.own_wander(first, space) for part in parts])
    own = drift.conclude(table, space.noise / window, safety)
    common = mean_noise(space, np.zeros(len(white)), window)[-1]
    # A slow level stays a random walk: a root near 1 learnt from a few hundred rows is no return.
    drifts = np.where(is_slow, np.maximum(first.block_drift, own.drift), own.drift)
    frame = Frame(ground, common + own.noise, drifts)
    space = _improved(parts, frame, space, pair)
    levels = reduce(LevelSums.merged, [part.levels(frame) for part in parts])
    space = space._replace(noise=space.noise + levels.variance / levels.rows)
    return _Learnt(
        space=space,
        regimes=regimes.single(len(white)) if ground.kinds is None else ground.kinds.regimes,
        drift=frame.block_drift / window,
        long_run=np.maximum(own.noise * window / space.noise, _LONG_RUN_MIN),
        is_slow=is_slow,
        range_variance=(levels.squares + levels.variance) / levels.rows,
        table=tried,
    )


def _improved(
    parts: Sequence[TrainingPart], frame: Frame, start: StateSpace | None, pair: tuple[int, int]
) -> StateSpace:
    """Return the state space of rows less their levels, by EM from a start or from moments."""
    asked = [_AtFrame(part, frame) for part in parts]
    if start is None:
        return em.fit_parts(asked, *pair, iterations=_FIRST_ITERATIONS, tolerance=_TOLERANCE).model
    return em.improve(asked, start, iterations=em.ITERATIONS, tolerance=_TOLERANCE).model


@final
class _AtFrame:
    """A part as EM asks it: of its rows less their levels."""

    def __init__(self, part: TrainingPart, frame: Frame) -> None:
        self._part = part
        self._frame = frame

    def moments(self, lags: int) -> em.Moments:
        """Return the lagged moments."""
        return self._part.moments(self._frame, lags)

    def expect(self, model: StateSpace) -> em.Statistics:
        """Return the statistics under a model."""
        return self._part.expect(self._frame, model)


def _choose(
    parts: Sequence[TrainingPart], frame: Frame
) -> tuple[tuple[int, int], dict[str, float]]:
    """Return factors and lags, the weighted median of what parts chose, and that part's table."""
    limit = max(1, min(len(frame.block_noise) // 2, _FACTORS_MAX))
    choices = sorted(
        (part.choice(frame, limit) for part in parts),
        key=lambda choice: (choice.factors, choice.lags),
    )
    passed = np.cumsum([choice.values for choice in choices])
    median = choices[int(np.searchsorted(passed, 0.5 * passed[-1]))]
    table = {
        f"{factors} x {lags}": worth / max(median.values, 1)
        for (factors, lags), worth in sorted(median.table.items())
    }
    return (median.factors, median.lags), table


def _products(parts: Sequence[TrainingPart], ground: Ground) -> Products:
    """Return the sums over all parts."""
    return reduce(Products.merged, [part.products(ground) for part in parts])


def _summed(parts: Sequence[Floats]) -> Floats:
    """Return the sum of arrays of one shape."""
    total: Floats = np.sum(parts, axis=0)
    return total
