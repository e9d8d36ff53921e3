"""Messages as frames on a serial line: COBS(message | CRC-16 big-endian), then one zero byte.

The receiver cuts at zeros, so after any damage it is in step again at the next frame. A line error
(this module) and a forgery (cose.py) are found by different checks and counted apart. Two zeros in
a row enclose nothing, so a sender may begin with one to flush what noise has left.
"""

from wire.cobs import decode, encode, stuff_kernel
from wire.crc import crc16
from wire.errors import FrameError
from wire.kernel import IS_MICROPYTHON, Buffer

REASONS = ("cobs", "crc", "too_long", "short")
_DECODED_BYTES_MIN = 3


if IS_MICROPYTHON:

    def frame(message: Buffer) -> bytes:
        """Return `message` as one frame, delimiter included."""
        check = crc16(message)
        count = len(message) + 2
        # The code goes before the data and the delimiter, already zero, behind them.
        stuffed = bytearray(count + 2)
        stuffed[1 : count - 1] = message
        stuffed[count - 1] = check >> 8
        stuffed[count] = check & 0xFF
        if stuff_kernel(stuffed, count, count + 1):
            return bytes(stuffed)
        return encode(bytes(message) + check.to_bytes(2, "big")) + b"\x00"

else:

    def frame(message: Buffer) -> bytes:
        """Return `message` as one frame, delimiter included."""
        return encode(b"".join((message, crc16(message).to_bytes(2, "big")))) + b"\x00"


class Deframer:
    """Cuts a stream of bytes into frames; `frames` and `rejected` count what came out.

    A frame longer than `frame_bytes_max` (stuffed, without its delimiter) is reported once, as soon
    as it is too long, and dropped up to the next delimiter: memory stays bounded whatever the line
    delivers.
    """

    def __init__(self, frame_bytes_max: int = 2048) -> None:
        self.frame_bytes_max = frame_bytes_max
        self.frames = 0
        self.rejected = dict.fromkeys(REASONS, 0)
        self._pending = bytearray()
        self._is_skipping = False

    def feed(self, data: Buffer) -> "list[tuple[bytes, str | None]]":
        """Return what `data` completed: (message, None), or (stuffed bytes, one of REASONS)."""
        items: "list[tuple[bytes, str | None]]" = []
        pieces = bytes(data).split(b"\x00")
        last = len(pieces) - 1
        for index, piece in enumerate(pieces):
            self._append(piece, items)
            if index < last:
                self._end(items)
        return items

    def _append(self, piece: bytes, items: "list[tuple[bytes, str | None]]") -> None:
        if self._is_skipping:
            return
        room = self.frame_bytes_max - len(self._pending)
        self._pending.extend(piece[:room])
        if len(piece) > room:
            self._is_skipping = True
            items.append(self._reject(bytes(self._pending), "too_long"))
            self._pending = bytearray()

    def _end(self, items: "list[tuple[bytes, str | None]]") -> None:
        """Take the delimiter: what is pending is a whole frame."""
        self._is_skipping = False
        if self._pending:
            stuffed = bytes(self._pending)
            self._pending = bytearray()
            items.append(self._open(stuffed))

    def _open(self, stuffed: bytes) -> "tuple[bytes, str | None]":
        try:
            decoded = decode(stuffed)
        except FrameError:
            return self._reject(stuffed, "cobs")
        if len(decoded) < _DECODED_BYTES_MIN:
            return self._reject(stuffed, "short")
        if crc16(decoded) != 0:
            # The CRC over a message and its own CRC is zero.
            return self._reject(stuffed, "crc")
        self.frames += 1
        return decoded[:-2], None

    def _reject(self, stuffed: bytes, reason: str) -> "tuple[bytes, str | None]":
        self.rejected[reason] += 1
        return stuffed, reason
