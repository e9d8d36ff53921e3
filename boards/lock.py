"""One user at a time for each physical board, whoever it is on this machine.

Promises: `board_lock(key)` is held by one process only, on whatever path the board is reached: the
key is its USB serial number or probe id where there is one, else the real path of its port.  The
kernel frees the lock when its holder ends, however it ends, so no lock is ever stale; what a dead
holder left in the file is only text.  Who holds it is in the file for the message of the next one.
The files are in a folder that all users share, where nobody can remove those of another; they are
opened as regular files with one name, never through a link.  What another user wrote into one is
shown without anything a terminal would obey.

    {"pid": 4711, "user": "maria", "started_s": 1700000000, "work": "flash esp32_devkit"}
"""

import fcntl
import getpass
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from boards.errors import LockedError

SHARED_FOLDERS: Final = (Path("/run/lock"), Path("/tmp"))  # noqa: S108 - checked below, no secrets
"""The first that is there for everybody is taken; every user sees the same."""
_OTHERS_MAY: Final = stat.S_ISVTX | stat.S_IRWXO
_FLAGS: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOTE_BYTES_MAX: Final = 1024
_ATTEMPTS: Final = 3


def lock_folder() -> Path:
    """Where the locks of all users are.

    Raises LockedError when no folder is open to everybody and sticky, as /tmp is: a folder of one
    user's own would let two users hold one board.
    """
    for folder in SHARED_FOLDERS:
        if _is_shared(folder):
            return folder
    names = " nor ".join(str(folder) for folder in SHARED_FOLDERS)
    raise LockedError(
        f"neither {names} is a folder for all users, so nobody could see who has the board:"
        f" run `chmod 1777 {SHARED_FOLDERS[-1]}` as its owner"
    )


def port_key(port: str, serial_number: str | None) -> str:
    """What names the board behind `port`: its USB serial number, else the port's real path."""
    return f"usb:{serial_number}" if serial_number else f"port:{Path(port).resolve()}"


@contextmanager
def board_lock(key: str, work: str, folder: Path | None = None) -> Iterator[None]:
    """Hold the board `key`; `work` says for what.

    Raises LockedError with the holder's pid, user, work and age when somebody else has it, and when
    what is in the place of the lock is no lock.
    """
    name = f"twinrig-board-{hashlib.sha256(key.encode()).hexdigest()[:24]}.lock"
    path = (folder or lock_folder()) / name
    descriptor = _locked(path, key)
    try:
        _write_note(descriptor, _note(work))
        yield
        # The file stays: removing it would let two processes hold two files of one name.
        _write_note(descriptor, b"")
    finally:
        os.close(descriptor)


def _is_shared(folder: Path) -> bool:
    try:
        found = folder.stat()
    except OSError:
        return False
    is_trusted = found.st_uid in (0, os.geteuid())
    return stat.S_ISDIR(found.st_mode) and is_trusted and found.st_mode & _OTHERS_MAY == _OTHERS_MAY


def _locked(path: Path, key: str) -> int:
    """The descriptor of the lock's file, locked."""
    for _ in range(_ATTEMPTS):
        descriptor = _opened(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):
                return descriptor
        except BlockingIOError as error:
            holder = _holder(descriptor, path)
            os.close(descriptor)
            raise LockedError(f"{key} is in use by {holder}: wait for it") from error
        # Somebody cleaned up between the two: this file has no name any more.
        os.close(descriptor)
    raise LockedError(f"{path} is removed again and again: see what cleans {path.parent}")


def _opened(path: Path) -> int:
    """A descriptor of the file, which is made when it is not there."""
    try:
        try:
            # Where anybody may write, Linux lets nobody "create" a file that another user has.
            descriptor = os.open(path, _FLAGS)
        except FileNotFoundError:
            descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
            # Every user of the board has to be able to lock it, whatever the mask of the first.
            os.fchmod(descriptor, 0o666)
    except OSError as error:
        raise LockedError(
            f"{path} cannot be used as a lock ({error.strerror}): look at what it is and remove it"
        ) from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise LockedError(f"{path} is no lock, but a special file or a link: remove it")
    return descriptor


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _note(work: str) -> bytes:
    holder = {"pid": os.getpid(), "user": getpass.getuser(), "started_s": _now_s(), "work": work}
    return json.dumps(holder).encode()


def _write_note(descriptor: int, note: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, note, 0)


def _holder(descriptor: int, path: Path) -> str:
    try:
        holder = json.loads(os.pread(descriptor, _NOTE_BYTES_MAX, 0))
        age_s = _now_s() - int(holder["started_s"])
        text = f"process {holder['pid']} of {holder['user']} ({holder['work']}, for {age_s} s)"
    except (ValueError, KeyError, TypeError):
        return f"another process (see {path})"
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _now_s() -> int:
    return int(time.clock_gettime(time.CLOCK_REALTIME))
