"""Modbus TCP client: many tags, few requests, and one bad tag stays one bad tag.

Promises: neighbouring tags share a request (limits of V1.1b3: 125 registers, 2000 bits), a value
never straddles two; every wait has a deadline; a connection that failed is built from scratch after
a pause; when the device refuses addresses of a shared request its tags are asked one by one, those
at fault from then on always, so only they fail. Unit and transaction ids are matched by pymodbus,
its errors are mapped here.
A tag with the role "clock" is the device's own UTC: it goes with the poll as `clock_ns` in whole
nanoseconds, and is no value.
Left to others: writing; the time of the values (`stages/sync.py` takes the middle of the poll), and
what the device's clock is worth.
"""

import asyncio
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, final

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from gateway import status
from gateway.clock import NS_PER_MS, NS_PER_S, Cadence, Clock
from gateway.errors import LinkError
from gateway.links.supervisor import LinkState, Supervision, honour_cancellation
from gateway.records import Polled, Reading
from gateway.site_modbus import CLOCK_STEPS_NS, ModbusDevice, Tag

LINK: Final = "modbus"
_GRACE_S: Final = 0.5
"""Our deadline after the library's own, in case that one fails."""
_REGISTERS_MAX: Final = 125
_BITS_MAX: Final = 2000
_FORMATS: Final = {
    "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "uint64": ">Q",
    "float32": ">f",
}  # fmt: skip
_BIT_TABLES: Final = ("coil", "discrete")
_EXCEPTIONS: Final = {
    1: "illegal function", 2: "illegal data address", 3: "illegal data value",
    4: "server device failure", 5: "acknowledge, still working", 6: "server device busy",
    8: "memory parity error", 10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}  # fmt: skip
