"""Seals on any interpreter: the shape of ours, what opens, what does not; foreign Mac0 messages."""

from wire import content
from wire.cbor import Tagged, decode, encode
from wire.cose import MESSAGE_BYTES_MAX, SEQUENCE_MAX, Header, Sealer, open_sealed, peek, verify
from wire.errors import CoseError
from wire.keys import uplink_key
from wire.mac import HmacSha256
from wire.mac0 import mac0_verify

ROOT_KEY = bytes(range(32))
KID = b"pump-a"
MAC = HmacSha256(uplink_key(ROOT_KEY, KID))
PAYLOAD = b"\x81\xa2\x00\x61a\x02\xf9\x3c\x00"
SEALED = Sealer(KID, MAC).seal(content.SENML_CBOR, 42, 7, 123456789, PAYLOAD)

# cose-wg/Examples: HMac-01, mac-pass-02 (external data, bare algorithm), HMac-enc-05 (64 bits).
EXAMPLE_KEY = bytes.fromhex("849b57219dae48de646d07dbb533566e976686457c1491be3a76dcea6c427188")
EXAMPLE_PAYLOAD = b"This is the content."
HMAC_01 = bytes.fromhex(
    "d18443a10105a054546869732069732074686520636f6e74656e742e5820"
    "a1a848d3471f9d61ee49018d244c824772f223ad4f935293f1789fc3a08d8c58"
)
MAC_PASS_02 = bytes.fromhex(
    "d18440a1010554546869732069732074686520636f6e74656e742e5820"
    "0fecaec59bb46cc8a488aaca4b205e322dd52696b75a45768d3c302dd4bae2f7"
)
HMAC_ENC_05 = bytes.fromhex(
    "d18443a10104a054546869732069732074686520636f6e74656e742e4811f9e357975fb849"
)


def _reason(function, *arguments):
    """Return the reason for which the call is refused, None when it is not."""
    try:
        function(*arguments)
    except CoseError as error:
        return error.reason
    return None


def test_a_seal_opens():
    header, payload = open_sealed(SEALED, MAC, KID)
    assert header == Header(5, content.SENML_CBOR, KID, 42, 7, 123456789)
    assert payload == PAYLOAD


def test_a_seal_is_deterministic_cbor_of_the_stated_shape():
    message = decode(SEALED, deterministic=True)
    assert message.tag == 17
    protected, unprotected, payload, tag = message.value
    assert unprotected == {} and payload == PAYLOAD and len(tag) == 32
    header = {1: 5, 3: 112, 4: KID, 6: b"\x2a", -65537: 7, -65538: 123456789}
    assert decode(protected, deterministic=True) == header
    assert encode(header) == protected
    assert encode(Tagged(17, [protected, {}, payload, tag])) == SEALED
    assert MAC.digest(encode(["MAC0", protected, b"", payload])) == tag


def test_every_size_of_number_travels():
    sealer = Sealer(KID, MAC)
    for sequence in (0, 23, 255, 256, 65535, 65536, 1 << 24, 1 << 32, SEQUENCE_MAX):
        for tick_us in (0, 24, 1000, 70000, 1 << 31, 1 << 40):
            sealed = sealer.seal(65000, sequence, 0xFFFFFFFF, tick_us, b"")
            header, payload = open_sealed(sealed, MAC, KID)
            assert header == Header(5, 65000, KID, sequence, 0xFFFFFFFF, tick_us)
            assert payload == b""


def test_a_new_boot_id_is_not_the_old_one():
    sealer = Sealer(KID, MAC)
    found = [peek(sealer.seal(0, 0, boot_id, 0, b""))[0].boot_id for boot_id in (1, 1, 2, 0, 2)]
    assert found == [1, 1, 2, 0, 2]


def test_numbers_out_of_range_are_not_sealed():
    sealer = Sealer(KID, MAC)
    for arguments in (
        (112, SEQUENCE_MAX + 1, 0, 0, b""),
        (112, -1, 0, 0, b""),
        (65536, 0, 0, 0, b""),
        (-1, 0, 0, 0, b""),
        (112, 0, 1 << 32, 0, b""),
        (112, 0, -1, 0, b""),
        (112, 0, 0, -1, b""),
        (112, 0, 0, 1 << 64, b""),
        (112, 0, 0, 0, bytes(MESSAGE_BYTES_MAX)),
    ):
        assert _reason(sealer.seal, *arguments) == "malformed", arguments
    assert _reason(Sealer, b"", MAC) == "malformed"
    assert _reason(Sealer, bytes(33), MAC) == "malformed"


def test_the_longest_message_opens_and_one_byte_more_does_not():
    sealer = Sealer(KID, MAC)
    room = MESSAGE_BYTES_MAX - len(sealer.seal(112, 0, 0, 0, bytes(256))) + 256
    longest = sealer.seal(112, 0, 0, 0, bytes(room))
    assert len(longest) == MESSAGE_BYTES_MAX
    assert open_sealed(longest, MAC, KID)[1] == bytes(room)
    assert _reason(sealer.seal, 112, 0, 0, 0, bytes(room + 1)) == "malformed"
    assert _reason(peek, longest + b"\x00") == "malformed"


