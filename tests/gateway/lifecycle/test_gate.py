"""The gate: a fault does not get through by being slow, short, rare, late or unlooked at."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.lifecycle.data import DATED_FROM_NS, Rows
from gateway.lifecycle.file import ModelFile
from gateway.lifecycle.gate import first_gate, gate
from gateway.lifecycle.run import Scores
from gateway.lifecycle.store import Gate
from tests.gateway.lifecycle import models_on_disk
from tests.gateway.lifecycle.models_on_disk import SCALE, SIGNALS, TRAINING_ROWS, UNITS, S

START_NS = 800_000_000 * S + DATED_FROM_NS
DAY = 86_400
MODEL = models_on_disk.model()
FILE = ModelFile(
    model=MODEL,
    origin=replace(models_on_disk.origin(), from_ns=START_NS, to_ns=START_NS + TRAINING_ROWS * S),
    digest="",
)


def rows_of(values: np.ndarray, numbers: np.ndarray | None = None, *, after_s: int = 1) -> Rows:
    """Return verified rows that begin so many seconds after the training rows end."""
    numbers = np.arange(len(values)) if numbers is None else numbers
    return Rows(
        source="folder/new.csv",
        sha256="ab" * 32,
        signals=SIGNALS,
        units=UNITS,
        values=values,
        numbers=numbers,
        times_ns=FILE.origin.to_ns + (numbers + after_s) * S,
        lines=np.arange(len(values)) + 2,
        suspect=None,
        verified=np.ones(len(values), dtype=np.bool_),
        period_ns=S,
        notes=(),
    )


def ask(
    rows: Rows, *, anchor: ModelFile = FILE, current: ModelFile = FILE, alarmed: int = 0
) -> Gate:
    """Ask the gate about rows the first of which were alarmed."""
    # The gate looks at the probabilities alone.
    probability = (np.arange(len(rows.values)) < alarmed).astype(np.float64)
    scores = Scores(**(dict.fromkeys(Scores._fields) | {"probability": probability}))
    return gate(current, anchor, rows, scores, 0)


def healthy(count: int = 600, seed: int = 1) -> np.ndarray:
    return models_on_disk.rows(count, seed)


def test_healthy_rows_pass() -> None:
    asked = ask(rows_of(healthy()))
    assert asked.refusals == ()
    assert asked.unverified == ""
    assert asked.facts["source"] == "new.csv"
    assert asked.facts["moved"] == {"the version in use": [], "the first version": []}
    assert first_gate(rows_of(healthy()), 3).facts["suspect_rows_left_out"] == 3


def test_alarmed_rows_do_not_pass() -> None:
    (refusal,) = ask(rows_of(healthy()), alarmed=13).refusals
    assert "alarms in 2.2 % of the rows, first in line 2" in refusal


def test_rows_nobody_vouches_for_are_said() -> None:
    rows = rows_of(healthy())
    rows.verified[:60] = False
    assert "10.0 % of the rows" in ask(rows).unverified


@pytest.mark.parametrize("piece", [9, 10, 19])
def test_a_creep_in_short_pieces_is_found(piece: int) -> None:
    """A tenth of a deviation more every day, and only some rows of each day."""
    count = 60 * piece
    day = np.arange(count) // piece
    values = healthy(count, 2)
    values[:, 0] += 0.1 * day * SCALE[0]
    refusals = ask(rows_of(values, np.arange(count) % piece + day * DAY)).refusals
    assert any("since the first version was learnt: flow: level" in each for each in refusals)


def test_a_late_date_excuses_nothing_against_the_first_version() -> None:
    values = healthy()
    values[:, 1] += 2.0 * SCALE[1]
    refusals = ask(rows_of(values, after_s=10 * 365 * DAY)).refusals
    assert any("since the first version was learnt: pressure: level" in each for each in refusals)


def test_a_signal_that_wandered_in_training_may_have_wandered_since() -> None:
    values = healthy()
    values[:, 1] += 2.0 * SCALE[1]
    is_slow = np.array([False, True, False, False])
    slow = replace(FILE, model=replace(MODEL, is_slow=is_slow))
    rows = rows_of(values, after_s=10 * 365 * DAY)
    assert ask(rows, anchor=slow, current=slow).refusals == ()


def test_a_model_without_a_date_does_not_age() -> None:
    values = healthy()
    values[:, 1] += 2.0 * SCALE[1]
    undated = replace(FILE, origin=replace(FILE.origin, from_ns=0, to_ns=TRAINING_ROWS * S))
    refusals = ask(rows_of(values), anchor=undated, current=undated).refusals
    assert any("since the version in use was learnt: pressure: level" in each for each in refusals)


def test_what_cannot_be_told_is_refused_by_name() -> None:
    values = healthy()
    values[:, 2] = np.nan
    refusals = ask(rows_of(values)).refusals
    assert len(refusals) == 2
    assert all(each.startswith("whether current moved since the ") for each in refusals)
    single = rows_of(values, np.arange(600) * DAY)
    assert "whether flow, pressure, current and 1 more moved" in ask(single).refusals[0]


def test_a_first_version_of_other_signals_is_no_anchor() -> None:
    other = replace(FILE, model=replace(MODEL, signals=("flow", "pressure", "power", "speed")))
    (refusal,) = ask(rows_of(healthy()), anchor=other).refusals
    assert "the first version has other signals (flow, pressure, power, speed)" in refusal


def test_a_version_that_kept_no_sums_cannot_be_compared_with() -> None:
    bare = replace(FILE, origin=replace(FILE.origin, baseline=None))
    (refusal,) = ask(rows_of(healthy()), anchor=bare).refusals
    assert "the first version kept nothing of its training rows" in refusal
