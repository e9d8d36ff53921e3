"""HMAC and HKDF against RFC 4231, RFC 5869 and the Wycheproof set."""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.strategies import MODEST
from wire.errors import WireError
from wire.mac import HmacSha256, differences_kernel, equal, hkdf_sha256


def wycheproof(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The tests of a Wycheproof file, each with the fields of its group."""
    for group in content["testGroups"]:
        for test in group["tests"]:
            yield {**group, **test}


def test_hmac_of_rfc_4231(vectors: Callable[[str], Any]) -> None:
    cases = vectors("hmac/rfc4231_sha256.json")
    assert len(cases) == 7
    for case in cases:
        code = HmacSha256(bytes.fromhex(case["key"])).digest(bytes.fromhex(case["data"])).hex()
        expected = case["hmac_sha256"]
        assert code[: len(expected)] == expected, case


def test_hmac_of_wycheproof(vectors: Callable[[str], Any]) -> None:
    content = vectors("hmac/wycheproof_hmac_sha256.json")
    seen = 0
    for case in wycheproof(content):
        mac = HmacSha256(bytes.fromhex(case["key"]))
        code = mac.digest(bytes.fromhex(case["msg"]))[: case["tagSize"] // 8]
        is_right = equal(code, bytes.fromhex(case["tag"]))
        assert is_right == (case["result"] == "valid"), case
        seen += 1
    assert seen == content["numberOfTests"] == 174


def test_hkdf_of_rfc_5869(vectors: Callable[[str], Any]) -> None:
    cases = vectors("hkdf/rfc5869_sha256.json")
    assert len(cases) == 3
    for case in cases:
        key_material, salt, info = (bytes.fromhex(case[name]) for name in ("ikm", "salt", "info"))
        assert HmacSha256(salt).digest(key_material).hex() == case["prk"]
        assert hkdf_sha256(key_material, salt, info, case["L"]).hex() == case["okm"]


def test_hkdf_of_wycheproof(vectors: Callable[[str], Any]) -> None:
    content = vectors("hkdf/wycheproof_hkdf_sha256.json")
    seen = 0
    for case in wycheproof(content):
        seen += 1
        key_material, salt, info = (bytes.fromhex(case[name]) for name in ("ikm", "salt", "info"))
        if case["result"] == "invalid":
            with pytest.raises(WireError, match="8160"):
                hkdf_sha256(key_material, salt, info, case["size"])
            continue
        assert hkdf_sha256(key_material, salt, info, case["size"]).hex() == case["okm"], case
    assert seen == content["numberOfTests"] == 86


@MODEST
@given(st.binary(max_size=200), st.lists(st.binary(max_size=100), max_size=5))
def test_hmac_is_that_of_the_standard_library(key: bytes, parts: list[bytes]) -> None:
    expected = hmac.new(key, b"".join(parts), hashlib.sha256).digest()
    assert HmacSha256(key).digest(*parts) == expected


@MODEST
@given(st.binary(min_size=1, max_size=64), st.data())
def test_the_kernel_finds_any_difference(left: bytes, data: st.DataObject) -> None:
    right = bytearray(left)
    index = data.draw(st.integers(0, len(left) - 1))
    right[index] ^= data.draw(st.integers(1, 255))
    assert differences_kernel(left, right, len(left)) != 0
    assert differences_kernel(left, bytes(left), len(left)) == 0
    assert not equal(left, bytes(right))
