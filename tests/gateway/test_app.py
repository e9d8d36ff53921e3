"""The whole gateway: frames in, records out on every sink; starts, stops and failures."""

import asyncio
import os
import random
import sqlite3
import struct
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiomqtt
import pytest
from asyncua import Client, ua

from gateway import status
from gateway.app import Gateway
from gateway.clock import ManualClock, SystemClock, give_way
from gateway.errors import InternalError, KeyFileError, PortInUseError
from gateway.records import Aligned, Estimate, Polled, Provenance, Reading, Rejected, Verified
from gateway.sinks.sparkplug_payload import decode
from gateway.sinks.store import StoreSink
from gateway.site import Site
from gateway.state import load_marks
from tests.gateway.conftest import Broker
from tests.gateway.links.test_modbus import Plc, serving
from tests.gateway.models import healthy
from tests.gateway.nodes import FakeNode
from tests.gateway.plant import SECOND_NS, SITE, START_NS, background, free_port, make_site
from wire.framing import Deframer, frame

KEY = bytes(range(32))
SOUTH = SITE.partition("[opcua]")[0]
"""The site without sinks: starts at once."""


def make_node(**changes) -> FakeNode:
    return FakeNode(**({"name": "a", "key": KEY, "boot_ns": START_NS - 5 * SECOND_NS} | changes))


@asynccontextmanager
async def started(site: Site, folder: Path, clock=None) -> AsyncIterator[Gateway]:
    gateway = Gateway(site, clock or ManualClock(START_NS), folder / "state", keys={"a": KEY})
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


def aligned_of(records) -> dict[str, Aligned]:
    return {record.signal: record for record in records if isinstance(record, Aligned)}


# --- virtual time --------------------------------------------------------------------------------


async def test_a_frame_becomes_values_and_a_forged_one_does_not(tmp_path: Path) -> None:
    node = make_node()
    async with started(make_site(tmp_path, SOUTH), tmp_path) as gateway:
        good = node.readings(START_NS, ("flow", "m3/s", 0.001), ("temperature", "Cel", 21.5))
        records = gateway.receive(good, START_NS)
        assert isinstance(records[0], Verified)
        values = aligned_of(records)
        assert {name: value.value for name, value in values.items()} == {
            "a:flow": pytest.approx(0.001),
            "a:temperature": 21.5,
        }
        assert values["a:flow"].provenance is Provenance.SEALED
        forged = make_node(key=bytes(32)).readings(START_NS, ("flow", "m3/s", 9.0))
        (rejected,) = gateway.receive(forged, START_NS)
        assert isinstance(rejected, Rejected)
        balance = gateway.ledger.balance("a")
        assert (balance.received, balance.verified, balance.rejected) == (2, 1, {"bad_mac": 1})
        assert gateway.ledger.adds_up()


async def test_a_value_in_another_unit_than_the_site_states_goes_no_further(
    tmp_path: Path,
) -> None:
    async with started(make_site(tmp_path, SOUTH), tmp_path) as gateway:
        frame_in_litres = make_node().readings(START_NS, ("flow", "l/s", 1.0))
        (rejected,) = gateway.receive(frame_in_litres, START_NS)
        assert rejected.reason == "wrong_unit"