def test_every_damaged_byte_is_refused():
    for index in range(len(SEALED)):
        for bit in (1, 0x80):
            damaged = bytearray(SEALED)
            damaged[index] ^= bit
            assert _reason(open_sealed, damaged, MAC, KID) is not None, index


def test_every_cut_is_malformed():
    for length in range(len(SEALED)):
        assert _reason(peek, SEALED[:length]) == "malformed", length
    assert _reason(peek, SEALED + b"\x00") == "malformed"


def test_another_key_or_kid_is_refused_with_its_reason():
    stranger = HmacSha256(uplink_key(bytes(32), KID))
    assert _reason(open_sealed, SEALED, stranger, KID) == "bad_mac"
    assert _reason(open_sealed, SEALED, MAC, b"pump-b") == "unknown_kid"
    assert _reason(verify, peek(SEALED), MAC) is None


def test_the_same_content_in_another_encoding_is_malformed():
    protected, _, payload, tag = decode(SEALED).value
    for wrong in (
        SEALED[1:],
        encode(Tagged(18, [protected, {}, payload, tag])),
        encode(Tagged(17, [protected, {4: KID}, payload, tag])),
        encode(Tagged(17, [protected, {}, payload, tag[:8]])),
        encode(Tagged(17, [protected, {}, None, tag])),
        SEALED[:2] + b"\x59\x00" + SEALED[3:],
        encode(Tagged(17, [b"", {1: 5}, payload, tag])),
    ):
        assert _reason(peek, wrong) == "malformed", wrong


def test_a_header_of_another_profile_is_malformed():
    good = {1: 5, 3: 112, 4: KID, 6: b"\x2a", -65537: 7, -65538: 8}
    assert _reason(peek, encode(Tagged(17, [encode(good), {}, b"", bytes(32)]))) is None
    for label, value in (
        (1, 4),
        (1, -999),
        (3, 65536),
        (3, "112"),
        (4, b""),
        (4, bytes(33)),
        (6, b""),
        (6, b"\x00\x2a"),
        (6, bytes((1, 0, 0, 0, 0, 0))),
        (-65537, 1 << 32),
        (-65538, -1),
        (2, [1]),
    ):
        header = dict(good)
        header[label] = value
        message = encode(Tagged(17, [encode(header), {}, b"", bytes(32)]))
        assert _reason(peek, message) == "malformed", (label, value)


def test_nothing_may_follow_inside_the_header():
    protected, _, payload, tag = decode(SEALED).value
    for more in (b"\x00", b"\x20\x00"):
        message = encode(Tagged(17, [protected + more, {}, payload, tag]))
        assert _reason(peek, message) == "malformed"


def test_foreign_mac0_messages():
    assert mac0_verify(HMAC_01, EXAMPLE_KEY) == EXAMPLE_PAYLOAD
    assert mac0_verify(HMAC_01[1:], EXAMPLE_KEY) == EXAMPLE_PAYLOAD, "untagged"
    aad = bytes.fromhex("ff00ee11dd22cc33bb44aa559966")
    assert mac0_verify(MAC_PASS_02, EXAMPLE_KEY, aad) == EXAMPLE_PAYLOAD
    assert mac0_verify(HMAC_ENC_05, EXAMPLE_KEY) == EXAMPLE_PAYLOAD
    assert mac0_verify(SEALED, uplink_key(ROOT_KEY, KID)) == PAYLOAD


def test_foreign_mac0_messages_are_refused():
    assert _reason(mac0_verify, MAC_PASS_02, EXAMPLE_KEY) == "bad_mac"
    assert _reason(mac0_verify, HMAC_01, bytes(32)) == "bad_mac"
    assert _reason(mac0_verify, HMAC_ENC_05, EXAMPLE_KEY, b"", (5,)) == "malformed"
    assert _reason(mac0_verify, HMAC_01[:-1] + b"\x59", EXAMPLE_KEY) == "bad_mac"
    protected, tag = b"\xa1\x01\x05", bytes(32)
    for members in (
        [protected, {1: 5}, b"", tag],
        [b"", {1: 5, 2: [1]}, b"", tag],
        [b"", {1: 5, 5: b"", 6: b""}, b"", tag],
        [b"", {}, b"", tag],
        [b"", {1: "HS256"}, b"", tag],
        [protected, {}, None, tag],
        [b"\x00", {}, b"", tag],
        [b"\xff", {}, b"", tag],
        [protected, [], b"", tag],
        [protected, {}, b""],
        {},
    ):
        assert _reason(mac0_verify, encode(members), EXAMPLE_KEY) == "malformed", members
    assert _reason(mac0_verify, b"\xff", EXAMPLE_KEY) == "malformed"
    assert _reason(mac0_verify, encode(Tagged(992, [])), EXAMPLE_KEY) == "malformed"
