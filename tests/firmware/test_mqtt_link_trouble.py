"""The node's MQTT link without a broker: what it waits for, and what it does with nonsense."""

import errno
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.errors import ConfigError
from firmware.mqtt_client import make_client, reason
from firmware.mqtt_link import (
    PAUSE_US_MAX,
    PAUSE_US_MIN,
    SILENCE_US,
    STALL_US,
    STEADY_US,
    WAIT_US,
    MqttLink,
)
from firmware.mqtt_stream import PACKET_BYTES_MAX, MqttStream
from firmware.mqtt_tls import certificates
from tests.firmware.fake_hal import FakeHal
from tests.firmware.mqtt_bench import IDENTITY, umqtt

__all__ = ["umqtt"]
pytestmark = pytest.mark.usefixtures("umqtt")
SETTINGS = {"host": "broker.plant", "port": 1883, "allow_unencrypted": True}
PIECES = st.lists(st.binary(max_size=300), max_size=12)


class Hal(FakeHal):
    """A board with Wi-Fi, where looking at the clock takes `look_us`."""

    def __init__(self) -> None:
        super().__init__({}, {})
        self.look_us = 0
        self.asked: list[dict[str, Any]] = []
        self.answers: Iterator[OSError | None] = iter(())

    def ticks_us(self) -> int:
        self.now_us += self.look_us
        return self.now_us

    def network(self, wanted: dict[str, Any]) -> None:
        self.asked.append(wanted)
        answer = next(self.answers)
        if answer is not None:
            raise answer


class Wire:
    """A socket as MicroPython has it: None for what would have to wait."""

    def __init__(self, *pieces: bytes | None, room: int = 1 << 20) -> None:
        self.pieces = list(pieces)
        self.room = room
        self.sent = b""
        self.offered: list[int] = []

    def read(self, count: int) -> bytes | None:
        if not self.pieces:
            return None
        piece = self.pieces.pop(0)
        if piece is not None and len(piece) > count:
            self.pieces.insert(0, piece[count:])
            piece = piece[:count]
        return piece

    def write(self, data: memoryview) -> int | None:
        self.offered.append(len(data))
        taken = min(self.room, len(data))
        if not taken:
            return None
        self.room -= taken
        self.sent += bytes(data[:taken])
        return taken

    def close(self) -> None:
        pass


def connected(wire: Wire) -> MqttLink:
    """A link that has just come up over `wire`."""
    link = MqttLink(Hal(), SETTINGS, IDENTITY)
    link._stream._stream = wire
    link._client = make_client(link._mqtt, link._stream, (b"pump-a", "broker.plant", 1883))
    link._client.sock = link._stream
    link._client.set_callback(link._take)
    link._limit_us = STEADY_US
    link._ping_us = SILENCE_US // 3
    link.state = "up"
    return link


