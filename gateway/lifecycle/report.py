"""One page about a model: what it knows, how far it can be believed, and what it cannot see.

Promises: one HTML file that opens without a network and runs no script; readable on light and dark
and on paper; every figure says what it was measured on and in which unit; what the model cannot see
stands in a section of its own, in words with numbers. All text from outside is escaped.
Left to others: the figures (`measures.py`, `run.py`), the plots (`plots.py`).
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from gateway.clock import NS_PER_S
from gateway.errors import OperatorError
from gateway.lifecycle import plots
from gateway.lifecycle.blind import blind_spots
from gateway.lifecycle.data import Floats, Rows
from gateway.lifecycle.file import ModelFile
from gateway.lifecycle.measures import SHIFT_AGES_S, THRESHOLDS, Alarms, Measures
from gateway.lifecycle.page import PAGE, cards, figure, section, table
from gateway.lifecycle.run import Alarm, Scores
from gateway.lifecycle.store import Change
from gateway.models import state_space, twin_model
from gateway.models.twin_model import TwinModel

AGES: Final = ("just learnt", "1 h without learning", "8 h without learning")
_GRAPH_MAX: Final = 40
"""More signals cannot be told apart on a circle."""
_CHANNELS_MAX: Final = 4
_ALARMS_MAX: Final = 30


class Looked(NamedTuple):
    """What a model said about rows that came with the question."""

    rows: Rows
    scores: Scores
    alarms: tuple[Alarm, ...]
    measures: Measures
    words: tuple[str, ...]
    """Explanation of each alarm; empty strings where there is none."""


def page(file: ModelFile, changes: Sequence[Change], looked: Looked | None) -> str:
    """Return the report as HTML."""
    model, measured = file.model, file.origin.measured
    parts = [_headline(file, looked), *_trust(file, looked), *_knows(model)]
    best = measured if looked is None else looked.measures
    if best is not None:
        parts.append(_sights(best))
    parts.append(section("What it cannot see", _list(blind_spots(model, best)), "blind"))
    if looked is not None:
        parts += _data(model, looked)
    parts.append(_provenance(file, changes))
    title = f"Model of {model.asset}"
    return PAGE.format(title=escape(title), body="\n".join(parts))


def write(path: Path, text: str) -> None:
    """Put a page in its place, whole or not at all; raise `OperatorError` if that is impossible."""
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        what = f"{path}: cannot be written ({error.strerror}); name a file in a folder of yours"
        raise OperatorError(what) from error


# --- what it is -----------------------------------------------------------------------------------


def _headline(file: ModelFile, looked: Looked | None) -> str:
    """Return the title and the figures that are asked for first."""
    model, origin = file.model, file.origin
    used, whole = int(model.scaling.used.sum()), len(model.signals)
    space = model.state_space
    facts = [
        ("signals", f"{used} of {whole}", "take part"),
        ("common causes", str(space.factors), f"with {space.lags} lags" if space.lags else "white"),
        ("regimes", str(len(model.regimes.weights)), "ways of running"),
        ("learnt from", f"{origin.rows:,} rows", f"of {model.period_ns / NS_PER_S:g} s each"),
    ]
    measures = origin.measured if looked is None else looked.measures
    if measures is not None:
        held = next((c for c in measures.coverage if c.nominal == 0.9), None)
        if held is not None:
            words = "of values in their 90 % interval"
            facts.append(("coverage", f"{100 * held.held:.1f} %", words))
        at = int(np.argmin(np.abs(np.array(THRESHOLDS) - 0.5)))
        rate = measures.alarms.per_hour[at]
        words = f"in {measures.alarms.hours:.2g} h of rows nobody calls faulty"
        facts.append(("alarms", f"{rate:.2g} per hour", words))
    span = f"{_date(origin.from_ns)} to {_date(origin.to_ns)}"
    lead = (
        f"<p class=lead>Learnt from {escape(origin.source)}, {span}. Model {file.digest[:12]}.</p>"
    )
    return f"<h1>{escape(model.asset)}</h1>{lead}{cards(facts)}"


def _trust(file: ModelFile, looked: Looked | None) -> Iterator[str]:
    """Yield what says how far the model can be believed."""
    model, measured = file.model, file.origin.measured
    found = held_out_table(file)
    if found:
        space = model.state_space
        svg = plots.likelihood(found, (space.factors, space.lags))
        text = "Rows that were kept from each candidate, in whole stretches of time. Higher is "
        text += "better; the ring is the model on this page, the smallest of those that are about "
        text += "as good. 0.1 nats are 10 % of probability in every single row."
        yield section("Why this size", figure(svg, text))
    asked = [("rows kept from the fit", measured)]
    if looked is not None:
        asked.append((Path(looked.rows.source).name, looked.measures))
    points: dict[str, list[tuple[float, float]]] = {}
    curves: dict[str, tuple[float, ...]] = {}
    hours = 1.0
    for words, measures in asked:
        if measures is None:
            continue
        name = words if len(words) <= 32 else words[:29] + "..."
        for each in measures.coverage:
            points.setdefault(f"{each.question}\n{name}", []).append((each.nominal, each.held))
        curves[f"{name} ({measures.alarms.hours:.2g} h)"] = measures.alarms.per_hour
        hours = max(hours, measures.alarms.hours)
    if points:
        text = "An interval that should hold 90 % of the values is good if it holds 85 to 95 %. "
        text += "More: it is too wide, and faults hide in it. Less: it cries wolf."
        yield section("Do its intervals hold?", figure(plots.coverage(points), text))
    if curves:
        svg = plots.alarm_curve(THRESHOLDS, curves, 1.0 / hours)
        yield section("How often does it cry wolf?", figure(svg, _wolf(model, asked)))


def _wolf(model: TwinModel, asked: Sequence[tuple[str, Measures | None]]) -> str:
    """Return the words below the curve of false alarms."""
    text = "Alarms that begin in rows nobody calls faulty. "
    wanted = getattr(model.calibration, "false_alarms_per_hour", None)
    if wanted is not None:
        text += f"The set-point was {wanted:g} per hour at probability 0.5. "
    longest = max((m.alarms for _, m in asked if m is not None), key=_hours)
    if longest.hours:
        text += f"No alarm in {longest.hours:.2g} h does not show a rate below about "
        text += f"{3.0 / longest.hours:.2g} per hour (95 % bound)."
    return text


def _hours(alarms: Alarms) -> float:
    return alarms.hours


def held_out_table(file: ModelFile) -> dict[int, list[tuple[int, float]]]:
    """Return (factors, held-out log density) by lags."""
    found: dict[int, list[tuple[int, float]]] = {}
    for factors, lags, value in file.origin.held_out:
        found.setdefault(lags, []).append((factors, value))
    return found


# --- what it knows --------------------------------------------------------------------------------


def _knows(model: TwinModel) -> Iterator[str]:
    """Yield what the model has found out about the signals."""
    if 2 <= len(model.level) <= _GRAPH_MAX:
        svg = plots.graph(model.names, partial_correlations(model), model.is_slow)
        text = "A line: two signals tell about each other what no other signal of the row tells "
        text += "(partial correlation, at least 0.1); dashed: against each other. A signal without "
        text += "lines has no witness: a fault of its sensor and a change of the plant look the "
        text += "same there. Dots of another colour are slow: they wander, and serve as background."
        yield section("Who vouches for whom", figure(svg, text))


def partial_correlations(model: TwinModel) -> Floats:
    """Return the partial correlations (u, u) of a row's signals, ones on the diagonal."""
    precision = np.linalg.inv(state_space.covariance(model.state_space))
    own = np.sqrt(np.diag(precision))
    partial: Floats = -precision / np.outer(own, own)
    np.fill_diagonal(partial, 1.0)
    return partial


