"""Sparkplug B 3.0 payloads: Metric and Payload to and from protobuf bytes, nothing else.

    Payload: timestamp 1, metrics 2, seq 3      Metric: name 1 ... properties 9, value 10-16

Promises: what `encode` writes any Sparkplug host reads; `decode` is bounded and refuses what is not
well-formed, skips fields it does not know (as protobuf demands), and keeps integers whole: signed
types travel as two's complement in the unsigned fields (32 bits up to Int32, 64 bits for Int64).
Left to others: topics, sequence numbers, session rules (`sparkplug.py`); DataSet, Template, arrays
and nested property sets, which this gateway neither sends nor obeys.
Source: Sparkplug 3.0.0 chapter 6.4; protobuf encoding (proto2).
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from gateway.errors import SinkError

Value = bool | int | float | str | bytes

METRICS_MAX: Final = 1000
_VARINT_BYTES_MAX: Final = 10
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class DataType(IntEnum):
    """Sparkplug data types of single values."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    BYTES = 17


_BITS: Final = {
    DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64,
    DataType.UINT8: 8, DataType.UINT16: 16, DataType.UINT32: 32, DataType.UINT64: 64,
    DataType.DATETIME: 64,
}  # fmt: skip
_SIGNED: Final = frozenset((DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64))
_TEXTS: Final = frozenset((DataType.STRING, DataType.TEXT, DataType.UUID))

_METRIC_VALUE_FIELD: Final = 10
"""Field of int_value in Metric; long, float, double, boolean, string, bytes follow in order."""
_PROPERTY_VALUE_FIELD: Final = 3
_INT, _LONG, _FLOAT, _DOUBLE, _BOOLEAN, _STRING, _BYTES = range(7)
_SLOTS: Final = {
    **{kind: _LONG if bits == 64 else _INT for kind, bits in _BITS.items()},
    DataType.FLOAT: _FLOAT, DataType.DOUBLE: _DOUBLE, DataType.BOOLEAN: _BOOLEAN,
    **dict.fromkeys(_TEXTS, _STRING),
    DataType.BYTES: _BYTES,
}  # fmt: skip
_FIXED_BYTES: Final = {_FIXED64: 8, _FIXED32: 4}


