"""Second-order sections on 32-bit integers: filters for fast channels, in place, block-wise.

A section [b0, b1, b2, a1, a2] (a0 = 1) runs in transposed direct form on d = z - 1:

    y = B0 x + w1      w1 += w2 + B1 x - A1 y      w2 += B2 x - A2 y
    B0 = b0,  B1 = 2 b0 + b1,  B2 = b0 + b1 + b2,  A1 = 2 + a1,  A2 = 1 + a1 + a2

A pole pair at 10 Hz and 4 kHz has a1 + 2 = 0.022 and 1 + a1 + a2 = 0.00025: in this form it is they
that are rounded, each to 14 bits of its own, and not a1 = -1.978, of which 14 bits leave nothing
(Middleton and Goodwin, Improved finite word length characteristics in digital control using delta
operators, IEEE Trans. Automatic Control 31, 1986).  Samples are 16-bit integers; what rounding cuts
off the output is added to the next one (error feedback), so that noise has no low frequencies.

Accuracy, held by tests against double precision, for corners from a thousandth to a quarter of the
sampling rate: gain within 0.01 % of what the coefficients ask for; root mean square of the noise of
a cascade below 1.5 counts, 0.03 behind the slow last section of a velocity filter; offset below 0.1
counts.  A count is 1 / 2**14 of full scale.

Promises: no object is made by `run`; input of at most FULL_SCALE cannot overflow while the gain of
a section to any input (the sum of the magnitudes of its impulse response) stays below 4:
`boards/design_sections.py` sees to that.  Leaves the design to the same file.
"""

from array import array

from firmware.errors import ConfigError
from wire.kernel import const, micropython, ptr32

FULL_SCALE = const(16384)
FINE_BITS = const(7)
_FRACTION_BITS = const(12)
_COEFFICIENT_MAX = const(16383)
_SHIFT_MAX = const(30)
_EXTRA_BITS_MAX = const(12)
_WORDS = const(12)
_STATE = const(9)


@micropython.viper
def section_kernel(s: ptr32, v: int, y: int, i: int, count: int, x: ptr32):
    """Filter `count` samples `x` in place through the section `s`.

    Words of `s`: B0, B1, -A1, B2, -A2, four right shifts (of B0 x, of the second sum, of the third,
    of w2), w1, w2, remainder.  `v` and `y` are arguments because the first of those lie in
    registers.
    """
    w1 = s[9]
    w2 = s[10]
    remainder = s[11]
    while i < count:
        v = x[i]
        y = (s[0] * v >> s[5]) + w1 + remainder
        remainder = y & 0xFFF
        y >>= 12
        x[i] = y
        w1 += (w2 >> s[8]) + ((s[1] * v + s[2] * y) >> s[6])
        w2 += (s[3] * v + s[4] * y) >> s[7]
        i += 1
    s[9] = w1
    s[10] = w2
    s[11] = remainder


@micropython.viper
def fine_kernel(s: ptr32, v: int, y: int, i: int, count: int, x: ptr32):
    """As `section_kernel`, with FINE_BITS fractional bits in what is put into `x`."""
    w1 = s[9]
    w2 = s[10]
    remainder = s[11]
    while i < count:
        v = x[i]
        y = (s[0] * v >> s[5]) + w1
        x[i] = y >> 5
        y += remainder
        remainder = y & 0xFFF
        y >>= 12
        w1 += (w2 >> s[8]) + ((s[1] * v + s[2] * y) >> s[6])
        w2 += (s[3] * v + s[4] * y) >> s[7]
        i += 1
    s[9] = w1
    s[10] = w2
    s[11] = remainder


def fixed_section(row) -> array:
    """The words of one section [b0, b1, b2, a1, a2]; ConfigError when it cannot be one."""
    b0, b1, b2, a1, a2 = row
    if not (abs(a2) < 1 and abs(a1) < 1 + a2):
        raise ConfigError("sos: [.., a1 = %r, a2 = %r] is not stable" % (a1, a2))
    direct, shift_0 = _scaled((b0,), _FRACTION_BITS)
    first, shift_1 = _scaled((2 * b0 + b1, -2 - a1), _FRACTION_BITS)
    # w2 is about as large as the output times the natural frequency: its scale has room for more
    # bits below, which a slow section needs most.
    extra = 0
    while extra < _EXTRA_BITS_MAX and (1 + a1 + a2) * 4.0 ** (extra + 1) < 0.25:
        extra += 1
    second, shift_2 = _scaled((b0 + b1 + b2, -1 - a1 - a2), _FRACTION_BITS + extra)
    return array("i", direct + first + second + [shift_0, shift_1, shift_2, extra, 0, 0, 0])


def _scaled(numbers, fraction_bits: int) -> "tuple":
    """([integers below 2**14], shift): number = integer * 2**(-fraction_bits - shift)."""
    shift = _SHIFT_MAX - fraction_bits
    largest = max([abs(number) for number in numbers])
    while shift and largest * 2.0 ** (fraction_bits + shift) > _COEFFICIENT_MAX:
        shift -= 1
    scale = 2.0 ** (fraction_bits + shift)
    if largest * scale > _COEFFICIENT_MAX + 1:
        raise ConfigError("sos: a coefficient of %r is too large for 16-bit samples" % largest)
    return [int(number * scale + (0.5 if number >= 0 else -0.5)) for number in numbers], shift


class Cascade:
    """Second-order sections one after the other, for chunks of 16-bit samples in an array('i')."""

    def __init__(self, rows) -> None:
        sections = [fixed_section(row) for row in rows]
        self._sections = sections[:-1]
        self._last = sections[-1]

    def run(self, samples, count: int) -> None:
        """Filter the first `count` of `samples` in place, going on where the last call stopped.

        What comes out has FINE_BITS fractional bits: the last section need not round.
        """
        for section in self._sections:
            section_kernel(section, 0, 0, 0, count, samples)
        fine_kernel(self._last, 0, 0, 0, count, samples)

    def reset(self) -> None:
        """Forget what was filtered; the next sample is taken as the first after zeros."""
        for section in self._sections + [self._last]:
            for index in range(_STATE, _WORDS):
                section[index] = 0
