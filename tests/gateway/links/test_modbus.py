"""Modbus TCP against pymodbus' own server on loopback: orders, limits, bad tags, lost devices."""

import asyncio
import json
import math
import random
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.clock import NS_PER_S, ManualClock
from gateway.errors import LinkError
from gateway.links.modbus import ModbusLink, decode_clock, decode_tag, plan_requests, width
from gateway.links.supervisor import LinkState, Supervision, default_backoff
from gateway.site import ModbusDevice, Tag
from tests.gateway.plant import free_port

REGISTERS = 400


def tag(name: str, address: int, kind: str = "uint16", **changes) -> Tag:
    return Tag(name=name, address=address, type=kind, unit="count", **changes)


@dataclass
class Plc:
    """A real Modbus server; notes every request, refuses or ignores some addresses."""

    port: int
    holding: list[int] = field(default_factory=lambda: [0] * REGISTERS)
    refuses: dict[int, ExcCodes] = field(default_factory=dict)
    requests: list[tuple[int, int, int]] = field(default_factory=list)
    hears: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.hears.set()

    async def answer(self, code, _start, address, count, registers, _values) -> ExcCodes | None:
        self.requests.append((code, address, count))
        await self.hears.wait()
        for refused, reason in self.refuses.items():
            if address <= refused < address + count:
                return reason
        if code in (3, 4):
            registers[:] = self.holding[: len(registers)]
        return None


@asynccontextmanager
async def serving(plc: Plc) -> AsyncIterator[Plc]:
    bits = SimData(address=0, values=[True, False] * 8, datatype=DataType.BITS)
    words = SimData(address=0, count=REGISTERS, datatype=DataType.REGISTERS)
    device = SimDevice(id=1, simdata=([bits], [bits], [words], [words]), action=plc.answer)
    server = ModbusTcpServer(device, address=("127.0.0.1", plc.port))
    await server.serve_forever(background=True)
    listener = server.transport
    try:
        yield plc
    finally:
        await server.shutdown()
        await listener.wait_closed()


@asynccontextmanager
async def polling(*tags: Tag, port: int, **changes) -> AsyncIterator[ModbusLink]:
    device = ModbusDevice(
        name="plc", host="127.0.0.1", port=port, tags=tags, **({"timeout_ms": 500} | changes)
    )
    link = ModbusLink(device, Supervision("plc", default_backoff(random.Random(1))))
    try:
        yield link
    finally:
        link.close()


def values(result) -> dict[str, float]:
    """Return the good values of a poll by tag."""
    readings = result.polled.readings if result.polled is not None else ()
    return {reading.signal.removeprefix("plc:"): reading.value for reading in readings}


# --- decoding ------------------------------------------------------------------------------------


def test_all_four_orders_of_a_float(shared_dir: Path) -> None:
    vectors = json.loads(
        (shared_dir / "vectors" / "framing" / "modbus_float32_word_orders.json").read_text()
    )
    orders = {
        "ABCD_big_endian": ("big", "big"),
        "CDAB_word_swap": ("little", "big"),
        "BADC_byte_swap": ("big", "little"),
        "DCBA_little": ("little", "little"),
    }
    assert len(vectors) >= 4
    for vector in vectors:
        for name, (word_order, byte_order) in orders.items():
            words = struct.unpack(">HH", bytes.fromhex(vector[name]))
            one = tag("x", 0, "float32", word_order=word_order, byte_order=byte_order)
            assert decode_tag(one, words) == pytest.approx(vector["value"], rel=1e-7)


@pytest.mark.parametrize(
    ("kind", "words", "value"),
    [
        ("int16", (0xFFFE,), -2),
        ("uint16", (0xFFFE,), 65534),
        ("int32", (0xFFFF, 0xFFFE), -2),
        ("uint32", (0x0001, 0x0000), 65536),
        ("bool", (True,), 1),
        ("bool", (0,), 0),
    ],
)
def test_integers_and_bits(kind: str, words: tuple, value: float) -> None:
    assert decode_tag(tag("x", 0, kind), words) == value
    assert decode_tag(tag("x", 0, kind, scale=0.5, offset=1), words) == value * 0.5 + 1


@pytest.mark.parametrize("words", [(0x7F80, 0), (0xFF80, 0), (0x7FC0, 1), (0x7F7F, 0xFFFF)])
def test_what_is_not_finite_is_nan(words: tuple[int, int]) -> None:
    assert math.isnan(decode_tag(tag("x", 0, "float32", scale=1e300), words))


