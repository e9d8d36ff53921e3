"""Sparkplug B bytes: held to Google's protobuf in both directions, and to bad input."""

import contextlib
import json
import math
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sinks.sparkplug_payload import (
    DataType,
    Metric,
    Payload,
    Property,
    SparkplugPayloadError,
    decode,
    encode,
)
from tests.gateway.sinks.sparkplug_reference import payload_class

BITS = {"INT8": 8, "INT16": 16, "INT32": 32, "INT64": 64}
SETTINGS = settings(derandomize=True, deadline=None, max_examples=150)


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low = -(1 << bits - 1) if signed else 0
    return st.integers(low, low + (1 << bits) - 1)


VALUES: dict[DataType, st.SearchStrategy] = {
    **{DataType[name]: integers(bits, signed=True) for name, bits in BITS.items()},
    **{DataType["U" + name]: integers(bits, signed=False) for name, bits in BITS.items()},
    DataType.DATETIME: integers(64, signed=False),
    DataType.FLOAT: st.floats(width=32, allow_nan=False),
    DataType.DOUBLE: st.floats(allow_nan=False),
    DataType.BOOLEAN: st.booleans(),
    DataType.STRING: st.text(max_size=40),
    DataType.TEXT: st.text(max_size=40),
    DataType.UUID: st.uuids().map(str),
    DataType.BYTES: st.binary(max_size=40),
}


@st.composite
def typed(draw, *, types=tuple(VALUES)) -> tuple[DataType, object]:
    datatype = draw(st.sampled_from(types))
    return datatype, draw(st.none() | VALUES[datatype])


@st.composite
def properties(draw) -> Property:
    types = tuple(set(VALUES) - {DataType.BYTES})
    datatype, value = draw(typed(types=sorted(types)))
    return Property(key=draw(st.text(max_size=10)), datatype=datatype, value=value)


@st.composite
def metrics(draw) -> Metric:
    datatype, value = draw(typed())
    unsigned = st.none() | integers(64, signed=False)
    return Metric(
        name=draw(st.none() | st.text(max_size=20)),
        alias=draw(unsigned),
        timestamp_ms=draw(unsigned),
        datatype=datatype,
        value=value,
        is_historical=draw(st.booleans()),
        is_transient=draw(st.booleans()),
        properties=tuple(draw(st.lists(properties(), max_size=3))),
    )


PAYLOADS = st.builds(
    Payload,
    timestamp_ms=st.none() | integers(64, signed=False),
    sequence=st.none() | st.integers(0, 255),
    metrics=st.lists(metrics(), max_size=4).map(tuple),
)


@pytest.fixture(scope="module")
def reference(shared_dir: Path):
    return payload_class(shared_dir)


def test_the_data_types_are_those_of_the_specification(shared_dir: Path) -> None:
    numbers = json.loads((shared_dir / "vectors/sparkplug/protobuf_fields.json").read_text())
    table = {name.upper(): number for name, number in numbers["DataType"].items()}
    assert {kind.name: kind.value for kind in DataType}.items() <= table.items()


@SETTINGS
@given(payload=PAYLOADS)
def test_decode_is_the_inverse_of_encode(payload: Payload) -> None:
    assert decode(encode(payload)) == payload


@SETTINGS
@given(payload=PAYLOADS)
def test_a_birth_tells_the_types_that_data_leave_out(payload: Payload) -> None:
    named = replace(
        payload, metrics=tuple(replace(m, name=f"m{i}") for i, m in enumerate(payload.metrics))
    )
    types = {metric.name: metric.datatype for metric in named.metrics}
    content = encode(named, states_types=False)
    assert decode(content, types) == named
    assert all(metric.datatype is None for metric in decode(content).metrics)


@SETTINGS
@given(payload=PAYLOADS)
def test_google_reads_what_we_write(reference, payload: Payload) -> None:
    message = reference.FromString(encode(payload))
    assert len(message.metrics) == len(payload.metrics)
    for theirs, ours in zip(message.metrics, payload.metrics, strict=True):
        assert theirs.is_null == (ours.value is None)
        assert (theirs.name if theirs.HasField("name") else None) == ours.name
        assert theirs.datatype == ours.datatype
        if ours.value is not None:
            assert their_value(theirs, ours.datatype) == ours.value
        assert list(theirs.properties.keys) == [prop.key for prop in ours.properties]
        for value, prop in zip(theirs.properties.values, ours.properties, strict=True):
            assert value.type == prop.datatype
            assert value.is_null == (prop.value is None)
            if prop.value is not None:
                assert their_value(value, prop.datatype) == prop.value
    assert not message.FindInitializationErrors()
    assert message.ByteSize() == len(encode(payload)), "no field is unknown to the specification"


