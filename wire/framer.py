"""The node's way to frame: CRC and COBS over words of 32 bits in one buffer that is used again.

`framing.frame` says what a frame is; a `Framer` gives the same bytes without an allocation. The
message is copied into the buffer twice, for `fold_kernel` works on what it reads:

    - - - code | message | CRC | 00            the message begins on the boundary of a word

The CRC is reduced by sparse multiples of its polynomial P instead of a table. P^32 and P^8 are

    x^512 + x^384 + x^160 + 1        x^128 + x^96 + x^40 + 1

so a word may be cleared when it is added to the words 4, 11 and 16 behind it, and near the end to
those 1, 2, 3 and 4 behind it (40 bits are a word and a byte). What is left, 16 to 19 bytes, is
divided by P byte by byte. Words are little-endian, as on every board that we have.
"""

from wire.cobs import stuff_kernel
from wire.crc import SEED, crc16, crc16_kernel
from wire.errors import FrameError
from wire.framing import frame
from wire.kernel import ALL, IS_MICROPYTHON, Buffer, const, micropython, ptr32, uint

_DATA_AT = const(4)
_ONES = const(0x01010101)
_HIGHS = const(0x80808080)


class Framer:
    """Frames messages of up to `message_bytes_max` bytes."""

    def __init__(self, message_bytes_max: int = 2000) -> None:
        self.message_bytes_max = message_bytes_max
        # Behind the message: its CRC, the delimiter, and room up to the end of the word.
        self._line = bytearray((_DATA_AT + message_bytes_max + 9) // 4 * 4)
        line = memoryview(self._line)
        self._words = line if IS_MICROPYTHON else line.cast("I")
        self._count = -1
        self._message = self._frame = line

    @micropython.native
    def frame(self, message: Buffer) -> Buffer:
        """Return `message` as one frame, delimiter included.

        On MicroPython it is a view that the next frame changes, on CPython it is bytes. Raises
        FrameError for a message that is too long.
        """
        count = len(message)
        if count != self._count:
            self._resize(count)
        place, line = self._message, self._line
        place[ALL] = message
        end = count + _DATA_AT
        if IS_MICROPYTHON:
            left = fold_kernel(line, count, SEED)
            if left:
                check = crc16_kernel(line, end - left, 0, end)
            else:
                check = crc16_kernel(line, _DATA_AT, SEED, end)
            place[ALL] = message
        else:
            check = crc16(message)
        line[end] = check >> 8
        line[end + 1] = check & 0xFF
        stuffed = self._frame
        if not stuff_kernel(stuffed, count + 2, count + 3):
            return frame(message)
        return stuffed if IS_MICROPYTHON else bytes(stuffed)

    def _resize(self, count: int) -> None:
        """Make the views of a message of `count` bytes."""
        if count > self.message_bytes_max:
            raise FrameError(
                "a message of %d bytes, at most %d are framed" % (count, self.message_bytes_max)
            )
        line = memoryview(self._line)
        self._message = line[_DATA_AT : _DATA_AT + count]
        self._frame = line[_DATA_AT - 1 : _DATA_AT + count + 3]
        self._line[_DATA_AT + count + 2] = 0
        self._count = count


@micropython.viper
def fold_kernel(words: ptr32, left: int, crc: int) -> int:
    """Fold `left` bytes, whose CRC goes on from `crc`, into the last 16 to 19 of them.

    They begin behind the first of `words`. Returns how many of them are left, and have the CRC of
    all when it is begun with 0; or 0 when there were too few to fold. The three arguments are all
    that lies in registers.
    """
    words = ptr32(uint(words) + 4)
    if left < 20:
        return 0
    words[0] = int(words[0]) ^ (crc & 0xFF) << 8 ^ crc >> 8
    count = left >> 2
    rest = left & 3
    left = 0
    if count > 16:
        left = count - 16
        count = 16
    while left:
        crc = int(words[0])
        words[4] = int(words[4]) ^ crc
        words[11] = int(words[11]) ^ crc
        words[16] = int(words[16]) ^ crc
        words = ptr32(uint(words) + 4)
        left -= 1
    left = count - 4
    while left:
        crc = int(words[0])
        words[1] = int(words[1]) ^ crc
        words[2] = int(words[2]) ^ crc << 24
        words[3] = int(words[3]) ^ crc >> 8 & 0xFFFFFF
        words[4] = int(words[4]) ^ crc
        words = ptr32(uint(words) + 4)
        left -= 1
    return 16 + rest
