"""Do these rows belong to this model? Names, units, period, and numbers that look converted.

Promises: what is returned has the model's signals in the model's order and may be given to it; what
does not belong is refused with a `MismatchError` that names the channel; what is odd but usable
(a channel without values, one that never changes, one that changes though it did not in training, a
way of running the model never saw) is a note. A channel counts as converted when its
median and its spread have both grown by one and the same factor, or the median has moved by exactly
what separates two scales of temperature, and it lies where a healthy value never does.
Left to others: whether the rows are healthy.
"""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from gateway.clock import NS_PER_S
from gateway.errors import OperatorError, TraceError
from gateway.lifecycle.data import Floats, Rows, place_of
from gateway.models.belonging import strangers
from gateway.models.twin_model import TwinModel

_PERIOD_TOLERANCE: Final = 0.02
"""A recording's clock may run by this much differently."""
_FAR_SCALES: Final = 30.0
"""Healthy values are not so many scales away from where they were."""
_SAME_FACTOR: Final = 1.6
"""Median and spread have grown by the same factor if they agree within this one."""
_ROWS_MIN: Final = 20
_STILL: Final = 1e-9
"""Of its value, by which a channel that stands still may differ."""


class _Conversion(NamedTuple):
    """A usual conversion: new = factor * old + offset."""

    words: str
    factor: float
    offset: float


_CONVERSIONS: Final = (
    *(_Conversion(f"1e{power}", 10.0**power, 0.0) for power in (-6, -3, -2, 2, 3, 5, 6)),
    _Conversion("degrees Celsius to kelvin", 1.0, 273.15),
    _Conversion("kelvin to degrees Celsius", 1.0, -273.15),
    _Conversion("degrees Celsius to Fahrenheit", 1.8, 32.0),
    _Conversion("degrees Fahrenheit to Celsius", 1.0 / 1.8, -32.0 / 1.8),
    _Conversion("bar to psi", 14.5038, 0.0),
    _Conversion("psi to bar", 1.0 / 14.5038, 0.0),
    _Conversion("m/s2 to g", 1.0 / 9.80665, 0.0),
    _Conversion("g to m/s2", 9.80665, 0.0),
    _Conversion("per second to per minute", 60.0, 0.0),
    _Conversion("per minute to per second", 1.0 / 60.0, 0.0),
    _Conversion("per second to per hour or m/s to km/h", 3.6, 0.0),
    _Conversion("per second to per hour", 3600.0, 0.0),
)


class MismatchError(OperatorError):
    """Rows and model do not belong together; `signal` names the channel, empty if it is none."""

    def __init__(self, source: str, signal: str, what: str, remedy: str) -> None:
        self.source = source
        self.signal = signal
        self.what = what
        self.remedy = remedy
        named = f"{signal}: " if signal else ""
        super().__init__(f"{source}: {named}{what}; {remedy}")


class Matched(NamedTuple):
    """Rows in the model's order of signals, and what is odd about them."""

    rows: Rows
    notes: tuple[str, ...]


def match(
    model: TwinModel, rows: Rows, *, units_as_they_are: bool = False, age_rows: int = 0
) -> Matched:
    """Return the rows as the model takes them, or raise `MismatchError`.

    `units_as_they_are` takes numbers that look converted for what they are: a fault, perhaps.
    `age_rows` is how many periods went by since the last training row.
    """
    _check_period(model, rows)
    try:
        places = [place_of(rows.source, rows.signals, signal) for signal in model.signals]
    except TraceError as error:
        remedy = f"the model of {model.asset} needs {len(model.signals)} signals: rename the column"
        raise MismatchError(error.path, "", error.what, remedy) from error
    for place, signal, unit in zip(places, model.signals, model.units, strict=True):
        found = rows.units[place]
        if unit and found and unit != found:
            what = f"the rows are in {found!r}, the model was fitted to {unit!r}"
            raise MismatchError(rows.source, signal, what, "convert the column, or fit anew")
    chosen = rows.select(model.signals)
    if not units_as_they_are:
        _check_scale(model, chosen)
    new = [str(problem) for problem in strangers(model, chosen.values, age_rows)]
    return Matched(chosen, (*rows.notes, *_oddities(model, chosen.values), *new))


