"""Nodes behind a real broker: TLS, a broker that dies, messages that are too long."""

import asyncio
import datetime as dt
import random
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.clock import NS_PER_S, ManualClock, SystemClock, give_way
from gateway.errors import KeyFileError, LinkError
from gateway.links.node_mqtt import NodeMqtt
from gateway.links.supervisor import LinkState, Supervision, default_backoff, supervise
from gateway.loss import LossLedger
from gateway.records import Received
from gateway.site import MqttSettings
from tests.gateway.conftest import Broker, broker_program
from tests.gateway.plant import START_NS, background, free_port
from wire.cose import MESSAGE_BYTES_MAX

BODY = bytes(range(200))


@dataclass
class Bench:
    """The link under test, what it delivered, and a node's own client."""

    link: NodeMqtt
    ledger: LossLedger
    supervision: Supervision
    node: aiomqtt.Client | None = None
    arrived: asyncio.Queue[Received] = field(default_factory=lambda: asyncio.Queue(100))

    async def publish(self, payload: bytes, topic: str = "twinrig/a/up", **options) -> None:
        await self.node.publish(topic, payload, qos=1, **options)

    async def next(self) -> bytes:
        return (await self.arrived.get()).data


def make_bench(settings: MqttSettings, nodes=("a", "b")) -> Bench:
    ledger = LossLedger()
    bench: Bench

    def deliver(frame: Received) -> None:
        bench.arrived.put_nowait(frame)

    link = NodeMqtt("skid", nodes, settings, ManualClock(START_NS), ledger, deliver)
    supervision = Supervision("mqtt", default_backoff(random.Random(1)))
    bench = Bench(link, ledger, supervision)
    return bench


def is_accepted(bench: Bench) -> bool:
    return bench.supervision.state in (LinkState.CONNECTED, LinkState.ONLINE)


@asynccontextmanager
async def serving(bench: Bench) -> AsyncIterator[None]:
    """Keep the link up meanwhile, with pauses of real time."""
    served = supervise(bench.link, bench.supervision, SystemClock(), connect_s=10.0, silence_s=None)
    async with background(served, bench.link.pump()):
        while not is_accepted(bench):
            await give_way()
        yield


def settings_of(broker: Broker, **changes) -> MqttSettings:
    return MqttSettings(port=broker.port, **changes)


async def test_frames_come_up_with_source_link_and_time(broker: Broker) -> None:
    bench = make_bench(settings_of(broker))
    async with aiomqtt.Client("127.0.0.1", broker.port) as bench.node, serving(bench):
        await bench.publish(BODY)
        await bench.publish(b"x", "twinrig/b/up")
        frames = [await bench.arrived.get() for _ in range(2)]
    assert frames[0] == Received(source="a", link="mqtt", data=BODY, received_ns=START_NS)
    assert (frames[1].source, frames[1].data) == ("b", b"x")


async def test_only_a_message_proves_a_session(broker: Broker) -> None:
    """Else two gateways with one client id would throw each other out without any pause."""
    bench = make_bench(settings_of(broker))
    async with aiomqtt.Client("127.0.0.1", broker.port) as bench.node, serving(bench):
        assert bench.supervision.state is LinkState.CONNECTED
        await bench.publish(BODY)
        await bench.next()
        assert bench.supervision.state is LinkState.ONLINE


async def test_messages_go_down_to_their_node_and_stay_with_nobody(broker: Broker) -> None:
    bench = make_bench(settings_of(broker))
    async with aiomqtt.Client("127.0.0.1", broker.port) as bench.node:
        await bench.node.subscribe("twinrig/+/down", qos=1)
        async with serving(bench):
            assert bench.link.send("a", b"one")
            assert bench.link.send("b", b"two")
            messages = aiter(bench.node.messages)
            found = [await anext(messages) for _ in range(2)]
    assert [(each.topic.value, each.payload) for each in found] == [
        ("twinrig/a/down", b"one"), ("twinrig/b/down", b"two"),
    ]  # fmt: skip
    assert not any(each.retain for each in found)


async def test_what_is_no_frame_is_dropped_and_counted(broker: Broker) -> None:
    bench = make_bench(settings_of(broker))
    async with aiomqtt.Client("127.0.0.1", broker.port) as bench.node:
        await bench.publish(b"old news", retain=True)
        async with serving(bench):
            await bench.publish(bytes(MESSAGE_BYTES_MAX + 1))
            await bench.publish(bytes(200_000))
            await bench.publish(BODY, "twinrig/c/up")
            await bench.publish(BODY)
            assert await bench.next() == BODY
        await bench.publish(b"", retain=True)
    assert bench.ledger.balance("a").line_errors == {"retained": 1, "too_long": 1}
    assert bench.arrived.empty(), "the broker itself keeps 200 kB from us"


async def test_a_topic_nobody_asked_for_is_counted(broker: Broker) -> None:
    bench = make_bench(settings_of(broker))
    message = aiomqtt.Message("twinrig/x/up", b"", 1, False, 1, None)
    bench.link._take(message)
    assert bench.ledger.balance("mqtt").line_errors == {"unknown_topic": 1}


