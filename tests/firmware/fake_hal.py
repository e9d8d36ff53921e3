"""A board without a board: virtual time, emulated chips, a line that keeps what was written."""

from collections import deque
from typing import Any

from drivers.bus import EmulatedI2C


class FakeHal:
    """The HAL's functions over `drivers.bus`; `sleep_us` jumps, `deadline_us` ends the run."""

    def __init__(self, devices: dict[int, Any], files: dict[str, bytes]) -> None:
        self.files = files
        self.now_us = 0
        self.deadline_us = 1 << 62
        self.sent: list[tuple[int, bytes]] = []
        self.inbox: deque[tuple[int, bytes]] = deque()
        self._bus = EmulatedI2C(devices, self.ticks_us)

    def read_file(self, name: str) -> bytes:
        if name not in self.files:
            raise OSError(2)
        return self.files[name]

    def write_file(self, name: str, content: bytes) -> None:
        self.files[name] = content

    def ticks_us(self) -> int:
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

    def i2c(self, _number: int) -> EmulatedI2C:
        return self._bus

    def uart(self, _number: int) -> "FakeHal":
        return self

    def write(self, data: bytes) -> None:
        self.sent.append((self.now_us, bytes(data)))

    def read(self) -> bytes:
        data = b""
        while self.inbox and self.inbox[0][0] <= self.now_us:
            data += self.inbox.popleft()[1]
        return data

    def identity(self) -> str:
        return "fake"

    def unique_id(self) -> bytes:
        return b"fake"
