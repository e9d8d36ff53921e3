"""A fast chip without a chip: a FIFO that virtual time fills with a given signal."""

from array import array
from collections.abc import Callable
from typing import Any

from drivers.errors import DriverError, RegisterError


class Clock:
    """The HAL's functions that a waveform calls."""

    def __init__(self) -> None:
        self.now_us = 0

    def ticks_us(self) -> int:
        return self.now_us

    def sleep_us(self, duration_us: int) -> None:
        self.now_us += duration_us

    def spi(self, number: int) -> "Clock":
        if number > 1:
            raise ValueError("no such bus")
        return self


class FifoChip:
    """`signal(n)` gives the three counts of sample n; `rate_error` is that of the chip's clock."""

    PART = "fifochip"
    BUS = "spi"
    FIFO_BITS = 20
    FIFO_TRIPLES = 32
    signal: Callable[[int], tuple[int, int, int]] = staticmethod(lambda n: (0, 0, 0))
    rate_error = 0.0
    silent_us: tuple[int, int] = (0, 0)
    starts = 0

    def __init__(self, bus: Clock, address: None, sleep_us: Any, full_scale_g: int = 2) -> None:
        self._clock = bus
        self._place = address, sleep_us
        self.fifo_lsb_m_s2 = 2 * 9.80665 / 512000 * full_scale_g / 2
        self.fifo_overruns = 0
        self._rate_hz = 0.0
        self._start_us = 0
        self._next = 0

    def _answer(self) -> None:
        low, high = type(self).silent_us
        if low <= self._clock.now_us < high:
            raise DriverError(self.PART, "fifo_entries", "spi 0", "silent")

    def start(self) -> None:
        type(self).starts += 1
        self._answer()

    def fifo_start(self, rate_hz: int) -> None:
        if rate_hz not in (1000, 4000):
            raise RegisterError("odr_lpf: 1000 and 4000 Hz are possible")
        self._rate_hz = rate_hz * (1 + self.rate_error)
        self._start_us = self._clock.now_us
        self._next = 0

    def fifo_read_into(self, samples: "array[int]") -> int:
        self._answer()
        there = int((self._clock.now_us - self._start_us) * self._rate_hz / 1e6)
        if there - self._next > self.FIFO_TRIPLES:
            self.fifo_overruns += there - self._next - self.FIFO_TRIPLES
            self._next = there - self.FIFO_TRIPLES
        triples = min(there - self._next, len(samples) // 3)
        for index in range(triples):
            counts = type(self).signal(self._next + index)
            for axis in range(3):
                samples[3 * index + axis] = counts[axis]
        self._next += triples
        return triples

    def time_us(self, sample: int) -> float:
        """When a sample was taken."""
        return self._start_us + (sample + 1) * 1e6 / self._rate_hz


DRIVER = FifoChip
