"""A board that is a script: it speaks the rig bus over real FIFOs without any MicroPython.

The script is a list of steps; a thread plays them, so the rig sees the same traffic as from a
process.  `replies` is what the rig answered.
"""

import os
import struct
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from boards.catalog import load_board
from boards.emulate import REPLY_FIFO, REQUEST_FIFO, Emulated

HEADER = struct.Struct("<HBBI")
REPLY = struct.Struct("<BBHQ")


@dataclass(frozen=True)
class Reply:
    """What the rig answered."""

    status: int
    flags: int
    now_us: int
    payload: bytes


def request(operation: int, argument: int = 0, payload: bytes = b"", cpu_ns: int = 0) -> bytes:
    """The bytes of one request."""
    return HEADER.pack(HEADER.size + len(payload), operation, argument, cpu_ns) + payload


@dataclass
class ScriptedBoard:
    """A folder with FIFOs, a process that only exists, and a thread that plays the script."""

    folder: Path
    script: list[bytes]
    heard: list[Reply] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (REQUEST_FIFO, REPLY_FIFO):
            os.mkfifo(self.folder / name)
        process = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.emulated = Emulated(load_board("host"), process, self.folder)
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.emulated.close()

    @property
    def replies(self) -> list[Reply]:
        """What the rig answered, once the script has been played to its end."""
        self._thread.join(timeout=10)
        assert not self._thread.is_alive(), "the script waits for an answer"
        return self.heard

    def _play(self) -> None:
        with (
            (self.folder / REPLY_FIFO).open("rb", buffering=0) as reply,
            (self.folder / REQUEST_FIFO).open("wb", buffering=0) as out,
        ):
            for step in self.script:
                out.write(step)
                data = reply.read(4096)
                if not data:
                    return
                status, flags, length, now_us = REPLY.unpack_from(data)
                payload = data[REPLY.size : REPLY.size + length]
                self.heard.append(Reply(status, flags, now_us, payload))