@pytest.mark.parametrize(
    ("kind", "words", "changes", "shown_ns"),
    [
        ("uint32", (0x6553, 0xF100), {}, 1_700_000_000 * NS_PER_S),
        ("uint32", (0xF100, 0x6553), {"word_order": "little"}, 1_700_000_000 * NS_PER_S),
        ("uint32", (0, 0), {}, 0),
        ("uint32", (0, 0), {"offset": 946_684_800.0}, 946_684_800 * NS_PER_S),
        ("uint64", (0, 0x018B, 0xCFE5, 0x6801), {"scale": 0.001}, 1_700_000_000_001_000_000),
        ("uint64", (0x0006, 0x0A24, 0x181E, 0x4001), {"scale": 1e-6}, 1_700_000_000_000_001_000),
        ("uint64", (0xFFFF,) * 4, {}, (1 << 63) - 1),
    ],
)
def test_a_clock_is_whole_nanoseconds_and_never_more_than_64_bits(
    kind: str, words: tuple, changes: dict, shown_ns: int
) -> None:
    assert decode_clock(tag("t", 0, kind, role="clock", **changes), words) == shown_ns


# --- planning ------------------------------------------------------------------------------------

TAGS = st.lists(
    st.tuples(
        st.integers(0, 600),
        st.sampled_from(["int16", "float32", "uint32"]),
        st.sampled_from(["holding", "input"]),
    ),
    min_size=1,
    max_size=40,
)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(spots=TAGS, gap_max=st.integers(0, 124))
def test_a_plan_reads_every_tag_whole_within_the_limits(spots: list, gap_max: int) -> None:
    tags = [tag(f"t{i}", at, kind, table=table) for i, (at, kind, table) in enumerate(spots)]
    plan = plan_requests(tags, gap_max)
    assert sorted(t.name for r in plan for t in r.tags) == sorted(t.name for t in tags)
    for request in plan:
        assert 1 <= request.count <= 125
        wanted: set[int] = set()
        for one in request.tags:
            assert one.table == request.table
            assert request.address <= one.address
            assert one.address + width(one) <= request.address + request.count
            wanted.update(range(one.address, one.address + width(one)))
        edges = sorted(wanted)
        assert {edges[0], edges[-1]} == {request.address, request.address + request.count - 1}
        assert all(b - a - 1 <= gap_max for a, b in pairwise(edges))


def test_bits_share_requests_of_two_thousand() -> None:
    tags = [tag(f"b{i}", i, "bool", table="coil") for i in range(2001)]
    assert [(r.address, r.count) for r in plan_requests(tags, 0)] == [(0, 2000), (2000, 1)]


# --- a real server -------------------------------------------------------------------------------


async def test_neighbours_share_a_request_and_values_carry_the_times_of_the_poll() -> None:
    clock = ManualClock(5000)
    async with serving(Plc(free_port())) as plc:
        plc.holding[:5] = [*struct.unpack(">HH", struct.pack(">f", 0.5)), 1234, 0, 7]
        tags = (tag("flow", 0, "float32"), tag("valve", 2), tag("state", 4), tag("far", 300))
        async with polling(*tags, port=plc.port) as link:
            result = await link.poll(4000, clock)
            assert values(result) == {"flow": 0.5, "valve": 1234, "state": 7, "far": 0}
            assert plc.requests == [(3, 0, 5), (3, 300, 1)]
            assert result.errors == ()
            assert (result.polled.requested_ns, result.polled.received_ns) == (4000, 5000)
            assert (result.polled.source, result.polled.link) == ("plc", "modbus")
            assert link.supervision.state is LinkState.ONLINE


async def test_the_devices_own_clock_goes_with_the_poll_and_is_no_value() -> None:
    clock = ManualClock(9000)
    async with serving(Plc(free_port())) as plc:
        tags = (tag("a", 0), tag("time", 1, "uint32", role="clock"))
        async with polling(*tags, port=plc.port) as link:
            for shown_s in (946_684_800, 1_700_000_000, 1_699_999_990, 0, 0xFFFF_FFFF):
                plc.holding[:3] = [7, *struct.unpack(">HH", shown_s.to_bytes(4, "big"))]
                result = await link.poll(8000, clock)
                assert values(result) == {"a": 7}
                assert result.polled.clock_ns == shown_s * NS_PER_S
                assert result.polled.clock_resolution_ns == NS_PER_S
                assert (result.polled.requested_ns, result.polled.received_ns) == (8000, 9000)


async def test_a_clock_that_cannot_be_read_is_a_failed_tag_and_no_time() -> None:
    plc = Plc(free_port(), refuses={1: ExcCodes.ILLEGAL_ADDRESS})
    tags = (tag("a", 0), tag("time", 1, "uint64", role="clock", scale=0.001))
    async with serving(plc), polling(*tags, port=plc.port) as link:
        result = await link.poll(0, ManualClock())
        assert values(result) == {"a": 0}
        assert (result.polled.clock_ns, result.polled.clock_resolution_ns) == (None, 0)
        assert [error.tag for error in result.errors] == ["time"]


async def test_a_device_that_has_nothing_but_a_clock_is_polled() -> None:
    only = tag("time", 0, "uint32", role="clock")
    async with serving(Plc(free_port())) as plc, polling(only, port=plc.port) as link:
        result = await link.poll(0, ManualClock())
        assert (result.polled.readings, result.polled.clock_ns) == ((), 0)
        assert link.supervision.state is LinkState.ONLINE


