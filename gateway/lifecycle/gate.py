"""May a model learn from these rows? The questions that are asked before a version changes.

    healthy    the model in use alarms in few of the rows, no row is marked as suspect
    still      neither its own training rows nor those of the first version differ from them by
               more than drift and chance allow (models/monitor.py)
    verified   seal or transport vouch for the values; if not, a person has to

The first version is asked as well because many small steps make a large one: a fault that creeps
slower than a single comparison can tell, or somebody who feeds it so, is found against the anchor.
Promises: every answer is in `Gate.facts`; a refusal names signals and figures. Left to others:
enforcing it (`store.py`).
"""

from typing import Final

import numpy as np

from gateway.clock import NS_PER_S
from gateway.lifecycle.data import Rows
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
    for name, file in (("the version in use", current), ("the first version", anchor)):
        movement = movement_since(file, rows)
        if movement is None:
            continue
        listed = [sentence(file.model, finding) for finding in movement.findings]
        moved[name] = listed[:_NAMED_MAX]
        if listed:
            shown = "; ".join(listed[:_NAMED_MAX])
            refusals.append(f"since {name} was learnt: {shown}")
    facts = _facts(rows, left_out) | {"alarmed_share": alarmed, "moved": moved}
    return Gate(facts=facts, refusals=tuple(refusals), unverified=_unverified(rows))


def movement_since(file: ModelFile, rows: Rows) -> Movement | None:
    """Return how the distribution has moved since a model was learnt; None if it cannot be told."""
    if file.origin.baseline is None:
        return None
    model = file.model
    now = monitor.summarise(model.scaling, rows.segments(), window=model.window_rows)
    age_rows = max(0, int(rows.times_ns[0]) - file.origin.to_ns) // model.period_ns
    return monitor.compare(
        model, file.origin.baseline, now, age_rows=age_rows, false_alarms=FALSE_ALARMS
    )


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
