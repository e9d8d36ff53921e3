"""Rows from the past put through a model as the gateway would have put them: causally, row by row.

Promises: no row knows of a later one; a missing row ages the model as it would have live; nothing
about a file but its values, gaps and period reaches the model. Alarms are runs of rows in which the
probability is above one half, the false-alarm set-point; short pauses do not end one.
Left to others: the weighing (`models/tracker.py`), causes (`models/causes.py`).
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from gateway.lifecycle.data import Flags, Floats, Integers, Rows
from gateway.models.tracker import Habits, Tracker
from gateway.models.twin_model import TwinModel

ALARM: Final = 0.5
"""Probability that is crossed at the false-alarm set-point."""
PAUSE_ROWS: Final = 10
"""Rows below it that do not end an alarm."""
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


class Alarm(NamedTuple):
    """A run of alarmed rows, `first` to `last`."""

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
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Scores:
    """Weigh rows that have the model's signals; `told` hears how far it is."""
    tracker = Tracker(model, Habits() if habits is None else habits)
    steps = []
    before = int(rows.numbers[0]) - 1
    for place, values in enumerate(rows.values):
        skipped = int(rows.numbers[place]) - before - 1
        if skipped:
            tracker.skip(skipped)
        before = int(rows.numbers[place])
        steps.append(tracker.step(values))
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
    )


def alarms(scores: Scores) -> tuple[Alarm, ...]:
    """Return the alarms in the order of time."""
    above = np.flatnonzero(scores.probability >= ALARM)
    if not len(above):
        return ()
    groups = np.split(above, np.flatnonzero(np.diff(above) > PAUSE_ROWS) + 1)
    found = []
    for group in groups:
        first, last = int(group[0]), int(group[-1])
        positive = np.maximum(scores.contributions[group], 0.0).sum(axis=0)
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
