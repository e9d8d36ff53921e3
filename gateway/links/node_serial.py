"""A sensor node on a serial line: bytes in, sealed frames out, never more in memory than stated.

Promises: the line is read as fast as it delivers; damaged frames are counted by reason in the
ledger; frames wait in a bounded queue and the oldest is dropped, counted as "queue_full", when
nobody takes them; a port that vanishes ends the connection (the supervisor opens it anew).
Left to others: what a frame means (`stages/verify.py`), when to reconnect (`supervisor.py`).
POSIX only: the port is watched by the event loop, no thread is involved.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import Final, final

import serial

from gateway.clock import Clock
from gateway.errors import LinkError
from gateway.loss import LossLedger
from gateway.records import Received
from wire.framing import Deframer

LINK: Final = "serial"
QUEUE_FULL: Final = "queue_full"
WRITE_FULL: Final = "write_full"
_QUEUE_MAX: Final = 1024
_READ_BYTES_MAX: Final = 4096


@final
class NodeSerial:
    """The serial connection of one node; a `Connection` for the supervisor.

    Args:
        node: name of the node, also the source of its frames.
        port: device file, for example /dev/ttyUSB0.
        baud: line rate.
        clock: when a frame arrived.
        ledger: line errors of this node.
        deliver: takes each frame, in order.
    """

    def __init__(
        self,
        node: str,
        port: str,
        baud: int,
        clock: Clock,
        ledger: LossLedger,
        deliver: Callable[[Received], None],
    ) -> None:
        self.node = node
        self._port = port
        self._baud = baud
        self._clock = clock
        self._ledger = ledger
        self._deliver = deliver
        self._frames: deque[Received] = deque()
        self._wake = asyncio.Event()
        self._deframer = Deframer()
        self._serial: serial.Serial | None = None
        self._failure: str | None = None

    async def connect(self) -> None:
        """Open the port; nobody else may have it open."""
        self._failure = None
        self._deframer = Deframer()
        try:
            self._serial = serial.Serial(
                self._port, self._baud, timeout=0, write_timeout=0, exclusive=True
            )
        except (serial.SerialException, ValueError) as error:
            raise self._error(
                f"{self._port} cannot be opened ({error}); check cable, port and permissions"
            ) from error
        asyncio.get_running_loop().add_reader(self._serial.fileno(), self._read)

    async def serve(self, proof_of_life: Callable[[], None]) -> None:
        """Deliver frames until the port fails."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._frames:
                proof_of_life()
                self._deliver(self._frames.popleft())
            if self._failure is not None:
                raise self._error(self._failure)

    async def close(self) -> None:
        """Close the port."""
        port, self._serial = self._serial, None
        if port is not None:
            asyncio.get_running_loop().remove_reader(port.fileno())
            port.close()

    def send(self, frame: bytes) -> bool:
        """Write a frame for the node without waiting; tell whether the line took all of it.

        What the line does not take is dropped and counted: a probe is worth nothing later.
        """
        if self._serial is None:
            return False
        try:
            written = os.write(self._serial.fileno(), frame)
        except BlockingIOError:
            written = 0
        except OSError as error:
            self._fail(str(error))
            return False
        if written < len(frame):
            self._ledger.line_error(self.node, WRITE_FULL)
        return written == len(frame)

    def _read(self) -> None:
        """Take what the line has; called by the event loop."""
        if self._serial is None:
            return
        try:
            data = os.read(self._serial.fileno(), _READ_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(str(error))
            return
        if not data:
            self._fail("the port reports end of file; the device is gone")
            return
        now_ns = self._clock.now_ns()
        for message, reason in self._deframer.feed(data):
            if reason is None:
                self._queue(message, now_ns)
            else:
                self._ledger.line_error(self.node, reason)

    def _queue(self, message: bytes, now_ns: int) -> None:
        """Queue one frame for `serve`."""
        if len(self._frames) >= _QUEUE_MAX:
            self._frames.popleft()
            self._ledger.line_error(self.node, QUEUE_FULL)
        self._frames.append(Received(source=self.node, link=LINK, data=message, received_ns=now_ns))
        self._wake.set()

    def _fail(self, why: str) -> None:
        """End the connection: stop reading and tell `serve`."""
        if self._serial is not None:
            asyncio.get_running_loop().remove_reader(self._serial.fileno())
        self._failure = why
        self._wake.set()

    def _error(self, what: str) -> LinkError:
        return LinkError(self.node, LINK, what)
