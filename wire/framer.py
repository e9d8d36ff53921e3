"""The node's way to frame: CRC and COBS by one kernel in one buffer that is used again.

`framing.frame` says what a frame is; a `Framer` gives the same bytes without an allocation, in a
buffer whose words of 32 bits are little-endian, as on every board that we have:

    state (40) | - - - code | message | CRC | 00            the message begins on a word

The CRC is reduced by a sparse multiple of its polynomial P instead of a table. P^8 is

    x^128 + x^96 + x^40 + 1

so a quotient word is the word of the message that is due, plus the quotient words 1 and 4 before
it, plus that 88 bits before it (two words and three bytes); the state begins with the last four.
What they add to the last words of the message is then divided by P itself: the quotient of a word t
is t / (1 + a + b + c) = t (1 + a + b + c) (1 + a^2 + b^2) (1 + a^4), where a, b and c are shifts
to the right by 16 - 12, 16 - 5 and 16 bits, so that longer products of them leave nothing.
"""

from wire.cobs import stuff_kernel
from wire.errors import FrameError
from wire.framing import frame
from wire.kernel import ALL, IS_MICROPYTHON, Buffer, const, micropython, ptr8, ptr32, uint

_DATA_AT = const(44)


class Framer:
    """Frames messages of up to `message_bytes_max` bytes.

    On MicroPython a frame is a view that the next frame changes, on CPython it is bytes.
    """

    def __init__(self, message_bytes_max: int = 2000) -> None:
        self.message_bytes_max = message_bytes_max
        # Behind the message: its CRC, the delimiter, and room up to the end of the word.
        self._line = bytearray((_DATA_AT + message_bytes_max + 6) // 4 * 4)
        self._lay_out(0)

    if IS_MICROPYTHON:

        @micropython.native
        def frame(self, message: Buffer) -> Buffer:
            """Return `message` as one frame, delimiter included; FrameError if it is too long."""
            place, line, count, framed = self._layout
            try:
                place[ALL] = message
            except ValueError:
                # It has another length than the one before.
                self._lay_out(len(message))
                return self.frame(message)
            if check_kernel(line, line, count) and stuff_kernel(framed, count + 2, count + 3):
                return framed
            return frame(message)

    else:

        def frame(self, message: Buffer) -> Buffer:
            """Return `message` as one frame, delimiter included; FrameError if it is too long."""
            self._check(len(message))
            return frame(message)

    def _lay_out(self, count: int) -> None:
        """Make the views of a message of `count` bytes, with the delimiter behind it."""
        self._check(count)
        view = memoryview(self._line)
        end = _DATA_AT + count
        self._line[end + 2] = 0
        self._layout = (view[_DATA_AT:end], self._line, count, view[_DATA_AT - 1 : end + 3])

    def _check(self, count: int) -> None:
        if count > self.message_bytes_max:
            raise FrameError(
                "a message of %d bytes, at most %d are framed" % (count, self.message_bytes_max)
            )


@micropython.viper
def check_kernel(words: ptr32, line: ptr8, count: int) -> int:
    """Put the CRC of the `count` bytes at byte 44 of `line` behind them; 0 if they are too few.

    `words` are the same memory; the state is zero again at the end.
    """
    if count < 16:
        return 0
    source = ptr32(uint(words) + 44)
    # As if a quotient word before the message had added the seed to its first two bytes.
    words[0] = 0xFFFF
    left = (count >> 4) - 1
    while left:
        words[0] = words[2] << 24 ^ uint(words[1]) >> 8 ^ words[0] ^ words[3] ^ source[0]
        words[1] = words[3] << 24 ^ uint(words[2]) >> 8 ^ words[1] ^ words[0] ^ source[1]
        words[2] = words[0] << 24 ^ uint(words[3]) >> 8 ^ words[2] ^ words[1] ^ source[2]
        words[3] = words[1] << 24 ^ uint(words[0]) >> 8 ^ words[3] ^ words[2] ^ source[3]
        source = ptr32(uint(source) + 16)
        left -= 1
    left = (count >> 2 & 3) + 4
    crc = 0
    while left:
        t = words[2] << 24 ^ uint(words[1]) >> 8 ^ words[0] ^ words[3] ^ source[0]
        t = crc << 16 ^ (t & 0xFF) << 24 ^ (t & 0xFF00) << 8 ^ t >> 8 & 0xFF00 ^ t >> 24 & 0xFF
        t ^= uint(t) >> 4 ^ uint(t) >> 11 ^ uint(t) >> 16
        t ^= uint(t) >> 8 ^ uint(t) >> 22
        t ^= uint(t) >> 16
        crc = (t << 12 ^ t << 5 ^ t) & 0xFFFF
        words[0] = 0
        words = ptr32(uint(words) + 4)
        source = ptr32(uint(source) + 4)
        left -= 1
    left = count & 3
    while left:
        t = crc >> 8 ^ line[count + 44 - left]
        t ^= t >> 4
        crc = (crc << 8 ^ t << 12 ^ t << 5 ^ t) & 0xFFFF
        left -= 1
    line[count + 44] = crc >> 8
    line[count + 45] = crc & 0xFF
    return 1