def packet(payload: bytes, topic: bytes = b"twinrig/pump-a/down", kind: int = 0x30) -> bytes:
    """A PUBLISH with a length of four bytes, as the standard allows."""
    body = len(topic).to_bytes(2, "big") + topic + payload
    length = bytes([len(body) >> 7 * index & 0x7F | (index < 3) << 7 for index in range(4)])
    return bytes([kind]) + length + body


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"host": ""}, "link.host"),
        ({"host": None}, "link.host"),
        ({"port": 0}, "link.port"),
        ({"port": "1883"}, "link.port"),
        ({"allow_unencrypted": False}, "link.tls_ca is missing"),
        ({"allow_unencrypted": 1}, "link.tls_ca is missing"),
    ],
)
def test_what_cannot_be_a_connection_is_refused_at_the_start(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        MqttLink(Hal(), {**SETTINGS, **changes}, IDENTITY)


def test_a_board_without_wifi_is_told_so() -> None:
    with pytest.raises(ConfigError, match="no Wi-Fi"):
        MqttLink(FakeHal({}, {}), {**SETTINGS, "wifi": {"ssid": "plant"}}, IDENTITY)


def test_pauses_double_up_to_a_bound_and_differ_from_node_to_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times: list[int] = []
    hal = Hal()

    def refuse(_stream: MqttStream, _host: str, _port: int) -> None:
        times.append(hal.now_us)
        raise OSError(errno.ECONNREFUSED)

    monkeypatch.setattr(MqttStream, "open", refuse)
    link = MqttLink(hal, SETTINGS, IDENTITY)
    while len(times) < 12:
        link.service(hal.now_us)
        hal.now_us += 20_000
    pauses = [(after - before) / 1e6 for before, after in itertools.pairwise(times)]
    spread = 1 + link._spread / 1024
    assert pauses == pytest.approx([min(2**k, 120) * spread for k in range(11)], abs=0.03)
    assert (PAUSE_US_MIN, PAUSE_US_MAX) == (1_000_000, 120_000_000)
    assert link.state.startswith("down: ")


def test_only_a_connection_that_stands_makes_pauses_small_again() -> None:
    link = connected(Wire())
    link._pause_us = PAUSE_US_MAX
    link.service(STEADY_US - 1)
    assert link._pause_us == PAUSE_US_MAX
    link.service(STEADY_US)
    assert link._pause_us == PAUSE_US_MIN


def test_wifi_is_joined_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, int]] = []
    monkeypatch.setattr(MqttStream, "open", lambda _stream, host, port: opened.append((host, port)))
    hal = Hal()
    hal.answers = iter([OSError(errno.ETIMEDOUT), OSError(errno.ETIMEDOUT), None])
    link = MqttLink(hal, {**SETTINGS, "wifi": {"ssid": "plant"}}, IDENTITY)
    for now_us in (0, 500_000, 1_000_000, 1_999_999):
        link.service(now_us)
        assert link.state == "down: joining the Wi-Fi network"
    link.service(2_000_000)
    assert hal.asked == [{"ssid": "plant", "timeout_s": 0}] * 3
    assert opened == [("broker.plant", 1883)]


def test_a_call_that_nobody_takes_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MqttStream, "open", lambda *_arguments: None)
    monkeypatch.setattr(MqttStream, "is_open", lambda _stream: False)
    link = MqttLink(Hal(), SETTINGS, IDENTITY)
    link.service(0)
    link.service(WAIT_US - 1)
    assert link._step == link._await_answer
    link.service(WAIT_US)
    assert link._step == link._join
    assert str(errno.ETIMEDOUT) in link.state


def test_a_greeting_that_nobody_answers_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.mqtt_stream._poll", lambda *_arguments: [])
    hal = Hal()
    link = MqttLink(hal, SETTINGS, IDENTITY)
    link._stream._stream = Wire()
    link._step = link._greet
    hal.look_us = 50_000
    link.service(0)
    assert link.state.startswith("down: ")
    assert WAIT_US <= hal.now_us < WAIT_US + 20 * hal.look_us


def test_a_broker_that_drips_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()

    def poll(*_arguments: object) -> list[object]:
        wire.pieces.append(b"\x30")
        return []

    monkeypatch.setattr("firmware.mqtt_stream._poll", poll)
    hal = Hal()
    hal.look_us = 50_000
    link = MqttLink(hal, SETTINGS, IDENTITY)
    link._stream._stream = wire
    link._client = make_client(link._mqtt, link._stream, (b"pump-a", "broker.plant", 1883))
    link._client.sock = link._stream
    link._client.set_callback(link._take)
    link._step = link._subscribe
    link.service(0)
    assert link.state.startswith("down: ")
    assert hal.now_us < WAIT_US + 20 * hal.look_us


