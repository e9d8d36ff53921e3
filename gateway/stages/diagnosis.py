"""What is it, and what can one still believe? Asked while rows are suspect, not in every row.

    asked   at the `rows_on`-th suspect row in a row, where the judge may decide, again after
            `AGAIN_ROWS` more, then every `WINDOW_ROWS` while rows stay suspect
    held    until `rows_off` rows in a row are not suspect any more

The hypotheses get the last `WINDOW_ROWS` rows, less the mean of the last rows known to be healthy:
those that left the window while nothing in it was suspect. Every row is looked up among the rows
stored before (models/repeats.py); a repeat that chance explains more seldom than the set-point of
false alarms is evidence of its own, for rows that come again look healthy to everything else. Slow
signals, and of the others the one that says most, do not count: a held value repeats by nature.

Promises: the same rows give the same answers; memory is bounded, in signals and in rows. What
healthy rows teach about hypotheses is learnt from the training rows or, where the model was learnt
elsewhere, from the first `EXPERIENCE_ROWS` healthy ones; until then no repeat is evidence.
Left to others: the hypotheses themselves (`models/explanation.py`), when there is an alarm
(`judge.py`). An answer takes some tenths of a second for 8 signals, learning some seconds.
"""

import math
from collections import deque
from concurrent.futures import Future
from typing import Final, NamedTuple, final

import numpy as np

from gateway.models import state_space
from gateway.models.explanation import Experience, Hypothesis, experience, explain
from gateway.models.hypotheses_law import WINDOW_ROWS, level_variance
from gateway.models.repeats import ROWS_MAX, Memory, Repeat
from gateway.models.twin_model import Floats, TwinModel
from gateway.records import CAUSES_MAX, Cause
from gateway.stages.judge import Persistence
from gateway.stages.work import Begin, at_once

AGAIN_ROWS: Final = (10, 30)
EXPERIENCE_ROWS: Final = 400
_LEVEL_ROWS: Final = 60
_LEVEL_ROWS_MIN: Final = 20
_STORED_MAX: Final = 2_000_000
"""Values of all signals together that are kept to find repeats among."""
_CAUSE_MIN: Final = 0.01
_REPEATING_MIN: Final = 2
_HOUR_NS: Final = 3_600_000_000_000


class Echo(NamedTuple):
    """Rows that were stored before come again."""

    excess: float
    """Evidence above what chance gives as often as false alarms are accepted, in nats."""
    evidence: float
    signals: tuple[int, ...]
    """Places among the used signals."""
    rows: int


class Opinion(NamedTuple):
    """What the hypotheses say of the present rows."""

    causes: tuple[Cause, ...]
    """Most probable first, at most `CAUSES_MAX`; empty while nothing is suspect."""
    doubt: Floats
    """(u,): probability that what a signal says is false."""


