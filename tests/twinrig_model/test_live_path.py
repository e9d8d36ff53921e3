"""`score` and `explain` go the way of the gateway: its memory of rows, its judge, its ageing."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.lifecycle.data import Rows, Selection, read_rows
from gateway.lifecycle.explain import Asked, explain_alarms, explain_at
from gateway.lifecycle.file import ModelFile, load
from gateway.lifecycle.learn import Order, learn
from gateway.lifecycle.run import Scores, age_rows_of, alarms, run
from gateway.lifecycle.store import open_model
from gateway.models.calibration import calibrated
from gateway.models.fit import Asset
from gateway.models.hypotheses_law import WINDOW_ROWS
from gateway.models.regimes import Regimes
from gateway.records import Aligned, Provenance, State
from gateway.stages.diagnosis import EXPERIENCE_ROWS
from gateway.stages.fuse import Fuse, FuseOptions
from gateway.stages.judge import Judge
from gateway.stages.learning import Known
from tests.gateway.lifecycle.models_on_disk import S, csv_of, rows
from tests.twinrig_model.commands import COUNT, HEADER, Cli

pytestmark = pytest.mark.slow

FIRST, LAST = 520, 580
"""Rows that are those of 300 before."""
FIRST_S = 1_600_000_000
"""A date in September 2020."""


@pytest.fixture(scope="module")
def file(folder: Path) -> ModelFile:
    return open_model(folder / "model")


def on_disk(values: np.ndarray, path: Path, first_s: int = COUNT) -> Rows:
    path.write_text(csv_of(values, HEADER, first_s))
    return read_rows(path, Selection())


@pytest.fixture(scope="module")
def replayed(folder: Path) -> Rows:
    values = rows(COUNT, 5)
    values[FIRST:LAST] = values[FIRST - 300 : LAST - 300]
    return on_disk(values, folder / "replayed.csv")


@pytest.fixture(scope="module")
def scores(file: ModelFile, replayed: Rows) -> Scores:
    return run(file.model, replayed, learnt=file.origin.experience)


def test_rows_that_come_again_are_an_alarm_called_a_replay(
    file: ModelFile, replayed: Rows, scores: Scores
) -> None:
    assert scores.known_from == EXPERIENCE_ROWS + WINDOW_ROWS
    (alarm,) = alarms(scores)
    assert FIRST <= alarm.first < FIRST + 20
    assert alarm.kind == "repeat"
    (found,) = explain_alarms(Asked(file.model, replayed, scores, file.origin.experience))
    assert found.causes[0].cause == "replay"
    assert found.causes[0].probability > 0.9
    assert "repeats stored rows" in found.words


def test_without_calm_rows_before_no_repeat_is_evidence(file: ModelFile, replayed: Rows) -> None:
    late = replayed.where(np.arange(COUNT) >= FIRST - 320)
    found = run(file.model, late, learnt=file.origin.experience)
    assert found.known_from == len(late.values)
    assert not len(found.taught)
    assert not alarms(found)


def test_the_gateway_says_the_same(file: ModelFile, replayed: Rows, scores: Scores) -> None:
    model = file.model
    asset = Asset("pump", model.signals, model.units, S)
    options = FuseOptions(false_alarms_per_hour=0.1)
    # Asked for here as if the model had been learnt just before the rows, as `run` is asked.
    fuse = Fuse(asset, COUNT, options, known=Known(model, "id", int(replayed.times_ns[0]) - S))
    judge = Judge("pump")
    estimates, changes = [], []
    for place, row in enumerate(replayed.values):
        time_ns = int(replayed.times_ns[place])
        for signal, unit, value in zip(model.signals, model.units, row.tolist(), strict=True):
            for estimate in fuse.feed(_aligned(signal, unit, value, time_ns), time_ns):
                estimates.append(estimate)
                changes += judge.feed(estimate, time_ns)
    live = np.array([estimate.anomaly_probability for estimate in estimates])
    assert len(live) >= COUNT - 2
    # The gateway knows how coarse signals are from its first calm rows, the file from training.
    assert live == pytest.approx(scores.probability[: len(live)], abs=1e-6)
    begun = [each.since_ns for each in changes if each.state is State.ALARM]
    assert begun == [int(replayed.times_ns[first]) for first, _ in scores.spans]


def _aligned(signal: str, unit: str, value: float, time_ns: int) -> Aligned:
    return Aligned(
        signal=signal,
        unit=unit,
        value=value,
        time_ns=time_ns,
        bound_ns=0,
        uncertainty_ns=0,
        status=0,
        provenance=Provenance.SEALED,
        source="n",
        sequence=0,
    )


def test_an_alarm_needs_three_rows_and_ends_after_ten(
    file: ModelFile, replayed: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = np.zeros(120)
    told[[10, 11, 30, 31, 32, 40, 42, 43, 80, 81, 82, 117, 118, 119]] = 0.9
    told[45] = 0.4  # between both thresholds: no alarm would begin with it, none ends

    class Told:
        """A tracker that says what it is told to say."""

        def __init__(self, model: object, habits: object) -> None:
            self._real = real(model, habits)
            self._next = iter(told.tolist())

        def step(self, row: np.ndarray) -> object:
            return self._real.step(row)._replace(probability=next(self._next))

        def skip(self, count: int) -> None:
            self._real.skip(count)

    real = run.__globals__["Tracker"]
    monkeypatch.setitem(run.__globals__, "Tracker", Told)
    found = run(file.model, replayed.where(np.arange(COUNT) < 120))
    assert found.spans == ((30, 45), (80, 82), (117, 119))


def test_rows_long_after_training_are_held_against_a_wider_model(
    file: ModelFile, tmp_path: Path
) -> None:
    values = rows(40, 6)
    some = on_disk(values, tmp_path / "a.csv", FIRST_S)
    fresh, aged = (run(file.model, some, age_rows=age).deviation[0] for age in (0, 10_000_000))
    assert (aged > 1.2 * fresh).any()
    assert age_rows_of((FIRST_S - 61) * S, some) == 60
    assert age_rows_of(FIRST_S * S, some) == 0
    # Seconds since the start of a recording are no dates.
    assert age_rows_of(COUNT * S, some) == 0
    assert age_rows_of(FIRST_S * S, on_disk(values, tmp_path / "b.csv", 0)) == 0


def test_explanations_have_sizes_in_units_and_report_how_far_they_are(
    file: ModelFile, folder: Path
) -> None:
    faulty = read_rows(folder / "faulty.csv", Selection(rows=(200, 400)))
    heard: list[tuple[int, int]] = []
    asked = Asked(file.model, faulty, run(file.model, faulty), file.origin.experience)
    found = explain_alarms(asked, lambda done, total: heard.append((done, total)))
    assert heard == [(number, len(found)) for number in range(len(found) + 1)]
    bias = next(each for each in found[0].causes if each.cause == "bias")
    assert bias.signal == "pressure"
    assert bias.unit == "bar"
    size, spread = (float(part) for part in bias.size.split(" ± "))
    assert abs(size - 1.6) < 5.0 * spread + 0.05  # eight scales of 0.2 bar were added
    assert "measured" in found[0].words


def test_another_way_of_running_is_not_taken_for_a_fault(file: ModelFile, replayed: Rows) -> None:
    ways = Regimes(
        np.array([[0.0] * 4, [9.0, 9.0, -9.0, 9.0]]),
        np.array([[0.99, 0.01], [0.01, 0.99]]),
        np.full(2, 0.5),
    )
    model = replace(file.model, regimes=ways)
    values = replayed.values[:300].copy()
    values[200:] += model.scaling.scale * ways.offsets[1]
    values[260:, 1] += 3.0 * model.scaling.scale[1]
    some = replace(replayed.where(np.arange(COUNT) < 300), values=values)
    asked = Asked(model, some, run(model, some), file.origin.experience)
    found = explain_at(asked, int(some.times_ns[-10]))
    assert found.causes[0].signal == "pressure"
    assert found.causes[0].probability > 0.5


def test_what_healthy_rows_taught_is_in_the_file(file: ModelFile) -> None:
    learnt = file.origin.experience
    assert learnt is not None
    assert learnt.handicap.shape == (11, 5)
    assert (learnt.ways.resolution > 0.0).all()


def test_a_file_from_before_the_handicap_still_answers(
    copy: Path, replayed: Rows, scores: Scores
) -> None:
    path = copy / "model.json"
    body = json.loads(path.read_text())
    del body["origin"]["handicap"]
    body.pop("sha256")
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    body["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(body))
    old = load(copy)
    assert old.origin.ways is not None
    assert old.origin.experience is None
    (found,) = explain_alarms(Asked(old.model, replayed, scores, None))
    assert found.causes[0].cause == "replay"


def test_pieces_with_a_gap_are_not_glued(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy = read_rows(folder / "pump.csv", Selection(rows=(0, 400)))
    parted = healthy.where((np.arange(400) < 180) | (np.arange(400) >= 320))
    given = []

    def kept(model: object, values: np.ndarray, rate: float) -> object:
        given.append(values)
        return calibrated(model, values, rate)  # type: ignore[arg-type]

    monkeypatch.setitem(learn.__globals__, "calibrated", kept)
    learn(parted, Order("pump", 0.1, checked=False))
    (values,) = given
    empty = np.flatnonzero(np.isnan(values).all(axis=1))
    assert len(empty) >= 20
    assert (np.diff(empty) == 1).all()
    assert empty[0] == 180
    assert len(values) == 180 + len(empty) + 80


def test_a_file_and_the_command_agree(
    cli: Cli, folder: Path, replayed: Rows, scores: Scores
) -> None:
    status, out, err = cli("explain", folder / "model", folder / "replayed.csv")
    assert status == 0, err
    assert "replay" in out
    assert f"line {replayed.lines[scores.spans[0][0]]}" in out
