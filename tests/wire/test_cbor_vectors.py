"""CBOR against RFC 8949: Appendix A, Appendix F and the examples of section 4.2."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from wire.cbor import Simple, Tagged, decode, encode
from wire.errors import CborError

# Diagnostic notation of the cases whose value JSON cannot state.
DIAGNOSTIC: dict[str, object] = {
    "Infinity": math.inf,
    "-Infinity": -math.inf,
    "undefined": Simple(23),
    "simple(16)": Simple(16),
    "simple(255)": Simple(255),
    '0("2013-03-21T20:04:00Z")': Tagged(0, "2013-03-21T20:04:00Z"),
    "1(1363896240)": Tagged(1, 1363896240),
    "1(1363896240.5)": Tagged(1, 1363896240.5),
    "23(h'01020304')": Tagged(23, b"\x01\x02\x03\x04"),
    "24(h'6449455446')": Tagged(24, b"dIETF"),
    '32("http://www.example.com")': Tagged(32, "http://www.example.com"),
    "h''": b"",
    "h'01020304'": b"\x01\x02\x03\x04",
    "{1: 2, 3: 4}": {1: 2, 3: 4},
    "(_ h'0102', h'030405')": b"\x01\x02\x03\x04\x05",
}

# RFC 7049 had simple(24); RFC 8949 counts it among what is not well-formed (Appendix F).
SUPERSEDED = "f818"


def number_of(value: object) -> object:
    """`value`, a bignum (tags 2 and 3) as the integer it stands for."""
    if isinstance(value, Tagged) and value.tag in {2, 3}:
        number = int.from_bytes(value.value, "big")
        return number if value.tag == 2 else -1 - number
    return value


@pytest.fixture(scope="module")
def appendix_a(vectors: Callable[[str], Any]) -> list[dict[str, Any]]:
    cases = vectors("cbor/rfc7049-appendix-a.json")
    assert len(cases) == 82
    return [case for case in cases if case["hex"] != SUPERSEDED]


def test_every_example_is_decoded(appendix_a: list[dict[str, Any]]) -> None:
    assert len(appendix_a) == 81
    for case in appendix_a:
        value = number_of(decode(bytes.fromhex(case["hex"])))
        if case.get("diagnostic") == "NaN":
            assert isinstance(value, float)
            assert math.isnan(value)
            continue
        expected = case["decoded"] if "decoded" in case else DIAGNOSTIC[case["diagnostic"]]
        assert value == expected, case
        assert type(value) is type(expected), case


def test_every_example_that_round_trips_is_encoded(appendix_a: list[dict[str, Any]]) -> None:
    round_trips = [case["hex"] for case in appendix_a if case["roundtrip"]]
    assert len(round_trips) > 60
    for digits in round_trips:
        data = bytes.fromhex(digits)
        assert encode(decode(data)) == data
        assert encode(decode(data, deterministic=True)) == data


def test_the_others_are_not_deterministic(appendix_a: list[dict[str, Any]]) -> None:
    for case in appendix_a:
        if not case["roundtrip"]:
            with pytest.raises(CborError):
                decode(bytes.fromhex(case["hex"]), deterministic=True)


def test_everything_not_well_formed_is_refused(vectors: Callable[[str], Any]) -> None:
    cases = vectors("cbor/rfc8949-appendix-f-not-well-formed.json")
    assert len(cases) == 94
    accepted = []
    for case in cases:
        try:
            decode(bytes.fromhex(case["hex"]), depth_max=16)
        except CborError:
            continue
        accepted.append(case)
    assert accepted == []


def test_keys_are_in_bytewise_order(vectors: Callable[[str], Any]) -> None:
    section = vectors("cbor/rfc8949-4.2-deterministic.json")
    order = [bytes.fromhex(digits) for digits in section["core_key_order_bytewise"]]
    scalar = [key for key in order if not 0x80 <= key[0] < 0xE0]
    assert len(scalar) == 6
    encoded = encode({decode(key): None for key in reversed(scalar)})
    assert encoded == b"\xa6" + b"".join(key + b"\xf6" for key in scalar)
    assert sorted(order) == order


def test_the_older_length_first_order_is_refused(vectors: Callable[[str], Any]) -> None:
    section = vectors("cbor/rfc8949-4.2-deterministic.json")
    order = [bytes.fromhex(digits) for digits in section["length_first_key_order_rfc7049"]]
    scalar = [key for key in order if not 0x80 <= key[0] < 0xE0]
    data = b"\xa6" + b"".join(key + b"\xf6" for key in scalar)
    assert len(decode(data)) == 6  # type: ignore[arg-type]
    with pytest.raises(CborError, match="out of order"):
        decode(data, deterministic=True)


def test_preferred_floats(vectors: Callable[[str], Any]) -> None:
    for case in vectors("cbor/rfc8949-4.2-deterministic.json")["preferred_floats"]:
        assert encode(float(case["value"])).hex() == case["hex"]
