"""Reads an SHT4x: each reading is a command, the wait that it needs, and two words with their CRC.

Temperature and humidity come together, but each reading asks anew: a value is never older than
the call. The heater is left off.
"""

from drivers.commands import WORD_BYTES, Command, CommandPort
from drivers.errors import RegisterError
from drivers.sht4x.registers import (
    COUNTS,
    HUMIDITY_OFFSET_PERCENT_RH,
    HUMIDITY_SPAN_PERCENT_RH,
    PRECISIONS,
    READ_SERIAL,
    SOFT_RESET,
    TEMPERATURE_OFFSET_CELSIUS,
    TEMPERATURE_SPAN_CELSIUS,
)

_PAUSE_US = 500
_POLLS_MAX = 6


class Sht4x:
    """The SHT4x at `address` of `i2c`; `precision` is "high", "medium" or "low".

    `serial_number` is that of the chip, 32 bits, None before `start()`.
    """

    PART = "sht4x"
    BUS = "i2c"

    def __init__(self, i2c, address: int, sleep_us, precision: str = "high"):
        self._port = CommandPort(self.PART, i2c, address)
        self._sleep_us = sleep_us
        self._precision = precision
        self._measure: "Command | None" = None
        self._reply = bytearray(2 * WORD_BYTES)
        self.serial_number: "int | None" = None

    def start(self) -> None:
        """Reset, then read the serial number: its two CRCs are the chip's identity."""
        if self._precision not in PRECISIONS:
            raise RegisterError(
                f"{self.PART}: no precision {self._precision!r}, use one of "
                + ", ".join(sorted(PRECISIONS))
            )
        self._measure = None
        self._port.send(SOFT_RESET)
        self._sleep_us(SOFT_RESET.duration_us)
        self._execute(READ_SERIAL)
        self.serial_number = (self._word(0) << 16) | self._word(1)
        self._measure = PRECISIONS[self._precision]

    def temperature_celsius(self) -> float:
        """Return the temperature, newly measured."""
        self._execute(self._measure)
        return TEMPERATURE_OFFSET_CELSIUS + TEMPERATURE_SPAN_CELSIUS * self._word(0) / COUNTS

    def humidity_percent_rh(self) -> float:
        """Return the relative humidity, newly measured, 0 .. 100.

        The scale reaches a little beyond both ends; section 4.6 says to crop there.
        """
        self._execute(self._measure)
        humidity = HUMIDITY_OFFSET_PERCENT_RH + HUMIDITY_SPAN_PERCENT_RH * self._word(1) / COUNTS
        return min(100.0, max(0.0, humidity))

    def _execute(self, command: "Command | None") -> None:
        port = self._port
        if command is None:
            port.fail(READ_SERIAL, "not started; call start() first")
            return
        port.send(command)
        if command.duration_us:
            self._sleep_us(command.duration_us)
        port.receive(command, self._reply, self._sleep_us, _PAUSE_US, _POLLS_MAX)

    def _word(self, number: int) -> int:
        start = number * WORD_BYTES
        return (self._reply[start] << 8) | self._reply[start + 1]


DRIVER = Sht4x
