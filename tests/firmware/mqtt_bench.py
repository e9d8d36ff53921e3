"""What tests of the MQTT link share: `umqtt.simple` itself, a board in real time, a peer.

`umqtt.simple` is part of MicroPython's images, so here it comes from the package index: one
version, one hash, kept in .build.  Its sdist is no Python project, which pip says after having
found it; so the file is fetched from where pip found it, and no address stands here.
"""

import binascii
import hashlib
import re
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable
from io import BytesIO
from typing import Any

import paho.mqtt.client as paho
import pytest

from boards.build import PROJECT_DIR
from firmware.keyfile import Identity
from firmware.mqtt_link import MqttLink
from tests.firmware.fake_hal import FakeHal
from tests.firmware.node_run import ROOT_KEY, SEED
from tests.gateway.conftest import Broker

PACKAGE = "micropython-umqtt.simple"
VERSION = "1.3.4"
SHA256 = "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f"
MEMBER = f"{PACKAGE}-{VERSION}/umqtt/simple.py"
FOLDER = PROJECT_DIR / ".build" / "umqtt" / VERSION
IDENTITY = Identity("pump-a", ROOT_KEY, SEED, 0)
UP, DOWN = "twinrig/pump-a/up", "twinrig/pump-a/down"
PATIENCE_S = 60.0


def umqtt_folder() -> str:
    """The folder to put on the path; skips the test when the package cannot be had."""
    module = FOLDER / "umqtt" / "simple.py"
    if not module.is_file():
        try:
            source = _source(_fetch())
        except (OSError, LookupError, subprocess.SubprocessError) as error:
            pytest.skip(f"{PACKAGE} {VERSION} cannot be fetched: {error}")
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_bytes(source)
    return str(FOLDER)


def _fetch() -> bytes:
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation"),
        *("--no-binary", ":all:", "--dest", str(FOLDER.parent), f"{PACKAGE}=={VERSION}"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"from (https://[^\s#]+)", result.stderr)
    if found is None:
        raise LookupError("pip did not find it")
    with urllib.request.urlopen(found[1], timeout=30) as response:  # noqa: S310 - https, by the pattern
        return response.read()


def _source(archive: bytes) -> bytes:
    if hashlib.sha256(archive).hexdigest() != SHA256:
        raise LookupError("it is not the file whose hash stands here")
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        member = files.extractfile(MEMBER)
        if member is None:
            raise LookupError(f"no {MEMBER} in it")
        return member.read()


@pytest.fixture
def umqtt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `from umqtt import simple` work in CPython."""
    monkeypatch.syspath_prepend(umqtt_folder())
    for name, module in (("usocket", socket), ("ustruct", struct), ("ubinascii", binascii)):
        monkeypatch.setitem(sys.modules, name, module)
    yield
    for name in ("umqtt", "umqtt.simple"):
        sys.modules.pop(name, None)


class Board(FakeHal):
    """A fake board whose time is real; `ended` ends a node that runs on it."""

    def __init__(self, files: dict[str, bytes], devices: dict[int, Any] | None = None) -> None:
        super().__init__(devices or {}, files)
        self._start_ns = time.monotonic_ns()
        self.ended = threading.Event()

    def ticks_us(self) -> int:
        if self.ended.is_set():
            raise SystemExit
        return (time.monotonic_ns() - self._start_ns) // 1000

    def sleep_us(self, duration_us: int) -> None:
        self.ended.wait(duration_us / 1e6)

    def sleep_until_us(self, wake_us: int) -> bool:
        self.sleep_us(max(0, wake_us - self.ticks_us()))
        return False


class Peer:
    """A client of another make at the same broker: what the node says, and what it is told."""

    def __init__(self, broker: Broker, **options: Any) -> None:
        self.messages: list[bytes] = []
        self._subscribed = False
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        if "ca" in options:
            self._client.tls_set(str(options["ca"]))
            self._client.username_pw_set("gateway", "secret")
        self._client.on_message = lambda _client, _data, message: self.messages.append(
            message.payload
        )
        self._client.on_subscribe = self._on_subscribe
        self._client.connect("localhost" if "ca" in options else "127.0.0.1", broker.port)
        self._client.subscribe(UP, qos=1)
        self.wait_for(lambda: self._subscribed)

    def _on_subscribe(self, *_details: Any) -> None:
        self._subscribed = True

    def tell(self, message: bytes, topic: str = DOWN) -> None:
        self._client.publish(topic, message, qos=1)

    def wait_for(
        self, is_so: Callable[[], bool], meanwhile: Callable[[], None] | None = None
    ) -> None:
        """Keep talking until it is so, or fail."""
        end_s = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < end_s, "it did not come about"
            if meanwhile is not None:
                meanwhile()
            self._client.loop(0.005)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop(0.05)
        self._client._sock_close()


class Driven:
    """A link with what the node does for it, and what it received."""

    def __init__(self, settings: dict[str, Any], files: dict[str, bytes] | None = None) -> None:
        self.hal = Board(files or {})
        self.link = MqttLink(self.hal, settings, IDENTITY)
        self.heard: list[bytes] = []
        self.states: list[str] = []

    def turn(self) -> None:
        """What a node does between samples."""
        self.link.service(self.hal.ticks_us())
        self.heard += self.link.receive()
        if not self.states or self.states[-1] != self.link.state:
            self.states.append(self.link.state)

    def close(self) -> None:
        self.link._lose(OSError(0))
