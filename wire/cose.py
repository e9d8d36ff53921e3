"""The seal: COSE_Mac0 (RFC 9052, 6.2) with HMAC 256/256, in the one shape that docs/wire-format.md calls profile v1.

    17([ << {1: 5, 3: content type, 4: kid, 6: sequence, -65537: boot id, -65538: tick_us} >>, {}, payload, tag ])

Everything about the payload is in the protected header, so the tag covers it. There is exactly one encoding of
each seal; `peek` refuses every other byte. A receiver goes in this order: bounds, shape, kid -> key, tag, and only
then the replay window, which is not kept here.

`mac0_verify` reads any COSE_Mac0 and is for foreign messages and for the official vectors.
"""

from collections import namedtuple

from wire.cbor import BYTES, decode, write_head
from wire.cbor_reader import Tagged
from wire.errors import CborError, CoseError
from wire.kernel import Buffer, const
from wire.mac import HmacSha256, equal

Header = namedtuple("Header", ("algorithm", "content_type", "kid", "sequence", "boot_id", "tick_us"))

HMAC_256_256 = const(5)
HMAC_256_64 = const(4)
KID_BYTES_MAX = const(32)
SEQUENCE_MAX = const(0xFFFFFFFFFF)
MESSAGE_BYTES_MAX = const(2000)


class Sealer:
    """Seals payloads of node or gateway `kid`; the key is the one inside `mac`."""

    def __init__(self, kid: bytes, mac: HmacSha256) -> None:
        self._kid = kid
        self._mac = mac

    def seal(
        self, content_type: int, sequence: int, boot_id: int, tick_us: int, payload: Buffer
    ) -> bytes:
        """Return `payload` sealed."""
        raise NotImplementedError


def peek(data: Buffer) -> "tuple[Header, bytes, bytes, bytes]":
    """Return (header, protected bytes, payload, tag) of a seal whose tag has not been checked yet."""
    raise NotImplementedError


def verify(parts: "tuple[Header, bytes, bytes, bytes]", mac: HmacSha256) -> None:
    """Raise CoseError with reason "bad_mac" unless the tag in `parts` (from `peek`) is right under `mac`."""
    raise NotImplementedError


def open_sealed(data: Buffer, mac: HmacSha256, kid: bytes) -> "tuple[Header, bytes]":
    """Return (header, payload) of a seal made by `kid` with the key in `mac`."""
    raise NotImplementedError


def mac0_verify(message: Buffer, key: Buffer, external_aad: Buffer = b"") -> bytes:
    """Return the payload of any COSE_Mac0 with HMAC-SHA256."""
    raise NotImplementedError
