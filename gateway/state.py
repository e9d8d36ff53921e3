"""What must outlive the gateway so that nothing sealed is ever accepted or sent twice.

    <state>/starts             number of this gateway's start; the boot id of its commands
    <state>/replay-marks.json  the replay windows of every node, of both lanes

Promises: a kill finds each file old or new, never half-written; a damaged one stops the start with
a remedy instead of being guessed. The start counter, its name in the folder included, is on the
disk before the first command, so that no power cut takes it back. It is no smaller than the time in
seconds: a gateway whose folder was lost goes on above what its nodes have heard. Marks are written
every second without waiting for the disk: after a kill frames of the last second could be replayed
once, after a power cut those of as long as the system held the write back (half a minute is usual),
and a mark file the cut has emptied stops the next start.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from gateway.clock import NS_PER_S
from gateway.errors import OperatorError
from gateway.stages.replay_window import Lane, ReplayMark
from wire.cose import BOOT_ID_MAX

_STARTS: Final = "starts"
_MARKS: Final = "replay-marks.json"
_MARK_TYPES: Final = {
    "source": str, "lane": str, "boot_id": int, "highest": int, "seen": int, "root_id": str,
}  # fmt: skip
_MARK_NUMBERS: Final = ("boot_id", "highest", "seen")


def next_start(state_dir: Path, now_ns: int = 0) -> int:
    """Return the number of this start of the gateway, which is on the disk then.

    It is above that of every start before, and at least the seconds from 1970 to `now_ns`, unless
    these do not fit a boot id.
    Raises `OperatorError` when the counter cannot be read or written: without it a command of an
    earlier run could be replayed to a node.
    """
    path = state_dir / _STARTS
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        start = _count(path.read_text() if path.exists() else "0") + 1
        now_s = now_ns // NS_PER_S
        if start < now_s <= BOOT_ID_MAX:
            start = now_s
        replace_file(path, f"{start}\n", is_synced=True)
    except (OSError, ValueError) as error:
        raise OperatorError(
            f"{path}: the start counter cannot be kept ({error}); make the folder writable, and if "
            "the file is damaged remove it: a clock that is right takes its place"
        ) from error
    return start


def load_marks(state_dir: Path) -> list[ReplayMark]:
    """Return the replay windows of the earlier run; none if there was none.

    Raises `OperatorError` when the file is damaged.
    """
    path = state_dir / _MARKS
    try:
        return _marks(json.loads(path.read_text())) if path.exists() else []
    except (OSError, ValueError, RecursionError) as error:
        raise OperatorError(
            f"{path}: the replay marks cannot be read ({error}); remove the file only if frames "
            "recorded before now may be played to this gateway once more"
        ) from error


def save_marks(state_dir: Path, marks: Sequence[ReplayMark]) -> None:
    """Replace the replay windows on disk; raise `OperatorError` when that is impossible."""
    path = state_dir / _MARKS
    try:
        replace_file(path, json.dumps([asdict(mark) for mark in marks]) + "\n", is_synced=False)
    except OSError as error:
        raise OperatorError(
            f"{path}: the replay marks cannot be kept ({error}); make the folder writable and free "
            "some space"
        ) from error


def _count(text: str) -> int:
    """Return a number of starts, or raise ValueError."""
    count = int(text)
    if count < 0:
        raise ValueError(f"{count} is negative")
    return count


def _marks(rows: object) -> list[ReplayMark]:
    """Return all marks of a file, or raise ValueError."""
    match rows:
        case list():
            return [mark for row in rows for mark in _marks_of(row)]
        case _:
            raise ValueError("it holds no list of marks")


def _marks_of(row: object) -> list[ReplayMark]:
    """Return the mark of a row, or raise ValueError.

    A row without a lane is of a time when nodes had one: it stands for both. A row without the id
    of a root key is of a time when marks had none: it stands for any.
    """
    if isinstance(row, dict):
        row = {"root_id": "", **row}
    if isinstance(row, dict) and "lane" not in row:
        return [_mark({**row, "lane": lane.value}) for lane in Lane]
    return [_mark(row)]


def _mark(row: object) -> ReplayMark:
    """Return one mark, or raise ValueError."""
    if not isinstance(row, dict) or row.keys() != _MARK_TYPES.keys():
        raise ValueError(f"{row!r} is no mark")
    if any(type(row[name]) is not kind for name, kind in _MARK_TYPES.items()):
        raise ValueError(f"{row!r} has a field of a wrong type")
    if any(row[name] < 0 for name in _MARK_NUMBERS):
        raise ValueError(f"{row!r} has a negative number")
    return ReplayMark(**{**row, "lane": Lane(row["lane"])})


def replace_file(path: Path, text: str, *, is_synced: bool, is_private: bool = False) -> None:
    """Put a whole new file in the place of the old one; raise OSError when that is impossible.

    `is_synced` waits until content and name are on the disk; `is_private` keeps others out.
    """
    fresh = path.with_name(path.name + ".new")
    mode = 0o600 if is_private else 0o666
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w") as file:
        if is_private:
            # A file that was there already keeps the mode it was made with.
            os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        if is_synced:
            os.fsync(file.fileno())
    fresh.replace(path)
    if is_synced:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