def test_a_broker_that_says_nothing_or_takes_nothing_is_left() -> None:
    silent = connected(Wire())
    for now_us in (SILENCE_US // 3, SILENCE_US):
        silent.service(now_us)
    assert silent._stream._stream.sent == b"\xc0\x00" * 2
    silent.service(SILENCE_US + 1)
    assert silent.state.startswith("down: ")
    deaf = connected(Wire(room=5))
    assert deaf.has_room()
    assert deaf.send(b"first")
    assert not deaf.send(b"second")
    deaf.service(STALL_US)
    assert deaf.state == "up"
    deaf.service(STALL_US + 1)
    assert deaf.state.startswith("down: ")
    assert not deaf.has_room()


def test_what_tls_could_not_send_is_offered_again_in_the_same_length() -> None:
    stream = MqttStream(lambda: 0)
    wire = stream._stream = Wire(room=0)
    stream.write(b"abc")
    assert not stream.flush()
    stream.write(b"defg")
    assert not stream.flush()
    wire.room = 100
    assert stream.flush()
    assert wire.offered == [3, 3, 3, 4]
    assert wire.sent == b"abcdefg"


def test_messages_are_taken_from_their_topic_only_and_not_too_many_at_once() -> None:
    link = connected(
        Wire(packet(b"one"), packet(b"two", b"twinrig/pump-b/down"), b"\xd0\x00", packet(b"3"))
    )
    assert link.receive() == [b"one", b"3"]
    assert link.dropped == 1
    busy = connected(Wire(*[packet(b"%d" % index) for index in range(6)]))
    assert busy.receive() == [b"0", b"1", b"2", b"3"]
    assert busy.receive() == [b"4", b"5"]


def test_a_packet_that_umqtt_does_not_read_does_not_shift_the_next() -> None:
    link = connected(Wire(b"\x40\x02\x00\x07", b"\x90\x03\x00\x01\x00", packet(b"after")))
    assert link.receive() == [b"after"]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x30\xff\xff\xff\xff\x01",
        b"\x30\x02\xff\xff",
        b"\x30\x00",
        b"\x36" + packet(b"")[1:],
        b"\xd0\x01\x00",
    ],
    ids=["length", "topic", "empty", "quality of service", "ping"],
)
def test_what_is_not_mqtt_ends_the_connection(nonsense: bytes) -> None:
    link = connected(Wire(nonsense, packet(b"after")))
    assert link.receive() == []
    assert link.state.startswith("down: ")


def test_the_end_of_the_stream_is_seen_after_its_last_words() -> None:
    link = connected(Wire(packet(b"last"), b""))
    assert link.receive() == [b"last"]
    link._stream._stream.pieces.append(b"")
    assert link.receive() == []
    assert link.state.startswith("down: ")


@settings(derandomize=True, deadline=None, max_examples=150)
@given(PIECES)
def test_no_bytes_at_all_do_more_than_end_the_connection(pieces: list[bytes]) -> None:
    link = connected(Wire(*pieces))
    for _ in range(20):
        for message in link.receive():
            assert isinstance(message, bytes)
        assert link._stream.left() <= PACKET_BYTES_MAX
    assert len(link._stream._input) == PACKET_BYTES_MAX
    assert link.state == "up" or link.state.startswith("down: ")


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=2500), max_size=5), st.data())
def test_messages_come_whole_however_they_are_cut(
    payloads: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join([packet(payload) for payload in payloads])
    wire = Wire()
    while stream:
        count = data.draw(st.integers(1, len(stream)))
        wire.pieces.append(stream[:count])
        stream = stream[count:]
    link = connected(wire)
    found: list[bytes] = []
    for _ in range(60):
        found += link.receive()
    fitting = [each for each in payloads if len(packet(each)) <= PACKET_BYTES_MAX]
    assert found == fitting
    assert link._stream.oversized == len(payloads) - len(fitting)
    assert link.state == "up"


def test_refusals_are_in_words() -> None:
    simple = connected(Wire())._mqtt
    assert reason(simple, simple.MQTTException(5)) == "the broker refuses: not authorised"
    assert reason(simple, simple.MQTTException(77)) == "the broker refuses: code 77"
    assert reason(simple, ValueError("no certificate")) == "ValueError no certificate"


def test_certificates_are_read_from_pem_and_der() -> None:
    pem = b"-----BEGIN CERTIFICATE-----\r\nAQID\r\nBA==\r\n-----END CERTIFICATE-----\n"
    assert certificates(pem + b"text\n" + pem) == [b"\x01\x02\x03\x04"] * 2
    assert certificates(b"\x30\x03abc") == [b"\x30\x03abc"]
