"""A multiple of Ed25519's base point in slices: a signed comb over a table of 3 KiB.

The scalar is a sum of 260 signed powers of 2 (ed25519_scalar.recode). Two combs with 5 teeth, 26
apart, read it in 26 columns. Each column costs a doubling, and for each comb the addition of that
multiple of the base point which the five signs name. With the highest sign taken out there are 16
of those for each comb, in `ed25519_table_generated.py`.

Points are (X : Y : Z : T) on -x^2 + y^2 = 1 + d x^2 y^2 with T = X Y / Z, sums and doubles those of
Hisil, Wong, Carter and Dawson (2008), which have no exceptions here. What is done, and in which
order, is the same for every scalar, and every entry of a comb is read for each choice.
"""

from wire.ed25519_field import carry, get, memory, multiply, square
from wire.ed25519_linear import (
    choose_kernel,
    combine_kernel,
    set_kernel,
    swap_kernel,
    unpack_kernel,
)
from wire.ed25519_scalar import DIGITS_BYTES, digit_kernel, recode
from wire.ed25519_table_generated import TABLE
from wire.kernel import Buffer, const
from wire.words import Slices, words, words_of

_SPACING = const(26)
_COMB_BITS = const(130)
_COMB_BYTES = const(1536)
_SQUARINGS_A_SLICE = const(8)

# Addresses of the 11 numbers, from ed25519_field.REGISTERS on, REGISTER_BYTES apart.
_NUMBERS = const(11)
_X = const(320)
_Y = const(400)
_Z = const(480)
_T = const(560)
_A = const(640)
_B = const(720)
_C = const(800)
_E = const(880)
_F = const(960)
_G = const(1040)
_H = const(1120)

# The way from Z and A = Z^2 to Z^(p - 2): result, number, how often the number is squared, and what
# it is multiplied by then. Behind each is the power of Z, with e(n) = 2^n - 1.
_INVERSION = (
    (_B, _A, 2, _Z),  # 9
    (_A, _A, 0, _B),  # 11
    (_C, _A, 1, _B),  # e(5)
    (_B, _C, 5, _C),  # e(10)
    (_C, _B, 10, _B),  # e(20)
    (_E, _C, 20, _C),  # e(40)
    (_C, _E, 10, _B),  # e(50)
    (_B, _C, 50, _C),  # e(100)
    (_E, _B, 100, _B),  # e(200)
    (_B, _E, 50, _C),  # e(250)
    (_Z, _B, 5, _A),  # 2^255 - 21
)


class BasePoint:
    """Multiplies the base point, one scalar after the other, in 1.5 KiB of memory and the table."""

    def __init__(self) -> None:
        self._m = memory(_NUMBERS)
        self._table = words_of(TABLE)
        self._chosen = words(24)
        self._digits = bytearray(DIGITS_BYTES)

    def multiply(self, scalar: Buffer) -> Slices:
        """Yield between slices of work; return `scalar` times the base point, encoded in 32 bytes.

        `scalar` is 32 bytes, lowest first. One such multiple at a time.
        """
        m = self._m
        recode(self._digits, scalar)
        set_kernel(m, _X, 0)
        set_kernel(m, _Y, 1)
        set_kernel(m, _Z, 1)
        set_kernel(m, _T, 0)
        for column in range(_SPACING - 1, -1, -1):
            if column < _SPACING - 1:
                self._double()
                yield
            self._add(column, 0)
            yield
            self._add(column + _COMB_BITS, _COMB_BYTES)
            yield
        yield from self._invert()
        yield
        multiply(m, _X, _X, _Z)
        multiply(m, _Y, _Y, _Z)
        # From here on the point is public.
        return (get(m, _Y) | (get(m, _X) & 1) << 255).to_bytes(32, "little")

    def _double(self) -> None:
        m = self._m
        square(m, _A, _X)
        square(m, _B, _Y)
        combine_kernel(m, _E, _X, _Y, 1)
        square(m, _E, _E)
        square(m, _C, _Z)
        combine_kernel(m, _H, _A, _B, 1)
        combine_kernel(m, _G, _A, _B, -1)
        combine_kernel(m, _E, _H, _E, -1)
        combine_kernel(m, _F, _G, _C, 2)
        self._finish()

    def _add(self, at: int, table_at: int) -> None:
        """Add the multiple that the five digits from `at` on name in the comb at `table_at`."""
        m = self._m
        chosen = self._chosen
        number = digit_kernel(self._digits, at, _SPACING)
        # A negative highest sign: the negative of the multiple with all signs turned.
        mask = (number >> 4) - 1
        choose_kernel(chosen, self._table, table_at, (number ^ mask) & 15)
        swap_kernel(chosen, mask)
        unpack_kernel(m, _B, chosen, 0, 0)
        unpack_kernel(m, _A, chosen, 32, 0)
        unpack_kernel(m, _C, chosen, 64, mask)
        combine_kernel(m, _E, _Y, _X, -1)
        multiply(m, _A, _A, _E)
        combine_kernel(m, _E, _Y, _X, 1)
        multiply(m, _B, _B, _E)
        multiply(m, _C, _C, _T)
        combine_kernel(m, _H, _B, _A, 1)
        combine_kernel(m, _E, _B, _A, -1)
        combine_kernel(m, _G, _C, _Z, 2)
        combine_kernel(m, _F, _G, _C, -2)
        self._finish()

    def _finish(self) -> None:
        """Set the point to (E F : G H : F G : E H), where E F and so on are still to be made."""
        m = self._m
        carry(m, _F)
        multiply(m, _X, _E, _F)
        multiply(m, _Y, _G, _H)
        multiply(m, _Z, _F, _G)
        multiply(m, _T, _E, _H)

    def _invert(self) -> Slices:
        """Yield between slices; set Z to 1 / Z, which is Z^(p - 2), and return nothing."""
        m = self._m
        square(m, _A, _Z)
        done = 0
        for result, start, squarings, factor in _INVERSION:
            number = start
            for _ in range(squarings):
                square(m, result, number)
                number = result
                done += 1
                if done % _SQUARINGS_A_SLICE == 0:
                    yield
            multiply(m, result, number, factor)
        return b""
