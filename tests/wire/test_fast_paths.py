"""What a node does in place and by kernels is what the readable way gives, byte by byte."""

from hypothesis import given
from hypothesis import strategies as st

from tests.wire.memory import check
from tests.wire.strategies import MODEST, headers, past_s, single_floats, with_zeros
from wire.cose_sealer import BufferSealer, JoiningSealer
from wire.crc import crc16
from wire.errors import FrameError, SenmlError, WireError
from wire.framer import Framer
from wire.framing import frame
from wire.mac import HmacSha256
from wire.senml import Packer, pack

MAC = HmacSha256(bytes(range(32)))
CHANNELS = [("vibration-1", "m/s2"), ("state", ""), ("temperature", "Cel")]

# Floats of every size, none, and what cannot be packed.
maybe_floats = st.none() | single_floats | st.sampled_from([0.0, -0.0, 0.5, 2.0**-24, 1e39])
rows = st.tuples(
    st.lists(maybe_floats, min_size=3, max_size=3),
    past_s | st.lists(past_s, min_size=3, max_size=3) | st.sampled_from([-0.5, 0.0, 0.5]),
)
# Numbers around the sizes that CBOR and COSE give them.
around = st.sampled_from([0, 23, 24, 255, 256, 65535, 65536, 2**24, 2**31, 2**32, 2**40 - 1])
numbers = st.tuples(st.sampled_from([0, 112, 65000]), around, st.sampled_from([0, 1, 2**32 - 1]))


def packed(row: tuple[list[float | None], float | list[float]]) -> bytes | str | None:
    """The pack of `row` by the readable function, or the text of its error."""
    values, times_s = row
    times = times_s if isinstance(times_s, list) else [times_s] * 3
    records = [
        (name, unit, value, time_s)
        for (name, unit), value, time_s in zip(CHANNELS, values, times, strict=True)
        if value is not None
    ]
    try:
        return pack("pump-a:", records) if records else None
    except SenmlError as error:
        return str(error)


@MODEST
@given(st.lists(rows, max_size=6))
def test_a_packer_is_pack_again_and_again(
    sequence: list[tuple[list[float | None], float | list[float]]],
) -> None:
    packer = Packer("pump-a:", CHANNELS)
    for row in sequence:
        try:
            found = packer.pack(*row)
        except SenmlError as error:
            found = str(error)
        assert found == packed(row)


@MODEST
@given(
    st.binary(min_size=1, max_size=32),
    st.lists(st.tuples(numbers, around, st.binary(max_size=300)), max_size=8),
)
def test_a_buffer_sealer_is_a_joining_one(
    kid: bytes, sequence: list[tuple[tuple[int, int, int], int, bytes]]
) -> None:
    buffer, joining = BufferSealer(kid, MAC), JoiningSealer(kid, MAC)
    for (content_type, number, boot_id), tick_us, payload in sequence:
        arguments = (content_type, number, boot_id, tick_us, payload)
        assert buffer.seal(*arguments) == joining.seal(*arguments)


@MODEST
@given(headers, st.integers(1, 2**33), st.binary(max_size=40))
def test_a_buffer_sealer_counts_on(
    header: tuple[int, int, int, int], step: int, payload: bytes
) -> None:
    content_type, number, boot_id, tick_us = header
    buffer, joining = BufferSealer(b"pump-a", MAC), JoiningSealer(b"pump-a", MAC)
    for turn in range(4):
        arguments = (content_type, number + turn, boot_id, tick_us + turn * step, payload)
        try:
            expected: bytes | str = bytes(joining.seal(*arguments))
        except WireError as error:
            expected = str(error)
        try:
            found: bytes | str = bytes(buffer.seal(*arguments))
        except WireError as error:
            found = str(error)
        assert found == expected


@MODEST
@given(st.lists(with_zeros | st.binary(max_size=400), max_size=5))
def test_a_framer_is_frame(messages: list[bytes]) -> None:
    framer = Framer(1200)
    for message in messages:
        try:
            assert framer.frame(message) == frame(message)
        except FrameError:
            assert len(message) > 1200


@MODEST
@given(st.binary(max_size=400) | with_zeros)
def test_the_kernel_has_the_crc(data: bytes) -> None:
    assert check(data) == (crc16(data) if len(data) >= 16 else -1)


def test_every_length_has_its_crc() -> None:
    data = bytes(index * 89 & 0xFF for index in range(300))
    for length in range(16, 300):
        assert check(data[:length]) == crc16(data[:length])


def test_every_bit_enters_the_crc() -> None:
    for length in (16, 39):
        for place in range(8 * length):
            data = (1 << place).to_bytes(length, "big")
            assert check(data) == crc16(data)
