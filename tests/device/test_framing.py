"""CRC, COBS and frames on any interpreter, compiled kernels against plain ones."""

from wire.cobs import decode, encode, stuff_runs
from wire.crc import SEED, crc16, crc16_kernel
from wire.errors import FrameError
from wire.framing import Deframer, frame

# Cheshire and Baker's rules on short data, then around the longest run of 254 bytes.
RUN = bytes(range(1, 255))
COBS_CASES = (
    (b"", b"\x01"),
    (b"\x00", b"\x01\x01"),
    (b"\x00\x00", b"\x01\x01\x01"),
    (b"\x11\x22\x00\x33", b"\x03\x11\x22\x02\x33"),
    (b"\x11\x00\x00\x00", b"\x02\x11\x01\x01\x01"),
    (RUN[:253], b"\xfe" + RUN[:253]),
    (RUN, b"\xff" + RUN),
    (RUN + b"\x00", b"\xff" + RUN + b"\x01\x01"),
    (RUN + b"\xff", b"\xff" + RUN + b"\x02\xff"),
    (b"\x00" + RUN, b"\x01\xff" + RUN),
    (RUN[:253] + b"\x00", b"\xfe" + RUN[:253] + b"\x01"),
)
NOT_COBS = (b"\x00", b"\x01\x00", b"\x05\x11", b"\xff", b"\x03\x11\x00", b"\x02\x11\x00\x22")


def test_crc_of_the_catalogue():
    assert crc16(b"123456789") == 0x29B1
    assert crc16(b"") == 0xFFFF
    assert crc16(b"6789", crc16(b"12345")) == 0x29B1


def test_crc_kernel_is_the_same():
    data = bytes([index * 37 & 0xFF for index in range(300)])
    for length in (0, 1, 2, 9, 255, 300):
        assert crc16_kernel(data, 0, SEED, length) == crc16(data[:length])
    assert crc16_kernel(data, 100, 0x1234, 200) == crc16(data[100:200], 0x1234)


def test_cobs_both_ways():
    for data, stuffed in COBS_CASES:
        assert encode(data) == stuffed
        assert stuff_runs(data) == stuffed
        assert decode(stuffed) == data


def test_broken_cobs_is_refused():
    for stuffed in NOT_COBS:
        try:
            decode(stuffed)
        except FrameError:
            continue
        raise AssertionError(stuffed)


def test_a_frame_has_one_zero_and_it_is_the_last():
    for message in (b"\x00", b"message", bytes(300), RUN * 2, bytes(range(256))):
        framed = frame(message)
        assert framed.find(b"\x00") == len(framed) - 1
        assert Deframer().feed(framed) == [(message, None)]
    assert frame(b"123456789").hex() == "0c31323334353637383929b100"


def test_frames_come_out_whatever_the_pieces():
    messages = [b"one", b"\x00\x00", RUN + RUN, b"last"]
    stream = b"\x00".join([frame(message) for message in messages])
    for size in (1, 2, 3, 7, 64, 1000):
        deframer = Deframer()
        found = []
        for start in range(0, len(stream), size):
            found += deframer.feed(stream[start : start + size])
        assert found == [(message, None) for message in messages], size
        assert deframer.frames == 4
        assert sum(deframer.rejected.values()) == 0


def test_each_damage_has_its_reason_and_the_next_frame_is_read():
    good = frame(b"good")
    wrong_check = bytearray(frame(b"message"))
    wrong_check[3] ^= 0x10
    for damage, reason in (
        (bytes(wrong_check), "crc"),
        (b"\xf0\x01\x02\x00", "cobs"),
        (b"\x03\x01\x02\x00", "short"),
        (b"\x01\x00", "short"),
        (b"\x55" * 65 + b"\x00", "too_long"),
    ):
        deframer = Deframer(64)
        items = deframer.feed(damage + good)
        assert [item[1] for item in items] == [reason, None], reason
        assert items[0][0] == damage[:-1][:64]
        assert items[1][0] == b"good"
        assert deframer.rejected[reason] == 1 and deframer.frames == 1


def test_endless_noise_needs_no_memory_and_is_reported_once():
    deframer = Deframer(64)
    reasons = []
    for _ in range(50):
        reasons += [reason for _, reason in deframer.feed(b"\x55" * 40)]
    assert reasons == ["too_long"]
    assert deframer.feed(b"\x00" + frame(b"good")) == [(b"good", None)]


def test_the_longest_frame_allowed_passes():
    message = b"\x01" * 61
    assert len(frame(message)) == 65
    assert Deframer(64).feed(frame(message)) == [(message, None)]
    assert Deframer(63).feed(frame(message))[0][1] == "too_long"


def test_cut_frames_are_refused():
    framed = frame(b"a message")
    for length in range(1, len(framed) - 1):
        (_, reason), *rest = Deframer().feed(framed[:length] + b"\x00")
        assert reason in ("cobs", "crc", "short") and rest == [], length
