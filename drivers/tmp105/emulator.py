"""A TMP105 that converts continuously: conversion time by resolution, 0 °C until a first result.

Shutdown, one-shot and the interrupt mode of the thermostat are an error when asked for; the alert
pin is not modelled.
"""

from drivers.emulation import Conversions, EmulatedChip
from drivers.tmp105.registers import CONFIGURATION, CONVERSION_US, MAP, TEMPERATURE

_BITS_MAX = 12
_LSB_CELSIUS = 0.0625


class Tmp105Emulator(EmulatedChip):
    """Quantity `temperature_celsius`; tolerance at 12 bits, doubled with each bit less."""

    RANGES = {"temperature_celsius": (-55.0, 127.9375, 0.52 * _LSB_CELSIUS)}

    def __init__(self):
        super().__init__(MAP)
        self._conversions = Conversions()
        self._count = 0
        self._bits = 9
        self._start(0)

    def _start(self, now_us: int) -> None:
        self._bits = CONFIGURATION.field("r").setting(self._words["configuration"])
        period_us = CONVERSION_US[self._bits]
        self._count = 0
        self._conversions.run(now_us, period_us, period_us)

    def _before_read(self, register, now_us: int) -> None:
        if register is not TEMPERATURE:
            return
        count = self._conversions.count(now_us)
        if count != self._count:
            coarse = 1 << (_BITS_MAX - self._bits)
            ended_us = self._conversions.ended_us(count)
            steps = self._sample("temperature_celsius", coarse * _LSB_CELSIUS, ended_us)
            # The largest step below +128 °C is all ones.
            largest = (1 << (self._bits - 1)) - 1
            self._words["temperature"] = min(steps, largest) * coarse << 4
            self._count = count

    def _after_write(self, register, word: int, now_us: int) -> None:
        if register is not CONFIGURATION:
            return
        for name, what in (("sd", "shutdown"), ("os", "one-shot"), ("tm", "interrupt mode")):
            if CONFIGURATION.field(name).get(word):
                self._refuse(f"{what} is not modelled; leave {name.upper()} 0")
        low, high, _ = Tmp105Emulator.RANGES["temperature_celsius"]
        bits = CONFIGURATION.field("r").setting(word)
        tolerance = 0.52 * _LSB_CELSIUS * (1 << (_BITS_MAX - bits))
        self.RANGES = {"temperature_celsius": (low, high, tolerance)}
        self._start(now_us)


EMULATOR = Tmp105Emulator
