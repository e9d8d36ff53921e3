"""An I2C bus whose chips are emulators: the subset of `machine.I2C` that drivers use.

For tests on every interpreter and for rigs without a board. It has no faults of its own; it adds no
time either: `clock` says what time it is, and only the caller moves it.
"""

_NO_ACKNOWLEDGE = 19


class EmulatedI2C:
    """The bus of `devices`, a dict of 7-bit address -> emulator.

    `clock()` returns microseconds as an integer. `transfers` counts transactions that were
    acknowledged. An address without a device raises `OSError(19)`, as MicroPython's ports do.
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
        self.transfers += 1
        return self._devices[addr].transfer(write, read_count, self._clock())
