"""Reads a TMP117: continuous conversion at the shortest cycle, one bus transaction a reading.

Limits, alerts and the EEPROM are left at what the chip powers up with.
"""

from struct import unpack_from

from drivers.port import RegisterPort
from drivers.tmp117.registers import CONFIGURATION, CONVERSION_US, DEVICE_ID, TEMP_RESULT

_DEVICE_ID = 0x0117
_FORMAT = TEMP_RESULT.code
_LSB_CELSIUS = TEMP_RESULT.lsb
# Section 7.3.1: the register holds its reset value, -256 °C, until a first conversion has ended.
_NO_CONVERSION = -0x8000


class Tmp117:
    """The TMP117 at `address` of `i2c`; a result is the mean of `averages` (1, 8, 32, 64)."""

    PART = "tmp117"
    BUS = "i2c"

    def __init__(self, i2c, address: int, sleep_us, averages: int = 1):
        self._port = RegisterPort(self.PART, i2c, address)
        self._averages = averages
        self._sleep_us = sleep_us
        self._result = bytearray(TEMP_RESULT.width_bytes)

    def start(self) -> None:
        """Check the identity, configure, wait for a first result."""
        port = self._port
        port.expect_identity(DEVICE_ID, DEVICE_ID.field("did").mask(), _DEVICE_ID)
        field = CONFIGURATION.field
        port.write(
            CONFIGURATION,
            CONFIGURATION.word(
                mod=field("mod").code("continuous"),
                conv=0,
                avg=field("avg").code(self._averages),
            ),
        )
        ready = field("data_ready").mask()
        port.await_bits(
            CONFIGURATION,
            ready | field("eeprom_busy").mask(),
            ready,
            self._sleep_us,
            CONVERSION_US * self._averages,
            polls_max=4,
        )

    def temperature_celsius(self) -> float:
        """Return the latest result; `DriverError` when there is none yet."""
        self._port.read_into(TEMP_RESULT, self._result)
        count = unpack_from(_FORMAT, self._result)[0]
        if count == _NO_CONVERSION:
            self._port.fail(
                TEMP_RESULT, "no conversion has ended since power-up; call start() first"
            )
        return count * _LSB_CELSIUS


DRIVER = Tmp117
