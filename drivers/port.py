"""A chip's registers over a bus: what every driver does the same way, with errors that say where.

A `RegisterPort` turns each `OSError` of the bus into a `DriverError`, checks identities, and polls
with a bound. `read_into` is the hot call: one bus transaction into the caller's own buffer. The
other methods allocate and are for `start()`.

The bus is the subset of `machine.I2C` that `drivers.bus.EmulatedI2C` names; `spi_port.py` is the
same for chips on SPI.
"""

from drivers.errors import DriverError
from drivers.registers import Register

_NO_ACKNOWLEDGE = 19
_BUS_TIMEOUT = 110
_CAUSES = {
    _NO_ACKNOWLEDGE: "no acknowledge: check supply, wiring and address straps",
    _BUS_TIMEOUT: "bus timeout: a line is held low, check pull-ups and power-cycle the bus",
}


class RegisterPort:
    """The registers of the `part` that answers at `address` of `i2c`."""

    def __init__(self, part: str, i2c, address: int):
        self.part = part
        self._bus = i2c
        self._address = address

    def where(self) -> str:
        """Return bus and address as messages show them."""
        return f"{self._bus} address 0x{self._address:02X}"

    def read_into(self, register: Register, buffer) -> None:
        """Fill `buffer` from `register` on, in one transaction."""
        try:
            self._bus.readfrom_mem_into(self._address, register.address, buffer)
        except OSError as error:
            self._fail_of_bus(register, error)

    def write_from(self, register: Register, data) -> None:
        """Send `data`, packed already, to `register` in one transaction."""
        try:
            self._bus.writeto_mem(self._address, register.address, data)
        except OSError as error:
            self._fail_of_bus(register, error)

    def read(self, register: Register) -> int:
        """Return the value of `register`, signed where it is declared so."""
        data = bytearray(register.width_bytes)
        self.read_into(register, data)
        return register.unpack(data)

    def write(self, register: Register, word: int) -> None:
        """Set `register` to `word`."""
        self.write_from(register, register.pack(word))

    def expect(self, register: Register, mask: int, expected: int, remedy: str) -> None:
        """Read `register`; `DriverError` unless its bits under `mask` are `expected`."""
        found = self.read(register)
        if found & mask != expected:
            digits = 2 * register.width_bytes
            self.fail(
                register,
                f"expected 0x{expected:0{digits}X}, got 0x{found & mask:0{digits}X}; {remedy}",
            )

    def expect_identity(self, register: Register, mask: int, expected: int) -> None:
        """Read an identity register; `DriverError` when another chip answers."""
        self.expect(
            register, mask, expected, f"check that the chip at this address is a {self.part}"
        )

    def await_bits(
        self, register: Register, mask: int, expected: int, sleep_us, pause_us: int, polls_max: int
    ) -> None:
        """Poll `register` until its bits under `mask` are `expected`.

        Polls at most `polls_max` times, `sleep_us(pause_us)` apart.
        """
        for _ in range(polls_max):
            if self.read(register) & mask == expected:
                return
            sleep_us(pause_us)
        self.fail(
            register,
            f"not ready after {polls_max} polls, {pause_us} us apart; check supply and sleep_us",
        )

    def fail(self, register, what: str) -> None:
        """Raise the `DriverError` of this chip and bus; `register` is what has a `label()`."""
        raise DriverError(self.part, register.label(), self.where(), what)

    def _fail_of_bus(self, register, error: OSError) -> None:
        # CPython sets `errno` only of an OSError made with two arguments.
        number = error.args[0] if error.args else 0
        self.fail(register, _CAUSES.get(number, f"bus error {number}; check the wiring"))
