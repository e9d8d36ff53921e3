"""Raw samples: a SenML pack of one record whose data value (`vd`) is a typed block.

    {0: capture id, 1: first, 2: total, 3: period_ns, 4: lsb, 5: axes, 6: typed array}

A capture is longer than a frame, so it comes in blocks: this one begins with sample `first` of
`total`. The typed array (RFC 8746, 2.1) holds signed counts, 16 bits (tag 77) or 32 bits (tag 78),
little-endian, for each sample its `axes` one after the other; a count times `lsb` is in the unit of
the record. The time of the record is that of the block's first sample, relative to the seal's tick.
"""

from collections import namedtuple
from struct import unpack

from wire.cbor import Tagged, encode
from wire.cbor_float import single
from wire.errors import CborError
from wire.fields import UINT32_MAX, checked_unsigned, read_map, unsigned
from wire.kernel import Buffer, const

INT16 = const(77)
INT32 = const(78)
BLOCK_BYTES_MAX = const(1600)
AXES_MAX = const(8)
_PERIOD_NS_MAX = const(0xFFFFFFFFFF)
_COUNT_BYTES = {INT16: 2, INT32: 4}
_FORMATS = {INT16: "<%dh", INT32: "<%di"}
_ID, _FIRST, _TOTAL, _PERIOD_NS = const(0), const(1), const(2), const(3)
_LSB, _AXES, _ARRAY = const(4), const(5), const(6)
_NAME, _UNIT, _TIME, _DATA, _BASE_NAME = const(0), const(1), const(6), const(8), const(-2)

# `layout` is INT16 or INT32, `data` the bytes of the counts.
RawBlock = namedtuple(
    "RawBlock",
    ("capture_id", "first", "total", "period_ns", "lsb", "axes", "layout", "data"),
)


def encode_raw_block(base_name: str, name: str, unit: str, time_s: float, block: RawBlock) -> bytes:
    """Return the pack; `time_s` is when its first sample was taken, 0 or negative, from the tick.

    Raises CborError for a block that decode_raw_block would refuse.
    """
    _check(block)
    if time_s > 0:
        raise CborError("%r s is ahead of the seal" % time_s)
    fields = {
        _ID: block.capture_id,
        _FIRST: block.first,
        _TOTAL: block.total,
        _PERIOD_NS: block.period_ns,
        _LSB: single(block.lsb),
        _AXES: block.axes,
        _ARRAY: Tagged(block.layout, block.data),
    }
    record = {_NAME: name, _TIME: single(time_s), _DATA: encode(fields), _BASE_NAME: base_name}
    if unit:
        record[_UNIT] = unit
    return encode([record])


def decode_raw_block(data: Buffer) -> RawBlock:
    """Return the block that the data value of a record is; CborError for anything else.

    The record around it is read by senml.unpack: its name, unit and time mean what they always do.
    """
    fields = read_map(data, 2)
    array = fields.get(_ARRAY)
    if not isinstance(array, Tagged) or not isinstance(array.value, bytes):
        raise CborError("the samples (key 6) are not a typed array")
    block = RawBlock(
        unsigned(fields, _ID, "capture id", UINT32_MAX),
        unsigned(fields, _FIRST, "first sample", UINT32_MAX),
        unsigned(fields, _TOTAL, "total of samples", UINT32_MAX),
        unsigned(fields, _PERIOD_NS, "period in ns", _PERIOD_NS_MAX),
        fields.get(_LSB),
        unsigned(fields, _AXES, "axes", AXES_MAX),
        array.tag,
        array.value,
    )
    _check(block)
    return block


def counts(block: RawBlock) -> "tuple[int, ...]":
    """Return the counts of `block`, the axes of a sample one after the other."""
    size = _COUNT_BYTES[block.layout]
    return unpack(_FORMATS[block.layout] % (len(block.data) // size), block.data)


def _check(block: RawBlock) -> None:
    size = _COUNT_BYTES.get(block.layout)
    if size is None:
        raise CborError("%r is no layout of samples; there are 77 and 78" % (block.layout,))
    if checked_unsigned(block.axes, "the number of axes", AXES_MAX) == 0:
        raise CborError("a sample has at least one axis")
    if len(block.data) > BLOCK_BYTES_MAX or len(block.data) % (size * block.axes):
        raise CborError(
            "a block of %d bytes is not made of whole samples, or longer than %d"
            % (len(block.data), BLOCK_BYTES_MAX)
        )
    if type(block.lsb) is not float or block.lsb - block.lsb != 0 or block.lsb == 0:
        raise CborError("the lsb is not a finite float other than 0")
    if checked_unsigned(block.period_ns, "the period in ns", _PERIOD_NS_MAX) == 0:
        raise CborError("the period is 0 ns")
    checked_unsigned(block.capture_id, "the capture id", UINT32_MAX)
    first = checked_unsigned(block.first, "the first sample", UINT32_MAX)
    total = checked_unsigned(block.total, "the total of samples", UINT32_MAX)
    if first + len(block.data) // (size * block.axes) > total:
        raise CborError("the block goes beyond sample %d, the last of its capture" % total)
