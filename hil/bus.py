"""The rig's end of the rig bus: one emulated board, its virtual clock and what hangs on its buses.

Promises: `BoardPort.take()` reads one request and advances the board's clock by what its CPU has
computed; `answer()` sends the reply.  Local requests (I2C, SPI, RS-485, pins, log, UART output)
touch nothing but this board, so they are answered at once; the others wait for `lockstep.py`, which
alone decides the order among boards.  `boards/rig_client.py` is the other end and states the bytes.

UART 0 leads to the gateway; every other number is an RS-485 line with what hangs on it.
"""

import hashlib
import os
import struct
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from boards.emulate import Emulated
from drivers.bus import EmulatedRS485
from drivers.errors import EmulatorError
from hil.board_clock import NOMINAL, BoardClock
from hil.errors import RigError

OP_HELLO, OP_I2C, OP_SPI, OP_UART_WRITE, OP_UART_READ, OP_SLEEP, OP_LOG, OP_PIN, OP_EXIT = range(9)
STATUS_OK, STATUS_NACK, STATUS_TIMEOUT, STATUS_STOP, STATUS_REFUSED = range(5)
FLAG_UART_PENDING = 1

_REQUEST = struct.Struct("<HBBI")
_REPLY = struct.Struct("<BBHQ")
_I2C_HEAD = struct.Struct("<BH")
_U32 = struct.Struct("<I")
_U16 = struct.Struct("<H")
_CPU_MODULUS_NS = 1 << 32
_REQUEST_BYTES_MAX = 4096
_UART_BITS_PER_BYTE = 10
_I2C_BITS_PER_BYTE = 9
_I2C_START_STOP_BITS = 2
UART_BACKLOG_BYTES_MAX = 65536


class I2CDevice(Protocol):
    """A chip emulator: one I2C transfer in, the bytes read back out."""

    def transfer(self, write: bytes, read_count: int, now_us: int) -> bytes | None:
        """Write, then read after a repeated start; None is no acknowledge.

        `now_us` is the board's own time.
        """


class SPIDevice(Protocol):
    """A chip emulator on SPI: as many bytes back as were clocked out to it."""

    def exchange(self, data: bytes, now_us: int) -> bytes:
        """One transfer under one chip select; `now_us` is the board's own time."""


class RS485Device(Protocol):
    """A transmitter emulator: one frame in, its reply out after `turnaround_us`."""

    turnaround_us: int

    def respond(self, frame: bytes, now_us: int) -> bytes:
        """Answer a frame that has been heard whole at `now_us`, or b""."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came from the board."""

    operation: int
    argument: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Wiring:
    """What hangs on a board, and how fast each kind of bus is.

    i2c: by (bus, address); spi: by chip select; rs485: by UART number, then by unit id.
    """

    i2c: Mapping[tuple[int, int], I2CDevice]
    spi: Mapping[int, SPIDevice] = field(default_factory=dict)
    rs485: Mapping[int, Mapping[int, RS485Device]] = field(default_factory=dict)
    i2c_hz: int = 400_000
    spi_hz: int = 1_000_000
    uart_baud: int = 115_200
    rs485_baud: int = 9_600


