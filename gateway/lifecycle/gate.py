"""May a model learn from these rows? The questions that are asked before a version changes.

    healthy    the model in use alarms in few of the rows, no row is marked as suspect
    still      neither its own training rows nor those of the first version differ from them by
               more than drift and chance allow (models/monitor.py); what cannot be told is no yes
    verified   seal or transport vouch for the values; if not, a person has to

The first version is asked as well because many small steps make a large one: a fault that creeps
slower than a single comparison can tell, or somebody who feeds it so, is found against the anchor.
Against the anchor age excuses no more than the drift of as many rows as it was learnt from: over
years a random walk would excuse anything. Only a signal that wandered in training (a slow
covariate, `is_slow`) keeps its whole age. Times before the year 2000 are counts, not dates; where
either side has no date there is no age.
Promises: every answer is in `Gate.facts`; a refusal names signals and figures. Left to others:
enforcing it (`store.py`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from gateway.clock import NS_PER_S
from gateway.lifecycle.data import Floats, Rows, dated
from gateway.lifecycle.file import ModelFile
from gateway.lifecycle.run import Scores
from gateway.lifecycle.store import Gate
from gateway.models import monitor
from gateway.models.monitor import Finding, Movement
from gateway.models.twin_model import TwinModel

ALARMED_SHARE_MAX: Final = 0.02
"""Of rows that may be learnt from: what false alarms make up, and no more."""
FALSE_ALARMS: Final = 0.001
"""Probability of refusing healthy rows for having moved, for each of the two comparisons."""
_NAMED_MAX: Final = 3
_IN_USE: Final = "the version in use"
_FIRST: Final = "the first version"
_FEW: Final = (
    f"fewer than {monitor.BLOCKS_MIN} blocks of neighbouring values, or most values alone; "
    "take longer unbroken pieces"
)


def first_gate(rows: Rows, left_out: int) -> Gate:
    """Return the gate of a first version: a person starts it, nothing is there to compare with."""
    return Gate(facts=_facts(rows, left_out))


def gate(current: ModelFile, anchor: ModelFile, rows: Rows, scores: Scores, left_out: int) -> Gate:
    """Ask whether rows, which the current model has scored, may make a new version.

    `left_out` rows were marked as suspect and are not among them.
    """
    refusals = []
    alarmed = float((scores.probability >= 0.5).mean())
    if alarmed > ALARMED_SHARE_MAX:
        first = int(np.argmax(scores.probability >= 0.5))
        refusals.append(
            f"the model in use alarms in {100 * alarmed:.1f} % of the rows, first in line "
            f"{rows.lines[first]}; at most {100 * ALARMED_SHARE_MAX:g} % may be false alarms"
        )
    moved: dict[str, object] = {}
    for name, file in ((_IN_USE, current), (_FIRST, anchor)):
        if file.model.signals != rows.signals:
            refusals.append(
                f"{name} has other signals ({', '.join(file.model.signals)}), so nobody can tell "
                "what has moved since"
            )
            continue
        movement = movement_since(file, rows, is_anchor=name == _FIRST)
        if movement is None:
            refusals.append(f"{name} kept nothing of its training rows to compare with")
            continue
        listed = [sentence(file.model, finding) for finding in movement.findings]
        moved[name] = listed[:_NAMED_MAX]
        if listed:
            shown = "; ".join(listed[:_NAMED_MAX])
            refusals.append(f"since {name} was learnt: {shown}")
        if movement.unknown:
            shown = _untold(file.model, movement.unknown)
            refusals.append(f"whether {shown} moved since {name} was learnt cannot be told: {_FEW}")
    facts = _facts(rows, left_out) | {"alarmed_share": alarmed, "moved": moved}
    return Gate(facts=facts, refusals=tuple(refusals), unverified=_unverified(rows))


def movement_since(file: ModelFile, rows: Rows, *, is_anchor: bool = False) -> Movement | None:
    """Return how the distribution has moved since a model was learnt; None without its sums.

    `is_anchor` bounds the age that excuses a level which is not slow.
    """
    if file.origin.baseline is None:
        return None
    model = file.model
    segments = rows.segments()
    movement = monitor.compare(
        model,
        file.origin.baseline,
        monitor.summarise(model, segments),
        age_rows=_ages(file, rows, is_anchor=is_anchor),
        false_alarms=FALSE_ALARMS,
    )
    lonely = tuple((place,) for place in monitor.alone(model, segments))
    unknown = sorted({*lonely, *movement.unknown}, key=lambda places: (len(places), places))
    return replace(movement, unknown=tuple(unknown))


def _ages(file: ModelFile, rows: Rows, *, is_anchor: bool) -> Floats:
    """Return the rows (u,) between a model and rows over which its levels may have wandered."""
    model, learnt_to_ns, first_ns = file.model, dated(file.origin.to_ns), int(rows.times_ns[0])
    age = 0
    if learnt_to_ns is not None and dated(first_ns) is not None:
        age = max(0, first_ns - learnt_to_ns) // model.period_ns
    ages = np.full(len(model.level), float(age))
    return np.where(model.is_slow, ages, np.minimum(ages, file.origin.rows)) if is_anchor else ages


def _untold(model: TwinModel, unknown: Sequence[tuple[int, ...]]) -> str:
    """Return names of signals, and of pairs, that too little is known of."""
    named = [" with ".join(model.names[place] for place in places) for places in unknown]
    more = f" and {len(named) - _NAMED_MAX} more" if len(named) > _NAMED_MAX else ""
    return ", ".join(named[:_NAMED_MAX]) + more


def sentence(model: TwinModel, finding: Finding) -> str:
    """Return a finding in words, with numbers in the signal's own unit."""
    used = np.flatnonzero(model.scaling.used)
    names = [model.signals[used[place]] for place in finding.places]
    first = used[finding.places[0]]
    scale, unit = float(model.scaling.scale[first]), model.units[first]
    far = f"{abs(finding.statistic):.1f} standard deviations"
    if finding.kind == "coupling":
        was, now = f"{finding.was:+.2f}", f"{finding.now:+.2f}"
        return f"{names[0]} and {names[1]} move together differently: {was} then, {now} now ({far})"
    offset = float(model.scaling.location[first]) if finding.kind == "level" else 0.0
    was, now = (f"{offset + scale * each:.4g}" for each in (finding.was, finding.now))
    named = f"{now} {unit}".strip()
    return f"{names[0]}: {finding.kind} {was} then, {named} now ({far})"


def _facts(rows: Rows, left_out: int) -> dict[str, object]:
    return {
        "source": rows.source.rsplit("/", 1)[-1],
        "rows": len(rows.values),
        "hours": round(len(rows.values) * rows.period_ns / NS_PER_S / 3600.0, 3),
        "suspect_rows_left_out": left_out,
        "verified_share": float(rows.verified.mean()),
    }


def _unverified(rows: Rows) -> str:
    share = float(rows.verified.mean())
    if share == 1.0:
        return ""
    return f"nothing vouches for {100 * (1.0 - share):.1f} % of the rows: no seal, no secured link"
