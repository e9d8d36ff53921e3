"""What is it, and what can one still believe? Asked while rows are suspect, not in every row.

    asked   at the `rows_on`-th suspect row in a row, where the judge may decide, again after
            `AGAIN_ROWS` more, then every `WINDOW_ROWS` while rows stay suspect
    held    until `rows_off` rows in a row are not suspect any more

Where the answer is worked out is handed in (`work.Begin`). Beside the flow nobody waits for it: one
is under way at a time, a question that falls due meanwhile is put, of the rows then there, as soon
as it is done, and the opinion is the last answer there is. So that the row that decides finds one,
it is asked there from the first suspect row on, and that answer is kept back until then.

The hypotheses get the last `WINDOW_ROWS` rows, less the offset of the regime that each row was in
and the mean of the last rows known to be healthy: those that left the window while nothing in it
was suspect. Every row is looked up among the rows
stored before (models/repeats.py); a repeat that chance explains more seldom than the set-point of
false alarms is evidence of its own, for rows that come again look healthy to everything else. Slow
signals, and of the others the one that says most, do not count: a held value repeats by nature.

Promises: the same rows give the same answers; memory is bounded, in signals and in rows. What
healthy rows teach about hypotheses is learnt from the training rows or, where the model was learnt
elsewhere, from the first `EXPERIENCE_ROWS` healthy ones; until then no repeat is evidence. Numbers
that cannot be worked out leave an opinion that says so, without causes; it is counted and logged.
Left to others: the hypotheses themselves (`models/explanation.py`), which regime a row is in
(`models/tracker.py`), when there is an alarm (`judge.py`). An answer takes some tenths of a second
for 8 signals, learning some seconds.
"""

import logging
import math
from collections import Counter, deque
from concurrent.futures import Future
from functools import partial
from typing import Final, NamedTuple, final

import numpy as np

from gateway.models import state_space
from gateway.models.calibration import residual
from gateway.models.explanation import (
    Experience,
    Explanation,
    Hypothesis,
    experience,
    explain,
)
from gateway.models.hypotheses_law import WINDOW_ROWS, level_variance
from gateway.models.repeats import ROWS_MAX, Memory, Repeat
from gateway.models.tracker import Step
from gateway.models.twin_model import Floats, TwinModel
from gateway.records import CAUSES_MAX, Cause
from gateway.stages.judge import Persistence
from gateway.stages.work import Begin, at_once

_LOG: Final = logging.getLogger("twinrig.gateway.stages.diagnosis")

AGAIN_ROWS: Final = (10, 30)
EXPERIENCE_ROWS: Final = 400
_LEVEL_ROWS: Final = 60
_LEVEL_ROWS_MIN: Final = 20
_STORED_MAX: Final = 2_000_000
"""Values of all signals together that are kept to find repeats among."""
_CAUSE_MIN: Final = 0.01
_REPEATING_MIN: Final = 2
_HOUR_NS: Final = 3_600_000_000_000
_NUMERIC: Final = (np.linalg.LinAlgError, ArithmeticError, ValueError)
"""What a calculation raises whose numbers have run out."""


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
    problem: str = ""
    """Why the hypotheses cannot tell; empty if they can, or were not asked."""


