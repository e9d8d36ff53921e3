"""The application as .mpy files: all of it compiles for every architecture, and once only."""

import subprocess
from pathlib import Path

import pytest

from boards import mpy
from boards.build import APPLICATION, PROJECT_DIR, build, frozen_files
from boards.catalog import Board, board_names, load_board
from boards.emulate import execute
from boards.errors import BuildError
from boards.mpy import MPY_VERSION, application_files, compile_files
from wire.framing import frame

ARCHITECTURES = ("armv7m", "armv7emsp", "xtensawin", "rv32imc", "x64")
ARCHITECTURE_NUMBERS = {"x64": 2, "armv7m": 5, "armv7emsp": 7, "xtensawin": 10, "rv32imc": 11}


def board_of(architecture: str | None) -> Board:
    return load_board("host").model_copy(update={"mpy_arch": architecture})


def portable() -> list[tuple[Path, str]]:
    """What runs on every board: no hal and nothing a hal imports."""
    sources = frozen_files(load_board("host"), APPLICATION)
    return [(base, name) for base, name in sources if base == PROJECT_DIR]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_file_compiles_for(architecture: str) -> None:
    files = dict(compile_files(board_of(architecture), portable()))
    assert {"wire/cose.mpy", "drivers/tmp117/driver.mpy", "firmware/app.mpy"} <= set(files)
    for name, content in files.items():
        assert content[:2] == bytes([ord("M"), MPY_VERSION[0]])
        assert str(PROJECT_DIR).encode() not in content
        assert name[:-4].encode() + b".py" in content
    # The kernels are machine code, and say for which machine.
    assert files["wire/cobs.mpy"][2] >> 2 == ARCHITECTURE_NUMBERS[architecture]
    assert files["wire/cobs.mpy"][2] & 3 == MPY_VERSION[1]


@pytest.mark.parametrize("name", board_names())
def test_every_board_has_its_files(name: str) -> None:
    board = load_board(name)
    if board.mpy_arch is None:
        pytest.skip(f"{name} has no mpy_arch")
    files = application_files(board)
    names = [file for file, _ in files]
    loader = (PROJECT_DIR / "firmware" / "loader.py").read_bytes()
    assert files[0] == ("main.py", loader)
    assert names[-1] == "hal.mpy"
    assert {module.replace(".py", ".mpy") for module in board.hal_modules} <= set(names)
    assert not [file for file in names if "emulator" in file or file == "drivers/bus.mpy"]
    assert len(names) == len(set(names))


def test_what_has_not_changed_is_not_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cross = mpy.cross_compiler()
    monkeypatch.setattr(mpy, "cross_compiler", lambda _progress: cross)
    monkeypatch.setattr(mpy, "cache_dir", lambda: tmp_path)
    (tmp_path / "one.py").write_text("x = 1\n")
    (tmp_path / "two.py").write_text("x = 1\n")
    calls: list[object] = []
    run = subprocess.run

    def counted(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        return run(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(mpy.subprocess, "run", counted)
    sources = [(tmp_path, "one.py"), (tmp_path, "two.py")]
    first = compile_files(board_of("armv7m"), sources)
    assert compile_files(board_of("armv7m"), sources) == first
    assert len(calls) == 2
    (tmp_path / "one.py").write_text("x = 2\n")
    assert compile_files(board_of("armv7m"), sources)[0] != first[0]
    compile_files(board_of("rv32imc"), sources)
    assert len(calls) == 5
    assert not [path for path in (tmp_path / "mpy").rglob("*") if path.suffix not in ("", ".mpy")]


def test_what_does_not_compile_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("x = 1\ndef f(:\n")
    with pytest.raises(BuildError, match=r"wrong\.py does not compile for rv32imc: .*line 2"):
        compile_files(board_of("rv32imc"), [(tmp_path, "wrong.py")])


def test_a_board_without_an_architecture_is_refused() -> None:
    with pytest.raises(BuildError, match=r"board\.toml: no mpy_arch"):
        compile_files(board_of(None), [])


def test_files_of_another_version_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mpy, "MPY_VERSION", (7, 0))
    monkeypatch.setattr(mpy, "cache_dir", lambda: tmp_path)
    (tmp_path / "one.py").write_text("x = 1\n")
    cross = mpy.cross_compiler()
    monkeypatch.setattr(mpy, "cross_compiler", lambda _progress: cross)
    with pytest.raises(BuildError, match=r"version 6\.[03], twinrig knows 7\.0"):
        compile_files(board_of("armv7m"), [(tmp_path, "one.py")])


def test_the_files_run_where_nothing_is_frozen(tmp_path: Path) -> None:
    board = load_board("host")
    for name, content in compile_files(board, portable()):
        path = tmp_path / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    code = """
import sys
sys.path[:] = ["app"]
import wire.framing, firmware.filter
print(wire.framing.__file__)
print(bytes(wire.framing.frame(b"twinrig")).hex())
"""
    output = execute(board, build(board), tmp_path, code, timeout_s=60)
    assert output.splitlines() == ["app/wire/framing.mpy", bytes(frame(b"twinrig")).hex()]
