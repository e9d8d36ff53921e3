"""Ed25519 on any interpreter: vectors of RFC 8032, 7.1, slices, and what is refused."""

from wire.ed25519 import Signer, public_key, sign
from wire.ed25519_scalar import L
from wire.ed25519_verify import verify
from wire.errors import WireError

# TEST 1 and TEST 3: seed, public key, message, signature.
TEST_1 = (
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555f"
        "b8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    ),
)
TEST_3 = (
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "af82",
    (
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18"
        "ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    ),
)


def case(digits):
    """Return (seed, public key, message, signature) as bytes."""
    return tuple(bytes.fromhex(part) for part in digits)


def finished(signer):
    """Return (signature, number of steps)."""
    steps = 1
    signature = signer.step()
    while signature is None:
        steps += 1
        signature = signer.step()
    return signature, steps


def test_keys_and_signatures_of_the_standard():
    for digits in (TEST_1, TEST_3):
        seed, public, message, signature = case(digits)
        signer = Signer(seed)
        assert signer.public_key == public
        signer.begin(message)
        assert finished(signer)[0] == signature


def test_sign_and_public_key_in_one_call():
    seed, public, message, signature = case(TEST_1)
    assert public_key(seed) == public
    assert sign(seed, message) == signature


def test_a_signer_signs_one_after_the_other_and_pauses_often():
    seed, public, message, signature = case(TEST_3)
    signer = Signer(seed, public)
    assert signer.step() is None and not signer.is_busy
    signer.begin(b"given up")
    for _ in range(50):
        assert signer.step() is None and signer.is_busy
    signer.begin(message)
    found, steps = finished(signer)
    assert found == signature and not signer.is_busy
    assert 100 < steps < 130
    assert signer.step() is None


def test_true_signatures_are_accepted():
    _seed, public, message, signature = case(TEST_3)
    assert verify(public, message, signature)
    assert verify(memoryview(public), bytearray(message), signature)


def test_false_signatures_are_refused():
    _seed, public, message, signature = case(TEST_3)
    scalar = int.from_bytes(signature[32:], "little")
    for wrong in (
        signature[:63],
        signature + b"\x00",
        signature[:32] + (scalar + L).to_bytes(32, "little"),
        signature[:32] + L.to_bytes(32, "little"),
        bytes((signature[0] ^ 1,)) + signature[1:],
    ):
        assert not verify(public, message, wrong)
    assert not verify(public, b"\xaf\x83", signature)
    assert not verify(public[:31], message, signature)


def test_points_that_are_not_as_the_standard_encodes_them_are_refused():
    # y = p, y = p + 1, x = 0 with a sign, and a y that no point has.
    prime = (1 << 255) - 19
    signature = bytes(32) + bytes(32)
    for y in (prime, prime + 1, 1 | 1 << 255, 2):
        assert not verify(y.to_bytes(32, "little"), b"", signature)


def test_a_key_has_32_bytes():
    for seed, public in ((b"", b""), (bytes(31), b""), (bytes(33), b""), (bytes(32), bytes(31))):
        try:
            Signer(seed, public)
        except WireError as error:
            assert "32 bytes" in str(error)
            continue
        raise AssertionError(len(seed))
