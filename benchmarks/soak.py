"""A node that runs for long: what is free of its memory stays the same, to the byte.

One thermometer, a frame every 10 ms, on the emulated Cortex-M3 in lockstep with nothing but its
chip; every frame is opened as the gateway would.  What is free is the node's own word, in its
status records, after a collection; the first hundredth of the run is left to what is made once.
A run of 10^5 frames ends before the clock's microseconds need more than 30 bits, which is when a
small integer becomes an object.

    python -m benchmarks.soak --frames 100000
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from boards.build import APPLICATION, build
from boards.catalog import load_board
from boards.emulate import start
from boards.provision import NodeSecrets, key_file
from drivers.tmp117.emulator import EMULATOR
from hil.bus import BoardPort, Wiring
from hil.lockstep import Lockstep, TimerDue, UplinkBytes
from wire import content
from wire.cose import open_sealed
from wire.framing import Deframer
from wire.keys import uplink_key
from wire.mac import HmacSha256
from wire.status import decode_status

BOARD: Final = "qemu_stm32f2"
NODE: Final = "soak"
PERIOD_US: Final = 10_000
ADDRESS: Final = 0x48
RECORDS: Final = 5
_KEYS: Final = NodeSecrets(root=bytes(range(32)), seed=bytes(range(32, 64)))
_CHANNEL: Final = {
    "name": "temperature",
    "part": "tmp117",
    "bus": 0,
    "address": ADDRESS,
    "reading": "temperature_celsius",
    "argument": None,
    "unit": "Cel",
    "filter": "mean",
    "gain": 1.0,
    "offset": 0.0,
    "options": {},
}


@dataclass
class Soak:
    """What came of a run; `free` are (frames by then, free bytes), one for each status record."""

    frames: int
    missing: int
    free: list[tuple[int, int]]
    overruns: int
    wall_s: float

    @property
    def early_and_late(self) -> tuple[int, int]:
        """Free bytes from a hundredth of the frames on, and at the end: the least of some records.

        A value in flight is one object, of 16 bytes, which a record may find there or not.
        """
        told = [free for frames, free in self.free if frames >= self.frames / 100]
        return min(told[:RECORDS]), min(told[-RECORDS:])


class _Line:
    """Opens what the node sends, and counts what is missing in between."""

    def __init__(self) -> None:
        self.frames = 0
        self.missing = 0
        self.free: list[tuple[int, int]] = []
        self.overruns = 0
        self._next: int | None = None
        self._mac = HmacSha256(uplink_key(_KEYS.root, NODE.encode()))
        self._deframer = Deframer()

    def take(self, data: bytes) -> None:
        """Open the frames in `data`."""
        for message, reason in self._deframer.feed(data):
            if reason is not None:
                self.missing += 1
                continue
            header, payload = open_sealed(message, self._mac, NODE.encode())
            if self._next is not None:
                self.missing += header.sequence - self._next
            self._next = header.sequence + 1
            self.frames += 1
            if header.content_type == content.STATUS_RECORD:
                self._note(decode_status(payload))

    def _note(self, status: dict[str, Any]) -> None:
        self.overruns = int(status["overruns"])
        if "free_bytes" in status:
            self.free.append((self.frames, int(status["free_bytes"])))


def configuration() -> dict[str, Any]:
    """node.json of the node."""
    return {
        "node": NODE,
        "sample_period_us": PERIOD_US,
        "block_samples": 1,
        "channels": [_CHANNEL],
        "receipts": False,
        "status_s": 1,
        "checkpoint": {"every_frames": 0, "every_s": 60},
    }


def soak(frames: int) -> Soak:
    """Run the node until it has sent so many frames."""
    board = load_board(BOARD)
    image = build(board, APPLICATION)
    files = {"node.json": json.dumps(configuration()).encode(), "node.key": key_file(NODE, _KEYS)}
    chip = EMULATOR()
    chip.drive("temperature_celsius", lambda now_us: 20.0 + now_us % 7_000_000 / 1e6)
    lockstep, line = Lockstep(), _Line()
    began_s = time.perf_counter()
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        emulated = start(board, image, place, code="import firmware.main", files=files)
        stack.enter_context(contextlib.closing(emulated))
        wiring = Wiring(i2c={(0, ADDRESS): chip}, uart_baud=921_600)
        port = BoardPort(NODE, emulated, wiring, uplink=lockstep.uplink)
        lockstep.add(port)
        while line.frames < frames:
            lockstep.set_timer(lockstep.now_ns + 1_000_000_000, "second")
            while not isinstance(event := lockstep.next_event(), TimerDue):
                if event is None:
                    raise RuntimeError(f"the node ended by itself: {list(port.log_lines)}")
                if isinstance(event, UplinkBytes):
                    line.take(event.data)
    wall_s = time.perf_counter() - began_s
    return Soak(line.frames, line.missing, line.free, line.overruns, wall_s)


def main() -> int:
    """Run and print; 0 when nothing is missing and the memory is as it was."""
    parser = argparse.ArgumentParser(description="Run a node for long and watch its memory.")
    parser.add_argument("--frames", type=int, default=2000)
    run = soak(parser.parse_args().frames)
    early, late = run.early_and_late
    print(f"frames {run.frames:,}, missing {run.missing:,}, slots overrun {run.overruns:,}")
    print(f"free at 1 % {early:,} bytes, at the end {late:,} bytes")
    print(f"{run.frames / run.wall_s:,.0f} frames a second, {run.wall_s:,.0f} s")
    return 0 if early == late and not run.missing else 1


if __name__ == "__main__":
    sys.exit(main())
