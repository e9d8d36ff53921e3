"""A running OPC UA sink and short ways to read from it, for its tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from asyncua import Client, ua

from gateway.clock import ManualClock
from gateway.loss import LossLedger
from gateway.sinks.opcua import OpcUaSink
from tests.gateway.plant import SITE, START_NS, make_site


@dataclass
class Served:
    """A running server and what belongs to it."""

    sink: OpcUaSink
    ledger: LossLedger
    clock: ManualClock
    folder: Path

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with Client(self.sink.url, timeout=10) as client:
            yield client


@asynccontextmanager
async def serving(folder: Path, clock=None, text: str = SITE, **changes) -> AsyncIterator[Served]:
    site = make_site(folder, text)
    ledger, clock = LossLedger(), clock or ManualClock(START_NS)
    settings = site.opcua.model_copy(update=changes)
    sink = OpcUaSink(site, settings, ledger, clock, folder / "opcua", ("opcua", "store"))
    await sink.start()
    try:
        yield Served(sink, ledger, clock, folder / "opcua")
    finally:
        await sink.stop()


async def node(client: Client, path: str):
    index = await client.get_namespace_index("urn:twinrig:skid")
    return client.get_node(ua.NodeId(path, index))


async def read(client: Client, path: str) -> ua.DataValue:
    return await (await node(client, path)).read_data_value(raise_on_bad_status=False)


async def value(client: Client, path: str) -> object:
    return (await read(client, path)).Value.Value
