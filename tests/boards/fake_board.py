"""Stand-ins for `machine`, `network`, `select` and `time` with the signatures that are documented.

`install()` puts them where `import` finds them first, under MicroPython and CPython alike; a hal
that asks for something else fails as it would on the board.  Time stands still except for sleeps,
so nothing here waits.  CALLS keeps what the hal asked of `machine`, in order.
"""

import sys

CALLS = []
PERIOD_US = 1 << 30
"""Where `ticks_us` of the real ports wraps: a small integer there has 31 bits."""


class Time:
    """The functions of `time` that have ticks; `hear` is called with every step of the clock."""

    def __init__(self) -> None:
        self.now_us = PERIOD_US - 5000
        self.slept_us = []
        self.polled_ms = []

    def ticks_us(self) -> int:
        return self.now_us % PERIOD_US

    def ticks_ms(self) -> int:
        return self.now_us // 1000 % PERIOD_US

    def ticks_diff(self, new: int, old: int) -> int:
        half = PERIOD_US // 2
        return (new - old + half) % PERIOD_US - half

    def ticks_add(self, ticks: int, delta: int) -> int:
        return (ticks + delta) % PERIOD_US

    def sleep_us(self, duration_us: int) -> None:
        assert 0 <= duration_us < PERIOD_US
        self.slept_us.append(duration_us)
        self.now_us += duration_us


TIME = Time()


class Poll:
    def __init__(self) -> None:
        self._streams = []

    def register(self, stream, mask: int = 5) -> None:
        assert mask == 1
        self._streams.append(stream)

    def poll(self, timeout_ms: int = -1):
        assert timeout_ms >= 0, "a wait without an end"
        ready = [(stream, 1) for stream in self._streams if stream.any()]
        if not ready:
            TIME.polled_ms.append(timeout_ms)
            TIME.now_us += timeout_ms * 1000
        return ready


class Select:
    POLLIN = 1

    def poll(self):
        return Poll()


class CpuPin:
    def __init__(self, name: str) -> None:
        assert name[0] in "ABCDH"
        assert 0 <= int(name[1:]) < 16
        self.name = name


class CpuPins:
    def __getattr__(self, name: str):
        return CpuPin(name)


class Pin:
    OUT = 1
    cpu = CpuPins()

    def __init__(self, pin) -> None:
        self.name = pin.name if isinstance(pin, CpuPin) else pin
        self.levels = []
        CALLS.append(("Pin", self.name))

    def init(self, mode: int, *, value=None) -> None:
        assert mode == Pin.OUT
        self.value(value)

    def value(self, level=None):
        if level is None:
            return self.levels[-1] if self.levels else 1
        CALLS.append(("level", self.name, level))
        self.levels.append(level)
        return None


class I2C:
    """Both ports' constructors in one; the STM32 port refuses pins of one's own."""

    def __init__(self, number: int, *, freq: int, timeout: int, scl=None, sda=None) -> None:
        pins = [pin.name for pin in (scl, sda) if pin is not None]
        assert timeout > 0
        CALLS.append(("I2C", number, freq, pins))


class SPI:
    def __init__(self, number: int, *, sck=None, mosi=None, miso=None) -> None:
        pins = [pin.name for pin in (sck, mosi, miso) if pin is not None]
        CALLS.append(("SPI", number, pins))

    def init(self, *, baudrate: int, polarity: int, phase: int) -> None:
        CALLS.append(("SPI.init", baudrate, polarity, phase))

    def write_readinto(self, data, buffer) -> None:
        if data == b"fail":
            raise OSError(110)
        assert len(data) == len(buffer)
        CALLS.append(("SPI.write_readinto", bytes(data)))
        buffer[:] = bytes(reversed(data))


class UART:
    """What is written comes back as input, except for what `full` cuts off."""

    def __init__(
        self, number: int, *, baudrate: int, rxbuf: int, timeout: int, tx=None, rx=None, txbuf=0
    ) -> None:
        assert timeout == 0, "a read would wait"
        assert rxbuf >= 512
        pins = [pin for pin in (tx, rx) if pin is not None]
        assert txbuf >= 0
        CALLS.append(("UART", number, baudrate, pins))
        self.pending = b""
        self.full = False

    def any(self) -> int:
        return len(self.pending)

    def read(self, bytes_max: int):
        data, self.pending = self.pending[:bytes_max], self.pending[bytes_max:]
        return data or None

    def write(self, data):
        if self.full:
            return None
        CALLS.append(("UART.write", bytes(data)))
        self.pending += bytes(data)
        return len(data)

    def flush(self) -> None:
        CALLS.append(("UART.flush",))


class WDT:
    def __init__(self, *, timeout: int) -> None:
        CALLS.append(("WDT", timeout))

    def feed(self) -> None:
        CALLS.append(("WDT.feed",))


class Machine:
    PWRON_RESET = 1
    HARD_RESET = 2
    WDT_RESET = 3
    DEEPSLEEP_RESET = 4
    SOFT_RESET = 5
    Pin = Pin
    I2C = I2C
    SPI = SPI
    UART = UART
    WDT = WDT

    def __init__(self) -> None:
        self.cause = 1

    def reset_cause(self) -> int:
        return self.cause

    def reset(self) -> None:
        CALLS.append(("reset",))

    def unique_id(self) -> bytes:
        return b"\x01\x02\x03\x04\x05\x06"


class WLAN:
    """One station; joins after `JOIN_AFTER` questions, or never when that is negative."""

    JOIN_AFTER = 3
    ASKED = 0
    STATUS = 1000

    def __init__(self, interface: int) -> None:
        assert interface == 0

    def active(self, is_active=None) -> bool:
        if is_active is not None:
            CALLS.append(("WLAN.active", is_active))
        return ("WLAN.active", True) in CALLS

    def status(self) -> int:
        return WLAN.STATUS

    def connect(self, ssid: str, key=None) -> None:
        assert WLAN.STATUS != 1001, "a second connect disturbs the first"
        CALLS.append(("WLAN.connect", ssid, key))
        WLAN.STATUS = 1001
        WLAN.ASKED = 0

    def isconnected(self) -> bool:
        WLAN.ASKED += 1
        return WLAN.STATUS != 1000 and 0 <= WLAN.JOIN_AFTER < WLAN.ASKED


class Network:
    STA_IF = 0
    STAT_CONNECTING = 1001
    WLAN = WLAN


MACHINE = Machine()


def install() -> None:
    """Let `import` find the stand-ins from now on."""
    sys.modules["machine"] = MACHINE
    sys.modules["network"] = Network()
    sys.modules["select"] = Select()
    sys.modules["time"] = TIME
