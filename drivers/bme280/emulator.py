"""A BME280: forced and normal mode, measuring flag, trimming words, raw results from SI values.

A raw result is the one whose compensated value is next to the driven one, found by bisection of
the driver's own equations. The filter and skipped measurements are an error when asked for.
Timing is the typical one of section 9.1.
"""

from drivers.bme280.driver import fine_temperature, humidity_percent_rh, pressure_pascal
from drivers.bme280.registers import (
    CONFIG,
    CTRL_HUM,
    CTRL_MEAS,
    DIG_H1,
    DIG_H2,
    DIG_H3,
    DIG_H4,
    DIG_H4_H5,
    DIG_H5,
    DIG_H6,
    DIG_T1,
    DIG_T2,
    DIG_T3,
    MAP,
    PRESSURE_WORDS,
    RESET,
    RESET_CODE,
    STATUS,
    measurement_us,
)
from drivers.emulation import Conversions, EmulatedChip

_IM_UPDATE_US = 300
_RESULTS = ("press", "temp", "hum")


class Bme280Emulator(EmulatedChip):
    """Quantities `temperature_celsius`, `pressure_pascal` and `humidity_percent_rh`."""

    # Half a count or a little more, which depends on the trimming words and the temperature.
    RANGES = {
        "temperature_celsius": (-40.0, 85.0, 0.004),
        "pressure_pascal": (30000.0, 110000.0, 0.2),
        "humidity_percent_rh": (0.0, 100.0, 0.01),
    }

    def __init__(self):
        super().__init__(MAP)
        self._conversions = Conversions()
        self._measurement_us = 0
        self._period_us = 0
        self._started_us = 0
        self._ready_us = _IM_UPDATE_US
        self._osrs_h = 0
        self._is_forced = False
        self._count = 0

    def _word(self, register) -> int:
        return register.unpack(register.pack(self._words[register.name]))

    def _convert(self, now_us: int) -> None:
        count = self._conversions.count(now_us)
        if self._is_forced:
            count = min(count, 1)
        if count == self._count:
            return
        ended_us = self._conversions.ended_us(count)
        celsius = self._value("temperature_celsius", ended_us)
        pascal = self._value("pressure_pascal", ended_us)
        percent_rh = self._value("humidity_percent_rh", ended_us)
        words = [self._word(register) for register in (DIG_T1, DIG_T2, DIG_T3)]
        raw = _nearest(lambda raw: fine_temperature(raw, words) / 5120, celsius, 20)
        fine = fine_temperature(raw, words)
        self._words["temp"] = raw << 4
        words = [self._word(register) for register in PRESSURE_WORDS]
        # The raw pressure falls as the pressure rises.
        raw = _nearest(lambda raw: -pressure_pascal(raw, fine, words), -pascal, 20)
        self._words["press"] = raw << 4
        humidity_words = self._humidity_words()
        self._words["hum"] = _nearest(
            lambda raw: humidity_percent_rh(raw, fine, humidity_words), percent_rh, 16
        )
        self._count = count

    def _humidity_words(self):
        rests = self._word(DIG_H4_H5)
        h4 = (self._word(DIG_H4) << 4) | DIG_H4_H5.field("h4").get(rests)
        h5 = (self._word(DIG_H5) << 4) | DIG_H4_H5.field("h5").get(rests)
        first = [self._word(register) for register in (DIG_H1, DIG_H2, DIG_H3)]
        return first + [h4, h5, self._word(DIG_H6)]

    def _before_read(self, register, now_us: int) -> None:
        if register.name in _RESULTS:
            self._convert(now_us)
        elif register is STATUS:
            is_measuring = False
            if self._conversions.is_running():
                since_us = now_us - self._started_us
                phase_us = since_us if self._is_forced else since_us % self._period_us
                is_measuring = phase_us < self._measurement_us
            self._words["status"] = STATUS.word(
                measuring=int(is_measuring), im_update=int(now_us < self._ready_us)
            )

    def _after_write(self, register, word: int, now_us: int) -> None:
        if register is RESET:
            if word != RESET_CODE:
                self._refuse(f"0x{word:02X} written to RESET, which takes 0x{RESET_CODE:02X}")
            self._reset_words()
            self._conversions.halt()
            self._ready_us = now_us + _IM_UPDATE_US
        elif register is CONFIG:
            if CONFIG.field("filter").get(word) or CONFIG.field("spi3w_en").get(word):
                self._refuse("filter and three-wire SPI are not modelled; leave them 0")
        elif register is CTRL_MEAS:
            # Section 5.4.3: CTRL_HUM becomes effective with the next write of CTRL_MEAS.
            self._osrs_h = CTRL_HUM.field("osrs_h").setting(self._words["ctrl_hum"])
            self._start(word, now_us)

    def _start(self, word: int, now_us: int) -> None:
        # What has been measured stays in the result registers.
        self._convert(now_us)
        self._count = 0
        self._conversions.halt()
        mode = CTRL_MEAS.field("mode").setting(word)
        if mode == "sleep":
            return
        osrs_t = CTRL_MEAS.field("osrs_t").setting(word)
        osrs_p = CTRL_MEAS.field("osrs_p").setting(word)
        if 0 in (osrs_t, osrs_p, self._osrs_h):
            self._refuse("skipped measurements are not modelled; set all three oversamplings")
        self._is_forced = mode == "forced"
        if self._is_forced:
            self._words["ctrl_meas"] = CTRL_MEAS.field("mode").put(word, 0)
        standby_ms = CONFIG.field("t_sb").setting(self._words["config"])
        measured_us = measurement_us(osrs_t, osrs_p, self._osrs_h, is_slowest=False)
        self._measurement_us = measured_us
        self._period_us = measured_us + int(standby_ms * 1000)
        self._started_us = now_us
        self._conversions.run(now_us, measured_us, self._period_us)


def _nearest(function, value: float, bits: int) -> int:
    """Return the whole number below 2**bits whose `function`, which rises, is next to `value`."""
    low, high = 0, (1 << bits) - 1
    while low < high:
        middle = (low + high) // 2
        if function(middle) < value:
            low = middle + 1
        else:
            high = middle
    if low and abs(function(low - 1) - value) < abs(function(low) - value):
        return low - 1
    return low


EMULATOR = Bme280Emulator
