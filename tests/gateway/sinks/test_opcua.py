"""The OPC UA server as a foreign client sees it (asyncua's own client, real sockets)."""

import asyncio
import contextlib
import math
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from asyncua import Client, ua
from asyncua.server.internal_session import InternalSession

from gateway import status
from gateway.clock import NS_PER_US
from gateway.errors import PortInUseError
from gateway.records import State
from gateway.sinks.opcua_space import eu_information, utc
from tests.gateway.plant import (
    SECOND_NS,
    START_NS,
    aligned,
    background,
    estimate,
    free_port,
    verdict,
    verified,
)
from tests.gateway.sinks.opcua_server import node, read, serving, value

pytestmark = pytest.mark.slow
"""asyncua builds its standard address space for more than a second."""


# --- what a client reads -------------------------------------------------------------------------


async def test_values_with_time_status_unit_uncertainty_and_proof(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.client() as client:
        waiting = await read(client, "pump/a:flow")
        assert waiting.StatusCode.value == status.BAD_WAITING_FOR_INITIAL_DATA
        assert waiting.Value.Value is None

        served.clock.advance_to(START_NS + 90 * SECOND_NS)
        served.sink.put(replace(aligned(value=0.00125), time_ns=START_NS + 123_456_789))
        served.sink.put(aligned("a:temperature", 21.5, status=status.UNCERTAIN_SENSOR_NOT_ACCURATE))
        await served.sink.drain()
        flow = await read(client, "pump/a:flow")
        assert flow.Value == ua.Variant(0.00125, ua.VariantType.Double)
        assert flow.StatusCode.value == status.GOOD
        assert flow.SourceTimestamp == utc(START_NS + 123_456_789)
        assert flow.ServerTimestamp == utc(START_NS + 90 * SECOND_NS)
        assert await value(client, "pump/a:flow/TimeBoundNs") == 1_500_000
        assert await value(client, "pump/a:flow/TimeUncertaintyK2Ns") == 900_000
        assert await value(client, "pump/a:flow/Provenance") == "sealed"
        uncertain = await read(client, "pump/a:temperature")
        assert uncertain.StatusCode.value == status.UNCERTAIN_SENSOR_NOT_ACCURATE
        assert uncertain.Value.Value == 21.5

        units = await value(client, "pump/a:flow/EngineeringUnits")
        assert (units.UnitId, units.DisplayName.Text) == (5067091, "m³/s")
        limits = await value(client, "pump/a:flow/EURange")
        assert (limits.Low, limits.High) == (0.0, 0.0025)
        kind = await (await node(client, "pump/a:flow")).read_type_definition()
        assert kind == ua.NodeId(ua.ObjectIds.AnalogItemType)
        kind = await (await node(client, "pump/a:temperature")).read_type_definition()
        assert kind == ua.NodeId(ua.ObjectIds.AnalogUnitType)
        now = await client.get_node(
            ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
        ).read_value()
        assert now == utc(START_NS + 90 * SECOND_NS), "the server's clock is the gateway's"


async def test_a_bad_value_is_null_and_a_late_one_is_not_shown(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.client() as client:
        served.sink.put(aligned(value=0.001, second=5))
        served.sink.put(aligned(value=0.002, second=3))
        await served.sink.drain()
        flow = await read(client, "pump/a:flow")
        assert (flow.Value.Value, flow.SourceTimestamp) == (0.001, utc(START_NS + 5 * SECOND_NS))
        served.sink.put(aligned(value=0.003, second=6, status=status.BAD_SENSOR_FAILURE))
        served.sink.put(aligned("a:unknown"))
        served.sink.put(verified())
        await served.sink.drain()
        flow = await read(client, "pump/a:flow")
        assert flow.Value.Value is None
        assert flow.StatusCode.value == status.BAD_SENSOR_FAILURE
        served.sink.put(aligned(value=0.004, second=7))
        await served.sink.drain()
        assert await value(client, "pump/a:flow") == 0.004, "the type survives a null"
        balance = served.ledger.sink_balance("opcua")
        assert balance.dropped == {"late": 1, "not_configured": 1}
        assert (balance.offered, balance.delivered, balance.queued) == (5, 3, 0)


async def test_verdict_estimate_and_ledger(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.client() as client:
        account = served.ledger.account("a")
        account.received, account.verified, account.delivered = 5, 4, 4
        account.announced = account.numbered = 4
        account.rejected["bad_mac"] = 1
        served.sink.put(estimate(second=4))
        served.sink.put(verdict(State.ALARM, second=4))
        await served.sink.drain()
        got = {name: await value(client, f"pump/Verdict/{name}") for name in (
            "State", "Probability", "Since", "Time", "Blamed", "BlamedShare", "Evidence", "Sequence"
        )}  # fmt: skip
        assert got == {
            "State": "alarm",
            "Probability": 0.99,
            "Since": utc(START_NS),
            "Time": utc(START_NS + 4 * SECOND_NS),
            "Blamed": ["a:flow", "a:temperature"],
            "BlamedShare": [0.75, 0.25],
            "Evidence": verdict().evidence,
            "Sequence": 1,
        }
        assert await value(client, "pump/Estimate/AnomalyProbability") == 0.97
        assert await value(client, "pump/Estimate/IsTrained") is True
        assert await value(client, "pump/Estimate/a:flow/Expected") == 0.002
        assert await value(client, "pump/Estimate/a:flow/StandardDeviation") == 0.0001
        assert await value(client, "pump/Estimate/a:flow/Contribution") == 12.5
        for name in ("Expected", "Fused", "FusedDeviation", "Interval"):
            units = await value(client, f"pump/Estimate/a:flow/{name}/EngineeringUnits")
            assert units.UnitId == 5067091
        assert await value(client, "Ledger/a/Received") == 5
        assert await value(client, "Ledger/a/Rejected") == 1
        assert await value(client, "Ledger/a/Reasons") == "bad_mac=1"
        assert await value(client, "Ledger/a/AddsUp") is True
        assert await value(client, "Ledger/opcua/Delivered") == 2
        account.received += 1
        await served.sink.drain()
        assert await value(client, "Ledger/a/AddsUp") is False


async def test_a_verdict_without_anybody_to_blame_is_an_empty_list(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.client() as client:
        served.sink.put(verdict(State.ALARM, second=1))
        served.sink.put(replace(verdict(State.NORMAL, second=2), blamed=()))
        await served.sink.drain()
        assert await value(client, "pump/Verdict/State") == "normal"
        assert await value(client, "pump/Verdict/Blamed") in ([], None)


async def test_what_is_judged_false_is_uncertain_and_its_cause_is_named(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.client() as client:
        waiting = await read(client, "pump/Estimate/a:flow/Trust")
        assert waiting.StatusCode.value == status.BAD_WAITING_FOR_INITIAL_DATA
        served.sink.put(estimate(second=4))
        served.sink.put(verdict(State.ALARM, second=4))
        await served.sink.drain()
        fused = await read(client, "pump/Estimate/a:flow/Fused")
        assert fused.Value == ua.Variant(0.0019, ua.VariantType.Double)
        assert fused.StatusCode.value == status.UNCERTAIN_SUBSTITUTE_VALUE
        assert await value(client, "pump/Estimate/a:flow/FusedDeviation") == 0.00005
        assert await value(client, "pump/Estimate/a:flow/Interval") == [0.0018, 0.002]
        assert await value(client, "pump/Estimate/a:flow/Trust") == 0.125
        for folder in ("Estimate", "Verdict"):
            assert await value(client, f"pump/{folder}/Cause") == "bias"
            assert await value(client, f"pump/{folder}/CauseSignal") == "a:flow"
            assert await value(client, f"pump/{folder}/CauseProbability") == 0.875
            assert await value(client, f"pump/{folder}/Causes") == [
                "bias of a:flow 88%: 10 sigma below the others",
                "process change 12%: all have moved",
            ]
        assert await value(client, "pump/Estimate/Kind") == "level"
        assert await value(client, "pump/Estimate/ModelId") == "00c0ffee"


async def test_a_signal_the_model_cannot_use_is_bad_and_null(tmp_path: Path) -> None:
    record = estimate(second=1)
    useless = replace(
        record.values[0],
        fused=math.nan,
        fused_deviation=math.nan,
        interval=(math.nan, math.nan),
        fused_status=status.BAD_OUT_OF_SERVICE,
    )
    async with serving(tmp_path) as served, served.client() as client:
        served.sink.put(replace(record, values=(useless,)))
        await served.sink.drain()
        for name in ("Fused", "FusedDeviation", "Interval"):
            found = await read(client, f"pump/Estimate/a:flow/{name}")
            assert found.StatusCode.value == status.BAD_OUT_OF_SERVICE
            assert found.Value.Value is None


async def test_a_model_without_measurement_still_says_what_it_expects(tmp_path: Path) -> None:
    record = estimate(second=1)
    missing = replace(record.values[0], value=math.nan, status=status.BAD_NO_DATA)
    async with serving(tmp_path) as served, served.client() as client:
        served.sink.put(replace(record, values=(missing,)))
        await served.sink.drain()
        expected = await read(client, "pump/Estimate/a:flow/Expected")
        assert expected.Value.Value == 0.002
        assert expected.StatusCode.value == status.UNCERTAIN_SUBSTITUTE_VALUE


@dataclass
class Subscriber:
    """Collects data changes of a subscription."""

    changes: asyncio.Queue = field(default_factory=lambda: asyncio.Queue(100))

    def datachange_notification(self, _node, val, data) -> None:
        self.changes.put_nowait((val, data.monitored_item.Value.SourceTimestamp))


async def test_a_subscriber_gets_every_value(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.client() as client:
        served.sink.put(aligned(value=0.0, second=0))
        await served.sink.drain()
        subscriber = Subscriber()
        subscription = await client.create_subscription(20, subscriber)
        await subscription.subscribe_data_change(await node(client, "pump/a:flow"), queuesize=50)
        assert await subscriber.changes.get() == (0.0, utc(START_NS))
        async with background(*served.sink.workers()):
            for second in range(1, 6):
                served.sink.put(aligned(value=second / 1000, second=second))
            got = [await subscriber.changes.get() for _ in range(5)]
        assert got == [(s / 1000, utc(START_NS + s * SECOND_NS)) for s in range(1, 6)]
        await subscription.delete()


class SteppedClock:
    """A clock an operator sets; the manual one refuses to go back."""

    def __init__(self, now_ns: int) -> None:
        self.at_ns = now_ns

    def now_ns(self) -> int:
        return self.at_ns

    async def sleep_until(self, time_ns: int) -> None:
        self.at_ns = max(self.at_ns, time_ns)


async def test_a_clock_set_back_does_not_blind_the_display(tmp_path: Path) -> None:
    clock = SteppedClock(START_NS + 3600 * SECOND_NS)
    async with serving(tmp_path, clock=clock) as served, served.client() as client:
        served.sink.put(aligned(value=0.001, second=3600))
        await served.sink.drain()
        clock.at_ns = START_NS
        served.sink.put(aligned(value=0.002, second=0))
        await served.sink.drain()
        flow = await read(client, "pump/a:flow")
        assert (flow.Value.Value, flow.SourceTimestamp) == (0.002, utc(START_NS))
        clock.at_ns = START_NS + 2 * SECOND_NS
        for number, second in ((3, 2), (4, 1)):
            served.sink.put(aligned(value=number / 1000, second=second))
        await served.sink.drain()
        assert await value(client, "pump/a:flow") == 0.003, "from then on late is late again"
        assert served.ledger.sink_balance("opcua").dropped == {"late": 1}


# --- start and stop ------------------------------------------------------------------------------


async def test_a_taken_port_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"127.0.0.1:{port} is in use.*0 = any"):
            async with serving(tmp_path, port=port):
                pass


def server_tasks() -> list[asyncio.Task]:
    """Return the tasks asyncua's server has made and not ended."""
    return [
        task
        for task in asyncio.all_tasks()
        if "asyncua/server" in task.get_coro().cr_code.co_filename
    ]


async def test_a_stop_ends_the_sessions_of_clients_that_stay(tmp_path: Path) -> None:
    # The library counts for the whole process, servers that other tests have cut off among them.
    before = InternalSession._current_connections
    async with serving(tmp_path) as served:
        client = Client(served.sink.url, timeout=1)
        await client.connect()
        subscription = await client.create_subscription(20, Subscriber())
        await subscription.subscribe_data_change(await node(client, "pump/a:flow"))
        assert server_tasks()
        await served.sink.stop()
        assert [repr(t) for t in server_tasks()] == []
        with contextlib.suppress(ConnectionError, TimeoutError, ua.UaError):
            await client.disconnect()
    assert InternalSession._current_connections == before


async def test_a_fixed_port_is_kept_over_a_restart_and_so_are_node_ids(tmp_path: Path) -> None:
    port = free_port()
    for number in range(2):
        async with serving(tmp_path, port=port) as served, served.client() as client:
            assert served.sink.endpoints() == {"opcua": f"opc.tcp://127.0.0.1:{port}/twinrig/skid"}
            served.sink.put(aligned(value=number / 1000))
            await served.sink.drain()
            assert await value(client, "pump/a:flow") == number / 1000


def test_times_and_units_are_opc_ua_times_and_units() -> None:
    assert utc(0).isoformat() == "1970-01-01T00:00:00+00:00"
    assert utc(1_999 * NS_PER_US + 999).microsecond == 1_999
    celsius = eu_information("Cel")
    assert (celsius.UnitId, celsius.DisplayName.Text) == (4408652, "°C")
    assert celsius.NamespaceUri == "http://www.opcfoundation.org/UA/units/un/cefact"
