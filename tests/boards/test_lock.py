"""One process at a time for each board: a second one is told who has it, a dead one has none."""

import fcntl
import os
import stat
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


def test_all_users_look_into_one_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folders = tuple(tmp_path / name for name in ("missing", "own", "file", "shared"))
    monkeypatch.setattr("boards.lock.SHARED_FOLDERS", folders)
    folders[1].mkdir(mode=0o755)
    folders[2].touch()
    folders[3].mkdir()
    with pytest.raises(LockedError, match=r"nobody could see who has the board: run `chmod 1777 /"):
        lock_folder()
    folders[3].chmod(0o1777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of one user"))
    assert lock_folder() == folders[3]
    with board_lock("usb:1", "scan"):
        path = next(folders[3].iterdir())
        assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_what_lies_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    with board_lock("usb:1", "scan", tmp_path):
        path = next(tmp_path.iterdir())
    victim = tmp_path / "victim"
    victim.write_text("precious")

    def is_refused(message: str) -> None:
        with pytest.raises(LockedError, match=message), board_lock("usb:1", "scan", tmp_path):
            pytest.fail("this is no lock")
        path.unlink()

    path.unlink()
    path.symlink_to(victim)
    is_refused("cannot be used as a lock .*: look at what it is and remove it")
    path.hardlink_to(victim)
    is_refused("is no lock, but a special file or a link")
    os.mkfifo(path)
    is_refused("is no lock, but a special file or a link")
    assert victim.read_text() == "precious"


def test_a_lock_that_was_removed_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        flock(descriptor, operation)
        if removals:
            removals.pop().unlink()

    with board_lock("usb:1", "scan", tmp_path):
        removals = list(tmp_path.iterdir())
    monkeypatch.setattr("boards.lock.fcntl.flock", late)
    with (
        board_lock("usb:1", "scan", tmp_path),
        pytest.raises(LockedError, match="is in use"),
        board_lock("usb:1", "scan", tmp_path),
    ):
        pytest.fail("two users hold one board")


def test_nobody_writes_to_the_terminal_of_another(tmp_path: Path) -> None:
    with board_lock("usb:1", "\x1b[2J", tmp_path):
        with pytest.raises(LockedError) as refusal, board_lock("usb:1", "scan", tmp_path):
            pytest.fail("two users hold one board")
        assert "(?[2J, for" in str(refusal.value)
