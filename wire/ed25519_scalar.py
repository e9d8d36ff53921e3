"""Arithmetic modulo the order L of Ed25519's base point, and the digits of a scalar for its comb.

L is 2^252 + C, C below 2^125 (RFC 8032, 5.1). Outside a number is bytes, lowest first; inside it is
limbs of 12 bits, 21 of which end at 2^252. No branch and no address depends on a number.
"""

from wire.kernel import Buffer, const, micropython, ptr8, ptr32, uint
from wire.words import words, words_of

L = (1 << 252) + 27742317777372353535851937790883648493
SCALAR_BYTES = const(32)
DIGITS_BYTES = const(33)

_LIMBS = const(22)
_COLUMNS = const(44)


def _limbs(number: int) -> bytes:
    """Return the 22 limbs of `number` as words."""
    return b"".join(
        [((number >> (12 * index)) & 4095).to_bytes(4, "little") for index in range(_LIMBS)]
    )


# One byte of L more than a scalar has, since digits have it.
_ORDER = L.to_bytes(DIGITS_BYTES, "little")
_ORDER_LIMBS = _limbs(L)


class Scalars:
    """Computes modulo L, in 0.5 KiB of memory."""

    def __init__(self) -> None:
        self._columns = words(_COLUMNS)
        self._left = words(_LIMBS)
        self._right = words(_LIMBS)
        self._rest = words(_LIMBS)
        self._order = words_of(_ORDER_LIMBS)

    def reduce(self, digest: bytes) -> bytes:
        """Return 64 bytes modulo L, as 32 bytes."""
        split_kernel(self._columns, digest + b"\0\0", _COLUMNS)
        return self.result()

    def multiply_add(self, a: bytes, b: bytes, c: bytes) -> None:
        """Make a * b + c of any three times 32 bytes; `result` then gives it modulo L."""
        split_kernel(self._columns, c + bytes(34), _COLUMNS)
        split_kernel(self._left, a + b"\0", _LIMBS)
        split_kernel(self._right, b + b"\0", _LIMBS)
        multiply_kernel(self._columns, self._left, self._right)

    def result(self) -> bytes:
        """Return what was made last, modulo L, as 32 bytes."""
        data = bytearray(DIGITS_BYTES)
        reduce_kernel(self._rest, self._columns, self._order)
        finish_kernel(self._rest, self._order)
        join_kernel(data, self._rest)
        return bytes(data[:SCALAR_BYTES])


def recode(digits: bytearray, scalar: Buffer) -> None:
    """Set the 33 bytes `digits` so that `scalar`, below 2^256, is a sum of 260 signed powers of 2.

    Bit i stands for 2^i if it is 1 and for -2^i if it is 0. Such a sum is odd, so L is added to an
    even scalar, which is the same multiple of the base point.
    """
    recode_kernel(digits, scalar, _ORDER)


@micropython.viper
def split_kernel(limbs: ptr32, data: ptr8, count: int) -> int:
    """Set `count` limbs, an even number, to three bytes of `data` for two limbs."""
    at = 0
    while count:
        limbs[0] = data[at] | ((data[at + 1] & 15) << 8)
        limbs[1] = (data[at + 1] >> 4) | (data[at + 2] << 4)
        limbs = ptr32(uint(limbs) + 8)
        at += 3
        count -= 2
    return 0


@micropython.viper
def join_kernel(data: ptr8, limbs: ptr32) -> int:
    """Set 33 bytes to 22 limbs of 12 bits."""
    at = 0
    while at < 33:
        data[at] = limbs[0] & 255
        data[at + 1] = (limbs[0] >> 8) | ((limbs[1] & 15) << 4)
        data[at + 2] = limbs[1] >> 4
        limbs = ptr32(uint(limbs) + 8)
        at += 3
    return 0


@micropython.viper
def multiply_kernel(columns: ptr32, right: ptr32, left: ptr32) -> int:
    """Add the product of 22 limbs and 22 limbs to the columns, which stay below 2^29."""
    row = 22
    while row:
        factor = left[0]
        count = 22
        while count:
            columns[0] = right[0] * factor + columns[0]
            columns = ptr32(uint(columns) + 4)
            right = ptr32(uint(right) + 4)
            count -= 1
        columns = ptr32(uint(columns) - 84)
        right = ptr32(uint(right) - 88)
        left = ptr32(uint(left) + 4)
        row -= 1
    return 0


@micropython.viper
def reduce_kernel(rest: ptr32, columns: ptr32, order: ptr32) -> int:
    """Set `rest` to the 44 columns modulo L, or to that plus L, limb 20 having 13 bits.

    From the highest column on: the rest, below 2^253, goes up by a limb, so that its limb 20 counts
    2^252, which is -C. To stay above zero, L is added: C, and 4096 in limb 20.
    """
    at = 22
    while at:
        at -= 1
        rest[at] = 0
    columns = ptr32(uint(columns) + 176)
    column = 44
    while column:
        columns = ptr32(uint(columns) - 4)
        shifted = columns[0]
        times = rest[20] - 1
        carry = 0
        at = 20
        while at:
            # Above limb 10, C is zero.
            carry = carry + shifted - order[0] * times
            shifted = rest[0]
            rest[0] = carry & 4095
            carry = carry >> 12
            rest = ptr32(uint(rest) + 4)
            order = ptr32(uint(order) + 4)
            at -= 1
        rest[0] = shifted + carry + 4096
        rest = ptr32(uint(rest) - 80)
        order = ptr32(uint(order) - 80)
        column -= 1
    return 0


@micropython.viper
def finish_kernel(rest: ptr32, order: ptr32) -> int:
    """Subtract L from `rest` unless it is below L, and make 22 limbs of 12 bits of it."""
    rest[21] = rest[20] >> 12
    rest[20] = rest[20] & 4095
    borrow = 0
    at = 0
    while at < 22:
        borrow = (rest[at] - order[at] + borrow) >> 12
        at += 1
    taken = -1 - borrow
    borrow = 0
    at = 0
    while at < 22:
        borrow = rest[at] - (order[at] & taken) + borrow
        rest[at] = borrow & 4095
        borrow = borrow >> 12
        at += 1
    return 0


@micropython.viper
def recode_kernel(digits: ptr8, scalar: ptr8, order: ptr8) -> int:
    """Set `digits` to half of scalar + 2^260 - 1, with L added if the scalar is even."""
    is_even = (scalar[0] & 1) - 1
    carry = 0
    at = 0
    while at < 32:
        carry = carry + scalar[at] + (order[at] & is_even) + 255
        digits[at] = carry & 255
        carry = carry >> 8
        at += 1
    digits[32] = carry + 15
    at = 0
    while at < 32:
        digits[at] = (digits[at] >> 1) | ((digits[at + 1] & 1) << 7)
        at += 1
    digits[32] = digits[32] >> 1
    return 0


@micropython.viper
def digit_kernel(digits: ptr8, at: int, spacing: int) -> int:
    """Return five bits of `digits`: bit n of the result is bit `at` + n * `spacing`."""
    number = 0
    at = at + 5 * spacing
    count = 5
    while count:
        at = at - spacing
        number = number * 2 + ((digits[at >> 3] >> (at & 7)) & 1)
        count -= 1
    return number
