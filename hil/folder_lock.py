"""One run in a folder at a time: boards and gateway keep their files there.

The lock goes with the process that holds it, so nothing stale is ever in the way.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from gateway.errors import OperatorError

_LOCK_FILE: Final = "in-use"


class FolderLock:
    """`take` before anything is written to `folder`, `release` afterwards."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1

    def take(self) -> None:
        """Claim the folder, made when absent; OperatorError when another run has it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / _LOCK_FILE
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            raise OperatorError(
                f"{self._folder}: process {holder or 'unknown'} runs a scenario there; wait for it,"
                " or set TWINRIG_CACHE to another folder"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the folder back; safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
