"""One direction of imports, checked by import-linter, and proof that the check can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the packages in `folder` with the pyproject.toml there."""
    program = Path(sys.executable).with_name("lint-imports")
    command = [str(program), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def toy(tmp_path: Path, root: Path) -> Path:
    """A project with our contracts, our package names and nothing in them."""
    shutil.copy(root / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    chip = tmp_path / "drivers" / "chip"
    chip.mkdir()
    for name in ("__init__", "registers", "driver", "emulator"):
        (chip / f"{name}.py").write_text("")
    for name in ("bus", "emulation"):
        (tmp_path / "drivers" / f"{name}.py").write_text("")
    for name in ("lifecycle", "links", "models", "sinks", "stages"):
        (tmp_path / "gateway" / name).mkdir()
        (tmp_path / "gateway" / name / "__init__.py").write_text("")
    for name in ("app", "records", "site"):
        (tmp_path / "gateway" / f"{name}.py").write_text("")
    return tmp_path


@pytest.mark.slow
def test_the_project_keeps_its_directions(root: Path) -> None:
    result = lint_imports(root)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_an_empty_project_keeps_them(toy: Path) -> None:
    result = lint_imports(toy)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("wire/a.py", "drivers"),
        ("drivers/chip/driver.py", "firmware"),
        ("drivers/chip/driver.py", "drivers.chip.emulator"),
        ("firmware/a.py", "drivers.bus"),
        ("gateway/a.py", "drivers"),
        ("gateway/a.py", "hil"),
        ("gateway/models/a.py", "gateway.records"),
        ("gateway/models/a.py", "gateway.stages"),
        ("boards/a.py", "gateway"),
    ],
)
def test_an_import_against_the_direction_is_found(toy: Path, importer: str, imported: str) -> None:
    (toy / importer).write_text(f"import {imported}\n")
    result = lint_imports(toy)
    assert result.returncode == 1, result.stdout + result.stderr
    assert importer.removesuffix(".py").replace("/", ".") in result.stdout


@pytest.mark.slow
def test_the_rig_may_import_everything(toy: Path) -> None:
    (toy / "hil" / "a.py").write_text("import boards\nimport drivers.bus\nimport gateway\n")
    assert lint_imports(toy).returncode == 0
