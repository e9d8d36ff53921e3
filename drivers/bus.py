"""Buses whose chips are emulators: what drivers use of I2C, SPI and an RS-485 line.

For tests on every interpreter and for rigs without a board. They have no faults of their own; I2C
and SPI add no time either: `clock` says what time it is, and only the caller moves it. On RS-485 a
reply takes its time, since waiting for it is what the driver does.
"""

from drivers.errors import EmulatorError

_NO_ACKNOWLEDGE = 19
# Modbus over Serial Line V1.02, 2.5.1: start, 8 data, parity or second stop, stop.
_RS485_BITS_PER_BYTE = 11


class EmulatedI2C:
    """The bus of `devices`, a dict of 7-bit address -> emulator.

    `clock()` returns microseconds as an integer. `transfers` counts transactions that were
    acknowledged. An address without a device raises `OSError(19)`, as MicroPython's ports do; so
    does a device that answers None, which is how an emulator refuses to acknowledge.
    """

    def __init__(self, devices: dict, clock, name: str = "emulated I2C"):
        self._devices = devices
        self._clock = clock
        self._name = name
        self.transfers = 0

    def __str__(self) -> str:
        return self._name

    def scan(self) -> "list":
        """Return the addresses that answer, in ascending order."""
        return sorted(self._devices)

    def writeto(self, addr: int, buf) -> int:
        """Write `buf`; return the number of bytes acknowledged."""
        self._transfer(addr, bytes(buf), 0)
        return len(buf)

    def readfrom_into(self, addr: int, buf) -> None:
        """Fill `buf` from where the chip's register pointer stands."""
        buf[:] = self._transfer(addr, b"", len(buf))

    def writeto_mem(self, addr: int, memaddr: int, buf) -> None:
        """Write `buf` to register `memaddr`."""
        self._transfer(addr, bytes((memaddr,)) + bytes(buf), 0)

    def readfrom_mem_into(self, addr: int, memaddr: int, buf) -> None:
        """Set the register pointer to `memaddr` and fill `buf` after a repeated start."""
        buf[:] = self._transfer(addr, bytes((memaddr,)), len(buf))

    def _transfer(self, addr: int, write: bytes, read_count: int) -> bytes:
        if addr not in self._devices:
            raise OSError(_NO_ACKNOWLEDGE)
        data = self._devices[addr].transfer(write, read_count, self._clock())
        if data is None:
            raise OSError(_NO_ACKNOWLEDGE)
        self.transfers += 1
        return data


class EmulatedSPI:
    """One chip select, with `device` behind it; None is an empty socket, whose line reads ones."""

    def __init__(self, device, clock, name: str = "emulated SPI"):
        self._device = device
        self._clock = clock
        self._name = name
        self.transfers = 0

    def __str__(self) -> str:
        return self._name

    def write_readinto(self, out, into) -> None:
        """Clock `out` to the chip and as many bytes into `into`."""
        if len(out) != len(into):
            raise ValueError(f"{self._name}: {len(out)} bytes out, {len(into)} in")
        self.transfers += 1
        if self._device is None:
            into[:] = b"\xff" * len(into)
        else:
            into[:] = self._device.exchange(bytes(out), self._clock())


class EmulatedRS485:
    """A two-wire line with `devices`, a dict of unit id -> emulator.

    One `write` is one frame, and its first byte says which unit is meant; nobody else answers. A
    device has `respond(frame, now_us)`, which returns the reply or b"", and `turnaround_us`. A
    reply can be read once its last byte has come: after the request's time on the line, the
    turnaround and its own time. `transfers` counts frames written.
    """

    def __init__(self, devices: dict, clock, baud: int = 9600, name: str = "emulated RS-485"):
        self._devices = devices
        self._clock = clock
        self._baud = baud
        self._name = name
        self._coming: list = []
        self._arrived = b""
        self.transfers = 0

    def __str__(self) -> str:
        return self._name

    def line_us(self, count: int) -> int:
        """Return how long `count` bytes take on the line."""
        return count * _RS485_BITS_PER_BYTE * 1000000 // self._baud

    def write(self, data) -> int:
        """Send one frame."""
        frame = bytes(data)
        self.transfers += 1
        device = self._devices.get(frame[0])
        if device is not None:
            heard_us = self._clock() + self.line_us(len(frame))
            reply = device.respond(frame, heard_us)
            if reply:
                self.inject(reply, heard_us + device.turnaround_us + self.line_us(len(reply)))
        return len(frame)

    def inject(self, data: bytes, at_us: int) -> None:
        """Let `data` arrive at `at_us`, whoever sent it."""
        if len(self._coming) >= 64:
            raise EmulatorError(self._name, "64 replies nobody has read; the node does not listen")
        self._coming.append((at_us, data))
        self._coming.sort(key=lambda each: each[0])

    def any(self) -> int:
        """Return how many bytes have arrived and not been read."""
        now_us = self._clock()
        while self._coming and self._coming[0][0] <= now_us:
            self._arrived += self._coming.pop(0)[1]
        return len(self._arrived)

    def read(self, bytes_max: int = 256) -> bytes:
        """Return what has arrived, at most `bytes_max` bytes; empty when nothing has."""
        self.any()
        data = self._arrived[:bytes_max]
        self._arrived = self._arrived[bytes_max:]
        return data