def their_value(message, datatype: DataType) -> object:
    """Return the value Google read, as a host would (Sparkplug 6.4.16: two's complement)."""
    if datatype in (DataType.INT8, DataType.INT16, DataType.INT32):
        return struct.unpack("<i", struct.pack("<I", message.int_value))[0]
    if datatype is DataType.INT64:
        return struct.unpack("<q", struct.pack("<Q", message.long_value))[0]
    fields = {
        DataType.UINT64: "long_value", DataType.DATETIME: "long_value",
        DataType.FLOAT: "float_value", DataType.DOUBLE: "double_value",
        DataType.BOOLEAN: "boolean_value", DataType.BYTES: "bytes_value",
        DataType.STRING: "string_value", DataType.TEXT: "string_value",
        DataType.UUID: "string_value",
    }  # fmt: skip
    return getattr(message, fields.get(datatype, "int_value"))


@SETTINGS
@given(payload=PAYLOADS)
def test_we_read_what_google_writes(reference, payload: Payload) -> None:
    rewritten = reference.FromString(encode(payload)).SerializeToString()
    assert decode(rewritten) == payload


def test_nan_and_infinities_travel() -> None:
    for value in (math.nan, math.inf, -math.inf):
        metric = Metric(name="m", datatype=DataType.DOUBLE, value=value)
        back = decode(encode(Payload(timestamp_ms=1, sequence=0, metrics=(metric,))))
        assert struct.pack("<d", back.metrics[0].value) == struct.pack("<d", value)


# --- bad input -----------------------------------------------------------------------------------


@SETTINGS
@given(data=st.binary(max_size=100))
def test_noise_is_refused_or_read_but_never_crashes(data: bytes) -> None:
    with contextlib.suppress(SparkplugPayloadError):
        assert isinstance(decode(data), Payload)


@SETTINGS
@given(payload=PAYLOADS, data=st.data())
def test_a_damaged_payload_never_crashes(payload: Payload, data) -> None:
    content = bytearray(encode(payload))
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    cut = bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(SparkplugPayloadError):
        assert isinstance(decode(cut), Payload)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x12\x05\x0a", "ends 5 bytes after"),
        (b"\x08" + b"\xff" * 10, "no 64-bit varint"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "no 64-bit varint"),
        (b"\x08", "no 64-bit varint"),
        (b"\x00\x01", "field number 0"),
        (b"\x0b", "wire type 3"),
        (b"\x12\x03\x0a\x01\xff", "not UTF-8"),
        (b"\x12\x04\x4a\x02\x0a\x00", "1 property keys but 0 values"),
        (b"\x12\x02\x68\x01", "wrong wire type"),
        (b"\x12\x00" * 1001, "more than 1000 metrics"),
    ],
)
def test_malformed_payloads_are_refused_in_words(data: bytes, what: str) -> None:
    with pytest.raises(SparkplugPayloadError, match=what):
        decode(data)


def test_unknown_fields_and_types_are_skipped() -> None:
    known = Payload(timestamp_ms=5, sequence=1, metrics=())
    unknown = b"\xa2\x06\x03abc" + b"\xa8\x06\x07" + b"\xad\x06abcd" + b"\xa1\x06abcdefgh"
    assert decode(unknown + encode(known)) == known
    # A metric "d" of data type DataSet (16) with an empty dataset_value (field 17).
    (metric,) = decode(b"\x12\x08\x0a\x01d\x20\x10\x8a\x01\x00").metrics
    assert metric == Metric(name="d", datatype=None, value=None)


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.INT8, 128), (DataType.INT8, -129), (DataType.UINT8, -1), (DataType.UINT8, 256),
        (DataType.INT32, 1 << 31), (DataType.UINT32, 1 << 32), (DataType.INT64, 1 << 63),
        (DataType.UINT64, -1), (DataType.INT32, 1.5), (DataType.INT32, True),
        (DataType.DOUBLE, "1"), (DataType.BOOLEAN, 1), (DataType.STRING, b"x"),
        (DataType.BYTES, "x"), (DataType.FLOAT, 1e300), (None, 1),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_its_type_is_refused(datatype, value) -> None:
    metric = Metric(name="m", datatype=datatype, value=value)
    with pytest.raises(SparkplugPayloadError):
        encode(Payload(timestamp_ms=None, sequence=None, metrics=(metric,)))


def test_bytes_are_no_property() -> None:
    prop = Property(key="k", datatype=DataType.BYTES, value=b"x")
    metric = Metric(name="m", datatype=DataType.INT8, value=1, properties=(prop,))
    with pytest.raises(SparkplugPayloadError, match="no property type"):
        encode(Payload(timestamp_ms=None, sequence=None, metrics=(metric,)))
