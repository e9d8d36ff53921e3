"""A record nobody could write down: every sink drops it, says why, and takes the next one."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import give_way
from gateway.loss import LossLedger
from gateway.sinks.outbox import IMPLAUSIBLE, Outbox
from tests.gateway.conftest import Broker
from tests.gateway.plant import (
    SECOND_NS,
    START_NS,
    aligned,
    background,
    estimate,
    report,
    verdict,
    verified,
)
from tests.gateway.sinks.opcua_server import serving, value
from tests.gateway.sinks.test_sparkplug import host_on, make_edge, running
from tests.gateway.sinks.test_store import opened

YEAR_2200_NS = 7_258_118_400 * SECOND_NS
TIMES = [-18 * 10**21, -1, YEAR_2200_NS, 18 * 10**21]


@pytest.mark.parametrize("time_ns", TIMES)
def test_the_queue_takes_no_time_outside_1970_to_2200(time_ns: int) -> None:
    ledger = LossLedger()
    outbox: Outbox = Outbox("s", 10, ledger)
    absurd = [
        verified(received_ns=time_ns),
        replace(aligned(), time_ns=time_ns),
        replace(estimate(), time_ns=time_ns),
        replace(verdict(), time_ns=time_ns),
        replace(verdict(), since_ns=time_ns),
        replace(aligned(), bound_ns=time_ns),
        replace(report(), time_ns=time_ns),
        replace(report(), bound_ns=time_ns),
    ]
    for record in absurd:
        outbox.put(record)
    balance = ledger.sink_balance("s")
    assert (len(outbox), balance.offered) == (0, 8)
    assert balance.dropped == {IMPLAUSIBLE: 8}
    assert balance.adds_up()


def test_the_queue_takes_the_first_and_the_last_possible_time() -> None:
    outbox: Outbox = Outbox("s", 10, LossLedger())
    for time_ns in (0, YEAR_2200_NS - 1):
        outbox.put(aligned(time_ns=time_ns))
    assert len(outbox) == 2


@pytest.mark.parametrize("time_ns", TIMES)
async def test_the_store_lives_on(tmp_path: Path, time_ns: int) -> None:
    async with opened(tmp_path) as base, background(*base.sink.workers()):
        for record in (aligned(time_ns=time_ns), aligned(second=1)):
            base.sink.put(record)
        while base.ledger.sink_balance("store").delivered < 1:
            await give_way()
        assert base.rows("SELECT time_ns FROM aligned") == [(START_NS + SECOND_NS,)]
        assert base.ledger.sink_balance("store").dropped == {IMPLAUSIBLE: 1}


async def test_the_store_drops_a_number_sqlite_cannot_hold(tmp_path: Path) -> None:
    async with opened(tmp_path) as base, background(*base.sink.workers()):
        for record in (aligned(sequence=1 << 64), aligned(sequence=5)):
            base.sink.put(record)
        while base.ledger.sink_balance("store").delivered < 1:
            await give_way()
        assert base.rows("SELECT sequence FROM aligned") == [(5,)]
        assert base.ledger.sink_balance("store").dropped == {"not_storable": 1}


@pytest.mark.slow
@pytest.mark.parametrize("time_ns", [TIMES[0], TIMES[-1]])
async def test_the_opc_ua_server_lives_on(tmp_path: Path, time_ns: int) -> None:
    async with serving(tmp_path) as served, served.client() as client:
        async with background(*served.sink.workers()):
            for record in (aligned(time_ns=time_ns), aligned(value=0.002)):
                served.sink.put(record)
            while served.ledger.sink_balance("opcua").delivered < 1:
                await give_way()
        assert await value(client, "pump/a:flow") == 0.002
        assert served.ledger.sink_balance("opcua").dropped == {IMPLAUSIBLE: 1}


@pytest.mark.parametrize("time_ns", TIMES)
async def test_the_edge_node_lives_on(broker: Broker, tmp_path: Path, time_ns: int) -> None:
    async with host_on(broker.port) as host, running(make_edge(tmp_path, broker.port)) as edge:
        await host.take("NBIRTH", "DBIRTH")
        for record in (aligned(time_ns=time_ns), aligned(value=0.002)):
            edge.sink.put(record)
        (data,) = await host.take("DDATA")
        assert data.metric("a/flow").value == 0.002
        assert edge.ledger.sink_balance("sparkplug").dropped == {IMPLAUSIBLE: 1}


async def test_the_edge_node_drops_what_has_no_encoding(broker: Broker, tmp_path: Path) -> None:
    async with host_on(broker.port) as host, running(make_edge(tmp_path, broker.port)) as edge:
        await host.take("NBIRTH", "DBIRTH")
        for code in (0, 1 << 32, 0):
            edge.sink.put(aligned(status=code))
        await edge.sink.drain()
        edge.sink.put(aligned(second=1))
        await edge.sink.drain()
        heard = await host.take("DDATA", "DDATA")
        assert [len(message.payload.metrics) for message in heard] == [2, 1]
        assert [message.payload.sequence for message in heard] == [2, 3], "no number is lost"
        balance = edge.ledger.sink_balance("sparkplug")
        assert (balance.delivered, balance.dropped) == (3, {"not_encodable": 1})
