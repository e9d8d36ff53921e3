"""Sealed frames out of the store, for somebody who does not trust this gateway.

One line for each frame, as `links/replay.py` writes and reads it.

Promises: the bytes are those that came from the node, in the order of its numbers, each once; the
store may be in use meanwhile; nothing but the current frame is in memory. What is missing in the
range is said, not filled in. Left to others: proving origin and completeness (`node_proof.py`).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import quote

from gateway.errors import OperatorError
from gateway.links.replay import LINK, recording_line
from gateway.records import Received

_SEQUENCE_MAX: Final = (1 << 40) - 1
_BUSY_TIMEOUT_S: Final = 5.0
_SELECT: Final = """SELECT sequence, received_ns, frame FROM frames
    WHERE node = ? AND sequence BETWEEN ? AND ? ORDER BY sequence, id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export holds."""

    frames: int
    first: int
    """Number of the first frame; -1 if there is none."""
    last: int
    missing: int
    """Numbers between the two that are not in it: lost, unused, or dropped from the store."""
    dropped: int
    """Frames of all nodes that the store has dropped for age or size since it was made."""


def export_frames(
    store_path: Path, node: str, first: int | None, last: int | None, out: TextIO
) -> Exported:
    """Write the frames of a node with numbers `first` to `last` as JSON lines; None is no bound.

    Raises `OperatorError` when the store cannot be read or holds no frames of the node.
    """
    low = 0 if first is None else first
    high = _SEQUENCE_MAX if last is None else last
    count, lowest, highest = 0, -1, -1
    with closing(_open(store_path)) as database:
        try:
            for sequence, received_ns, frame in _frames(database, node, low, high):
                received = Received(source=node, link=LINK, data=frame, received_ns=received_ns)
                out.write(recording_line(received))
                lowest = sequence if count == 0 else lowest
                highest, count = sequence, count + 1
            dropped = _dropped(database)
        except sqlite3.Error as error:
            raise OperatorError(
                f"{store_path}: no frames can be read ({error}); name the store of a gateway with "
                "frames = true under [store]"
            ) from error
    if count == 0:
        raise OperatorError(
            f"{store_path}: no frames of node {node!r} with numbers {low} to {high}; set "
            "frames = true under [store], check name and range"
        )
    return Exported(
        frames=count,
        first=lowest,
        last=highest,
        missing=highest - lowest + 1 - count,
        dropped=dropped,
    )


def write_export(
    store_path: Path, node: str, first: int | None, last: int | None, out: Path
) -> Exported:
    """Write an export into a file, whole or not at all; see `export_frames`."""
    partial = out.with_name(out.name + ".partial")
    try:
        try:
            with partial.open("w", encoding="ascii") as file:
                exported = export_frames(store_path, node, first, last, file)
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OperatorError(
            f"{out}: cannot be written ({error.strerror}); name a file in a folder of yours"
        ) from error
    return exported


def _open(path: Path) -> sqlite3.Connection:
    """Open the store for reading alone; a missing file is not made."""
    if not path.is_file():
        raise OperatorError(f"{path}: is no file; name the store of a gateway")
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT_S
    )


def _frames(
    database: sqlite3.Connection, node: str, low: int, high: int
) -> Iterator[tuple[int, int, bytes]]:
    """Yield (sequence, received_ns, frame), each number once."""
    before = -1
    for sequence, received_ns, frame in database.execute(_SELECT, (node, low, high)):
        if sequence != before:
            yield sequence, received_ns, frame
        before = sequence


def _dropped(database: sqlite3.Connection) -> int:
    """Return how many frames the store's bounds have removed."""
    found = database.execute("SELECT total(count) FROM dropped WHERE name = 'frames'").fetchone()
    return int(found[0])
