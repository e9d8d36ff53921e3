"""Any COSE_Mac0 with HMAC-SHA256 (RFC 9052, 6.2; RFC 9053, 3.1), tagged or not: foreign messages.

The CBOR may be in any well-formed shape. The protected header and the payload enter the tag as they
were received, never encoded again. Nothing of ours is sent this way: the profile and the bounds of
our own seals are in cose.py.
"""

from wire.cbor import decode, encode
from wire.cbor_reader import Tagged
from wire.errors import CborError, CoseError
from wire.kernel import Buffer, const
from wire.mac import HmacSha256, equal

MAC0_TAG = const(17)
ALGORITHM = const(1)
CRITICAL = const(2)
PARTIAL_IV = const(6)
IV = const(5)

# Algorithm to bytes of tag: HMAC 256/256 and HMAC 256/64, which keeps the leftmost bytes.
TAG_BYTES = {5: 32, 4: 8}


def mac0_verify(
    message: Buffer,
    key: Buffer,
    external_aad: Buffer = b"",
    algorithms: "tuple[int, ...]" = (5, 4),
) -> bytes:
    """Return the payload of a COSE_Mac0 whose tag is right under `key`.

    `algorithms` are those the key may be used with; the message cannot choose another. Raises
    CoseError with reason "malformed" for what is no such message (a detached payload included),
    "bad_mac" for a wrong tag.
    """
    protected, unprotected, payload, tag = _members(message)
    algorithm = _algorithm(_header(protected), unprotected)
    if algorithm not in algorithms or algorithm not in TAG_BYTES:
        raise CoseError("the key is not for algorithm %r" % (algorithm,))
    if protected == b"\xa0":
        # However an empty header was sent, it enters the structure as an empty string (6.3).
        protected = b""
    structure = encode(["MAC0", protected, bytes(external_aad), payload])
    expected = HmacSha256(key).digest(structure)[: TAG_BYTES[algorithm]]
    if not equal(expected, tag):
        raise CoseError("the tag does not fit the message and the key", "bad_mac")
    return payload


def _members(message: Buffer) -> "tuple[bytes, dict[object, object], bytes, bytes]":
    try:
        value = decode(message)
    except CborError as error:
        raise CoseError("not CBOR: %s" % error) from None
    if isinstance(value, Tagged):
        if value.tag != MAC0_TAG:
            raise CoseError("CBOR tag %d is not that of COSE_Mac0 (%d)" % (value.tag, MAC0_TAG))
        value = value.value
    if not isinstance(value, list) or len(value) != 4:
        raise CoseError("a COSE_Mac0 is an array of four")
    protected, unprotected, payload, tag = value
    if not (isinstance(protected, bytes) and isinstance(payload, bytes) and isinstance(tag, bytes)):
        raise CoseError("protected header, payload and tag are byte strings")
    if not isinstance(unprotected, dict):
        raise CoseError("the unprotected header is a map")
    return protected, unprotected, payload, tag


def _header(protected: bytes) -> "dict[object, object]":
    if not protected:
        return {}
    try:
        header = decode(protected)
    except CborError as error:
        raise CoseError("the protected header is not CBOR: %s" % error) from None
    if not isinstance(header, dict):
        raise CoseError("the protected header is a map")
    return header


def _algorithm(header: "dict[object, object]", unprotected: "dict[object, object]") -> object:
    """Return the algorithm, once both maps are found to obey the rules (RFC 9052, 3 and 3.1)."""
    for label in unprotected:
        if label in header:
            raise CoseError("label %r is in both headers" % (label,))
    if CRITICAL in header or CRITICAL in unprotected:
        raise CoseError("the message has critical labels, and none are understood here")
    both = dict(header)
    both.update(unprotected)
    if IV in both and PARTIAL_IV in both:
        raise CoseError("IV and Partial IV exclude each other")
    return both.get(ALGORITHM)