def _sights(measures: Measures) -> str:
    """Return what the model sees of each signal."""
    names = [sight.signal for sight in measures.sights]
    single = np.array([max(sight.deviation, 1e-300) for sight in measures.sights])
    values = np.array([sight.shifts for sight in measures.sights]).T / single
    body = figure(
        plots.shifts(names, AGES[: len(SHIFT_AGES_S)], values),
        "An offset that stays, given all other signals and 60 rows. It grows with the time since "
        "the model last learnt, because healthy signals wander.",
    )
    rows = [
        (
            sight.signal + (" (slow)" if sight.is_slow else ""),
            f"{sight.deviation:.3g}",
            f"{100 * sight.explained:.0f} %",
            *(f"{shift:.3g}" for shift in sight.shifts),
            sight.unit or "-",
        )
        for sight in measures.sights
    ]
    head = ("signal", "a value differs by", "others explain", *AGES, "unit")
    return section("How small a change it sees", body + table(head, rows, numbers_from=1))


# --- what it said about the rows ------------------------------------------------------------------


def _data(model: TwinModel, looked: Looked) -> Iterator[str]:
    """Yield what the model said about the rows it was asked about."""
    scores = looked.scores
    hours = (scores.times_ns - scores.times_ns[0]) / NS_PER_S / 3600.0
    svg = plots.timeline(hours, scores.probability, scores.suspect)
    share = float((scores.probability >= 0.5).mean())
    text = f"{Path(looked.rows.source).name}: {len(hours):,} rows, "
    text += f"alarm in {100 * share:.1f} % of them."
    body = figure(svg, text)
    rows = []
    for alarm, words in zip(looked.alarms[:_ALARMS_MAX], looked.words, strict=False):
        order = np.argsort(-alarm.shares)[:3]
        named = ", ".join(f"{model.names[p]} {100 * alarm.shares[p]:.0f} %" for p in order)
        minutes = (scores.times_ns[alarm.last] - scores.times_ns[alarm.first]) / NS_PER_S / 60.0
        when = _date(int(scores.times_ns[alarm.first]))
        rows.append((when, f"{minutes:.1f}", f"{alarm.peak:.3f}", named, words or alarm.kind))
    if rows:
        head = ("first row", "minutes", "probability", "who says so", "why")
        body += table(head, rows)
        if len(looked.alarms) > _ALARMS_MAX:
            body += f"<p>and {len(looked.alarms) - _ALARMS_MAX} more alarms</p>"
    yield section("What it says about these rows", body)
    yield section("The signals behind it", "".join(_channels(model, looked, hours)))


