"""Reads an INA226: both inputs continuously, one bus transaction a reading.

Current is the shunt voltage over the shunt's resistance: that needs no calibration register and
loses no resolution to it (SBOS547B, section 6.5.3). Power and alerts are left to others.
"""

from struct import unpack_from

from drivers.ina226.registers import (
    BUS_VOLTAGE,
    CONFIGURATION,
    DIE_ID,
    MANUFACTURER_ID,
    MASK_ENABLE,
    SHUNT_VOLTAGE,
)
from drivers.port import RegisterPort

_MANUFACTURER_ID = 0x5449
_DIE_ID = 0x2260
_SHUNT_FORMAT = SHUNT_VOLTAGE.code
_SHUNT_LSB_VOLT = SHUNT_VOLTAGE.lsb
_BUS_FORMAT = BUS_VOLTAGE.code
_BUS_LSB_VOLT = BUS_VOLTAGE.lsb
_CONVERSION_US = 1100
# Section 5.5: the longest of a nominal 1.1 ms is 1.21 ms, for each of the two inputs.
_CYCLE_MAX_US = 2 * 1210


class Ina226:
    """The INA226 at `address` of `i2c`, across a shunt of `shunt_ohm`.

    A result is the mean of `averages` conversions (1, 4, 16, 64, 128, 256, 512, 1024).
    """

    PART = "ina226"
    BUS = "i2c"

    def __init__(self, i2c, address: int, sleep_us, shunt_ohm: float, averages: int = 1):
        self._port = RegisterPort(self.PART, i2c, address)
        self._averages = averages
        self._sleep_us = sleep_us
        self._lsb_ampere = _SHUNT_LSB_VOLT / shunt_ohm
        self._shunt = bytearray(SHUNT_VOLTAGE.width_bytes)
        self._bus = bytearray(BUS_VOLTAGE.width_bytes)

    def start(self) -> None:
        """Check the identity, reset, configure, wait for a first pair of results."""
        port = self._port
        port.expect_identity(MANUFACTURER_ID, 0xFFFF, _MANUFACTURER_ID)
        port.expect_identity(DIE_ID, 0xFFFF, _DIE_ID)
        port.write(CONFIGURATION, CONFIGURATION.word(rst=1))
        field = CONFIGURATION.field
        port.write(
            CONFIGURATION,
            CONFIGURATION.word(
                avg=field("avg").code(self._averages),
                vbusct=field("vbusct").code(_CONVERSION_US),
                vshct=field("vshct").code(_CONVERSION_US),
                mode=field("mode").code("shunt_and_bus_continuous"),
            ),
        )
        ready = MASK_ENABLE.field("cvrf").mask()
        pause_us = _CYCLE_MAX_US * self._averages
        port.await_bits(MASK_ENABLE, ready, ready, self._sleep_us, pause_us, polls_max=3)

    def current_ampere(self) -> float:
        """Return the current through the shunt, positive from IN+ to IN-."""
        self._port.read_into(SHUNT_VOLTAGE, self._shunt)
        return unpack_from(_SHUNT_FORMAT, self._shunt)[0] * self._lsb_ampere

    def voltage_volt(self) -> float:
        """Return the voltage of the VBUS pin against ground."""
        self._port.read_into(BUS_VOLTAGE, self._bus)
        return unpack_from(_BUS_FORMAT, self._bus)[0] * _BUS_LSB_VOLT


DRIVER = Ina226
