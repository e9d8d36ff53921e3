"""CBOR (RFC 8949): a deterministic encoder, and a decoder that believes nothing it has not checked.

    int  bytes  str  list  dict  bool  None  float      as themselves; a tuple encodes as a list
    Tagged(tag, value)   a tag; bignums (tags 2 and 3) too, integers beyond 64 bits are not made
    Simple(number)       a simple value without a Python twin; Simple(23) is `undefined`

The encoder follows the core deterministic rules (4.2.1): shortest heads, shortest float that keeps
the value, definite lengths, map keys in the bytewise order of their encodings. NaN is always
f97e00.

The decoder refuses what is not well-formed (Appendix F), bytes after the item, text that is not
UTF-8, a map key that is repeated or is not a scalar, and whatever exceeds its bounds; a declared
length is compared with the bytes that are left before anything is allocated. Keys that Python holds
equal (1, 1.0, true) count as repeated. On an interpreter with 32-bit floats a 64-bit float is
narrowed.
"""

from struct import pack

from wire.cbor_float import encode_float
from wire.cbor_reader import Reader, Simple, Tagged
from wire.errors import CborError
from wire.kernel import Buffer, Function, const

__all__ = (
    "BYTES",
    "LIST",
    "MAP",
    "TAG",
    "TEXT",
    "Simple",
    "Tagged",
    "decode",
    "encode",
    "head",
    "text",
)

_NEGATIVE = const(0x20)
BYTES = const(0x40)
TEXT = const(0x60)
LIST = const(0x80)
MAP = const(0xA0)
TAG = const(0xC0)
_SIMPLE = const(0xE0)


def encode(value: object) -> bytes:
    """Return the deterministic encoding of `value`; CborError for what has none."""
    parts: "list[bytes]" = []
    _write(parts, value)
    return b"".join(parts)


def head(major: int, argument: int) -> bytes:
    """Return the shortest head of type `major` (upper three bits) and unsigned `argument`."""
    if argument < 24:
        return pack(">B", major | argument)
    if argument < 0x100:
        return pack(">BB", major | 24, argument)
    if argument < 0x10000:
        return pack(">BH", major | 25, argument)
    if argument >> 32 == 0:
        return pack(">BI", major | 26, argument)
    if argument >> 64 == 0:
        return pack(">BQ", major | 27, argument)
    raise CborError("%d does not fit in 64 bits" % argument)


def text(value: str) -> bytes:
    """Return `value` as a CBOR text string."""
    encoded = value.encode()
    return head(TEXT, len(encoded)) + encoded


def decode(
    data: Buffer, depth_max: int = 8, items_max: int = 1024, deterministic: bool = False
) -> object:
    """Return the one item that `data` is.

    `depth_max` bounds how deep lists, maps and tags nest, `items_max` how many items there are in
    all. With `deterministic`, anything the encoder above would have written otherwise is refused
    too. Raises CborError, and nothing else.
    """
    reader = Reader(bytes(data), items_max, deterministic)
    value = reader.item(depth_max)
    if reader.at != reader.end:
        raise CborError("%d bytes after the CBOR item" % (reader.end - reader.at))
    return value


def _write(parts: "list[bytes]", value: object) -> None:
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise CborError("a value of type %s has no CBOR encoding here" % type(value).__name__)
    writer(parts, value)


def _write_int(parts: "list[bytes]", value: int) -> None:
    parts.append(head(0, value) if value >= 0 else head(_NEGATIVE, -1 - value))


def _write_bytes(parts: "list[bytes]", value: Buffer) -> None:
    parts.append(head(BYTES, len(value)))
    parts.append(bytes(value))


def _write_text(parts: "list[bytes]", value: str) -> None:
    parts.append(text(value))


def _write_list(parts: "list[bytes]", value: "list[object]") -> None:
    parts.append(head(LIST, len(value)))
    for item in value:
        _write(parts, item)


def _write_map(parts: "list[bytes]", value: "dict[object, object]") -> None:
    encoded = {encode(key): item for key, item in value.items()}
    if len(encoded) != len(value):
        raise CborError("two keys of a map have the same CBOR encoding")
    parts.append(head(MAP, len(encoded)))
    for key in sorted(encoded):
        parts.append(key)
        _write(parts, encoded[key])


def _write_tagged(parts: "list[bytes]", value: Tagged) -> None:
    if value.tag < 0:
        raise CborError("a CBOR tag is not negative, this one is %d" % value.tag)
    parts.append(head(TAG, value.tag))
    _write(parts, value.value)


def _write_simple(parts: "list[bytes]", value: Simple) -> None:
    number = value.number
    if not (0 <= number < 20 or number == 23 or 32 <= number < 256):
        raise CborError("%d is not a CBOR simple value" % number)
    parts.append(head(_SIMPLE, number))


def _write_constant(parts: "list[bytes]", value: "bool | None") -> None:
    parts.append(b"\xf6" if value is None else b"\xf5" if value else b"\xf4")


def _write_float(parts: "list[bytes]", value: float) -> None:
    parts.append(encode_float(value))


_WRITERS: "dict[object, Function]" = {
    int: _write_int,
    bytes: _write_bytes,
    bytearray: _write_bytes,
    memoryview: _write_bytes,
    str: _write_text,
    list: _write_list,
    tuple: _write_list,
    dict: _write_map,
    bool: _write_constant,
    type(None): _write_constant,
    float: _write_float,
    Tagged: _write_tagged,
    Simple: _write_simple,
}
