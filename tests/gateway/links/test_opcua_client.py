"""The OPC UA link against real servers: stamps, a wrong clock, a server that goes and comes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asyncua import ua

from gateway.clock import NS_PER_MS, NS_PER_S
from gateway.links.supervisor import LinkState
from tests.gateway.links.opcua_plant import Bench, Press, make_bench, node, reading, server_time
from tests.gateway.plant import free_port

__all__ = ("server_time",)


@asynccontextmanager
async def serving(port: int = 0) -> AsyncIterator[Press]:
    press = Press(port or free_port())
    await press.start()
    try:
        yield press
    finally:
        await press.stop()


async def test_values_come_with_unit_window_and_the_servers_clock(tmp_path: Path) -> None:
    async with serving() as press, reading(make_bench(tmp_path, press.url)) as bench:
        poll = await bench.until(lambda poll: poll.readings)
        (value,) = poll.readings
        assert (value.signal, value.unit, value.value) == ("press:pressure", "Pa", 2.5)
        assert poll.requested_ns <= poll.received_ns
        assert poll.requested_ns - NS_PER_MS <= poll.clock_ns <= poll.received_ns
        assert poll.clock_resolution_ns == 16 * NS_PER_MS
        assert bench.supervision.state is LinkState.ONLINE
