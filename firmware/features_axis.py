"""The features of one axis of a fast chip: sums over a block, and what is made of them at its end.

    mean      m = sum(x) / N                       not reported; what `about the mean` refers to
    rms       sqrt(sum((x - m)**2) / N)            m/s2
    peak      max(|x - m|)                         m/s2
    crest     peak / rms                           1
    kurtosis  (sum((x - m)**4) / N) / rms**4       1; 3 for a normal distribution
    velocity  RMS of the velocity, see features_velocity.py  m/s

Everything is about the mean of the block, since an accelerometer also measures gravity.  Promises:
`feed` makes no object but small integers; sums are exact, so `rms` and `peak` are exact up to the
float that is returned; for `kurtosis` samples are rounded to 1 / 4096 of the chunk's peak or finer,
an error below 0.2 % (test).  A feature that cannot be told (a ratio of zeros, a velocity before its
filter has settled) is None.

Rule of order: `start` once, then for each block `feed` until it is full, and `finish`.
"""

from array import array
from math import sqrt

from firmware.kernels import (
    CHUNK,
    DIGITS,
    SIGN,
    SUMS,
    clear,
    gather_kernel,
    moments_kernel,
    narrow_kernel,
    split_kernel,
    squares_kernel,
    wide,
    wide_float,
)
from wire.kernel import const

try:
    from firmware import filter_ulab as engine
except ImportError:
    from firmware import features_transform as engine  # type: ignore[no-redef]

_SUM, _SQUARES, _VELOCITY = const(0), const(8), const(16)
# What one call works on: axes are fed one after the other.
_SAMPLES = array("i", bytes(4 * CHUNK))
_PARTS = array("i", bytes(4 * SUMS))
_SQUARES_PARTS = memoryview(_PARTS)[3:]
_MOMENT = const(24)
_MOMENT_BITS = const(12)
_ROWS = array("i", (2, 0, 0, 0, 3, 8, 0, 0, 4, 8, 13, 0, 5, 8, 24, 0))
"""The sum stands behind the least and the greatest, the parts of the squares behind it."""
_ROWS_MOMENTS = array(
    "i",
    (0, 24, 0, 1, 1, 32, 0, 2, 2, 40, 0, 3, 3, 40, 12, 3)
    + (4, 48, 0, 4, 5, 48, 13, 4, 6, 48, 24, 4),
)


class Axis:
    """Axis `index` (0 to 2) of samples of which a count is `lsb` m/s2.

    `narrow_bits` is by how much a count is to be shifted to have 15 bits and a sign; `keep` is None
    or takes the narrowed samples (`keep(samples, count)`); `velocity` is None or an entry of
    features_velocity.VELOCITY.
    """

    def __init__(self, index: int, narrow_bits: int, keep, velocity, has_kurtosis: bool) -> None:
        self._index = index
        self._narrow_bits = narrow_bits
        self._keep = keep
        self._unit_s = velocity[0] if velocity else 0.0
        self._velocity = engine.VelocityFilter(velocity, _VELOCITY) if velocity else None
        self._has_kurtosis = has_kurtosis
        self._digits = array("i", bytes(4 * DIGITS * (7 if has_kurtosis else 3)))
        self._reference = 0
        self._error = 0
        self._mean = 0
        self._least = self._greatest = 0
        self._is_settled = False
        self._count = 0

    def start(self, samples, first: int, count: int) -> None:
        """Begin anew; differences are taken from the mean of these samples from now on."""
        total = 0
        for index in range(first, first + count):
            total += samples[3 * index + self._index]
        self._reference = total // count
        self._mean = 0
        self._error = 0
        self._is_settled = False
        if self._velocity is not None:
            self._velocity.reset()
        self.clear()

    def settle(self) -> None:
        """Begin the first block: the filters have had their time."""
        self._is_settled = True
        self.clear()

    def clear(self) -> None:
        """Begin a block."""
        clear(self._digits)
        self._count = 0

    def feed(self, samples, first: int, count: int) -> None:
        """Take `count` (1 to CHUNK) triples of `samples`, an array('i'), from triple `first` on."""
        x, sums, digits = _SAMPLES, _PARTS, self._digits
        oldest = 3 * first + self._index
        newest = oldest + 3 * (count - 1)
        split_kernel(x, newest, 0, oldest, samples, self._reference, sums, SIGN)
        least, greatest = sums[0], sums[1]
        if self._count == 0 or least < self._least:
            self._least = least
        if self._count == 0 or greatest > self._greatest:
            self._greatest = greatest
        self._count += count
        squares_kernel(x, 0, count, _SQUARES_PARTS, SIGN)
        gather_kernel(digits, 0, 0, sums, _ROWS, 16, 0, SIGN)
        if self._has_kurtosis:
            mean = self._mean
            shift = 0
            while max(greatest - mean, mean - least) >> shift >= (1 << _MOMENT_BITS) - 1:
                shift += 1
            moments_kernel(x, 0, count, mean - (1 << shift >> 1), shift, sums, SIGN)
            gather_kernel(digits, 0, 0, sums, _ROWS_MOMENTS, 28, shift, SIGN)
        if self._keep is not None or self._velocity is not None:
            bits = self._narrow_bits
            self._error = narrow_kernel(x, 0, count, bits, (1 << bits) - 1, self._error, SIGN)
            if self._keep is not None:
                self._keep(x, count)
            if self._velocity is not None:
                self._velocity.add_squares(x, count, digits)

    def finish(self, lsb: float) -> "dict":
        """The features of the block by name, in SI units; the next block begins."""
        count = self._count
        total, squares = wide(self._digits, _SUM), wide(self._digits, _SQUARES)
        spread = count * squares - total * total
        rms = sqrt(spread) / count * lsb
        peak = max(self._greatest * count - total, total - self._least * count) / count * lsb
        found = {"rms": rms, "peak": peak, "crest": peak / rms if spread else None}
        if self._has_kurtosis:
            found["kurtosis"] = self._kurtosis(count)
            self._mean = total // count
        if self._velocity is not None:
            found["velocity_rms"] = self._velocity_rms(count, lsb)
        self.clear()
        return found

    def _kurtosis(self, count: int):
        """The moments are about `_mean`, the kurtosis about the block's mean."""
        first, second, third, fourth = [
            wide(self._digits, _MOMENT + DIGITS * order) for order in range(4)
        ]
        spread = count * second - first * first
        if spread <= 0:
            return None
        if first * first > 16 * spread:
            # The mean has moved by more than four deviations: floats would lose the difference.
            central = (
                count * count * (count * fourth - 4 * third * first)
                + 6 * count * second * first * first
                - 3 * first * first * first * first
            )
            return (central << 16) // (spread * spread) / 65536
        mean = first / count
        variance = spread / count / count
        moment = fourth / count - 4 * mean * (third / count)
        moment += 3 * mean * mean * (2 * (second / count) - mean * mean)
        return moment / variance / variance

    def _velocity_rms(self, count: int, lsb: float):
        settled, self._is_settled = self._is_settled, True
        if not settled:
            return None
        mean_square = wide_float(self._digits, _VELOCITY) / count
        scale = self._unit_s * (1 << self._narrow_bits) / (1 << engine.VELOCITY_BITS)
        return sqrt(mean_square) * scale * lsb
