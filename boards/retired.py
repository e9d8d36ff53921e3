"""The old root key of a node into the gateway's state, for frames that are sealed under it.

Promises: the gateway that starts next believes the old key for numbers up to the highest that waits
on the board, and for no other; as long as its key file still has that key the entry means nothing,
so it is safe to be written first.  Whole or not at all, for its owner only, the rows of other nodes
as they were.  Refused is what the one entry of a node has no room for: a key before the old one, or
a rotation that the gateway has begun.
Leaves to `gateway/rotation.py`, whose file it is, what becomes of the entry.
"""

import json
import os
import secrets
import socket
from pathlib import Path
from typing import Any, Final

from boards.errors import ProvisionError
from boards.rotation import Retire
from boards.stored_frames import Waiting

ROTATIONS_FILE: Final = "rotations.json"
CONTROL_SOCKET: Final = "control.sock"
"""Where a running gateway is asked (gateway/control.py)."""
_NEW_ROW: Final = {"epoch": 0, "salt": "", "mark": "", "retired": None}
_ELSE: Final = (
    "let the gateway take them first, or give them up with --drop-stored-frames; nothing is changed"
)


def retiring(node: str, state: Path) -> Retire:
    """What keeps the old key of `node` in the state folder of a gateway that does not run."""

    def retire(root: bytes, found: Waiting) -> None:
        why = f"{found.frames} frames wait on the board, sealed under the key that {node} has: "
        if not state.is_dir():
            raise ProvisionError(
                f"{why}{state} is no folder; name the gateway's state folder with --state, so that"
                f" it goes on believing that key for them, {_ELSE}"
            )
        if _is_running(state):
            raise ProvisionError(
                f"{why}the gateway of {state} runs; stop it, or rotate over the air with"
                f" `twinrig gateway rotate-key`, {_ELSE}"
            )
        rows = _rows(state / ROTATIONS_FILE)
        row = rows.setdefault(node, dict(_NEW_ROW))
        former = row.get("retired")
        if row.get("salt") or (former and former.get("root") != root.hex()):
            raise ProvisionError(
                f"{why}{state / ROTATIONS_FILE} has a rotation of it that is not over; run the"
                f" gateway until it is: {_ELSE}"
            )
        row["retired"] = {"root": root.hex(), "before": found.highest + 1}
        _write(state / ROTATIONS_FILE, json.dumps(rows) + "\n")

    return retire


def _is_running(state: Path) -> bool:
    """Whether somebody listens on the gateway's socket."""
    folder = os.open(state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX) as caller:
            # The address of a socket has 107 bytes, however deep the folder is.
            caller.connect(f"/proc/self/fd/{folder}/{CONTROL_SOCKET}")
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except OSError as error:
        raise ProvisionError(
            f"{state / CONTROL_SOCKET}: whether a gateway runs cannot be seen ({error.strerror});"
            " run this as the gateway's user"
        ) from error
    else:
        return True
    finally:
        os.close(folder)


def _rows(path: Path) -> dict[str, Any]:
    try:
        rows = json.loads(path.read_text(encoding="ascii"))
        if isinstance(rows, dict) and all(isinstance(row, dict) for row in rows.values()):
            return rows
        what = "no table of nodes"
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        what = str(error)
    raise ProvisionError(f"{path}: the rotations cannot be read ({what}); restore it: {_ELSE}")


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise ProvisionError(f"{path} cannot be written ({error.strerror}): {_ELSE}") from error
