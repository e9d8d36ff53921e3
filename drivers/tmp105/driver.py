"""Reads a TMP105: continuous conversion, one bus transaction a reading.

The chip has no identity register and no flag for a finished conversion. `start()` therefore holds
it to its configuration register, and then waits as long as a conversion may take. Thermostat
limits are left at what the chip powers up with.
"""

from struct import unpack_from

from drivers.port import RegisterPort
from drivers.tmp105.registers import CONFIGURATION, CONVERSION_MAX_US, TEMPERATURE

_FORMAT = TEMPERATURE.code
_LSB_CELSIUS = TEMPERATURE.lsb


class Tmp105:
    """The TMP105 at `address` of `i2c`, converting `resolution_bits` (9, 10, 11 or 12) bits."""

    PART = "tmp105"
    BUS = "i2c"

    def __init__(self, i2c, address: int, sleep_us, resolution_bits: int = 12):
        self._port = RegisterPort(self.PART, i2c, address)
        self._resolution_bits = resolution_bits
        self._sleep_us = sleep_us
        self._is_started = False
        self._result = bytearray(TEMPERATURE.width_bytes)

    def start(self) -> None:
        """Configure, read back, wait for a first result."""
        port = self._port
        code = CONFIGURATION.field("r").code(self._resolution_bits)
        word = CONFIGURATION.word(r=code)
        port.write(CONFIGURATION, word)
        # Bit OS reads as the chip likes: it is the alert's state in some of its modes.
        kept = CONFIGURATION.mask() & ~CONFIGURATION.field("os").mask()
        remedy = f"the chip at this address keeps other bits than a {self.PART}"
        port.expect(CONFIGURATION, kept, word, remedy)
        self._sleep_us(CONVERSION_MAX_US[int(self._resolution_bits)])
        self._is_started = True

    def temperature_celsius(self) -> float:
        """Return the latest result."""
        self._port.read_into(TEMPERATURE, self._result)
        if not self._is_started:
            self._port.fail(TEMPERATURE, "perhaps not converted yet; call start() first")
        return unpack_from(_FORMAT, self._result)[0] * _LSB_CELSIUS


DRIVER = Tmp105
