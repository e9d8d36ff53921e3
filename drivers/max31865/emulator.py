"""A MAX31865 with its resistor: automatic and single conversions, fault cycle, latched faults.

`break_wires(*names)` sets bits of the fault status register as damage does, until `break_wires()`.
An open resistor is `rtd_high_threshold`: its ratio is full scale. The manual fault cycle is an
error when asked for. Timing is the typical one.
"""

from drivers.emulation import Conversions, EmulatedSpiChip
from drivers.max31865.driver import rtd_ratio
from drivers.max31865.registers import (
    CELSIUS_MAX,
    CELSIUS_MIN,
    CONFIGURATION,
    DIALECT,
    FAULT_STATUS,
    FOLLOWING_US,
    MAP,
    RATIO_COUNTS,
    RTD,
    SINGLE_US,
)

_FAULT_CYCLE_US = 400
# At 850 °C the resistor is at its least sensitive: 0.293 % of R0 a degree.
_SLOPE_MIN = 2.93e-3


class Max31865Emulator(EmulatedSpiChip):
    """Quantity `temperature_celsius`; the tolerance follows resistor and reference."""

    RANGES = {"temperature_celsius": (-200.0, 850.0, 0.54 * 430 / 100 / RATIO_COUNTS / _SLOPE_MIN)}

    def __init__(self, nominal_ohm: float = 100.0, reference_ohm: float = 430.0):
        self._lsb = reference_ohm / nominal_ohm / RATIO_COUNTS
        highest = min(float(CELSIUS_MAX), _hottest(self._lsb))
        tolerance = 0.54 * self._lsb / _SLOPE_MIN
        self.RANGES = {"temperature_celsius": (float(CELSIUS_MIN), highest, tolerance)}
        super().__init__(MAP, DIALECT)
        self._conversions = Conversions()
        self._count = 0
        self._busy_until_us = 0
        self._broken = 0

    def break_wires(self, *names: str) -> None:
        """Let the faults called `names` be there, and no other."""
        self._broken = FAULT_STATUS.word(**dict.fromkeys(names, 1))

    def _convert(self, now_us: int) -> None:
        count = self._conversions.count(now_us)
        if not self._is_auto():
            count = min(count, 1)
        if count == self._count:
            return
        if self._broken & FAULT_STATUS.field("rtd_high_threshold").mask():
            ratio = RATIO_COUNTS - 1
        else:
            celsius = self._value("temperature_celsius", self._conversions.ended_us(count))
            ratio = min(RATIO_COUNTS - 1, round(rtd_ratio(celsius) / self._lsb))
        self._words["fault_status"] |= self._broken
        fault = int(self._words["fault_status"] != 0)
        self._words["rtd"] = RTD.word(ratio=ratio, fault=fault)
        self._count = count

    def _is_auto(self) -> bool:
        return bool(CONFIGURATION.field("conversion_mode").get(self._words["configuration"]))

    def _before_read(self, register, now_us: int) -> None:
        if register is CONFIGURATION:
            if now_us >= self._busy_until_us:
                field = CONFIGURATION.field
                word = field("one_shot").put(self._words["configuration"], 0)
                self._words["configuration"] = field("fault_detection").put(word, 0)
        elif register is RTD or register is FAULT_STATUS:
            self._convert(now_us)

    def _after_write(self, register, word: int, now_us: int) -> None:
        if register is not CONFIGURATION:
            self._refuse(f"{register.label()} other than at power-up is not modelled")
        field = CONFIGURATION.field
        if field("fault_status_clear").get(word):
            self._words["fault_status"] = 0
            self._words["rtd"] &= ~RTD.field("fault").mask()
            self._words["configuration"] = word = field("fault_status_clear").put(word, 0)
        if not field("vbias").get(word) and (self._is_auto() or field("one_shot").get(word)):
            self._refuse("conversion without VBIAS; set vbias first")
        cycle = field("fault_detection").setting(word)
        if cycle == "automatic":
            self._words["fault_status"] |= self._broken
            self._busy_until_us = now_us + _FAULT_CYCLE_US
        hertz = field("filter").setting(word)
        if self._is_auto() or field("one_shot").get(word):
            first_us = SINGLE_US[hertz]
            self._count = 0
            self._conversions.run(now_us, first_us, FOLLOWING_US[hertz])
            self._busy_until_us = now_us + first_us
        elif not self._is_auto():
            self._conversions.halt()
            self._count = 0


def _hottest(lsb: float) -> float:
    """Return the temperature whose ratio is the largest that the converter can show."""
    celsius = 0.0
    while celsius < CELSIUS_MAX and rtd_ratio(celsius + 1) < (RATIO_COUNTS - 1) * lsb:
        celsius += 1
    return celsius


EMULATOR = Max31865Emulator
