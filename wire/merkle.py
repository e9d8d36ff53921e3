"""The tree head of RFC 6962, 2.1, grown leaf by leaf from its compact range.

A tree of n leaves splits into perfect subtrees, one for each bit of n that is set, the largest
first: their hashes are the compact range. It is all that is needed to go on, and the root follows
from it; so two heads of one tree can be compared with the leaves between them, without the earlier.
"""

from hashlib import sha256

from wire.errors import WireError
from wire.kernel import Buffer, const

HASH_BYTES = const(32)
SIZE_MAX = const(0xFFFFFFFFFF)

_LEAF = b"\x00"
_NODE = b"\x01"


def leaf_hash(data: Buffer) -> bytes:
    """Return SHA-256(0x00 | data); `data` is not copied."""
    digest = sha256(_LEAF)
    digest.update(data)
    return digest.digest()


def node_hash(left: Buffer, right: Buffer) -> bytes:
    """Return SHA-256(0x01 | left | right), the hash of a subtree of two."""
    digest = sha256(_NODE)
    digest.update(left)
    digest.update(right)
    return digest.digest()


class Tree:
    """A tree of `size` leaves with the compact range `hashes`; `append` grows it.

    Raises WireError when `hashes` are not as many as `size` has bits set, or not 32 bytes long.
    """

    def __init__(self, size: int = 0, hashes: "tuple[bytes, ...]" = ()) -> None:
        if not 0 <= size <= SIZE_MAX or len(hashes) != bits_set(size):
            raise WireError("%d hashes are no compact range of %d leaves" % (len(hashes), size))
        for value in hashes:
            if len(value) != HASH_BYTES:
                raise WireError("a hash of a tree has 32 bytes, not %d" % len(value))
        self.size = size
        self.hashes = list(hashes)

    def append(self, leaf: bytes) -> None:
        """Add the hash of a leaf at the end; one node hash on average, log2(size) at the most."""
        rest = self.size
        while rest & 1:
            leaf = node_hash(self.hashes.pop(), leaf)
            rest >>= 1
        self.hashes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the hash of the whole tree; that of no leaves is SHA-256 of nothing."""
        return root_of(self.hashes)


def root_of(hashes: "list[bytes] | tuple[bytes, ...]") -> bytes:
    """Return the root that belongs to a compact range."""
    if not hashes:
        return sha256(b"").digest()
    root = hashes[-1]
    for index in range(len(hashes) - 2, -1, -1):
        root = node_hash(hashes[index], root)
    return root


def bits_set(number: int) -> int:
    """Return how many bits of `number`, which is not negative, are 1."""
    count = 0
    while number:
        number &= number - 1
        count += 1
    return count


def inclusion_root(index: int, size: int, leaf: bytes, path: "list[bytes]") -> bytes:
    """Return the root of the tree of `size` leaves that has `leaf` at `index` (RFC 9162, 2.1.3.2).

    `path` is the audit path, from the leaf up. Raises WireError for an index outside the tree and a
    path of another length than the place needs.
    """
    if not 0 <= index < size:
        raise WireError("no leaf %d in a tree of %d" % (index, size))
    for value in [leaf] + list(path):
        if len(value) != HASH_BYTES:
            raise WireError("a hash of a tree has 32 bytes, not %d" % len(value))
    last = size - 1
    root = leaf
    for sibling in path:
        if last == 0:
            raise WireError("the audit path of leaf %d of %d is too long" % (index, size))
        if index & 1 or index == last:
            root = node_hash(sibling, root)
            while index and not index & 1:
                index >>= 1
                last >>= 1
        else:
            root = node_hash(root, sibling)
        index >>= 1
        last >>= 1
    if last:
        raise WireError("the audit path is too short for its leaf")
    return root
