"""One user at a time for each physical board.

Promises: `board_lock(key)` is held by one process only, on whatever path the board is reached: the
key is its USB serial number or probe id where there is one, else the real path of its port.  The
kernel frees the lock when its holder ends, however it ends, so no lock is ever stale; what a dead
holder left in the file is only text.  Who holds it is in the file for the message of the next one.

    {"pid": 4711, "user": "maria", "started_s": 1700000000, "work": "flash esp32_devkit"}
"""

import fcntl
import getpass
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boards.errors import LockedError


def lock_folder() -> Path:
    """Where the locks of this user are: `boards` in the user's cache folder for Twinrig."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "twinrig" / "boards"


def port_key(port: str, serial_number: str | None) -> str:
    """What names the board behind `port`: its USB serial number, else the port's real path."""
    return f"usb:{serial_number}" if serial_number else f"port:{Path(port).resolve()}"


@contextmanager
def board_lock(key: str, work: str, folder: Path | None = None) -> Iterator[None]:
    """Hold the board `key`; `work` says for what.

    Raises LockedError with the holder's pid, user, work and age when somebody else has it.
    """
    folder = folder or lock_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (hashlib.sha256(key.encode()).hexdigest()[:24] + ".lock")
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(f"{key} is in use by {_holder(path)}: wait for it") from error
        _write_holder(path, work)
        try:
            yield
        finally:
            # The file stays: removing it would let two processes hold two files of one name.
            path.write_text("", encoding="utf-8")


def _write_holder(path: Path, work: str) -> None:
    holder = {
        "pid": os.getpid(),
        "user": getpass.getuser(),
        "started_s": int(time.clock_gettime(time.CLOCK_REALTIME)),
        "work": work,
    }
    path.write_text(json.dumps(holder), encoding="utf-8")


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        age_s = int(time.clock_gettime(time.CLOCK_REALTIME)) - holder["started_s"]
        return f"process {holder['pid']} of {holder['user']} ({holder['work']}, for {age_s} s)"
    except (ValueError, KeyError, TypeError):
        return f"another process (see {path})"
