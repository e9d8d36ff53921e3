"""What is found out about a model by asking it about rows: coverage, sight, false alarms.

    coverage   share of values inside the interval that should hold 50, 90 or 99 % of them
    explained  1 - E (y - E[y | others, past])^2 / E (y - level)^2, of one signal: what is common
    shift      5 / sqrt((M^-1)_ii),  M = C V_n C' + diag(long_run noise / n + level_variance
               + drift age): the lasting offset of one signal that is five standard deviations of
               the mean of n rows, given all other signals. Smaller ones are not seen for certain.

Promises: figures on rows the model never saw say so (`held_out`); every figure names its count.
Left to others: scoring the rows (`run.py`), showing them (`report.py`).
Sources: M as in decision 0005; coverage: Gneiting, Balabdaoui, Raftery (2007), 3.2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from gateway.clock import NS_PER_S
from gateway.lifecycle.data import Floats
from gateway.lifecycle.run import Scores
from gateway.models import state_space, twin_model
from gateway.models.twin_model import TwinModel

LEVELS: Final = (0.5, 0.9, 0.99)
"""Nominal shares of the intervals."""
AHEAD_ROWS: Final = (1, 10, 60)
"""Steps of the forecasts that are checked."""
PROBED_ROWS_MAX: Final = 2000
"""Rows over which each signal is hidden in turn; more cost time and change no figure."""
_ORIGINS_MAX: Final = 40
_HISTORY_ROWS: Final = 200
SHIFT_ROWS: Final = 60
SHIFT_DEVIATIONS: Final = 5.0
SHIFT_AGES_S: Final = (0, 3600, 8 * 3600)
"""Calibration ages for which the smallest visible shift is stated."""
THRESHOLDS: Final = tuple(round(float(each), 4) for each in 1.0 / (1.0 + np.exp(-np.arange(-6, 7))))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How often one kind of interval held."""

    question: str
    nominal: float
    held: float
    values: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the model knows about one signal, in the signal's own unit."""

    signal: str
    unit: str
    is_slow: bool
    deviation: float
    """Of a value around what the other signals say; NaN if nobody looked."""
    explained: float
    """Share of its movement that the others explain; NaN if nobody looked."""
    shifts: tuple[float, ...]
    """Smallest lasting offset that stands out, for each of `SHIFT_AGES_S`."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """Alarms in rows that nobody calls faulty, for each of `THRESHOLDS`."""

    per_hour: tuple[float, ...]
    """Rising above the threshold."""
    share: tuple[float, ...]
    """Rows above it."""
    hours: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """All that was found."""

    held_out: bool
    """Whether the rows were kept from the model."""
    rows: int
    coverage: tuple[Coverage, ...]
    sights: tuple[Sight, ...]
    alarms: Alarms


def measure(model: TwinModel, rows: Floats, scores: Scores, *, held_out: bool) -> Measures:
    """Ask a model about rows (n, S) in own units that follow its training rows."""
    probed = rows[:PROBED_ROWS_MAX]
    means, deviations = hidden_in_turn(model, probed)
    coverage = [*_coverage(model, "each given the others", probed, means, deviations)]
    for steps in AHEAD_ROWS:
        asked = _forecasts(model, probed, steps)
        if asked is not None:
            coverage += _coverage(model, f"forecast, {_rows(steps)} ahead", *asked)
    return Measures(
        held_out=held_out,
        rows=len(rows),
        coverage=tuple(coverage),
        sights=sights(model, probed, means),
        alarms=alarm_curve(scores, model.period_ns),
    )


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


def hidden_in_turn(model: TwinModel, rows: Floats) -> tuple[Floats, Floats]:
    """Return what the others say about each signal (n, S), its own values hidden; NaN: not used."""
    means, deviations = np.full(rows.shape, np.nan), np.full(rows.shape, np.nan)
    for place in np.flatnonzero(model.scaling.used):
        answer = twin_model.virtual(model, rows, [model.signals[place]])
        means[:, place], deviations[:, place] = answer.mean[:, 0], answer.deviation[:, 0]
    return means, deviations


def _forecasts(model: TwinModel, rows: Floats, steps: int) -> tuple[Floats, Floats, Floats] | None:
    """Return values, means and deviations (origins, S) of forecasts from rows spread evenly."""
    last = len(rows) - steps
    if last <= 1:
        return None
    origins = np.unique(np.linspace(1, last, min(_ORIGINS_MAX, last)).astype(int))
    answers = [
        twin_model.forecast(model, rows[max(0, end - _HISTORY_ROWS) : end], steps)
        for end in origins
    ]
    means = np.array([answer.mean[-1] for answer in answers])
    deviations = np.array([answer.deviation[-1] for answer in answers])
    return rows[origins + steps - 1], means, deviations


def _coverage(
    model: TwinModel, question: str, values: Floats, means: Floats, deviations: Floats
) -> Iterator[Coverage]:
    """Yield how often the intervals around means held values, all (n, S)."""
    asked = ~(np.isnan(values) | np.isnan(means))
    for nominal in LEVELS:
        low, high = twin_model.interval(model, means, deviations, nominal)
        inside = (values >= low) & (values <= high)
        count = int(asked.sum())
        held = float(inside[asked].mean()) if count else float("nan")
        yield Coverage(question=question, nominal=nominal, held=held, values=count)


def sights(model: TwinModel, rows: Floats, means: Floats) -> tuple[Sight, ...]:
    """Return what is known about each used signal; rows and what the others say, (n, S)."""
    shifts = np.array([visible_shift(model, age_s) for age_s in SHIFT_AGES_S])
    found = []
    for number, place in enumerate(np.flatnonzero(model.scaling.used)):
        error = rows[:, place] - means[:, place]
        error = error[~np.isnan(error)]
        own = rows[:, place][~np.isnan(rows[:, place])]
        moved = float(np.var(own)) if len(own) else 0.0
        left = float(np.mean(error**2)) if len(error) else float("nan")
        found.append(
            Sight(
                signal=model.signals[place],
                unit=model.units[place],
                is_slow=bool(model.is_slow[number]),
                deviation=float(np.sqrt(left)),
                explained=max(0.0, 1.0 - left / moved) if moved else float("nan"),
                shifts=tuple(float(each) for each in shifts[:, number]),
            )
        )
    return tuple(found)


def visible_shift(model: TwinModel, age_s: float) -> Floats:
    """Return the smallest lasting offset (u,) that stands out `age_s` after the last learnt row."""
    space = model.state_space
    common = state_space.mean_state_covariance(space, SHIFT_ROWS)
    common = common[: space.factors, : space.factors]
    age_rows = age_s * NS_PER_S / model.period_ns
    own = model.long_run * space.noise / SHIFT_ROWS
    own = own + model.level_variance + model.drift * (age_rows + SHIFT_ROWS / 2.0)
    covariance = space.current @ common @ space.current.T + np.diag(own)
    precision = np.diag(np.linalg.inv(covariance))
    shift: Floats = SHIFT_DEVIATIONS / np.sqrt(precision)
    return shift * model.scaling.scale[model.scaling.used]


def alarm_curve(scores: Scores, period_ns: int) -> Alarms:
    """Return how often the probability rises above each threshold, in rows nobody calls faulty."""
    healthy = scores.probability
    if scores.suspect is not None:
        healthy = healthy[~scores.suspect]
    hours = len(healthy) * period_ns / NS_PER_S / 3600.0
    per_hour, share = [], []
    for threshold in THRESHOLDS:
        above = healthy >= threshold
        risen = int(np.count_nonzero(np.diff(above.astype(np.int8), prepend=0) == 1))
        per_hour.append(risen / hours if hours else 0.0)
        share.append(float(above.mean()) if len(above) else 0.0)
    return Alarms(per_hour=tuple(per_hour), share=tuple(share), hours=hours)