async def test_all_four_tables_are_read_with_their_own_function() -> None:
    async with serving(Plc(free_port())) as plc:
        tags = (
            tag("coil", 0, "bool", table="coil"),
            tag("contact", 1, "bool", table="discrete"),
            tag("input", 2, table="input"),
            tag("holding", 3),
        )
        plc.holding[2:4] = [20, 30]
        async with polling(*tags, port=plc.port) as link:
            got = values(await link.poll(0, ManualClock()))
        assert got == {"coil": 1, "contact": 0, "input": 20, "holding": 30}
        assert sorted(code for code, _, _ in plc.requests) == [1, 2, 3, 4]


async def test_one_bad_tag_stays_one_bad_tag() -> None:
    async with serving(Plc(free_port(), refuses={2: ExcCodes.ILLEGAL_ADDRESS})) as plc:
        tags = tuple(tag(f"t{i}", i) for i in range(4))
        async with polling(*tags, port=plc.port) as link:
            first = await link.poll(0, ManualClock())
            assert sorted(values(first)) == ["t0", "t1", "t3"]
            assert [(e.tag, e.what) for e in first.errors] == [("t2", "illegal data address")]
            plc.requests.clear()
            assert sorted(values(await link.poll(1, ManualClock()))) == ["t0", "t1", "t3"]
            assert plc.requests == [(3, 0, 2), (3, 3, 1), (3, 2, 1)], "never again across t2"
            plc.refuses.clear()
            assert len(values(await link.poll(2, ManualClock()))) == 4, "it recovers by itself"


async def test_a_refused_gap_does_not_cost_its_neighbours() -> None:
    plc = Plc(free_port(), refuses={1: ExcCodes.ILLEGAL_ADDRESS})
    async with serving(plc), polling(tag("a", 0), tag("b", 2), port=plc.port) as link:
        for poll in range(2):
            plc.requests.clear()
            result = await link.poll(poll, ManualClock())
            assert sorted(values(result)) == ["a", "b"]
            assert result.errors == ()
        assert plc.requests == [(3, 0, 1), (3, 2, 1)]


async def test_a_busy_device_is_not_asked_tag_by_tag() -> None:
    plc = Plc(free_port(), refuses={0: ExcCodes.DEVICE_BUSY})
    async with serving(plc), polling(tag("a", 0), tag("b", 1), port=plc.port) as link:
        result = await link.poll(0, ManualClock())
        assert result.polled is None, "a busy device gives no value, above all not 0"
        assert [e.what for e in result.errors] == ["server device busy"] * 2
        assert len(plc.requests) == 1


async def test_a_deaf_device_costs_one_deadline_and_then_a_pause() -> None:
    clock, plc = ManualClock(), Plc(free_port())
    plc.hears.clear()
    tags = (tag("a", 0), tag("b", 200))
    async with serving(plc), polling(*tags, port=plc.port, timeout_ms=30) as link:
        with pytest.raises(LinkError, match="no answer"):
            await link.poll(0, clock)
        assert link.supervision.state is LinkState.BACKING_OFF
        with pytest.raises(LinkError, match="waiting to connect again"):
            await link.poll(1, clock)
        assert len(plc.requests) == 1, "neither retry nor second request on a dead link"
        plc.hears.set()
        clock.advance_to(link.supervision.retry_at_ns)
        assert sorted(values(await link.poll(clock.now_ns(), clock))) == ["a", "b"]


async def test_a_device_that_is_away_comes_back_by_itself() -> None:
    clock, port = ManualClock(), free_port()
    async with polling(tag("a", 0), port=port, timeout_ms=300) as link:
        with pytest.raises(LinkError, match=f"no connection to 127.0.0.1:{port}"):
            await link.poll(0, clock)
        for restart in range(2):
            clock.advance_to((restart + 1) * 100 * NS_PER_S)
            async with serving(Plc(port)):
                assert values(await link.poll(clock.now_ns(), clock)) == {"a": 0}
            with pytest.raises(LinkError):
                await link.poll(clock.now_ns() + 1, clock)
        assert link.supervision.attempts == 3


@pytest.mark.parametrize("change", ["unit", "transaction", "no transaction", "garbage", "short"])
async def test_an_answer_to_somebody_else_is_no_answer(change: str) -> None:
    """Frames that pymodbus must not take for ours: then the poll fails, it does not lie."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readexactly(12)
        transaction, unit = request[:2], request[6:7]
        if change == "transaction":
            transaction = bytes([transaction[0], transaction[1] ^ 2])
        if change == "no transaction":
            transaction = bytes(2)
        if change == "unit":
            unit = b"\x07"
        body = unit + b"\x03\x02\x12\x34"
        if change == "garbage":
            body = bytes(5)
        frame = transaction + b"\0\0" + len(body).to_bytes(2, "big") + body
        writer.write(frame[:-1] if change == "short" else frame)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        done.set()

    done = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with polling(tag("a", 0), port=port, timeout_ms=50) as link:
            with pytest.raises(LinkError, match="plc over modbus"):
                await link.poll(0, ManualClock())
        await done.wait()
