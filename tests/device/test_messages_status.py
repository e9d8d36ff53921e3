"""Receipt, loss, status record, measurement and raw block on any interpreter."""

from array import array

from wire.cbor import Tagged, encode
from wire.errors import CborError
from wire.measurement import (
    ENTRIES_MAX,
    decode_measurement,
    encode_measurement,
    files_sha256,
)
from wire.messages import (
    LOSS_REASONS,
    SPOOL_FULL,
    decode_loss,
    decode_receipt,
    encode_loss,
    encode_receipt,
)
from wire.raw_block import INT16, INT32, RawBlock, counts, decode_raw_block, encode_raw_block
from wire.senml import unpack
from wire.status import STATUS_FIELDS, decode_status, encode_status

BLOCK = RawBlock(5, 100, 400, 250000, 0.5, 3, INT16, bytes(12))


def _refuses(function, *arguments) -> bool:
    try:
        function(*arguments)
    except CborError:
        return True
    return False


def test_receipt():
    assert encode_receipt(70000, 0b101).hex() == "a2001a000111700105"
    assert decode_receipt(encode_receipt((1 << 40) - 1, (1 << 64) - 1)) == (
        (1 << 40) - 1,
        (1 << 64) - 1,
    )
    assert decode_receipt(encode_receipt(0, 0)) == (0, 0)
    assert decode_receipt(encode({0: 9, 1: 1, 40: [b"later"]})).highest == 9
    for fields in ([], {0: 1}, {1: 1}, {0: 1 << 40, 1: 0}, {0: -1, 1: 0}, {0: 1, 1: b"\x01"}):
        assert _refuses(decode_receipt, encode(fields)), fields
    assert _refuses(encode_receipt, 1 << 40, 0)
    assert _refuses(encode_receipt, 0, 1 << 64)


def test_loss():
    assert encode_loss(10, 19, 8, SPOOL_FULL).hex() == "a4000a011302080301"
    for reason in LOSS_REASONS:
        assert decode_loss(encode_loss(0, (1 << 40) - 1, 5, reason)) == (
            0,
            (1 << 40) - 1,
            5,
            reason,
        )
    assert decode_loss(encode({0: 1, 1: 1, 2: 1, 3: 99, 4: "later"})).reason == 99
    for fields in (
        {0: 1, 1: 2, 2: 1},
        {0: 3, 1: 2, 2: 0, 3: 1},
        {0: 1, 1: 2, 2: 3, 3: 1},
        {0: 1, 1: 1 << 40, 2: 1, 3: 1},
        {0: -1, 1: 2, 2: 1, 3: 1},
        {0: 1, 1: 2, 2: 1, 3: 0},
        {0: 1, 1: 2, 2: 1, 3: 256},
        {0: 1.0, 1: 2, 2: 1, 3: 1},
    ):
        assert _refuses(decode_loss, encode(fields)), fields
    assert _refuses(encode_loss, 1, 1, 1, 5)
    assert _refuses(encode_loss, 2, 1, 0, SPOOL_FULL)
    assert _refuses(encode_loss, 1, 2, 3, SPOOL_FULL)


def test_status():
    fields = {name: number for number, name in enumerate(STATUS_FIELDS)}
    fields["update_state"] = "trial"
    fields["problems"] = ["adxl355 on spi1 is silent"]
    assert decode_status(encode_status(fields)) == fields
    assert decode_status(encode_status({})) == {}
    assert encode_status({"uptime_us": 1, "problems": []}).hex() == "a200010e80"
    assert decode_status(encode({1: 2, 90: [1]})) == {"samples": 2}
    for wrong in (
        {0: -1},
        {0: "1"},
        {11: 1},
        {11: "x" * 33},
        {14: "x"},
        {14: [1]},
        {14: ["x" * 97]},
    ):
        assert _refuses(decode_status, encode(wrong)), wrong
    assert _refuses(decode_status, encode({14: ["x"] * 17}))
    assert _refuses(encode_status, {"colour": 1})
    assert _refuses(encode_status, {"samples": -1})
    assert _refuses(encode_status, {"problems": "none"})


