"""What docs/wire-format.md calls profile v1 of a seal: its labels, its bounds, its constant bytes.

    17([<<{1: 5, 3: content type, 4: kid, 6: sequence, -65537: boot id, -65538: tick_us}>>,
        {}, payload, tag])

The sealers (cose_sealer.py) and the reader (cose.py) are made of these.
"""

from struct import pack

from wire.cbor import BYTES, head
from wire.errors import CoseError
from wire.kernel import const

HMAC_256_256 = const(5)
BOOT_ID_LABEL = const(-65537)
TICK_US_LABEL = const(-65538)

KID_BYTES_MAX = const(32)
SEQUENCE_MAX = const(0xFFFFFFFFFF)
CONTENT_TYPE_MAX = const(0xFFFF)
BOOT_ID_MAX = const(0xFFFFFFFF)
TICK_US_MAX = const(0xFFFFFFFFFFFFFFFF)
MESSAGE_BYTES_MAX = const(2000)

# The constant bytes of a seal, in the order in which they appear.
MESSAGE = b"\xd1\x84"
ALGORITHM_AND_CONTENT_TYPE = b"\xa6\x01\x05\x03"
KID = b"\x04"
SEQUENCE = b"\x06"
BOOT_ID = b"\x3a\x00\x01\x00\x00"
TICK_US = b"\x3a\x00\x01\x00\x01"
NO_UNPROTECTED = b"\xa0"
TAG = b"\x58\x20"

# What the tag is computed over: ["MAC0", protected, no external data, payload] (RFC 9052, 6.3).
MAC_STRUCTURE = b"\x84\x64MAC0"
NO_EXTERNAL_AAD = b"\x40"


def checked_kid(kid: bytes) -> bytes:
    """Return `kid` if it may name a node."""
    if not 0 < len(kid) <= KID_BYTES_MAX:
        raise CoseError("a kid has 1 to %d bytes, not %d" % (KID_BYTES_MAX, len(kid)))
    return kid


def opening(content_type: int, kid: bytes) -> bytes:
    """Return the protected header up to the label of the sequence number."""
    return b"".join(
        (
            ALGORITHM_AND_CONTENT_TYPE,
            encoded_uint(content_type, CONTENT_TYPE_MAX),
            KID,
            head(BYTES, len(kid)),
            kid,
            SEQUENCE,
        )
    )


def boot_id_and_tick_label(boot_id: int) -> bytes:
    """Return the protected header between the sequence number and the tick."""
    return BOOT_ID + encoded_uint(boot_id, BOOT_ID_MAX) + TICK_US


def partial_iv(sequence: int) -> bytes:
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


def encoded_uint(value: int, value_max: int) -> bytes:
    """Return `value`, which lies in 0 to `value_max`, as a CBOR integer."""
    if 0 <= value <= value_max:
        return head(0, value)
    raise CoseError("%d in a sealed header lies outside 0 to %d" % (value, value_max))


def check_length(count: int) -> None:
    """Raise CoseError for a seal of `count` bytes that is longer than MESSAGE_BYTES_MAX."""
    if count > MESSAGE_BYTES_MAX:
        raise CoseError(
            "the seal has %d bytes, at most %d may be sent: shorten the payload"
            % (count, MESSAGE_BYTES_MAX)
        )
