"""`twinrig model fit` and `score` as their user meets them: what they print, write and refuse."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gateway.lifecycle.learn as learning
from gateway.lifecycle.learn import Learnt
from gateway.lifecycle.store import open_model
from tests.gateway.lifecycle.models_on_disk import SIGNALS, csv_of, rows
from tests.twinrig_model.commands import COUNT, HEADER, Cli, refused

# --- fit ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_fit_says_what_it_learnt_and_how_far_it_holds(folder: Path) -> None:
    out = (folder / "fit.txt").read_text()
    assert out.startswith("asset           pump")  # named after the file
    assert "4 of 4" in out
    assert "rows kept back" in out
    assert "version 000001-" in out


@pytest.mark.slow
def test_rows_and_signals_choose(cli: Cli, folder: Path, tmp_path: Path) -> None:
    words = ("--rows", "100:500", "--signals", "flow,current", "--no-check")
    status, out, _ = cli("fit", folder / "pump.csv", "--out", tmp_path / "m", *words)
    assert status == 0
    assert "400 of 1 s" in out
    assert "2 of 2" in out


@pytest.mark.slow
def test_a_new_version_passes_the_gate_or_does_not(
    cli: Cli, folder: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = ("--out", copy.parent, "--no-check")
    file = open_model(copy)
    with monkeypatch.context() as patched:
        # What is refused has been learnt for nothing; the test need not.
        patched.setattr(learning, "learn", lambda *_: Learnt(file.model, file.origin))
        err = refused(cli("fit", folder / "more.csv", *again))
        assert "nothing vouches for 100.0 % of the rows" in err
        assert "--vouch NAME" in err
        err = refused(cli("fit", folder / "faulty.csv", *again, "--vouch", "A. Turner"))
        assert "pressure: level" in err
    assert [path for path in copy.parent.iterdir() if path.is_dir()] == [copy]
    assert cli("fit", folder / "more.csv", *again, "--vouch", "A. Turner")[0] == 0
    lines = (copy.parent / "changes.jsonl").read_text().splitlines()
    record = [json.loads(line) for line in lines]
    assert [line["action"] for line in record] == ["first", "refused", "refused", "update"]
    assert record[-1]["by"] == "A. Turner"


def spoilt(tmp_path: Path, change: Callable[[np.ndarray], object], count: int = COUNT) -> Path:
    values = rows(count)
    change(values)
    path = tmp_path / "spoilt.csv"
    path.write_text(csv_of(values, HEADER))
    return path


@pytest.mark.slow
def test_channels_that_cannot_take_part_are_named(cli: Cli, tmp_path: Path) -> None:
    values = rows(400)
    spoilt = {
        "constant": np.full(400, 5.0),
        "copied": 3.0 * values[:, 1] + 1.0,
        "missing": np.full(400, np.nan),
        "absurd": np.full(400, 1e200),
    }
    data = tmp_path / "spoilt.csv"
    data.write_text(csv_of(np.column_stack([values, *spoilt.values()]), (*HEADER, *spoilt)))
    status, out, err = cli("fit", data, "--out", tmp_path / "m", "--no-check")
    assert status == 0, err
    assert "4 of 8" in out
    notes = [line for line in out.splitlines() if line.startswith("note:")]
    for name in spoilt:
        assert any(name in note for note in notes), name
    status, out, _ = cli("score", tmp_path / "m", data)
    assert status == 0


@pytest.mark.parametrize("count", [30, 99])
def test_too_few_rows_are_refused_with_the_number_needed(
    cli: Cli, tmp_path: Path, count: int
) -> None:
    data = spoilt(tmp_path, lambda values: None, count)
    err = refused(cli("fit", data, "--out", tmp_path / "m"))
    assert f"{count} training rows" in err
    assert "flow" in err
    assert not (tmp_path / "m").exists()


def test_nothing_that_varies_is_refused(cli: Cli, tmp_path: Path) -> None:
    data = spoilt(tmp_path, lambda values: values.fill(1.0))
    err = refused(cli("fit", data, "--out", tmp_path / "m"))
    assert all(signal in err for signal in SIGNALS)


def test_rows_that_are_all_marked_are_refused(cli: Cli, tmp_path: Path) -> None:
    values = np.column_stack([rows(200)[:, :2], np.ones(200)])
    path = tmp_path / "marked.csv"
    path.write_text(csv_of(values, ("flow", "pressure", "anomaly")))
    assert "all 200 rows" in refused(cli("fit", path, "--out", tmp_path / "m"))


@pytest.mark.parametrize("period", ["inf", "nan", "0", "-1", "1e300"])
def test_a_period_that_is_none(cli: Cli, folder: Path, tmp_path: Path, period: str) -> None:
    err = refused(cli("fit", folder / "pump.csv", "--out", tmp_path / "m", "--period", period))
    assert "is no period; write seconds" in err


@pytest.mark.parametrize("words", [("--rows", "5"), ("--rows", "a:b"), ("--rows", "-5:")])
def test_a_range_that_is_none(cli: Cli, folder: Path, tmp_path: Path, words: list[str]) -> None:
    err = refused(cli("fit", folder / "pump.csv", "--out", tmp_path / "m", *words))
    assert "write 0:400" in err


def test_a_file_that_is_no_table_names_line_and_column(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("time,flow\n0,1\n1,RUN\n")
    err = refused(cli("fit", path, "--out", tmp_path / "m"))
    assert "bad.csv:3: column 'flow': 'RUN' is not a number" in err


# --- score ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_score_finds_the_fault_and_the_signal(cli: Cli, folder: Path) -> None:
    status, out, _ = cli("score", folder / "model", folder / "faulty.csv")
    assert status == 0
    # Row 300 stands at 900 s.
    line = next(line for line in out.splitlines() if "1970-01-01 00:15:0" in line)
    assert "pressure" in line
    status, out, _ = cli("score", folder / "model", folder / "more.csv")
    assert "alarmed" in out
    assert "0 rows, 0.0 %" in out


@pytest.mark.slow
def test_score_for_programs(cli: Cli, folder: Path) -> None:
    _, out, _ = cli("score", folder / "model", folder / "faulty.csv", "--csv")
    table = list(csv.DictReader(io.StringIO(out), delimiter=";"))
    assert len(table) == COUNT
    for line in table[::50]:
        shares = sum(float(line[f"contribution {signal}"]) for signal in SIGNALS)
        assert shares == pytest.approx(float(line["score"]), abs=1e-6)
    _, out, _ = cli("score", folder / "model", folder / "faulty.csv", "--json")
    body = json.loads(out)
    assert body["asset"] == "pump"
    shares = body["alarms"][0]["shares"]
    assert max(shares, key=shares.get) == "pressure"
    assert body["rows"]["probability"][450] == float(table[450]["probability"])
    assert "exclude each other" in refused(
        cli("score", folder / "model", folder / "faulty.csv", "--json", "--csv")
    )


@pytest.mark.slow
def test_rows_in_front_change_nothing_but_the_age(cli: Cli, folder: Path, tmp_path: Path) -> None:
    """The model is blind to row numbers, file names and absolute time."""
    moved = tmp_path / "other name.csv"
    values = np.array([
        [float(cell) for cell in line.split(";")[1:]]
        for line in (folder / "faulty.csv").read_text().splitlines()[1:]
    ])  # fmt: skip
    moved.write_text(csv_of(values, HEADER, 5_000_000))
    first, second = (
        json.loads(cli("score", folder / "model", path, "--json")[1])["rows"]
        for path in (folder / "faulty.csv", moved)
    )
    assert first["probability"] == second["probability"]
