"""A whole node on a serial line in wall time: the real firmware, chips and files emulated."""

import json
import os
import select
import sys
import threading
import time
import tty
from types import TracebackType
from typing import Any, Self

from drivers.tmp117.emulator import EMULATOR
from firmware import update
from firmware.app import bring_up
from firmware.keyfile import Identity, encode
from firmware.slots import Slots
from tests.firmware.fake_hal import FakeHal, ResetError

ROOT = bytes(range(32))
SEED = bytes(range(32, 64))
CHANNEL = {
    "name": "temperature",
    "part": "tmp117",
    "bus": 0,
    "address": 0x48,
    "reading": "temperature_celsius",
    "argument": None,
    "unit": "Cel",
    "filter": "mean",
    "gain": 1.0,
    "offset": 0.0,
    "options": {},
}
SETTINGS: dict[str, Any] = {
    "node": "a",
    "sample_period_us": 20_000,
    "block_samples": 5,
    "channels": [CHANNEL],
    "outputs": [{"name": "valve", "pin": 7, "safe": 0, "hold_ms_max": 1000}],
    "receipts": True,
    "status_s": 1,
    "checkpoint": {"every_frames": 16, "every_s": 60},
}
SITE = """
[site]
name = "bench"
asset = "bench"
[[nodes]]
name = "a"
link = "serial"
port = "{port}"
key_file = "a.key"
[[nodes.channels]]
name = "temperature"
quantity = "temperature_celsius"
unit = "Cel"
part = "tmp117"
address = 0x48
reading = "temperature_celsius"
[store]
frames = true
"""


class WallHal(FakeHal):
    """The HAL in wall time: UART 0 is one end of a pty."""

    BOARD = "host"

    def __init__(self, line: int) -> None:
        chip = EMULATOR()
        chip.drive("temperature_celsius", 20.0)
        files = {
            "node.json": json.dumps(SETTINGS).encode(),
            "node.key": encode(Identity("a", ROOT, SEED, 0)),
        }
        super().__init__({0x48: chip}, files)
        self._line = line
        self._started_ns = time.monotonic_ns()
        self.is_stopped = threading.Event()

    def ticks_us(self) -> int:
        if self.is_stopped.is_set():
            raise SystemExit
        return (time.monotonic_ns() - self._started_ns) // 1000

    def sleep_us(self, duration_us: int) -> None:
        select.select([], [], [], duration_us / 1e6)

    def sleep_until_us(self, wake_us: int) -> bool:
        ready, _, _ = select.select([self._line], [], [], max(wake_us - self.ticks_us(), 0) / 1e6)
        return bool(ready)

    def write(self, data: bytes) -> None:
        view = memoryview(bytes(data))
        while view:
            view = view[os.write(self._line, view) :]

    def any(self) -> bool:
        return bool(select.select([self._line], [], [], 0)[0])

    def read(self, bytes_max: int = 256) -> bytes:
        return os.read(self._line, bytes_max) if self.any() else b""


class WallNode:
    """The node in a thread; `port` is what the gateway opens.

    Between two starts it does what the loader does to the state of an update. With
    `crashes_on_trial` a set on trial dies before it has said a word.
    """

    def __init__(self) -> None:
        self._line, self._far_end = os.openpty()
        tty.setraw(self._line)
        self.port = os.ttyname(self._far_end)
        self.hal = WallHal(self._line)
        self.crashes_on_trial = False
        self.starts = 0
        self._thread = threading.Thread(target=self._live, name="node", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hal.is_stopped.set()
        self._thread.join(10)
        self._put_first(None)
        os.close(self._line)
        os.close(self._far_end)

    def _live(self) -> None:
        while True:
            if self._choose() == update.TRIAL and self.crashes_on_trial:
                continue
            self.starts += 1
            try:
                bring_up(self.hal).run()
            except ResetError:
                continue
            except SystemExit:
                return

    def _choose(self) -> int:
        """Take the steps that the loader takes, the path included; return the phase."""
        slots = Slots(self.hal, update.STATE_FILES, update.NUMBERS)
        numbers, _ = slots.read()
        if numbers is None:
            self._put_first(update.FOLDERS[0])
            return update.STABLE
        trusted, phase, newest, candidate = numbers
        step = {update.READY: update.TRIAL, update.TRIAL: update.ROLLED_BACK}
        if phase in step:
            phase = step[phase]
            slots.write((trusted, phase, newest, candidate if phase == update.TRIAL else 0))
        self._put_first(update.FOLDERS[trusted ^ (phase == update.TRIAL)])
        return phase

    def _put_first(self, folder: str | None) -> None:
        sys.path[:] = [path for path in sys.path if path not in update.FOLDERS]
        if folder is not None:
            sys.path.insert(0, folder)
