"""The seal: COSE_Mac0 (RFC 9052, 6.2) with HMAC 256/256, in the shape docs/wire-format.md calls v1.

    17([<<{1: 5, 3: content type, 4: kid, 6: sequence, -65537: boot id, -65538: tick_us}>>,
        {}, payload, tag])

All that is said about the payload is in the protected header, so the tag covers it. A seal has
exactly one encoding, and `peek` refuses every other. A receiver goes in this order: bounds, shape,
kid -> key, tag, and only then the replay window, which is not kept here. The algorithm is that of
the key; the header has to agree.

Foreign COSE_Mac0 messages are read by mac0.py.
"""

from collections import namedtuple
from struct import pack

from wire.cbor import BYTES, head
from wire.errors import CoseError
from wire.kernel import Buffer, const
from wire.mac import DIGEST_BYTES, HmacSha256, equal

Header = namedtuple(
    "Header", ("algorithm", "content_type", "kid", "sequence", "boot_id", "tick_us")
)

HMAC_256_256 = const(5)
BOOT_ID_LABEL = const(-65537)
TICK_US_LABEL = const(-65538)

KID_BYTES_MAX = const(32)
SEQUENCE_MAX = const(0xFFFFFFFFFF)
CONTENT_TYPE_MAX = const(0xFFFF)
BOOT_ID_MAX = const(0xFFFFFFFF)
TICK_US_MAX = const(0xFFFFFFFFFFFFFFFF)
MESSAGE_BYTES_MAX = const(2000)

_SEQUENCE_BYTES_MAX = const(5)
_ARGUMENT_MIN = (24, 0x100, 0x10000, 0x100000000)

# The constant bytes of a seal, in the order in which they appear.
_MESSAGE = b"\xd1\x84"
_ALGORITHM_AND_CONTENT_TYPE = b"\xa6\x01\x05\x03"
_KID = b"\x04"
_SEQUENCE = b"\x06"
_BOOT_ID = b"\x3a\x00\x01\x00\x00"
_TICK_US = b"\x3a\x00\x01\x00\x01"
_NO_UNPROTECTED = b"\xa0"
_TAG = b"\x58\x20"

# What the tag is computed over: ["MAC0", protected, no external data, payload] (RFC 9052, 6.3).
_MAC_STRUCTURE = b"\x84\x64MAC0"
_NO_EXTERNAL_AAD = b"\x40"


class Sealer:
    """Seals for the node or gateway named `kid`, with the key in `mac`.

    It never repeats or checks a sequence number: that each is used once is the caller's promise.
    """

    def __init__(self, kid: Buffer, mac: HmacSha256) -> None:
        if not 0 < len(kid) <= KID_BYTES_MAX:
            raise CoseError("a kid has 1 to %d bytes, not %d" % (KID_BYTES_MAX, len(kid)))
        self._mac = mac
        self._kid_and_sequence = _KID + head(BYTES, len(kid)) + bytes(kid) + _SEQUENCE
        self._openings: "dict[int, bytes]" = {}
        self._boot_id = -1
        self._boot_id_and_tick = b""

    def seal(
        self, content_type: int, sequence: int, boot_id: int, tick_us: int, payload: Buffer
    ) -> bytes:
        """Return `payload` sealed; `tick_us` is the time of sending in microseconds since boot.

        Raises CoseError for a number out of range (SEQUENCE_MAX reached means: new key) or too long
        a payload.
        """
        if boot_id != self._boot_id:
            self._boot_id_and_tick = _BOOT_ID + _uint(boot_id, BOOT_ID_MAX) + _TICK_US
            self._boot_id = boot_id
        protected = b"".join(
            (
                self._openings.get(content_type) or self._open(content_type),
                _partial_iv(sequence),
                self._boot_id_and_tick,
                _uint(tick_us, TICK_US_MAX),
            )
        )
        # The tag goes over exactly these parts of the message, with two constants around them.
        sealed_protected = head(BYTES, len(protected)) + protected
        payload_head = head(BYTES, len(payload))
        tag = self._mac.digest(
            _MAC_STRUCTURE, sealed_protected, _NO_EXTERNAL_AAD, payload_head, payload
        )
        message = b"".join(
            (_MESSAGE, sealed_protected, _NO_UNPROTECTED, payload_head, payload, _TAG, tag)
        )
        if len(message) > MESSAGE_BYTES_MAX:
            raise CoseError(
                "the seal has %d bytes, at most %d may be sent: shorten the payload"
                % (len(message), MESSAGE_BYTES_MAX)
            )
        return message

    def _open(self, content_type: int) -> bytes:
        """Return, and keep, the protected header up to the sequence number."""
        opening = (
            _ALGORITHM_AND_CONTENT_TYPE
            + _uint(content_type, CONTENT_TYPE_MAX)
            + self._kid_and_sequence
        )
        self._openings[content_type] = opening
        return opening


def peek(data: Buffer) -> "tuple[Header, bytes, bytes, bytes]":
    """Return (header, protected bytes, payload, tag) of a seal whose tag is *not* checked yet.

    Raises CoseError with reason "malformed" for anything that is not profile v1 to the last bit.
    """
    message = bytes(data)
    if len(message) > MESSAGE_BYTES_MAX:
        raise CoseError("a seal of %d bytes, at most %d" % (len(message), MESSAGE_BYTES_MAX))
    protected, at = _read_bstr(message, _expect(message, 0, _MESSAGE))
    payload, at = _read_bstr(message, _expect(message, at, _NO_UNPROTECTED))
    at = _expect(message, at, _TAG)
    tag = message[at:]
    if len(tag) != DIGEST_BYTES:
        raise CoseError("a tag of %d bytes instead of %d" % (len(tag), DIGEST_BYTES))
    return _read_header(protected), protected, payload, tag


def verify(parts: "tuple[Header, bytes, bytes, bytes]", mac: HmacSha256) -> None:
    """Raise CoseError with reason "bad_mac" unless the tag in `parts` of `peek` fits `mac`."""
    _, protected, payload, tag = parts
    expected = mac.digest(
        _MAC_STRUCTURE,
        head(BYTES, len(protected)),
        protected,
        _NO_EXTERNAL_AAD,
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


def _uint(value: int, value_max: int) -> bytes:
    """Return `value`, which lies in 0 to `value_max`, as a CBOR integer."""
    if 0 <= value <= value_max:
        return head(0, value)
    raise CoseError("%d in a sealed header lies outside 0 to %d" % (value, value_max))


def _partial_iv(sequence: int) -> bytes:
    """Return the sequence number as its byte string, without leading zeros (RFC 8613, 6.1)."""
    if sequence < 0x10000:
        if sequence >= 0x100:
            return pack(">BH", BYTES | 2, sequence)
        if sequence >= 0:
            return pack(">BB", BYTES | 1, sequence)
    if not 0 <= sequence <= SEQUENCE_MAX:
        raise CoseError("sequence %d lies outside 0 to 2^40 - 1: make a new key" % sequence)
    size = 3
    while sequence >> (8 * size):
        size += 1
    return pack(">B", BYTES | size) + sequence.to_bytes(size, "big")


def _read_header(protected: bytes) -> Header:
    content_type, at = _read_uint(protected, _expect(protected, 0, _ALGORITHM_AND_CONTENT_TYPE))
    kid, at = _read_bstr(protected, _expect(protected, at, _KID))
    partial_iv, at = _read_bstr(protected, _expect(protected, at, _SEQUENCE))
    boot_id, at = _read_uint(protected, _expect(protected, at, _BOOT_ID))
    tick_us, at = _read_uint(protected, _expect(protected, at, _TICK_US))
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
