"""CBOR: round trips, agreement with the library cbor2, and nothing but CborError from any bytes."""

import math
import struct
from collections.abc import Mapping

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.strategies import (
    MODEST,
    is_nan,
    nearly_cbor,
    plain_values,
    scalars,
    values,
)
from wire.cbor import Simple, Tagged, decode, encode
from wire.cbor_float import decode_half, encode_float, encode_single
from wire.errors import CborError

pytestmark = pytest.mark.slow


def ours(value: object) -> object:
    """A value of cbor2 in the types that wire/cbor.py has for it."""
    if value is cbor2.undefined:
        return Simple(23)
    if isinstance(value, cbor2.CBORSimpleValue):
        return Simple(value.value)
    if isinstance(value, cbor2.CBORTag):
        return Tagged(value.tag, ours(value.value))
    if isinstance(value, list | tuple):
        return [ours(item) for item in value]
    if isinstance(value, Mapping):
        return {ours(key): ours(item) for key, item in value.items()}
    return value


def has_tag(value: object) -> bool:
    """Whether a tag lies anywhere in `value`; cbor2 makes other types of many of them."""
    if isinstance(value, Tagged):
        return True
    if isinstance(value, list):
        return any(has_tag(item) for item in value)
    return isinstance(value, dict) and any(has_tag(item) for item in value.values())


@MODEST
@given(values)
def test_what_is_encoded_is_decoded(value: object) -> None:
    data = encode(value)
    for deterministic in (False, True):
        decoded = decode(data, depth_max=32, deterministic=deterministic)
        assert decoded == value
        assert encode(decoded) == data


@MODEST
@given(values)
def test_cbor2_reads_the_same(value: object) -> None:
    assert ours(cbor2.loads(encode(value))) == value


@MODEST
@given(st.recursive(scalars, lambda children: st.lists(children, max_size=6), max_leaves=12))
def test_cbor2_writes_the_same(value: object) -> None:
    """Without maps: cbor2 sorts keys by the older rule, length first."""
    assert cbor2.dumps(value, canonical=True) == encode(value)


@MODEST
@given(plain_values)
def test_what_cbor2_writes_is_read(value: object) -> None:
    assert decode(cbor2.dumps(value), depth_max=32) == value


@MODEST
@given(nearly_cbor | st.binary(max_size=64))
def test_any_bytes_are_a_value_or_a_cbor_error(data: bytes) -> None:
    try:
        value = decode(data)
    except CborError:
        return
    if not has_tag(value):
        assert encode(ours(cbor2.loads(data))) == encode(value)


@MODEST
@given(nearly_cbor | st.binary(max_size=64))
def test_what_is_deterministic_has_one_encoding(data: bytes) -> None:
    try:
        value = decode(data, deterministic=True)
    except CborError:
        return
    assert encode(value) == data


@MODEST
@given(values, st.data())
def test_every_cut_is_refused(value: object, data: st.DataObject) -> None:
    encoded = encode(value)
    length = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(CborError):
        decode(encoded[:length], depth_max=32)


@MODEST
@given(values, st.integers(1, 12), st.integers(0, 4))
def test_bounds_are_kept(value: object, items_max: int, depth_max: int) -> None:
    try:
        decoded = decode(encode(value), depth_max=depth_max, items_max=items_max)
    except CborError:
        return
    assert count(decoded) <= items_max
    assert depth(decoded) <= depth_max


def count(value: object) -> int:
    """How many items `value` has in all."""
    return 1 + sum(count(child) for child in children(value))


def depth(value: object) -> int:
    """How deep lists, maps and tags nest in `value`."""
    if not isinstance(value, Tagged | list | dict):
        return 0
    return 1 + max((depth(child) for child in children(value)), default=0)


def children(value: object) -> list[object]:
    """The items right below `value`."""
    if isinstance(value, Tagged):
        return [value.value]
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def test_every_half_float_is_widened_as_struct_does() -> None:
    for bits in range(0x10000):
        value = decode_half(bits >> 8, bits & 0xFF)
        (expected,) = struct.unpack(">e", struct.pack(">H", bits))
        if is_nan(expected):
            assert is_nan(value)
            assert encode_float(value) == b"\xf9\x7e\x00"
        else:
            assert struct.pack(">d", value) == struct.pack(">d", expected)
            assert encode_float(value) == b"\xf9" + struct.pack(">H", bits)


@MODEST
@given(st.floats(allow_nan=True))
def test_floats_are_the_shortest_that_keep_the_value(value: float) -> None:
    assert encode_float(value) == cbor2.dumps(value, canonical=True)


@MODEST
@given(st.floats(width=32) | st.floats(-1e30, 1e30))
def test_single_floats_are_rounded_once(value: float) -> None:
    (narrowed,) = struct.unpack(">f", struct.pack(">f", value))
    assert encode_single(value) == encode_float(narrowed)


def test_nan_of_any_payload_has_one_form() -> None:
    for bits in (0x7FF8000000000001, 0x7FF0000000000001, 0xFFF8000000000000, 0x7FFFFFFFFFFFFFFF):
        (value,) = struct.unpack(">d", struct.pack(">Q", bits))
        assert encode_float(value) == encode_single(value) == b"\xf9\x7e\x00"
        assert math.isnan(decode(b"\xfb" + struct.pack(">Q", bits)))  # type: ignore[arg-type]
