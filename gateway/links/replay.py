"""Recorded frames, played again exactly as they came: {"t_ns": 1, "source": "a", "hex": "d1"}.

Promises: one JSON object per line, in the recorded order, with the recorded times; a line that is
not such an object is an error that names file and line, never skipped. Left to others: waiting for
the recorded times (the rig, or nobody).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.errors import TraceError
from gateway.records import Received

LINK: Final = "replay"
_LINE_BYTES_MAX: Final = 16_384
_KEYS: Final = frozenset(("t_ns", "source", "hex"))


def recorded_frames(path: Path) -> Iterator[Received]:
    """Yield the frames of a recording one by one; nothing but the current line is in memory.

    Raises `TraceError` when the file cannot be read, is empty, or a line is not a frame.
    """
    count = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(_LINE_BYTES_MAX + 1):
                count += 1
                yield _frame(path, count, line)
    except OSError as error:
        raise TraceError(
            str(path), f"cannot be read ({error.strerror}); name an existing recording"
        ) from error
    if count == 0:
        raise TraceError(str(path), "is empty; record at least one frame")


def recording_line(frame: Received) -> str:
    """Return the line that `recorded_frames` reads back, line end included."""
    fields = {"t_ns": frame.received_ns, "source": frame.source, "hex": frame.data.hex()}
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _frame(path: Path, number: int, line: bytes) -> Received:
    """Return the frame one line holds."""
    if len(line) > _LINE_BYTES_MAX:
        raise TraceError(str(path), f"line exceeds {_LINE_BYTES_MAX} bytes", number)
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise TraceError(str(path), f"is no JSON ({error})", number) from error
    except RecursionError:
        raise TraceError(str(path), "is nested too deeply", number) from None
    match fields:
        case {"t_ns": int() as time_ns, "source": str() as source, "hex": str() as digits} if (
            fields.keys() == _KEYS and not isinstance(time_ns, bool)
        ):
            pass
        case _:
            raise TraceError(
                str(path), 'must be {"t_ns": <integer>, "source": "...", "hex": "..."}', number
            )
    try:
        data = bytes.fromhex(digits)
    except ValueError as error:
        raise TraceError(str(path), f'"hex" is no hexadecimal ({error})', number) from error
    return Received(source=source, link=LINK, data=data, received_ns=time_ns)
