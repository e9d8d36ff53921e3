"""COSE_Sign1 on any interpreter: the module's worked example, a foreign one, what is refused."""

from wire.cbor import Tagged, decode, encode
from wire.content import CHECKPOINT
from wire.ed25519_verify import verify
from wire.errors import CoseError
from wire.sign1 import protected_header, sign1_message, sign1_open, to_be_signed

PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
EXAMPLE = bytes.fromhex(
    "d2844fa301270319fdeb044670756d702d61a041a05840317d472b799c9f3ec994978c7e62b4def9"
    "bfb55e06a916bd36ca046970f2575a5dfbaea1a3d3c47295bf4a6cb3aace1a14943098fed4af1cee9b7dacaae79a0e"
)
# cose-wg/Examples, eddsa-sig-01: key RFC 8032 TEST 1, protected {1: -8, 3: 0}, kid unprotected.
FOREIGN = bytes.fromhex(
    "d28445a201270300a10442313154546869732069732074686520636f6e74656e742e5840"
    "7142fd2ff96d56db85bee905a76ba1d0b7321a95c8c4d3607c5781932b7afb87"
    "11497dfa751bf40b58b3bcc32300b1487f3db34085eef013bf08f4a44d6fef0d"
)


def is_signed(signed, signature):
    return verify(PUBLIC, signed, signature)


def believe(signed, signature):
    return signed is not None and signature is not None


def reason(message, check=believe, algorithms=(-8, -19)):
    """Return the reason for which the message is refused, None when it is not."""
    try:
        sign1_open(message, check, b"", algorithms)
    except CoseError as error:
        return error.reason
    return None


def test_our_message_and_a_foreign_one_open():
    header, payload = sign1_open(EXAMPLE, is_signed)
    assert header == {1: -8, 3: CHECKPOINT, 4: b"pump-a"} and payload == b"\xa0"
    header, payload = sign1_open(FOREIGN, is_signed)
    assert header == {1: -8, 3: 0} and payload == b"This is the content."


def test_the_shape_is_deterministic_cbor():
    protected = protected_header(b"pump-a", CHECKPOINT)
    message = sign1_message(protected, b"\xa0", EXAMPLE[-64:])
    assert message == EXAMPLE
    assert encode(Tagged(18, [protected, {}, b"\xa0", EXAMPLE[-64:]])) == message
    assert decode(message, deterministic=True).tag == 18


def test_what_is_signed_is_the_structure_of_the_standard():
    signed = to_be_signed(b"\xa2\x01\x27\x03\x00", b"This is the content.")
    assert signed.hex() == (
        "846a5369676e61747572653145a2012703004054546869732069732074686520636f6e74656e742e"
    )
    assert to_be_signed(b"", b"", b"more") == encode(["Signature1", b"", b"more", b""])


def test_a_wrong_signature_is_refused():
    assert reason(EXAMPLE[:-1] + b"\x00", is_signed) == "bad_signature"
    assert reason(EXAMPLE, lambda signed, signature: False) == "bad_signature"


def test_the_key_decides_the_algorithm():
    assert reason(EXAMPLE) is None
    assert reason(EXAMPLE, believe, (-19,)) == "malformed"
    newer = encode(Tagged(18, [encode({1: -19}), {}, b"", bytes(64)]))
    assert reason(newer) is None
    assert reason(newer, believe, (-8,)) == "malformed"


def test_what_is_no_such_message_is_malformed():
    protected, signature = encode({1: -8}), bytes(64)
    assert reason(encode([protected, {}, b"", signature])) is None, "untagged"
    for value in (
        Tagged(17, [protected, {}, b"", signature]),
        [protected, {}, b""],
        [protected, {}, None, signature],
        [protected, [], b"", signature],
        [protected, {1: -8}, b"", signature],
        [b"", {}, b"", signature],
        [b"\xff", {}, b"", signature],
        [b"\x00", {}, b"", signature],
        [b"", {1: -8, 2: [1]}, b"", signature],
        [encode({1: -8, 2: [1]}), {}, b"", signature],
        {},
    ):
        assert reason(encode(value)) == "malformed", value
    for length in range(len(EXAMPLE)):
        assert reason(EXAMPLE[:length]) == "malformed", length


def test_a_signature_has_64_bytes():
    try:
        sign1_message(b"", b"", bytes(63))
    except CoseError as error:
        assert "64 bytes" in str(error)
        return
    raise AssertionError
