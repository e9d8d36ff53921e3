"""Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): no zeros, so zero can end a frame.

A code byte n is followed by n - 1 bytes without zeros, and stands for a zero after them unless n is
255 or it is the last. The cost is one byte, and one more for every full 254 bytes without a zero.
"""

from wire.errors import FrameError
from wire.kernel import IS_MICROPYTHON, Buffer, const, micropython, ptr8, uint

_RUN_MAX = const(254)


@micropython.viper
def stuff_kernel(frame: ptr8, at: int, after: int) -> int:
    """Put the codes into `frame`, whose bytes 1 to `at` are the data and whose byte 0 is free.

    Goes backwards, `after` being the index behind the last byte at first and the place of the code
    found last from there on: a zero is where a code belongs, and byte 0 is made one. What is looked
    at is byte 3 from `frame` on, and up to three before it in one go. Returns 0 when a code would
    have to be inserted, at a run of 254 bytes or more.
    """
    frame[0] = 0
    start = int(frame) - 3
    after += start
    frame = ptr8(uint(frame) + at - 3)
    while True:
        while frame[3] and frame[2] and frame[1] and frame[0]:
            frame = ptr8(uint(frame) - 4)
        while frame[3]:
            frame = ptr8(uint(frame) - 1)
        at = after - int(frame)
        if at > 254:
            return 0
        frame[3] = at
        after = int(frame)
        if after == start:
            return 1
        frame = ptr8(uint(frame) - 1)


def stuff_runs(data: Buffer) -> bytes:
    """Return `data` stuffed, whatever the length of its runs."""
    stuffed = bytearray()
    runs = bytes(data).split(b"\x00")
    for run in runs:
        for start in range(0, len(run) - _RUN_MAX + 1, _RUN_MAX):
            stuffed.append(255)
            stuffed += run[start : start + _RUN_MAX]
        rest = len(run) % _RUN_MAX
        stuffed.append(rest + 1)
        stuffed += run[len(run) - rest :]
    if runs[-1] and rest == 0:
        # The data end with a full run, which stands for no zero: nothing follows it.
        return bytes(stuffed[:-1])
    return bytes(stuffed)


if IS_MICROPYTHON:

    def encode(data: Buffer) -> bytes:
        """Return `data` stuffed."""
        count = len(data)
        frame = bytearray(count + 1)
        frame[1:] = data
        if stuff_kernel(frame, count, count + 1):
            return bytes(frame)
        return stuff_runs(data)

else:
    encode = stuff_runs


def decode(data: Buffer) -> bytes:
    """Return what `data` was made from; FrameError for a zero, or a code past the end."""
    stuffed = bytes(data)
    if b"\x00" in stuffed:
        raise FrameError("a zero byte inside a COBS frame")
    output = bytearray()
    at = 0
    end = len(stuffed)
    while at < end:
        code = stuffed[at]
        after = at + code
        if after > end:
            raise FrameError(
                "COBS code %d at byte %d points past the end of %d bytes" % (code, at, end)
            )
        output += stuffed[at + 1 : after]
        if code < 255 and after < end:
            output.append(0)
        at = after
    return bytes(output)
