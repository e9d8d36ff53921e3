"""Segment files of the spool: records written, walked and checked.

    u16 magic "TF", a frame, or "TL", a loss record | u16 bytes of the body | u64 sequence number |
    u64 number stored before this one, plus 1 | u64 highest number receipted by then, plus 1 |
    u64 highest number settled by then, plus 1 | u32 CRC-32 of all before and of the body | body

The body is the sealed message; that of a loss record stands behind what it admits: u64 first and
u64 last number, u32 frames.  All integers are big-endian; 0 stands for "none" where 1 is added.

A record names the number stored before it, so whoever reads all records in order knows of every
record that is gone, whatever became of its file, and which number to name.  It also names the
highest receipt: no cursor has to be written anywhere else.  Settled is what is receipted and not
named by a loss record that is still on its way: what such a record names must not be forgotten when
the record is lost itself.

CRC-32 and not the line's CRC-16: it alone finds a torn record, and to miss one in 65,536 is too
many.  What it does not see, the seal shows at the gateway.
"""

import binascii
import struct
from collections import namedtuple

Record = namedtuple("Record", ("sequence", "previous", "receipted", "settled", "lost", "at", "end"))
"""`lost` is None or (first, last, frames); the message is bytes `at` to `end` of its file."""

SLOTS_MAX = 64
MESSAGE_BYTES_MAX = 32768
HEAD_BYTES = 40
LOST_BYTES = 20

_HEAD = ">2sHQQQQ"
_CHECKED_BYTES = 36
_FRAME = b"TF"
_LOSS = b"TL"
_LOST = ">QQI"
_CHUNK_BYTES = 256


class Segment:
    """What is known of one file: first and last number, and how far it is whole."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.name = "spool.%02d" % slot
        self.first = -1
        self.last = -1
        self.frames = 0
        """Records not receipted yet."""
        self.front = 0
        """Where the first of them stands, as far as somebody has looked."""
        self.receipted = -1
        """The highest number receipted when somebody looked."""
        self.size = 0
        """Bytes of whole records; a torn tail is behind them."""
        self.is_open = True
        """Whether more may be added: there is no torn tail."""


def packed(sequence: int, previous: int, cursor, lost, message) -> bytes:
    """The bytes of one record; `cursor` is (receipted, settled)."""
    body = message if lost is None else struct.pack(_LOST, *lost) + message
    magic = _FRAME if lost is None else _LOSS
    receipted, settled = cursor
    head = struct.pack(_HEAD, magic, len(body), sequence, previous + 1, receipted + 1, settled + 1)
    return head + struct.pack(">I", binascii.crc32(body, binascii.crc32(head))) + body


class SegmentFiles:
    """Reads records of segments through `hal`; OSError of the flash goes through."""

    def __init__(self, hal) -> None:
        self._hal = hal
        self._head = bytearray(HEAD_BYTES + LOST_BYTES)
        self._chunk = bytearray(_CHUNK_BYTES)

    def record(self, segment: Segment, offset: int):
        """The record at `offset`, or None when none is there; its message is not looked at."""
        head = self._head
        count = self._hal.read_file_at(segment.name, offset, head)
        if count < HEAD_BYTES:
            return None
        magic, body_bytes, sequence, previous, receipted, settled = struct.unpack_from(_HEAD, head)
        if previous > sequence or receipted > sequence or settled > receipted:
            return None
        at = offset + HEAD_BYTES
        lost = None
        if magic == _LOSS and body_bytes >= LOST_BYTES and count == len(head):
            lost = struct.unpack_from(_LOST, head, HEAD_BYTES)
            at += LOST_BYTES
        elif magic != _FRAME:
            return None
        end = offset + HEAD_BYTES + body_bytes
        return Record(sequence, previous - 1, receipted - 1, settled - 1, lost, at, end)

    def whole(self, segment: Segment, offset: int):
        """The record at `offset` whose every byte is as it was written, or None."""
        record = self.record(segment, offset)
        if record is None:
            return None
        crc, wanted = self._start_check()
        at = offset + HEAD_BYTES
        chunk = memoryview(self._chunk)
        while at < record.end:
            count = self._hal.read_file_at(segment.name, at, chunk[: record.end - at])
            if count <= 0:
                return None
            crc = binascii.crc32(chunk[:count], crc)
            at += count
        return record if crc == wanted else None

    def message(self, segment: Segment, offset: int, record: Record):
        """The message of `record`, which stands at `offset`, or None when it is damaged."""
        crc, wanted = self._start_check()
        body = bytearray(record.end - offset - HEAD_BYTES)
        count = self._hal.read_file_at(segment.name, offset + HEAD_BYTES, body)
        if count < len(body) or binascii.crc32(body, crc) != wanted:
            return None
        return bytes(memoryview(body)[record.at - offset - HEAD_BYTES :])

    def append(self, segment: Segment, data) -> None:
        """Add records to a segment; a new one replaces whatever is in its place."""
        if segment.size == 0:
            self._hal.remove_file(segment.name)
        self._hal.append_file(segment.name, data)

    def remove(self, segment: Segment) -> None:
        """Remove the segment's file."""
        self._hal.remove_file(segment.name)

    def size(self, segment: Segment) -> int:
        """Bytes of the segment's file, torn tail and all; -1 when there is none."""
        return self._hal.file_size(segment.name)

    def _start_check(self) -> tuple:
        """(CRC-32 of the head read last, CRC-32 that it states for head and body)."""
        head = memoryview(self._head)
        wanted = struct.unpack_from(">I", head, _CHECKED_BYTES)[0]
        return binascii.crc32(head[:_CHECKED_BYTES]), wanted
