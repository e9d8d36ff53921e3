"""Ed25519 against RFC 8032 and the Wycheproof set; COSE_Sign1 and trees against theirs."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from wire.ed25519 import Signer, sign
from wire.ed25519_verify import verify
from wire.errors import CoseError, WireError
from wire.merkle import Tree, inclusion_root, leaf_hash
from wire.sign1 import sign1_open, to_be_signed

ES256 = -7


@pytest.mark.slow
def test_signatures_of_rfc_8032(vectors: Callable[[str], Any]) -> None:
    cases = vectors("ed25519/rfc8032_section7_1.json")
    assert len(cases) >= 4
    for case in cases:
        seed, public, message, signature = (
            bytes.fromhex(case[name]) for name in ("secret_seed", "public", "message", "signature")
        )
        assert Signer(seed).public_key == public, case["name"]
        assert sign(seed, message) == signature, case["name"]
        assert verify(public, message, signature), case["name"]


@pytest.mark.slow
def test_checking_as_wycheproof_wants_it(vectors: Callable[[str], Any]) -> None:
    found = vectors("ed25519/wycheproof_ed25519.json")
    seen = 0
    for group in found["testGroups"]:
        public = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            is_right = verify(public, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            assert is_right == (case["result"] == "valid"), case
            seen += 1
    assert seen == found["numberOfTests"] > 100


# --- COSE_Sign1 ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def examples(vectors: Callable[[str], Any]) -> dict[str, dict[str, Any]]:
    """Sign1 examples of cose-wg, under the last part of their names."""
    found = {
        name.rpartition("/")[2].removesuffix(".json"): case
        for name, case in vectors("cose/cose-wg-examples.json").items()
        if "sign0" in case["input"] and name.startswith(("sign1-tests/", "eddsa-examples/"))
    }
    assert len(found) == 10
    return found


def checker(key: dict[str, str]) -> tuple[Callable[[bytes, bytes], bool], int]:
    """What checks signatures under the key of an example, and the key's algorithm."""
    if key["kty"] == "OKP":
        public = bytes.fromhex(key["x_hex"])
        return lambda signed, signature: verify(public, signed, signature), -8
    x, y = (int.from_bytes(base64.urlsafe_b64decode(key[name] + "==")) for name in ("x", "y"))
    point = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()

    def check(signed: bytes, signature: bytes) -> bool:
        r, s = (int.from_bytes(part) for part in (signature[:32], signature[32:]))
        try:
            point.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    return check, ES256


def test_the_examples_of_cose(examples: dict[str, dict[str, Any]]) -> None:
    refused = {}
    for name, case in examples.items():
        check, algorithm = checker(case["input"]["sign0"]["key"])
        aad = bytes.fromhex(case["input"]["sign0"].get("external", ""))
        message = bytes.fromhex(case["output"]["cbor"])
        try:
            _, payload = sign1_open(message, check, aad, (algorithm,))
        except CoseError as error:
            refused[name] = error.reason
        else:
            assert payload == case["input"]["plaintext"].encode(), name
    assert refused == {
        "sign-fail-01": "malformed",
        "sign-fail-02": "bad_signature",
        "sign-fail-03": "malformed",
        "sign-fail-04": "malformed",
        "sign-fail-06": "bad_signature",
        "sign-fail-07": "bad_signature",
    }


def test_what_the_examples_sign(examples: dict[str, dict[str, Any]]) -> None:
    case = examples["eddsa-sig-01"]
    signed = to_be_signed(b"\xa2\x01\x27\x03\x00", case["input"]["plaintext"].encode())
    assert signed.hex() == case["intermediates"]["ToBeSign_hex"].lower()
    seed = bytes.fromhex(case["input"]["sign0"]["key"]["d_hex"])
    assert bytes.fromhex(case["output"]["cbor"]).endswith(sign(seed, signed))


# --- trees --------------------------------------------------------------------------------------


def test_tree_heads_of_the_reference(vectors: Callable[[str], Any]) -> None:
    found = vectors("merkle/rfc6962_merkle.json")
    tree = Tree()
    for leaf, root in zip(
        [*found["leaf_inputs_hex"], ""], found["root_hashes_hex_by_size"], strict=True
    ):
        assert tree.root().hex() == root
        tree.append(leaf_hash(bytes.fromhex(leaf)))


def test_audit_paths_of_the_reference(vectors: Callable[[str], Any]) -> None:
    cases = vectors("merkle/rfc6962_merkle.json")["inclusion"]
    assert len(cases) == 98
    for case in cases:
        leaf, root = (base64.b64decode(case[name]) for name in ("leafHash", "root"))
        path = [base64.b64decode(part) for part in case["proof"] or ()]
        try:
            is_right = inclusion_root(case["leafIdx"], case["treeSize"], leaf, path) == root
        except WireError:
            is_right = False
        assert is_right != case["wantErr"], case["file"]


def test_two_heads_of_the_reference_agree_on_the_leaves_between(
    vectors: Callable[[str], Any],
) -> None:
    found = vectors("merkle/rfc6962_merkle.json")
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in found["leaf_inputs_hex"]]
    good = [case for case in found["consistency"] if case["desc"] == "happy path"]
    assert len(good) > 3
    for case in good:
        before = Tree()
        for leaf in leaves[: case["size1"]]:
            before.append(leaf)
        after = Tree(case["size1"], tuple(before.hashes))
        for leaf in leaves[case["size1"] : case["size2"]]:
            after.append(leaf)
        assert before.root() == base64.b64decode(case["root1"]), case["file"]
        assert after.root() == base64.b64decode(case["root2"]), case["file"]
