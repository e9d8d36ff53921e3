"""Probe, answer and boot record on any interpreter."""

from wire.cbor import encode
from wire.errors import CborError, WireError
from wire.messages import (
    BOOT_FIELDS,
    decode_answer,
    decode_boot,
    decode_probe,
    encode_answer,
    encode_boot,
    encode_probe,
)

BOOT = {"firmware": "1.2.0", "unique_id": b"\x01\x02", "sample_period_us": 100000}


def _refuses(function, value) -> bool:
    try:
        function(value)
    except WireError:
        return True
    return False


def test_probe():
    assert encode_probe(7).hex() == "a10007"
    for probe_id in (0, 23, 1 << 40, (1 << 64) - 1):
        assert decode_probe(encode_probe(probe_id)) == probe_id


def test_answer():
    assert encode_answer(7, 1000000).hex() == "a20007011a000f4240"
    assert decode_answer(encode_answer(7, 1 << 45)) == (7, 1 << 45)


def test_boot_record():
    assert encode_boot(BOOT).hex() == "a30065312e322e30044201020 51a000186a0".replace(" ", "")
    assert decode_boot(encode_boot(BOOT)) == BOOT
    assert decode_boot(encode_boot({})) == {}


def test_every_boot_field_travels():
    fields = {name: number for number, name in enumerate(BOOT_FIELDS)}
    assert decode_boot(encode_boot(fields)) == fields


def test_keys_of_a_later_version_are_ignored():
    assert decode_probe(encode({0: 7, 9: "later"})) == 7
    assert decode_boot(encode({0: "1", 40: [1, 2]})) == {"firmware": "1"}


def test_broken_messages_are_refused():
    for value in ([], {}, {0: -1}, {0: "7"}, {0: True}, {0: 1.0}, {1: 5}):
        assert _refuses(decode_probe, encode(value)), value
        assert _refuses(decode_answer, encode(value)), value
    assert _refuses(decode_answer, encode({0: 7}))
    for value in ([], {0: "x" * 65}, {0: -1}, {0: None}, {4: bytes(65)}):
        assert _refuses(decode_boot, encode(value)), value
    assert _refuses(decode_probe, b"")
    assert _refuses(decode_probe, b"\xa1\x00\x18\x07"), "not the shortest form"


def test_a_boot_field_that_does_not_exist_is_named():
    try:
        encode_boot({"colour": "red"})
    except CborError as error:
        assert "colour" in str(error) and "firmware" in str(error)
        return
    raise AssertionError("accepted")
