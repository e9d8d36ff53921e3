"""What a node runs: the SHA-256 of each of its files, in parts that fit into a seal.

    {0: part, 1: parts, 2: [[path, sha256], ...]}        part counts from 0

A measurement says which bytes the node found when it started; it is the node's own word, sealed. A
node whose loader is not protected by hardware can be made to say anything.
"""

from collections import namedtuple
from hashlib import sha256

from wire.cbor import encode
from wire.errors import CborError
from wire.fields import (
    SHA256_BYTES,
    checked_bytes,
    checked_list,
    checked_text,
    checked_unsigned,
    read_map,
    unsigned,
)
from wire.kernel import Buffer, const

ENTRIES_MAX = const(16)
PARTS_MAX = const(64)
PATH_LENGTH_MAX = const(64)
_ITEMS_MAX = const(96)
_PART, _PARTS, _ENTRIES = const(0), const(1), const(2)

Measurement = namedtuple("Measurement", ("part", "parts", "entries"))


def encode_measurement(part: int, parts: int, entries: "list[tuple[str, bytes]]") -> bytes:
    """Return part `part` of `parts`; `entries` are up to ENTRIES_MAX of (path, SHA-256)."""
    _check(part, parts)
    listed = [list(_entry(entry)) for entry in checked_list(entries, "the entries", ENTRIES_MAX)]
    return encode({_PART: part, _PARTS: parts, _ENTRIES: listed})


def decode_measurement(data: Buffer) -> Measurement:
    """Return (part, parts, [(path, SHA-256), ...])."""
    fields = read_map(data, 3, _ITEMS_MAX)
    part = unsigned(fields, _PART, "part", PARTS_MAX - 1)
    parts = unsigned(fields, _PARTS, "parts", PARTS_MAX)
    _check(part, parts)
    entries = checked_list(fields.get(_ENTRIES), "the entries (key 2)", ENTRIES_MAX)
    return Measurement(part, parts, [_entry(entry) for entry in entries])


def files_sha256(entries: "list[tuple[str, bytes]]") -> bytes:
    """Return the one SHA-256 that stands for all `entries`, which are in ascending order of path.

    It is over path, a zero byte and SHA-256 of each entry; the boot record carries it. Raises
    CborError when the order is another, since the order is part of what is hashed.
    """
    digest = sha256()
    previous = ""
    for path, content_sha256 in entries:
        if path <= previous:
            raise CborError("file %s comes behind %s: ascending order is needed" % (path, previous))
        previous = path
        digest.update(path.encode())
        digest.update(b"\x00")
        digest.update(content_sha256)
    return digest.digest()


def _check(part: int, parts: int) -> None:
    checked_unsigned(parts, "the number of parts", PARTS_MAX)
    checked_unsigned(part, "a part", PARTS_MAX)
    if part >= parts:
        raise CborError("part %d of %d: parts count from 0" % (part, parts))


def _entry(entry: object) -> "tuple[str, bytes]":
    if not isinstance(entry, (list, tuple)) or len(entry) != 2:
        raise CborError("an entry of a measurement is a path and a SHA-256")
    path, content_sha256 = entry
    return (
        checked_text(path, "the path of a file", PATH_LENGTH_MAX),
        checked_bytes(content_sha256, "the SHA-256 of a file", SHA256_BYTES),
    )
