"""The node's MQTT link and a real broker: `umqtt.simple` itself, TLS, a broker that dies."""

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from boards.build import PROJECT_DIR, build
from boards.catalog import load_board
from boards.emulate import execute
from drivers.tmp117.emulator import EMULATOR
from firmware.app import bring_up
from firmware.delivery import WINDOW_FRAMES
from firmware.mqtt_link import PAUSE_US_MIN
from tests.firmware.mqtt_bench import Board, Driven, Peer, umqtt, umqtt_folder
from tests.firmware.node_run import KID, ROOT_KEY, Gateway, configuration
from tests.gateway.conftest import Broker, broker_program
from tests.gateway.links.test_node_mqtt import make_certificates
from tests.gateway.plant import free_port
from wire import content
from wire.cose import MESSAGE_BYTES_MAX, open_sealed
from wire.keys import uplink_key
from wire.mac import HmacSha256
from wire.messages import encode_receipt

__all__ = ["umqtt"]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("umqtt")]
HEAD = "allow_anonymous true\n"


def make_broker(folder: Path, head: str = HEAD, tail: str = "") -> Broker:
    if broker_program() is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    port = free_port()
    config = folder / "broker.conf"
    config.write_text(f"user root\nlistener {port} 127.0.0.1\n{head}log_dest stderr\n{tail}")
    return Broker(port=port, config=config)


@contextlib.contextmanager
def running(broker: Broker, driven: Driven | None = None, **options: Any) -> Iterator[Peer]:
    """The broker and a peer at it."""
    broker.start()
    try:
        peer = Peer(broker, **options)
        yield peer
        peer.close()
    finally:
        if driven is not None:
            driven.close()
        broker.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    return make_broker(tmp_path)


