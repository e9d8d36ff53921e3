"""One node on a fake board, and what the tests of this folder ask of it."""

import json
from typing import Any, NamedTuple

import pytest

from drivers.tmp117.emulator import EMULATOR
from firmware.app import bring_up
from firmware.keyfile import Identity, encode
from tests.firmware.fake_hal import FakeHal
from wire import content
from wire.cose import Header, Sealer, open_sealed
from wire.framing import Deframer, frame
from wire.keys import downlink_key, uplink_key
from wire.mac import HmacSha256

ROOT_KEY = bytes(range(32))
SEED = bytes(range(32, 64))
KID = b"pump-a"
PERIOD_US = 100_000
BLOCK = 10
CHANNEL: dict[str, Any] = {
    "name": "temperature",
    "part": "tmp117",
    "bus": 0,
    "address": 0x48,
    "reading": "temperature_celsius",
    "argument": None,
    "unit": "Cel",
    "filter": "mean",
    "gain": 2.0,
    "offset": 1.0,
    "options": {},
}


class Sent(NamedTuple):
    """A frame the node sealed: when it left, its header, its payload."""

    at_us: int
    header: Header
    payload: bytes


def configuration(**changes: Any) -> dict[str, bytes]:
    """The files of a provisioned node; `changes` go into node.json.  No receipts, no signatures."""
    fields: dict[str, Any] = {
        "node": "pump-a",
        "sample_period_us": PERIOD_US,
        "block_samples": BLOCK,
        "channels": [CHANNEL],
        "receipts": False,
        "status_s": 3600,
        "checkpoint": {"every_frames": 0, "every_s": 60},
    }
    fields.update(changes)
    return {
        "node.json": json.dumps(fields).encode(),
        "node.key": encode(Identity("pump-a", ROOT_KEY, SEED, 0)),
    }


def make_hal(source: Any = 20.0, files: dict[str, bytes] | None = None) -> FakeHal:
    """A board with one thermometer at 0x48."""
    chip = EMULATOR()
    chip.drive("temperature_celsius", source)
    return FakeHal({0x48: chip}, files if files is not None else configuration())


def run(hal: FakeHal, until_us: int) -> list[Sent]:
    """Run the node; every frame it sealed."""
    hal.deadline_us = until_us
    with pytest.raises(SystemExit):
        bring_up(hal).run()
    return sent_frames(hal)


def sent_frames(hal: FakeHal, root: bytes = ROOT_KEY) -> list[Sent]:
    """Every frame the node sealed under `root`."""
    mac = HmacSha256(uplink_key(root, KID))
    frames = []
    for at_us, data in hal.sent:
        ((message, reason),) = Deframer().feed(data)
        assert reason is None
        frames.append(Sent(at_us, *open_sealed(message, mac, KID)))
    return frames


def of_type(frames: list[Sent], content_type: int) -> list[Sent]:
    """The frames of one content type."""
    return [sent for sent in frames if sent.header.content_type == content_type]


def readings(frames: list[Sent]) -> list[Sent]:
    """The frames that hold values."""
    return of_type(frames, content.SENML_CBOR)


class Gateway:
    """Seals what goes down to the node."""

    def __init__(self, root: bytes = ROOT_KEY, boot_id: int = 1) -> None:
        self._sealer = Sealer(KID, HmacSha256(downlink_key(root, KID)))
        self._boot_id = boot_id
        self.sequence = 0

    def seal(self, content_type: int, payload: bytes) -> bytes:
        """The next message to the node."""
        sequence = self.sequence
        self.sequence += 1
        return bytes(self._sealer.seal(content_type, sequence, self._boot_id, 0, payload))

    def send(self, hal: FakeHal, at_us: int, content_type: int, payload: bytes) -> None:
        """Have a message arrive at the node at `at_us`; to be called in order of time."""
        hal.inbox.append((at_us, bytes(frame(self.seal(content_type, payload)))))
