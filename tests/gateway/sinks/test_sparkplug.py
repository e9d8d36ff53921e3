"""The edge node against a real mosquitto: births, data, death, rebirth, and a broker that goes."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import pytest

from gateway import status
from gateway.clock import NS_PER_MS, ManualClock, give_way
from gateway.errors import SinkError
from gateway.links.supervisor import LinkState
from gateway.loss import LossLedger
from gateway.records import State
from gateway.sinks.sparkplug import SparkplugSink
from gateway.sinks.sparkplug_payload import (
    DataType,
    Metric,
    Payload,
    decode,
    encode,
)
from tests.gateway.conftest import Broker
from tests.gateway.plant import (
    START_NS,
    aligned,
    background,
    estimate,
    free_port,
    make_site,
    verdict,
    verified,
)

START_MS = START_NS // NS_PER_MS
REBIRTH = encode(
    Payload(
        timestamp_ms=START_MS,
        sequence=None,
        metrics=(Metric(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, value=True),),
    )
)


@dataclass
class Heard:
    """One message as a host application sees it."""

    topic: str
    qos: int
    is_retained: bool
    payload: Payload

    @property
    def kind(self) -> str:
        return self.topic.split("/")[2]

    def metric(self, name: str) -> Metric:
        (found,) = (metric for metric in self.payload.metrics if metric.name == name)
        return found


@dataclass
class Host:
    """A foreign host application; learns the data types from the births."""

    client: aiomqtt.Client
    types: dict[str, DataType] = field(default_factory=dict)

    async def next(self) -> Heard:
        message = await anext(aiter(self.client.messages))
        payload = decode(message.payload, self.types)
        heard = Heard(message.topic.value, message.qos, message.retain, payload)
        if heard.kind in ("NBIRTH", "DBIRTH"):
            self.types |= {metric.name: metric.datatype for metric in payload.metrics}
        return heard

    async def take(self, *kinds: str) -> list[Heard]:
        """Return the next messages, which must be of these kinds."""
        heard = [await self.next() for _ in kinds]
        assert [message.kind for message in heard] == list(kinds)
        return heard

    async def command(self, topic: str, payload: bytes) -> None:
        await self.client.publish(topic, payload, qos=0)


@asynccontextmanager
async def host_on(port: int) -> AsyncIterator[Host]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe([(f"spBv1.0/g/{kind}/#", 1) for kind in KINDS])
        yield Host(client)


KINDS = ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "NDEATH", "DDEATH")


@dataclass
class Edge:
    """The sink under test with its ledger and clock."""

    sink: SparkplugSink
    ledger: LossLedger
    clock: ManualClock


def make_edge(folder: Path, port: int, **changes) -> Edge:
    ledger, clock = LossLedger(), ManualClock(START_NS)
    site = make_site(folder).at_ports({"sparkplug": port})
    settings = site.sparkplug.model_copy(update=changes)
    return Edge(SparkplugSink(site, settings, ledger, clock, random.Random(1)), ledger, clock)


@asynccontextmanager
async def running(edge: Edge) -> AsyncIterator[Edge]:
    await edge.sink.start()
    try:
        async with background(*edge.sink.workers()):
            await edge.sink.settle()
            yield edge
    finally:
        await edge.sink.stop()


# --- session -------------------------------------------------------------------------------------


async def test_births_come_first_and_name_everything(broker: Broker, tmp_path: Path) -> None:
    async with host_on(broker.port) as host, running(make_edge(tmp_path, broker.port)):
        node, device = await host.take("NBIRTH", "DBIRTH")
        assert node.topic == "spBv1.0/g/NBIRTH/e"
        assert device.topic == "spBv1.0/g/DBIRTH/e/pump"
        assert (node.payload.sequence, device.payload.sequence) == (0, 1)
        assert all((m.qos, m.is_retained) == (0, False) for m in (node, device))
        assert node.payload.timestamp_ms == START_MS
        assert node.metric("bdSeq").value == 0
        assert node.metric("bdSeq").datatype is DataType.INT64
        rebirth = node.metric("Node Control/Rebirth")
        assert (rebirth.value, rebirth.datatype) == (False, DataType.BOOLEAN)
        names = [metric.name for metric in device.payload.metrics]
        assert {"a/flow", "a/temperature", "plc/setpoint", "Verdict/State"} <= set(names)
        for metric in device.payload.metrics:
            assert metric.datatype is not None
            assert metric.timestamp_ms is not None
            is_list = "/Active" in metric.name
            assert metric.value == ("" if is_list else None), "no finding, and nothing else known"
        units = {p.key: p.value for p in device.metric("a/flow").properties}
        assert units == {"Quality": 0, "engUnit": "m3/s"}


async def test_data_carry_acquisition_time_quality_and_the_next_sequence_number(
    broker: Broker, tmp_path: Path
) -> None:
    async with host_on(broker.port) as host, running(make_edge(tmp_path, broker.port)) as edge:
        await host.take("NBIRTH", "DBIRTH")
        edge.clock.advance_to(START_NS + 99 * 10**9)
        edge.sink.put(aligned(second=7))
        edge.sink.put(aligned("a:temperature", 21.5, second=8, status=status.BAD_SENSOR_FAILURE))
        edge.sink.put(verified())
        await edge.sink.drain()
        (data,) = await host.take("DDATA")
        assert data.topic == "spBv1.0/g/DDATA/e/pump"
        assert data.payload.sequence == 2
        assert data.payload.timestamp_ms == START_MS + 99_000
        flow = data.metric("a/flow")
        assert (flow.value, flow.timestamp_ms) == (0.001, START_MS + 7_000)
        assert {p.key: p.value for p in flow.properties} == {
            "Quality": 192,
            "engUnit": "m3/s",
            "StatusCode": 0,
            "TimeBoundNs": 1_500_000,
            "TimeUncertaintyK2Ns": 900_000,
            "Provenance": "sealed",
        }
        bad = data.metric("a/temperature")
        assert bad.value is None, "a bad value is null, never a number"
        assert bad.properties[0].value == 0
        balance = edge.ledger.sink_balance("sparkplug")
        assert (balance.offered, balance.delivered, balance.queued) == (2, 2, 0)


async def test_verdicts_and_estimates_are_published(broker: Broker, tmp_path: Path) -> None:
    async with host_on(broker.port) as host, running(make_edge(tmp_path, broker.port)) as edge:
        await host.take("NBIRTH", "DBIRTH")
        edge.sink.put(estimate(second=3))
        edge.sink.put(verdict(State.ALARM, second=3))
        await edge.sink.drain()
        (data,) = await host.take("DDATA")
        assert data.metric("Estimate/AnomalyProbability").value == 0.97
        assert data.metric("Verdict/State").value == "alarm"
        assert data.metric("Verdict/Blamed").value == "a:flow=0.750 a:temperature=0.250"
        assert data.metric("Verdict/Evidence").value == verdict().evidence
        assert data.metric("Verdict/Since").value == START_MS
        assert data.metric("Verdict/State").timestamp_ms == START_MS + 3_000


async def test_the_sequence_wraps_at_255(broker: Broker, tmp_path: Path) -> None:
    async with host_on(broker.port) as host, running(make_edge(tmp_path, broker.port)) as edge:
        await host.take("NBIRTH", "DBIRTH")
        for second in range(258):
            edge.sink.put(aligned(second=second))
            await edge.sink.drain()
        heard = await host.take(*["DDATA"] * 258)
        assert [m.payload.sequence for m in heard] == [(2 + i) % 256 for i in range(258)]
        assert [m.metric("a/flow").timestamp_ms for m in heard] == [
            START_MS + second * 1000 for second in range(258)
        ]


async def test_a_rebirth_is_given_with_the_latest_values(broker: Broker, tmp_path: Path) -> None:
    async with host_on(broker.port) as host, running(make_edge(tmp_path, broker.port)) as edge:
        await host.take("NBIRTH", "DBIRTH")
        edge.sink.put(aligned(value=0.002, second=1))
        await edge.sink.drain()
        await host.take("DDATA")
        await host.command("spBv1.0/g/NCMD/e", REBIRTH)
        node, device = await host.take("NBIRTH", "DBIRTH")
        assert node.metric("bdSeq").value == 0, "no new CONNECT, so the same number"
        assert (node.payload.sequence, device.payload.sequence) == (0, 1)
        flow = device.metric("a/flow")
        assert (flow.value, flow.timestamp_ms) == (0.002, START_MS + 1000)
        assert flow.datatype is DataType.DOUBLE


async def test_other_commands_change_nothing(broker: Broker, tmp_path: Path) -> None:
    write = encode(
        Payload(
            timestamp_ms=1,
            sequence=None,
            metrics=(Metric(name="a/flow", datatype=DataType.DOUBLE, value=9.0),),
        )
    )
    async with host_on(broker.port) as host, running(make_edge(tmp_path, broker.port)) as edge:
        await host.take("NBIRTH", "DBIRTH")
        for topic in ("spBv1.0/g/DCMD/e/pump", "spBv1.0/g/NCMD/e"):
            await host.command(topic, write)
            await host.command(topic, b"\xff\xff")
        await host.command("spBv1.0/g/DCMD/e/pump", REBIRTH)
        await host.command("spBv1.0/g/NCMD/e", REBIRTH)
        _, device = await host.take("NBIRTH", "DBIRTH")
        assert device.metric("a/flow").value is None
        edge.sink.put(aligned(second=1))
        await edge.sink.drain()
        await host.take("DDATA")


async def test_leaving_on_purpose_publishes_the_death(broker: Broker, tmp_path: Path) -> None:
    async with host_on(broker.port) as host:
        async with running(make_edge(tmp_path, broker.port)):
            await host.take("NBIRTH", "DBIRTH")
        (death,) = await host.take("NDEATH")
        assert death.payload.sequence is None
        assert [(m.name, m.value) for m in death.payload.metrics] == [("bdSeq", 0)]


async def test_dying_is_published_by_the_broker(broker: Broker, tmp_path: Path) -> None:
    async with host_on(broker.port) as host, running(make_edge(tmp_path, broker.port)) as edge:
        await host.take("NBIRTH", "DBIRTH")
        edge.sink._client._client.socket().shutdown(2)
        death, node, device = await host.take("NDEATH", "NBIRTH", "DBIRTH")
        assert (death.qos, death.is_retained) == (1, False)
        assert death.metric("bdSeq").value == 0
        assert node.metric("bdSeq").value == 1, "one more CONNECT"
        assert (node.payload.sequence, device.payload.sequence) == (0, 1)


# --- a broker that goes and comes ----------------------------------------------------------------


async def test_without_a_broker_nothing_waits_and_drops_are_counted(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("gateway.sinks.sparkplug._QUEUE_MAX", 10)
    edge = make_edge(tmp_path, free_port())
    async with running(edge):
        for second in range(25):
            edge.sink.put(aligned(second=second))
        async with asyncio.timeout(1):
            await edge.sink.drain()
        balance = edge.ledger.sink_balance("sparkplug")
        assert balance.dropped == {"queue_full": 15}
        assert balance.queued == 10
    balance = edge.ledger.sink_balance("sparkplug")
    assert balance.dropped == {"queue_full": 15, "broker_away": 10}
    assert balance.queued == 0


@pytest.mark.slow
async def test_records_made_while_the_broker_was_away_arrive_in_order(
    broker: Broker, tmp_path: Path, monkeypatch
) -> None:
    pauses = ManualClock()
    monkeypatch.setattr("gateway.sinks.sparkplug.SystemClock", lambda: pauses)
    edge = make_edge(tmp_path, broker.port)
    async with running(edge):
        broker.stop()
        while edge.sink.supervision.state is not LinkState.BACKING_OFF:
            await give_way()
        for second in range(1, 6):
            edge.sink.put(aligned(second=second))
        await edge.sink.drain()
        broker.start()
        async with host_on(broker.port) as host:
            pauses.advance_to(edge.sink.supervision.retry_at_ns)
            *_, data = await host.take("NBIRTH", "DBIRTH", "DDATA")
        times = [metric.timestamp_ms for metric in data.payload.metrics]
        assert times == [START_MS + second * 1000 for second in range(1, 6)]
        assert edge.ledger.sink_balance("sparkplug").dropped == {}


async def test_the_password_comes_from_a_private_file(broker: Broker, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    edge = make_edge(tmp_path, broker.port, username="edge", password_file=secret)
    async with host_on(broker.port) as host, running(edge):
        await host.take("NBIRTH", "DBIRTH")
        assert edge.sink._client._client.password == "open sesame"


async def test_a_broker_that_never_answers_costs_no_socket(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("gateway.sinks.sparkplug._WAIT_S", 0.05)
    accepted: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, w: accepted.append(w), "127.0.0.1", 0)
    edge = make_edge(tmp_path, silent.sockets[0].getsockname()[1])
    before = own_sockets()
    async with silent:
        for attempt in range(1, 4):
            with pytest.raises(SinkError, match="timed out"):
                await edge.sink.connect()
            await edge.sink.close()
            while len(accepted) < attempt:
                await give_way()
        for writer in accepted:
            writer.close()
            await writer.wait_closed()
        assert own_sockets() == before


def own_sockets() -> int:
    """Return how many sockets this process has open."""
    links = []
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(file.readlink()))
    return sum(link.startswith("socket:") for link in links)


async def test_a_host_name_that_is_none_is_a_failed_attempt(tmp_path: Path) -> None:
    edge = make_edge(tmp_path, 1883, host="broker..local")
    with pytest.raises(SinkError, match=r"broker\.\.local:1883"):
        await edge.sink.connect()
    await edge.sink.close()


async def test_a_command_asks_for_one_birth_however_often_it_says_so(
    broker: Broker, tmp_path: Path
) -> None:
    rebirth = Metric(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, value=True)
    often = encode(Payload(timestamp_ms=START_MS, sequence=None, metrics=(rebirth,) * 50))
    async with host_on(broker.port) as host, running(make_edge(tmp_path, broker.port)) as edge:
        await host.take("NBIRTH", "DBIRTH")
        await host.command("spBv1.0/g/NCMD/e", often)
        await host.take("NBIRTH", "DBIRTH")
        edge.sink.put(aligned(second=1))
        await host.take("DDATA")


async def test_edge_nodes_of_two_groups_are_two_clients(broker: Broker, tmp_path: Path) -> None:
    one = make_edge(tmp_path, broker.port)
    other = make_edge(tmp_path, broker.port, group_id="h")
    async with running(one), running(other):
        # A broker ends the older of two connections with the same client id.
        for edge in (one, other, one):
            edge.sink.put(aligned(second=1))
            await edge.sink.drain()
        assert one.sink.supervision.attempts == other.sink.supervision.attempts == 1
        names = {edge.sink._client.identifier for edge in (one, other)}
        assert names == {"twinrig/g/e", "twinrig/h/e"}
