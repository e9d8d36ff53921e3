"""Rows that do not belong to a model, and models that are not whole: refused by name."""

from pathlib import Path

import numpy as np

from tests.gateway.lifecycle.models_on_disk import SCALE, csv_of, rows
from tests.twinrig_model.commands import HEADER, Cli, refused

# --- rows that do not belong to the model ---------------------------------------------------------


def test_units_that_changed_by_name_or_by_number(cli: Cli, folder: Path, tmp_path: Path) -> None:
    values = rows(200, 3)
    values[:, 1] *= 1000.0
    path = tmp_path / "a.csv"
    path.write_text(csv_of(values, ("flow", "pressure[mbar]", "current", "speed")))
    err = refused(cli("score", folder / "model", path))
    assert "pressure: the rows are in 'mbar', the model was fitted to 'bar'" in err
    path.write_text(csv_of(values, ("flow", "pressure", "current", "speed")))
    err = refused(cli("score", folder / "model", path))
    assert "pressure: its numbers look converted" in err
    assert cli("score", folder / "model", path, "--units-as-they-are")[0] == 0


def test_a_real_fault_is_not_taken_for_a_unit(cli: Cli, folder: Path, tmp_path: Path) -> None:
    values = rows(200, 3)
    values[:, 1] += 100.0 * SCALE[1]
    values[:, 3] = 0.0
    path = tmp_path / "a.csv"
    path.write_text(csv_of(values, HEADER))
    status, out, err = cli("score", folder / "model", path)
    assert status == 0, err
    assert "note: speed: 0 in every row" in out


def test_another_asset_period_or_set_of_signals(cli: Cli, folder: Path, tmp_path: Path) -> None:
    model, data = folder / "model", folder / "more.csv"
    err = refused(cli("score", model, data, "--asset", "fan"))
    assert "the model of asset 'pump', not of 'fan'" in err
    slow = tmp_path / "slow.csv"
    slow.write_text("time,flow,pressure,current,speed\n0,2,5,10,1500\n60,2,5,10,1500\n")
    assert "a row every 60 s, the model knows rows every 1 s" in refused(cli("score", model, slow))
    other = tmp_path / "other.csv"
    other.write_text("time,flow,presure,current,speed\n0,2,5,10,1500\n1,2,5,10,1500\n")
    err = refused(cli("score", model, other))
    assert "no column 'pressure'; did you mean 'presure'?" in err


def test_a_channel_without_a_value_is_said_and_survived(
    cli: Cli, folder: Path, tmp_path: Path
) -> None:
    values = rows(100, 3)
    values[:, 1] = np.nan
    path = tmp_path / "a.csv"
    path.write_text(csv_of(values, HEADER))
    status, out, _ = cli("score", folder / "model", path)
    assert status == 0
    assert "note: pressure: no value in any row" in out


# --- models that are not whole --------------------------------------------------------------------


def change_json(version: Path, old: str, new: str) -> None:
    path = version / "model.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_tampered_model_is_refused(cli: Cli, folder: Path, copy: Path) -> None:
    change_json(copy, '"period_ns": 1000000000', '"period_ns": 2000000000')
    for model in (copy, copy.parent):
        err = refused(cli("score", model, folder / "more.csv"))
        assert "model.json: its content does not have the hash it states" in err


def test_a_damaged_model_is_refused(cli: Cli, copy: Path) -> None:
    arrays = copy / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1])
    err = refused(cli("report", copy.parent, "--out", copy / "report.html"))
    assert "arrays.npz: is not the file that belongs to model.json" in err
    assert not (copy / "report.html").exists()


def test_a_model_of_another_version_is_refused(cli: Cli, folder: Path, copy: Path) -> None:
    change_json(copy, '"format_version": 2', '"format_version": 7')
    err = refused(cli("explain", copy.parent, folder / "more.csv"))
    assert "format version 7, this program reads 2" in err


def test_what_is_no_model_is_refused(cli: Cli, folder: Path) -> None:
    err = refused(cli("sample", folder, "--rows", 5, "--out", folder / "x.csv"))
    assert "name a folder made by `twinrig model fit`" in err
    assert not (folder / "x.csv").exists()