@pytest.mark.slow
async def test_a_broker_that_dies_is_come_back_to(broker: Broker) -> None:
    bench = make_bench(settings_of(broker))
    async with serving(bench):
        async with aiomqtt.Client("127.0.0.1", broker.port) as bench.node:
            await bench.publish(b"before")
            assert await bench.next() == b"before"
        broker.stop()
        while is_accepted(bench):
            await give_way()
        assert not bench.link.send("a", b"nobody hears this")
        broker.start()
        while not is_accepted(bench):
            await give_way()
        async with aiomqtt.Client("127.0.0.1", broker.port) as bench.node:
            await bench.publish(b"after")
            assert await bench.next() == b"after"
    assert bench.supervision.attempts >= 2


async def test_the_broker_keeps_frames_while_the_gateway_restarts(broker: Broker) -> None:
    bench = make_bench(settings_of(broker))
    async with aiomqtt.Client("127.0.0.1", broker.port) as bench.node:
        async with serving(bench):
            pass
        await bench.publish(BODY)
        later = make_bench(settings_of(broker))
        async with serving(later):
            assert await later.next() == BODY


async def test_a_queue_that_is_full_is_counted(broker: Broker) -> None:
    bench = make_bench(settings_of(broker))
    await bench.link.connect()
    try:
        taken = [bench.link.send("a", b"x") for _ in range(257)]
    finally:
        await bench.link.close()
    assert taken == [True] * 256 + [False]
    assert bench.ledger.balance("a").line_errors == {"write_full": 1}
    assert not bench.link.send("a", b"x"), "not connected"


async def test_nobody_there_is_an_ordinary_failure() -> None:
    bench = make_bench(MqttSettings(port=free_port()))
    with pytest.raises(LinkError, match=r"mqtt over mqtt: 127\.0\.0\.1"):
        await bench.link.connect()
    await bench.link.close()
    await bench.link.close()


# --- TLS and passwords ---------------------------------------------------------------------------


def make_certificates(folder: Path) -> None:
    """Write a CA, and a certificate of it for 127.0.0.1's name; another CA beside them."""
    now = x509.CertificateBuilder()
    for name in ("ca", "stranger"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _dated(now).subject_name(subject).issuer_name(subject)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        authority = builder.sign(key, hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(_pem(authority))
        if name == "ca":
            _write_server(folder, authority, key)


def _dated(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    now_s = SystemClock().now_ns() // NS_PER_S
    today = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=now_s)
    day = dt.timedelta(days=1)
    return builder.not_valid_before(today - day).not_valid_after(today + day)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_server(folder: Path, authority: x509.Certificate, authority_key) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = _dated(x509.CertificateBuilder()).subject_name(subject)
    builder = builder.issuer_name(authority.subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = builder.add_extension(names, critical=False).sign(authority_key, hashes.SHA256())
    (folder / "server.pem").write_bytes(_pem(certificate))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "server.key").write_bytes(
        key.private_bytes(encoding, form, serialization.NoEncryption())
    )


@pytest.fixture
def guarded(tmp_path: Path) -> Broker:
    """Yield a broker with TLS, and a password for the gateway."""
    program = broker_program()
    if program is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    make_certificates(tmp_path)
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run(
        ["mosquitto_passwd", "-b", str(passwords), "gateway", "secret"],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    passwords.chmod(0o644)
    port = free_port()
    config = tmp_path / "guarded.conf"
    config.write_text(
        f"user root\nlistener {port} 127.0.0.1\nallow_anonymous false\n"
        f"password_file {passwords}\ncertfile {tmp_path}/server.pem\n"
        f"keyfile {tmp_path}/server.key\nlog_dest stderr\n"
    )
    server = Broker(port=port, config=config)
    server.start()
    yield server
    server.stop()


def guarded_settings(broker: Broker, folder: Path, ca: str = "ca.pem", **changes) -> MqttSettings:
    password = folder / "gateway.password"
    password.write_text("secret\n")
    password.chmod(0o600)
    facts = {
        "host": "localhost",
        "ca_file": folder / ca,
        "username": "gateway",
        "password_file": password,
    }
    return settings_of(broker, **(facts | changes))


async def test_frames_come_through_tls_with_a_password(guarded: Broker, tmp_path: Path) -> None:
    bench = make_bench(guarded_settings(guarded, tmp_path))
    context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    node = aiomqtt.Client(
        "localhost", guarded.port, username="gateway", password="secret", tls_context=context
    )
    async with node as bench.node, serving(bench):
        await bench.publish(BODY)
        assert await bench.next() == BODY


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ca": "stranger.pem"}, "CERTIFICATE_VERIFY_FAILED"),
        ({"host": "127.0.0.1"}, "IP address mismatch"),
        ({"username": "nobody"}, "(?i)not authori[sz]ed"),
        ({"ca": "absent.pem"}, "absent.pem"),
        ({"ca_file": None}, "mqtt over mqtt"),
    ],
)
async def test_a_broker_that_cannot_be_trusted_or_trusts_us_not_is_left(
    guarded: Broker, tmp_path: Path, changes: dict, said: str
) -> None:
    bench = make_bench(guarded_settings(guarded, tmp_path, **changes))
    with pytest.raises((LinkError, TimeoutError), match=said):
        async with asyncio.timeout(8):
            await bench.link.connect()
    await bench.link.close()


async def test_a_password_file_that_is_open_to_others_is_refused(
    guarded: Broker, tmp_path: Path
) -> None:
    settings = guarded_settings(guarded, tmp_path)
    settings.password_file.chmod(0o644)
    with pytest.raises(KeyFileError, match="open to other users"):
        await make_bench(settings).link.connect()
