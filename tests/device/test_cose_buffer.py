"""Packing, sealing and framing in place on any interpreter, and what that leaves for the collector.

On a board a pack, a seal and a frame are views of buffers that are used again.
"""

import gc
import sys

from wire.cose import open_sealed
from wire.cose_sealer import BufferSealer, JoiningSealer
from wire.errors import FrameError
from wire.framer import Framer
from wire.framing import frame
from wire.kernel import IS_MICROPYTHON
from wire.mac import HmacSha256
from wire.senml import Packer, pack

KID = b"pump-a"
MAC = HmacSha256(bytes(range(32)))
CHANNELS = [("vibration-%02d" % index, "m/s2") for index in range(6)]
VALUES = [0.1 * index + 0.37 for index in range(6)]
FRAMES = 100

# What hashlib takes for one seal: two hash objects and their digests, which cannot be used again.
HASH_BYTES_MAX = 400
OWN_BYTES_MAX = 64
# Objects are made of words: 4 bytes on a board, 8 on a PC.
_WORDS = 2 if sys.maxsize >> 32 else 1


def _rows(values, time_s) -> list:
    return [(CHANNELS[i][0], CHANNELS[i][1], values[i], time_s) for i in range(len(values))]


def test_a_packer_is_pack_whatever_the_sizes_of_its_floats():
    packer = Packer("pump-a:", CHANNELS)
    for values in (VALUES, [0.5] * 6, VALUES, [-0.0, 1e-9, 65504.0, 0.1, 1 / 16777216, 3e38]):
        for time_s in (-0.45137, -0.5, 0.0, -1000.25):
            for times in (time_s, [time_s] * 6):
                assert packer.pack(values, times) == pack("pump-a:", _rows(values, time_s))


def test_a_sealer_in_place_is_one_that_joins():
    for kid in (KID, b"p", bytes(range(1, 33))):
        buffer, joining = BufferSealer(kid, MAC), JoiningSealer(kid, MAC)
        for payload in (b"", b"x" * 23, b"y" * 24, b"z" * 255, bytes(256)):
            for sequence in (0, 255, 256, 70000, 1 << 31, (1 << 32) - 1, (1 << 40) - 3):
                for tick_us in (0, 24, 65535, 65536, 1 << 31, (1 << 32) - 2, 1 << 33):
                    for step in range(2):
                        arguments = (112, sequence + step, 7, tick_us + step, payload)
                        assert buffer.seal(*arguments) == joining.seal(*arguments), arguments


def test_a_framer_is_frame():
    framer = Framer(600)
    data = bytes([index * 89 % 251 for index in range(600)])
    for length in list(range(90)) + [253, 254, 255, 256, 599, 600]:
        assert framer.frame(data[:length]) == frame(data[:length]), length
    # A run without a zero that is as long as a code reaches.
    for message in (b"\x01" * 600, b"\x02" * 252, b"\x02" * 251 + b"\x00", bytes(600)):
        assert framer.frame(message) == frame(message)
    try:
        framer.frame(bytes(601))
    except FrameError:
        return
    raise AssertionError("a frame longer than its buffer")


def test_a_frame_leaves_little_for_the_collector():
    packer, sealer, framer = Packer("pump-a:", CHANNELS), BufferSealer(KID, MAC), Framer()
    time_s = -0.45137

    def send(count) -> None:
        sequence = 70000
        while count:
            payload = packer.pack(VALUES, time_s)
            framer.frame(sealer.seal(112, sequence, 7, 123456789, payload))
            sequence += 1
            count -= 1

    send(3)
    sealed = sealer.seal(112, 70000, 7, 123456789, packer.pack(VALUES, time_s))
    assert open_sealed(sealed, MAC, KID)[1] == pack("pump-a:", _rows(VALUES, time_s))
    if not IS_MICROPYTHON:
        return
    gc.collect()
    before = gc.mem_alloc()
    send(FRAMES)
    bytes_a_frame = (gc.mem_alloc() - before) // FRAMES
    gc.collect()
    before = gc.mem_alloc()
    for _ in range(FRAMES):
        MAC.digest_padded(sealed)
    hash_bytes = (gc.mem_alloc() - before) // FRAMES
    assert hash_bytes <= HASH_BYTES_MAX * _WORDS, hash_bytes
    assert bytes_a_frame - hash_bytes <= OWN_BYTES_MAX * _WORDS, (bytes_a_frame, hash_bytes)
