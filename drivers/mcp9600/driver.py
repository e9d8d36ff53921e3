"""Reads an MCP9600: continuous conversion, one bus transaction a reading.

The chip linearises and compensates by itself. Its filter stays off: the node has its own, and one
place must know the lag. At 18 bits a result is new every 320 ms only; fewer bits are faster and
resolve less than the register shows (8 uV, some 0.2 °C of type K, at 16 bits).
"""

from struct import unpack_from

from drivers.mcp9600.registers import (
    CONVERSION_US,
    DEVICE_CONFIGURATION,
    DEVICE_ID,
    SENSOR_CONFIGURATION,
    STATUS,
    T_C,
    T_H,
)
from drivers.port import RegisterPort

_DEVICE_ID = 0x4000
_HOT_FORMAT = T_H.code
_HOT_LSB_CELSIUS = T_H.lsb
_COLD_FORMAT = T_C.code
_COLD_LSB_CELSIUS = T_C.lsb


class Mcp9600:
    """The MCP9600 at `address` of `i2c`, with a thermocouple of type `thermocouple_type`.

    Types: K, J, T, N, S, E, B, R. `adc_bits`: 18, 16, 14, 12.
    """

    PART = "mcp9600"
    BUS = "i2c"

    def __init__(
        self, i2c, address: int, sleep_us, thermocouple_type: str = "K", adc_bits: int = 18
    ):
        self._port = RegisterPort(self.PART, i2c, address)
        self._thermocouple_type = thermocouple_type
        self._adc_bits = adc_bits
        self._sleep_us = sleep_us
        self._hot = bytearray(T_H.width_bytes)
        self._cold = bytearray(T_C.width_bytes)

    def start(self) -> None:
        """Check the identity, configure, wait for a first result (up to 1.3 s at 18 bits)."""
        port = self._port
        port.expect_identity(DEVICE_ID, DEVICE_ID.field("id").mask(), _DEVICE_ID)
        kind = SENSOR_CONFIGURATION.field("thermocouple_type").code(self._thermocouple_type)
        port.write(SENSOR_CONFIGURATION, SENSOR_CONFIGURATION.word(thermocouple_type=kind))
        field = DEVICE_CONFIGURATION.field
        port.write(
            DEVICE_CONFIGURATION,
            DEVICE_CONFIGURATION.word(
                cold_junction_resolution=field("cold_junction_resolution").code(_COLD_LSB_CELSIUS),
                adc_resolution=field("adc_resolution").code(self._adc_bits),
                mode=field("mode").code("normal"),
            ),
        )
        # The flag of an earlier conversion, made with another configuration, is cleared first.
        port.write(STATUS, 0)
        ready = STATUS.field("th_update").mask()
        pause_us = CONVERSION_US[self._adc_bits]
        port.await_bits(STATUS, ready, ready, self._sleep_us, pause_us, polls_max=4)

    def temperature_celsius(self) -> float:
        """Return the temperature of the hot junction, cold junction compensated."""
        self._port.read_into(T_H, self._hot)
        return unpack_from(_HOT_FORMAT, self._hot)[0] * _HOT_LSB_CELSIUS

    def cold_junction_temperature_celsius(self) -> float:
        """Return the temperature of the chip, which is that of the cold junction."""
        self._port.read_into(T_C, self._cold)
        return unpack_from(_COLD_FORMAT, self._cold)[0] * _COLD_LSB_CELSIUS


DRIVER = Mcp9600
