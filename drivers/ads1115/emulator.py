"""An ADS1115 that converts on request or continuously, one input against ground at a time.

While a conversion runs the OS bit reads 0 and the conversion register holds the previous result.
Differential inputs and the comparator are an error when asked for. Timing is the typical one of
SBAS444D, section 9.4.2.1.
"""

from drivers.ads1115.registers import CONFIG, COUNTS, INPUTS, MAP
from drivers.emulation import Conversions, EmulatedChip

_WAKE_UP_US = 25
_QUANTITIES = ("voltage_volt_0", "voltage_volt_1", "voltage_volt_2", "voltage_volt_3")
_OS = CONFIG.field("os")
_MUX = CONFIG.field("mux")
_PGA = CONFIG.field("pga")
_MODE = CONFIG.field("mode")
_DR = CONFIG.field("dr")
_COMP_QUE = CONFIG.field("comp_que")


def _ranges(full_scale_volt: float, supply_volt: float) -> dict:
    """Return what an input may be at this full scale; tolerances are half a count.

    Section 7.1: no input may leave ground - 0.3 V .. supply + 0.3 V.
    """
    lsb = full_scale_volt / COUNTS
    low = max(-full_scale_volt, -0.3)
    high = min(full_scale_volt - lsb, supply_volt + 0.3)
    return dict.fromkeys(_QUANTITIES, (low, high, 0.52 * lsb))


class Ads1115Emulator(EmulatedChip):
    """Quantities `voltage_volt_0` .. `voltage_volt_3`, the inputs against ground.

    The class states RANGES for the full scale that chip and driver start with, 2.048 V; those of
    an instance follow its config register. `supply_volt` is VDD.
    """

    RANGES = _ranges(2.048, 3.3)

    def __init__(self, supply_volt: float = 3.3):
        self.RANGES = _ranges(2.048, supply_volt)
        super().__init__(MAP)
        self._supply_volt = supply_volt
        self._conversions = Conversions()
        self._is_single = True
        self._count = 0
        self._quantity = _QUANTITIES[0]
        self._lsb_volt = 2.048 / COUNTS

    def _convert(self, now_us: int) -> None:
        count = self._conversions.count(now_us)
        if self._is_single and count > 1:
            count = 1
        if count != self._count:
            ended_us = self._conversions.ended_us(count)
            self._words["conversion"] = self._sample(self._quantity, self._lsb_volt, ended_us)
            self._count = count

    def _before_read(self, register, now_us: int) -> None:
        self._convert(now_us)
        if register is CONFIG:
            is_idle = self._is_single and (self._count or not self._conversions.is_running())
            word = self._words["config"]
            self._words["config"] = _OS.put(word, int(is_idle))

    def _after_write(self, register, word: int, now_us: int) -> None:
        if register is not CONFIG:
            return
        # What has ended so far belongs to the old configuration, read or not.
        self._convert(now_us)
        if _COMP_QUE.get(word) != _COMP_QUE.code("disabled"):
            self._refuse("the comparator is not modelled; configure comp_que 3, disabled")
        was_single = self._is_single
        self._is_single = _MODE.setting(word) == "single_shot"
        if not self._is_single:
            self._begin(word, now_us)
        elif not was_single:
            self._conversions.halt()
            self._count = 0
        is_busy = self._conversions.is_running() and not self._count
        if self._is_single and _OS.get(word) and not is_busy:
            self._begin(word, now_us)

    def _begin(self, word: int, now_us: int) -> None:
        if _MUX.get(word) < INPUTS:
            self._refuse("differential inputs are not modelled; configure mux 4 .. 7")
        lsb_volt = _PGA.setting(word) / COUNTS
        if lsb_volt != self._lsb_volt:
            self._lsb_volt = lsb_volt
            self.RANGES = _ranges(_PGA.setting(word), self._supply_volt)
        self._quantity = _QUANTITIES[_MUX.setting(word)]
        self._count = 0
        period_us = 1000000 // _DR.setting(word)
        self._conversions.run(now_us, _WAKE_UP_US + period_us, period_us)


EMULATOR = Ads1115Emulator
