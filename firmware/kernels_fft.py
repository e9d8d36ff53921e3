"""A real FFT on 32-bit integers, stage by stage: window, butterflies, bins.

    load_kernel    newest samples of a ring, times a Hann window, in bit-reversed order
    stage_kernel   one of log2(points / 2) stages of a radix-2 transform of points / 2 values
    bins_kernel    twice the spectrum of the real samples, for some bins

Promises: no object is made; each call is bounded, so that a transform can be spread over many
turns.  Numbers are block floating point: what `load_kernel` and `stage_kernel` return tells how
large the values have become, and the next call shifts them right by what `shift_for` says, so
products stay within 32 bits and 16 bits are always in use.
Accuracy, held by tests against double precision: the error of a bin is below 2**-11 of the largest
bin, root mean square below 2**-13.

`sign` is kernels.SIGN.  The table holds sin(2 pi k / points) * 2**14 for a quarter of a turn.
"""

from array import array
from math import pi, sin

from wire.kernel import const, micropython, ptr16, ptr32

WORK_BITS = const(16)
"""Values that go into a stage are below 2**16 in magnitude."""
BINS_BITS = const(15)
LOAD_BITS = const(9)
"""`load_kernel` puts sample * window * 2**9."""
POINTS_MIN = const(64)
POINTS_MAX = const(1024)


def sine_table(points: int) -> array:
    """The table for a transform of `points` real samples, a power of two."""
    quarter = points // 4
    return array("H", [int(16384 * sin(2 * pi * k / points) + 0.5) for k in range(quarter + 1)])


def shift_for(size: int, bits: int) -> int:
    """How far values whose magnitudes have no bit that `size` has not are to be shifted."""
    shift = 0
    while size >> shift >> bits:
        shift += 1
    return shift


@micropython.viper
def load_kernel(
    work: ptr32, n: int, k: int, ring: ptr16, at: int, table: ptr16, quarter: int
) -> int:
    """Fill `work` with the windowed samples of `ring`, the oldest at `at`; return their size."""
    points = quarter << 2
    mask = points - 1
    reverse = 0
    size = 0
    while n < points:
        k = n
        if k > (quarter << 1):
            k = points - k
        k = 16384 + table[k - quarter] if k > quarter else 16384 - table[quarter - k]
        sample = ((ring[(at + n) & mask] ^ 0x8000) & 0xFFFF) - 0x8000
        k = (k * sample) >> 6
        work[reverse + (n & 1)] = k
        size |= k ^ (k >> 31)
        if n & 1:
            bit = quarter << 1
            while reverse & bit:
                reverse ^= bit
                bit >>= 1
            reverse |= bit
        n += 1
    return size


@micropython.viper
def stage_kernel(
    work: ptr32, i: int, j: int, half: int, table: ptr16, quarter: int, shift: int, sign: int
) -> int:
    """Do the stage of distance `half` (1, 2, 4 .. points / 4), shifting its input; return the size.

    (a + ib) times exp(-2 pi i offset / (2 half)) is added to and taken from its partner.
    """
    words = quarter << 2
    span = half << 1
    turn = words // span
    offset = 0
    angle = 0
    rounding = (1 << shift) >> 1 << sign
    shift += sign
    size = 0
    while offset < span:
        if angle > quarter:
            cosine = 0 - table[angle - quarter]
            sine = int(table[quarter + quarter - angle])
        else:
            cosine = int(table[quarter - angle])
            sine = int(table[angle])
        i = offset
        while i < words:
            j = i + span
            a = ((work[j] << sign) + rounding) >> shift
            b = ((work[j + 1] << sign) + rounding) >> shift
            real = (a * cosine + b * sine + 8192) >> 14
            imaginary = (b * cosine - a * sine + 8192) >> 14
            a = ((work[i] << sign) + rounding) >> shift
            b = a - real
            a += real
            work[i] = a
            work[j] = b
            size |= (a ^ (a >> 31)) | (b ^ (b >> 31))
            i += 1
            j += 1
            a = ((work[i] << sign) + rounding) >> shift
            b = a - imaginary
            a += imaginary
            work[i] = a
            work[j] = b
            size |= (a ^ (a >> 31)) | (b ^ (b >> 31))
            i = j + span - 1
        offset += 2
        angle += turn
    return size


@micropython.viper
def bins_kernel(
    work: ptr32,
    k: int,
    end: int,
    out: ptr32,
    table: ptr16,
    quarter: int,
    shift: int,
    sign: int,
):
    """Put real and imaginary part of twice the bins `k` to `end` - 1 into `out`.

    Bins 1 to points / 2 - 1 are possible; X[k] comes from Z[k] and Z[points / 2 - k].
    """
    half = quarter << 1
    rounding = (1 << shift) >> 1 << sign
    shift += sign
    index = 0
    while k < end:
        if k > quarter:
            cosine = 0 - table[k - quarter]
            sine = int(table[half - k])
        else:
            cosine = int(table[quarter - k])
            sine = int(table[k])
        j = k << 1
        a = ((work[j] << sign) + rounding) >> shift
        b = ((work[j + 1] << sign) + rounding) >> shift
        j = (half - k) << 1
        c = ((work[j] << sign) + rounding) >> shift
        d = ((work[j + 1] << sign) + rounding) >> shift
        odd = a - c
        a += c
        c = b + d
        b -= d
        out[index] = a + ((c * cosine - odd * sine + 8192) >> 14)
        out[index + 1] = b - ((odd * cosine + c * sine + 8192) >> 14)
        index += 2
        k += 1
