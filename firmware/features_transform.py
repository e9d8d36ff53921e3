"""The spectrum of some samples in slices, and a velocity filter, by the integer kernels.

`firmware/filter_ulab.py` has the same two classes for an image with ulab; features_axis.py and
features_bands.py take those when they are there.  Promises: no object is made but small integers.

Rule of order: `Transform.begin`, then `advance` until it returns True, then `add_energy`.
"""

from array import array

from firmware.kernels import SIGN, SUMS, gather_kernel, squares_kernel
from firmware.kernels_fft import (
    BINS_BITS,
    WORK_BITS,
    bins_kernel,
    load_kernel,
    shift_for,
    sine_table,
    stage_kernel,
)
from firmware.sections import FINE_BITS, Cascade
from wire.kernel import const

ENERGY_BITS = const(20)
"""`add_energy` adds |X|**2 * 2**20 of samples in counts: 2**9 of load_kernel and 2 of bins_kernel,
squared."""
VELOCITY_BITS = FINE_BITS
_PIECE_BINS = const(32)
# What one call works on: one axis goes through here at a time.
_PARTS = array("i", bytes(4 * SUMS))


def _plan(at: int) -> array:
    """Rows that add the three parts of a sum of squares to the wide sum at `at`, times 4**scale."""
    return array("i", (0, at, 0, 2, 1, at, 13, 2, 2, at, 24, 2))


class Transform:
    """A real FFT of `points` samples with a Hann window; one buffer, one transform at a time."""

    def __init__(self, points: int) -> None:
        self._quarter = points // 4
        self._table = sine_table(points)
        self._work = array("i", bytes(4 * points))
        self._piece = array("i", bytes(8 * _PIECE_BINS))
        self._plan = _plan(0)
        self._half = 0
        self._size = 0
        self._scale = 0

    def slices(self) -> int:
        """How many calls of `begin` and `advance` a transform takes."""
        count = 1
        while self._quarter * 2 >> count:
            count += 1
        return count

    def begin(self, ring, at: int) -> None:
        """Take `ring`, an array('H') of `points` 16-bit samples, the oldest at `at`."""
        self._size = load_kernel(self._work, 0, 0, ring, at, self._table, self._quarter)
        self._scale = 0
        self._half = 1

    def advance(self) -> bool:
        """Do one more stage; True when the spectrum is there."""
        if self._half <= self._quarter:
            shift = shift_for(self._size, WORK_BITS)
            self._scale += shift
            self._size = stage_kernel(
                self._work, 0, 0, self._half, self._table, self._quarter, shift, SIGN
            )
            self._half *= 2
        return self._half > self._quarter

    def add_energy(self, low: int, high: int, digits, at: int) -> None:
        """Add the energy of the bins `low` to `high` - 1 to the wide sum at `at`."""
        shift = shift_for(self._size, BINS_BITS)
        plan, sums = self._plan, _PARTS
        plan[1] = plan[5] = plan[9] = at
        while low < high:
            end = min(low + _PIECE_BINS, high)
            bins_kernel(self._work, low, end, self._piece, self._table, self._quarter, shift, SIGN)
            squares_kernel(self._piece, 0, 2 * (end - low), sums, SIGN)
            gather_kernel(digits, 0, 0, sums, plan, len(plan), self._scale + shift, SIGN)
            low = end


class VelocityFilter:
    """Sections of features_velocity.py, and the squares of what they leave."""

    def __init__(self, velocity, at: int) -> None:
        self._cascade = Cascade(velocity[2])
        self._plan = _plan(at)
        self.reset = self._cascade.reset

    def add_squares(self, samples, count: int, digits) -> None:
        """Filter `samples` in place and add their squares, times 4**VELOCITY_BITS, to `digits`."""
        self._cascade.run(samples, count)
        squares_kernel(samples, 0, count, _PARTS, SIGN)
        gather_kernel(digits, 0, 0, _PARTS, self._plan, len(self._plan), 0, SIGN)