class BoardPort:
    """One board on the rig; times in nanoseconds of virtual time.

    The board's own clock is zero at its hello: `started_ns` is when that is, later than 0 for a
    board that was started again. `clock` says how it goes on from there.
    """

    def __init__(
        self,
        node: str,
        emulated: Emulated,
        wiring: Wiring,
        *,
        uplink: "Callable[[BoardPort, int, bytes], None]",
        started_ns: int = 0,
        clock: BoardClock = NOMINAL,
    ) -> None:
        self.node = node
        self.emulated = emulated
        self.wiring = wiring
        self.started_ns = started_ns
        self.clock = clock
        self.now_ns = started_ns
        self.identity = ""
        self.is_live = True
        self.has_been_stopped = False
        self.transactions = 0
        self.computed_ns = 0
        self.log_lines: deque[str] = deque(maxlen=1000)
        self.pins: dict[int, int] = {}
        self.waiting: Request | None = None
        self.due_ns = 0
        self.sent_frames = 0
        self._uplink = uplink
        self._line_free_ns = started_ns
        self._cpu_ns: int | None = None
        self._inbox = bytearray()
        self._lines = {
            number: EmulatedRS485(dict(devices), self._now_us, wiring.rs485_baud, f"UART {number}")
            for number, devices in wiring.rs485.items()
        }
        self._digest = hashlib.sha256()

    @property
    def has_ended_by_itself(self) -> bool:
        """Whether the application has ended although nobody told it to stop."""
        return not self.is_live and not self.has_been_stopped

    @property
    def transactions_sha256(self) -> str:
        """SHA-256 over every request with its time and every reply, so far."""
        return self._digest.hexdigest()

    def restarted_at(self, now_ns: int) -> "BoardPort":
        """Return the port of this board's next start; what was counted goes on.

        Its `emulated` is still that of this one.
        """
        port = BoardPort(
            self.node,
            self.emulated,
            self.wiring,
            uplink=self._uplink,
            started_ns=now_ns,
            clock=self.clock,
        )
        port.sent_frames, port.transactions = self.sent_frames, self.transactions
        port.computed_ns, port.log_lines = self.computed_ns, self.log_lines
        port._digest = self._digest
        return port

    def take(self) -> Request:
        """Read one request and advance the clock; raises RigError when it is not one."""
        data = os.read(self.emulated.request_fd, _REQUEST_BYTES_MAX)
        length, operation, argument, cpu_ns = self._head(data)
        while len(data) < length:
            data += os.read(self.emulated.request_fd, _REQUEST_BYTES_MAX)
        if self._cpu_ns is not None:
            computed_ns = (cpu_ns - self._cpu_ns) % _CPU_MODULUS_NS
            self.computed_ns += computed_ns
            self.now_ns += computed_ns
        self._cpu_ns = cpu_ns
        self.transactions += 1
        self._digest.update(b"%d " % self.now_ns)
        self._digest.update(data[:4])
        self._digest.update(data[8:])
        return Request(operation, argument, data[_REQUEST.size : length])

    def _head(self, data: bytes) -> tuple[int, int, int, int]:
        if len(data) >= _REQUEST.size:
            length, operation, argument, cpu_ns = _REQUEST.unpack_from(data)
            if len(data) <= length <= _REQUEST_BYTES_MAX and operation <= OP_EXIT:
                return length, operation, argument, cpu_ns
        raise RigError(
            f"node {self.node}: {data[:16].hex()} is no rig request; the image and this rig differ"
            " in version: run `twinrig board build` again"
        )

    def answer(self, payload: bytes = b"", status: int = STATUS_OK) -> None:
        """Reply to the pending request; the board goes on computing."""
        flags = FLAG_UART_PENDING if self._inbox else 0
        for number, line in self._lines.items():
            # Bit n tells of UART n.
            flags |= bool(line.any()) << number
        shown_us = self.clock.reading_ns(self.now_ns, self.started_ns) // 1000
        reply = _REPLY.pack(status, flags, len(payload), shown_us)
        reply += payload
        self._digest.update(reply)
        os.write(self.emulated.reply_fd, reply)

    def serve(self, request: Request) -> bool:
        """Answer a local request and return True; park any other and return False."""
        handler = _LOCAL.get(request.operation)
        if request.operation in _ON_LINES and request.argument:
            handler = _ON_LINES[request.operation]
        if handler is not None:
            handler(self, request)
            return True
        self.waiting = request
        self.due_ns = self.now_ns
        if request.operation == OP_SLEEP:
            wakes_on_uart = bool(request.argument) and bool(self._inbox)
            if not wakes_on_uart:
                duration_ns = _U32.unpack_from(request.payload)[0] * 1000
                self.due_ns = self.clock.timer_ns(self.now_ns, duration_ns)
        return False

    def release(self) -> None:
        """Answer the parked request at its due time."""
        request = self.waiting
        if request is None:
            raise RigError(f"node {self.node}: nothing to answer; this is a fault of the rig")
        self.waiting = None
        self.now_ns = max(self.now_ns, self.due_ns)
        if request.operation == OP_UART_READ:
            count = _U16.unpack_from(request.payload)[0]
            data = bytes(self._inbox[:count])
            del self._inbox[:count]
            self.answer(data)
        elif request.operation == OP_EXIT:
            self.is_live = False
            self.answer()
        else:
            self.answer()

    def deliver(self, data: bytes, at_ns: int) -> None:
        """Bytes arrive on the board's UART; a sleeping board that listens wakes up."""
        room = UART_BACKLOG_BYTES_MAX - len(self._inbox)
        if len(data) > room:
            raise RigError(
                f"node {self.node} has {len(self._inbox)} unread bytes on its UART:"
                " it does not listen"
            )
        self._inbox += data
        request = self.waiting
        if request is not None and request.operation == OP_SLEEP and request.argument:
            self.due_ns = min(self.due_ns, max(at_ns, self.now_ns))

    def line_time_ns(self, count: int) -> int:
        """Time that `count` bytes take on the UART."""
        return count * _UART_BITS_PER_BYTE * 1_000_000_000 // self.wiring.uart_baud

    def _hello(self, request: Request) -> None:
        self.identity = request.payload.decode(errors="replace")
        self.now_ns = self.started_ns
        self.answer()

    def _i2c(self, request: Request) -> None:
        payload = request.payload
        address, read_count = _I2C_HEAD.unpack_from(payload)
        written = payload[_I2C_HEAD.size :]
        device = self.wiring.i2c.get((request.argument, address))
        bits = _I2C_START_STOP_BITS + _I2C_BITS_PER_BYTE * (1 + len(written))
        if read_count:
            bits += 1 + _I2C_BITS_PER_BYTE * (1 + read_count)
        data = None
        if device is not None:
            try:
                data = device.transfer(written, read_count, self._now_us())
            except EmulatorError as error:
                where = f"i2c bus {request.argument}, address 0x{address:02x}"
                raise self._misuse(where, error) from error
        if data is None:
            address_bits = _I2C_START_STOP_BITS + _I2C_BITS_PER_BYTE
            self.now_ns += address_bits * 1_000_000_000 // self.wiring.i2c_hz
            self.answer(status=STATUS_NACK)
            return
        self.now_ns += bits * 1_000_000_000 // self.wiring.i2c_hz
        self.answer(data)

    def _uart_write(self, request: Request) -> None:
        starts_ns = max(self.now_ns, self._line_free_ns)
        self._line_free_ns = starts_ns + self.line_time_ns(len(request.payload))
        self.sent_frames += request.payload.count(0)
        self._uplink(self, self._line_free_ns, request.payload)
        self.answer()

    def _line_write(self, request: Request) -> None:
        """One frame on an RS-485 line; where nothing hangs, nobody hears it."""
        line = self._lines.get(request.argument)
        if line is not None:
            try:
                line.write(request.payload)
            except EmulatorError as error:
                raise self._misuse(f"RS-485 on UART {request.argument}", error) from error
        self.answer()

    def _line_read(self, request: Request) -> None:
        line = self._lines.get(request.argument)
        count = _U16.unpack_from(request.payload)[0]
        self.answer(b"" if line is None else line.read(count))

    def _log(self, request: Request) -> None:
        self.log_lines.append(request.payload.decode(errors="replace"))
        self.answer()

    def _pin(self, request: Request) -> None:
        level = request.payload[0]
        if level < 2:
            self.pins[request.argument] = level
        self.answer(bytes([self.pins.get(request.argument, 0)]))

    def _spi(self, request: Request) -> None:
        device = self.wiring.spi.get(request.argument)
        # SPI has no acknowledge: where no chip is, the line stays high, and the driver must notice.
        data = b"\xff" * len(request.payload)
        if device is not None:
            try:
                data = device.exchange(request.payload, self._now_us())
            except EmulatorError as error:
                where = f"SPI chip select {request.argument}"
                raise self._misuse(where, error) from error
        self.now_ns += 8 * len(request.payload) * 1_000_000_000 // self.wiring.spi_hz
        self.answer(data)

    def _now_us(self) -> int:
        return self.now_ns // 1000

    def _misuse(self, where: str, error: EmulatorError) -> RigError:
        """Return what ends a run in which a chip is used as the real one must not be."""
        return RigError(f"node {self.node}, {where}, t = {self.now_ns / 1e9:.6f} s: {error}")


_LOCAL: dict[int, Callable[[BoardPort, Request], None]] = {
    OP_HELLO: BoardPort._hello,
    OP_I2C: BoardPort._i2c,
    OP_SPI: BoardPort._spi,
    OP_UART_WRITE: BoardPort._uart_write,
    OP_LOG: BoardPort._log,
    OP_PIN: BoardPort._pin,
}
# The same operations on a UART that is an RS-485 line.
_ON_LINES: dict[int, Callable[[BoardPort, Request], None]] = {
    OP_UART_WRITE: BoardPort._line_write,
    OP_UART_READ: BoardPort._line_read,
}
