"""A small PLC of the pump skid: a real Modbus TCP server whose registers follow virtual time.

Promises: what a client reads is a pure function of the last `advance(now_ns)`, on loopback only;
a write or an address outside the map is answered with a Modbus exception.
Leaves to others: when to poll (the run), what the values mean (site.toml).

    table    address  tag                  type                       unit
    holding  0-1      flow-setpoint        float32, big-endian ABCD   m3/s
    holding  2        valve-position       uint16, scale 1e-4         /
    holding  3        run-state            uint16 (RunState)          count
    input    0        heartbeat            uint16, virtual seconds    count
    input    1-2      clock-seconds        uint32, UTC since 1970     s
    input    3-6      clock-milliseconds   uint64, scale 1e-3, as above  s

Its clock is a thing of its own and may be wrong; what it shows of UTC is handed in.

The valve position is the PLC's command, not a measurement: a valve that closes by itself does not
show here, which is what makes it a fault.
"""

import asyncio
import socket
import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, cast, final

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.clock import NS_PER_MS, NS_PER_S
from gateway.errors import InternalError, PortInUseError

HOST: Final = "127.0.0.1"
CLOSE_S_MAX: Final = 5.0
READ_HOLDING: Final = 3
READ_INPUT: Final = 4
"""Function codes, Modbus application protocol V1.1b3 sections 6.3 and 6.4."""
VALVE_SCALE: Final = 1e-4


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSpot:
    """Where a tag stands, spelled as in site.toml."""

    table: str
    address: int
    type: str
    unit: str
    scale: float = 1.0


REGISTERS: Final = {
    "flow-setpoint": RegisterSpot(table="holding", address=0, type="float32", unit="m3/s"),
    "valve-position": RegisterSpot(
        table="holding", address=2, type="uint16", unit="/", scale=VALVE_SCALE
    ),
    "run-state": RegisterSpot(table="holding", address=3, type="uint16", unit="count"),
    "heartbeat": RegisterSpot(table="input", address=0, type="uint16", unit="count"),
    "clock-seconds": RegisterSpot(table="input", address=1, type="uint32", unit="s"),
    "clock-milliseconds": RegisterSpot(
        table="input", address=3, type="uint64", unit="s", scale=1e-3
    ),
}
"""The register map; examples/pump/site.toml polls these, and a test holds the two together."""


class RunState(IntEnum):
    """What the PLC has told the pump to do."""

    STOPPED = 0
    STARTING = 1
    RUNNING = 2
    TRIPPED = 3


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What the PLC commands from `from_ns` (virtual time) on."""

    from_ns: int
    flow_m3_s: float
    valve_position: float
    """1 is open."""
    state: RunState


STEADY: Final = (
    Command(from_ns=0, flow_m3_s=32e-3 / 60, valve_position=1.0, state=RunState.RUNNING),
)
"""The recorded rig: 32 l/min through an open valve, all the time."""


def holding_registers(command: Command) -> list[int]:
    """Return holding registers 0-3 of a command."""
    high, low = struct.unpack(">HH", struct.pack(">f", command.flow_m3_s))
    return [high, low, round(command.valve_position / VALVE_SCALE), int(command.state)]


def heartbeat(now_ns: int) -> int:
    """Return input register 0: whole virtual seconds modulo 2**16."""
    return now_ns // NS_PER_S % (1 << 16)


def calendar(utc_ns: int) -> list[int]:
    """Return input registers 1-6: UTC in whole seconds and in whole milliseconds, cut off."""
    seconds = utc_ns // NS_PER_S % (1 << 32)
    milliseconds = utc_ns // NS_PER_MS % (1 << 64)
    return list(struct.unpack(">6H", struct.pack(">IQ", seconds, milliseconds)))


@final
class PumpPlc:
    """The server; `await start()`, `advance(now_ns)` as often as wanted, `await stop()`."""

    def __init__(
        self,
        program: Sequence[Command] = STEADY,
        port: int = 0,
        utc_ns: Callable[[int], int] = lambda now_ns: now_ns,
    ) -> None:
        """utc_ns: what the PLC's own clock shows at a virtual time."""
        self._utc_ns = utc_ns
        self._program = sorted(program, key=lambda command: command.from_ns)
        self._port = port
        self._now_ns = 0
        self._server: ModbusTcpServer | None = None

    @property
    def port(self) -> int:
        """The port that clients connect to; chosen by the system at `start()` when given as 0."""
        return self._port

    def advance(self, now_ns: int) -> None:
        """Set virtual time; the next request sees it."""
        self._now_ns = now_ns

    def command_at(self, now_ns: int) -> Command:
        """Return the command in force; the first one holds before its own time."""
        later = bisect_right([command.from_ns for command in self._program], now_ns)
        return self._program[max(0, later - 1)]

    async def start(self) -> None:
        """Listen on loopback. Errors: PortInUseError, InternalError when started twice."""
        if self._server is not None:
            raise InternalError("the PLC is listening already; call stop() first")
        _refuse_taken(self._port)
        server = ModbusTcpServer(self._device(), address=(HOST, self._port))
        try:
            await server.serve_forever(background=True)
        except RuntimeError as error:
            raise PortInUseError(HOST, self._port, "PLC simulator") from error
        listener = cast("asyncio.Server", server.transport)
        self._port = listener.sockets[0].getsockname()[1]
        self._server = server

    async def stop(self) -> None:
        """Close the listener and every connection; harmless when not started."""
        if self._server is None:
            return
        server, self._server = self._server, None
        listener = cast("asyncio.Server", server.transport)
        await server.shutdown()
        await asyncio.wait_for(listener.wait_closed(), CLOSE_S_MAX)

    def _device(self) -> SimDevice:
        """Return the device of the map; id 0 answers to every unit id, as PLCs on TCP do."""
        # pymodbus wants no table empty; `_answer` refuses bits and writes.
        bits = SimData(address=0, values=[False] * 16, datatype=DataType.BITS)
        holding = SimData(address=0, count=4, datatype=DataType.REGISTERS)
        inputs = SimData(address=0, count=7, datatype=DataType.REGISTERS)
        return SimDevice(id=0, simdata=([bits], [bits], [holding], [inputs]), action=self._answer)

    async def _answer(
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Bring the table of a request up to date before pymodbus answers from it."""
        del start_address, address, count, values
        if function_code == READ_HOLDING:
            registers[:4] = holding_registers(self.command_at(self._now_ns))
        elif function_code == READ_INPUT:
            registers[:7] = [heartbeat(self._now_ns), *calendar(self._utc_ns(self._now_ns))]
        else:
            return ExcCodes.ILLEGAL_FUNCTION
        return None


def _refuse_taken(port: int) -> None:
    """Raise PortInUseError when the port is taken, before pymodbus logs it and gives up."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortInUseError(HOST, port, "PLC simulator") from error
