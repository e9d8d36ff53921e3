"""An MCP9600 with a type K thermocouple in normal mode: conversion times and the update flag.

What is driven is the temperature itself, so the error of cold-junction compensation and the
converter's own resolution do not appear. Other thermocouple types, burst mode and the filter are an
error when asked for; alerts read 0. Timing is the typical one of DS20005426, section 5.
"""

from drivers.emulation import Conversions, EmulatedChip
from drivers.mcp9600.registers import (
    COLD_JUNCTION_US,
    CONVERSION_US,
    DEVICE_CONFIGURATION,
    MAP,
    SENSOR_CONFIGURATION,
    STATUS,
    T_C,
    T_DELTA,
    T_H,
)


class Mcp9600Emulator(EmulatedChip):
    """Quantities `temperature_celsius` (hot junction) and `cold_junction_temperature_celsius`.

    Ranges: type K, and the chip's own operating range.
    """

    # Half a count, and a little for 32-bit floats.
    RANGES = {
        "temperature_celsius": (-200.0, 1372.0, 0.52 * 0.0625),
        "cold_junction_temperature_celsius": (-40.0, 125.0, 0.52 * 0.0625),
    }

    def __init__(self):
        super().__init__(MAP)
        self._hot = Conversions()
        self._cold = Conversions()
        self._hot_count = 0
        self._cold_count = 0
        self._cleared = 0
        self._start(0)

    def _start(self, now_us: int) -> None:
        word = self._words["device_configuration"]
        mode = DEVICE_CONFIGURATION.field("mode").get(word)
        self._hot_count = self._cold_count = self._cleared = 0
        if mode == 1:
            self._hot.halt()
            self._cold.halt()
        elif mode == 0:
            field = DEVICE_CONFIGURATION.field
            hot_us = CONVERSION_US[field("adc_resolution").setting(word)]
            cold_us = COLD_JUNCTION_US[field("cold_junction_resolution").setting(word)]
            self._hot.run(now_us, hot_us, hot_us)
            self._cold.run(now_us, cold_us, cold_us)
        else:
            self._refuse("burst mode is not modelled; configure mode 0, normal")

    def _convert(self, now_us: int) -> None:
        count = self._cold.count(now_us)
        if count != self._cold_count:
            cold = self._sample(
                "cold_junction_temperature_celsius", T_C.lsb, self._cold.ended_us(count)
            )
            field = DEVICE_CONFIGURATION.field("cold_junction_resolution")
            is_coarse = field.get(self._words["device_configuration"])
            self._words["t_c"] = cold & ~3 if is_coarse else cold
            self._cold_count = count
        count = self._hot.count(now_us)
        if count != self._hot_count:
            hot = self._sample("temperature_celsius", T_H.lsb, self._hot.ended_us(count))
            self._words["t_h"] = hot
            self._words["t_delta"] = hot - self._words["t_c"]
            self._hot_count = count

    def _before_read(self, register, now_us: int) -> None:
        if register in (T_H, T_DELTA, T_C):
            self._convert(now_us)
        elif register is STATUS:
            self._convert(now_us)
            is_new = self._hot_count > self._cleared
            self._words["status"] = STATUS.word(th_update=int(is_new))

    def _after_write(self, register, word: int, now_us: int) -> None:
        if register is STATUS:
            # Register 5-6: writing 0 clears the flag, writing 1 leaves it.
            self._convert(now_us)
            if not STATUS.field("th_update").get(word):
                self._cleared = self._hot_count
        elif register is SENSOR_CONFIGURATION:
            if word:
                self._refuse("only type K without filter is modelled; write 0")
        elif register is DEVICE_CONFIGURATION:
            self._start(now_us)


EMULATOR = Mcp9600Emulator
