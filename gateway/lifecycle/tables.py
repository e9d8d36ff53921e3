"""What the `model` commands print: tables for a person, CSV and JSON for a program.

Promises: figures carry units; nothing is rounded in CSV and JSON; rows nobody could score are not
left out in silence. Left to others: where it is printed.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.clock import NS_PER_S
from gateway.lifecycle.data import Rows
from gateway.lifecycle.explain import Explained
from gateway.lifecycle.file import ModelFile
from gateway.lifecycle.learn import Learnt
from gateway.lifecycle.run import ALARM, Alarm, Scores
from gateway.models.twin_model import TwinModel

_SHOWN_MAX: Final = 20
_BLAMED_MAX: Final = 3


def fit_summary(learnt: Learnt, left_out: int) -> RenderableType:
    """Say what was learnt, from what, and what was left out and why."""
    model, origin = learnt.model, learnt.origin
    space, regimes = model.state_space, len(model.regimes.weights)
    grid = _grid()
    grid.add_row("asset", model.asset)
    grid.add_row("rows", f"{origin.rows:,} of {model.period_ns / NS_PER_S:g} s")
    grid.add_row("signals", f"{int(model.scaling.used.sum())} of {len(model.signals)}")
    counts = (space.factors, "common cause"), (space.lags, "lag"), (regimes, "regime")
    grid.add_row("model", ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts))
    slow = [name for name, is_slow in zip(model.names, model.is_slow, strict=True) if is_slow]
    if slow:
        grid.add_row("background", f"{', '.join(slow)}: wander, and count as no evidence")
    if origin.measured is None:
        grid.add_row("checked", "no: nothing was kept back, or too little")
    else:
        held = [c for c in origin.measured.coverage if c.nominal == 0.9]
        words = "; ".join(f"{c.question} {100 * c.held:.1f} %" for c in held)
        grid.add_row("90 % intervals", f"{words} (on {origin.measured.rows:,} rows kept back)")
    problems = model.facts.get("problems", ())
    notes = [str(each) for each in problems] if isinstance(problems, list | tuple) else []
    if left_out:
        notes.append(f"{left_out:,} rows marked as suspect were left out")
    return Group(grid, *_notes([*origin.notes, *notes]))


def score_report(
    model: TwinModel, rows: Rows, scores: Scores, found: Sequence[Alarm], notes: Sequence[str]
) -> RenderableType:
    """Say how much was alarmed, when, and by whom."""
    above = scores.probability >= ALARM
    grid = _grid()
    span = f"{moment(int(scores.times_ns[0]))} to {moment(int(scores.times_ns[-1]))}"
    grid.add_row("rows", f"{len(above):,}, {span}")
    grid.add_row("alarmed", f"{int(above.sum()):,} rows, {100 * float(above.mean()):.1f} %")
    grid.add_row("alarms", str(len(found)))
    if rows.suspect is not None:
        grid.add_row("marked as faulty", _against_labels(above, rows.suspect))
    table = Table("first row", "line", "lasts", "probability", "kind", "signals (share)", box=None)
    for alarm in found[:_SHOWN_MAX]:
        lasts_s = (scores.times_ns[alarm.last] - scores.times_ns[alarm.first]) / NS_PER_S
        table.add_row(
            moment(int(scores.times_ns[alarm.first])),
            str(rows.lines[alarm.first]),
            f"{lasts_s:,.0f} s",
            f"{alarm.peak:.3f}",
            alarm.kind,
            blamed(model, alarm),
        )
    rest = len(found) - _SHOWN_MAX
    parts: list[RenderableType] = [grid, *_notes(notes)]
    if found:
        parts += [Text(), table]
    if rest > 0:
        parts.append(Text(f"and {rest} more; --csv and --json have all"))
    return Group(*parts)


def score_csv(model: TwinModel, scores: Scores) -> Iterator[str]:
    """Yield the lines of a CSV: time, probability, score, log density, share of each signal."""
    names = [f"contribution {name}" for name in model.names]
    yield _csv_line(["time_utc", "probability", "score", "log_density", *names])
    for place, time_ns in enumerate(scores.times_ns):
        numbers = [scores.probability[place], scores.score[place], scores.log_density[place]]
        numbers += list(scores.contributions[place])
        yield _csv_line([moment(int(time_ns)), *(repr(float(number)) for number in numbers)])


def score_json(
    file: ModelFile, rows: Rows, scores: Scores, found: Sequence[Alarm], notes: Sequence[str]
) -> str:
    """Return everything as one JSON object."""
    names = file.model.names
    body = {
        "asset": file.model.asset,
        "model": file.digest,
        "source": rows.source,
        "source_sha256": rows.sha256,
        "notes": list(notes),
        "signals": list(names),
        "alarms": [
            {
                "first_ns": int(scores.times_ns[alarm.first]),
                "last_ns": int(scores.times_ns[alarm.last]),
                "first_line": int(rows.lines[alarm.first]),
                "probability": alarm.peak,
                "kind": alarm.kind,
                "shares": dict(zip(names, map(float, alarm.shares), strict=True)),
            }
            for alarm in found
        ],
        "rows": {
            "time_ns": scores.times_ns.tolist(),
            "probability": scores.probability.tolist(),
            "score": scores.score.tolist(),
            "log_density": scores.log_density.tolist(),
            "contributions": scores.contributions.tolist(),
        },
    }
    return json.dumps(body)


def explanation_report(found: Explained) -> RenderableType:
    """Say what probably happened at one time."""
    title = f"{moment(found.time_ns)}, line {found.line}: probability {found.probability:.3f}"
    table = Table("cause", "signal", "probability", "size", "unit", box=None)
    for cause in found.causes:
        table.add_row(cause.cause, cause.signal, f"{cause.probability:.3f}", cause.size, cause.unit)
    shares = Text(f"evidence by signal: {found.shares}")
    return Group(Text(title, style="bold"), Text(found.words), table, shares, Text())


def blamed(model: TwinModel, alarm: Alarm) -> str:
    """Return the signals of an alarm with their shares."""
    order = np.argsort(-alarm.shares, kind="stable")[:_BLAMED_MAX]
    return ", ".join(
        f"{model.names[place]} {100 * alarm.shares[place]:.0f} %"
        for place in order
        if alarm.shares[place] > 0.005
    )


def moment(at_ns: int) -> str:
    """Return a time as an ISO date, UTC."""
    text = datetime.fromtimestamp(at_ns // NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")
    part = f"{at_ns % NS_PER_S:09d}".rstrip("0")
    return f"{text}.{part}" if part else text


def _against_labels(above: "np.ndarray[tuple[int], np.dtype[np.bool_]]", marked: object) -> str:
    faulty = np.asarray(marked, dtype=np.bool_)
    hit = int((above & faulty).sum())
    false = int((above & ~faulty).sum())
    words = f"{int(faulty.sum()):,} rows: {hit:,} alarmed, {int(faulty.sum()) - hit:,} missed; "
    return f"{words}{false:,} of {int((~faulty).sum()):,} others alarmed"


def _notes(notes: Sequence[str]) -> list[Text]:
    return [Text(f"note: {note}") for note in notes]


def _csv_line(cells: Sequence[str]) -> str:
    return ";".join(f'"{cell}"' if set(cell) & set(';"') else cell for cell in cells) + "\n"


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column()
    return grid
