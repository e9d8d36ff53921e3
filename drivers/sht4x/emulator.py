"""An SHT4x: commands, no acknowledge while it measures, a CRC behind every word.

Durations are the typical ones of section 3.1. Heater and medium or low repeatability's noise are
not modelled. `spoil_crc` makes every further reply wrong in one bit, as a bad cable does.
"""

from drivers.commands import crc8
from drivers.emulation import Inputs
from drivers.sht4x.registers import (
    COUNTS,
    HUMIDITY_OFFSET_PERCENT_RH,
    HUMIDITY_SPAN_PERCENT_RH,
    MAP,
    READ_SERIAL,
    SOFT_RESET,
    TEMPERATURE_OFFSET_CELSIUS,
    TEMPERATURE_SPAN_CELSIUS,
)

_TYPICAL_US = {
    "measure_high": 6900,
    "measure_medium": 3700,
    "measure_low": 1300,
    "read_serial": 0,
    "soft_reset": 600,
}
_SERIAL_NUMBER = 0x0F1E2D3C


class Sht4xEmulator(Inputs):
    """Quantities `temperature_celsius` and `humidity_percent_rh`."""

    RANGES = {
        "temperature_celsius": (-40.0, 125.0, 0.52 * TEMPERATURE_SPAN_CELSIUS / COUNTS),
        "humidity_percent_rh": (0.0, 100.0, 0.52 * HUMIDITY_SPAN_PERCENT_RH / COUNTS),
    }

    def __init__(self):
        super().__init__(MAP.part)
        self._command = None
        self._ready_us = 0
        self.spoil_crc = False

    def transfer(self, write: bytes, read_count: int, now_us: int) -> "bytes | None":
        """Do one I2C transaction; None is no acknowledge."""
        if now_us < self._ready_us:
            return None
        if write:
            self._obey(write, now_us)
        if not read_count:
            return b""
        return self._reply(read_count)

    def _obey(self, write: bytes, now_us: int) -> None:
        command = MAP.at(write[0])
        if command is None or len(write) != 1:
            self._refuse(f"command {write.hex()} is not declared")
        self._ready_us = now_us + _TYPICAL_US[command.name]
        self._command = None if command is SOFT_RESET else command

    def _reply(self, count: int) -> "bytes | None":
        command, self._command = self._command, None
        if command is None:
            return None
        if count > 3 * command.words:
            self._refuse(f"{count} bytes read after {command.label()}")
        if command is READ_SERIAL:
            words = (_SERIAL_NUMBER >> 16, _SERIAL_NUMBER & 0xFFFF)
        else:
            words = (self._temperature(), self._humidity())
        data = b""
        for word in words:
            pair = bytes((word >> 8, word & 0xFF))
            data += pair + bytes((crc8(pair, 0, 2) ^ self.spoil_crc,))
        return data[:count]

    def _temperature(self) -> int:
        celsius = self._value("temperature_celsius", self._ready_us)
        span = TEMPERATURE_SPAN_CELSIUS
        return round((celsius - TEMPERATURE_OFFSET_CELSIUS) * COUNTS / span)

    def _humidity(self) -> int:
        percent_rh = self._value("humidity_percent_rh", self._ready_us)
        span = HUMIDITY_SPAN_PERCENT_RH
        return round((percent_rh - HUMIDITY_OFFSET_PERCENT_RH) * COUNTS / span)


EMULATOR = Sht4xEmulator
