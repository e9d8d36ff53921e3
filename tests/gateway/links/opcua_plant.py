"""A real OPC UA server with a clock that can be wrong, a way to it that can fail, and a link.

The server takes seconds to make, so it lives in a thread of its own for as long as a test module.
"""

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asyncua import Server, ua

from gateway.clock import NS_PER_S, SystemClock
from gateway.links.opcua_client import OpcUaLink
from gateway.links.supervisor import Supervision, default_backoff, supervise
from gateway.loss import LossLedger
from gateway.records import Polled, Reading
from gateway.sinks.opcua_identity import own_identity
from gateway.site_opcua import OpcUaNode, OpcUaServer
from tests.gateway.plant import background, free_port

NAMESPACE = "urn:maker:press"
_PATIENCE_S = 30


def now(zone=UTC) -> datetime:
    """Return the right time, whatever the library believes."""
    return datetime.fromtimestamp(SystemClock().now_ns() / NS_PER_S, zone)


class ServerTime(datetime):
    """What the library of this process takes for UTC when it stamps an answer."""

    wrong_by = timedelta(0)

    @classmethod
    def now(cls, tz=None) -> datetime:
        return now(tz) + cls.wrong_by


class Press:
    """A server with a pressure, a name and an empty variable."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.server: Server | None = None
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="OPC UA server")
        self._pressure = None

    def start(self) -> None:
        self._thread.start()
        self._do(self._start())

    def stop(self) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_S)
        self._loop.close()

    def write(self, value, *, stamp: datetime | None = None, status: int = 0) -> None:
        """Have the source say a value with its own time and status."""
        said = ua.DataValue(
            ua.Variant(value, ua.VariantType.Double), ua.StatusCode(status), stamp or now()
        )
        self._do(self._pressure.write_value(said))

    def certificate(self) -> bytes:
        return (self._folder / "own" / "certificate.der").read_bytes()

    def _do(self, coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_PATIENCE_S)

    async def _stop(self) -> None:
        await self.server.stop()
        # The library leaves tasks of clients behind that went without a word.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _start(self) -> None:
        self.server = server = Server()
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}/press")
        server.set_security_policy(
            [ua.SecurityPolicyType.NoSecurity, ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
        )
        uri = "urn:maker:press:server"
        await server.set_application_uri(uri)
        identity = own_identity(self._folder, uri, "127.0.0.1")
        await server.load_certificate(identity.certificate_path)
        await server.load_private_key(identity.key_path)
        index = await server.register_namespace(NAMESPACE)
        for name, value in (("Pressure", 2.5), ("Name", "press 1"), ("Row", [1.0, 2.0])):
            variable = await server.nodes.objects.add_variable(ua.NodeId(name, index), name, value)
            self._pressure = self._pressure or variable
        await server.start()


@dataclass
class Way:
    """A TCP way to a server: it can be cut, or carry nothing while it looks open."""

    target: int
    port: int = 0
    connections: int = 0
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _writers: set = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/press"

    async def begin(self) -> None:
        self.is_open.set()
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Close every connection and take no other, as a machine that is switched off."""
        self.is_open.set()
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _carry(self, reader, writer) -> None:
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers |= {writer, far_writer}
        with contextlib.suppress(OSError):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer))
                group.create_task(self._pump(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pump(self, reader, writer) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self.is_open.wait()
                writer.write(data)
        writer.transport.abort()


@asynccontextmanager
async def way_to(press: Press) -> AsyncIterator[Way]:
    way = Way(press.port)
    await way.begin()
    try:
        yield way
    finally:
        await way.cut()


@dataclass
class Bench:
    """A link and what it has delivered."""

    link: OpcUaLink
    ledger: LossLedger
    supervision: Supervision
    polls: asyncio.Queue[Polled]

    async def until(self, wanted) -> Polled:
        """Return the first poll from now on that is wanted."""
        while not self.polls.empty():
            self.polls.get_nowait()
        while True:
            poll = await self.polls.get()
            if wanted(poll):
                return poll

    async def fresh(self) -> dict[str, Reading]:
        """Return the readings, by node, of a poll that began after now."""
        asked_ns = SystemClock().now_ns()
        poll = await self.until(lambda poll: poll.readings and poll.requested_ns >= asked_ns)
        return {reading.signal.removeprefix("press:"): reading for reading in poll.readings}

    async def stamp(self) -> int:
        """Return the next stamp that is told."""
        poll = await self.until(lambda poll: any(r.stamp_ns is not None for r in poll.readings))
        return next(r.stamp_ns for r in poll.readings if r.stamp_ns is not None)


def node(name: str, text: str) -> OpcUaNode:
    return OpcUaNode(name=name, node=text, unit="Pa")


PRESSURE = node("pressure", f"nsu={NAMESPACE};s=Pressure")


def make_bench(folder: Path, url: str, *nodes: OpcUaNode, **changes) -> Bench:
    facts = {"allow_unencrypted": True, "period_ms": 20, "timeout_ms": 2000}
    server = OpcUaServer(name="press", endpoint=url, nodes=nodes or (PRESSURE,), **facts | changes)
    ledger, polls = LossLedger(), asyncio.Queue(10_000)
    link = OpcUaLink("skid", server, folder, SystemClock(), ledger, polls.put_nowait)
    return Bench(link, ledger, Supervision("press", default_backoff(random.Random(1))), polls)


@asynccontextmanager
async def reading(bench: Bench) -> AsyncIterator[Bench]:
    """Keep the link alive meanwhile, as the gateway does."""
    link = bench.link
    task = supervise(
        link, bench.supervision, SystemClock(), connect_s=link.connect_s, silence_s=link.silence_s
    )
    async with background(task):
        yield bench


def run_press(folder: Path) -> Iterator[Press]:
    """Yield a running server; for a fixture of a module."""
    press = Press(folder)
    press.start()
    yield press
    press.stop()
