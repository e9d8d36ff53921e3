"""What probably happened at a time in recorded rows: the posterior over causes, made readable.

A window of rows up to that time is compared under all hypotheses (models/explanation.py), as
residuals to the level that the rows before the window say, less the offset of the regime each row
is in; rows that were alarmed do not speak about the level. Rows after the window are not looked at.
Stored rows that come again are handed over as copies: the memory of repeats is taught and fed as
`run.py` did, as live.

Promises: sizes carry the signal's own unit; the words say nothing that is not in the figures.
Left to others: the hypotheses, the law of a window (models/hypotheses_law.py).
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, final

import numpy as np

from gateway.clock import NS_PER_S
from gateway.errors import OperatorError
from gateway.lifecycle.data import Floats, Rows
from gateway.lifecycle.run import ALARM, Scores, alarms
from gateway.models import explanation, twin_model
from gateway.models.calibration import residual
from gateway.models.explanation import Experience, Hypothesis
from gateway.models.hypotheses_law import WINDOW_ROWS, law_of, plain
from gateway.models.hypotheses_replaced import Copy
from gateway.models.repeats import Memory
from gateway.models.scaling import scaled
from gateway.models.twin_model import TwinModel
from gateway.stages.diagnosis import memory_of

AFTER_ROWS: Final = 30
"""Rows of an alarm that are waited for: half a window shows what it is."""
HISTORY_ROWS: Final = 1200
"""Periods before the window from which the level is taken."""
CAUSES_MAX: Final = 5
_LEAST: Final = 0.005
"""Less probable causes are not listed."""
_SIZED: Final = frozenset({"bias", "drift", "spike"})
"""Causes whose size is an offset in the signal's unit."""
Told = Callable[[int, int], None]
"""Hears how far, of how much."""


class Cause(NamedTuple):
    """One line of the posterior."""

    cause: str
    signal: str
    probability: float
    size: str
    unit: str


class Explained(NamedTuple):
    """What probably happened."""

    time_ns: int
    """Of the row that was asked about."""
    line: int
    probability: float
    """That it is not normal, in that row."""
    causes: tuple[Cause, ...]
    shares: str
    words: str


class Asked(NamedTuple):
    """Rows that have the model's signals, and all that is known about them."""

    model: TwinModel
    rows: Rows
    scores: Scores
    learnt: Experience | None
    """What healthy rows taught about causes; None where nobody looked."""


def explain_alarms(asked: Asked, told: Told = lambda done, total: None) -> list[Explained]:
    """Explain every alarm, in the order of time; `told` hears of each."""
    found = []
    past = _Past(asked)
    every = alarms(asked.scores)
    for number, alarm in enumerate(every):
        told(number, len(every))
        end = min(alarm.last, alarm.first + AFTER_ROWS)
        found.append(_explained(asked, past, alarm.first, end))
    told(len(every), len(every))
    return found


def explain_at(asked: Asked, time_ns: int) -> Explained:
    """Explain the last row at or before a time; raise `OperatorError` if there is none."""
    rows = asked.rows
    if not rows.times_ns[0] <= time_ns <= rows.times_ns[-1] + rows.period_ns:
        raise OperatorError(
            f"{rows.source}: --at lies outside the rows, which reach from "
            f"{_seconds(rows.times_ns[0])} to {_seconds(rows.times_ns[-1])} (seconds since 1970)"
        )
    place = int(np.searchsorted(rows.times_ns, time_ns, side="right")) - 1
    return _explained(asked, _Past(asked), place, place)


def headline(found: Explained) -> str:
    """Return the explanation in words."""
    return found.words


