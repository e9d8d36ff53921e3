"""Packs: what is packed comes back, and any bytes give records or a SenmlError."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.strategies import (
    MODEST,
    channel_names,
    nearly_cbor,
    readings,
    single_floats,
    values,
)
from wire.cbor import Tagged, decode, encode
from wire.errors import SenmlError
from wire.senml import Packer, Record, pack, resolve, unpack

pytestmark = pytest.mark.slow

labels = st.integers(-7, 9) | st.sampled_from(["l", "l_", "bn"])
entries = st.lists(st.dictionaries(labels, values, max_size=5), max_size=5)


@MODEST
@given(st.sampled_from(["", "pump-a:"]), readings)
def test_what_is_packed_comes_back(
    base_name: str, rows: list[tuple[str, str, float, float]]
) -> None:
    expected = [
        Record(base_name + name, unit, value, time_s, None, None)
        for name, unit, value, time_s in rows
    ]
    expected.sort(key=lambda record: record.time_s)
    data = pack(base_name, rows)
    assert unpack(data) == expected
    assert encode(decode(data, deterministic=True)) == data


@MODEST
@given(readings, readings)
def test_a_packer_keeps_nothing_of_the_pack_before(
    rows: list[tuple[str, str, float, float]], before: list[tuple[str, str, float, float]]
) -> None:
    packer = Packer("a:", [(name, unit) for name, unit, _, _ in rows])
    count = len(rows)
    other = [before[index % len(before)] for index in range(count)]
    packer.pack([row[2] for row in other], [row[3] for row in other])
    found = packer.pack([row[2] for row in rows], [row[3] for row in rows])
    assert found == pack("a:", rows)


@MODEST
@given(st.floats())
def test_a_value_is_packed_to_32_bits_or_refused(value: float) -> None:
    try:
        (record,) = unpack(pack("", [("a", "V", value, 0)]))
    except SenmlError:
        assert not math.isfinite(value) or abs(value) > 3.4028235e38
        return
    assert record.value == pytest.approx(value, rel=6e-8, abs=1e-45)


@MODEST
@given(st.binary(max_size=100) | nearly_cbor | entries.map(encode))
def test_any_bytes_are_records_or_a_senml_error(data: bytes) -> None:
    try:
        records = unpack(data)
    except SenmlError:
        return
    times_s = [record.time_s for record in records]
    assert times_s == sorted(times_s)
    for record in records:
        assert record.name
        assert isinstance(record.unit, str)
        assert isinstance(record.value, float | str | bool | bytes | None)
        assert record.value is not None or record.value_sum is not None
        assert not isinstance(record.value, float) or math.isfinite(record.value)


@MODEST
@given(values)
def test_any_value_is_a_pack_or_a_senml_error(value: object) -> None:
    try:
        resolve(value)
    except SenmlError:
        return
    assert isinstance(value, list)


@MODEST
@given(st.lists(st.tuples(channel_names, single_floats), min_size=1, max_size=6), single_floats)
def test_a_base_value_is_added_to_every_value(
    rows: list[tuple[str, float]], base_value: float
) -> None:
    pack_entries: list[dict[int, object]] = [{0: name, 2: value} for name, value in rows]
    pack_entries[0][-5] = base_value
    found = unpack(encode(pack_entries))
    assert [record.value for record in found] == [value + base_value for _, value in rows]


@MODEST
@given(st.integers(-400, 400), st.integers(-(2**63), 2**63))
def test_a_decimal_fraction_is_the_nearest_float(exponent: int, mantissa: int) -> None:
    exact = Fraction(mantissa) * Fraction(10) ** exponent
    data = encode([{0: "a", 2: Tagged(4, [exponent, mantissa])}])
    try:
        (record,) = unpack(data)
    except SenmlError:
        with pytest.raises(OverflowError):
            float(exact)
        return
    assert record.value == float(exact)
