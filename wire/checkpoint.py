"""What a node signs about its frames: the head of a tree in which each frame of a boot is a leaf.

Leaf i is the frame with sequence number `sequence_start` + i: SHA-256(0x00 | sealed message), the
message without its framing on the line. A frame of the live lane (content.LIVE) is an answer of the
moment, is not kept and may be lost on the way: it counts as an empty leaf, SHA-256(0x00). So a
number that is missing in an export can be proven to have been such an answer, and no measurement.

The payload of the COSE_Sign1 (sign1.py, content type 65003) is a map in deterministic CBOR:

    0: boot id    1: sequence_start    2: number of leaves    3: root (32 bytes)
    4: [hashes of the compact range, largest subtree first]    5: tick_us of the snapshot

Boot 7, numbers from 512 on, one leaf that is the empty one, at 1 s:

    a6 00 07 01 190200 02 01
       03 5820 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d
       04 81 5820 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d
       05 1a000f4240
"""

from collections import namedtuple

from wire.cbor import LIST, decode, head
from wire.content import is_live
from wire.cose import BOOT_ID_MAX, SEQUENCE_MAX, TICK_US_MAX
from wire.errors import CborError
from wire.kernel import Buffer
from wire.merkle import HASH_BYTES, SIZE_MAX, bits_set, leaf_hash, root_of

Checkpoint = namedtuple(
    "Checkpoint", ("boot_id", "sequence_start", "size", "root", "hashes", "tick_us")
)

EMPTY_LEAF = leaf_hash(b"")

# The head of a byte string of 32 bytes.
_HASH = b"\x58\x20"


def frame_leaf(message: Buffer) -> bytes:
    """Return the leaf of a sealed message; of which lane it is stands in it (cose.py, profile v1).

    Nothing is checked: the message is one of our own, or one that `cose.peek` has taken.
    """
    # d1 84, then 58 and the length of the protected header, a6, 01 05, 03 and the content type.
    if message[8] == 0x19 and is_live(message[9] << 8 | message[10]):
        return EMPTY_LEAF
    return leaf_hash(message)


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return the payload that is signed, with the keys in their order."""
    parts = [b"\xa6\x00", head(0, checkpoint.boot_id)]
    parts += [b"\x01", head(0, checkpoint.sequence_start)]
    parts += [b"\x02", head(0, checkpoint.size)]
    parts += [b"\x03", _HASH, checkpoint.root, b"\x04", head(LIST, len(checkpoint.hashes))]
    for value in checkpoint.hashes:
        parts += [_HASH, value]
    parts += [b"\x05", head(0, checkpoint.tick_us)]
    return b"".join(parts)


def decode_checkpoint(data: Buffer) -> Checkpoint:
    """Return the checkpoint, whose compact range fits its size and its root.

    Raises CborError for anything else, and for another encoding than the one it has.
    """
    fields = decode(data, 3, 64, True)
    if not isinstance(fields, dict) or set(fields) != {0, 1, 2, 3, 4, 5}:
        raise CborError("a checkpoint is a map with the keys 0 to 5")
    hashes = fields[4]
    if not isinstance(hashes, list):
        raise CborError("the compact range of a checkpoint is a list")
    for value in hashes + [fields[3]]:
        if not isinstance(value, bytes) or len(value) != HASH_BYTES:
            raise CborError("a hash of a checkpoint has 32 bytes")
    size = _unsigned(fields[2], SIZE_MAX, "number of leaves")
    if len(hashes) != bits_set(size) or root_of(hashes) != fields[3]:
        raise CborError("the compact range of a checkpoint is not that of its size and root")
    return Checkpoint(
        _unsigned(fields[0], BOOT_ID_MAX, "boot id"),
        _unsigned(fields[1], SEQUENCE_MAX, "first number"),
        size,
        fields[3],
        tuple(hashes),
        _unsigned(fields[5], TICK_US_MAX, "tick"),
    )


def _unsigned(value: object, value_max: int, what: str) -> int:
    if type(value) is not int or not 0 <= value <= value_max:
        raise CborError("the %s of a checkpoint is no integer from 0 to %d" % (what, value_max))
    return value
