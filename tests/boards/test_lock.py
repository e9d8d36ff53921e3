"""One process at a time for each board: a second one is told who has it, a dead one has none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from boards.errors import LockedError
from boards.lock import board_lock, lock_folder, port_key

HOLD = """
import sys
from pathlib import Path
from boards.lock import board_lock
with board_lock("usb:1", "flash pybv11", Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def hold(folder: Path) -> "subprocess.Popen[str]":
    """Another process that has the board `usb:1`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_one_is_told_who_holds_it(tmp_path: Path) -> None:
    with hold(tmp_path) as process:
        with (
            pytest.raises(LockedError, match=rf"process {process.pid} .*\(flash pybv11, for \d+ s"),
            board_lock("usb:1", "flash pybv11", tmp_path),
        ):
            pytest.fail("two processes hold one board")
        with board_lock("usb:2", "flash pybv11", tmp_path):
            pass
        process.communicate("\n")
    with board_lock("usb:1", "flash pybv11", tmp_path):
        pass


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    with hold(tmp_path) as process:
        process.kill()
    left = next(tmp_path.glob("*.lock")).read_text()
    assert str(process.pid) in left
    with board_lock("usb:1", "flash pybv11", tmp_path):
        assert str(os.getpid()) in next(tmp_path.glob("*.lock")).read_text()


def test_a_damaged_note_hides_nobody(tmp_path: Path) -> None:
    with board_lock("usb:1", "scan", tmp_path):
        path = next(tmp_path.glob("*.lock"))
        path.write_text("{")
        with (
            pytest.raises(LockedError, match=r"another process \(see .*\.lock"),
            board_lock("usb:1", "scan", tmp_path),
        ):
            pytest.fail("two users hold one board")


def test_one_board_is_one_key_on_whatever_path(tmp_path: Path) -> None:
    device = tmp_path / "ttyUSB0"
    device.touch()
    link = tmp_path / "by-id"
    link.symlink_to(device)
    assert port_key(str(link), None) == port_key(str(device), None)
    assert port_key(str(link), "123") == port_key(str(device), "123") == "usb:123"


def test_the_locks_are_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert lock_folder() == tmp_path / "twinrig" / "boards"
