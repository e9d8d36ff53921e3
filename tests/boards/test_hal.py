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

SLEEPS = """
import struct
import hal, rig_client

slept = []
pending_from = 99

def exchange(line):
    slept.append(struct.unpack_from("<I", rig_client.REQUEST, 8)[0])
    rig_client.REPLY[1] = int(len(slept) >= pending_from)

hal._bus.exchange = exchange

def tried(duration_us, wakes, pending):
    global pending_from
    slept.clear()
    pending_from = pending
    if wakes:
        struct.pack_into("<Q", rig_client.REPLY, 4, 5)
        woken = hal.sleep_until_us(hal.ticks_us() + duration_us)
    else:
        woken = hal.sleep_us(duration_us)
    print(len(slept), sum(slept) - duration_us, max(slept) < 2**31, woken)

tried(100, False, 99)
tried(2**32 + 100, False, 99)
tried(2**32 + 100, False, 2)
tried(2**32 + 100, True, 99)
tried(2**32 + 100, True, 2)
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


def test_a_sleep_beyond_32_bits_of_microseconds_is_slept_in_slices(
    board: Board, tmp_path: Path
) -> None:
    output = execute(board, build(board), tmp_path, SLEEPS, timeout_s=60)
    rows = [line.split() for line in output.splitlines()]
    assert rows[0] == ["1", "0", "True", "None"]
    # UART input ends the sleep only of who asked for it.
    assert rows[1] == rows[2] == ["5", "0", "True", "None"]
    # A few microseconds of computing lie between the two looks at the clock.
    assert rows[3][0] == "5"
    assert -2000 <= int(rows[3][1]) <= 0
    assert rows[3][3] == "False"
    assert rows[4][0] == "2"
    assert rows[4][3] == "True"