async def test_probes_bound_the_clock_of_a_node(tmp_path: Path) -> None:
    node, clock = make_node(), ManualClock(START_NS)
    async with started(make_site(tmp_path, SOUTH), tmp_path, clock) as gateway:
        ((name, probe),) = gateway.downlink(START_NS)
        assert name == "a"
        assert gateway.downlink(START_NS + 1) == [], "not due again"
        delay_ns = 2_000_000
        clock.advance_to(START_NS + delay_ns)
        answer = node.answer(probe, START_NS + delay_ns // 2)
        gateway.receive(answer, START_NS + delay_ns)
        later_ns = START_NS + SECOND_NS
        values = aligned_of(
            gateway.receive(node.readings(later_ns, ("flow", "m3/s", 0.001)), later_ns)
        )
        flow = values["a:flow"]
        true_ns = later_ns - SECOND_NS // 2
        assert abs(flow.time_ns - true_ns) <= flow.bound_ns
        assert flow.bound_ns < 5_000_000
        assert flow.status == 0


async def test_commands_are_never_sealed_twice_with_the_same_number(tmp_path: Path) -> None:
    site, node, seen = make_site(tmp_path, SOUTH), make_node(), set()
    first = START_NS // SECOND_NS
    for start in (first, first + 1, first + 2):
        clock = ManualClock(START_NS)
        async with started(site, tmp_path, clock) as gateway:
            for number in range(3):
                now_ns = START_NS + number * 60 * SECOND_NS
                for _, message in gateway.downlink(now_ns):
                    header, _ = node.open_command(message)
                    assert header.boot_id == start
                    assert header.tick_us == number * 60_000_000
                    assert (header.boot_id, header.sequence) not in seen
                    seen.add((header.boot_id, header.sequence))
    assert len(seen) >= 9


async def test_a_restart_does_not_accept_old_frames_again(tmp_path: Path) -> None:
    site, node = make_site(tmp_path, SOUTH), make_node(boot_id=7)
    frames = [node.readings(START_NS, ("flow", "m3/s", 0.001)) for _ in range(3)]
    async with started(site, tmp_path) as gateway:
        assert isinstance(gateway.receive(frames[0], START_NS)[0], Verified)
        assert isinstance(gateway.receive(frames[2], START_NS)[0], Verified)
    async with started(site, tmp_path) as gateway:
        kinds = [type(gateway.receive(frame, START_NS)[0]) for frame in frames]
        assert kinds == [Rejected, Verified, Rejected]
        old = make_node(boot_id=6).readings(START_NS, ("flow", "m3/s", 0.001))
        (rejected,) = gateway.receive(old, START_NS)
        assert rejected.reason == "stale_boot"


def estimates_of(gateway: Gateway, node: FakeNode, seconds: range) -> list[Estimate]:
    """Feed a healthy row each second and return the estimates."""
    made: list[Estimate] = []
    for second, (flow, temperature) in zip(
        seconds, healthy.rows(seconds.stop)[seconds.start :, :2], strict=True
    ):
        now_ns = START_NS + second * SECOND_NS
        sealed = node.readings(now_ns, ("flow", "m3/s", flow), ("temperature", "Cel", temperature))
        made += [each for each in gateway.receive(sealed, now_ns) if isinstance(each, Estimate)]
    return made


@pytest.mark.slow
async def test_a_restart_goes_on_with_the_model_and_does_not_train_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = SOUTH.replace('key_file = "a.key"', 'key_file = "a.key"\nreceipts = false')
    site = make_site(tmp_path, text + "[fuse]\ntraining_rows = 200\n")
    with caplog.at_level("INFO"):
        async with started(site, tmp_path) as gateway:
            before = estimates_of(gateway, make_node(boot_id=7), range(220))
        async with started(site, tmp_path) as gateway:
            after = estimates_of(gateway, make_node(boot_id=8), range(220, 240))
    assert [estimate.is_trained for estimate in before].count(False) == 200
    assert len(after) > 10
    assert all(estimate.is_trained for estimate in after)
    assert {estimate.model_id for estimate in after} == {before[-1].model_id}
    assert caplog.text.count("model_learnt asset=pump rows=200") == 1
    assert caplog.text.count("model_loaded asset=pump") == 1


async def test_a_value_that_stays_away_is_shown_as_uncertain(tmp_path: Path) -> None:
    async with started(make_site(tmp_path, SOUTH), tmp_path) as gateway:
        gateway.receive(make_node().readings(START_NS, ("flow", "m3/s", 0.001)), START_NS)
        assert aligned_of(gateway.tick(START_NS + 5 * SECOND_NS)) == {}
        (repeat,) = aligned_of(gateway.tick(START_NS + 6 * SECOND_NS)).values()
        assert (repeat.signal, repeat.value) == ("a:flow", pytest.approx(0.001))
        assert repeat.status == status.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE


async def test_modbus_is_polled_on_its_grid_and_says_that_nothing_vouches_for_it(
    tmp_path: Path,
) -> None:
    clock = ManualClock(START_NS)
    async with serving(Plc(free_port())) as plc:
        plc.holding[:2] = struct.unpack(">HH", struct.pack(">f", 0.002))
        site = make_site(tmp_path, SOUTH).at_ports({"plc": plc.port})
        async with started(site, tmp_path, clock) as gateway:
            values = aligned_of(await gateway.poll_modbus(START_NS))
            setpoint = values["plc:setpoint"]
            assert setpoint.value == pytest.approx(0.002)
            assert setpoint.provenance is Provenance.UNAUTHENTICATED
            assert await gateway.poll_modbus(START_NS + SECOND_NS // 2) == []
            clock.advance_to(START_NS + SECOND_NS)
            assert aligned_of(await gateway.poll_modbus(clock.now_ns()))
            assert len(plc.requests) == 2


async def test_an_absent_device_is_counted_and_disturbs_nobody(tmp_path: Path) -> None:
    site = make_site(tmp_path, SOUTH).at_ports({"plc": free_port()})
    async with started(site, tmp_path) as gateway:
        assert await gateway.poll_modbus(START_NS) == []
        assert gateway.ledger.balance("plc").line_errors == {"poll_failed": 1}
        node = make_node()
        assert gateway.receive(node.readings(START_NS, ("flow", "m3/s", 0.001)), START_NS)


async def test_a_device_cannot_speak_for_a_node(tmp_path: Path) -> None:
    claim = Polled(
        source="a",
        link="modbus",
        readings=(Reading(signal="a:flow", unit="m3/s", value=9.0, tick_us=None),),
        requested_ns=START_NS,
        received_ns=START_NS,
    )
    async with started(make_site(tmp_path, SOUTH), tmp_path) as gateway:
        (rejected,) = gateway.receive(claim, START_NS)
        assert isinstance(rejected, Rejected)


# --- with every sink -----------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_value_arrives_everywhere(broker: Broker, tmp_path: Path) -> None:
    text, node = SITE.replace("[store]", "[store]\nframes = true"), make_node()
    site = make_site(tmp_path, text).at_ports({"sparkplug": broker.port})
    async with aiomqtt.Client("127.0.0.1", broker.port) as host:
        await host.subscribe("spBv1.0/g/DDATA/#")
        async with started(site, tmp_path) as gateway:
            received = node.readings(START_NS, ("flow", "m3/s", 0.001))
            gateway.receive(received, START_NS)
            await gateway.drain()
            ends = gateway.endpoints()
            assert set(ends) == {"store", "opcua", "sparkplug", "sparkplug_topics"}
            async with Client(ends["opcua"]) as client:
                index = await client.get_namespace_index("urn:twinrig:skid")
                flow = client.get_node(ua.NodeId("pump/a:flow", index))
                shown = await flow.read_data_value(raise_on_bad_status=False)
            message = await anext(aiter(host.messages))
            (metric,) = decode(message.payload).metrics
            with closing(sqlite3.connect(ends["store"])) as database:
                stored = database.execute("SELECT value, time_ns FROM aligned").fetchall()
                assert database.execute("SELECT frame FROM frames").fetchall() == [(received.data,)]
        assert shown.Value.Value == metric.value == stored[0][0] == pytest.approx(0.001)
        assert metric.timestamp_ms == stored[0][1] // 1_000_000
        assert gateway.ledger.adds_up()
        assert [row.queued for row in gateway.ledger.sink_rows()] == [0, 0, 0]


@pytest.mark.slow
async def test_a_start_that_fails_closes_what_was_open(tmp_path: Path) -> None:
    port = free_port()
    text = SITE.replace("port = 0", f"port = {port}").replace("[sparkplug]", "[sparkplug]\nport=1")
    site = make_site(tmp_path, text)
    blocker = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    async with blocker:
        gateway = Gateway(site, ManualClock(START_NS), tmp_path / "state", keys={"a": KEY})
        with pytest.raises(PortInUseError):
            await gateway.start()
        assert gateway.endpoints() == {}
        await gateway.stop()
        with pytest.raises(InternalError, match="await start"):
            gateway.receive(make_node().readings(START_NS, ("flow", "m3/s", 1.0)), START_NS)
    # Nothing holds the store or the port: the same object starts when the port is free.
    await gateway.start()
    await gateway.stop()


async def test_a_host_name_that_is_none_is_counted_like_an_absent_device(tmp_path: Path) -> None:
    site = make_site(tmp_path, SOUTH)
    device = site.modbus[0].model_copy(update={"host": "plc..local"})
    async with started(site.model_copy(update={"modbus": (device,)}), tmp_path) as gateway:
        assert await gateway.poll_modbus(START_NS) == []
        assert gateway.ledger.balance("plc").line_errors == {"poll_failed": 1}


async def test_a_stop_releases_everything_even_when_draining_fails(
    tmp_path: Path, monkeypatch
) -> None:
    site = make_site(tmp_path, SOUTH + "[store]\n")
    gateway = Gateway(site, ManualClock(START_NS), tmp_path / "state", keys={"a": KEY})
    await gateway.start()
    gateway.receive(make_node().readings(START_NS, ("flow", "m3/s", 1.0)), START_NS)

    async def failing(_sink: StoreSink) -> None:
        raise InternalError("no drain today")

    monkeypatch.setattr(StoreSink, "drain", failing)
    with pytest.raises(InternalError, match="no drain today"):
        await gateway.stop()
    assert gateway.endpoints() == {}
    assert not (tmp_path / "state" / "store.sqlite3-wal").exists(), "the database is closed"
    assert load_marks(tmp_path / "state") == [], "what was not stored may come again"
    with pytest.raises(InternalError, match="await start"):
        gateway.tick(START_NS)
    monkeypatch.undo()
    await gateway.start()
    await gateway.stop()


async def test_key_files_of_the_site_are_read_when_no_keys_are_given(tmp_path: Path) -> None:
    site = make_site(tmp_path, SOUTH)
    gateway = Gateway(site, ManualClock(START_NS), tmp_path / "state")
    with pytest.raises(KeyFileError, match=r"node a cannot be opened|secret of node a"):
        await gateway.start()
    key_file = tmp_path / "a.key"
    key_file.write_text(KEY.hex())
    key_file.chmod(0o600)
    await gateway.start()
    node = make_node()
    assert isinstance(
        gateway.receive(node.readings(START_NS, ("flow", "m3/s", 1.0)), START_NS)[0], Verified
    )
    await gateway.stop()


# --- wall time -----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_run_serves_a_real_line_and_a_real_device(tmp_path: Path) -> None:
    node_end, gateway_end = os.openpty()
    tty.setraw(gateway_end)
    clock = SystemClock()
    text = SOUTH.replace('link = "rig"', f'link = "serial"\nport = "{os.ttyname(gateway_end)}"')
    async with serving(Plc(free_port())) as plc:
        site = make_site(tmp_path, text).at_ports({"plc": plc.port})
        async with started(site, tmp_path, clock) as gateway:
            node = make_node(boot_ns=clock.now_ns() - SECOND_NS)
            async with background(gateway.run()):
                probe = await _from_line(node_end)
                os.write(node_end, frame(node.answer(probe, clock.now_ns()).data))
                reading = node.readings(clock.now_ns(), ("flow", "m3/s", 0.001))
                os.write(node_end, b"noise\0" + frame(reading.data))
                while any(
                    gateway.ledger.balance(n).verified < k for n, k in (("a", 2), ("plc", 1))
                ):
                    await give_way()
            state = gateway._pipeline.sync.clocks(clock.now_ns())[0]
            assert state.answers == 1
            assert gateway.ledger.balance("a").line_errors
            assert gateway.ledger.adds_up()
    os.close(node_end)
    os.close(gateway_end)


async def _from_line(descriptor: int) -> bytes:
    """Return the next frame the gateway sends, delimiter included."""
    loop, deframer = asyncio.get_running_loop(), Deframer()
    arrived: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        for message, reason in deframer.feed(os.read(descriptor, 4096)):
            if reason is None and not arrived.done():
                arrived.set_result(frame(message))

    loop.add_reader(descriptor, read)
    try:
        return await arrived
    finally:
        loop.remove_reader(descriptor)


def test_jitter_is_seeded(tmp_path: Path) -> None:
    site = make_site(tmp_path, SOUTH)
    gateways = [Gateway(site, ManualClock(), tmp_path, seed=seed) for seed in (1, 1, 2)]
    draws = [gateway._rng.random() for gateway in gateways]
    assert draws[0] == draws[1] == random.Random(1).random() != draws[2]
