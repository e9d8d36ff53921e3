"""What the `hal.py` of the boards on the rig promise, asked on the boards themselves."""

import contextlib
import hashlib
from pathlib import Path

import pytest

from boards.build import APPLICATION, build, frozen_files
from boards.catalog import Board, load_board
from boards.emulate import execute
from boards.errors import EmulatorError

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

SPOOL_FILES = """
import hal

def tried(act, *arguments):
    try:
        return act(*arguments)
    except OSError as error:
        return "E%d" % error.args[0]

hal.append_file("log", b"abc")
hal.append_file("other", b"-")
hal.append_file("log", memoryview(b"xdefx")[1:4])
hal.append_file("log", b"")
print(hal.read_file("log"), hal.file_size("log"), hal.file_size("none"))

part = bytearray(4)
print(hal.read_file_at("log", 4, part), bytes(part[:2]))
print(hal.read_file_at("log", 6, part), hal.read_file_at("log", 99, part))
print(tried(hal.read_file_at, "none", 0, part))

hal.write_file("kept", b"replaced")
hal.rename_file("log", "kept")
print(hal.read_file("kept"), tried(hal.read_file, "log"), tried(hal.rename_file, "log", "kept"))
hal.append_file("log", b"new")
hal.append_file("kept", b"!")
print(hal.read_file("log"), hal.read_file("kept"))
hal.append_file("kept", b"?")
hal.write_file("kept", b"1")
hal.append_file("kept", b"2")
print(hal.read_file("kept"))

hal.remove_file("kept")
hal.remove_file("kept")
print(hal.file_size("kept"), tried(hal.remove_file, "rig.request/below"))
hal.append_file("kept", b"again")
print(hal.read_file("kept"))
hal.make_folder("folder")
hal.make_folder("folder")
"""

WATCHDOG = """
import struct
import hal, rig_client

now_us = 0

def exchange(line):
    global now_us
    now_us += struct.unpack_from("<I", rig_client.REQUEST, 8)[0]
    struct.pack_into("<Q", rig_client.REPLY, 4, now_us)

class Restart(Exception):
    pass

def restart(cause):
    raise Restart(cause)

hal._bus.exchange = exchange
hal._clock._computed_us = lambda line: 0
hal._clock._restart = restart

def tried(act, *arguments):
    try:
        return act(*arguments)
    except Restart as error:
        hal._clock._deadline_us = 0
        return "%s at %d" % (error.args[0], now_us)

hal.sleep_us(3000000)
dog = hal.watchdog(1000)
for _ in range(5):
    hal.sleep_us(999999)
    dog.feed()
print(now_us)
print(tried(hal.sleep_us, 999999), tried(hal.sleep_us, 1))
dog.feed()
print(tried(hal.sleep_until_us, now_us + 2**33))
dog.feed()
now_us += 1000000
struct.pack_into("<Q", rig_client.REPLY, 4, now_us)
print(tried(hal.ticks_us))
try:
    hal.watchdog(0)
except ValueError:
    print("refused")
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


@pytest.fixture(params=("host", "qemu_stm32f2", "qemu_rv32", "qemu_mps2"))
def board(request: pytest.FixtureRequest) -> Board:
    return load_board(request.param)


def test_only_a_missing_file_looks_like_a_missing_file(board: Board, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    output = execute(board, build(board), tmp_path, FILES, timeout_s=60)
    enoent, enotdir, eloop = "2", "20", "40"
    lines = output.split("\n")
    assert lines[:4] == [enoent, enotdir, eloop, enoent]
    assert lines[4:6] == ["b'second'", "b''"]


def test_files_are_appended_to_measured_renamed_and_removed(board: Board, tmp_path: Path) -> None:
    lines = execute(board, build(board), tmp_path, SPOOL_FILES, timeout_s=60).splitlines()
    assert lines == [
        "b'abcdef' 6 -1",
        "2 b'ef'",
        "0 0",
        "E2",
        "b'abcdef' E2 E2",
        "b'new' b'abcdef!'",
        "b'12'",
        "-1 E20",
        "b'again'",
    ]


def test_what_was_appended_survives_the_end_of_the_board(board: Board, tmp_path: Path) -> None:
    code = """
import hal
hal.append_file("log", b"abc")
hal.append_file("log", b"def")
while True:
    pass
"""
    with pytest.raises(EmulatorError, match="within 2 s"):
        execute(board, build(board), tmp_path, code, timeout_s=2)
    assert (tmp_path / "log").read_bytes() == b"abcdef"


def test_a_watchdog_that_is_not_fed_restarts_the_board(board: Board, tmp_path: Path) -> None:
    lines = execute(board, build(board), tmp_path, WATCHDOG, timeout_s=60).splitlines()
    assert lines == [
        "7999995",
        "None watchdog at 8999995",
        "watchdog at 9999995",
        "watchdog at 10999995",
        "refused",
    ]


@pytest.mark.parametrize(("act", "cause"), [("hal.reset()", "soft"), ("1", "power_on")])
def test_a_board_knows_why_it_started(board: Board, tmp_path: Path, act: str, cause: str) -> None:
    # An emulator that ends has no last word; a process has.
    with contextlib.suppress(EmulatorError):
        execute(board, build(board), tmp_path, f"import hal; {act}", timeout_s=60)
    ask = """
import hal, rig_clock
for _ in range(2):
    print(rig_clock.take_cause(hal.read_file, hal.remove_file))
"""
    output = execute(board, build(board), tmp_path, ask, timeout_s=60)
    assert output.split() == [cause, "power_on"]


def test_the_image_names_the_hash_of_every_source_in_it(board: Board, tmp_path: Path) -> None:
    code = "import frozen_files\nfor name, digest in frozen_files.FILES: print(name, digest.hex())"
    files = sorted(frozen_files(board, APPLICATION), key=lambda file: file[1])
    output = execute(board, build(board), tmp_path, code, timeout_s=60)
    assert output.splitlines() == [
        f"{name} {hashlib.sha256((base / name).read_bytes()).hexdigest()}" for base, name in files
    ]


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
