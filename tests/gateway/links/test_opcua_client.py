"""The OPC UA link against a real server: stamps, a wrong clock, a way that fails, certificates."""

import asyncio
import contextlib
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError

from gateway import status
from gateway.clock import NS_PER_MS, SystemClock
from gateway.errors import LinkError
from gateway.links.supervisor import LinkState
from tests.gateway.links.opcua_plant import (
    NAMESPACE,
    PRESSURE,
    Press,
    ServerTime,
    make_bench,
    node,
    now,
    reading,
    run_press,
    way_to,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def press(tmp_path_factory) -> Iterator[Press]:
    yield from run_press(tmp_path_factory.mktemp("press"))


@pytest.fixture(autouse=True)
def server_time(monkeypatch) -> type[ServerTime]:
    monkeypatch.setattr("asyncua.ua.uaprotocol_auto.datetime", ServerTime)
    monkeypatch.setattr(ServerTime, "wrong_by", timedelta(0))
    return ServerTime


def ns(stamp: datetime) -> int:
    return (stamp - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


# --- values and stamps ---------------------------------------------------------------------------


async def test_values_come_with_unit_window_and_the_servers_clock(
    press: Press, tmp_path: Path
) -> None:
    press.write(2.5)
    async with way_to(press) as way, reading(make_bench(tmp_path, way.url)) as bench:
        poll = await bench.until(lambda poll: poll.readings)
        (value,) = poll.readings
        assert (value.signal, value.unit, value.value) == ("press:pressure", "Pa", 2.5)
        assert (poll.source, poll.link, value.status) == ("press", "opcua", status.GOOD)
        assert poll.requested_ns - NS_PER_MS <= poll.clock_ns <= poll.received_ns + NS_PER_MS
        assert poll.clock_resolution_ns == 16 * NS_PER_MS
        assert bench.supervision.state is LinkState.ONLINE


async def test_a_stamp_is_told_as_it_was_stated_and_only_once(press: Press, tmp_path: Path) -> None:
    stamps = [
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(2099, 12, 31, tzinfo=UTC),
        now() + timedelta(days=1),
        datetime(1970, 1, 1, tzinfo=UTC),
    ]
    press.write(0.0)
    async with way_to(press) as way, reading(make_bench(tmp_path, way.url)) as bench:
        first = await bench.polls.get()
        assert first.readings[0].stamp_ns is None, "nobody knows how long it has stood there"
        for count, stamp in enumerate(stamps):
            press.write(float(count), stamp=stamp)
            assert await bench.stamp() == ns(stamp)
            again = await bench.fresh()
            assert (again["pressure"].value, again["pressure"].stamp_ns) == (count, None)
        press.write(9.0, stamp=datetime(9999, 12, 31, tzinfo=UTC))
        assert await bench.stamp() == (1 << 63) - 1
        press.write(10.0, stamp=datetime(1601, 1, 1, tzinfo=UTC))
        await bench.until(lambda poll: poll.readings[0].value == 10.0)
        assert (await bench.fresh())["pressure"].stamp_ns is None


async def test_the_sources_own_status_goes_with_its_value(press: Press, tmp_path: Path) -> None:
    nodes = (
        PRESSURE,
        node("name", f"nsu={NAMESPACE};s=Name"),
        node("row", f"nsu={NAMESPACE};s=Row"),
        node("absent", "ns=1;i=4711"),
        node("elsewhere", "nsu=urn:nobody;i=1"),
    )
    async with way_to(press) as way, reading(make_bench(tmp_path, way.url, *nodes)) as bench:
        press.write(1.5, status=ua.StatusCodes.UncertainSensorNotAccurate)
        found = await bench.fresh()
        assert found["pressure"].value == 1.5
        assert found["pressure"].status == status.UNCERTAIN_SENSOR_NOT_ACCURATE
        for name in ("name", "row"):
            assert math.isnan(found[name].value)
            assert found[name].status == status.BAD_CONFIGURATION_ERROR
        assert found["absent"].status == ua.StatusCodes.BadNodeIdUnknown
        assert "elsewhere" not in found
        press.write(1.5, status=ua.StatusCodes.BadSensorFailure)
        failed = (await bench.fresh())["pressure"]
        assert (math.isnan(failed.value), failed.status) == (True, status.BAD_SENSOR_FAILURE)
        assert bench.ledger.account("press").line_errors["node_failed"] > 0


async def test_more_nodes_than_a_server_takes_at_once_are_read_in_parts(
    press: Press, tmp_path: Path
) -> None:
    nodes = [node(f"n{i}", f"nsu={NAMESPACE};s=Pressure") for i in range(450)]
    press.write(3.0)
    async with way_to(press) as way, reading(make_bench(tmp_path, way.url, *nodes)) as bench:
        polls = [await bench.polls.get() for _ in range(2)]
    assert [len({r.signal for r in poll.readings}) for poll in polls] == [450, 450], "one a period"
    assert {reading.value for poll in polls for reading in poll.readings} == {3.0}
    assert all(first.received_ns <= then.requested_ns for first, then in pairwise(polls))
    assert all(poll.requested_ns < poll.clock_ns < poll.received_ns for poll in polls)


# --- the server's clock --------------------------------------------------------------------------


async def test_a_server_at_the_year_2000_and_one_that_steps_are_told_as_they_are(
    press: Press, tmp_path: Path, server_time
) -> None:
    async with way_to(press) as way, reading(make_bench(tmp_path, way.url)) as bench:
        for wrong_by in (
            datetime(2000, 1, 1, tzinfo=UTC) - now(),
            timedelta(hours=2),
            timedelta(0),
            timedelta(days=40_000),
        ):
            server_time.wrong_by = wrong_by
            asked_ns = SystemClock().now_ns()
            poll = await bench.until(lambda poll, since=asked_ns: poll.requested_ns >= since)
            wrong_ns = wrong_by // timedelta(microseconds=1) * 1000
            assert poll.clock_ns - wrong_ns >= poll.requested_ns - NS_PER_MS
            assert poll.clock_ns - wrong_ns <= poll.received_ns + NS_PER_MS


# --- a way that fails ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["poll", "subscription"])
async def test_a_server_that_dies_is_found_again(press: Press, tmp_path: Path, mode: str) -> None:
    async with way_to(press) as way, reading(make_bench(tmp_path, way.url, mode=mode)) as bench:
        await bench.until(lambda poll: poll.readings)
        await way.cut()
        cut_ns = SystemClock().now_ns()
        await way.begin()
        await bench.until(lambda poll: poll.readings and poll.requested_ns > cut_ns)
        assert (way.connections, bench.supervision.attempts) == (2, 2)


@pytest.mark.parametrize("mode", ["poll", "subscription"])
async def test_a_half_open_way_is_given_up_after_a_deadline(
    press: Press, tmp_path: Path, mode: str
) -> None:
    async with way_to(press) as way:
        link = make_bench(tmp_path, way.url, mode=mode, timeout_ms=500).link
        await link.connect()
        try:
            with pytest.raises(LinkError, match="reading: no answer"):
                await link.serve(way.is_open.clear)
        finally:
            await link.close()


async def test_a_machine_that_takes_connections_and_says_nothing_is_no_server(
    press: Press, tmp_path: Path
) -> None:
    async with way_to(press) as way:
        way.is_open.clear()
        link = make_bench(tmp_path, way.url, timeout_ms=50).link
        with pytest.raises(LinkError, match="press over opcua: connecting: no answer"):
            await link.connect()
        await link.close()


async def test_a_server_that_never_ends_its_answer_is_cut_off(tmp_path: Path) -> None:
    """It claims a chunk of 4 GB in place of an acknowledgement, and sends it."""
    sent = asyncio.get_running_loop().create_future()

    async def pour(reader, writer) -> None:
        await reader.read(1000)
        count = 0
        with contextlib.suppress(OSError):
            writer.write(b"ACKF" + b"\xff" * 4)
            while not writer.is_closing():
                writer.write(bytes(65536))
                await writer.drain()
                count += 65536
        sent.set_result(count)
        writer.transport.abort()

    async with await asyncio.start_server(pour, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        link = make_bench(tmp_path, f"opc.tcp://127.0.0.1:{port}").link
        with pytest.raises(LinkError, match="press over opcua: connecting"):
            await link.connect()
        await link.close()
        assert await sent < 20_000_000, "what was taken, and what sockets hold"


# --- subscriptions -------------------------------------------------------------------------------


async def test_a_subscription_tells_changes_and_repeats_what_stands(
    press: Press, tmp_path: Path
) -> None:
    press.write(1.0)
    changes = {"mode": "subscription", "period_ms": 50}
    async with way_to(press) as way, reading(make_bench(tmp_path, way.url, **changes)) as bench:
        await bench.until(lambda poll: poll.readings and poll.readings[0].value == 1.0)
        asked_ns = SystemClock().now_ns()
        stamp = now()
        press.write(7.0, stamp=stamp)
        changed = await bench.until(lambda poll: poll.readings and poll.readings[0].value == 7.0)
        assert changed.readings[0].stamp_ns == ns(stamp)
        assert changed.requested_ns <= asked_ns + NS_PER_MS
        assert asked_ns <= changed.received_ns
        standing = await bench.until(lambda poll: poll.readings)
        assert (standing.readings[0].value, standing.readings[0].stamp_ns) == (7.0, None)
        assert standing.requested_ns > changed.requested_ns
        clock = await bench.until(lambda poll: poll.clock_ns is not None)
        assert clock.readings == ()
        assert clock.requested_ns - NS_PER_MS <= clock.clock_ns <= clock.received_ns + NS_PER_MS


async def test_what_a_subscription_delivers_is_in_the_order_in_which_it_came(
    press: Press, tmp_path: Path
) -> None:
    changes = {"mode": "subscription", "period_ms": 10}
    async with way_to(press) as way, reading(make_bench(tmp_path, way.url, **changes)) as bench:
        polls = [await bench.polls.get() for _ in range(40)]
    assert all(first.received_ns <= then.received_ns for first, then in pairwise(polls))
    assert {bool(poll.readings) for poll in polls} == {True, False}


async def test_a_subscription_that_has_ended_is_made_anew(press: Press, tmp_path: Path) -> None:
    changes = {"mode": "subscription", "timeout_ms": 500}
    async with way_to(press) as way, reading(make_bench(tmp_path, way.url, **changes)) as bench:
        await bench.until(lambda poll: poll.readings)
        client = bench.link._session.client.uaclient
        await client.delete_subscriptions(list(client.session._subscription_callbacks))
        ended_ns = SystemClock().now_ns()
        poll = await bench.until(lambda poll: poll.readings and poll.requested_ns > ended_ns)
        assert poll.readings[0].signal == "press:pressure"
        assert bench.supervision.attempts == 2


# --- certificates --------------------------------------------------------------------------------


async def test_a_server_is_believed_when_its_very_certificate_is_trusted(
    press: Press, tmp_path: Path
) -> None:
    async with way_to(press) as way:
        bench = make_bench(tmp_path, way.url, allow_unencrypted=False)
        with pytest.raises(LinkError, match=r"not trusted.*rejected.*trusted"):
            await bench.link.connect()
        await bench.link.close()
        (unknown,) = (tmp_path / "press" / "rejected").iterdir()
        (tmp_path / "press" / "trusted").mkdir()
        unknown.rename(tmp_path / "press" / "trusted" / unknown.name)
        async with reading(bench):
            found = await bench.fresh()
        assert found["pressure"].unit == "Pa"


async def test_a_policy_that_the_server_does_not_offer_is_named(
    press: Press, tmp_path: Path
) -> None:
    changes = {"allow_unencrypted": False, "policy": "Aes256_Sha256_RsaPss"}
    async with way_to(press) as way:
        link = make_bench(tmp_path, way.url, **changes).link
        with pytest.raises(LinkError, match=r"no endpoint with Aes256_Sha256_RsaPss.*Basic256Sha2"):
            await link.connect()
        await link.close()


async def test_a_refusal_because_of_the_clocks_says_by_how_much_they_disagree(
    press: Press, tmp_path: Path, server_time
) -> None:
    async def refuse(*_arguments) -> None:
        raise ServiceError(ua.StatusCodes.BadCertificateTimeInvalid)

    server_time.wrong_by = timedelta(hours=-2)
    press.server.set_certificate_validator(refuse)
    try:
        async with way_to(press) as way:
            bench = make_bench(tmp_path, way.url, allow_unencrypted=False)
            certificate = press.certificate()
            (tmp_path / "press" / "trusted").mkdir(parents=True)
            (tmp_path / "press" / "trusted" / "press.der").write_bytes(certificate)
            with pytest.raises(LinkError, match=r"BadCertificateTimeInvalid.*720.* s behind ours"):
                await bench.link.connect()
            await bench.link.close()
    finally:
        press.server.iserver.certificate_validator = None
