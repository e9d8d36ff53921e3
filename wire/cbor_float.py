"""Floats in CBOR: the shortest of 16, 32 and 64 bits that keeps the value (RFC 8949, 4.2.1).

The 16-bit form is made from and widened to the bits of the 32-bit one, in two halves, because
MicroPython's struct has no half floats and its small integers have 31 bits.
"""

from math import isnan
from struct import pack, unpack

from wire.errors import CborError
from wire.kernel import Buffer


def encode_float(value: float) -> bytes:
    """Return the shortest CBOR float that keeps `value`; NaN is f97e00 whatever its payload."""
    try:
        single = pack(">f", value)
    except OverflowError:
        return pack(">Bd", 0xFB, value)
    if unpack(">f", single)[0] == value or isnan(value):
        return encode_single(value)
    return pack(">Bd", 0xFB, value)


def encode_single(value: float) -> bytes:
    """Return `value`, rounded to 32 bits, as the shortest CBOR float.

    Beyond their range CPython raises OverflowError and MicroPython returns infinity.
    """
    encoded = pack(">Bf", 0xFA, value)
    # A half float keeps 10 of the 23 fraction bits, and most measurements need more.
    if (encoded[4] or encoded[3] & 0x1F) and not isnan(value):
        return encoded
    return _shorten(encoded)


def encode_finite(value: float) -> bytes:
    """Return what encode_single does; CborError or OverflowError unless that is a finite number."""
    encoded = pack(">Bf", 0xFA, value)
    if encoded[1] & 0x7F == 0x7F and encoded[2] & 0x80:
        raise CborError("%r is not finite" % value)
    if encoded[4] or encoded[3] & 0x1F:
        return encoded
    return _shorten(encoded)


def single(value: float) -> float:
    """Return `value` rounded to 32 bits; CborError unless that is a finite number.

    What goes through here before it is encoded has the same bytes from every interpreter.
    """
    try:
        rounded: float = unpack(">f", pack(">f", value))[0]
    except OverflowError:
        raise CborError("%r does not fit in 32 bits" % value) from None
    if rounded - rounded != 0:
        raise CborError("%r is not finite" % value)
    return rounded


def _shorten(encoded: bytes) -> bytes:
    """Return 32-bit CBOR float `encoded`, its low 13 bits being 0, in 16 bits if they hold it."""
    high = encoded[1] << 8 | encoded[2]
    fraction = (high & 0x7F) << 3 | encoded[3] >> 5
    short = half(high & 0x8000, high >> 7 & 0xFF, fraction)
    return encoded if short < 0 else pack(">BH", 0xF9, short)


def half(sign: int, exponent: int, fraction: int) -> int:
    """Return the half float, or -1: `exponent` is that of 32 bits, `fraction` its upper 10 bits."""
    if 113 <= exponent <= 142:
        return sign | exponent - 112 << 10 | fraction
    if exponent == 0:
        return sign if fraction == 0 else -1
    if exponent == 255:
        return sign | 0x7C00 if fraction == 0 else 0x7E00
    shift = 113 - exponent
    significand = 0x400 | fraction
    if 0 < shift <= 10 and significand & (1 << shift) - 1 == 0:
        return sign | significand >> shift
    return -1


def decode_half(high: int, low: int) -> float:
    """Return the value of the half float with the bytes `high` and `low`."""
    exponent = high >> 2 & 0x1F
    fraction = (high & 3) << 8 | low
    if exponent == 0:
        # The sum of exact binary fractions is exact in 32 bits; a decimal literal would not be.
        magnitude = fraction / 16777216.0
        return -magnitude if high & 0x80 else magnitude
    wide = 255 if exponent == 31 else exponent + 112
    upper = (high & 0x80) << 8 | wide << 7 | fraction >> 3
    value: float = unpack(">f", pack(">HH", upper, (fraction & 7) << 13))[0]
    return value


def decode_float(data: Buffer) -> float:
    """Return the value of 2, 4 or 8 big-endian bytes; 32-bit interpreters narrow the last."""
    if len(data) == 2:
        return decode_half(data[0], data[1])
    value: float = unpack(">f" if len(data) == 4 else ">d", data)[0]
    return value
