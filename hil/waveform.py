"""What a chip feels between two rows of a trace: a function of the board's own time.

Promises: sources are pure functions of `now_us`, so a run repeats exactly, and every conversion
that belongs to a sample sees that sample's value. Leaves to others: units and gains (wiring.py),
quantisation and latency (the chip's emulator).

Samples are counted on a grid. Sample k is due at t = origin_us + k * sample_period_us; the node
reads a little after t, and what it reads was converted a little before. So sample k stands for all
instants from t - 7/8 period up to t + 1/8 period, and block b is the samples b N ... b N + N - 1.
A chip that converts for longer than 7/8 of a period answers with earlier samples, as it would on
a machine.

`Hold` gives sample k the trace's value at its t.

`RmsSine` is for columns that hold an RMS. With rms of the row in force when block b begins,

    value(k) = rms * u(k mod N),    u(k) = sqrt(2) sin(2 pi k / N + pi / N),    N >= 3.

One period fills the block, so sum u = 0, and sum u^2 = sum (1 - cos(4 pi k / N + 2 pi / N)) = N
because the cosine runs through whole periods too (2 / N is no integer for N >= 3). The mean of any
N consecutive samples under one row is therefore 0 and their RMS is the row's, for whatever phase
the sampler starts in; the table of u is normalised once so that this holds to the last bits. The
phase pi / N keeps samples off the zero crossings, and one period is the slowest wave possible.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from hil.traces import HeldChannel

Source = Callable[[int], float]
"""Board microseconds -> value; what `Emulator.drive` takes."""

_BLOCK_MIN: Final = 3


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SampleGrid:
    """When a node samples, in its own microseconds."""

    sample_period_us: int
    block_samples: int
    origin_us: int = 0
    """When the first sample of a block is due; trace time 0 is here, too."""

    def __post_init__(self) -> None:
        """Refuse a grid that has no samples."""
        if self.sample_period_us < 1 or self.block_samples < 1:
            raise ValueError(f"period and block must be at least 1, got {self}")

    def sample_at(self, now_us: int) -> int:
        """Return the number of the sample that a conversion at `now_us` belongs to."""
        period_us = self.sample_period_us
        return (now_us - self.origin_us + period_us - period_us // 8) // period_us

    def trace_ns(self, sample: int) -> int:
        """Return when a sample is due, in trace time."""
        return sample * self.sample_period_us * 1000


@final
class Hold:
    """The trace's value when each sample is due, converted."""

    def __init__(self, held: HeldChannel, convert: Callable[[float], float], grid: SampleGrid):
        self._held = held
        self._convert = convert
        self._grid = grid

    def __call__(self, now_us: int) -> float:
        """Return what a conversion at `now_us` sees."""
        grid = self._grid
        return self._convert(self._held.value_at(grid.trace_ns(grid.sample_at(now_us))))


@final
class RmsSine:
    """A zero-mean wave whose RMS over each block is the trace's value, converted."""

    def __init__(self, held: HeldChannel, convert: Callable[[float], float], grid: SampleGrid):
        self._held = held
        self._convert = convert
        self._grid = grid
        self._wave = unit_wave(grid.block_samples)

    def __call__(self, now_us: int) -> float:
        """Return what a conversion at `now_us` sees."""
        grid = self._grid
        sample = grid.sample_at(now_us)
        within = sample % grid.block_samples
        rms = self._convert(self._held.value_at(grid.trace_ns(sample - within)))
        return rms * self._wave[within]


def unit_wave(block_samples: int) -> tuple[float, ...]:
    """Return one period of N samples with mean 0 and RMS 1; shape (N,), N >= 3 or ValueError."""
    if block_samples < _BLOCK_MIN:
        raise ValueError(
            f"a sine needs {_BLOCK_MIN} samples in a block or more, got {block_samples}"
        )
    step = 2.0 * math.pi / block_samples
    raw = [math.sin(step * (sample + 0.5)) for sample in range(block_samples)]
    mean = math.fsum(raw) / block_samples
    centred = [each - mean for each in raw]
    rms = math.sqrt(math.fsum(each * each for each in centred) / block_samples)
    return tuple(each / rms for each in centred)


def peak_factor(block_samples: int) -> float:
    """Return the largest sample of `unit_wave`, at most about sqrt(2)."""
    return max(abs(each) for each in unit_wave(block_samples))
