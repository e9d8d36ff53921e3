"""The seal: COSE_Mac0 (RFC 9052, 6.2) with HMAC 256/256, in the shape docs/wire-format.md calls v1.

All that is said about the payload is in the protected header, so the tag covers it. A seal has
exactly one encoding, and `peek` refuses every other. A receiver goes in this order: bounds, shape,
kid -> key, tag, and only then the replay window, which is not kept here. The algorithm is that of
the key; the header has to agree.

What the shape is stands in cose_profile.py, how seals are made in cose_sealer.py. Foreign COSE_Mac0
messages are read by mac0.py.
"""

from collections import namedtuple

from wire.cbor import BYTES, head
from wire.cose_profile import (
    ALGORITHM_AND_CONTENT_TYPE,
    BOOT_ID,
    BOOT_ID_LABEL,
    BOOT_ID_MAX,
    CONTENT_TYPE_MAX,
    HMAC_256_256,
    KID,
    KID_BYTES_MAX,
    MAC_STRUCTURE,
    MESSAGE,
    MESSAGE_BYTES_MAX,
    NO_EXTERNAL_AAD,
    NO_UNPROTECTED,
    SEQUENCE,
    SEQUENCE_MAX,
    TAG,
    TICK_US,
    TICK_US_LABEL,
    TICK_US_MAX,
)
from wire.cose_sealer import BufferSealer, JoiningSealer
from wire.errors import CoseError
from wire.kernel import IS_MICROPYTHON, Buffer, const
from wire.mac import DIGEST_BYTES, HmacSha256, equal

__all__ = (
    "BOOT_ID_LABEL",
    "BOOT_ID_MAX",
    "CONTENT_TYPE_MAX",
    "HMAC_256_256",
    "KID_BYTES_MAX",
    "MESSAGE_BYTES_MAX",
    "SEQUENCE_MAX",
    "TICK_US_LABEL",
    "TICK_US_MAX",
    "Header",
    "Sealer",
    "open_sealed",
    "peek",
    "verify",
)

Header = namedtuple(
    "Header", ("algorithm", "content_type", "kid", "sequence", "boot_id", "tick_us")
)
Sealer = BufferSealer if IS_MICROPYTHON else JoiningSealer

_SEQUENCE_BYTES_MAX = const(5)
_ARGUMENT_MIN = (24, 0x100, 0x10000, 0x100000000)


def peek(data: Buffer) -> "tuple[Header, bytes, bytes, bytes]":
    """Return (header, protected bytes, payload, tag) of a seal whose tag is *not* checked yet.

    Raises CoseError with reason "malformed" for anything that is not profile v1 to the last bit.
    """
    message = bytes(data)
    if len(message) > MESSAGE_BYTES_MAX:
        raise CoseError("a seal of %d bytes, at most %d" % (len(message), MESSAGE_BYTES_MAX))
    protected, at = _read_bstr(message, _expect(message, 0, MESSAGE))
    payload, at = _read_bstr(message, _expect(message, at, NO_UNPROTECTED))
    at = _expect(message, at, TAG)
    tag = message[at:]
    if len(tag) != DIGEST_BYTES:
        raise CoseError("a tag of %d bytes instead of %d" % (len(tag), DIGEST_BYTES))
    return _read_header(protected), protected, payload, tag


def verify(parts: "tuple[Header, bytes, bytes, bytes]", mac: HmacSha256) -> None:
    """Raise CoseError with reason "bad_mac" unless the tag in `parts` of `peek` fits `mac`."""
    _, protected, payload, tag = parts
    expected = mac.digest(
        MAC_STRUCTURE,
        head(BYTES, len(protected)),
        protected,
        NO_EXTERNAL_AAD,
        head(BYTES, len(payload)),
        payload,
    )
    if not equal(expected, tag):
        raise CoseError("the tag does not fit the message and the key", "bad_mac")


def open_sealed(data: Buffer, mac: HmacSha256, kid: Buffer) -> "tuple[Header, bytes]":
    """Return (header, payload) of a true seal made for `kid`.

    Raises CoseError with reason "malformed", "unknown_kid" or "bad_mac", found in this order.
    """
    parts = peek(data)
    header = parts[0]
    if header.kid != bytes(kid):
        raise CoseError("sealed for another kid than ours", "unknown_kid")
    verify(parts, mac)
    return header, parts[2]


def _read_header(protected: bytes) -> Header:
    content_type, at = _read_uint(protected, _expect(protected, 0, ALGORITHM_AND_CONTENT_TYPE))
    kid, at = _read_bstr(protected, _expect(protected, at, KID))
    partial_iv, at = _read_bstr(protected, _expect(protected, at, SEQUENCE))
    boot_id, at = _read_uint(protected, _expect(protected, at, BOOT_ID))
    tick_us, at = _read_uint(protected, _expect(protected, at, TICK_US))
    if at != len(protected):
        raise CoseError("%d bytes after the protected header" % (len(protected) - at))
    if content_type > CONTENT_TYPE_MAX or boot_id > BOOT_ID_MAX:
        raise CoseError("content type %d or boot id %d out of range" % (content_type, boot_id))
    if not 0 < len(kid) <= KID_BYTES_MAX:
        raise CoseError("a kid of %d bytes, 1 to %d are allowed" % (len(kid), KID_BYTES_MAX))
    size = len(partial_iv)
    if not 0 < size <= _SEQUENCE_BYTES_MAX or (size > 1 and partial_iv[0] == 0):
        raise CoseError("the sequence number is not 1 to 5 bytes without leading zeros")
    sequence = int.from_bytes(partial_iv, "big")
    return Header(HMAC_256_256, content_type, kid, sequence, boot_id, tick_us)


def _expect(data: bytes, at: int, expected: bytes) -> int:
    """Return the index after `expected`, which has to be at index `at`."""
    after = at + len(expected)
    if data[at:after] != expected:
        raise CoseError("byte %d is not as profile v1 has it" % at)
    return after


def _read_bstr(data: bytes, at: int) -> "tuple[bytes, int]":
    """Return the byte string at index `at`, and the index after it."""
    count, start = _read_argument(data, at, BYTES)
    after = start + count
    if after > len(data):
        raise CoseError("a byte string at byte %d claims %d bytes, too many" % (at, count))
    return data[start:after], after


def _read_uint(data: bytes, at: int) -> "tuple[int, int]":
    """Return the unsigned integer at index `at`, and the index after it."""
    return _read_argument(data, at, 0)


def _read_argument(data: bytes, at: int, major: int) -> "tuple[int, int]":
    """Return the argument of the head at `at`, shortest and of type `major`, and the next index."""
    info = (data[at] if at < len(data) else 0xFF) - major
    start = at + 1
    if 0 <= info < 24:
        return info, start
    if not 24 <= info <= 27:
        raise CoseError("byte %d is not the head that profile v1 has there" % at)
    after = start + (1 << (info - 24))
    argument = int.from_bytes(data[start:after], "big")
    if after > len(data) or argument < _ARGUMENT_MIN[info - 24]:
        raise CoseError("the head at byte %d is cut short or longer than needed" % at)
    return argument, after
