"""Device code asks no port for what it has not, and the check would see it."""

import subprocess
from pathlib import Path

import pytest

from boards import stubs
from boards.catalog import Board, board_names, load_board
from boards.errors import BuildError, MissingToolError
from boards.stubs import findings, stubs_folder

WITH_STUBS = [name for name in board_names() if load_board(name).stubs is not None]
ASKS_TOO_MUCH = """
import machine
import pyb
import ulab
from micropython import const
from wire.kernel import IS_MICROPYTHON

if not IS_MICROPYTHON:
    import hmac

X = const(1)
machine.Pin(1, colour=X)
machine.levitate()
machine.freq(160000000)


def f():
    return machine.unique_id().levitate()
"""


@pytest.mark.parametrize("name", WITH_STUBS)
def test_the_port_has_all_that_is_asked_of_it(name: str) -> None:
    assert findings(load_board(name)) == []


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one file that asks too much."""
    for folder in ("firmware", "wire"):
        (tmp_path / folder).mkdir()
    (tmp_path / "wire" / "kernel.py").write_text("IS_MICROPYTHON: bool = False\n")
    (tmp_path / "firmware" / "node.py").write_text(ASKS_TOO_MUCH)
    files = [(tmp_path, "firmware/node.py"), (tmp_path, "wire/kernel.py")]
    # The stubs are installed once for all, and only their folder is not of this project.
    installed = {port: stubs_folder(port) for port in ("esp32", "stm32")}
    monkeypatch.setattr(stubs, "PROJECT_DIR", tmp_path)
    monkeypatch.setattr(stubs, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(stubs, "stubs_folder", installed.__getitem__)
    monkeypatch.setattr(stubs, "frozen_files", lambda _board, _contents: files)
    return tmp_path


def board_of(port: str) -> Board:
    return next(board for name in WITH_STUBS if (board := load_board(name)).stubs == port)


@pytest.mark.usefixtures("project")
def test_what_a_port_has_not_is_found_with_its_line() -> None:
    on_stm32 = [(text.split(":")[1], text) for text in findings(board_of("stm32"))]
    assert {line for line, _ in on_stm32} == {"12", "13"}
    assert any('"levitate"' in text for line, text in on_stm32 if line == "13")
    on_esp32 = findings(board_of("esp32"))
    # `pyb` is a module of the STM32 port alone.
    assert [text for text in on_esp32 if text.startswith("firmware/node.py:3:") and "pyb" in text]
    assert len(on_esp32) > len(on_stm32)


@pytest.mark.usefixtures("project")
def test_a_check_that_cannot_run_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stubs, "stubs_folder", lambda _port: Path("/nowhere"))
    with pytest.raises(BuildError, match=r"mypy failed on .*: "):
        findings(board_of("stm32"))


def test_stubs_that_cannot_be_installed_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.CompletedProcess(command, 1, stdout="", stderr="ERROR: no such thing\n")

    monkeypatch.setattr(stubs, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(stubs.subprocess, "run", refused)
    with pytest.raises(MissingToolError, match=r"micropython-esp32-stubs==.*: ERROR: no such"):
        stubs_folder("esp32")
    assert not (tmp_path / "stubs").exists()


def test_a_board_without_stubs_is_refused() -> None:
    with pytest.raises(BuildError, match=r"board\.toml: no stubs"):
        findings(load_board("host"))
