"""The broker of a demo: mosquitto where it is installed, amqtt where not, gone afterwards."""

import asyncio
from pathlib import Path

import aiomqtt
import pytest

from hil import broker as brokers
from hil.broker import HOST, Broker, free_port, mosquitto_program
from hil.errors import RigError


async def echo(port: int) -> bytes:
    """Publish a message and receive it."""
    async with aiomqtt.Client(HOST, port) as client:
        await client.subscribe("there/#", qos=1)
        await client.publish("there/and/back", b"again", qos=1)
        async with asyncio.timeout(10):
            async for message in client.messages:
                return bytes(message.payload)
    raise AssertionError("the broker closed the connection")


def test_mosquitto_serves_on_loopback_and_ends(tmp_path: Path) -> None:
    if mosquitto_program() is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")

    async def run() -> None:
        broker = Broker(tmp_path)
        await broker.start()
        try:
            assert broker.kind == "mosquitto"
            assert await echo(broker.port) == b"again"
        finally:
            await broker.stop()
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection(HOST, broker.port)
        await broker.stop()

    asyncio.run(run())


def test_without_mosquitto_amqtt_serves_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "mosquitto_program", lambda: None)

    async def run() -> None:
        broker = Broker(tmp_path)
        await broker.start()
        try:
            assert "mosquitto is not installed" in broker.kind
            assert await echo(broker.port) == b"again"
        finally:
            await broker.stop()

    asyncio.run(run())


def test_a_mosquitto_that_cannot_start_names_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "mosquitto_program", lambda: "/bin/false")
    with pytest.raises(RigError, match=r"mosquitto\.log"):
        asyncio.run(Broker(tmp_path).start())


def test_free_ports_differ_while_they_are_held() -> None:
    assert 1024 <= free_port() <= 65535
