"""From rows to a model that knows its limits: fit, set-point, an honest look on rows kept back.

    1  the first 70 % of the rows make a model, which is asked about the rest it never saw
    2  all rows make the model that is kept; its limits are set for the false-alarm rate
    3  the sums of its rows are kept for the monitor, and what they teach about causes

Pieces with a longer gap between them are parted by a block without values, as live: the level of
one says nothing about that of the next.

Promises: figures in a report are those of step 1; nothing from the kept-back rows reaches the
figures' model. Rows marked as suspect are learnt from in no case. Left to others: reading
(`data.py`), the fit itself (`models/fit.py`), whether a version may change (`gate.py`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from gateway.errors import TrainingError
from gateway.lifecycle.data import Floats, Rows
from gateway.lifecycle.file import Origin
from gateway.lifecycle.measures import Measures, measure
from gateway.lifecycle.run import run
from gateway.models import monitor, twin_model
from gateway.models.calibration import calibrated
from gateway.models.explanation import experience
from gateway.models.fit import UnfitRowsError, fit
from gateway.models.order import choose
from gateway.models.scaling import scaled
from gateway.models.twin_model import TwinModel
from gateway.stages.learning import joined

LEARNT_SHARE: Final = 0.7
_FACTORS_MAX: Final = 12
"""More common causes than this are not shown."""
Told = Callable[[str, int, int], None]
"""Hears step, how far, of how much."""


class Order(NamedTuple):
    """What is wanted."""

    asset: str
    false_alarms_per_hour: float
    checked: bool
    """Whether to keep rows back for honest figures; it costs a second fit."""


class Learnt(NamedTuple):
    """A model and where it comes from."""

    model: TwinModel
    origin: Origin


def healthy(rows: Rows) -> tuple[Rows, int]:
    """Return the rows that are not marked as suspect, and how many were.

    Raises `TrainingError` if all are.
    """
    if rows.suspect is None or not rows.suspect.any():
        return rows, 0
    marked = int(rows.suspect.sum())
    if marked == len(rows.values):
        what = f"all {marked} rows of {rows.source} are marked as faulty"
        raise TrainingError(Path(rows.source).stem, what, "choose healthy ones with --rows")
    return rows.where(~rows.suspect), marked


def learn(rows: Rows, order: Order, told: Told = lambda step, done, total: None) -> Learnt:
    """Make a model of healthy rows; raise `TrainingError` when they cannot carry one."""
    measured = _checked(rows, order, told) if order.checked else None
    told("fitting all rows", 0, 1)
    model = _fitted(rows, order)
    told("fitting all rows", 1, 1)
    segments = rows.segments()
    told("what healthy windows teach about causes", 0, 1)
    taught = experience(model, scaled(model.scaling, joined(segments)))
    told("what healthy windows teach about causes", 1, 1)
    origin = Origin(
        source=Path(rows.source).name,
        source_sha256=rows.sha256,
        rows=len(rows.values),
        from_ns=int(rows.times_ns[0]),
        to_ns=int(rows.times_ns[-1]),
        settings={"false_alarms_per_hour": order.false_alarms_per_hour},
        measured=measured,
        baseline=monitor.summarise(model, segments),
        notes=rows.notes,
        held_out=_orders(model, segments) if order.checked else (),
        ways=taught.ways,
        handicap=taught.handicap,
    )
    return Learnt(model, origin)


def _fitted(rows: Rows, order: Order) -> TwinModel:
    """Fit rows and set the limits."""
    segments = rows.segments()
    try:
        model = fit(segments, rows.signals, rows.units, period_ns=rows.period_ns, asset=order.asset)
        return calibrated(model, joined(segments), order.false_alarms_per_hour)
    except UnfitRowsError as error:
        remedy = f"mend or leave out what is named, or take more rows of {rows.source}"
        raise TrainingError(order.asset, str(error), remedy) from error


def _orders(model: TwinModel, segments: Sequence[Floats]) -> tuple[tuple[int, int, float], ...]:
    """Return what numbers of factors and lags are worth on held-out rows less their levels."""
    used = len(model.level)
    rest = [
        scaled(model.scaling, piece) - twin_model.smooth(model, piece).level for piece in segments
    ]
    most = max(1, min(used // 2, _FACTORS_MAX))
    choice = choose(rest, factors_max=most)
    return tuple(
        (factors, lags, value * used / choice.values)
        for (factors, lags), value in sorted(choice.table.items())
    )


def _checked(rows: Rows, order: Order, told: Told) -> Measures | None:
    """Ask a model of the first rows about the last; None if the first are too few for one."""
    first = np.arange(len(rows.values)) < LEARNT_SHARE * len(rows.values)
    told("a fit without the last rows", 0, 1)
    try:
        model = _fitted(rows.where(first), order)
    except TrainingError:
        return None
    told("a fit without the last rows", 1, 1)
    rest = rows.where(~first)
    scores = run(model, rest, told=lambda done, total: told("asking about the rest", done, total))
    return measure(model, joined(rest.segments()), scores, held_out=True)
