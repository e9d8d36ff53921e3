"""What probably happened at a time in recorded rows: the posterior over causes, made readable.

A window of rows up to that time is compared under all hypotheses (models/causes.py), as residuals
to the level that the rows before the window say; rows that were alarmed do not speak about the
level. Rows after the window are not looked at.

Promises: sizes carry the signal's own unit; the words say nothing that is not in the figures.
Left to others: the hypotheses, the law of a window (models/hypotheses_law.py).
"""

from typing import Final, NamedTuple

import numpy as np

from gateway.clock import NS_PER_S
from gateway.errors import OperatorError
from gateway.lifecycle.data import Floats, Rows
from gateway.lifecycle.run import ALARM, Alarm, Scores, alarms
from gateway.models import causes, hypotheses_law, twin_model
from gateway.models.causes import Finding
from gateway.models.hypotheses_law import Ways
from gateway.models.scaling import scaled
from gateway.models.twin_model import TwinModel

AFTER_ROWS: Final = 30
"""Rows of an alarm that are waited for: half a window shows what it is."""
HISTORY_ROWS: Final = 1200
"""Periods before the window from which the level is taken."""
CAUSES_MAX: Final = 5
_LEAST: Final = 0.005
"""Less probable causes are not listed."""
_WORDS: Final = {
    "none": "nothing: a false alarm",
    "process": "a change of the process",
    "bias": "an offset of the sensor",
    "drift": "a drift of the sensor",
    "stuck": "a stuck value",
    "noise": "a noisier signal",
    "spike": "a spike",
    "loss": "missing values",
    "clock": "a wrong clock",
    "spoof": "a made-up signal",
    "replay": "a replay of earlier values",
}
_SIZED: Final = frozenset({"bias", "drift", "spike"})
"""Causes whose size is an offset in the signal's unit."""


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


def explain_alarms(
    model: TwinModel, rows: Rows, scores: Scores, ways: Ways | None
) -> list[Explained]:
    """Explain every alarm in rows that have the model's signals, in the order of time."""
    return [_alarm(model, rows, scores, alarm, ways) for alarm in alarms(scores)]


def explain_at(
    model: TwinModel, rows: Rows, scores: Scores, time_ns: int, ways: Ways | None
) -> Explained:
    """Explain the last row at or before a time; raise `OperatorError` if there is none."""
    if not rows.times_ns[0] <= time_ns <= rows.times_ns[-1] + rows.period_ns:
        raise OperatorError(
            f"{rows.source}: --at lies outside the rows, which reach from "
            f"{_seconds(rows.times_ns[0])} to {_seconds(rows.times_ns[-1])} (seconds since 1970)"
        )
    place = int(np.searchsorted(rows.times_ns, time_ns, side="right")) - 1
    return _explained(model, rows, scores, place, place, ways)


def headline(found: Explained) -> str:
    """Return the explanation in one sentence."""
    return found.words


def _alarm(
    model: TwinModel, rows: Rows, scores: Scores, alarm: Alarm, ways: Ways | None
) -> Explained:
    """Explain an alarm from the rows around its beginning."""
    end = min(alarm.last, alarm.first + AFTER_ROWS)
    return _explained(model, rows, scores, alarm.first, end, ways)


def _explained(
    model: TwinModel, rows: Rows, scores: Scores, place: int, end: int, ways: Ways | None
) -> Explained:
    """Compare the hypotheses on the window that ends with row `end`."""
    before, window = _cut(rows, scores, end)
    here = twin_model.at_end(model, before) if len(before) else model
    known = hypotheses_law.plain(model) if ways is None else ways
    law = hypotheses_law.law_of(here, known)
    weighed = causes.compare(law, scaled(model.scaling, window) - here.level)
    likely = [f for f in weighed.findings[:CAUSES_MAX] if f.probability >= _LEAST]
    return Explained(
        time_ns=int(rows.times_ns[place]),
        line=int(rows.lines[place]),
        probability=float(scores.probability[place : end + 1].max()),
        causes=tuple(_cause(model, finding) for finding in likely),
        shares=_shares(model, scores.contributions[place : end + 1]),
        words=_sentence(model, likely),
    )


def _cut(rows: Rows, scores: Scores, end: int) -> tuple[Floats, Floats]:
    """Return the rows before the window and those of it, (n, S) each, missing rows as NaN."""
    last = int(rows.numbers[end])
    first = max(int(rows.numbers[0]), last - causes.WINDOW_ROWS - HISTORY_ROWS + 1)
    chosen = np.flatnonzero((rows.numbers >= first) & (rows.numbers <= last))
    dense = np.full((last - first + 1, len(rows.signals)), np.nan)
    dense[rows.numbers[chosen] - first] = rows.values[chosen]
    split = max(0, len(dense) - causes.WINDOW_ROWS)
    before, window = dense[:split].copy(), dense[split:]
    alarmed = rows.numbers[chosen][scores.probability[chosen] >= ALARM] - first
    before[alarmed[alarmed < split]] = np.nan
    return before, window


def _cause(model: TwinModel, finding: Finding) -> Cause:
    """Return a finding with its size in the signal's own unit."""
    if finding.signal is None:
        return Cause(finding.cause, "-", finding.probability, "-", "")
    place = np.flatnonzero(model.scaling.used)[finding.signal]
    size, unit = "-", ""
    if finding.cause in _SIZED and np.isfinite(finding.size):
        size, unit = _size(model, finding), model.units[place]
    elif finding.cause == "clock" and np.isfinite(finding.size):
        size, unit = f"{finding.size * model.period_ns / NS_PER_S:+.3g}", "s"
    return Cause(finding.cause, model.signals[place], finding.probability, size, unit)


def _size(model: TwinModel, finding: Finding) -> str:
    """Return an offset with its uncertainty; sizes come in scales of the signal."""
    assert finding.signal is not None  # noqa: S101 - asked of signals alone
    place = np.flatnonzero(model.scaling.used)[finding.signal]
    unit = float(model.scaling.scale[place])
    return f"{finding.size * unit:+.4g} ± {finding.size_deviation * unit:.2g}"


def _sentence(model: TwinModel, likely: list[Finding]) -> str:
    """Return the likeliest cause, and the next if it is not far behind."""
    if not likely:
        return "no cause is likelier than another"
    parts = []
    for finding in likely[:2]:
        cause = _cause(model, finding)
        where = "" if finding.signal is None else f"{cause.signal}: "
        size = "" if cause.size == "-" else f" of {cause.size} {cause.unit}".rstrip()
        parts.append(f"{where}{_WORDS[finding.cause]}{size} ({100 * finding.probability:.0f} %)")
    close = len(likely) > 1 and likely[1].probability > 0.1
    return "; or ".join(parts if close else parts[:1])


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
