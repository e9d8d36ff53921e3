"""The accelerometer of an LSM6DSOX: data rate, data-ready flag, burst reads, software reset.

The low-pass filter and the reload of trimming parameters are an error when asked for. The samples
that the real chip's filters need to settle (AN5272, turn-on times) are not modelled.
"""

from drivers.emulation import Conversions, EmulatedChip
from drivers.lsm6dsox.registers import (
    CTRL1_XL,
    CTRL3_C,
    MAP,
    SENSITIVITY_MILLI_G,
    STANDARD_GRAVITY_M_S2,
    STATUS_REG,
)

_RESET_US = 50
_OUTPUTS = {
    "outx_a": "acceleration_m_s2_x",
    "outy_a": "acceleration_m_s2_y",
    "outz_a": "acceleration_m_s2_z",
}


def _lsb_m_s2(full_scale_g: int) -> float:
    return SENSITIVITY_MILLI_G[full_scale_g] * STANDARD_GRAVITY_M_S2 / 1000


def _ranges(full_scale_g: int) -> dict:
    """Return what the axes may be at this full scale; tolerances are half a count."""
    lsb = _lsb_m_s2(full_scale_g)
    limits = (-0x7FFF * lsb, 0x7FFF * lsb, 0.52 * lsb)
    return dict.fromkeys(_OUTPUTS.values(), limits)


class Lsm6dsoxEmulator(EmulatedChip):
    """Quantities `acceleration_m_s2_x`, `_y` and `_z`.

    The class states RANGES for the 2 g that chip and driver start with; those of an instance
    follow its CTRL1_XL.
    """

    RANGES = _ranges(2)

    def __init__(self):
        super().__init__(MAP)
        self._conversions = Conversions()
        self._lsb_m_s2 = _lsb_m_s2(2)
        self._count = 0
        self._seen = 0
        self._reset_ends_us = 0

    def _convert(self, now_us: int) -> None:
        count = self._conversions.count(now_us)
        if count == self._count:
            return
        ended_us = self._conversions.ended_us(count)
        for name, quantity in _OUTPUTS.items():
            self._words[name] = self._sample(quantity, self._lsb_m_s2, ended_us)
        self._count = count

    def _before_read(self, register, now_us: int) -> None:
        if register.name in _OUTPUTS:
            self._convert(now_us)
        elif register is STATUS_REG:
            self._convert(now_us)
            self._words["status_reg"] = STATUS_REG.word(xlda=int(self._count > self._seen))
        elif register is CTRL3_C:
            is_busy = now_us < self._reset_ends_us
            word = self._words["ctrl3_c"]
            self._words["ctrl3_c"] = CTRL3_C.field("sw_reset").put(word, int(is_busy))

    def _after_read(self, register) -> None:
        if register.name in _OUTPUTS:
            self._seen = self._count

    def _after_write(self, register, word: int, now_us: int) -> None:
        if register is CTRL3_C:
            if CTRL3_C.field("boot").get(word):
                self._refuse("the reload of trimming parameters is not modelled; leave BOOT 0")
            if CTRL3_C.field("sw_reset").get(word):
                self._reset_words()
                self._configure(now_us)
                self._reset_ends_us = now_us + _RESET_US
        elif register is CTRL1_XL:
            self._configure(now_us)

    def _configure(self, now_us: int) -> None:
        word = self._words["ctrl1_xl"]
        if CTRL1_XL.field("lpf2_xl_en").get(word):
            self._refuse("the second low-pass filter is not modelled; leave LPF2_XL_EN 0")
        full_scale_g = CTRL1_XL.field("fs_xl").setting(word)
        self._lsb_m_s2 = _lsb_m_s2(full_scale_g)
        self.RANGES = _ranges(full_scale_g)
        self._count = self._seen = 0
        rate_hertz = CTRL1_XL.field("odr_xl").setting(word)
        if rate_hertz:
            period_us = int(1000000 / rate_hertz)
            self._conversions.run(now_us, period_us, period_us)
        else:
            self._conversions.halt()

    def _increments(self) -> bool:
        return bool(CTRL3_C.field("if_inc").get(self._words["ctrl3_c"]))


EMULATOR = Lsm6dsoxEmulator