@final
class Diagnosis:
    """The memory and the opinions about one asset; rows are scaled, (u,), NaN where missing."""

    def __init__(
        self,
        model: TwinModel,
        rule: Persistence,
        false_alarms_per_hour: float,
        begin: Begin = at_once,
    ) -> None:
        self._model = model
        self._begin = begin
        self._rule = rule
        self._is_slow = frozenset(np.flatnonzero(model.is_slow).tolist())
        self._log_rows = math.log(_HOUR_NS / (model.period_ns * false_alarms_per_hour))
        """Of rows for each false alarm that is accepted."""
        self._window: deque[Floats] = deque(maxlen=WINDOW_ROWS)
        self._healthy: deque[Floats] = deque(maxlen=EXPERIENCE_ROWS)
        self._experience: Experience | None = None
        self._learning: Future[Experience] | None = None
        self._memory: Memory | None = None
        self._calm_rows = 0
        self._suspect_rows = 0
        self._age_rows = 0
        """Rows since the last healthy one that the level is taken from."""
        self._nothing = Opinion((), np.zeros(len(model.drift)))
        self._opinion = self._nothing

    def know(self, rows: Floats, learnt: Experience) -> None:
        """Take over healthy rows (n, u), and what they taught about hypotheses."""
        self._healthy.extend(rows[-EXPERIENCE_ROWS:])
        self._experience = learnt
        self._memory = _memory(self._model, learnt.ways.resolution)
        self._memory.learn(rows)

    def look(self, row: Floats) -> Echo | None:
        """Store a row; return what of it has been there before, if chance hardly explains it."""
        if len(self._window) == WINDOW_ROWS:
            self._leave(self._window[0])
        self._window.append(row)
        self._age_rows += 1
        if self._memory is None:
            return None
        repeats = self._memory.step(row)
        return _echo(self._memory, repeats[0], self._is_slow, self._log_rows) if repeats else None

    def judge(self, probability: float) -> Opinion:
        """Take the probability of an anomaly in the row just looked at; return the opinion now."""
        is_suspect = probability >= self._rule.alarm_on
        self._suspect_rows = self._suspect_rows + 1 if is_suspect else 0
        self._calm_rows = 0 if is_suspect else self._calm_rows + 1
        beyond = self._suspect_rows - self._rule.rows_on
        if beyond in AGAIN_ROWS or (beyond >= 0 and beyond % WINDOW_ROWS == 0):
            self._opinion = self._ask()
        elif self._calm_rows >= self._rule.rows_off:
            self._opinion = self._nothing
        return self._opinion

    def skip(self, rows: int) -> None:
        """Let rows pass of which nothing is known; they part what comes from what was."""
        looked = min(rows, WINDOW_ROWS)
        self._age_rows += rows - looked
        for _ in range(looked):
            self.look(np.full(len(self._model.drift), np.nan))

    def _leave(self, row: Floats) -> None:
        """Keep the row that leaves the window, if nothing after it was suspect."""
        if self._calm_rows < WINDOW_ROWS or np.isnan(row).all():
            return
        self._healthy.append(row)
        self._age_rows = WINDOW_ROWS
        if self._experience is None and len(self._healthy) == EXPERIENCE_ROWS:
            self._learn()

    def _learn(self) -> None:
        """Learn about hypotheses from the healthy rows; a model read from a file brings none."""
        if self._learning is None:
            rows = np.array(self._healthy)
            self._learning = self._begin(lambda: experience(self._model, rows))
        if self._learning.done():
            self.know(np.array(self._healthy), self._learning.result())

    def _ask(self) -> Opinion:
        """Return what the hypotheses say of the window."""
        model, rows = self._model, np.array(self._window)
        level, variance = self._level()
        copies = () if self._memory is None else self._memory.copies(len(rows), level)
        found = explain(
            model,
            rows - level,
            level=level,
            variance=variance,
            learnt=self._experience,
            history=copies,
        )
        named = [_cause(each) for each in found.posterior if each.probability >= _CAUSE_MIN]
        return Opinion(tuple(named[:CAUSES_MAX]), found.fused.doubt)

    def _level(self) -> tuple[Floats, Floats]:
        """Return the healthy level (u,) before the window, and how uncertain it is."""
        model = self._model
        aged = model.drift * self._age_rows
        last = np.array(list(self._healthy)[-_LEVEL_ROWS:]).reshape(-1, len(model.drift))
        known = ~np.isnan(last)
        counts = known.sum(axis=0)
        mean = np.where(known, last, 0.0).sum(axis=0) / np.maximum(counts, 1)
        is_enough = counts >= _LEVEL_ROWS_MIN
        fewer = level_variance(model) * _LEVEL_ROWS / np.maximum(counts, 1)
        variance = np.where(is_enough, fewer, model.level_variance)
        return np.where(is_enough, mean, model.level), variance + aged


def _echo(memory: Memory, repeat: Repeat, is_slow: frozenset[int], log_rows: float) -> Echo | None:
    """Return what a repeat is worth; None if fewer than two signals that are not slow share it."""
    chance = memory.chance
    members = tuple(place for place in repeat.signals if place not in is_slow)
    worth = sorted(-math.log(chance[place]) * repeat.rows for place in members)
    evidence = sum(worth[:-1]) - math.log(memory.choices)
    if len(members) < _REPEATING_MIN or evidence <= 0.0:
        return None
    return Echo(evidence - log_rows, evidence, members, repeat.rows)


def _cause(found: Hypothesis) -> Cause:
    """Return a hypothesis as the records have it."""
    return Cause(
        cause=found.cause,
        signal=found.signal,
        probability=found.probability,
        words=found.words,
    )


def _memory(model: TwinModel, resolution: Floats) -> Memory:
    """Return a store for as many rows as there is room for; resolution (u,) as learnt, scaled."""
    space = model.state_space
    ahead = state_space.predict(space, state_space.start(space))
    nothing = np.zeros(len(model.drift))
    _, variance = state_space.conditional(space, ahead, nothing, model.level_variance)
    rows_max = min(ROWS_MAX, max(_STORED_MAX // len(nothing), 2 * EXPERIENCE_ROWS))
    return Memory(np.sqrt(variance), resolution, rows_max)