@pytest.fixture
def guarded(tmp_path: Path) -> Broker:
    """A broker with TLS and a password, whose certificate says `localhost`."""
    make_certificates(tmp_path)
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run(
        ["mosquitto_passwd", "-b", str(passwords), "gateway", "secret"],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    passwords.chmod(0o644)
    head = f"allow_anonymous false\npassword_file {passwords}\n"
    tail = f"certfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\n"
    return make_broker(tmp_path, head, tail)


def plain(broker: Broker) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": broker.port, "allow_unencrypted": True}


def secure(broker: Broker, **changes: Any) -> dict[str, Any]:
    return {
        "host": "localhost",
        "port": broker.port,
        "tls_ca": "ca",
        "user": "gateway",
        "password_file": "login",
        **changes,
    }


def secrets(folder: Path, authority: str = "ca", password: bytes = b"secret\n") -> dict[str, bytes]:
    return {"ca": (folder / f"{authority}.pem").read_bytes(), "login": password}


def exchange(peer: Peer, driven: Driven) -> None:
    """Messages of every length go both ways, each once and in order."""
    messages = [b"a", bytes(range(256)), bytes(MESSAGE_BYTES_MAX)]
    peer.wait_for(lambda: driven.link.state == "up", driven.turn)
    for message in messages:
        peer.wait_for(lambda message=message: driven.link.send(message), driven.turn)
        peer.tell(message[::-1])
    peer.wait_for(lambda: len(peer.messages) >= 3 and len(driven.heard) >= 3, driven.turn)
    assert peer.messages == messages
    assert driven.heard == [message[::-1] for message in messages]


def test_messages_go_both_ways(broker: Broker) -> None:
    driven = Driven(plain(broker))
    with running(broker, driven) as peer:
        exchange(peer, driven)
    assert driven.link.restarts == 0


def test_messages_go_both_ways_through_tls_with_a_password(guarded: Broker, tmp_path: Path) -> None:
    driven = Driven(secure(guarded), secrets(tmp_path))
    with running(guarded, driven, ca=tmp_path / "ca.pem") as peer:
        exchange(peer, driven)


@pytest.mark.parametrize(
    ("authority", "password", "changes", "said"),
    [
        ("stranger", b"secret", {}, "CERTIFICATE_VERIFY_FAILED"),
        ("ca", b"secret", {"host": "127.0.0.1"}, "CERTIFICATE_VERIFY_FAILED"),
        ("ca", b"wrong", {}, "the broker refuses: not authorised"),
        ("ca", b"secret", {"tls_ca": None, "allow_unencrypted": True}, "Error"),
    ],
    ids=["wrong authority", "wrong name", "wrong password", "no TLS"],
)
def test_a_broker_that_cannot_be_trusted_or_trusts_us_not_is_left(
    guarded: Broker,
    tmp_path: Path,
    authority: str,
    password: bytes,
    changes: dict[str, Any],
    said: str,
) -> None:
    driven = Driven(secure(guarded, **changes), secrets(tmp_path, authority, password))
    with running(guarded, driven, ca=tmp_path / "ca.pem") as peer:
        peer.wait_for(lambda: len(driven.states) > 1, driven.turn)
        assert said in driven.link.state
        assert "up" not in driven.states
        assert not driven.link.send(b"x")
        assert peer.messages == []


def test_a_broker_without_tls_gets_nothing_of_a_node_that_wants_it(
    broker: Broker, tmp_path: Path
) -> None:
    make_certificates(tmp_path)
    driven = Driven(secure(broker), secrets(tmp_path))
    with running(broker, driven) as peer:
        peer.wait_for(lambda: len(driven.states) > 1, driven.turn)
    assert "up" not in driven.states


def test_what_is_longer_than_any_message_is_dropped_and_the_rest_is_heard(broker: Broker) -> None:
    driven = Driven(plain(broker))
    with running(broker, driven) as peer:
        peer.wait_for(lambda: driven.link.state == "up", driven.turn)
        peer.tell(bytes(200_000))
        peer.tell(b"after")
        peer.wait_for(lambda: bool(driven.heard), driven.turn)
    assert driven.heard == [b"after"]
    assert driven.link._stream.oversized == 1


def test_a_broker_that_dies_is_come_back_to_after_a_pause(broker: Broker) -> None:
    driven = Driven(plain(broker))
    with running(broker) as peer:
        peer.wait_for(lambda: driven.link.state == "up", driven.turn)
        peer.close()
        broker.stop()
        while driven.link.state == "up":
            driven.turn()
        lost_us = driven.hal.ticks_us()
        assert driven.link.state.startswith("down: OSError")
        assert not driven.link.send(b"nobody hears this")
    with running(broker, driven) as peer:
        exchange(peer, driven)
        assert driven.hal.ticks_us() - lost_us >= PAUSE_US_MIN
    assert driven.link.restarts == 1


class Receiver:
    """A gateway as far as delivery goes: opens, refuses what it has, and says what it has."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.stored: dict[int, int] = {}
        self.repeated = 0
        self._gateway = Gateway()
        self._mac = HmacSha256(uplink_key(ROOT_KEY, KID))

    def turn(self) -> None:
        """Take what has come; a receipt says so, as a gateway does after some seconds at most."""
        if not self.peer.messages:
            return
        while self.peer.messages:
            header, _ = open_sealed(self.peer.messages.pop(0), self._mac, KID)
            self.repeated += header.sequence in self.stored
            self.stored[header.sequence] = header.content_type
        self._say_what_is_stored()

    def has_all_up_to(self, number: int) -> bool:
        return all(each in self.stored for each in range(number + 1))

    def _say_what_is_stored(self) -> None:
        highest = max(self.stored)
        seen = sum(1 << (highest - number) for number in self.stored if highest - number < 64)
        self.peer.tell(self._gateway.seal(content.RECEIPT, encode_receipt(highest, seen)))


def test_frames_wait_in_the_spool_while_the_broker_is_away(broker: Broker) -> None:
    files = configuration(
        sample_period_us=10_000,
        block_samples=5,
        link={"kind": "mqtt", **plain(broker)},
        receipts=True,
    )
    chip = EMULATOR()
    chip.drive("temperature_celsius", 20.0)
    board = Board(files, {0x48: chip})
    node = bring_up(board)
    thread = threading.Thread(target=run_to_the_end, args=(node,))
    thread.start()
    try:
        with running(broker) as peer:
            receiver = Receiver(peer)
            peer.wait_for(lambda: len(receiver.stored) > 10, receiver.turn)
            before = max(receiver.stored)
        while node._spool.frames < 20 or node._link.state == "up":
            board.ended.wait(0.01)
        waiting = node._spool.newest
        with running(broker) as peer:
            receiver.peer = peer
            peer.wait_for(lambda: receiver.has_all_up_to(waiting), receiver.turn)
            board.ended.set()
            thread.join()
    finally:
        board.ended.set()
        thread.join()
        node._link._stream.close()
    assert waiting > before + 15
    # What was on its way when the broker died is sent again, and is stored once all the same.
    assert receiver.repeated <= WINDOW_FRAMES
    assert receiver.stored[0] == content.BOOT_RECORD
    assert node._spool.dropped == 0


def run_to_the_end(node: Any) -> None:
    with contextlib.suppress(SystemExit):
        node.run()


EXCHANGE = """
import sys, time
sys.path += {paths!r}
from firmware.mqtt_link import MqttLink

class Hal:
    def ticks_us(self):
        return time.ticks_us()

    def read_file(self, name):
        return open(name, "rb").read()

class Identity:
    node = "pump-a"

hal = Hal()
link = MqttLink(hal, {settings!r}, Identity())
heard = []
turns = 0
while not heard and turns < 2000 and link.state in ("down: not connected yet", "up"):
    if link.state == "up":
        link.send(b"hello")
    link.service(hal.ticks_us())
    heard = link.receive()
    time.sleep_ms(5)
    turns += 1
print(heard, link.state)
"""


def talk(peer: Peer, run: Callable[[], str]) -> str:
    """What a node in a process of its own printed, after the peer has answered it."""
    outputs: list[str] = []
    thread = threading.Thread(target=lambda: outputs.append(run()))
    thread.start()
    peer.wait_for(lambda: bool(peer.messages) or not thread.is_alive())
    peer.tell(b"thanks")
    peer.wait_for(lambda: not thread.is_alive())
    assert set(peer.messages) <= {b"hello"}
    return outputs[0]


def test_on_the_unix_port_of_micropython(broker: Broker, tmp_path: Path) -> None:
    board = load_board("host")
    image = build(board)
    code = EXCHANGE.format(paths=[umqtt_folder()], settings=plain(broker))
    with running(broker) as peer:
        found = talk(peer, lambda: execute(board, image, tmp_path / "host", code, timeout_s=30))
        assert found == "[b'thanks'] up\n"


def micropython_with_tls() -> str:
    """A MicroPython of the system that has mbedTLS, such as Debian's; our own builds have none."""
    program = os.environ.get("MICROPYTHON") or shutil.which("micropython")
    if program is None:
        pytest.skip("no MicroPython with TLS (apt-get install micropython, or set MICROPYTHON)")
    found = subprocess.run([program, "-c", "import tls"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"{program} has no module tls")
    return program


@pytest.mark.parametrize(
    ("authority", "changes", "said"),
    [
        ("ca", {}, "[b'thanks'] up"),
        ("stranger", {}, "not correctly signed by the trusted CA"),
        ("ca", {"host": "127.0.0.1"}, "(CN) does not match"),
    ],
    ids=["right", "wrong authority", "wrong name"],
)
def test_on_a_micropython_that_has_tls(
    guarded: Broker, tmp_path: Path, authority: str, changes: dict[str, Any], said: str
) -> None:
    program = micropython_with_tls()
    for name, secret in secrets(tmp_path, authority).items():
        (tmp_path / name).write_bytes(secret)
    paths = [str(PROJECT_DIR), umqtt_folder()]
    script = tmp_path / "node.py"
    script.write_text(EXCHANGE.format(paths=paths, settings=secure(guarded, **changes)))

    def run() -> str:
        result = subprocess.run(
            [program, str(script)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        return result.stdout + result.stderr

    with running(guarded, ca=tmp_path / "ca.pem") as peer:
        assert said in talk(peer, run)
