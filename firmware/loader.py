"""main.py of a real board: choose folder a or b, start the node from it, survive what it does.

Promises: a set of files on trial is started once; if the board comes back here before the update is
confirmed (update.py), whatever the reason, the trusted set starts.  A folder that is being written
never starts.  If the trusted one has no main, the other one starts: any node is better than none.
A crash of the application is written to crash.log, at most LOG_BYTES_MAX and only when it differs
from what is there, and the board is reset.  Ctrl-C ends at the prompt.

It stands alone: nothing is imported from a folder before it is chosen, so it reads and writes the
two slots of the state by itself, in the format of slots.py.  It is not updated with the sets.
"""

import hashlib
import io
import os
import struct
import sys

FOLDERS = ("a", "b")
STATE_FILES = ("update.state.a", "update.state.b")
STABLE, READY, TRIAL, ROLLED_BACK = 0, 1, 2, 3
LOG_FILE = "crash.log"
LOG_BYTES_MAX = 1024
TRIAL_WATCHDOG_MS = 30000
"""A set on trial that hangs before it starts its own watchdog is reset by this one."""

_BODY = ">4s5Q"
_MAGIC = b"TWS1"
_CHECK_BYTES = 8


def choose() -> tuple:
    """(folder to start from, whether that is a trial); what it decides is in flash by then."""
    generation, trusted, phase, sequence, candidate = _newest()
    folder, other = FOLDERS[trusted], FOLDERS[1 - trusted]
    if phase == READY and _can_start(other):
        if _store(trusted, TRIAL, sequence, candidate):
            return other, True
        # What could be begun twice is not begun: the flash did not take the note.
    elif phase == TRIAL:
        _store(trusted, ROLLED_BACK, sequence, 0)
    if not _can_start(folder) and _can_start(other):
        _store(1 - trusted, STABLE, sequence, 0)
        return other, False
    if generation == 0:
        _store(trusted, STABLE, sequence, 0)
    return folder, False


def main(reset) -> None:
    """Start the node; `reset` restarts the board after a crash."""
    folder, is_trial = choose()
    sys.path.insert(0, folder)
    try:
        if is_trial:
            _arm_watchdog()
        __import__("firmware.main")
    except Exception as error:  # noqa: BLE001 - whatever the application dies of, the board lives on
        _log(folder, error)
        reset()


def _newest() -> tuple:
    """(generation, trusted folder, phase, sequence, candidate): generation 0 if none is whole."""
    newest = (0, 0, STABLE, 0, 0)
    for name in STATE_FILES:
        numbers = _slot(name)
        if numbers is not None and numbers[0] > newest[0]:
            newest = numbers
    return newest


def _slot(name: str):
    content = _read(name)
    body_bytes = struct.calcsize(_BODY)
    if content is None or len(content) != body_bytes + _CHECK_BYTES:
        return None
    if content[body_bytes:] != _check(content[:body_bytes]) or content[:4] != _MAGIC:
        return None
    numbers = struct.unpack(_BODY, content[:body_bytes])[1:]
    return numbers if numbers[1] <= 1 and numbers[2] <= ROLLED_BACK else None


def _store(*numbers) -> bool:
    """Write both slots, the older one first; whether that has succeeded."""
    generation = _newest()[0]
    order = list(STATE_FILES)
    newest = _slot(order[0])
    if newest is not None and newest[0] == generation:
        order.reverse()
    try:
        for name in order:
            generation += 1
            body = struct.pack(_BODY, _MAGIC, generation, *numbers)
            with open(name, "wb") as file:
                file.write(body + _check(body))
    except OSError:
        return False
    return True


def _check(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_CHECK_BYTES]


def _can_start(folder: str) -> bool:
    return not _size(folder + ".partial") and bool(
        _size(folder + "/firmware/main.mpy") or _size(folder + "/firmware/main.py")
    )


def _size(name: str) -> int:
    """Bytes of a file, 0 when there is none."""
    try:
        return os.stat(name)[6]
    except OSError:
        return 0


def _read(name: str):
    try:
        with open(name, "rb") as file:
            return file.read()
    except OSError:
        return None


def _log(folder: str, error) -> None:
    text = io.StringIO()
    text.write("in folder %s: " % folder)
    if hasattr(sys, "print_exception"):
        sys.print_exception(error, text)
    else:
        text.write("%s: %s" % (type(error).__name__, error))
    content = text.getvalue().encode()[:LOG_BYTES_MAX]
    if content == _read(LOG_FILE):
        return
    try:
        with open(LOG_FILE, "wb") as file:
            file.write(content)
    except OSError:
        # A full flash does not keep the board from starting again.
        return


def _arm_watchdog() -> None:
    try:
        from machine import WDT

        WDT(timeout=TRIAL_WATCHDOG_MS)
    except (ImportError, OSError, ValueError):
        # No watchdog on this board: a trial that hangs waits for somebody to cut its power.
        return


def _reset() -> None:
    from machine import reset

    reset()


if __name__ == "__main__":
    main(_reset)