@final
class _Past:
    """The memory of repeats as it was at each row; rows are asked for in rising order."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._values = scaled(asked.model.scaling, asked.rows.values)
        self._next = asked.scores.known_from
        self._memory: Memory | None = None

    def copies(self, end: int, levels: Floats) -> Sequence[Copy]:
        """Return what of the window (n, u) that ends with row `end` was there before, less levels.

        Levels are (n, u) too, the offset of the regime of each row in them.
        """
        if end < self._asked.scores.known_from:
            return ()
        if self._memory is None:
            self._memory = _memory(self._asked)
            self._memory.learn(self._values[self._asked.scores.taught])
        numbers = self._asked.rows.numbers
        for place in range(self._next, end + 1):
            silent = int(numbers[place] - numbers[place - 1]) - 1
            for _ in range(min(silent, WINDOW_ROWS)):
                self._memory.step(np.full(self._values.shape[1], np.nan))
            self._memory.step(self._values[place])
        self._next = max(self._next, end + 1)
        return self._memory.copies(len(levels), levels)


def _memory(asked: Asked) -> Memory:
    """Return an empty memory as the live one."""
    ways = plain(asked.model) if asked.learnt is None else asked.learnt.ways
    return memory_of(asked.model, ways.resolution)


def _explained(asked: Asked, past: _Past, place: int, end: int) -> Explained:
    """Compare the hypotheses on the window that ends with row `end`."""
    model, rows, scores = asked.model, asked.rows, asked.scores
    before, window = _cut(rows, scores, end)
    here = twin_model.at_end(model, before) if len(before) else model
    values = scaled(here.scaling, window)
    within = residual(here, values)
    levels = here.level + np.where(np.isnan(values), 0.0, values - within)
    found = explanation.explain(
        here,
        within - here.level,
        level=levels,
        variance=here.level_variance,
        learnt=asked.learnt,
        history=past.copies(end, levels),
    )
    ways = plain(model) if asked.learnt is None else asked.learnt.ways
    unit = law_of(here, ways).spread * model.scaling.scale[model.scaling.used]
    likely = [each for each in found.posterior[:CAUSES_MAX] if each.probability >= _LEAST]
    return Explained(
        time_ns=int(rows.times_ns[place]),
        line=int(rows.lines[place]),
        probability=float(scores.probability[place : end + 1].max()),
        causes=tuple(_cause(model, unit, each) for each in likely),
        shares=_shares(model, scores.contributions[place : end + 1]),
        words=found.words,
    )


def _cut(rows: Rows, scores: Scores, end: int) -> tuple[Floats, Floats]:
    """Return the rows before the window and those of it, (n, S) each, missing rows as NaN."""
    last = int(rows.numbers[end])
    first = max(int(rows.numbers[0]), last - WINDOW_ROWS - HISTORY_ROWS + 1)
    chosen = np.flatnonzero((rows.numbers >= first) & (rows.numbers <= last))
    dense = np.full((last - first + 1, len(rows.signals)), np.nan)
    dense[rows.numbers[chosen] - first] = rows.values[chosen]
    split = max(0, len(dense) - WINDOW_ROWS)
    before, window = dense[:split].copy(), dense[split:]
    alarmed = rows.numbers[chosen][scores.probability[chosen] >= ALARM] - first
    before[alarmed[alarmed < split]] = np.nan
    return before, window


def _cause(model: TwinModel, unit: Floats, found: Hypothesis) -> Cause:
    """Return a hypothesis with its size in the signal's own unit; `unit` (u,) is what sizes are in.

    A clock is wrong by seconds.
    """
    if found.signal is None:
        return Cause(found.cause, "-", found.probability, "-", "")
    size, its_unit = "-", ""
    if found.cause in _SIZED and np.isfinite(found.size):
        one = float(unit[model.names.index(found.signal)])
        size = f"{found.size * one:+.4g} ± {found.size_deviation * one:.2g}"
        its_unit = model.units[model.signals.index(found.signal)]
    elif found.cause == "clock" and np.isfinite(found.size):
        size, its_unit = f"{found.size * model.period_ns / NS_PER_S:+.3g}", "s"
    return Cause(found.cause, found.signal, found.probability, size, its_unit)


def _shares(model: TwinModel, contributions: Floats) -> str:
    """Return the signals with the largest part of the positive evidence in rows (n, u)."""
    positive = np.maximum(contributions, 0.0).sum(axis=0)
    total = float(positive.sum())
    if not total:
        return "none"
    order = np.argsort(-positive, kind="stable")[:3]
    return ", ".join(f"{model.names[p]} {100 * positive[p] / total:.0f} %" for p in order)


def _seconds(time_ns: int) -> str:
    return f"{time_ns / NS_PER_S:.3f}"
