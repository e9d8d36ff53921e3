"""Plain MQTT against a real broker: values with stamps, old news, foreign topics, a lost broker."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiomqtt
import pytest

from gateway.clock import NS_PER_MS, NS_PER_S, ManualClock, SystemClock, give_way
from gateway.errors import LinkError
from gateway.links.mqtt_values import MqttValues
from gateway.links.supervisor import LinkState, Supervision, default_backoff, supervise
from gateway.loss import LossLedger
from gateway.records import Polled
from gateway.site import MqttSettings
from gateway.site_mqtt import MqttSource, MqttValue
from tests.gateway.conftest import Broker
from tests.gateway.plant import START_NS, background, free_port


def value(name: str, topic: str, pointer: str = "/v") -> MqttValue:
    return MqttValue(
        name=name, topic=topic, value=pointer, unit="kg", stamp="/t", stamp_format="ms"
    )


SOURCES = (
    MqttSource(name="scale", values=(value("a", "hall/s"), value("b", "hall/s", "/w"))),
    MqttSource(name="oven", delay_max_ms=500, values=(value("c", "hall/o"),)),
)


@dataclass
class Bench:
    link: MqttValues
    ledger: LossLedger
    supervision: Supervision
    polls: asyncio.Queue[Polled]

    def errors(self, source: str) -> dict[str, int]:
        return dict(self.ledger.balance(source).line_errors)


def make_bench(port: int) -> Bench:
    ledger, polls = LossLedger(), asyncio.Queue(1000)
    settings = MqttSettings(port=port)
    clock = ManualClock(START_NS)
    link = MqttValues("skid", SOURCES, settings, clock, ledger, polls.put_nowait)
    return Bench(link, ledger, Supervision("v", default_backoff(random.Random(1))), polls)


def is_accepted(bench: Bench) -> bool:
    return bench.supervision.state in (LinkState.CONNECTED, LinkState.ONLINE)


@asynccontextmanager
async def hearing(bench: Bench) -> AsyncIterator[None]:
    """Keep the link up meanwhile, with pauses of real time."""
    served = supervise(bench.link, bench.supervision, SystemClock(), connect_s=10.0, silence_s=None)
    async with background(served):
        while not is_accepted(bench):
            await give_way()
        yield


async def say(broker: Broker, topic: str, text: str, *, retain: bool = False) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port) as device:
        await device.publish(topic, text, qos=1, retain=retain)


async def test_values_come_with_their_stamp_and_the_stated_longest_way(broker: Broker) -> None:
    bench = make_bench(broker.port)
    async with hearing(bench):
        await say(broker, "hall/s", '{"v": 1.5, "w": 2, "t": 946684800000}')
        scale = await bench.polls.get()
        await say(broker, "hall/o", '{"v": 3, "t": 4102444800000}')
        oven = await bench.polls.get()
    assert [(r.signal, r.value, r.stamp_ns) for r in scale.readings] == [
        ("scale:a", 1.5, 946_684_800 * NS_PER_S), ("scale:b", 2.0, 946_684_800 * NS_PER_S),
    ]  # fmt: skip
    assert (scale.source, scale.link, scale.clock_ns) == ("scale", "mqtt_json", None)
    assert (scale.requested_ns, scale.received_ns) == (START_NS - 2 * NS_PER_S, START_NS)
    assert oven.requested_ns == START_NS - 500 * NS_PER_MS
    assert oven.readings[0].stamp_ns == 4_102_444_800 * NS_PER_S, "the future, as it was stated"


async def test_old_news_and_what_is_no_message_are_counted(broker: Broker) -> None:
    bench = make_bench(broker.port)
    await say(broker, "hall/s", '{"v": 9, "w": 9, "t": 0}', retain=True)
    async with hearing(bench):
        await say(broker, "hall/s", "no json")
        await say(broker, "hall/other", '{"v": 8}')
        await say(broker, "hall/s", '{"v": ' + "1" * 66_000 + "}")
        await say(broker, "hall/s", '{"v": 1, "t": "x"}')
        poll = await bench.polls.get()
    await say(broker, "hall/s", "", retain=True)
    assert [reading.signal for reading in poll.readings] == ["scale:a"]
    assert bench.errors("scale") == {
        "retained": 1, "malformed": 1, "too_long": 1, "stamp_unreadable": 1, "value_missing": 1,
    }  # fmt: skip
    assert bench.polls.empty()


async def test_a_topic_nobody_asked_for_is_counted(broker: Broker) -> None:
    bench = make_bench(broker.port)
    bench.link._take(aiomqtt.Message("hall/x", b"1", 1, False, 1, None))
    assert bench.errors("mqtt") == {"unknown_topic": 1}


@pytest.mark.slow
async def test_what_was_said_while_we_were_away_is_not_measured_now(broker: Broker) -> None:
    bench = make_bench(broker.port)
    async with hearing(bench):
        await say(broker, "hall/o", '{"v": 1, "t": 0}')
        assert (await bench.polls.get()).readings[0].value == 1
        broker.stop()
        while is_accepted(bench):
            await give_way()
        broker.start()
        await say(broker, "hall/o", '{"v": 2, "t": 0}')
        while not is_accepted(bench):
            await give_way()
        await say(broker, "hall/o", '{"v": 3, "t": 0}')
        assert (await bench.polls.get()).readings[0].value == 3


async def test_only_a_message_proves_a_session(broker: Broker) -> None:
    """Else two gateways with one client id would throw each other out without any pause."""
    bench = make_bench(broker.port)
    async with hearing(bench):
        assert bench.supervision.state is LinkState.CONNECTED
        await say(broker, "hall/o", '{"v": 3}')
        await bench.polls.get()
        assert bench.supervision.state is LinkState.ONLINE


async def test_nobody_there_is_an_ordinary_failure() -> None:
    bench = make_bench(free_port())
    with pytest.raises(LinkError, match=r"mqtt over mqtt: 127\.0\.0\.1"):
        await bench.link.connect()
    await bench.link.close()
    await bench.link.close()