def _channels(model: TwinModel, looked: Looked, hours: Floats) -> Iterator[str]:
    """Yield the signals that say most."""
    weight = np.maximum(looked.scores.contributions, 0.0).sum(axis=0)
    measured = looked.rows.values[:, model.scaling.used]
    units = np.array(model.units, dtype=object)[model.scaling.used]
    for place in np.argsort(-weight)[:_CHANNELS_MAX]:
        mean, spread = looked.scores.expected[:, place], looked.scores.deviation[:, place]
        low, high = twin_model.interval(model, mean, spread, 0.9)
        svg = plots.channel(hours, measured[:, place], mean, (high - low) / 2, units[place])
        yield f"<h3>{escape(model.names[place])}</h3>" + figure(svg, "")


def _provenance(file: ModelFile, changes: Sequence[Change]) -> str:
    """Return where the model comes from, and every change of it."""
    origin = file.origin
    rows = [
        ("model", file.digest),
        ("rows from", origin.source),
        ("SHA-256 of them", origin.source_sha256),
        *((f"setting {name}", str(value)) for name, value in origin.settings.items()),
        *(("note", note) for note in origin.notes),
    ]
    body = table(("what", "value"), rows)
    if changes:
        listed = [
            (_date(each.at_ns), each.action, each.version, each.by or "-", _why(each.gate))
            for each in changes
        ]
        body += "<h3>Every change so far</h3>"
        body += table(("when", "what", "version", "vouched by", "gate"), listed)
    return section("Where it comes from", body)


def _why(gate: Mapping[str, object]) -> str:
    refusals: Any = gate.get("refusals", [])
    return "; ".join(str(each) for each in refusals) or "open"


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def _date(at_ns: int) -> str:
    moment = datetime.fromtimestamp(at_ns // NS_PER_S, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S")
