"""Which key is for what: one root key per node, one derived key per direction.

A frame sealed for one direction or one node therefore never verifies in another. The root key is
provisioned (32 random bytes); how it is stored is left to the firmware and the gateway.
"""

from wire.errors import WireError
from wire.kernel import Buffer, const
from wire.mac import hkdf_sha256

KEY_BYTES = const(32)
_UPLINK = b"twinrig v1 uplink|"
_DOWNLINK = b"twinrig v1 downlink|"


def uplink_key(root: Buffer, kid: Buffer) -> bytes:
    """Return the 32-byte key with which node `kid` seals and the gateway verifies."""
    return _derive(root, _UPLINK, kid)


def downlink_key(root: Buffer, kid: Buffer) -> bytes:
    """Return the 32-byte key with which the gateway seals and node `kid` verifies."""
    return _derive(root, _DOWNLINK, kid)


def _derive(root: Buffer, purpose: bytes, kid: Buffer) -> bytes:
    if len(root) != KEY_BYTES:
        raise WireError("a root key has %d bytes, this one has %d" % (KEY_BYTES, len(root)))
    return hkdf_sha256(root, b"", purpose + bytes(kid), KEY_BYTES)
