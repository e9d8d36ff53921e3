"""Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): no zeros, so zero can end a frame.

A code byte n is followed by n - 1 bytes without zeros, and stands for a zero after them unless n is
255 or it is the last. The cost is one byte, and one more for every full 254 bytes without a zero.
"""

from wire.errors import FrameError
from wire.kernel import IS_MICROPYTHON, Buffer, const, micropython, ptr8

_RUN_MAX = const(254)


@micropython.viper
def encode_kernel(data: object, count: int, target: object) -> int:
    """Stuff `count` bytes of `data` into `target`, long enough for any; return the bytes written."""
    source = ptr8(data)
    output = ptr8(target)
    code_at = 0
    at = 1
    code = 1
    index = 0
    while index < count:
        byte = source[index]
        index += 1
        if byte:
            output[at] = byte
            at += 1
            code += 1
        if byte == 0 or (code == 255 and index < count):
            output[code_at] = code
            code_at = at
            at += 1
            code = 1
    output[code_at] = code
    return at


def encode_runs(data: Buffer) -> bytes:
    """Return `data` stuffed, by whole runs instead of bytes: the fast way where slices are cheap."""
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
        stuffed.pop()
    return bytes(stuffed)


def encode(data: Buffer) -> bytes:
    """Return `data` stuffed: no byte of the result is zero."""
    if not IS_MICROPYTHON:
        return encode_runs(data)
    count = len(data)
    target = bytearray(count + count // _RUN_MAX + 1)
    return bytes(memoryview(target)[: encode_kernel(data, count, target)])


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
