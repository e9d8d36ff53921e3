"""Rows from the past put through a model as the gateway would have put them: causally, row by row.

The path is the live one (stages/fuse.py), part by part: the tracker weighs each row, the memory of
the diagnosis looks whether it has been there before, the judge says when an alarm begins and ends.
As live with a model out of a file, the memory starts empty: the first `EXPERIENCE_ROWS` calm rows
teach it what repeats itself by nature, and until then no repeat is evidence.

Promises: no row knows of a later one; a missing row ages the model as it would have live, and so
does the time since training if the caller says how long; nothing about a file but its values, gaps
and period reaches the model.
Left to others: the weighing (`models/tracker.py`), causes (`explain.py`). Not asked here: how far a
signal is doubted, which changes fused values and no alarm.
"""

import math
from collections.abc import Callable
from typing import Final, NamedTuple, final

import numpy as np

from gateway import status
from gateway.lifecycle.data import Flags, Floats, Integers, Rows, dated
from gateway.models.calibration import FALSE_ALARMS_PER_HOUR, Calibration
from gateway.models.causes import CAUSES
from gateway.models.explanation import Experience
from gateway.models.hypotheses_law import WINDOW_ROWS, plain
from gateway.models.scaling import scaled
from gateway.models.tracker import Habits, Step, Tracker
from gateway.models.twin_model import TwinModel
from gateway.records import Estimate, SignalEstimate, State
from gateway.stages.diagnosis import EXPERIENCE_ROWS, Diagnosis, Echo, louder
from gateway.stages.judge import Judge, Persistence

ALARM: Final = Persistence().alarm_on
"""Probability that is crossed at the false-alarm set-point."""
_TELL_EVERY: Final = 256


class Scores(NamedTuple):
    """What the model said about n rows; u used signals, in their own units."""

    times_ns: Integers
    """(n,)."""
    probability: Floats
    """(n,)."""
    score: Floats
    """(n,)."""
    log_density: Floats
    """(n,)."""
    contributions: Floats
    """(n, u), sum to the score."""
    expected: Floats
    """(n, u), given the past and the other signals of the row."""
    deviation: Floats
    """(n, u)."""
    kinds: tuple[str, ...]
    """(n,): what stands out, empty where the tracker does not say."""
    suspect: Flags | None
    """(n,): what labels or verdicts said."""
    spans: tuple[tuple[int, int], ...]
    """First and last row of every alarm of the judge."""
    taught: Integers
    """(EXPERIENCE_ROWS,): calm rows the memory of repeats was taught; none if they were fewer."""
    known_from: int
    """The first row that was looked up among those before; n if none was."""


class Alarm(NamedTuple):
    """What the judge called an alarm, `first` to `last`: from its first suspect row to the calm."""

    first: int
    last: int
    peak: float
    """Highest probability."""
    shares: Floats
    """(u,): part of each signal in the positive evidence over the run."""
    kind: str


