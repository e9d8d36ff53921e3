"""A TMP117 that converts continuously: cycle times, data-ready, reset value until a first result.

One-shot mode and the alert comparisons are not modelled: asking for the former is an error, the
latter read 0. Timing is the typical one of SNOSD82D, section 7.6, Conversion Cycle Time in CC Mode.
"""

from drivers.emulation import Conversions, EmulatedChip
from drivers.tmp117.registers import (
    CONFIGURATION,
    CONVERSION_US,
    CYCLE_US_BY_AVG,
    CYCLE_US_BY_CONV,
    MAP,
    TEMP_RESULT,
)

_RESET_US = 2000


class Tmp117Emulator(EmulatedChip):
    """Quantity `temperature_celsius`; its range is the operating range of section 6.3."""

    # Half a count, and a little for 32-bit floats.
    RANGES = {"temperature_celsius": (-55.0, 150.0, 0.52 * 0.0078125)}

    def __init__(self):
        super().__init__(MAP)
        self._conversions = Conversions()
        self._count = 0
        self._seen = 0
        self._start(0)

    def _start(self, now_us: int) -> None:
        word = self._words["configuration"]
        mode = CONFIGURATION.field("mod").get(word)
        average = CONFIGURATION.field("avg").get(word)
        self._count = self._seen = 0
        if mode == 1:
            self._conversions.halt()
        elif mode == 3:
            self._refuse("one-shot mode is not modelled; configure mod 0, continuous")
        else:
            repeats = (1, 8, 32, 64)[average]
            cycle_us = max(
                CYCLE_US_BY_CONV[CONFIGURATION.field("conv").get(word)], CYCLE_US_BY_AVG[average]
            )
            self._conversions.run(now_us, repeats * CONVERSION_US, cycle_us)

    def _convert(self, now_us: int) -> None:
        count = self._conversions.count(now_us)
        if count != self._count:
            ended_us = self._conversions.ended_us(count)
            self._words["temp_result"] = self._sample(
                "temperature_celsius", TEMP_RESULT.lsb, ended_us
            )
            self._count = count

    def _before_read(self, register, now_us: int) -> None:
        if register is TEMP_RESULT:
            self._convert(now_us)
        elif register is CONFIGURATION:
            self._convert(now_us)
            ready = CONFIGURATION.field("data_ready")
            word = self._words["configuration"]
            self._words["configuration"] = ready.put(word, int(self._count > self._seen))

    def _after_read(self, register) -> None:
        # Section 7.6, configuration register: reading either register clears Data_Ready.
        if register is TEMP_RESULT or register is CONFIGURATION:
            self._seen = self._count

    def _after_write(self, register, word: int, now_us: int) -> None:
        if register is not CONFIGURATION:
            return
        if CONFIGURATION.field("soft_reset").get(word):
            self._reset_words()
            self._start(now_us + _RESET_US)
        else:
            self._start(now_us)


EMULATOR = Tmp117Emulator
