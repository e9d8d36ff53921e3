"""Plain JSON as readings: pointers, stamps, and bytes that are no message."""

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import status
from gateway.clock import NS_PER_S
from gateway.links.mqtt_json import MESSAGE_BYTES_MAX, read_message
from gateway.site_mqtt import MqttValue

END_NS = (1 << 63) - 1
EPOCH_2000_NS = 946_684_800 * NS_PER_S


def value(pointer: str = "/v", name: str = "weight", **changes) -> MqttValue:
    return MqttValue(name=name, topic="hall/scale", value=pointer, unit="kg", **changes)


def read_one(text: str, one: MqttValue):
    """Return the only reading of a message, or None, and the reasons."""
    readings, reasons = read_message("scale", (one,), text.encode())
    return (readings[0] if readings else None), list(reasons)


# --- values --------------------------------------------------------------------------------------

RFC_6901 = {
    "foo": ["bar", 7], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7,
    "m~n": 8,
}  # fmt: skip
"""The document of RFC 6901, section 5, with a number where it has the text "baz"."""


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("/foo/1", 7), ("/", 0), ("/a~1b", 1), ("/c%d", 2), ("/e^f", 3), ("/g|h", 4),
        ("/i\\j", 5), ('/k"l', 6), ("/ ", 7), ("/m~0n", 8),
    ],
)  # fmt: skip
def test_pointers_of_the_standards_own_example(pointer: str, expected: int) -> None:
    reading, reasons = read_one(json.dumps(RFC_6901), value(pointer))
    assert (reading.value, reasons) == (expected, [])


@pytest.mark.parametrize("pointer", ["/foo/2", "/foo/01", "/foo/-", "/foo/1/x", "/nothing", "/a/b"])
def test_what_is_not_there_is_no_value(pointer: str) -> None:
    assert read_one(json.dumps(RFC_6901), value(pointer)) == (None, ["value_missing"])


def test_a_whole_message_may_be_the_number() -> None:
    reading, _ = read_one(" 23.5\n", value("", scale=2.0, offset=1.0))
    assert (reading.signal, reading.unit, reading.value) == ("scale:weight", "kg", 48.0)
    assert (reading.status, reading.stamp_ns, reading.tick_us) == (status.GOOD, None, None)


@pytest.mark.parametrize("raw", ['"12"', "null", "[1]", "{}", "1e999", "9" * 400])
def test_what_is_no_number_is_nan_with_a_bad_status(raw: str) -> None:
    reading, reasons = read_one(f'{{"v": {raw}}}', value())
    assert math.isnan(reading.value)
    assert (reading.status, reasons) == (status.BAD_CONFIGURATION_ERROR, ["value_unreadable"])


def test_a_number_that_its_scale_makes_infinite_is_none() -> None:
    for raw, changes in (("1e300", {"scale": 1e300}), ("-1e308", {"offset": -1e308})):
        reading, reasons = read_one(f'{{"v": {raw}}}', value(**changes))
        assert math.isnan(reading.value)
        assert (reading.status, reasons) == (status.BAD_CONFIGURATION_ERROR, ["value_unreadable"])


def test_one_that_fails_is_one_and_the_others_are_read() -> None:
    wanted = (value("/a", "a"), value("/b", "b"), value("/c", "c"))
    readings, reasons = read_message("scale", wanted, b'{"a": 1, "b": "x"}')
    assert [reading.signal for reading in readings] == ["scale:a", "scale:b"]
    assert reasons == ("value_unreadable", "value_missing")


# --- stamps --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "form", "stamp_ns"),
    [
        ("1700000000", "s", 1_700_000_000 * NS_PER_S),
        ("1700000000.123456789", "s", 1_700_000_000_123_456_789),
        ("1700000000123", "ms", 1_700_000_000_123_000_000),
        ("1700000000123456", "us", 1_700_000_000_123_456_000),
        ("1700000000123456789", "ns", 1_700_000_000_123_456_789),
        ('"2000-01-01T00:00:00Z"', "iso8601", EPOCH_2000_NS),
        ('"2000-01-01T00:00:00.000001"', "iso8601", EPOCH_2000_NS + 1000),
        ('"2000-01-01T02:00:00+02:00"', "iso8601", EPOCH_2000_NS),
        ('"1969-12-31T23:59:59Z"', "iso8601", -NS_PER_S),
        ('"9999-12-31T23:59:59Z"', "iso8601", END_NS),
        ("0", "s", 0),
        ("-1", "s", -NS_PER_S),
        ("9223372036854775808", "ns", END_NS),
        ("1e300", "s", END_NS),
        ("-1e300", "s", -END_NS),
        ("1e-300", "s", 0),
        ("9" * 4000, "ns", END_NS),
    ],
)
def test_a_stamp_is_exact_and_never_more_than_64_bits(raw: str, form: str, stamp_ns: int) -> None:
    one = value(stamp="/t", stamp_format=form)
    reading, reasons = read_one(f'{{"v": 1, "t": {raw}}}', one)
    assert (reading.stamp_ns, reasons) == (stamp_ns, [])


@pytest.mark.parametrize(
    ("raw", "form"),
    [
        ('"yesterday"', "iso8601"), ("1700000000", "iso8601"), ('"1700000000"', "s"),
        ("true", "ms"), ("null", "s"), ("[1]", "ns"),
    ],
)  # fmt: skip
def test_a_stamp_that_cannot_be_read_costs_only_the_stamp(raw: str, form: str) -> None:
    one = value(stamp="/t", stamp_format=form)
    reading, reasons = read_one(f'{{"v": 1, "t": {raw}}}', one)
    assert (reading.value, reading.stamp_ns, reasons) == (1.0, None, ["stamp_unreadable"])


# --- bytes that are no message -------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"\xff", b"NaN", b"-Infinity", b"[" * 60_000, b'{"v":' * 10_000,
        b"9" * 5000, b"1e99999999999999999999", b" " * MESSAGE_BYTES_MAX + b"1",
    ],
)  # fmt: skip
def test_what_is_no_json_is_counted_and_nothing_else(payload: bytes) -> None:
    assert read_message("scale", (value(""),), payload) == ((), ("malformed",))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(payload=st.binary(max_size=200))
def test_no_bytes_raise(payload: bytes) -> None:
    read_message("scale", (value(stamp="/t"),), payload)


def test_no_changed_message_raises() -> None:
    right = json.dumps({"v": 12.5, "t": "2000-01-01T00:00:00Z", "list": [1, {"x": 1e-7}]}).encode()
    rng = random.Random(1)
    wanted = (value(stamp="/t"), value("/list/1/x", "x", stamp="/v", stamp_format="ns"))
    for _ in range(2000):
        wrong = bytearray(right)
        for _ in range(rng.randrange(1, 4)):
            wrong[rng.randrange(len(wrong))] = rng.choice(b'0123456789eE+-.",:{}[]ntu\\\xff')
        for reading in read_message("scale", wanted, bytes(wrong))[0]:
            assert reading.stamp_ns is None or abs(reading.stamp_ns) <= END_NS
