"""COSE_Sign1 (RFC 9052, 4.2) for Ed25519: what a node signs, and any that is to be checked.

What we send has exactly one shape, deterministic CBOR, 18 being the tag of COSE_Sign1:

    18([<<{1: -8, 3: content type, 4: kid}>>, {}, payload, signature of 64 bytes])

The signature goes over ["Signature1", protected header, external data, payload] (RFC 9052, 4.4).
With the seed of RFC 8032, 7.1, TEST 1 (9d61b19d...), kid "pump-a", content type 65003, payload a0:

    d2                            # tag 18
      84                          # array of four
        4f a3                     # protected header of 15 bytes, a map of three
           01 27                  # algorithm: EdDSA
           03 19fdeb              # content type: checkpoint
           04 46 70756d702d61     # kid: "pump-a"
        a0                        # nothing unprotected
        41 a0                     # payload
        5840 317d472b799c9f3ec994978c7e62b4def9bfb55e06a916bd36ca046970f2575a
             5dfbaea1a3d3c47295bf4a6cb3aace1a14943098fed4af1cee9b7dacaae79a0e

-8 (EdDSA) is sent because peers know it; -19 (Ed25519, RFC 9864) is taken too. The key decides
which algorithms may be, never the message. Who computes the signature is the caller's business.
"""

from wire.cbor import BYTES, Tagged, decode, encode, head
from wire.errors import CborError, CoseError
from wire.kernel import Buffer, Function, const

SIGN1_TAG = const(18)
EDDSA = const(-8)
ED25519 = const(-19)

_ALGORITHM = const(1)
_CRITICAL = const(2)
_CONTENT_TYPE = const(3)
_KID = const(4)
_SIGNATURE_BYTES = const(64)

# What is signed begins with: an array of four, "Signature1".
_SIG_STRUCTURE = b"\x84\x6aSignature1"


def protected_header(kid: Buffer, content_type: int) -> bytes:
    """Return the protected header of what `kid` signs."""
    return encode({_ALGORITHM: EDDSA, _CONTENT_TYPE: content_type, _KID: bytes(kid)})


def to_be_signed(protected: Buffer, payload: Buffer, external_aad: Buffer = b"") -> bytes:
    """Return the bytes that the signature is computed over."""
    return b"".join(
        (
            _SIG_STRUCTURE,
            head(BYTES, len(protected)),
            protected,
            head(BYTES, len(external_aad)),
            external_aad,
            head(BYTES, len(payload)),
            payload,
        )
    )


def sign1_message(protected: Buffer, payload: Buffer, signature: Buffer) -> bytes:
    """Return the tagged message."""
    if len(signature) != _SIGNATURE_BYTES:
        raise CoseError("an Ed25519 signature has 64 bytes, not %d" % len(signature))
    return b"".join(
        (
            head(0xC0, SIGN1_TAG) + b"\x84",
            head(BYTES, len(protected)),
            protected,
            b"\xa0",
            head(BYTES, len(payload)),
            payload,
            head(BYTES, _SIGNATURE_BYTES),
            signature,
        )
    )


def sign1_open(
    message: Buffer,
    check: Function,
    external_aad: Buffer = b"",
    algorithms: "tuple[int, ...]" = (EDDSA, ED25519),
) -> "tuple[dict[object, object], bytes]":
    """Return (protected header, payload) of a COSE_Sign1, tagged or not, whose signature is right.

    `check(signed, signature)` tells whether the signature is the expected key's over the bytes
    `signed`; `algorithms` are those that this key may be used with. Raises CoseError with reason
    "malformed" for what is no such message (a detached payload included), "bad_signature" for a
    wrong signature.
    """
    protected, unprotected, payload, signature = _members(message)
    header = _header(protected)
    if _algorithm(header, unprotected) not in algorithms:
        raise CoseError("the key is not for the algorithm of the message")
    if protected == b"\xa0":
        # However an empty header was sent, it is signed as an empty string (RFC 9052, 4.4).
        protected = b""
    if not check(to_be_signed(protected, payload, external_aad), signature):
        raise CoseError("the signature does not fit the message and the key", "bad_signature")
    return header, payload


def _members(message: Buffer) -> "tuple[bytes, dict[object, object], bytes, bytes]":
    value = _decode(message, "the message")
    if isinstance(value, Tagged):
        if value.tag != SIGN1_TAG:
            raise CoseError("CBOR tag %d is not that of COSE_Sign1 (18)" % value.tag)
        value = value.value
    if not isinstance(value, list) or len(value) != 4:
        raise CoseError("a COSE_Sign1 is an array of four")
    protected, unprotected, payload, signature = value
    for part in (protected, payload, signature):
        if not isinstance(part, bytes):
            raise CoseError("protected header, payload and signature are byte strings")
    if not isinstance(unprotected, dict):
        raise CoseError("the unprotected header is a map")
    return protected, unprotected, payload, signature


def _header(protected: bytes) -> "dict[object, object]":
    header = _decode(protected, "the protected header") if protected else {}
    if not isinstance(header, dict):
        raise CoseError("the protected header is a map")
    return header


def _decode(data: Buffer, what: str) -> object:
    try:
        return decode(data)
    except CborError as error:
        raise CoseError("%s is not CBOR: %s" % (what, error)) from None


def _algorithm(header: "dict[object, object]", unprotected: "dict[object, object]") -> object:
    """Return the algorithm, once no label is in both headers and none is critical (RFC 9052, 3)."""
    for label in unprotected:
        if label in header:
            raise CoseError("label %r is in both headers" % (label,))
    if _CRITICAL in header or _CRITICAL in unprotected:
        raise CoseError("the message has critical labels, and none are understood here")
    return header.get(_ALGORITHM, unprotected.get(_ALGORITHM))