def check_asset(path: Path, model: TwinModel, asset: str | None) -> None:
    """Raise `MismatchError` if the model is that of another asset than the one asked for."""
    if asset is not None and asset != model.asset:
        what = f"is the model of asset {model.asset!r}, not of {asset!r}"
        raise MismatchError(str(path), "", what, f"name the model of {asset!r}")


def _check_period(model: TwinModel, rows: Rows) -> None:
    ratio = rows.period_ns / model.period_ns
    if abs(ratio - 1.0) > _PERIOD_TOLERANCE:
        own, others = (f"{each / NS_PER_S:g} s" for each in (model.period_ns, rows.period_ns))
        what = f"a row every {others}, the model knows rows every {own}"
        remedy = f"say --period {model.period_ns / NS_PER_S:g} if the rows may be put on it, or fit"
        raise MismatchError(rows.source, "", what, f"{remedy} anew")


def _check_scale(model: TwinModel, rows: Rows) -> None:
    """Raise `MismatchError` for a channel whose numbers look converted."""
    scaling = model.scaling
    for place in np.flatnonzero(scaling.used):
        values = rows.values[:, place]
        values = values[~np.isnan(values)]
        if len(values) < _ROWS_MIN:
            continue
        known = (float(scaling.location[place]), float(scaling.scale[place]))
        conversion = _converted(values, *known)
        if conversion is not None:
            what = f"its numbers look converted ({conversion}): the median is "
            what += f"{float(np.median(values)):.6g}, in training {known[0]:.6g}"
            remedy = "convert the column, or say --units-as-they-are if this is what was measured"
            raise MismatchError(rows.source, model.signals[place], what, remedy)


def _converted(values: Floats, location: float, scale: float) -> str | None:
    """Return the conversion after which values (n,) would fit location and scale, None if none."""
    middle = float(np.median(values))
    if abs(middle - location) <= _FAR_SCALES * scale:
        return None
    low, high = np.quantile(values, (0.25, 0.75))
    spread = float(high - low) / 1.349
    for conversion in _CONVERSIONS:
        back = (middle - conversion.offset) / conversion.factor
        growth = spread / (abs(conversion.factor) * scale)
        fits = abs(back - location) <= max(5.0 * scale, (_SAME_FACTOR - 1.0) * abs(location) / 3.0)
        if fits and 1.0 / _SAME_FACTOR <= growth <= 3.0 * _SAME_FACTOR:
            return conversion.words
    return None


def _oddities(model: TwinModel, values: Floats) -> tuple[str, ...]:
    """Return what is odd about channels (n, S) that a model can still be asked about."""
    notes = []
    for place in np.flatnonzero(model.scaling.used):
        seen = values[:, place][~np.isnan(values[:, place])]
        if not len(seen):
            notes.append(f"{model.signals[place]}: no value in any row; it is integrated out")
        elif len(seen) >= _ROWS_MIN and seen.min() == seen.max():
            notes.append(f"{model.signals[place]}: {seen[0]:g} in every row; in training it varied")
    return (*notes, *_woken(model, values))


def _woken(model: TwinModel, values: Floats) -> tuple[str, ...]:
    """Return which channels (n, S) take no part for having stood still, and do so no longer."""
    scaling = model.scaling
    notes = []
    # A channel with steps between its values takes no part for another reason: a copy, too rare.
    for place in np.flatnonzero(~scaling.used & (scaling.resolution == 0.0)):
        was = float(scaling.location[place])
        seen = values[:, place][np.isfinite(values[:, place])]
        moved = seen[np.abs(seen - was) > _STILL * max(1.0, abs(was))]
        if not len(moved):
            continue
        then = f"{was:g} in every training row" if was else "0 or missing in every training row"
        notes.append(
            f"{model.signals[place]}: {then}, now {moved.min():g} to {moved.max():g} in "
            f"{len(moved)} rows; it takes no part, so nothing is said about it: fit with such rows"
        )
    return tuple(notes)
