"""A node on a real pseudo-terminal: frames in order, damage counted, loss of the port noticed."""

import asyncio
import os
import random
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gateway.clock import ManualClock, give_way
from gateway.errors import LinkError
from gateway.links import node_serial
from gateway.links.node_serial import NodeSerial
from gateway.loss import LossLedger
from gateway.records import Received
from tests.gateway.plant import background
from wire.framing import Deframer, frame


@dataclass
class Line:
    """Both ends of a serial line and what came out of the gateway's end."""

    node_end: int
    link: NodeSerial
    ledger: LossLedger
    arrived: asyncio.Queue = field(default_factory=asyncio.Queue)
    lives: int = 0

    async def take(self, count: int) -> list[bytes]:
        return [(await self.arrived.get()).data for _ in range(count)]

    def prove(self) -> None:
        self.lives += 1


@asynccontextmanager
async def open_line() -> AsyncIterator[Line]:
    """Open a pseudo-terminal; the gateway opens its other end by name, as it would a port."""
    node_end, gateway_end = os.openpty()
    tty.setraw(gateway_end)
    ledger = LossLedger()
    line: Line

    def deliver(item: Received) -> None:
        line.arrived.put_nowait(item)

    port = os.ttyname(gateway_end)
    link = NodeSerial("a", port, 115200, ManualClock(77), ledger, deliver)
    line = Line(node_end=node_end, link=link, ledger=ledger)
    try:
        yield line
    finally:
        await link.close()
        for descriptor in (line.node_end, gateway_end):
            if descriptor >= 0:
                os.close(descriptor)


@asynccontextmanager
async def served(line: Line) -> AsyncIterator[None]:
    """Connect and serve in the background."""
    await line.link.connect()
    async with background(line.link.serve(line.prove)):
        yield


async def test_frames_arrive_whole_and_in_order_however_the_line_cuts_them() -> None:
    messages = [bytes([number]) * (number + 1) for number in range(20)]
    stream = b"".join(frame(message) for message in messages)
    rng = random.Random(3)
    async with open_line() as line, served(line):
        at = 0
        while at < len(stream):
            size = rng.randint(1, 40)
            at += os.write(line.node_end, stream[at : at + size])
            await give_way()
        assert await line.take(20) == messages
        assert line.lives == 20
        assert line.ledger.balance("a").line_errors == {}


async def test_records_name_node_link_and_time() -> None:
    async with open_line() as line, served(line):
        os.write(line.node_end, frame(b"hello"))
        expected = Received(source="a", link="serial", data=b"hello", received_ns=77)
        assert await line.arrived.get() == expected


async def test_damage_is_counted_by_reason_and_the_next_frame_is_whole() -> None:
    good = frame(b"good")
    damaged = bytearray(frame(b"damaged frame"))
    damaged[5] ^= 0x10
    async with open_line() as line, served(line):
        os.write(line.node_end, bytes(damaged) + b"\x01\x00" + b"\xff\x01\x00" + good)
        assert await line.take(1) == [b"good"]
        errors = line.ledger.balance("a").line_errors
        assert errors == {"cobs": 1, "crc": 1, "short": 1}


async def test_a_flood_without_delimiter_costs_no_memory() -> None:
    async with open_line() as line, served(line):
        for _ in range(5):
            left = b"\x55" * 1000
            while left:
                left = left[os.write(line.node_end, left) :]
        os.write(line.node_end, b"\x00" + frame(b"after"))
        assert await line.take(1) == [b"after"]
        assert line.ledger.balance("a").line_errors == {"too_long": 1}


async def test_the_queue_is_bounded_and_drops_the_oldest(monkeypatch) -> None:
    monkeypatch.setattr(node_serial, "_QUEUE_MAX", 3)
    async with open_line() as line:
        await line.link.connect()
        os.write(line.node_end, b"".join(frame(bytes([number])) for number in range(5)))
        # Nobody serves yet: one look at the port puts all five frames into the queue of three.
        line.link._read()
        async with background(line.link.serve(line.prove)):
            assert await line.take(3) == [b"\x02", b"\x03", b"\x04"]
        assert line.ledger.balance("a").line_errors == {"queue_full": 2}


async def test_frames_for_the_node_go_out() -> None:
    async with open_line() as line, served(line):
        assert line.link.send(frame(b"probe"))
        items = Deframer().feed(os.read(line.node_end, 100))
        assert items == [(b"probe", None)]


async def test_what_the_line_does_not_take_is_dropped_and_counted() -> None:
    async with open_line() as line, served(line):
        sent = 0
        while line.link.send(frame(b"x" * 200)):
            sent += 1
            assert sent < 10_000, "a pseudo-terminal has a finite buffer"
        assert line.ledger.balance("a").line_errors == {"write_full": 1}


async def test_a_vanished_port_ends_the_connection() -> None:
    async with open_line() as line:
        await line.link.connect()
        os.close(line.node_end)
        line.node_end = -1
        with pytest.raises(LinkError, match="a over serial"):
            await line.link.serve(line.prove)
        assert not line.link.send(b"into the void")


async def test_a_port_that_is_absent_or_taken_says_what_to_check() -> None:
    link = NodeSerial("a", "/dev/absent", 9600, ManualClock(), LossLedger(), lambda _: None)
    with pytest.raises(LinkError, match=r"/dev/absent cannot be opened .*check cable"):
        await link.connect()
    await link.close()
    assert not link.send(b"x")
    async with open_line() as line, served(line):
        other = NodeSerial(
            "b", line.link._port, 115200, ManualClock(), LossLedger(), lambda _: None
        )
        with pytest.raises(LinkError, match="cannot be opened"):
            await other.connect()


async def test_a_new_connection_starts_with_an_empty_line() -> None:
    async with open_line() as line:
        async with served(line):
            os.write(line.node_end, frame(b"one") + b"\x07half a frame")
            assert await line.take(1) == [b"one"]
        await line.link.close()
        async with served(line):
            os.write(line.node_end, frame(b"two"))
            assert await line.take(1) == [b"two"]
            assert line.ledger.balance("a").line_errors == {}
