"""Makes the constants of SHA-512 and Ed25519 from their definitions.

Run as `python tools/make_ed25519_table.py` it writes wire/sha512_table_generated.py and
wire/ed25519_table_generated.py; `contents()` returns what belongs into them, and a test compares.

The table of multiples of the base point B is that of wire/ed25519_comb.py: entry i of comb c is
2^(130 c) (2^104 + s3 2^78 + s2 2^52 + s1 2^26 + s0) B, where each s is 1 or -1 as the bit of i is 1
or 0. It stands as y + x, y - x and 2 d x y modulo p, 32 bytes each, lowest first.
"""

from math import isqrt
from pathlib import Path
from typing import Final

P: Final = 2**255 - 19
D: Final = -121665 * pow(121666, -1, P) % P
BASE_Y: Final = 4 * pow(5, -1, P) % P
COMBS: Final = 2
TEETH: Final = 5
SPACING: Final = 26
_BYTES_A_LINE: Final = 16
_PROJECT: Final = Path(__file__).resolve().parents[1]

Point = tuple[int, int]


def add(left: Point, right: Point) -> Point:
    """Return the sum of two points of edwards25519 (RFC 8032, 5.1)."""
    (x1, y1), (x2, y2) = left, right
    product = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P)
    return x % P, y % P


def multiply(number: int, point: Point) -> Point:
    """Return the point `number` times, which may be negative."""
    if number < 0:
        number, point = -number, (-point[0] % P, point[1])
    total = (0, 1)
    while number:
        if number & 1:
            total = add(total, point)
        point = add(point, point)
        number >>= 1
    return total


def base_point() -> Point:
    """Return B: y is 4/5 and x is even (RFC 8032, 5.1)."""
    square = (BASE_Y * BASE_Y - 1) * pow(D * BASE_Y * BASE_Y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (P - x if x & 1 else x), BASE_Y


def comb_entry(comb: int, index: int) -> bytes:
    """Return entry `index` of a comb: the highest tooth positive, the others as its bits say."""
    number = 1 << (SPACING * (TEETH - 1))
    for tooth in range(TEETH - 1):
        sign = 1 if index >> tooth & 1 else -1
        number += sign << (SPACING * tooth)
    x, y = multiply(number << (SPACING * TEETH * comb), base_point())
    numbers = (y + x, y - x, 2 * D * x * y)
    return b"".join((number % P).to_bytes(32, "little") for number in numbers)


def comb_table() -> bytes:
    """Return all entries, comb after comb: 3072 bytes."""
    return b"".join(
        comb_entry(comb, index) for comb in range(COMBS) for index in range(1 << (TEETH - 1))
    )


def root_fractions(root: int, count: int) -> bytes:
    """Return 64 bits of the fractions of the square or cube roots of the first `count` primes.

    Each is two words of 32 bits, the upper one first, with the lowest byte first in each.
    """
    result = b""
    number = 2
    while len(result) < 8 * count:
        if all(number % factor for factor in range(2, isqrt(number) + 1)):
            bits = _root(number << (64 * root), root) & (2**64 - 1)
            result += (bits >> 32).to_bytes(4, "little") + (bits & 0xFFFFFFFF).to_bytes(4, "little")
        number += 1
    return result


def _root(value: int, root: int) -> int:
    """Return the greatest integer whose power `root` is not above `value`."""
    low, high = 0, 1 << (value.bit_length() // root + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**root <= value else (low, middle)
    return low


def contents() -> dict[str, str]:
    """Return the text of each generated file by its path in the project."""
    return {
        "wire/sha512_table_generated.py": _module(
            "The constants of SHA-512 (FIPS 180-4, 4.2.3 and 5.3.5).",
            {"INITIAL": root_fractions(2, 8), "ROUNDS": root_fractions(3, 80)},
        ),
        "wire/ed25519_table_generated.py": _module(
            "Multiples of the base point of Ed25519 for wire/ed25519_comb.py.",
            {"TABLE": comb_table()},
        ),
    }


def _module(first_line: str, constants: dict[str, bytes]) -> str:
    """Return a module of byte strings."""
    lines = [f'"""{first_line}', "", "Made by tools/make_ed25519_table.py: change that.", '"""', ""]
    for name, value in constants.items():
        lines.append(f"{name} = (")
        for at in range(0, len(value), _BYTES_A_LINE):
            digits = "".join(f"\\x{byte:02x}" for byte in value[at : at + _BYTES_A_LINE])
            lines.append(f'    b"{digits}"')
        lines.append(")")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the files."""
    for path, text in contents().items():
        (_PROJECT / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