class SparkplugPayloadError(SinkError):
    """Bytes that are no Sparkplug payload, or a value that does not fit its data type."""

    def __init__(self, what: str) -> None:
        super().__init__("sparkplug payload", what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One entry of a metric's property set; value None means null."""

    key: str
    datatype: DataType
    value: Value | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. Births need name and datatype; data may leave the datatype out."""

    name: str | None = None
    alias: int | None = None
    timestamp_ms: int | None = None
    datatype: DataType | None = None
    value: Value | None = None
    """None is written as is_null = true."""
    is_historical: bool = False
    is_transient: bool = False
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """One Sparkplug message body."""

    timestamp_ms: int | None
    sequence: int | None
    """0..255; None in NDEATH and NCMD."""
    metrics: tuple[Metric, ...]


def encode(payload: Payload, *, states_types: bool = True) -> bytes:
    """Return the protobuf bytes of a payload.

    `states_types` is False for data messages: the birth has told the data types already
    (tck-id-payloads-metric-datatype-not-req).
    Raises `SparkplugPayloadError` when a value does not fit its type.
    """
    parts: list[bytes] = []
    if payload.timestamp_ms is not None:
        parts.append(_varint_field(1, payload.timestamp_ms))
    parts += [_length_field(2, _metric(metric, states_types)) for metric in payload.metrics]
    if payload.sequence is not None:
        parts.append(_varint_field(3, payload.sequence))
    return b"".join(parts)


def decode(data: bytes, types: Mapping[str, DataType] | None = None) -> Payload:
    """Return the payload in protobuf bytes.

    `types` gives the data type of metrics that state none, by name (from the birth); without it
    their integers stay unsigned.
    Raises `SparkplugPayloadError` when the bytes are not well-formed or have too many metrics.
    """
    timestamp_ms: int | None = None
    sequence: int | None = None
    metrics: list[Metric] = []
    for number, content in _fields(data):
        match number, content:
            case 1, int():
                timestamp_ms = content
            case 2, bytes():
                if len(metrics) == METRICS_MAX:
                    raise SparkplugPayloadError(f"more than {METRICS_MAX} metrics")
                metrics.append(_read_metric(content, types or {}))
            case 3, int():
                sequence = content
    return Payload(timestamp_ms=timestamp_ms, sequence=sequence, metrics=tuple(metrics))


# --- metrics -------------------------------------------------------------------------------------


def _metric(metric: Metric, states_types: bool) -> bytes:
    """Return the bytes of one Metric message."""
    parts: list[bytes] = []
    if metric.name is not None:
        parts.append(_length_field(1, metric.name.encode()))
    if metric.alias is not None:
        parts.append(_varint_field(2, metric.alias))
    if metric.timestamp_ms is not None:
        parts.append(_varint_field(3, metric.timestamp_ms))
    if states_types and metric.datatype is not None:
        parts.append(_varint_field(4, metric.datatype))
    for number, flag in (
        (5, metric.is_historical),
        (6, metric.is_transient),
        (7, metric.value is None),
    ):
        if flag:
            parts.append(_varint_field(number, 1))
    if metric.properties:
        parts.append(_length_field(9, _property_set(metric.properties)))
    if metric.value is not None:
        if metric.datatype is None:
            raise SparkplugPayloadError(f"metric {metric.name!r} has a value but no data type")
        parts.append(_value_field(_METRIC_VALUE_FIELD, metric.datatype, metric.value))
    return b"".join(parts)


def _property_set(properties: tuple[Property, ...]) -> bytes:
    """Return the bytes of a PropertySet: all keys, then all values."""
    keys = [_length_field(1, prop.key.encode()) for prop in properties]
    values: list[bytes] = []
    for prop in properties:
        if prop.datatype is DataType.BYTES:
            raise SparkplugPayloadError(f"property {prop.key!r}: bytes are no property type")
        content = _varint_field(1, prop.datatype)
        if prop.value is None:
            content += _varint_field(2, 1)
        else:
            content += _value_field(_PROPERTY_VALUE_FIELD, prop.datatype, prop.value)
        values.append(_length_field(2, content))
    return b"".join(keys + values)


def _read_metric(data: bytes, types: Mapping[str, DataType]) -> Metric:
    """Return the Metric in these bytes."""
    numbers: dict[int, int] = {}
    name: str | None = None
    properties: tuple[Property, ...] = ()
    value: tuple[int, int | bytes] | None = None
    for number, content in _fields(data):
        match number, content:
            case 1, bytes():
                name = _text(content)
            case 9, bytes():
                properties = _read_property_set(content)
            case ((2 | 3 | 4 | 5 | 6 | 7), int()):
                numbers[number] = content
            case _ if 0 <= number - _METRIC_VALUE_FIELD <= _BYTES:
                value = (number - _METRIC_VALUE_FIELD, content)
    datatype = _datatype(numbers.get(4)) or types.get(name or "")
    return Metric(
        name=name,
        alias=numbers.get(2),
        timestamp_ms=numbers.get(3),
        datatype=datatype,
        value=None if value is None or numbers.get(7) else _read_value(*value, datatype),
        is_historical=bool(numbers.get(5)),
        is_transient=bool(numbers.get(6)),
        properties=properties,
    )


def _read_property_set(data: bytes) -> tuple[Property, ...]:
    """Return the properties in these bytes; those of nested types are left out."""
    keys: list[str] = []
    values: list[tuple[DataType | None, Value | None]] = []
    for number, content in _fields(data):
        match number, content:
            case 1, bytes():
                keys.append(_text(content))
            case 2, bytes():
                values.append(_read_property_value(content))
    if len(keys) != len(values):
        raise SparkplugPayloadError(f"{len(keys)} property keys but {len(values)} values")
    return tuple(
        Property(key=key, datatype=datatype, value=value)
        for key, (datatype, value) in zip(keys, values, strict=True)
        if datatype is not None
    )


def _read_property_value(data: bytes) -> tuple[DataType | None, Value | None]:
    """Return data type and value of one PropertyValue."""
    datatype: DataType | None = None
    is_null = False
    value: tuple[int, int | bytes] | None = None
    for number, content in _fields(data):
        match number, content:
            case 1, int():
                datatype = _datatype(content)
            case 2, int():
                is_null = bool(content)
            case _ if 0 <= number - _PROPERTY_VALUE_FIELD <= _STRING:
                value = (number - _PROPERTY_VALUE_FIELD, content)
    if value is None or is_null:
        return datatype, None
    return datatype, _read_value(*value, datatype)


# --- values --------------------------------------------------------------------------------------


def _datatype(number: int | None) -> DataType | None:
    """Return the data type of a number; None for those this module leaves to others."""
    return DataType(number) if number in _SLOTS else None


def _value_field(first: int, datatype: DataType, value: Value) -> bytes:
    """Return a value as the protobuf field of its type, `first` being the field of int_value."""
    slot = _SLOTS[datatype]
    number = first + slot
    match slot, value:
        case ((0 | 1), int()) if not isinstance(value, bool):
            return _varint_field(number, _unsigned(datatype, value))
        case 2, float() | int():
            return _key(number, _FIXED32) + _float32(value)
        case 3, float() | int():
            return _key(number, _FIXED64) + struct.pack("<d", value)
        case 4, bool():
            return _varint_field(number, int(value))
        case 5, str():
            return _length_field(number, value.encode())
        case 6, bytes():
            return _length_field(number, value)
    raise SparkplugPayloadError(f"{value!r} is no {datatype.name}")


def _unsigned(datatype: DataType, value: int) -> int:
    """Return an integer as the unsigned number that travels, after a range check."""
    bits = _BITS[datatype]
    low = -(1 << bits - 1) if datatype in _SIGNED else 0
    if not low <= value < low + (1 << bits):
        raise SparkplugPayloadError(f"{value} does not fit into {datatype.name}")
    return value % (1 << max(bits, 32))


def _float32(value: float) -> bytes:
    """Return a 32-bit float."""
    try:
        return struct.pack("<f", value)
    except OverflowError as error:
        raise SparkplugPayloadError(f"{value!r} does not fit into FLOAT") from error


def _read_value(slot: int, content: int | bytes, datatype: DataType | None) -> Value:
    """Return the value of a field whose number said slot `slot`."""
    match slot, content:
        case ((0 | 1), int()):
            number = content % (1 << (32 if slot == _INT else 64))
            return _signed(datatype, number) if datatype in _SIGNED else number
        case 2, bytes() if len(content) == 4:
            return float(struct.unpack("<f", content)[0])
        case 3, bytes() if len(content) == 8:
            return float(struct.unpack("<d", content)[0])
        case 4, int():
            return bool(content)
        case 5, bytes():
            return _text(content)
        case 6, bytes():
            return content
    raise SparkplugPayloadError(f"value field {slot} has the wrong wire type")


def _signed(datatype: DataType | None, number: int) -> int:
    """Return two's complement of at least 32 bits as a signed number."""
    bits = 64 if datatype is DataType.INT64 else 32
    return number - (1 << bits) if number >> bits - 1 else number


# --- protobuf ------------------------------------------------------------------------------------


def _key(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint_field(number: int, value: int) -> bytes:
    return _key(number, _VARINT) + _varint(value)


def _length_field(number: int, content: bytes) -> bytes:
    return _key(number, _LENGTH) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Return a non-negative integer of up to 64 bits, 7 bits a byte, least significant first."""
    if not 0 <= value < 1 << 64:
        raise SparkplugPayloadError(f"{value} is no unsigned 64-bit number")
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise SparkplugPayloadError("a string is not UTF-8") from error


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (field number, integer of a varint or bytes of anything else) in order."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise SparkplugPayloadError(f"field number 0 at byte {at}")
        if wire_type == _VARINT:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        if wire_type == _LENGTH:
            length, at = _read_varint(data, at)
        elif wire_type in _FIXED_BYTES:
            length = _FIXED_BYTES[wire_type]
        else:
            raise SparkplugPayloadError(f"wire type {wire_type} at byte {at}")
        if length > len(data) - at:
            raise SparkplugPayloadError(f"field {number} ends {length} bytes after byte {at}")
        yield number, data[at : at + length]
        at += length


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return (number, position after it)."""
    value = 0
    for index, byte in enumerate(data[at : at + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if value >> 64:
                break
            return value, at + index + 1
    raise SparkplugPayloadError(f"no 64-bit varint at byte {at}")
