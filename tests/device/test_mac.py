"""HMAC, HKDF, comparison and key derivation on any interpreter, against RFC 4231 and RFC 5869."""

from wire.errors import WireError
from wire.keys import downlink_key, uplink_key
from wire.mac import HmacSha256, differences_kernel, equal, hkdf_sha256

# RFC 4231, 4.2 to 4.8: key, data, code.
HMAC_CASES = (
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        b"\xaa" * 20,
        b"\xdd" * 50,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    ),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
)


def test_hmac_of_the_standard():
    for key, data, code in HMAC_CASES:
        mac = HmacSha256(key)
        assert mac.digest(data).hex() == code
        assert mac.digest(data).hex() == code, "a second use gives the same"


def test_parts_are_joined():
    mac = HmacSha256(b"Jefe")
    whole = mac.digest(b"what do ya want for nothing?")
    assert mac.digest(b"what do ya ", b"", bytearray(b"want for "), b"nothing?") == whole
    assert mac.digest() == mac.digest(b"")


def test_hkdf_of_the_standard():
    key_material = b"\x0b" * 22
    output = hkdf_sha256(key_material, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert output.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    output = hkdf_sha256(key_material, b"", b"", 42)
    assert output.hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )
    assert hkdf_sha256(key_material, b"", b"", 0) == b""


def test_hkdf_gives_no_more_than_it_can():
    for length in (-1, 8161):
        try:
            hkdf_sha256(b"key", b"", b"", length)
        except WireError:
            continue
        raise AssertionError(length)


def test_equal_looks_at_every_byte():
    left = bytes(range(32))
    assert equal(left, bytes(range(32)))
    for index in range(32):
        right = bytearray(left)
        right[index] ^= 0x80
        assert not equal(left, bytes(right)), index
        assert differences_kernel(left, right, 32) == 0x80
    assert not equal(left, left[:31])
    assert differences_kernel(left, left, 32) == 0


def test_keys_differ_by_direction_and_node():
    root = bytes(range(32))
    keys = {
        bytes(key)
        for kid in (b"pump-a", b"pump-b")
        for key in (uplink_key(root, kid), downlink_key(root, kid))
    }
    assert len(keys) == 4
    assert uplink_key(root, b"pump-a") == hkdf_sha256(root, b"", b"twinrig v1 uplink|pump-a", 32)
    assert downlink_key(root, b"pump-a") == hkdf_sha256(
        root, b"", b"twinrig v1 downlink|pump-a", 32
    )


def test_a_root_key_has_32_bytes():
    for length in (0, 31, 33):
        try:
            uplink_key(bytes(length), b"pump-a")
        except WireError as error:
            assert "32 bytes" in str(error)
            continue
        raise AssertionError(length)
