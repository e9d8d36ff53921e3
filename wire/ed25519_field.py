"""Arithmetic modulo p = 2^255 - 19 on 32-bit integers, for machines whose compiler has no others.

A number is 20 limbs of 13 bits, lowest first, each a word with a sign: sum of limb[i] * 2^(13 i).
It is *reduced* when every limb lies in -4096 to 4103. Sums and differences are taken limb by limb
and carried only when they have to be: the factors of a product may be sums of m and of n reduced
numbers if m * n <= 6. A column of 20 such products falls by less than 20 * 6 * 4103^2 below zero,
so with a bias of more than that it is positive, and it stays below 2^32 all the same. What
`unpack_kernel` gives has limbs 0 to 8191 and counts as two.

All numbers live in one memory `m` of `memory(count)`, and `REGISTERS + n * REGISTER_BYTES` is where
number n is; below them are the columns of the product that is being made, which hold their bias
between two calls, and the bias. No branch and no address depends on a number, so the time does not.
"""

from wire.kernel import const, micropython, ptr8, ptr32, uint
from wire.words import Words, words

P = (1 << 255) - 19
REGISTERS = const(320)
REGISTER_BYTES = const(80)

_LIMBS = const(20)
_LIMB_BITS = const(13)
_COLUMNS = const(40)
_BIAS = 2_050_000_000
_PACKED_BYTES = const(33)
_ALL_4096 = (1 << 12) * (((1 << 260) - 1) // 8191)


def memory(count: int) -> Words:
    """Return a memory for `count` numbers, all 0.

    The bias is _BIAS or more in each column, and in all it is 4096 in each limb modulo p. So a
    carried column is a digit without a sign, and its limb is 4096 less.
    """
    given = sum(_BIAS << (_LIMB_BITS * index) for index in range(_COLUMNS - 1))
    rest = (_ALL_4096 - given) % P
    m: Words = words(2 * _COLUMNS + count * _LIMBS)
    for index in range(_COLUMNS - 1):
        start = _BIAS + ((rest >> (_LIMB_BITS * index)) & 8191)
        m[index] = start
        m[_COLUMNS + index] = start
    return m


def multiply(m: Words, r: int, a: int, b: int) -> None:
    """Set the number at `r` to a * b, reduced; it may be one of the factors."""
    multiply_kernel(m, a, b)
    fold_kernel(m, r)


def square(m: Words, r: int, a: int) -> None:
    """Set the number at `r` to a * a, reduced; it may be `a` itself."""
    square_kernel(m, a)
    fold_kernel(m, r)


def carry(m: Words, r: int) -> None:
    """Reduce the number at `r`, a sum of up to 6."""
    load_kernel(m, r)
    fold_kernel(m, r)


def get(m: Words, a: int) -> int:
    """Return the reduced number at `a`, 0 to p - 1.

    Python's own integers finish this, in a time that depends on the number: it is to be public.
    """
    digits = bytearray(_PACKED_BYTES)
    pack_kernel(m, a, digits)
    return (int.from_bytes(digits, "little") - _ALL_4096) % P


# A viper kernel keeps its first two arguments in registers, so they serve twice: `t` steps through
# the columns, and `x`, an address first, is the limb that a row of products has in common.


@micropython.viper
def multiply_kernel(t: ptr32, x: int, b: int) -> int:
    """Add the product of the numbers at `x` and `b` to the columns."""
    left = ptr32(uint(t) + uint(x))
    right = ptr32(uint(t) + uint(b))
    count = 20
    while count:
        x = left[0]
        t[0] = right[0] * x + t[0]
        t[1] = right[1] * x + t[1]
        t[2] = right[2] * x + t[2]
        t[3] = right[3] * x + t[3]
        t[4] = right[4] * x + t[4]
        t[5] = right[5] * x + t[5]
        t[6] = right[6] * x + t[6]
        t[7] = right[7] * x + t[7]
        t[8] = right[8] * x + t[8]
        t[9] = right[9] * x + t[9]
        t[10] = right[10] * x + t[10]
        t[11] = right[11] * x + t[11]
        t[12] = right[12] * x + t[12]
        t[13] = right[13] * x + t[13]
        t[14] = right[14] * x + t[14]
        t[15] = right[15] * x + t[15]
        t[16] = right[16] * x + t[16]
        t[17] = right[17] * x + t[17]
        t[18] = right[18] * x + t[18]
        t[19] = right[19] * x + t[19]
        left = ptr32(uint(left) + 4)
        t = ptr32(uint(t) + 4)
        count -= 1
    return 0


@micropython.viper
def square_kernel(t: ptr32, x: int) -> int:  # noqa: PLR0915  its loops are unrolled
    """Add the square of the number at `x` to the columns: two halves, and twice their product."""
    a = ptr32(uint(t) + uint(x))
    count = 2
    while count:
        t[0] = a[0] * a[0] + t[0]
        t[1] = a[0] * a[1] * 2 + t[1]
        t[2] = a[0] * a[2] * 2 + a[1] * a[1] + t[2]
        t[3] = (a[0] * a[3] + a[1] * a[2]) * 2 + t[3]
        t[4] = (a[0] * a[4] + a[1] * a[3]) * 2 + a[2] * a[2] + t[4]
        t[5] = (a[0] * a[5] + a[1] * a[4] + a[2] * a[3]) * 2 + t[5]
        t[6] = (a[0] * a[6] + a[1] * a[5] + a[2] * a[4]) * 2 + a[3] * a[3] + t[6]
        t[7] = (a[0] * a[7] + a[1] * a[6] + a[2] * a[5] + a[3] * a[4]) * 2 + t[7]
        t[8] = (a[0] * a[8] + a[1] * a[7] + a[2] * a[6] + a[3] * a[5]) * 2 + a[4] * a[4] + t[8]
        t[9] = (a[0] * a[9] + a[1] * a[8] + a[2] * a[7] + a[3] * a[6] + a[4] * a[5]) * 2 + t[9]
        t[10] = (a[1] * a[9] + a[2] * a[8] + a[3] * a[7] + a[4] * a[6]) * 2 + a[5] * a[5] + t[10]
        t[11] = (a[2] * a[9] + a[3] * a[8] + a[4] * a[7] + a[5] * a[6]) * 2 + t[11]
        t[12] = (a[3] * a[9] + a[4] * a[8] + a[5] * a[7]) * 2 + a[6] * a[6] + t[12]
        t[13] = (a[4] * a[9] + a[5] * a[8] + a[6] * a[7]) * 2 + t[13]
        t[14] = (a[5] * a[9] + a[6] * a[8]) * 2 + a[7] * a[7] + t[14]
        t[15] = (a[6] * a[9] + a[7] * a[8]) * 2 + t[15]
        t[16] = a[7] * a[9] * 2 + a[8] * a[8] + t[16]
        t[17] = a[8] * a[9] * 2 + t[17]
        t[18] = a[9] * a[9] + t[18]
        a = ptr32(uint(a) + 40)
        t = ptr32(uint(t) + 80)
        count -= 1
    t = ptr32(uint(t) - 120)
    high = ptr32(uint(a) - 40)
    a = ptr32(uint(a) - 80)
    count = 10
    while count:
        x = a[0] * 2
        t[0] = high[0] * x + t[0]
        t[1] = high[1] * x + t[1]
        t[2] = high[2] * x + t[2]
        t[3] = high[3] * x + t[3]
        t[4] = high[4] * x + t[4]
        t[5] = high[5] * x + t[5]
        t[6] = high[6] * x + t[6]
        t[7] = high[7] * x + t[7]
        t[8] = high[8] * x + t[8]
        t[9] = high[9] * x + t[9]
        a = ptr32(uint(a) + 4)
        t = ptr32(uint(t) + 4)
        count -= 1
    return 0


@micropython.viper
def load_kernel(t: ptr32, a: int) -> int:
    """Add the number at `a` to the columns."""
    number = ptr32(uint(t) + uint(a))
    count = 4
    while count:
        t[0] = number[0] + t[0]
        t[1] = number[1] + t[1]
        t[2] = number[2] + t[2]
        t[3] = number[3] + t[3]
        t[4] = number[4] + t[4]
        number = ptr32(uint(number) + 20)
        t = ptr32(uint(t) + 20)
        count -= 1
    return 0


@micropython.viper
def fold_kernel(t: ptr32, x: int) -> int:
    """Set the number at `x` to the columns modulo p, reduced, and the columns to their bias.

    2^260 is 608 modulo p, so column 20 + k counts 608 times in column k, and column 40, which is
    what the last one carries, 608^2 times in column 0.
    """
    r = ptr32(uint(t) + uint(x))
    low = uint(0)
    high = uint(0)
    count = 10
    while count:
        high = high + uint(t[20])
        low = low + uint(t[0]) + (high & 8191) * 608
        r[0] = int(low & 8191) - 4096
        t[0] = t[40]
        t[20] = t[60]
        high = (high >> 13) + uint(t[21])
        low = (low >> 13) + uint(t[1]) + (high & 8191) * 608
        r[1] = int(low & 8191) - 4096
        t[1] = t[41]
        t[21] = t[61]
        high = high >> 13
        low = low >> 13
        t = ptr32(uint(t) + 8)
        r = ptr32(uint(r) + 8)
        count -= 1
    r = ptr32(uint(r) - 80)
    low = low * 608 + high * 369664 + uint((r[0] + 4096) & 8191)
    r[0] = int(low & 8191) - 4096
    low = (low >> 13) + uint((r[1] + 4096) & 8191)
    r[1] = int(low & 8191) - 4096
    r[2] = r[2] + int(low >> 13)
    return 0


@micropython.viper
def pack_kernel(m: ptr32, a: int, data: ptr8) -> int:
    """Set 33 bytes of `data` to the limbs of the number at `a`, each with 4096 more."""
    number = ptr32(uint(m) + uint(a))
    carried = 0
    held = 0
    bits = 0
    at = 0
    count = 20
    while count:
        carried = carried + ((number[0] + 4096) & 16383)
        held = held | ((carried & 8191) << bits)
        carried = carried >> 13
        bits += 13
        while bits >= 8:
            data[at] = held & 255
            held = held >> 8
            bits -= 8
            at += 1
        number = ptr32(uint(number) + 4)
        count -= 1
    data[at] = held
    return 0
