"""Band energies of up to three axes: windowed FFTs of pieces of the block, axis after axis.

A band's value is the RMS of what lies between its edges: the mean over the pieces of

    2 / (points * sum(window**2)) * sum over the bins k, low <= k * rate / points <= high, |X[k]|**2

(Welch's estimate, in m/s2).  An FFT and not Goertzel filters: a band is many bins wide, and a
Goertzel filter costs as much per sample for each bin as the FFT for all of them.  A Hann window
spreads a tone over four bins, so a tone closer to an edge than two bins is counted in part.

Promises: `points` is the smallest power of two, 64 to 1024, that puts four bins into the narrowest
band; a transform is spread over many calls of `work`, at a pace that follows the samples, so
every axis has a piece in each block of at least 2 * points samples.  Pieces do not overlap and lie
within the block.  No object is made but small integers.

Memory and time: there are as few rings as let every axis have its piece in a block.  A ring is free
as soon as its piece is in the transform, and then collects for the axis that has waited longest.
So a block of 4000 samples gives each of three axes one piece of 1024, and one of 8000 gives two.
"""

from array import array
from math import sqrt

from firmware.errors import ConfigError
from firmware.kernels import DIGITS, clear, keep_kernel, wide_float
from firmware.kernels_fft import POINTS_MAX, POINTS_MIN
from wire.kernel import const

try:
    from firmware import filter_ulab as engine
except ImportError:
    from firmware import features_transform as engine  # type: ignore[no-redef]

_BINS_PER_BAND = const(4)
_PACE_PERCENT = const(125)


def points_for(bands, rate_hz: int, block_samples: int) -> int:
    """How many samples a transform must have for all `bands`, (low_hz, high_hz); or ConfigError."""
    if block_samples < 2 * POINTS_MIN:
        raise ConfigError("bands need a block of at least %d samples" % (2 * POINTS_MIN))
    points = POINTS_MIN
    narrowest_hz = min([high_hz - low_hz for low_hz, high_hz in bands])
    lowest_hz = min([low_hz for low_hz, _ in bands])
    while points * narrowest_hz < _BINS_PER_BAND * rate_hz or points * lowest_hz < 2 * rate_hz:
        points *= 2
        if points > min(POINTS_MAX, block_samples // 2):
            raise ConfigError(
                "bands are at least %g Hz wide and begin at %g Hz at this rate and block"
                % (_BINS_PER_BAND * rate_hz * 2 / points, 4 * rate_hz / points)
            )
    return points


def rings_for(axes: int, points: int, block_samples: int) -> int:
    """How many rings `axes` need at least, so that each has a piece in every block."""
    transform = points * 100 // _PACE_PERCENT // axes
    for rings in range(1, axes):
        turns = (axes + rings - 1) // rings
        if turns * points + (rings + 1) * transform <= block_samples:
            return rings
    return axes


class Bands:
    """`axes` lists the bands (low_hz, high_hz) of each axis; an empty list leaves an axis out."""

    def __init__(self, axes, rate_hz, block_samples):
        every = [band for bands in axes for band in bands]
        self._points = points = points_for(every, rate_hz, block_samples)
        self._transform = engine.Transform(points)
        self._lanes = [_Lane(bands, rate_hz, points) if bands else None for bands in axes]
        self._order = [lane for lane in self._lanes if lane is not None]
        rings = rings_for(len(self._order), points, block_samples)
        self._rings = [array("H", bytes(2 * points)) for _ in range(rings)]
        slices = sum([self._transform.slices() + len(lane.bins) // 2 for lane in self._order])
        self._cost = points * 100
        self._gain = slices * _PACE_PERCENT
        self._credit = 0
        self._next = 0
        self._lane = None
        self._band = -1

    def keeper(self, axis: int):
        """What takes the narrowed samples of an axis, or None."""
        lane = self._lanes[axis]
        return None if lane is None else lane.keep

    def begin(self) -> None:
        """Begin a block: pieces of the one before are forgotten."""
        self._lane = None
        self._credit = 0
        for index in range(len(self._order)):
            ring = self._rings[index] if index < len(self._rings) else None
            self._order[(self._next + index) % len(self._order)].begin(ring)

    def credit(self, samples: int) -> None:
        """Note the work that falls to `samples` more samples of each axis."""
        self._credit += samples * self._gain

    @property
    def is_due(self) -> bool:
        """Whether `work` has the credit for a slice."""
        return self._credit >= self._cost

    def work(self) -> bool:
        """Do one slice of what is due; whether there was anything to do."""
        if self._credit < self._cost:
            return False
        if not self._slice():
            self._credit = 0
            return False
        self._credit -= self._cost
        return True

    def _slice(self) -> bool:
        """One slice of the transform at hand, or begin the next; whether there was anything."""
        lane = self._lane
        if lane is None:
            lane = self._order[self._next]
            if lane.fresh < self._points:
                return False
            self._lane = lane
            self._band = -1
            self._transform.begin(lane.ring, lane.at)
            lane.fresh = 0
            if len(self._rings) < len(self._order):
                waiting = (self._next + len(self._rings)) % len(self._order)
                self._order[waiting].ring, lane.ring = lane.ring, None
            self._next = (self._next + 1) % len(self._order)
        elif self._band < 0:
            if self._transform.advance():
                self._band = 0
        else:
            band, bins = self._band, lane.bins
            self._transform.add_energy(
                bins[2 * band], bins[2 * band + 1], lane.energies, DIGITS * band
            )
            self._band = band + 1
            if 2 * self._band == len(bins):
                lane.pieces += 1
                self._lane = None
        return True

    def value(self, axis: int, band: int, count_m_s2: float):
        """RMS of a band in m/s2, a narrowed count being `count_m_s2`; None without a piece."""
        lane = self._lanes[axis]
        if not lane.pieces:
            return None
        # The squares of a Hann window sum up to 3/8 of its points.
        window = self._points * self._points * lane.pieces * (3 << (engine.ENERGY_BITS - 4))
        return sqrt(wide_float(lane.energies, DIGITS * band) / window) * count_m_s2


class _Lane:
    """One axis: the newest samples, and the energies of its bands in this block."""

    def __init__(self, bands, rate_hz: int, points: int) -> None:
        self.bins = array("H")
        for low_hz, high_hz in bands:
            self.bins.extend(array("H", _bins(low_hz, high_hz, rate_hz, points)))
        self.energies = array("i", bytes(4 * DIGITS * len(bands)))
        self.ring = None
        """Where samples are kept at the moment, if anywhere."""
        self.at = 0
        self.fresh = 0
        self.pieces = 0
        self._mask = points - 1

    def begin(self, ring) -> None:
        clear(self.energies)
        self.ring = ring
        self.fresh = self.pieces = 0

    def keep(self, samples, count: int) -> None:
        if self.ring is None:
            return
        keep_kernel(self.ring, self.at, count, samples, self._mask)
        self.at = (self.at + count) & self._mask
        self.fresh += count


def _bins(low_hz: float, high_hz: float, rate_hz: int, points: int) -> "tuple":
    """(first, behind last) bin whose frequency is within the band."""
    first = -int(-low_hz * points // rate_hz)
    return first, min(int(high_hz * points // rate_hz) + 1, points // 2)