"""V1.1b3 chapter 7."""
_CLOCK_END_NS: Final = (1 << 63) - 1
"""Where a clock's reading is cut off, in 2262: absurd in any case, and still 64 bits."""
_BLAMES_A_TAG: Final = (1, 2, 3)
"""Exceptions about what was asked; the others are about the device and hold for every tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """One request and the tags whose values its answer holds."""

    table: str
    address: int
    count: int
    """Registers, or bits for coils and discrete inputs."""
    tags: tuple[Tag, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagError:
    """A tag that gave no value in a poll."""

    tag: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PollResult:
    """What one poll brought: values of the good tags, one error for each of the others."""

    polled: Polled | None
    """None when no tag gave a value."""
    errors: tuple[TagError, ...]


def plan_requests(
    tags: Sequence[Tag], gap_max: int, avoid: Sequence[Tag] = ()
) -> tuple[ReadRequest, ...]:
    """Return the fewest requests, in table and address order, that read every tag whole.

    `gap_max` is how many registers (or bits) nobody asked for may be read along between two tags;
    the registers of the tags in `avoid` are never read along.
    """
    barriers = {(tag.table, tag.address + word) for tag in avoid for word in range(width(tag))}
    requests: list[ReadRequest] = []
    for tag in sorted(tags, key=lambda tag: (tag.table, tag.address, tag.name)):
        end = tag.address + width(tag)
        last = requests[-1] if requests else None
        if last is not None and last.table == tag.table:
            whole = max(end, last.address + last.count) - last.address
            limit = _BITS_MAX if tag.table in _BIT_TABLES else _REGISTERS_MAX
            gap = range(last.address + last.count, tag.address)
            is_clear = barriers.isdisjoint((tag.table, address) for address in gap)
            if len(gap) <= gap_max and whole <= limit and is_clear:
                requests[-1] = ReadRequest(
                    table=tag.table, address=last.address, count=whole, tags=(*last.tags, tag)
                )
                continue
        requests.append(
            ReadRequest(table=tag.table, address=tag.address, count=width(tag), tags=(tag,))
        )
    return tuple(requests)


def width(tag: Tag) -> int:
    """Return how many registers (or bits) a tag takes."""
    return 1 if tag.type == "bool" else struct.calcsize(_FORMATS[tag.type]) // 2


def decode_tag(tag: Tag, words: Sequence[int | bool]) -> float:
    """Return the value of a tag in its unit from its registers (or its bit).

    `words` has shape (width,). The standard fixes the order of bytes in a register only, so both
    orders of words and of bytes can be chosen: ABCD, CDAB (words), BADC (bytes), DCBA (both).
    What is not finite, in the device or in its unit, is NaN.
    """
    raw = float(bool(words[0])) if tag.type == "bool" else float(_raw(tag, words))
    value = raw * tag.scale + tag.offset
    return value if math.isfinite(value) else math.nan


def decode_clock(tag: Tag, words: Sequence[int | bool]) -> int:
    """Return the UTC in nanoseconds that a clock tag shows; `words` has shape (width,).

    Exact: one step of the clock is a whole number of nanoseconds, and no float comes between.
    """
    shown_ns = int(_raw(tag, words)) * CLOCK_STEPS_NS[tag.scale] + int(tag.offset) * NS_PER_S
    return max(-_CLOCK_END_NS, min(shown_ns, _CLOCK_END_NS))


def _raw(tag: Tag, words: Sequence[int | bool]) -> int | float:
    """Return the number in the registers of a tag, before scale and offset."""
    ordered = words if tag.word_order == "big" else tuple(reversed(words))
    content = b"".join(int(word).to_bytes(2, tag.byte_order) for word in ordered)
    raw: int | float = struct.unpack(_FORMATS[tag.type], content)[0]
    return raw


@dataclass(slots=True, kw_only=True)
class _Gathered:
    """What the requests of a poll have brought so far."""

    readings: list[Reading] = field(default_factory=list)
    errors: list[TagError] = field(default_factory=list)
    clock_ns: int | None = None


@final
class ModbusLink:
    """One device. `poll` may be called at any time; it connects when it has to and may."""

    def __init__(self, device: ModbusDevice, supervision: Supervision) -> None:
        self.device = device
        self.supervision = supervision
        self.cadence = Cadence(device.period_ms * NS_PER_MS)
        self._timeout_s = device.timeout_ms / 1000
        self._alone: set[str] = set()
        self._gap_max = device.gap_registers_max
        self._requests = self._plan()
        self._client: AsyncModbusTcpClient | None = None

    async def poll(self, now_ns: int, clock: Clock) -> PollResult:
        """Read every tag once; `now_ns` is the time at which the first request leaves.

        Raises `LinkError` when the device cannot be reached or stopped answering; the next attempt
        to connect is made by the first poll after the pause.
        """
        client = await self._connected(now_ns)
        gathered = _Gathered()
        try:
            for request in self._requests:
                await self._read(client, request, gathered)
        except LinkError as error:
            self._fail(clock.now_ns(), error.what)
            raise
        return PollResult(
            polled=self._polled(gathered, now_ns, max(now_ns, clock.now_ns())),
            errors=tuple(gathered.errors),
        )

    def close(self) -> None:
        """Close the connection for good."""
        self._drop_client()
        self.supervision.stop()

    async def _connected(self, now_ns: int) -> AsyncModbusTcpClient:
        """Return a connected client, or raise `LinkError`."""
        if self._client is not None and self._client.connected:
            return self._client
        if self.supervision.state in (LinkState.CONNECTED, LinkState.ONLINE):
            self._fail(now_ns, "connection closed by the device")
        if not self.supervision.may_attempt(now_ns):
            raise self._error(f"waiting to connect again; last: {self.supervision.last_failure}")
        self.supervision.attempt()
        self._alone.clear()
        self._gap_max = self.device.gap_registers_max
        self._requests = self._plan()
        # The library must not reconnect or retry by itself: pauses are the supervisor's.
        client = AsyncModbusTcpClient(
            self.device.host,
            port=self.device.port,
            timeout=self._timeout_s,
            retries=0,
            reconnect_delay=0,
            name=self.device.name,
        )
        self._client = client
        try:
            is_connected = await client.connect()
        except UnicodeError:
            # A host name that cannot be one; pymodbus expects errors of the network only.
            is_connected = False
        honour_cancellation()
        if not is_connected:
            place = f"{self.device.host}:{self.device.port}"
            self._fail(now_ns, f"no connection to {place} within {self._timeout_s} s")
            raise self._error(self.supervision.last_failure)
        self.supervision.accepted()
        return client

    def _plan(self) -> tuple[ReadRequest, ...]:
        """Return the requests of a poll: shared ones, and one each for tags that need it."""
        shared = [tag for tag in self.device.tags if tag.name not in self._alone]
        alone = [tag for tag in self.device.tags if tag.name in self._alone]
        single = [plan_requests((tag,), 0)[0] for tag in alone]
        return (*plan_requests(shared, self._gap_max, alone), *single)

    def _polled(self, gathered: _Gathered, requested_ns: int, received_ns: int) -> Polled | None:
        """Return the record of a poll, None if it brought neither a value nor the clock."""
        if not gathered.readings and gathered.clock_ns is None:
            return None
        self.supervision.data()
        steps = [CLOCK_STEPS_NS[tag.scale] for tag in self.device.tags if tag.is_clock]
        return Polled(
            source=self.device.name,
            link=LINK,
            readings=tuple(gathered.readings),
            requested_ns=requested_ns,
            received_ns=received_ns,
            clock_ns=gathered.clock_ns,
            clock_resolution_ns=0 if gathered.clock_ns is None else steps[0],
        )

    async def _read(
        self, client: AsyncModbusTcpClient, request: ReadRequest, gathered: _Gathered
    ) -> None:
        """Make one request; if it asks for something the device has not, find out which tag."""
        answer = await self._execute(client, request)
        if isinstance(answer, int):
            if len(request.tags) > 1 and answer in _BLAMES_A_TAG:
                await self._read_one_by_one(client, request, gathered)
                return
            what = _EXCEPTIONS.get(answer, f"exception {answer}")
            gathered.errors += [TagError(tag=tag.name, what=what) for tag in request.tags]
            return
        for tag in request.tags:
            start = tag.address - request.address
            words = answer[start : start + width(tag)]
            if tag.is_clock:
                gathered.clock_ns = decode_clock(tag, words)
                continue
            signal, value = f"{self.device.name}:{tag.name}", decode_tag(tag, words)
            code = status.BAD_SENSOR_FAILURE if math.isnan(value) else status.GOOD
            gathered.readings.append(
                Reading(signal=signal, unit=tag.unit, value=value, tick_us=None, status=code)
            )

    async def _read_one_by_one(
        self, client: AsyncModbusTcpClient, request: ReadRequest, gathered: _Gathered
    ) -> None:
        """Ask for each tag of a refused request alone, and plan the next poll accordingly."""
        known = len(gathered.errors)
        for tag in request.tags:
            await self._read(client, plan_requests((tag,), 0)[0], gathered)
        at_fault = {error.tag for error in gathered.errors[known:]}
        if at_fault:
            self._alone |= at_fault
        elif self._gap_max > 0:
            # Every tag answers alone, so what was refused is a register between them.
            self._gap_max = 0
        else:
            self._alone |= {tag.name for tag in request.tags}
        self._requests = self._plan()

    async def _execute(
        self, client: AsyncModbusTcpClient, request: ReadRequest
    ) -> Sequence[int | bool] | int:
        """Return the words or bits of one request, or the exception code of the device.

        Raises `LinkError` when there is no answer, or one that is not an answer to this request.
        """
        read = {
            "holding": client.read_holding_registers,
            "input": client.read_input_registers,
            "coil": client.read_coils,
            "discrete": client.read_discrete_inputs,
        }[request.table]
        place = f"{request.table} {request.address}+{request.count}"
        try:
            async with asyncio.timeout(self._timeout_s + _GRACE_S):
                answer: ModbusPDU = await read(
                    request.address, count=request.count, device_id=self.device.unit_id
                )
                honour_cancellation()
        except (ModbusException, TimeoutError, OSError) as error:
            raise self._error(f"{place}: no answer ({error or 'deadline passed'})") from error
        if not answer.transaction_id:
            # pymodbus takes 0 for a match of every request; its own ids begin at 1.
            raise self._error(f"{place}: answer without our transaction id")
        if answer.isError():
            return int(answer.exception_code)
        words: Sequence[int | bool] = (
            answer.bits if request.table in _BIT_TABLES else answer.registers
        )
        if len(words) < request.count:
            raise self._error(f"answer of {len(words)} instead of {request.count} words")
        return words

    def _fail(self, now_ns: int, why: str) -> None:
        """Give the connection up; the next one is built from scratch."""
        self._drop_client()
        self.supervision.failed(now_ns, why)

    def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _error(self, what: str) -> LinkError:
        return LinkError(self.device.name, LINK, what)
