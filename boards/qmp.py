"""A client for QEMU's own control channel, the QEMU Machine Protocol.

Promises: `Qmp.connect(path)` waits for the socket, reads the greeting and negotiates capabilities;
`command` sends one command and returns what QEMU returned; every wait has a deadline, and what QEMU
refuses is raised with its own words.  Events in between are kept in `events`, the newest 100.
Leaves to `emulate.py` how the emulator is started, and to the board's table that it opens a socket
(`qmp.sock` in the board's folder).

With it a test sets what a chip that QEMU models measures: an answer our own emulators had no part
in.
"""

import json
import os
import socket
import time
from collections import deque
from pathlib import Path
from typing import Any, Final, Self

from boards.errors import QmpError

SOCKET: Final = "qmp.sock"
_POLL_S = 0.01
_LINE_BYTES_MAX = 1 << 20


class Qmp:
    """One connection; a context manager."""

    def __init__(self, connection: socket.socket, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._received = b""
        self.events: deque[dict[str, Any]] = deque(maxlen=100)

    @classmethod
    def connect(cls, path: Path, *, timeout_s: float = 10.0) -> Self:
        """Connect to the socket at `path`, which may not be there yet.

        Raises QmpError when it does not appear in time or does not greet as QMP does.
        """
        client = cls(_connected(path, time.monotonic() + timeout_s, timeout_s), timeout_s)
        try:
            client._negotiate()
        except BaseException:
            client.close()
            raise
        return client

    def command(self, name: str, **arguments: object) -> Any:
        """Run one command; its `return` value.

        Raises QmpError when QEMU refuses, ends, or does not answer in time.
        """
        request: dict[str, object] = {"execute": name}
        if arguments:
            request["arguments"] = arguments
        deadline_s = time.monotonic() + self._timeout_s
        try:
            self._connection.settimeout(self._timeout_s)
            self._connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise QmpError(f"QMP {name}: cannot be sent: {error}") from error
        while True:
            message = self._message(deadline_s)
            if "return" in message:
                return message["return"]
            if "error" in message:
                problem = message["error"]
                raise QmpError(f"QMP {name}: {problem.get('class')}: {problem.get('desc')}")
            self.events.append(message)

    def set_property(self, path: str, name: str, value: object) -> None:
        """Set a property of a device: `/machine/peripheral/ID` for one started with `id=ID`."""
        self.command("qom-set", path=path, property=name, value=value)

    def get_property(self, path: str, name: str) -> Any:
        """Read a property of a device."""
        return self.command("qom-get", path=path, property=name)

    def quit(self) -> None:
        """End the emulator."""
        self.command("quit")

    def close(self) -> None:
        """End the connection, not the emulator; safe to call twice."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _negotiate(self) -> None:
        greeting = self._message(time.monotonic() + self._timeout_s)
        if "QMP" not in greeting:
            raise QmpError(f"{greeting!r} is not how QMP greets")
        self.command("qmp_capabilities")

    def _message(self, deadline_s: float) -> dict[str, Any]:
        """The next message, a JSON object in one line."""
        while b"\n" not in self._received:
            self._connection.settimeout(max(deadline_s - time.monotonic(), 0.001))
            try:
                data = self._connection.recv(65536)
            except TimeoutError as error:
                raise QmpError(f"QMP: no answer within {self._timeout_s:g} s") from error
            except OSError as error:
                raise QmpError(f"QMP: the connection broke: {error}") from error
            if not data:
                raise QmpError("QMP: the emulator has ended")
            self._received += data
            if len(self._received) > _LINE_BYTES_MAX:
                raise QmpError(f"QMP: a message of more than {_LINE_BYTES_MAX} bytes")
        line, _, self._received = self._received.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError as error:
            raise QmpError(f"QMP: not JSON: {line[:80]!r}") from error
        if not isinstance(message, dict):
            raise QmpError(f"QMP: not a message: {line[:80]!r}")
        return message


def _connected(path: Path, deadline_s: float, timeout_s: float) -> socket.socket:
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _connect_below(path, connection)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            connection.close()
            if time.monotonic() > deadline_s:
                raise QmpError(f"{path}: no QMP socket within {timeout_s:g} s") from error
            time.sleep(_POLL_S)  # noqa: TID251  nothing announces a socket that will appear
        except BaseException:
            connection.close()
            raise
        else:
            return connection


def _connect_below(path: Path, connection: socket.socket) -> None:
    """Connect by way of the folder: the name of a socket has 107 bytes at most, unix(7)."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
