"""I2C by hand: a bus whose controller is two registers that set and clear SCL and SDA.

Promises: the subset of `machine.I2C` that our drivers use over an SBCon controller (Arm DDI 0224,
section 4.13; also in the MPS2 boards): a device that does not acknowledge its address raises
OSError(ENODEV) as on the chips, one that does not take a byte OSError(EIO), a clock that is held
down OSError(ETIMEDOUT).  After every error the bus has seen a stop condition.
Leaves to `hal.py` where the controllers are.

    base + 0   write: set the bits that are one; read: the lines
    base + 4   write: clear the bits that are one
    bit 0 SCL, bit 1 SDA
"""

import micropython

_ENODEV = 19
_EIO = 5
_ETIMEDOUT = 110


@micropython.viper
def _raise_clock(base: ptr32) -> int:
    """Let SCL rise; 0 when something still holds it down after a bounded wait."""
    base[0] = 1
    for _ in range(1000):
        if base[0] & 1:
            return 1
    return 0


@micropython.viper
def _start(base: ptr32) -> int:
    """A start condition, or a repeated one: SDA falls while SCL is high (UM10204, 3.1.4)."""
    base[0] = 2
    if not int(_raise_clock(base)):
        return 0
    base[1] = 2
    base[1] = 1
    return 1


@micropython.viper
def _stop(base: ptr32):
    """A stop condition: SDA rises while SCL is high."""
    base[1] = 1
    base[1] = 2
    base[0] = 1
    base[0] = 2


@micropython.viper
def _write_byte(base: ptr32, value: int) -> int:
    """Clock one byte out: 0 acknowledged, 1 not, 2 the clock is held down."""
    mask = 0x80
    while mask:
        if value & mask:
            base[0] = 2
        else:
            base[1] = 2
        if not int(_raise_clock(base)):
            return 2
        base[1] = 1
        mask >>= 1
    base[0] = 2
    if not int(_raise_clock(base)):
        return 2
    answer = (base[0] >> 1) & 1
    base[1] = 1
    return answer


@micropython.viper
def _read_into(base: ptr32, buffer: ptr8, count: int) -> int:
    """Clock `count` bytes in, the last one not acknowledged; 0, or 2: the clock is held down."""
    for index in range(count):
        value = 0
        base[0] = 2
        for _ in range(8):
            if not int(_raise_clock(base)):
                return 2
            value = (value << 1) | ((base[0] >> 1) & 1)
            base[1] = 1
        buffer[index] = value
        if index < count - 1:
            base[1] = 2
        if not int(_raise_clock(base)):
            return 2
        base[1] = 1
    return 0


class HandI2C:
    """The I2C bus of the controller at `base`."""

    def __init__(self, base: int) -> None:
        self._base = base
        self._register = bytearray(1)

    def __str__(self) -> str:
        return "I2C(0x%08x)" % self._base

    def writeto(self, address: int, data) -> None:
        """Write `data` to the device."""
        self._begin(address << 1)
        self._send(data)
        _stop(self._base)

    def readfrom_into(self, address: int, buffer) -> None:
        """Fill `buffer` from the device."""
        self._begin(address << 1 | 1)
        self._check(_read_into(self._base, buffer, len(buffer)), _EIO)
        _stop(self._base)

    def readfrom_mem_into(self, address: int, register: int, buffer) -> None:
        """Write the register's number, then fill `buffer` after a repeated start."""
        self._select(address, register)
        self.readfrom_into(address, buffer)

    def writeto_mem(self, address: int, register: int, data) -> None:
        """Write the register's number and `data` in one transfer."""
        self._select(address, register)
        self._send(data)
        _stop(self._base)

    def _select(self, address: int, register: int) -> None:
        self._begin(address << 1)
        self._register[0] = register
        self._send(self._register)

    def _begin(self, head: int) -> None:
        if not _start(self._base):
            self._check(2, 0)
        self._check(_write_byte(self._base, head), _ENODEV)

    def _send(self, data) -> None:
        for value in data:
            self._check(_write_byte(self._base, value), _EIO)

    def _check(self, outcome: int, refused: int) -> None:
        if outcome:
            _stop(self._base)
            raise OSError(_ETIMEDOUT if outcome == 2 else refused)
