"""Second-order sections on 32-bit integers: filters for fast channels, in place, block-wise.

A section [b0, b1, b2, a1, a2] (a0 = 1) runs in transposed direct form on d = z - 1:

    y = B0 x + w1      w1 += w2 + B1 x - A1 y      w2 += B2 x - A2 y
    B0 = b0,  B1 = 2 b0 + b1,  B2 = b0 + b1 + b2,  A1 = 2 + a1,  A2 = 1 + a1 + a2

A pole pair at 10 Hz and 4 kHz has a1 + 2 = 0.022 and 1 + a1 + a2 = 0.00025: in this form it is they
that are rounded, each by itself, to 13 bits, and not a1 = -1.978, of which 14 bits leave nothing
(Middleton and Goodwin, Improved finite word length characteristics in digital control using delta
operators, IEEE Trans. Automatic Control 31, 1986).  Samples are 16-bit integers, in memory with
kernels.OFFSET added; what rounding cuts off the output is added to the next one (error feedback),
so that noise has no low frequencies.

Accuracy, held by tests against double precision, for corners from a thousandth to a quarter of the
sampling rate: gain within 0.05 % of what the coefficients ask for; root mean square of the noise of
a cascade below 1.5 counts, 0.03 behind the slow last section of a velocity filter; offset below 0.1
counts.  A count is 1 / 2**14 of full scale.

Promises: no object is made by `run`; input of at most FULL_SCALE cannot overflow while the gain of
a section to any input (the sum of the magnitudes of its impulse response) stays below 4:
`boards/design_sections.py` sees to that.  Leaves the design, and the rounding of coefficients, to
the same file: the floats of a board have too few digits for 1 + a1 + a2.
"""

from array import array

from firmware.kernels import SIGN
from wire.kernel import const, micropython, ptr32

FULL_SCALE = const(16384)
FINE_BITS = const(7)
_STATE_WORDS = const(3)


@micropython.viper
def section_kernel(s: ptr32, v: int, y: int, count: int, x: ptr32, sign: int):
    """Filter `count` samples `x` in place through the section `s`, the newest sample first.

    Words of `s`: B0, B1, A1, B2, A2 (none is negative), the right shifts of B0 x, of the second sum
    and of the third, w1, w2, remainder; w2 has the scale of the second sum.  `v` is an argument
    because the first of those lie in registers; `sign` is kernels.SIGN.
    """
    w1 = s[8] << sign >> sign
    w2 = s[9] << sign >> sign
    remainder = s[10]
    while count:
        count -= 1
        v = x[count] - 65536
        y = (s[0] * v >> s[5]) + w1 + remainder
        remainder = y & 0xFFF
        y >>= 12
        x[count] = y + 65536
        w1 += (s[1] * v - s[2] * y + w2) >> s[6]
        w2 += (s[3] * v - s[4] * y) >> s[7]
    s[8] = w1
    s[9] = w2
    s[10] = remainder


@micropython.viper
def fine_kernel(s: ptr32, v: int, y: int, count: int, x: ptr32, sign: int):
    """As `section_kernel`; what it puts into `x` has FINE_BITS fractional bits and no offset."""
    w1 = s[8] << sign >> sign
    w2 = s[9] << sign >> sign
    remainder = s[10]
    while count:
        count -= 1
        v = x[count] - 65536
        y = (s[0] * v >> s[5]) + w1
        x[count] = y >> 5
        y += remainder
        remainder = y & 0xFFF
        y >>= 12
        w1 += (s[1] * v - s[2] * y + w2) >> s[6]
        w2 += (s[3] * v - s[4] * y) >> s[7]
    s[8] = w1
    s[9] = w2
    s[10] = remainder


class Cascade:
    """Second-order sections one after the other, for chunks of 16-bit samples in an array('i').

    `sections` lists the first eight words of each, as `fixed_words` of the designer gives them.
    """

    def __init__(self, sections) -> None:
        sections = [array("i", tuple(words) + (0,) * _STATE_WORDS) for words in sections]
        self._sections = sections[:-1]
        self._last = sections[-1]

    def run(self, samples, count: int) -> None:
        """Filter the first `count` of `samples` in place, going on where the last call stopped.

        What comes out has a sign and FINE_BITS fractional bits: the last section need not round.
        """
        for section in self._sections:
            section_kernel(section, 0, 0, count, samples, SIGN)
        fine_kernel(self._last, 0, 0, count, samples, SIGN)

    def reset(self) -> None:
        """Forget what was filtered; the next sample is taken as the first after zeros."""
        for section in self._sections + [self._last]:
            for index in range(len(section) - _STATE_WORDS, len(section)):
                section[index] = 0
