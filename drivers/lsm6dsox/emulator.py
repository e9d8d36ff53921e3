"""The accelerometer of an LSM6DSOX: data rate, burst reads, FIFO, self-test, software reset.

In the FIFO each conversion is sampled at its own time, 1/rate apart. `self_test_g` is the change
that the self-test makes along x, y and z: zeros are a mass that sticks. The low-pass filter and
the reload of trimming parameters are an error when asked for. The samples that the real chip's
filters need to settle (AN5272, turn-on times) are not modelled.
"""

from drivers.emulation import Conversions, EmulatedChip, Fifo
from drivers.lsm6dsox.registers import (
    CTRL1_XL,
    CTRL3_C,
    CTRL5_C,
    FIFO_CTRL1,
    FIFO_CTRL3,
    FIFO_CTRL4,
    FIFO_DATA_OUT_TAG,
    FIFO_DATA_OUT_Z,
    FIFO_STATUS1,
    FIFO_WORDS,
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
        self.self_test_g = (0.3, 0.3, 0.3)
        self._conversions = Conversions()
        self._batches = Conversions()
        self._fifo = Fifo(FIFO_WORDS)
        self._seen_lost = 0
        self._lsb_m_s2 = _lsb_m_s2(2)
        self._count = 0
        self._seen = 0
        self._reset_ends_us = 0

    @property
    def fifo_lost(self) -> int:
        """How many results the FIFO has overwritten since it was switched on."""
        return self._fifo.lost

    def _axis(self, name: str, at_us: int) -> int:
        count = self._sample(_OUTPUTS[name], self._lsb_m_s2, at_us)
        push = CTRL5_C.field("st_xl").setting(self._words["ctrl5_c"])
        if push != "off":
            change = self.self_test_g["xyz".index(name[3])] * STANDARD_GRAVITY_M_S2
            count += round(change / self._lsb_m_s2) * (1 if push == "positive" else -1)
            if not -0x8000 <= count <= 0x7FFF:
                self._refuse("the self-test saturates in this range; use 4 g")
        return count

    def _convert(self, now_us: int) -> None:
        count = self._conversions.count(now_us)
        if count == self._count:
            return
        ended_us = self._conversions.ended_us(count)
        for name in _OUTPUTS:
            self._words[name] = self._axis(name, ended_us)
        self._count = count

    def _pop(self, now_us: int) -> None:
        """Put the oldest result of the FIFO into its output registers; an empty one has no tag."""
        self._words["fifo_data_out_tag"] = 0
        if self._fifo.held(self._batches.count(now_us)) > 0:
            number = self._fifo.take()
            ended_us = self._batches.ended_us(number)
            for name in _OUTPUTS:
                self._words["fifo_data_out_" + name[3]] = self._axis(name, ended_us)
            field = FIFO_DATA_OUT_TAG.field
            tag = field("tag_cnt").put(field("tag_sensor").put(0, 2), number & 3)
            ones = sum([(tag >> bit) & 1 for bit in range(8)])
            self._words["fifo_data_out_tag"] = field("tag_parity").put(tag, ones & 1)

    def _fifo_status(self, now_us: int) -> int:
        held = self._fifo.held(self._batches.count(now_us))
        watermark = FIFO_CTRL1.field("wtm").get(self._words["fifo_ctrl1"])
        word = FIFO_STATUS1.word(
            diff_fifo=held,
            fifo_wtm_ia=int(0 < watermark <= held),
            fifo_full_ia=int(held >= FIFO_WORDS - 1),
            fifo_ovr_ia=int(held == FIFO_WORDS),
            over_run_latched=int(self._fifo.lost > self._seen_lost),
        )
        self._seen_lost = self._fifo.lost
        return word

    def _following(self, register) -> int:
        if register is FIFO_DATA_OUT_Z:
            return FIFO_DATA_OUT_TAG.address
        return super()._following(register)

    def _before_read(self, register, now_us: int) -> None:
        if register.name in _OUTPUTS:
            self._convert(now_us)
        elif register is STATUS_REG:
            self._convert(now_us)
            self._words["status_reg"] = STATUS_REG.word(xlda=int(self._count > self._seen))
        elif register is FIFO_STATUS1:
            self._words["fifo_status1"] = self._fifo_status(now_us)
        elif register is FIFO_DATA_OUT_TAG:
            self._pop(now_us)
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
                self._batches.halt()
                self._configure(now_us)
                self._reset_ends_us = now_us + _RESET_US
        elif register is CTRL1_XL:
            self._configure(now_us)
        elif register is CTRL5_C:
            if word & ~CTRL5_C.field("st_xl").mask():
                self._refuse("only the accelerometer's self-test is modelled in CTRL5_C")
        else:
            self._after_fifo_write(register, word, now_us)

    def _after_fifo_write(self, register, word: int, now_us: int) -> None:
        if register is FIFO_CTRL1:
            if word & ~FIFO_CTRL1.field("wtm").mask():
                self._refuse("only the watermark is modelled in FIFO_CTRL1 and FIFO_CTRL2")
        elif register is FIFO_CTRL3:
            if FIFO_CTRL3.field("bdr_gy").get(word):
                self._refuse("batching of the gyroscope is not modelled; leave BDR_GY 0")
        elif register is FIFO_CTRL4:
            self._batch(word, now_us)

    def _batch(self, word: int, now_us: int) -> None:
        field = FIFO_CTRL4.field
        mode = field("fifo_mode").setting(word)
        if mode == "fifo" or word & ~field("fifo_mode").mask():
            self._refuse("FIFO mode, temperature and time batches are not modelled; use continuous")
        self._fifo = Fifo(FIFO_WORDS)
        self._seen_lost = 0
        self._batches.halt()
        batch = FIFO_CTRL3.field("bdr_xl")
        rate_hertz = batch.setting(self._words["fifo_ctrl3"])
        if mode == "continuous" and rate_hertz:
            code = CTRL1_XL.field("odr_xl").get(self._words["ctrl1_xl"])
            if code != batch.get(self._words["fifo_ctrl3"]):
                self._refuse("a batch rate other than the output data rate is not modelled")
            # Twice the rate is whole for each of them.
            halves = int(2 * rate_hertz)
            self._batches.run(now_us, 2000000 // halves, 2000000, halves)

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
