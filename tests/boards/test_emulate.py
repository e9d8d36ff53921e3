"""Emulated boards as processes: they start, run what they are given, and always end."""

import os
import select
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from boards import emulate
from boards.build import build
from boards.catalog import Board, load_board
from boards.emulate import SELF_PORTRAIT, Emulated, execute, start
from boards.errors import EmulatorError, MissingToolError
from wire.framing import frame

ROOT = Path(__file__).resolve().parents[2]
BOARDS = ("host", "qemu_stm32f2")


@pytest.fixture(params=BOARDS)
def board(request: pytest.FixtureRequest) -> Board:
    return load_board(request.param)


def test_code_runs_inside_micropython(board: Board, tmp_path: Path) -> None:
    output = execute(board, build(board), tmp_path, SELF_PORTRAIT, timeout_s=60)
    assert output.startswith("micropython 1.")
    # CRC and COBS, computed on the board.
    assert frame(b"twinrig").hex() in output


def test_code_that_raises_gives_its_traceback(board: Board, tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match="ZeroDivisionError"):
        execute(board, build(board), tmp_path, "print('before')\n1 // 0", timeout_s=60)


def test_code_that_never_ends_is_ended(board: Board, tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match="within 1 s"):
        execute(board, build(board), tmp_path, "while True: pass", timeout_s=1)


def test_provisioned_files_are_their_owners_alone(tmp_path: Path) -> None:
    board = load_board("host")
    emulated = start(
        board, build(board), tmp_path, code="pass", files={"node.json": b"{}"}, timeout_s=60
    )
    try:
        mode = stat.S_IMODE((tmp_path / "node.json").stat().st_mode)
        assert mode == 0o600
    finally:
        emulated.close()
    assert emulated.process.returncode is not None
    emulated.close()


def test_ctrl_c_while_a_board_starts_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Emulated] = []

    def interrupted(self: Emulated, _marker: bytes, _timeout_s: float) -> bytes:
        started.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(Emulated, "wait_for", interrupted)
    board = load_board("qemu_stm32f2")
    with pytest.raises(KeyboardInterrupt):
        start(board, build(board), tmp_path, code="pass", files={})
    (emulated,) = started
    try:
        assert emulated.process.returncode is not None
    finally:
        emulated.close()


def test_ctrl_c_while_the_rig_bus_is_opened_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def interrupted(_board: Board, process: "subprocess.Popen[bytes]", _folder: Path) -> Emulated:
        started.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(emulate, "Emulated", interrupted)
    board = load_board("host")
    with pytest.raises(KeyboardInterrupt):
        start(board, build(board), tmp_path, code="pass", files={})
    (process,) = started
    try:
        assert process.returncode is not None
    finally:
        process.kill()
        process.wait(timeout=10)


def test_a_file_in_place_of_the_fifo_is_said(tmp_path: Path) -> None:
    (tmp_path / "rig.reply").write_text("")
    board = load_board("host")
    with pytest.raises(EmulatorError, match=r"rig\.reply is in the way"):
        start(board, build(board), tmp_path, code="pass", files={})


def test_without_qemu_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = load_board("qemu_stm32f2")
    image = build(board)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="qemu-system-arm, or use the board `host`"):
        start(board, image, tmp_path / "run", code="pass", files={})


def test_a_board_that_dies_leaves_an_obituary(tmp_path: Path) -> None:
    board = load_board("host")
    emulated = start(board, build(board), tmp_path, code="raise ValueError('why')", files={})
    try:
        with pytest.raises(EmulatorError, match="why"):
            emulated.wait_for(b"never", 30)
    finally:
        emulated.close()
    assert not Path(f"/proc/{emulated.process.pid}").exists()


def test_a_board_ends_with_whoever_started_it_even_by_sigkill(tmp_path: Path) -> None:
    board = load_board("qemu_stm32f2")
    program = f"""
import pathlib, time
from boards.build import build
from boards.catalog import load_board
from boards.emulate import start
board = load_board({board.name!r})
folder = pathlib.Path({str(tmp_path / "run")!r})
emulated = start(board, build(board), folder, code="pass", files={{}})
print(emulated.process.pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    child_end = os.pidfd_open(child)
    parent.kill()
    parent.wait(timeout=10)
    parent.stdout.close()
    readable, _, _ = select.select([child_end], [], [], 10.0)
    os.close(child_end)
    assert readable