def test_a_node_in_trouble_gets_its_word_out():
    problems = decode_status(encode_status({"problems": ["y" * 200] * 20}))["problems"]
    assert problems == ["y" * 93 + "..."] * 16


def test_measurement():
    entries = [("wire/cose.mpy", bytes(range(32))), ("main.py", bytes(32))]
    assert decode_measurement(encode_measurement(1, 2, entries)) == (1, 2, entries)
    ordered = entries[::-1]
    assert files_sha256(ordered) != files_sha256(ordered[:1]) != files_sha256([])
    try:
        files_sha256(entries)
        raise AssertionError("accepted")
    except CborError as error:
        assert "ascending" in str(error)
    assert decode_measurement(encode({0: 0, 1: 1, 2: [], 3: "later"})) == (0, 1, [])
    full = [("x" * 64, bytes(32))] * ENTRIES_MAX
    assert len(encode_measurement(63, 64, full)) < 1700
    for fields in (
        {0: 0, 1: 1},
        {0: 1, 1: 1, 2: []},
        {0: 0, 1: 65, 2: []},
        {0: 0, 1: 1, 2: {}},
        {0: 0, 1: 1, 2: [["x"]]},
        {0: 0, 1: 1, 2: ["xy"]},
        {0: 0, 1: 1, 2: [["x", bytes(31)]]},
        {0: 0, 1: 1, 2: [["x" * 65, bytes(32)]]},
        {0: 0, 1: 1, 2: [["x", bytes(32)]] * 17},
    ):
        assert _refuses(decode_measurement, encode(fields)), fields
    assert _refuses(encode_measurement, 0, 1, full + full)
    assert _refuses(encode_measurement, 2, 2, [])


def test_raw_block():
    samples = array("h", [1, -2, 300, -32768, 32767, 0])
    block = RawBlock(5, 100, 400, 250000, 0.5, 3, INT16, bytes(samples))
    (record,) = unpack(encode_raw_block("pump-a:", "vibration", "m/s2", -0.25, block))
    assert record[:2] == ("pump-a:vibration", "m/s2")
    assert record.time_s == -0.25
    found = decode_raw_block(record.value)
    assert found == block
    assert counts(found) == tuple(samples)
    wide = RawBlock(0, 0, 1, 1, 0.25, 1, INT32, b"\x00\x00\x00\x80")
    (record,) = unpack(encode_raw_block("", "a", "", 0, wide))
    assert counts(decode_raw_block(record.value)) == (-(1 << 31),)


def test_broken_raw_blocks_are_refused():
    good = {0: 5, 1: 0, 2: 2, 3: 250000, 4: 0.5, 5: 1, 6: Tagged(INT16, bytes(4))}
    assert decode_raw_block(encode(good)).total == 2
    for key, value in (
        (0, -1),
        (0, 1 << 32),
        (1, 1),
        (2, 1),
        (3, 0),
        (3, 1 << 40),
        (4, 1),
        (4, float("nan")),
        (4, 0.0),
        (5, 0),
        (5, 3),
        (5, 9),
        (6, bytes(4)),
        (6, Tagged(INT16, "abcd")),
        (6, Tagged(INT16, bytes(3))),
        (6, Tagged(72, bytes(4))),
        (6, Tagged(INT32, bytes(1604))),
    ):
        wrong = dict(good)
        wrong[key] = value
        assert _refuses(decode_raw_block, encode(wrong)), (key, value)
        del wrong[key]
        assert _refuses(decode_raw_block, encode(wrong)), key
    assert _refuses(encode_raw_block, "", "a", "", 0.5, BLOCK)
    assert _refuses(encode_raw_block, "", "a", "", float("nan"), BLOCK)
    assert _refuses(
        encode_raw_block, "", "a", "", 0.0, RawBlock(0, 0, 1, 1, float("1e39"), 1, INT16, b"ab")
    )
