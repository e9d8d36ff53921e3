"""Frames: agreement with the library cobs, any pieces, any noise, any damage."""

import pytest
from cobs import cobs as library
from hypothesis import given
from hypothesis import strategies as st

from tests.wire import memory
from tests.wire.strategies import MODEST, with_zeros
from wire.cobs import decode, encode, stuff_runs
from wire.crc import SEED, crc16, crc16_kernel
from wire.errors import FrameError
from wire.framing import REASONS, Deframer, frame

pytestmark = pytest.mark.slow


@MODEST
@given(with_zeros)
def test_cobs_is_that_of_the_library(data: bytes) -> None:
    stuffed = library.encode(data)
    assert encode(data) == stuff_runs(data) == memory.stuffed(data) == stuffed
    assert decode(stuffed) == data
    assert b"\x00" not in stuffed


@MODEST
@given(with_zeros | st.binary(max_size=300))
def test_any_bytes_decode_as_in_the_library(data: bytes) -> None:
    try:
        expected = library.decode(data)
    except library.DecodeError:
        expected = None
    try:
        found = decode(data)
    except FrameError:
        found = None
    assert found == expected


@MODEST
@given(st.binary(max_size=300), st.integers(0, 0xFFFF))
def test_the_crc_kernel_is_the_library_function(data: bytes, seed: int) -> None:
    assert crc16_kernel(data, 0, seed, len(data)) == crc16(data, seed)
    assert crc16(data + crc16(data).to_bytes(2, "big")) == 0
    assert crc16(data) == crc16(data, SEED)


@MODEST
@given(st.lists(with_zeros.filter(bool), max_size=5), st.data())
def test_frames_come_out_whatever_the_pieces(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frame(message) for message in messages)
    expected = [(message, None) for message in messages]
    whole = Deframer(4096)
    assert whole.feed(stream) == expected
    single = Deframer(4096)
    assert [item for byte in stream for item in single.feed(bytes((byte,)))] == expected
    cut = data.draw(st.integers(0, len(stream)))
    two = Deframer(4096)
    assert two.feed(stream[:cut]) + two.feed(memoryview(stream)[cut:]) == expected
    assert whole.frames == single.frames == two.frames == len(messages)


@MODEST
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4), st.data())
def test_noise_between_frames_costs_no_frame(messages: list[bytes], data: st.DataObject) -> None:
    deframer = Deframer(128)
    accepted = []
    noises = 0
    for message in messages:
        noise = data.draw(st.binary(max_size=200))
        for item in deframer.feed(noise + b"\x00") + deframer.feed(frame(message)):
            if item[1] is None:
                accepted.append(item[0])
            else:
                noises += 1
                assert item[1] in REASONS
    assert [message for message in accepted if message in messages] == messages
    assert deframer.frames == len(accepted)
    assert sum(deframer.rejected.values()) == noises


@MODEST
@given(st.binary(max_size=600), st.integers(1, 40))
def test_any_stream_is_cut_the_same_in_any_pieces(stream: bytes, size: int) -> None:
    whole = Deframer(64)
    pieces = Deframer(64)
    expected = whole.feed(stream)
    found = []
    for start in range(0, len(stream), size):
        found += pieces.feed(stream[start : start + size])
    assert found == expected
    assert pieces.rejected == whole.rejected
    assert all(len(raw) <= 64 for raw, _ in found)


def test_every_flipped_bit_of_a_frame_is_refused() -> None:
    """A CRC-16 finds every error within 16 bits; a flipped delimiter joins two frames."""
    message = bytes(range(100)) + bytes(20)
    framed = frame(message)
    for position in range(8 * len(framed)):
        damaged = bytearray(framed)
        damaged[position // 8] ^= 1 << position % 8
        items = Deframer().feed(bytes(damaged) + b"\x00")
        assert items
        assert (message, None) not in items