class _Seen(NamedTuple):
    """A row (u,), and what of it is not the offset of its regime."""

    row: Floats
    within: Floats


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
        self._window: deque[_Seen] = deque(maxlen=WINDOW_ROWS)
        self._healthy: deque[_Seen] = deque(maxlen=EXPERIENCE_ROWS)
        self._untaught_rows = 0
        """Healthy rows since experience was last sought, or began to be."""
        self._experience: Experience | None = None
        self._learning: Future[Experience] | None = None
        self._memory: Memory | None = None
        self._calm_rows = 0
        self._suspect_rows = 0
        self._age_rows = 0
        """Rows since the last healthy one that the level is taken from."""
        self._nothing = Opinion((), np.zeros(len(model.drift)))
        self._opinion = self._nothing
        self._is_open = False
        """Whether rows have been suspect for so long that an opinion is given."""
        self._is_due = False
        """Whether a question waits for the one under way."""
        self._question: Future[Explanation] | None = None
        self._is_stale = False
        """Whether the question under way is about rows that nobody suspects any more."""
        self.counts: Counter[str] = Counter()
        """How often the hypotheses could not tell (unexplained) or learn (unlearnt)."""

    def know(self, rows: Floats, learnt: Experience) -> None:
        """Take over healthy rows (n, u), and what they taught about hypotheses."""
        last = rows[-EXPERIENCE_ROWS:]
        self._healthy.extend(map(_Seen, last, residual(self._model, last)))
        self._experience = learnt
        self._memory = memory_of(self._model, learnt.ways.resolution)
        self._memory.learn(rows)

    def look(self, row: Floats) -> Echo | None:
        """Store a row; return what of it has been there before, if chance hardly explains it."""
        if len(self._window) == WINDOW_ROWS:
            self._leave(self._window[0])
        self._window.append(_Seen(row, row))
        self._age_rows += 1
        if self._memory is None:
            return None
        repeats = self._memory.step(row)
        return _echo(self._memory, repeats[0], self._is_slow, self._log_rows) if repeats else None

    def judge(self, probability: float, regime: int = 0) -> Opinion:
        """Take the probability of an anomaly in the row just looked at; return the opinion now.

        `regime` is the one that the row is most probably in.
        """
        row = self._window[-1].row
        self._window[-1] = _Seen(row, row - self._model.regimes.offsets[regime])
        is_suspect = probability >= self._rule.alarm_on
        self._suspect_rows = self._suspect_rows + 1 if is_suspect else 0
        self._calm_rows = 0 if is_suspect else self._calm_rows + 1
        beyond = self._suspect_rows - self._rule.rows_on
        if beyond in AGAIN_ROWS or (beyond >= 0 and beyond % WINDOW_ROWS == 0):
            self._is_open = self._is_due = True
        elif self._calm_rows >= self._rule.rows_off or not (self._is_open or is_suspect):
            self._close()
        is_early = is_suspect and not self._is_open and self._begin is not at_once
        self._collect()
        if self._question is None and (self._is_due or is_early):
            self._ask()
            self._collect()
        return self._opinion if self._is_open else self._nothing

    def skip(self, rows: int) -> None:
        """Let rows pass of which nothing is known; they part what comes from what was."""
        looked = min(rows, WINDOW_ROWS)
        self._age_rows += rows - looked
        for _ in range(looked):
            self.look(np.full(len(self._model.drift), np.nan))

    def _close(self) -> None:
        """Forget the opinion; an answer under way will be about what is over."""
        self._opinion = self._nothing
        self._is_open = self._is_due = False
        self._is_stale = self._question is not None

    def _leave(self, seen: _Seen) -> None:
        """Keep the row that leaves the window, if nothing after it was suspect."""
        if self._calm_rows < WINDOW_ROWS or np.isnan(seen.row).all():
            return
        self._healthy.append(seen)
        self._age_rows = WINDOW_ROWS
        self._untaught_rows += 1
        if self._experience is None and self._untaught_rows >= EXPERIENCE_ROWS:
            self._learn()

    def _learn(self) -> None:
        """Learn about hypotheses from the healthy rows; a model read from a file brings none."""
        try:
            if self._learning is None:
                rows = self._healthy_rows()
                self._learning = self._begin(partial(experience, self._model, rows))
            if not self._learning.done():
                return
            learnt = self._learning.result()
        except _NUMERIC as error:
            self._learning = None
            self._untaught_rows = 0
            self._fail("unlearnt", error)
            return
        self.know(self._healthy_rows(), learnt)

    def _healthy_rows(self) -> Floats:
        """Return the healthy rows (n, u), offsets of regimes in them."""
        return np.array([seen.row for seen in self._healthy])

    def _ask(self) -> None:
        """Ask the hypotheses about the window; all that they need is copied."""
        rows = np.array([seen.row for seen in self._window])
        within = np.array([seen.within for seen in self._window])
        level, variance = self._level()
        levels = level + np.where(np.isnan(rows), 0.0, rows - within)
        copies = () if self._memory is None else self._memory.copies(len(rows), levels)
        self._is_due = self._is_stale = False
        question = partial(
            explain,
            self._model,
            within - level,
            level=levels,
            variance=variance,
            learnt=self._experience,
            history=copies,
        )
        try:
            self._question = self._begin(question)
        except _NUMERIC as error:
            self._opinion = self._cannot_tell(error)

    def _collect(self) -> None:
        """Take the answer to the question under way, if it is done and still asked for."""
        if self._question is None or not self._question.done():
            return
        question, self._question = self._question, None
        try:
            answer = _opinion(question.result())
        except _NUMERIC as error:
            answer = self._cannot_tell(error)
        if not self._is_stale:
            self._opinion = answer

    def _cannot_tell(self, error: Exception) -> Opinion:
        """Return the opinion of hypotheses whose numbers ran out."""
        self._fail("unexplained", error)
        return self._nothing._replace(problem=f"cannot tell: {error}")

    def _fail(self, what: str, error: Exception) -> None:
        """Count and say what could not be worked out."""
        self.counts[what] += 1
        _LOG.warning("causes_%s asset=%s error=%s", what, self._model.asset, error)

    def _level(self) -> tuple[Floats, Floats]:
        """Return the healthy level (u,) before the window, and how uncertain it is."""
        model = self._model
        aged = model.drift * self._age_rows
        healthy = list(self._healthy)[-_LEVEL_ROWS:]
        last = np.array([seen.within for seen in healthy]).reshape(-1, len(model.drift))
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


