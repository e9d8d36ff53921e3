"""The one command: figures as published for what is simple, and plain words for what is absent."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks import baselines, recordings, truth, truth_cmapss, truth_skab
from benchmarks.cmapss import Told
from benchmarks.measures import Aim, detection_rates, mean_rate
from benchmarks.recordings import Process, Recording
from benchmarks.truth_cmapss import Fold
from benchmarks.truth_skab import Figures, Verdicts


@pytest.fixture(scope="module")
def files(shared_dir: Path) -> list[Recording]:
    """The labelled files of SKAB that are there."""
    if not (shared_dir / "data" / "skab" / "valve1").is_dir():
        pytest.skip("no SKAB files below shared/data")
    return recordings.read_skab(shared_dir / "data")


@pytest.fixture(scope="module")
def process(shared_dir: Path) -> Process:
    """The runs of Tennessee Eastman that are there."""
    if not (shared_dir / "data" / "tep").is_dir():
        pytest.skip("no TEP runs below shared/data")
    return recordings.read_tep(shared_dir / "data")


def measured(files: list[Recording], name: str) -> Figures:
    rule = truth_skab.rules(files[0].signals)[name]
    said = [rule(file.rows[:400], file.rows[400:]) for file in files]
    return truth_skab.figures(files, Verdicts(said, [], None))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "f1", "far", "mar"),
    [
        ("T2 + Q, as published", 0.760, 23.9, 26.1),
        ("probabilistic PCA, k = 3", 0.769, 57.1, 6.8),
        ("the same without thermal channels, hindsight", 0.843, 14.5, 18.0),
        ("always alarm", 0.698, 100.0, 0.0),
    ],
)
def test_simple_detectors_give_the_published_figures_on_valve1(
    files: list[Recording], name: str, f1: float, far: float, mar: float
) -> None:
    got = measured(files, name)
    assert got.f1 == pytest.approx(f1, abs=6e-4)
    assert 100 * got.false_alarm_rate == pytest.approx(far, abs=0.06)
    assert 100 * got.missed_rate == pytest.approx(mar, abs=0.06)


@pytest.mark.slow
def test_the_joint_gaussian_is_the_best_of_the_simple_ones_but_for_var(process: Process) -> None:
    score = baselines.learn_joint_gaussian(process.training)
    rates = detection_rates({fault: score(rows) for fault, rows in process.tests.items()})
    assert mean_rate(rates) == pytest.approx(0.797, abs=1e-3)
    assert mean_rate(rates, without_undetectable=True) == pytest.approx(0.991, abs=1e-3)


def labelled(changes: list[int]) -> Recording:
    """A file of 700 rows whose label is rows 500-599."""
    anomalies = np.zeros(700, dtype=np.bool_)
    anomalies[500:600] = True
    change_points = np.zeros(700, dtype=np.bool_)
    change_points[changes] = True
    return Recording("f", ("a",), np.arange(700.0), np.zeros((700, 1)), anomalies, change_points)


def test_figures_of_a_verdict_that_is_right_but_late() -> None:
    alarmed = np.zeros(300, dtype=np.bool_)
    alarmed[110:200] = True
    got = truth_skab.figures([labelled([500])], Verdicts([alarmed], [alarmed[:10]], None))
    assert got.missed_rate == pytest.approx(0.1)
    assert got.false_alarm_rate == 0.0
    assert got.f1 == pytest.approx(90 / 95)
    assert (got.delay_rows, got.files_missed, got.normal_rate) == (10.0, 0, 0.0)


def test_own_detections_of_change_points_count_in_place_of_verdicts() -> None:
    silent = np.zeros(300, dtype=np.bool_)
    said = Verdicts([silent], [], [np.array([500.0])])
    got = truth_skab.figures([labelled([500])], said)
    assert got.nab == pytest.approx(100.0)
    assert math.isnan(got.delay_rows)
    assert got.files_missed == 1


def test_absent_data_is_said_and_the_other_sets_are_still_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {**truth.SETS, "there": lambda data, console, with_ours: [Aim("F1", 0.9, least=0.87)]}
    monkeypatch.setattr(truth, "SETS", there)
    said = io.StringIO()
    aims, absent = truth.run(tmp_path, ["skab", "tep", "cmapss", "there"], Console(file=said), True)
    assert absent == ["skab", "tep", "cmapss"]
    assert [str(aim) for aim in aims] == ["F1 >= 0.87: 0.9, reached"]
    assert said.getvalue().count("--data DIR") == 3


def test_without_data_the_exit_status_is_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["truth", "--data", str(tmp_path)])
    assert truth.main() == 1
    assert "nothing measured" in capsys.readouterr().out


def test_folds_of_engines_are_put_together() -> None:
    told = Told(np.array([10.0, 20.0]), np.array([5.0, 19.0]), np.array([15.0, 30.0]))
    silent = Told(np.array([0.0, 0.0]), np.full(2, np.nan), np.full(2, np.nan))
    fold = Fold({"a": told, "b": silent}, np.array([10.0, 14.0]))
    got = truth_cmapss.figures([fold, fold])
    assert got["a"].rmse == pytest.approx(math.sqrt(18.0))
    assert got["a"].bias == pytest.approx(3.0)
    assert got["a"].held == pytest.approx(0.5)
    assert got["a"].width == pytest.approx(10.5)
    assert math.isnan(got["b"].held)
