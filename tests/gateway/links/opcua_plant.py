"""A real OPC UA server with a clock that can be wrong, and a link that reads from it."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asyncua import Server, ua

from gateway.clock import NS_PER_S, SystemClock
from gateway.links.opcua_client import OpcUaLink
from gateway.links.supervisor import Supervision, default_backoff, supervise
from gateway.loss import LossLedger
from gateway.records import Polled
from gateway.site_opcua import OpcUaNode, OpcUaServer
from tests.gateway.plant import background

NAMESPACE = "urn:maker:press"


def now(zone=UTC) -> datetime:
    """Return the right time, whatever the library believes."""
    return datetime.fromtimestamp(SystemClock().now_ns() / NS_PER_S, zone)


class ServerTime(datetime):
    """What the library takes for UTC, once it has been set wrong."""

    wrong_by = timedelta(0)

    @classmethod
    def now(cls, tz=None) -> datetime:
        return now(tz) + cls.wrong_by


@pytest.fixture
def server_time(monkeypatch) -> type[ServerTime]:
    """The clock with which servers of this process stamp their answers."""
    monkeypatch.setattr("asyncua.ua.uaprotocol_auto.datetime", ServerTime)
    monkeypatch.setattr(ServerTime, "wrong_by", timedelta(0))
    return ServerTime


@dataclass
class Press:
    """A server with a pressure and a mode, started and stopped at will."""

    port: int
    server: Server | None = None
    pressure: object = None

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/press"

    async def start(self) -> None:
        self.server = server = Server()
        await server.init()
        server.set_endpoint(self.url)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace(NAMESPACE)
        self.pressure = await server.nodes.objects.add_variable(
            ua.NodeId("Pressure", index), "Pressure", 2.5
        )
        await server.nodes.objects.add_variable(ua.NodeId("Name", index), "Name", "press 1")
        await server.start()

    async def stop(self) -> None:
        server, self.server = self.server, None
        if server is not None:
            with contextlib.suppress(TimeoutError):
                await server.stop()

    async def write(self, value: float, *, stamp: datetime | None = None, status: int = 0) -> None:
        """Have the source say a value with its own time and status."""
        await self.pressure.write_value(
            ua.DataValue(
                ua.Variant(value, ua.VariantType.Double),
                StatusCode=ua.StatusCode(status),
                SourceTimestamp=stamp or now(),
            )
        )


@dataclass
class Bench:
    """A link and what it has delivered."""

    link: OpcUaLink
    ledger: LossLedger
    supervision: Supervision
    polls: asyncio.Queue[Polled] = field(default_factory=lambda: asyncio.Queue(10_000))

    async def until(self, wanted) -> Polled:
        """Return the first poll from now on that is wanted."""
        while True:
            poll = await self.polls.get()
            if wanted(poll):
                return poll

    async def readings(self) -> dict[str, object]:
        """Return the readings of the next poll that has some, by node."""
        poll = await self.until(lambda poll: poll.readings)
        return {reading.signal.removeprefix("press:"): reading for reading in poll.readings}


def node(name: str, text: str, **changes) -> OpcUaNode:
    return OpcUaNode(name=name, node=text, **({"unit": "Pa"} | changes))


PRESSURE = node("pressure", f"nsu={NAMESPACE};s=Pressure")


def make_bench(folder: Path, url: str, *nodes: OpcUaNode, **changes) -> Bench:
    facts = {"allow_unencrypted": True, "period_ms": 20, "timeout_ms": 500}
    server = OpcUaServer(
        name="press", endpoint=url, nodes=nodes or (PRESSURE,), **(facts | changes)
    )
    ledger = LossLedger()
    link = OpcUaLink("skid", server, folder, SystemClock(), ledger, lambda poll: None)
    bench = Bench(link, ledger, Supervision("press", default_backoff(random.Random(1))))
    link._deliver = bench.polls.put_nowait
    return bench


@asynccontextmanager
async def reading(bench: Bench) -> AsyncIterator[Bench]:
    """Keep the link alive meanwhile, as the gateway does."""
    link = bench.link
    task = supervise(
        link, bench.supervision, SystemClock(), connect_s=link.connect_s, silence_s=link.silence_s
    )
    async with background(task):
        yield bench