def _opinion(found: Explanation) -> Opinion:
    """Return an answer as an opinion; raise ArithmeticError if it is not made of numbers."""
    numbers = [each.probability for each in found.posterior]
    if not (np.isfinite(numbers).all() and np.isfinite(found.fused.doubt).all()):
        raise ArithmeticError("a probability is not a number")
    named = [_cause(each) for each in found.posterior if each.probability >= _CAUSE_MIN]
    return Opinion(tuple(named[:CAUSES_MAX]), found.fused.doubt)


def louder(step: Step, echo: Echo | None) -> Step:
    """Return the step, or what it says of rows that come again if that is the louder evidence."""
    if echo is None:
        return step
    probability = 0.5 + 0.5 * math.tanh(0.5 * echo.excess)
    if probability <= step.probability:
        return step
    contributions = np.zeros(len(step.contributions))
    contributions[list(echo.signals)] = echo.evidence / len(echo.signals)
    return step._replace(
        probability=probability,
        score=echo.evidence,
        contributions=contributions,
        scale_rows=echo.rows,
        kind="repeat" if echo.excess >= 0.0 else step.kind,
    )


def _cause(found: Hypothesis) -> Cause:
    """Return a hypothesis as the records have it."""
    return Cause(
        cause=found.cause,
        signal=found.signal,
        probability=found.probability,
        words=found.words,
    )


def memory_of(model: TwinModel, resolution: Floats) -> Memory:
    """Return a store for as many rows as there is room for; resolution (u,) as learnt, scaled."""
    space = model.state_space
    ahead = state_space.predict(space, state_space.start(space))
    nothing = np.zeros(len(model.drift))
    _, variance = state_space.conditional(space, ahead, nothing, model.level_variance)
    rows_max = min(ROWS_MAX, max(_STORED_MAX // len(nothing), 2 * EXPERIENCE_ROWS))
    return Memory(np.sqrt(variance), resolution, rows_max)
