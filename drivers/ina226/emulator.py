"""An INA226 across a known shunt: cycle time, conversion-ready flag, calibrated registers.

Modes other than power-down and shunt-and-bus-continuous are an error when asked for; alerts are
not modelled. Timing is the typical one of SBOS547B, section 5.5.
"""

from drivers.emulation import Conversions, EmulatedChip
from drivers.ina226.registers import (
    BUS_VOLTAGE,
    CALIBRATION,
    CONFIGURATION,
    CURRENT,
    MAP,
    MASK_ENABLE,
    POWER,
    SHUNT_VOLTAGE,
)

_SHUNT_COUNTS_MAX = 0x7FFF
_RESULTS = (SHUNT_VOLTAGE, BUS_VOLTAGE, CURRENT, POWER)


def _ranges(shunt_ohm: float) -> dict:
    """Return what a shunt of `shunt_ohm` lets be measured; tolerances are half a count.

    The bus input is specified to 36 V (section 5.3) though its register reaches 40.96 V.
    """
    lsb = 2.5e-6 / shunt_ohm
    return {
        "current_ampere": (-_SHUNT_COUNTS_MAX * lsb, _SHUNT_COUNTS_MAX * lsb, 0.52 * lsb),
        "voltage_volt": (0.0, 36.0, 0.52 * 1.25e-3),
    }


class Ina226Emulator(EmulatedChip):
    """Quantities `current_ampere` (through `shunt_ohm`) and `voltage_volt` (at the VBUS pin).

    The class states RANGES for the 2 milliohm of the datasheet's example, an instance for its own.
    """

    RANGES = _ranges(0.002)

    def __init__(self, shunt_ohm: float):
        self.RANGES = _ranges(shunt_ohm)
        super().__init__(MAP)
        self._lsb_ampere = SHUNT_VOLTAGE.lsb / shunt_ohm
        self._conversions = Conversions()
        self._count = 0
        self._seen = 0
        self._start(0)

    def _start(self, now_us: int) -> None:
        word = self._words["configuration"]
        self._count = self._seen = 0
        mode = CONFIGURATION.field("mode").get(word)
        if mode in (0, 4):
            self._conversions.halt()
        elif mode == 7:
            conversion_us = CONFIGURATION.field("vbusct").setting(word)
            conversion_us += CONFIGURATION.field("vshct").setting(word)
            cycle_us = CONFIGURATION.field("avg").setting(word) * conversion_us
            self._conversions.run(now_us, cycle_us, cycle_us)
        else:
            self._refuse(f"mode {mode} is not modelled; configure 7, shunt and bus continuously")

    def _convert(self, now_us: int) -> None:
        count = self._conversions.count(now_us)
        if count == self._count:
            return
        ended_us = self._conversions.ended_us(count)
        shunt = self._sample("current_ampere", self._lsb_ampere, ended_us)
        bus = self._sample("voltage_volt", BUS_VOLTAGE.lsb, ended_us)
        # Equations 3 and 4 of SBOS547 (June 2011), page 15; in later editions, section 6.5.
        current = shunt * CALIBRATION.field("fs").get(self._words["calibration"]) // 2048
        if not -0x8000 <= current <= 0x7FFF:
            self._refuse(f"the current register overflows at {current}; lower the calibration")
        self._words["shunt_voltage"] = shunt
        self._words["bus_voltage"] = bus
        self._words["current"] = current
        self._words["power"] = abs(current) * bus // 20000
        self._count = count

    def _before_read(self, register, now_us: int) -> None:
        if register in _RESULTS:
            self._convert(now_us)
        elif register is MASK_ENABLE:
            self._convert(now_us)
            ready = MASK_ENABLE.field("cvrf")
            word = self._words["mask_enable"]
            self._words["mask_enable"] = ready.put(word, int(self._count > self._seen))

    def _after_read(self, register) -> None:
        # Section 7.1.7: reading Mask/Enable clears the conversion-ready flag.
        if register is MASK_ENABLE:
            self._seen = self._count

    def _after_write(self, register, word: int, now_us: int) -> None:
        if register is not CONFIGURATION:
            return
        if CONFIGURATION.field("rst").get(word):
            self._reset_words()
        self._start(now_us)


EMULATOR = Ina226Emulator
