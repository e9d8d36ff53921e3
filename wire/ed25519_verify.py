"""Checks an Ed25519 signature (RFC 8032, 5.1.7) with Python's own integers: a slow reference.

Refused, though the equation may hold: S not below L (the same signature in another form), and a
point not encoded as the standard does (y not below p, or a sign for x = 0). The equation is the one
without cofactor, [S] B = R + [k] A, as in OpenSSL. Everything here is public, so the time may tell.
"""

from wire.ed25519_scalar import L
from wire.kernel import Buffer
from wire.sha512 import sha512

_P = (1 << 255) - 19
_D = 0x52036CEE2B6FFE738CC740797779E89800700A4D4141D8AB75EB4DCA135978A3
_ROOT_OF_MINUS_1 = 0x2B8324804FC1DF0B2B4D00993DFBD7A72F431806AD2FE478C4EE1B274A0EA0B0
_SIGN = 1 << 255
# Points are (X, Y, Z, T) with x = X / Z, y = Y / Z and T = X Y / Z.
_ZERO = (0, 1, 1, 0)
_BASE_X = 0x216936D3CD6E53FEC0A4E231FDD6DC5C692CC7609525A7B2C9562D608F25D51A
_BASE_Y = 0x6666666666666666666666666666666666666666666666666666666666666658
_BASE = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % _P)


def verify(public: Buffer, message: Buffer, signature: Buffer) -> bool:
    """Return whether `signature` is that of `message` under the key `public`."""
    if len(public) != 32 or len(signature) != 64:
        return False
    point, scalar = bytes(signature[:32]), int.from_bytes(bytes(signature[32:]), "little")
    key = _decode(bytes(public))
    if key is None or scalar >= L:
        return False
    digest = sha512(b"".join((point, bytes(public), bytes(message))))
    challenge = int.from_bytes(digest, "little") % L
    # [S] B - [k] A has one encoding, so an R in any other form differs from it.
    return _encode(_combine(scalar, _BASE, challenge, _negative(key))) == point


def _decode(encoded: bytes) -> "tuple[int, int, int, int] | None":
    """Return the point (RFC 8032, 5.1.3), None for what is not the one encoding of a point."""
    y = int.from_bytes(encoded, "little")
    sign = y >> 255
    y &= _SIGN - 1
    if y >= _P:
        return None
    u = (y * y - 1) % _P
    v = (_D * y * y + 1) % _P
    v3 = v * v * v % _P
    x = u * v3 * pow(u * v3 * v3 * v, (_P - 5) // 8, _P) % _P
    if v * x * x % _P != u:
        x = x * _ROOT_OF_MINUS_1 % _P
    if v * x * x % _P != u or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _encode(point: "tuple[int, int, int, int]") -> bytes:
    x, y, z, _ = point
    inverse = pow(z, _P - 2, _P)
    x = x * inverse % _P
    y = y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _negative(point: "tuple[int, int, int, int]") -> "tuple[int, int, int, int]":
    x, y, z, t = point
    return _P - x, y, z, _P - t


def _combine(
    m: int, left: "tuple[int, int, int, int]", n: int, right: "tuple[int, int, int, int]"
) -> "tuple[int, int, int, int]":
    """Return m * left + n * right."""
    choices = (_ZERO, left, right, _add(left, right))
    total = _ZERO
    for at in range(252, -1, -1):
        total = _add(total, total)
        choice = (m >> at & 1) + 2 * (n >> at & 1)
        if choice:
            total = _add(total, choices[choice])
    return total


def _add(
    left: "tuple[int, int, int, int]", right: "tuple[int, int, int, int]"
) -> "tuple[int, int, int, int]":
    """Return the sum (RFC 8032, 5.1.4), which also doubles."""
    x1, y1, z1, t1 = left
    x2, y2, z2, t2 = right
    a = (y1 - x1) * (y2 - x2)
    b = (y1 + x1) * (y2 + x2)
    c = 2 * _D * t1 * t2 % _P
    d = 2 * z1 * z2
    e, f, g, h = (b - a) % _P, (d - c) % _P, (d + c) % _P, (b + a) % _P
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P
