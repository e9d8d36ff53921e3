"""What both emulated boards' `hal.py` promise, asked on the boards themselves."""

from pathlib import Path

import pytest

from boards.build import build
from boards.catalog import Board, load_board
from boards.emulate import execute

FILES = """
import hal

def tried(act, *arguments):
    try:
        return act(*arguments)
    except OSError as error:
        return error.args[0]

print(tried(hal.read_file, "missing"))
print(tried(hal.read_file, "rig.request/below"))
print(tried(hal.read_file, "loop"))
print(tried(hal.write_file, "missing/below", b"x"))
hal.write_file("kept", b"first content")
hal.write_file("kept", b"second")
print(tried(hal.read_file, "kept"))
hal.write_file("kept", b"")
print(tried(hal.read_file, "kept"))
"""


@pytest.fixture(params=("host", "qemu_stm32f2"))
def board(request: pytest.FixtureRequest) -> Board:
    return load_board(request.param)


def test_only_a_missing_file_looks_like_a_missing_file(board: Board, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    output = execute(board, build(board), tmp_path, FILES, timeout_s=60)
    enoent, enotdir, eloop = "2", "20", "40"
    lines = output.split("\n")
    assert lines[:4] == [enoent, enotdir, eloop, enoent]
    assert lines[4:6] == ["b'second'", "b''"]
