"""COSE_Mac0 against cose-wg/Examples, its failing cases included, and SenML inside a seal."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from wire.cbor import decode, encode
from wire.errors import CoseError
from wire.mac import HmacSha256
from wire.mac0 import mac0_verify
from wire.senml import unpack

ALGORITHMS = {"HS256": 5, "HS256/64": 4}


def key_of(case: dict[str, Any]) -> bytes:
    """The symmetric key of an example."""
    key = case["input"]["mac0"]["recipients"][0]["key"]
    if "k_hex" in key:
        return bytes.fromhex(key["k_hex"])
    return base64.urlsafe_b64decode(key["k"] + "==")


@pytest.fixture(scope="module")
def examples(vectors: Callable[[str], Any]) -> dict[str, dict[str, Any]]:
    found = {
        name: case
        for name, case in vectors("cose/cose-wg-examples.json").items()
        if "mac0" in case["input"]
    }
    assert len(found) == 14
    return found


def open_example(case: dict[str, Any]) -> bytes:
    """Verify an example with the algorithm that belongs to its key."""
    algorithm = ALGORITHMS[case["input"]["mac0"]["alg"]]
    aad = bytes.fromhex(case["input"]["mac0"].get("external", ""))
    return mac0_verify(bytes.fromhex(case["output"]["cbor"]), key_of(case), aad, (algorithm,))


def test_every_good_example_is_verified(examples: dict[str, dict[str, Any]]) -> None:
    good = {name: case for name, case in examples.items() if not case.get("fail")}
    assert len(good) == 7
    for name, case in good.items():
        source = case["input"]
        plain = bytes.fromhex(source.get("plaintext_hex", "")) or source["plaintext"].encode()
        assert open_example(case) == plain, name


def test_every_failing_example_is_refused(examples: dict[str, dict[str, Any]]) -> None:
    bad = {name: case for name, case in examples.items() if case.get("fail")}
    assert len(bad) == 7
    reasons = {}
    for name, case in bad.items():
        with pytest.raises(CoseError) as caught:
            open_example(case)
        reasons[name.rpartition("/")[2].removesuffix(".json")] = caught.value.reason
    assert reasons == {
        "mac-fail-01": "malformed",  # another CBOR tag
        "mac-fail-02": "bad_mac",  # another tag
        "mac-fail-03": "malformed",  # another algorithm
        "mac-fail-04": "malformed",  # an unknown algorithm
        "mac-fail-06": "bad_mac",  # a protected label more
        "mac-fail-07": "bad_mac",  # a protected label less
        "HMac-enc-04": "bad_mac",  # another tag
    }


def test_every_example_fails_under_another_key(examples: dict[str, dict[str, Any]]) -> None:
    for case in examples.values():
        message = bytes.fromhex(case["output"]["cbor"])
        with pytest.raises(CoseError):
            mac0_verify(message, bytes(32))


def test_senml_in_cose(vectors: Callable[[str], Any]) -> None:
    content = vectors("cose/senml_in_cose_computed.json")
    mac0 = content["mac0"]
    key = bytes.fromhex(mac0["key"])
    payload = mac0_verify(bytes.fromhex(mac0["message"]), key)
    assert payload.hex() == content["payload"]
    protected = bytes.fromhex(mac0["protected"])
    structure = encode(["MAC0", protected, b"", payload])
    assert structure.hex() == mac0["ToMac"]
    assert HmacSha256(key).digest(structure).hex() == mac0["tag"]
    assert encode(decode(protected, deterministic=True)) == protected
    assert encode(decode(payload, deterministic=True)) == payload
    records = unpack(payload)
    assert [record.name.rpartition(":")[2] for record in records] == ["temp", "vib_rms", "ok"]
    assert [record.value for record in records] == [23.5, 0.0023, True]
    assert [record.time_s for record in records] == [1760000000, 1760000001, 1760000002]
