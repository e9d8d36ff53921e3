"""Floats in CBOR: the shortest of 16, 32 and 64 bits that keeps the value (RFC 8949, 4.2.1).

The 16-bit form is made from and widened to the bits of the 32-bit one, in two halves, because
MicroPython's struct has no half floats and its small integers have 31 bits.
"""

import struct
from math import isnan

from wire.kernel import Buffer

_NAN = b"\xf9\x7e\x00"


def encode_float(value: float) -> bytes:
    """Return the shortest CBOR float that keeps `value`; NaN is f97e00 whatever its payload."""
    if isnan(value):
        return _NAN
    try:
        single = struct.pack(">f", value)
    except OverflowError:
        return b"\xfb" + struct.pack(">d", value)
    if struct.unpack(">f", single)[0] != value:
        return b"\xfb" + struct.pack(">d", value)
    return shorten_single(single)


def encode_single(value: float) -> bytes:
    """Return `value`, rounded to 32 bits, as the shortest CBOR float.

    Beyond their range CPython raises OverflowError and MicroPython returns infinity.
    """
    if isnan(value):
        return _NAN
    return shorten_single(struct.pack(">f", value))


def shorten_single(single: bytes) -> bytes:
    """Return the CBOR float of big-endian `single` (no NaN): 3 bytes if 16 bits hold it, else 5."""
    low = single[2] << 8 | single[3]
    if low & 0x1FFF:
        # A half float has 10 of the 23 fraction bits; a subnormal one has fewer still.
        return b"\xfa" + single
    high = single[0] << 8 | single[1]
    half = _half(high & 0x8000, high >> 7 & 0xFF, (high & 0x7F) << 3 | low >> 13)
    if half < 0:
        return b"\xfa" + single
    return bytes((0xF9, half >> 8, half & 0xFF))


def _half(sign: int, exponent: int, fraction: int) -> int:
    """Return the half float, or -1: `exponent` is that of 32 bits, `fraction` its upper 10 bits."""
    if 113 <= exponent <= 142:
        return sign | exponent - 112 << 10 | fraction
    if exponent == 0:
        return sign if fraction == 0 else -1
    if exponent == 255:
        return sign | 0x7C00
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
    value: float = struct.unpack(">f", struct.pack(">HH", upper, (fraction & 7) << 13))[0]
    return value


def decode_float(data: Buffer) -> float:
    """Return the value of 2, 4 or 8 big-endian bytes; 32-bit interpreters narrow the last."""
    if len(data) == 2:
        return decode_half(data[0], data[1])
    value: float = struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
    return value
