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
    "write_head",
    "write_text",
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
    out = bytearray()
    _write(out, value)
    return bytes(out)


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


def write_head(out: bytearray, major: int, argument: int) -> None:
    """Append the shortest head of `major` (type in the upper three bits) and `argument`."""
    if argument < 24:
        out.append(major | argument)
    elif argument < 0x100:
        out.append(major | 24)
        out.append(argument)
    elif argument < 0x10000:
        out.append(major | 25)
        out.append(argument >> 8)
        out.append(argument & 0xFF)
    elif argument >> 32 == 0:
        out.append(major | 26)
        out.extend(argument.to_bytes(4, "big"))
    elif argument >> 64 == 0:
        out.append(major | 27)
        out.extend(argument.to_bytes(8, "big"))
    else:
        raise CborError("%d does not fit in 64 bits" % argument)


def _write(out: bytearray, value: object) -> None:
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise CborError("a value of type %s has no CBOR encoding here" % type(value).__name__)
    writer(out, value)


def _write_int(out: bytearray, value: int) -> None:
    if value >= 0:
        write_head(out, 0, value)
    else:
        write_head(out, _NEGATIVE, -1 - value)


def _write_bytes(out: bytearray, value: Buffer) -> None:
    write_head(out, BYTES, len(value))
    out.extend(value)


def write_text(out: bytearray, value: str) -> None:
    """Append `value` as a text string."""
    encoded = value.encode()
    write_head(out, TEXT, len(encoded))
    out.extend(encoded)


def _write_list(out: bytearray, value: "list[object]") -> None:
    write_head(out, LIST, len(value))
    for item in value:
        _write(out, item)


def _write_map(out: bytearray, value: "dict[object, object]") -> None:
    encoded = {encode(key): item for key, item in value.items()}
    if len(encoded) != len(value):
        raise CborError("two keys of a map have the same CBOR encoding")
    write_head(out, MAP, len(encoded))
    for key in sorted(encoded):
        out.extend(key)
        _write(out, encoded[key])


def _write_tagged(out: bytearray, value: Tagged) -> None:
    if value.tag < 0:
        raise CborError("a CBOR tag is not negative, this one is %d" % value.tag)
    write_head(out, TAG, value.tag)
    _write(out, value.value)


def _write_simple(out: bytearray, value: Simple) -> None:
    number = value.number
    if not (0 <= number < 20 or number == 23 or 32 <= number < 256):
        raise CborError("%d is not a CBOR simple value" % number)
    write_head(out, _SIMPLE, number)


def _write_constant(out: bytearray, value: "bool | None") -> None:
    out.append(0xF6 if value is None else 0xF5 if value else 0xF4)


def _write_float(out: bytearray, value: float) -> None:
    out.extend(encode_float(value))


_WRITERS: "dict[object, Function]" = {
    int: _write_int,
    bytes: _write_bytes,
    bytearray: _write_bytes,
    memoryview: _write_bytes,
    str: write_text,
    list: _write_list,
    tuple: _write_list,
    dict: _write_map,
    bool: _write_constant,
    type(None): _write_constant,
    float: _write_float,
    Tagged: _write_tagged,
    Simple: _write_simple,
}
