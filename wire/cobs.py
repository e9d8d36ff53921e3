"""Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): no zeros, so zero can end a frame.

A code byte n is followed by n - 1 bytes without zeros, and stands for a zero after them unless n is
255 or it is the last. The cost is one byte, and one more for every full 254 bytes without a zero.
"""

from wire.errors import FrameError
from wire.kernel import IS_MICROPYTHON, Buffer, const, micropython, ptr8

_RUN_MAX = const(254)


@micropython.viper
def stuff_kernel(frame: ptr8, at: int, after: int) -> int:
    """Put the codes into `frame`, whose bytes 1 to `at` are the data and whose byte 0 is free.

    Goes backwards, `after` being the index behind the last byte at first and that of the code found
    last from there on: a zero is where a code belongs, and byte 0 is made one. Returns 0 when a
    code would have to be inserted, at a run of 254 bytes or more. All is an argument, for those lie
    in registers.
    """
    frame[0] = 0
    while after:
        while frame[at]:
            at -= 1
        if after - at > 254:
            return 0
        frame[at] = after - at
        after = at
        at -= 1
    return 1


def stuff_runs(data: Buffer) -> bytes:
    """Return `data` stuffed, whatever the length of its runs; the fast way on CPython."""
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


def stuff_in_place(data: Buffer) -> bytes:
    """Return `data` stuffed, as stuff_runs does; the fast way on MicroPython."""
    count = len(data)
    frame = bytearray(count + 1)
    frame[1:] = data
    if stuff_kernel(frame, count, count + 1):
        return bytes(frame)
    return stuff_runs(data)


encode = stuff_in_place if IS_MICROPYTHON else stuff_runs


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