def run(
    model: TwinModel,
    rows: Rows,
    *,
    habits: Habits | None = None,
    learnt: Experience | None = None,
    age_rows: int = 0,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Scores:
    """Weigh rows that have the model's signals; `told` hears how far it is.

    `learnt` is what healthy rows taught about causes, None where nobody looked; `age_rows` is how
    many rows passed unseen between training and the first row (`age_rows_of`).
    """
    tracker = Tracker(model, Habits() if habits is None else habits)
    past, ruling = _Past(model, rows, learnt), _Ruling(model)
    steps = []
    before = int(rows.numbers[0]) - 1 - age_rows
    for place, values in enumerate(rows.values):
        skipped = int(rows.numbers[place]) - before - 1
        if skipped:
            tracker.skip(skipped)
            past.skip(skipped)
        before = int(rows.numbers[place])
        echo = past.look(place)
        step = louder(tracker.step(values), echo)
        past.hear(place, step.probability)
        ruling.feed(place, values, step)
        steps.append(step)
        if place % _TELL_EVERY == 0:
            told(place, len(rows.values))
    told(len(rows.values), len(rows.values))
    return Scores(
        times_ns=rows.times_ns,
        probability=np.array([step.probability for step in steps]),
        score=np.array([step.score for step in steps]),
        log_density=np.array([step.log_density for step in steps]),
        contributions=np.array([step.contributions for step in steps]),
        expected=np.array([step.expected for step in steps]),
        deviation=np.array([step.deviation for step in steps]),
        kinds=tuple(step.kind for step in steps),
        suspect=rows.suspect,
        spans=ruling.spans(len(steps)),
        taught=np.array(past.taught if past.is_known else [], dtype=np.int64),
        known_from=past.known_from,
    )


def age_rows_of(learnt_to_ns: int, rows: Rows) -> int:
    """Return how many periods lie between training and rows; 0 where times are no dates."""
    first_ns = dated(int(rows.times_ns[0]))
    if first_ns is None or dated(learnt_to_ns) is None:
        return 0
    return max(0, (first_ns - learnt_to_ns) // rows.period_ns - 1)


def alarms(scores: Scores) -> tuple[Alarm, ...]:
    """Return the alarms in the order of time."""
    found = []
    for first, last in scores.spans:
        positive = np.maximum(scores.contributions[first : last + 1], 0.0).sum(axis=0)
        total = float(positive.sum())
        peak = first + int(np.argmax(scores.probability[first : last + 1]))
        found.append(
            Alarm(
                first=first,
                last=last,
                peak=float(scores.probability[peak]),
                shares=positive / total if total else positive,
                kind=scores.kinds[peak],
            )
        )
    return tuple(found)


@final
class _Past:
    """The live memory of rows, taught by the first calm ones."""

    def __init__(self, model: TwinModel, rows: Rows, learnt: Experience | None) -> None:
        limits = model.calibration
        rate = FALSE_ALARMS_PER_HOUR
        if isinstance(limits, Calibration):
            rate = limits.false_alarms_per_hour
        self._diagnosis = Diagnosis(model, Persistence(), rate)
        self._rows = scaled(model.scaling, rows.values)
        self._learnt = _untaught(model) if learnt is None else learnt
        self._calm_rows = 0
        self.taught: list[int] = []
        self.known_from = len(rows.values)

    @property
    def is_known(self) -> bool:
        """Whether enough calm rows have been seen."""
        return len(self.taught) == EXPERIENCE_ROWS

    def skip(self, rows: int) -> None:
        """Let rows pass of which nothing is known."""
        self._diagnosis.skip(rows)

    def look(self, place: int) -> Echo | None:
        """Store a row; return what of it has been there before."""
        return self._diagnosis.look(self._rows[place])

    def hear(self, place: int, probability: float) -> None:
        """Take the row a window ago as calm if none since was suspect; teach when there are enough.

        An alarm after a row would else be too late to keep it from being taken for healthy.
        """
        self._calm_rows = 0 if probability >= ALARM else self._calm_rows + 1
        left = place - WINDOW_ROWS
        if self.is_known or self._calm_rows <= WINDOW_ROWS or np.isnan(self._rows[left]).all():
            return
        self.taught.append(left)
        if len(self.taught) == EXPERIENCE_ROWS:
            self._diagnosis.know(self._rows[self.taught], self._learnt)
            self.known_from = place + 1


def _untaught(model: TwinModel) -> Experience:
    """Return what a model alone says about windows, where its file brings nothing."""
    return Experience(plain(model), np.zeros((len(CAUSES), len(model.drift) + 1)))


@final
class _Ruling:
    """The live judge, and between which rows it was in alarm; its clock counts rows."""

    def __init__(self, model: TwinModel) -> None:
        self._judge = Judge(model.asset)
        self._names = model.names
        self._used = np.flatnonzero(model.scaling.used)
        self._spans: list[tuple[int, int]] = []
        self._first: int | None = None

    def feed(self, place: int, values: Floats, step: Step) -> None:
        """Take what was said about a row (S,)."""
        for verdict in self._judge.feed(self._estimate(place, values, step), place):
            if verdict.state is State.ALARM:
                self._first = verdict.since_ns
            elif self._first is not None:
                self._spans.append((self._first, verdict.since_ns - 1))
                self._first = None

    def spans(self, rows: int) -> tuple[tuple[int, int], ...]:
        """Return first and last row of every alarm; the last may still be on."""
        still = [] if self._first is None else [(self._first, rows - 1)]
        return (*self._spans, *still)

    def _estimate(self, place: int, values: Floats, step: Step) -> Estimate:
        """Return the row as the judge reads it."""
        numbers = zip(
            self._names,
            values[self._used].tolist(),
            step.expected.tolist(),
            step.deviation.tolist(),
            step.contributions.tolist(),
            strict=True,
        )
        return Estimate(
            asset=self._judge.asset,
            time_ns=place,
            values=tuple(_signal(*each) for each in numbers),
            log_density=step.log_density,
            score=step.score,
            anomaly_probability=step.probability,
            is_trained=True,
            status=status.GOOD,
            kind=step.kind,
        )


def _signal(
    name: str, value: float, expected: float, deviation: float, contribution: float
) -> SignalEstimate:
    """Return one signal of a row; nobody asks here what to believe instead."""
    return SignalEstimate(
        signal=name,
        value=value,
        expected=expected,
        standard_deviation=deviation,
        fused=math.nan,
        fused_deviation=math.nan,
        interval=(math.nan, math.nan),
        contribution=contribution,
        trust=1.0,
        status=status.GOOD if math.isfinite(value) else status.BAD_NO_DATA,
        fused_status=status.BAD_NO_DATA,
    )
