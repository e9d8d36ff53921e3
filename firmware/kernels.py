"""Block kernels on 32-bit integers: split axes, sums that cannot overflow, moments.

Promises: no object is made for a sample; the integers are exact, and the same on CPython and in
MicroPython's machine code.  A fast chip's samples go through here in chunks of at most CHUNK.

A sum wider than 32 bits stands in an array('i') as DIGITS digits of 14 bits, the lowest first,
the highest signed: -2**111 to 2**111 - 1.  `wide` makes an integer of it.

A chunk of one axis stands with its newest sample first: counting down to zero is what a loop does
fastest.

On a 64-bit MicroPython, which no board is, machine code reads 32 bits without their sign.  So what
may be negative is shifted left and right again by `sign`, an argument that is SIGN: 0 elsewhere.

Rule of order: `split_kernel` first, whose differences the others take.
"""

import sys

from wire.kernel import IS_MICROPYTHON, const, micropython, ptr16, ptr32

CHUNK = const(64)
"""Samples of an axis that one call takes at most: partial sums stay within 31 bits."""
DIGITS = const(8)
OFFSET = const(65536)
"""Narrowed samples stand in memory as value + OFFSET: none is negative, the low 16 bits are its."""
SIGN = 32 if IS_MICROPYTHON and sys.maxsize >> 31 else 0
SUMS = const(7)
"""Words that hold what a kernel leaves of a chunk: its statistics or partial sums."""


@micropython.viper
def split_kernel(
    out: ptr32, at: int, x: int, end: int, samples: ptr32, reference: int, s: ptr32, sign: int
):
    """Put `samples[at]`, `[at - 3]` .. `[end]` minus `reference` into `out`; statistics into `s`.

    At least one sample, so `at` >= `end`; differences are below 2**24.  `s` gets the least, the
    greatest and the sum of the differences.
    """
    least = (samples[at] << sign >> sign) - reference
    greatest = least
    total = 0
    index = 0
    while at >= end:
        x = (samples[at] << sign >> sign) - reference
        out[index] = x
        total += x
        if x < least:  # noqa: PLR1730 - viper has no min() of machine integers
            least = x
        if x > greatest:  # noqa: PLR1730 - nor a max()
            greatest = x
        index += 1
        at -= 3
    s[0] = least
    s[1] = greatest
    s[2] = total


@micropython.viper
def narrow_kernel(
    x: ptr32, v: int, count: int, shift: int, mask: int, error: int, sign: int
) -> int:
    """Shift `x` right by `shift` in place and add OFFSET; what is cut off goes to the next sample.

    So rounding is noise of the kind (1 - 1/z) and has no mean.  `mask` is 2**shift - 1; returns the
    error to go on with.
    """
    while count:
        count -= 1
        v = (x[count] << sign >> sign) + error
        error = v & mask
        x[count] = (v >> shift) + 65536
    return error


@micropython.viper
def squares_kernel(x: ptr32, v: int, count: int, sums: ptr32, sign: int):
    """Put the parts of the sum of the squares of `x` into `sums`, exactly.

    sum = sums[2] * 2**24 + sums[1] * 2**13 + sums[0], for at most 64 values of at most 2**24.
    """
    low = 0
    cross = 0
    high = 0
    upper = sign + 12
    while count:
        count -= 1
        v = x[count]
        h = v << sign >> upper
        v &= 0xFFF
        low += v * v
        cross += h * v
        high += h * h
    sums[0] = low
    sums[1] = cross
    sums[2] = high


@micropython.viper
def moments_kernel(x: ptr32, v: int, count: int, mean: int, shift: int, sums: ptr32, sign: int):
    """Sum u, u**2, u**3 and u**4 of u = (x - mean) >> shift, which is below 2**12, exactly.

    sum of u = sums[0], of u**2 = sums[1], of u**3 = sums[3] * 2**12 + sums[2],
    of u**4 = sums[6] * 2**24 + sums[5] * 2**13 + sums[4]; at most 64 values.
    """
    first = 0
    second = 0
    third = 0
    upper = 0
    low = 0
    cross = 0
    high = 0
    while count:
        count -= 1
        v = ((x[count] << sign >> sign) - mean) >> shift
        first += v
        square = v * v
        second += square
        h = square >> 12
        upper += h * v
        high += h * h
        square &= 0xFFF
        third += square * v
        low += square * square
        cross += square * h
    sums[0] = first
    sums[1] = second
    sums[2] = third
    sums[3] = upper
    sums[4] = low
    sums[5] = cross
    sums[6] = high


@micropython.viper
def gather_kernel(
    digits: ptr32, at: int, carry: int, sums: ptr32, plan: ptr32, words: int, scale: int, sign: int
):
    """Add partial sums to wide ones, by rows (word, at, shift, times) of `plan`, `words` in all.

    `sums[word]` * 2**(shift + times * scale) goes to the wide sum that begins at `digits[at]`;
    partial sums are below 2**30.
    """
    row = 0
    while row < words:
        value = sums[plan[row]] << sign >> sign
        at = plan[row + 1]
        end = at + 7
        shift = plan[row + 2] + plan[row + 3] * scale
        while shift >= 14:
            shift -= 14
            at += 1
        carry = digits[at] + ((value & 0x3FFF) << shift)
        digits[at] = carry & 0x3FFF
        carry = (carry >> 14) + ((value >> 14) << shift)
        while carry:
            at += 1
            carry += digits[at]
            if at < end:
                digits[at] = carry & 0x3FFF
                carry >>= 14
            else:
                digits[at] = carry
                carry = 0
        row += 4


def wide(digits, at: int) -> int:
    """The wide sum that begins at `digits[at]`, as one integer."""
    value = 0
    for index in range(at + DIGITS - 1, at - 1, -1):
        value = (value << 14) + digits[index]
    return value


@micropython.viper
def top_kernel(digits: ptr32, at: int, end: int) -> int:
    """The index of the highest digit that is not zero, at least `at` + 2, below `end`."""
    while end > at + 3:
        end -= 1
        if digits[end]:
            return end
    return at + 2


def wide_float(digits, at: int) -> float:
    """The wide sum that begins at `digits[at]` and is not negative, to 28 bits, as a float."""
    top = top_kernel(digits, at, at + DIGITS)
    upper = digits[top] * 16384.0 + digits[top - 1]
    return (upper * 16384.0 + digits[top - 2]) * 16384.0 ** (top - 2 - at)


def add_wide(digits, at: int, value: int) -> None:
    """Add an integer to the wide sum that begins at `digits[at]`."""
    for index in range(at, at + DIGITS - 1):
        value += digits[index]
        digits[index] = value & 0x3FFF
        value >>= 14
    digits[at + DIGITS - 1] += value


@micropython.viper
def clear_kernel(words: ptr32, count: int):
    """Set `count` words to zero."""
    while count:
        count -= 1
        words[count] = 0


def clear(words) -> None:
    """Set every one of `words`, an array('i'), to zero."""
    clear_kernel(words, len(words))


@micropython.viper
def keep_kernel(ring: ptr16, at: int, count: int, x: ptr32, mask: int):
    """Store the low 16 bits of `count` values `x` in a ring of `mask` + 1 values, from `at` on."""
    while count:
        count -= 1
        ring[at & mask] = x[count] & 0xFFFF
        at += 1


@micropython.viper
def copy_kernel(target: ptr32, at: int, count: int, source: ptr32, start: int):
    """Copy `count` words of `source` from `start` on to `target` from `at` on, in their order."""
    while count:
        target[at] = source[start]
        at += 1
        start += 1
        count -= 1
