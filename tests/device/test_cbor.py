"""CBOR on any interpreter: RFC 8949's own examples, its malformed ones, and our bounds."""

from wire.cbor import Simple, Tagged, decode, encode, head, text
from wire.errors import CborError

# RFC 8949, Appendix A, as far as 32-bit floats can hold the values.
EXAMPLES = (
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1a000f4240", 1000000),
    ("1b000000e8d4a51000", 1000000000000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("20", -1),
    ("3903e7", -1000),
    ("3bffffffffffffffff", -18446744073709551616),
    ("c249010000000000000000", Tagged(2, b"\x01" + bytes(8))),
    ("f90000", 0.0),
    ("f93c00", 1.0),
    ("f93e00", 1.5),
    ("f97bff", 65504.0),
    ("fa47c35000", 100000.0),
    ("f90001", 1 / 16777216),
    ("f90400", 1 / 16384),
    ("f9c400", -4.0),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("f7", Simple(23)),
    ("f0", Simple(16)),
    ("f8ff", Simple(255)),
    ("c11a514b67b0", Tagged(1, 1363896240)),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("6449455446", "IETF"),
    ("63e6b0b4", "\u6c34"),
    ("80", []),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a201020304", {1: 2, 3: 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
)

# RFC 8949, Appendix F: one of each kind.
NOT_WELL_FORMED = (
    "18 1b01020304050607 5affffffff00 5bffffffffffffffff010203 8200 a1 a20102 c0 5f4100 9f bf010201"
    " 1c 3d 5e 7c 9d be dc fd f800 f81f 5f00ff 5f6100ff 7f4100ff 5f5f4100ffff ff 81ff a1ff a100ff"
    " bf00ff 1f 3f df"
)


def _refuses(data: bytes, **bounds) -> bool:
    try:
        decode(data, **bounds)
    except CborError:
        return True
    return False


def test_examples_of_the_standard_both_ways():
    for digits, value in EXAMPLES:
        data = bytes.fromhex(digits)
        assert encode(value) == data, digits
        for deterministic in (False, True):
            decoded = decode(data, deterministic=deterministic)
            assert decoded == value and type(decoded) is type(value), digits


def test_what_is_not_well_formed_is_refused():
    for digits in NOT_WELL_FORMED.split():
        assert _refuses(bytes.fromhex(digits)), digits


def test_every_cut_and_every_extra_byte_is_refused():
    data = encode({1: [1.5, "text", b"bytes", None], -1: Tagged(32, 70000)})
    assert not _refuses(data)
    for length in range(len(data)):
        assert _refuses(data[:length]), length
    assert _refuses(data + b"\x00")


def test_indefinite_lengths_are_read_but_not_deterministic():
    for digits, value in (
        ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
        ("7f657374726561646d696e67ff", "streaming"),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("bf6346756ef563416d7421ff", {"Fun": True, "Amt": -2}),
    ):
        data = bytes.fromhex(digits)
        assert decode(data) == value
        assert _refuses(data, deterministic=True)


def test_longer_forms_are_read_but_not_deterministic():
    for digits in ("1817", "190017", "1a0000ffff", "1b00000000ffffffff", "fa3fc00000", "5801ff"):
        data = bytes.fromhex(digits)
        assert not _refuses(data), digits
        assert _refuses(data, deterministic=True), digits


def test_keys_are_sorted_by_their_encodings():
    keys = [False, "aa", "z", -1, 100, 10]
    encoded = encode(dict.fromkeys(keys, 0))
    assert encoded.hex() == "a60a001864002000617a0062616100f400"
    assert sorted(decode(encoded, deterministic=True), key=encode) == list(reversed(keys))
    assert _refuses(bytes.fromhex("a220000a00"), deterministic=True)


def test_repeated_and_compound_keys_are_refused():
    for digits in ("a201000100", "bf61610061610000ff", "a2f97e0000f97e0000", "a18000", "a1a000"):
        assert _refuses(bytes.fromhex(digits)), digits


def test_a_container_is_refused_by_what_it_declares():
    for digits, items_max in (
        ("9a7fffffff00", 1024),
        ("bb7fffffffffffffff00", 1024),
        ("820000", 1),
    ):
        try:
            decode(bytes.fromhex(digits), items_max=items_max)
        except CborError as error:
            assert "declares" in str(error)
            continue
        raise AssertionError(digits)


def test_two_keys_with_one_encoding_are_refused():
    try:
        encode({float("nan"): 1, float("nan"): 2})
    except CborError:
        return
    raise AssertionError("accepted")


def test_bounds_are_kept():
    assert _refuses(b"\x81" * 9 + b"\x00")
    assert not _refuses(b"\x81" * 9 + b"\x00", depth_max=9)
    assert _refuses(b"\xc1" * 9 + b"\x00")
    assert _refuses(encode([0] * 10), items_max=10)
    assert not _refuses(encode([0] * 10), items_max=11)


def test_text_has_to_be_utf_8():
    assert _refuses(b"\x62\xc3\x28")


def test_nan_and_infinities_have_one_form():
    infinity = float("inf")
    assert encode(infinity - infinity).hex() == "f97e00"
    assert encode(infinity).hex() == "f97c00"
    assert encode(-infinity).hex() == "f9fc00"
    for digits in ("f97e00", "fa7fc00000", "fb7ff8000000000000"):
        value = decode(bytes.fromhex(digits))
        assert value != value, digits
    assert decode(bytes.fromhex("fbfff0000000000000")) == -infinity
    assert encode(-0.0).hex() == "f98000"


def test_wide_floats_are_read_within_32_bits():
    value = decode(bytes.fromhex("fb3ff199999999999a"))
    assert abs(value - 1.1) < 2e-7


def test_every_half_float_comes_back():
    for high in range(0, 256, 5):
        for low in (0, 1, 0x80, 0xFF):
            data = bytes((0xF9, high, low))
            is_nan = high & 0x7C == 0x7C and (high & 3 or low)
            assert encode(decode(data)) == (b"\xf9\x7e\x00" if is_nan else data), data.hex()


def test_what_has_no_encoding_is_refused():
    for value in (
        1 << 64,
        -(1 << 64) - 1,
        Simple(24),
        Simple(256),
        Tagged(-1, 0),
        object,
        [object],
    ):
        try:
            encode(value)
        except CborError:
            continue
        raise AssertionError(value)


def test_heads_and_texts_alone():
    assert head(0x40, 256).hex() == "590100"
    assert head(0xA0, 5).hex() == "a5"
    assert text("pump").hex() == "6470756d70"
