"""Which key is for what: one root key per node, one derived key per direction.

A frame sealed for one direction or one node therefore never verifies in another. The root key is
provisioned (32 random bytes); how it is stored is left to the firmware and the gateway.

A root key can be replaced by one derived from it and a fresh salt (`rotated_root`). That begins a
new range of sequence numbers and shortens what a later leak of a derived key opens. It does *not*
heal a root key that leaked: who has it, and hears the salt, has the next one. For that, provision.
"""

from struct import pack

from wire.errors import WireError
from wire.kernel import Buffer, const
from wire.mac import hkdf_sha256

KEY_BYTES = const(32)
_UPLINK = b"twinrig v1 uplink|"
_DOWNLINK = b"twinrig v1 downlink|"
_ROTATE = b"twinrig v1 rotate|"
SALT_BYTES = const(32)
EPOCH_MAX = const(0xFFFFFFFF)


def uplink_key(root: Buffer, kid: Buffer) -> bytes:
    """Return the 32-byte key with which node `kid` seals and the gateway verifies."""
    return _derive(root, _UPLINK, kid)


def downlink_key(root: Buffer, kid: Buffer) -> bytes:
    """Return the 32-byte key with which the gateway seals and node `kid` verifies."""
    return _derive(root, _DOWNLINK, kid)


def rotated_root(root: Buffer, kid: Buffer, epoch: int, salt: Buffer) -> bytes:
    """Return the 32-byte root key of `epoch` (1 to 2^32 - 1), made of the `root` before it.

    `salt` is 32 random bytes of the gateway. Keys of all epochs, nodes and directions differ.
    """
    if not 0 < epoch <= EPOCH_MAX:
        raise WireError("a key is rotated to epoch 1 to 2^32 - 1, not %d" % epoch)
    if len(salt) != SALT_BYTES:
        raise WireError("the salt of a rotation has %d bytes, not %d" % (SALT_BYTES, len(salt)))
    _check_root(root)
    info = _ROTATE + bytes(kid) + b"|" + pack(">I", epoch)
    return hkdf_sha256(root, salt, info, KEY_BYTES)


def _check_root(root: Buffer) -> None:
    if len(root) != KEY_BYTES:
        raise WireError("a root key has %d bytes, this one has %d" % (KEY_BYTES, len(root)))


def _derive(root: Buffer, purpose: bytes, kid: Buffer) -> bytes:
    _check_root(root)
    return hkdf_sha256(root, b"", purpose + bytes(kid), KEY_BYTES)
