"""The command line in this process, and a plant with a model of it."""

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import twinrig
import twinrig_model
from tests.gateway.lifecycle.models_on_disk import SCALE, csv_of, rows
from tests.twinrig_model.commands import COUNT, HEADER, Cli


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run `twinrig model ARGUMENTS` in this process; exit status, standard output and error."""
    monkeypatch.setattr(twinrig_model.console, "_width", 200)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["twinrig", "model", *map(str, arguments)])
        status = 0
        try:
            twinrig.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Healthy rows, rows with an offset of the pressure from row 300 on, and a model.

    `fit.txt` is what the fit said.
    """
    made = tmp_path_factory.mktemp("pump")
    (made / "pump.csv").write_text(csv_of(rows(COUNT), HEADER))
    faulty = rows(COUNT, 1)
    faulty[300:, 1] += 8.0 * SCALE[1]
    (made / "faulty.csv").write_text(csv_of(faulty, HEADER, COUNT))
    (made / "more.csv").write_text(csv_of(rows(COUNT, 2), HEADER, COUNT))
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(said):
        words = ["fit", made / "pump.csv", "--out", made / "model"]
        patched.setattr(twinrig_model.console, "_width", 200)
        patched.setattr(sys, "argv", ["twinrig", "model", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            twinrig.main()
        assert not ended.value.code
    (made / "fit.txt").write_text(said.getvalue())
    return made


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of the model that may be spoilt; the folder of its one version."""
    for path in (folder / "model").rglob("*"):
        if path.is_file():
            target = tmp_path / "copy" / path.relative_to(folder / "model")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return next(path for path in (tmp_path / "copy").iterdir() if path.is_dir())
