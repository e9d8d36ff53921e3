"""The CBOR map that every message of ours is: how its fields are read, and with what bounds.

A message is one deterministic map with small integer keys. A receiver ignores the keys that it does
not know, so that either side can be updated first; a known key that is missing, of the wrong type
or beyond its bound raises CborError, which names it. The order of every check is: size of the
encoding and count of its items (cbor_reader.py), then type, then bound.
"""

from wire.cbor import decode
from wire.errors import CborError
from wire.kernel import Buffer

SEQUENCE_MAX = 0xFFFFFFFFFF
UINT32_MAX = 0xFFFFFFFF
UINT64_MAX = 0xFFFFFFFFFFFFFFFF
SHA256_BYTES = 32


def read_map(data: Buffer, depth_max: int = 2, items_max: int = 48) -> "dict[object, object]":
    """Return the map that `data` is; CborError for any other shape or encoding."""
    fields = decode(data, depth_max, items_max, True)
    if not isinstance(fields, dict):
        raise CborError("a message is a CBOR map, not a %s" % type(fields).__name__)
    return fields


def checked_unsigned(value: object, what: str, value_max: int = UINT64_MAX) -> int:
    """Return `value` if it is an integer from 0 to `value_max`."""
    if type(value) is int and 0 <= value <= value_max:
        return value
    raise CborError("%s is not an integer from 0 to %d" % (what, value_max))


def checked_text(value: object, what: str, length_max: int) -> str:
    """Return `value` if it is a text of at most `length_max` characters."""
    if isinstance(value, str) and len(value) <= length_max:
        return value
    raise CborError("%s is not a text of up to %d characters" % (what, length_max))


def checked_bytes(value: object, what: str, length: int) -> bytes:
    """Return `value` if it is a byte string of exactly `length` bytes."""
    if isinstance(value, bytes) and len(value) == length:
        return value
    raise CborError("%s is not a string of %d bytes" % (what, length))


def checked_list(value: object, what: str, length_max: int) -> "list[object]":
    """Return `value` if it is a list of at most `length_max` items."""
    if isinstance(value, (list, tuple)) and len(value) <= length_max:
        return list(value)
    raise CborError("%s is not a list of up to %d items" % (what, length_max))


def unsigned(
    fields: "dict[object, object]", key: int, what: str, value_max: int = UINT64_MAX
) -> int:
    """Return the unsigned integer under `key`, which has to be there."""
    return checked_unsigned(fields.get(key), "%s (key %d)" % (what, key), value_max)


def cut(text: str, length_max: int) -> str:
    """Return the first `length_max` characters of `text`: words for people may be shortened."""
    return text if len(text) <= length_max else text[: length_max - 3] + "..."
