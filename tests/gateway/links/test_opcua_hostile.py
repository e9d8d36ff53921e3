"""The OPC UA link against a server that answers what it should not: a failure, and no more."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from asyncua import Client, ua
from asyncua.client.ua_client import UASocketProtocol
from asyncua.common.utils import Buffer
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from gateway.errors import LinkError
from gateway.links.opcua_client import UNKNOWN_HANDLE
from tests.gateway.links.opcua_plant import Press, make_bench, reading, run_press, way_to

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def press(tmp_path_factory) -> Iterator[Press]:
    yield from run_press(tmp_path_factory.mktemp("press"))


@pytest.fixture
def answers(monkeypatch) -> dict:
    """What becomes of an answer before the library reads it, by the type of the request."""
    changes = {}
    ask = UASocketProtocol.send_request

    async def send_request(self, request, *arguments, **named):
        data = await ask(self, request, *arguments, **named)
        change = changes.get(type(request))
        return data if change is None else Buffer(change(bytes(data)))

    monkeypatch.setattr(UASocketProtocol, "send_request", send_request)
    return changes


async def attempt(link) -> LinkError | None:
    """Connect and disconnect; nothing but a failure of the link may come out of it."""
    try:
        await link.connect()
    except LinkError as error:
        return error
    finally:
        await link.close()
    return None


async def test_endpoints_without_an_address_are_a_failure(
    press: Press, tmp_path: Path, answers
) -> None:
    def without_url(data: bytes) -> bytes:
        response = struct_from_binary(ua.CreateSessionResponse, Buffer(data))
        for endpoint in response.Parameters.ServerEndpoints:
            endpoint.EndpointUrl = None
        return struct_to_binary(response)

    answers[ua.CreateSessionRequest] = without_url
    async with way_to(press) as way:
        error = await attempt(make_bench(tmp_path, way.url).link)
    assert error is not None
    assert error.what.startswith("connecting: ")


@pytest.mark.parametrize("request_type", [ua.CreateSessionRequest, ua.GetEndpointsRequest])
async def test_damaged_answers_while_connecting_are_failures(
    press: Press, tmp_path: Path, answers, request_type: type
) -> None:
    rng = random.Random(1)

    def damaged(data: bytes) -> bytes:
        wrong = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 5, 20))):
            start = rng.randrange(len(wrong))
            wrong[start : start + 4] = rng.choice((b"\xff" * 4, rng.randbytes(4)))
        return bytes(wrong[: len(data)])

    answers[request_type] = damaged
    is_open = request_type is ua.CreateSessionRequest
    async with way_to(press) as way:
        bench = make_bench(tmp_path, way.url, allow_unencrypted=is_open, timeout_ms=500)
        failures = [await attempt(bench.link) for _ in range(120)]
    assert any(failures)


async def test_an_error_that_no_list_has_ends_the_connection_and_is_logged(
    press: Press, tmp_path: Path, monkeypatch, caplog
) -> None:
    async def fail(_client) -> None:
        raise Exception("Unhandled")  # noqa: TRY002 - as the library does

    monkeypatch.setattr(Client, "connect", fail)
    async with way_to(press) as way:
        error = await attempt(make_bench(tmp_path, way.url).link)
    assert "the library failed with Exception('Unhandled')" in str(error)
    (told,) = (record for record in caplog.records if "opcua_library" in record.message)
    assert told.exc_info is not None


async def test_our_own_errors_are_not_taken_for_those_of_the_library(
    press: Press, tmp_path: Path, monkeypatch
) -> None:
    def fail(_trust, _certificate) -> bool:
        raise AttributeError("ours")

    monkeypatch.setattr("gateway.sinks.opcua_identity.TrustList.is_trusted", fail)
    async with way_to(press) as way:
        link = make_bench(tmp_path, way.url, allow_unencrypted=False).link
        with pytest.raises(AttributeError, match="ours"):
            await link.connect()
        await link.close()


async def test_a_subscription_that_takes_fewer_nodes_than_were_asked_for_is_a_failure(
    press: Press, tmp_path: Path, answers
) -> None:
    def none(data: bytes) -> bytes:
        response = struct_from_binary(ua.CreateMonitoredItemsResponse, Buffer(data))
        response.Results = []
        return struct_to_binary(response)

    answers[ua.CreateMonitoredItemsRequest] = none
    async with way_to(press) as way:
        link = make_bench(tmp_path, way.url, mode="subscription").link
        await link.connect()
        with pytest.raises(LinkError, match="took 0 nodes of 1 into the subscription"):
            await link.serve(lambda: None)
        await link.close()


async def test_values_under_a_handle_that_we_never_gave_do_not_end_the_link(
    press: Press, tmp_path: Path, monkeypatch
) -> None:
    tell = MonitoredItemService.datachange_callback
    is_wrong = False

    async def tell_wrongly(self, handle, value, error=None) -> None:
        for item in self._monitored_items.values():
            item.client_handle = 9999 if is_wrong else item.client_handle
        await tell(self, handle, value, error)

    monkeypatch.setattr(MonitoredItemService, "datachange_callback", tell_wrongly)
    press.write(1.0)
    async with way_to(press) as way:
        bench = make_bench(tmp_path, way.url, mode="subscription", period_ms=50)
        async with reading(bench):
            await bench.until(lambda poll: poll.readings)
            is_wrong = True
            press.write(5.0)
            counted = bench.ledger.account("press").line_errors
            await bench.until(lambda poll: poll.readings and counted[UNKNOWN_HANDLE])
    assert bench.supervision.attempts == 1
