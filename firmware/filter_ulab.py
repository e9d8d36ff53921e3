"""The same as features_transform.py for an image with ulab, in its single precision floats.

Only functions of ulab's public manual: numpy.array, concatenate, cos, flip, frombuffer, sum,
zeros, fft.fft, and scipy.signal.sosfilt with `zi`.  Importing this raises ImportError in an image
that lacks one of the two modules.  Agreement with the integer kernels: 0.1 % of a value, or the
noise that they state; tested with a stand-in on CPython, never yet with a real ulab.  Unlike the
kernels, ulab makes new arrays at each call, which are garbage at once.
"""

from math import pi

from ulab import numpy, scipy

from firmware.kernels import OFFSET, add_wide

ENERGY_BITS = 20
VELOCITY_BITS = 7


class Transform:
    """A real FFT of `points` samples with a Hann window."""

    def __init__(self, points):
        self._points = points
        turns = numpy.array(range(points)) * (2 * pi / points)
        self._window = (1 - numpy.cos(turns)) * 0.5
        self._real = self._imaginary = None

    def slices(self) -> int:
        """How many calls of `begin` and `advance` a transform takes."""
        return 2

    def begin(self, ring, at: int) -> None:
        """Take `ring`, an array('H') of `points` 16-bit samples, the oldest at `at`."""
        samples = numpy.frombuffer(ring, dtype=numpy.int16)
        ordered = numpy.concatenate((samples[at:], samples[:at])) if at else samples
        self._real, self._imaginary = numpy.fft.fft(ordered * self._window)

    def advance(self) -> bool:
        """Return True: the spectrum is there."""
        return True

    def add_energy(self, low: int, high: int, digits, at: int) -> None:
        """Add the energy of the bins `low` to `high` - 1 to the wide sum at `at`."""
        real, imaginary = self._real[low:high], self._imaginary[low:high]
        energy = numpy.sum(real * real) + numpy.sum(imaginary * imaginary)
        add_wide(digits, at, int(float(energy) * (1 << ENERGY_BITS)))


class VelocityFilter:
    """Sections of features_velocity.py, and the squares of what they leave."""

    def __init__(self, velocity, at: int) -> None:
        self._rows = [[b0, b1, b2, 1.0, a1, a2] for b0, b1, b2, a1, a2 in velocity[1]]
        self._at = at
        self._state = None
        self.reset()

    def reset(self) -> None:
        """Forget what was filtered; the next sample is taken as the first after zeros."""
        self._state = numpy.zeros((len(self._rows), 2))

    def add_squares(self, samples, count: int, digits) -> None:
        """Filter `samples` and add their squares, times 4**VELOCITY_BITS, to the wide sum."""
        values = numpy.flip(numpy.array(samples[:count])) - OFFSET
        values, self._state = scipy.signal.sosfilt(self._rows, values, zi=self._state)
        total = float(numpy.sum(values * values))
        add_wide(digits, self._at, int(total * (1 << (2 * VELOCITY_BITS))))
