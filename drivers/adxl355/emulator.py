"""An ADXL355: data rate, FIFO of 32 triples with markers and overrun, self-test, software reset.

Samples are taken from the driven sources at the instants of the output data rate, each conversion
at its own time, also those that are read from the FIFO later. The filters' delay is not modelled;
the high-pass filter is an error when asked for. `self_test_g` is the change that the self-test
makes along x, y and z: zeros are a mass that sticks.
"""

from drivers.adxl355.registers import (
    COUNTS_PER_G,
    DIALECT,
    EMPTY_MARKER,
    FIFO_DATA,
    FIFO_ENTRIES,
    FIFO_SAMPLES,
    FIFO_TRIPLES,
    FILTER,
    MAP,
    POWER_CTL,
    RANGE,
    RESET,
    RESET_CODE,
    SELF_TEST,
    SELF_TEST_G,
    STANDARD_GRAVITY_M_S2,
    STATUS,
    TEMP,
    TEMPERATURE_COUNTS_25_CELSIUS,
    TEMPERATURE_COUNTS_PER_CELSIUS,
    X_MARKER,
)
from drivers.emulation import Conversions, EmulatedSpiChip, Fifo

_WAKE_UP_US = 5000
_RESET_US = 500
_PERIOD_4000_HERTZ_US = 250
_COUNTS_MAX = (1 << 19) - 1
_AXES = ("xdata", "ydata", "zdata")


def _ranges(full_scale_g: int) -> dict:
    """Return what may be driven at this full scale; tolerances are half a count."""
    lsb = STANDARD_GRAVITY_M_S2 / COUNTS_PER_G[full_scale_g]
    limits = (-_COUNTS_MAX * lsb, _COUNTS_MAX * lsb, 0.52 * lsb)
    found = {"acceleration_m_s2_" + name[0]: limits for name in _AXES}
    found["temperature_celsius"] = (-40.0, 125.0, -0.52 / TEMPERATURE_COUNTS_PER_CELSIUS)
    return found


class Adxl355Emulator(EmulatedSpiChip):
    """Quantities `acceleration_m_s2_x`, `_y`, `_z` and `temperature_celsius`.

    The class states RANGES for the 2 g that chip and driver start with; those of an instance
    follow its RANGE register.
    """

    RANGES = _ranges(2)

    def __init__(self):
        super().__init__(MAP, DIALECT)
        self.self_test_g = SELF_TEST_G
        self._conversions = Conversions()
        self._fifo = Fifo(FIFO_TRIPLES)
        self._popped = b""
        self._count = 0
        self._seen = 0
        self._seen_lost = 0
        self._reset_ends_us = 0

    @property
    def fifo_lost(self) -> int:
        """How many triples the FIFO has overwritten since measuring began."""
        return self._fifo.lost

    def _axis(self, name: str, at_us: int) -> int:
        """Return the 20-bit count of an axis at an instant."""
        per_g = COUNTS_PER_G[RANGE.field("range").setting(self._words["range"])]
        lsb = STANDARD_GRAVITY_M_S2 / per_g
        count = self._sample("acceleration_m_s2_" + name[0], lsb, at_us)
        if self._words["self_test"] == SELF_TEST.word(st1=1, st2=1):
            count += round(self.self_test_g[_AXES.index(name)] * per_g)
            if not -_COUNTS_MAX <= count <= _COUNTS_MAX:
                self._refuse("the self-test saturates in this range; use 8 g")
        return count

    def _convert(self, now_us: int) -> None:
        count = self._conversions.count(now_us)
        if count == self._count:
            return
        ended_us = self._conversions.ended_us(count)
        for name in _AXES:
            self._words[name] = self._axis(name, ended_us) << 4
        above = self._value("temperature_celsius", ended_us) - 25
        counts = round(above * TEMPERATURE_COUNTS_PER_CELSIUS)
        self._words["temp"] = TEMP.word(temperature=TEMPERATURE_COUNTS_25_CELSIUS + counts)
        self._count = count

    def _pop(self, now_us: int) -> int:
        """Return the next byte of the FIFO; an empty one shows the marker for it."""
        if not self._popped:
            if self._fifo.held(self._conversions.count(now_us)) > 0:
                ended_us = self._conversions.ended_us(self._fifo.take())
                for name in _AXES:
                    marker = X_MARKER if name == "xdata" else 0
                    word = (self._axis(name, ended_us) << 4) & 0xFFFFFF | marker
                    self._popped += bytes((word >> 16, (word >> 8) & 0xFF, word & 0xFF))
            else:
                self._popped = bytes((0, 0, EMPTY_MARKER))
        byte = self._popped[0]
        self._popped = self._popped[1:]
        return byte

    def _before_read(self, register, now_us: int) -> None:
        ended = self._conversions.count(now_us)
        entries = 3 * self._fifo.held(ended) + len(self._popped) // 3
        if register.name in _AXES or register is TEMP:
            self._convert(now_us)
        elif register is FIFO_DATA:
            self._words["fifo_data"] = self._pop(now_us)
        elif register is FIFO_ENTRIES:
            self._words["fifo_entries"] = FIFO_ENTRIES.word(entries=entries)
        elif register is STATUS:
            watermark = FIFO_SAMPLES.field("samples").get(self._words["fifo_samples"])
            self._words["status"] = STATUS.word(
                nvm_busy=int(now_us < self._reset_ends_us),
                fifo_ovr=int(self._fifo.lost > self._seen_lost),
                fifo_full=int(entries >= watermark),
                data_rdy=int(ended > self._seen),
            )
            # Section Interrupts: both bits are cleared by reading STATUS.
            self._seen, self._seen_lost = ended, self._fifo.lost

    def _following(self, register) -> int:
        return FIFO_DATA.address if register is FIFO_DATA else super()._following(register)

    def _after_write(self, register, word: int, now_us: int) -> None:
        is_standby = POWER_CTL.field("standby").get(self._words["power_ctl"])
        if register is RESET:
            if word != RESET_CODE:
                self._refuse(f"0x{word:02X} written to RESET, which takes 0x{RESET_CODE:02X}")
            self._reset_words()
            self._reset_ends_us = now_us + _RESET_US
            self._conversions.halt()
        elif register is POWER_CTL:
            self._set_power(word, now_us)
        elif (register is FILTER or register is RANGE) and not is_standby:
            self._refuse(f"{register.label()} written while measuring; set STANDBY first")
        elif register is FILTER and FILTER.field("hpf_corner").get(word):
            self._refuse("the high-pass filter is not modelled; leave HPF_CORNER 0")
        elif register is RANGE:
            self.RANGES = _ranges(RANGE.field("range").setting(word))

    def _set_power(self, word: int, now_us: int) -> None:
        if POWER_CTL.field("drdy_off").get(word) or POWER_CTL.field("temp_off").get(word):
            self._refuse("DRDY_OFF and TEMP_OFF are not modelled; leave them 0")
        self._count = self._seen = self._seen_lost = 0
        self._fifo = Fifo(FIFO_TRIPLES)
        self._popped = b""
        self._conversions.halt()
        if not POWER_CTL.field("standby").get(word):
            FILTER.field("odr_lpf").setting(self._words["filter"])
            code = FILTER.field("odr_lpf").get(self._words["filter"])
            period_us = _PERIOD_4000_HERTZ_US << code
            self._conversions.run(now_us, _WAKE_UP_US + period_us, period_us)


EMULATOR = Adxl355Emulator
