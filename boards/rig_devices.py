"""The buses of a board on the rig: I2C, SPI, UART and RS-485 as `hal.py` hands them out.

Promises: the subset of `machine.I2C` and `machine.SPI` that our drivers use, with the same errors.
Leaves to `rig_client.py` what a transaction is.  Frozen into the images of emulated boards only.
"""

import struct

import micropython
from rig_client import (
    OP_SPI,
    OP_UART_READ,
    OP_UART_WRITE,
    REPLY,
    REPLY_HEADER_BYTES,
    REQUEST,
    REQUEST_HEADER_BYTES,
    raise_for,
)

_EIO = 5


@micropython.viper
def _put_i2c(request: ptr8, bus: int, address: int, count: int, written: int):
    length = 11 + written
    request[0] = length
    request[1] = length >> 8
    request[2] = 1
    request[3] = bus
    request[8] = address
    request[9] = count
    request[10] = count >> 8


@micropython.viper
def _take(reply: ptr8, into: ptr8, count: int):
    for index in range(count):
        into[index] = reply[12 + index]


class RigI2C:
    """The subset of `machine.I2C` that our drivers use, over the rig bus.

    A missing device raises OSError(ENODEV) as on the chips, a hung bus OSError(ETIMEDOUT).
    """

    def __init__(self, bus, number: int) -> None:
        self._exchange = bus.exchange
        self._line = bus.line
        self._number = number

    def __str__(self) -> str:
        return "I2C(%d)" % self._number

    def writeto(self, address: int, data) -> None:
        """Write `data` to the device."""
        written = len(data)
        REQUEST[11 : 11 + written] = data
        _put_i2c(REQUEST, self._number, address, 0, written)
        self._exchange(self._line)
        if REPLY[0]:
            raise_for(REPLY[0])

    def readfrom_into(self, address: int, buffer) -> None:
        """Fill `buffer` from the device."""
        count = len(buffer)
        _put_i2c(REQUEST, self._number, address, count, 0)
        self._exchange(self._line)
        if REPLY[0]:
            raise_for(REPLY[0])
        _take(REPLY, buffer, count)

    def readfrom_mem_into(self, address: int, register: int, buffer) -> None:
        """Write the register's number, then read `buffer` after a repeated start."""
        count = len(buffer)
        REQUEST[11] = register
        _put_i2c(REQUEST, self._number, address, count, 1)
        self._exchange(self._line)
        if REPLY[0]:
            raise_for(REPLY[0])
        _take(REPLY, buffer, count)

    def writeto_mem(self, address: int, register: int, data) -> None:
        """Write the register's number and `data` in one transfer."""
        written = 1 + len(data)
        REQUEST[11] = register
        REQUEST[12 : 11 + written] = data
        _put_i2c(REQUEST, self._number, address, 0, written)
        self._exchange(self._line)
        if REPLY[0]:
            raise_for(REPLY[0])


class RigSPI:
    """Full-duplex transfers with one chip select, over the rig bus."""

    def __init__(self, bus, number: int) -> None:
        self._bus = bus
        self._number = number

    def write_readinto(self, data, buffer) -> None:
        """Clock `data` out and as many bytes into `buffer`."""
        count = self._bus.send_bytes(OP_SPI, self._number, data)
        if count != len(buffer):
            raise OSError(_EIO)
        buffer[:] = memoryview(REPLY)[REPLY_HEADER_BYTES : REPLY_HEADER_BYTES + count]


class RigUART:
    """A serial line: bytes to and from the gateway, or an RS-485 line that the rig turns around."""

    def __init__(self, bus, number: int) -> None:
        self._bus = bus
        self._number = number

    def write(self, data) -> None:
        """Queue `data` on the line; the line itself takes 10 bit times for each byte."""
        self._bus.send_bytes(OP_UART_WRITE, self._number, data)

    def any(self) -> bool:
        """Whether input was waiting when the rig last answered."""
        return bool(REPLY[1] & (1 << self._number))

    def read(self, bytes_max: int = 256) -> bytes:
        """What has arrived, at most `bytes_max` bytes; empty when nothing has."""
        struct.pack_into("<H", REQUEST, REQUEST_HEADER_BYTES, bytes_max)
        count = self._bus.transact(OP_UART_READ, self._number, 2)
        return bytes(memoryview(REPLY)[REPLY_HEADER_BYTES : REPLY_HEADER_BYTES + count])


class RigDevices:
    """What a HAL hands out by number, all of it over one rig bus."""

    def __init__(self, bus) -> None:
        self._bus = bus

    def i2c(self, number: int) -> RigI2C:
        """The I2C bus `number`, as a subset of machine.I2C."""
        return RigI2C(self._bus, number)

    def spi(self, number: int) -> RigSPI:
        """The SPI chip select `number`, as a subset of machine.SPI."""
        return RigSPI(self._bus, number)

    def uart(self, number: int) -> RigUART:
        """The UART `number` towards the gateway."""
        return RigUART(self._bus, number)

    def rs485(self, number: int) -> RigUART:
        """The UART `number` as a half-duplex RS-485 line."""
        return RigUART(self._bus, number)
