"""A board without a board: virtual time, emulated chips, files, a line that keeps what it got."""

from collections import deque
from typing import Any

from drivers.bus import EmulatedI2C


class ResetError(BaseException):
    """The board was restarted by its software."""


class Watchdog:
    """Counts how often it was fed, and how long it went hungry, in virtual time."""

    def __init__(self, hal: "FakeHal", timeout_ms: int) -> None:
        self._hal = hal
        self.timeout_us = timeout_ms * 1000
        self.fed_us: list[int] = []

    def feed(self) -> None:
        self.fed_us.append(self._hal.now_us)


class FakeHal:
    """The HAL's functions over `drivers.bus`; `sleep_us` jumps, `deadline_us` ends the run."""

    BOARD = "fake"

    def __init__(self, devices: dict[int, Any], files: dict[str, bytes]) -> None:
        self.files = files
        self.now_us = 0
        self.deadline_us = 1 << 62
        self.sent: list[tuple[int, bytes]] = []
        self.inbox: deque[tuple[int, bytes]] = deque()
        self.pins: dict[int, int] = {}
        self.pin_changes: list[tuple[int, int, int]] = []
        self.is_full = False
        self.dog: Watchdog | None = None
        self._bus = EmulatedI2C(devices, self.ticks_us)

    # --- files ---

    def read_file(self, name: str) -> bytes:
        if name not in self.files:
            raise OSError(2)
        return self.files[name]

    def read_file_at(self, name: str, offset: int, buffer: Any) -> int:
        piece = self.read_file(name)[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def write_file(self, name: str, content: bytes) -> None:
        self._refuse_when_full()
        self.files[name] = bytes(content)

    def append_file(self, name: str, content: bytes) -> None:
        self._refuse_when_full()
        self.files[name] = self.files.get(name, b"") + bytes(content)

    def remove_file(self, name: str) -> None:
        self.files.pop(name, None)

    def file_size(self, name: str) -> int:
        return len(self.files[name]) if name in self.files else -1

    def rename_file(self, old: str, new: str) -> None:
        self.files[new] = self.files.pop(old)

    def make_folder(self, name: str) -> None:
        pass

    def _refuse_when_full(self) -> None:
        if self.is_full:
            raise OSError(28)

    # --- time ---

    def ticks_us(self) -> int:
        if self.now_us > self.deadline_us:
            raise SystemExit
        return self.now_us

    def sleep_us(self, duration_us: int) -> None:
        self.now_us += duration_us

    def sleep_until_us(self, wake_us: int) -> bool:
        if wake_us > self.deadline_us:
            raise SystemExit
        if self.inbox and self.inbox[0][0] <= wake_us:
            self.now_us = max(self.now_us, self.inbox[0][0])
            return True
        self.now_us = max(self.now_us, wake_us)
        return False

    # --- buses and lines ---

    def i2c(self, _number: int) -> EmulatedI2C:
        return self._bus

    def uart(self, _number: int) -> "FakeHal":
        return self

    def write(self, data: bytes) -> None:
        self.sent.append((self.now_us, bytes(data)))

    def any(self) -> bool:
        return bool(self.inbox) and self.inbox[0][0] <= self.now_us

    def read(self, _bytes_max: int = 256) -> bytes:
        data = b""
        while self.inbox and self.inbox[0][0] <= self.now_us:
            data += self.inbox.popleft()[1]
        return data

    def pin(self, number: int, level: int | None = None) -> int:
        if level is not None:
            self.pins[number] = level
            self.pin_changes.append((self.now_us, number, level))
        return self.pins.get(number, 0)

    # --- the board itself ---

    def watchdog(self, timeout_ms: int) -> Watchdog:
        self.dog = Watchdog(self, timeout_ms)
        return self.dog

    def identity(self) -> str:
        return "fake"

    def unique_id(self) -> bytes:
        return b"fake"

    def reset_cause(self) -> str:
        return "power_on"

    def reset(self) -> None:
        raise ResetError

    def log(self, text: str) -> None:
        pass
