"""Frames wait here for their receipt: a bounded ring of segment files, oldest first.

Promises: a frame is in flash when `put` returns (with `behind_bytes` 0); it leaves when a receipt
covers it, or when a sealed loss record that names its number is in flash.  However often the power
is cut, every number below the newest is then either offered or named.  A number is offered with one
message only; what `forget` covered is not offered again in this boot, nor, once any frame was put
after it, in a later one: each record carries the newest receipt.  A number that a record names may
still be offered before that record, when a cut came between the two.

A full ring gives up its oldest segment.  A flash that refuses (OSError) stops nothing: frames wait
in RAM, up to QUEUE_BYTES_MAX; beyond that a full flash gives up its oldest segment as well, and a
failing one the older half of what waits.  The record of that cannot be durable first: should the
power go before it is, the next start misses the numbers and names them (spool_survey.py).

Wear.  On littlefs a durable append erases one block for the tail that it copies, one for each block
of new bytes, and its share of the metadata log.  With blocks of B bytes, sealed frames of F bytes
and n frames in one write, 1 with `behind_bytes` 0:

    erases per frame <= 1 / n + (F + 40) / B + 0.05
    years = cycles * blocks / (erases per frame * frames per second * 31,557,600 s)

A frame of 300 bytes a second, 1 MiB as 256 blocks of 4096 bytes, 100,000 cycles: 1.13 erases, 0.7
years.  `behind_bytes` 4096 writes 13 at once: 0.21 erases, 3.9 years, of a gateway that is never
there; while receipts come before it is full nothing is written at all.  The price: a cut costs what
waited in RAM, which the next start names.  tests/firmware/test_power_cut_wear.py counts the erases.
FAT in the flash of a microcontroller spreads nothing: durable puts would wear it out within hours.
"""

from firmware.spool_files import HEAD_BYTES, MESSAGE_BYTES_MAX, SegmentFiles
from firmware.spool_losses import Losses
from firmware.spool_ring import DAMAGED, ENOSPC, FLASH_FAILED, Ring
from firmware.spool_survey import Survey

SPOOL_FULL, POWER_CUT = 1, 3
"""More reasons of a loss, as wire/messages.py numbers them."""
QUEUE_BYTES_MAX = 8192
SEGMENTS_MIN = 2


class Spool:
    """Up to `segments` files of `segment_bytes` each, through the file functions of `hal`.

    `declare(first, last, frames, reason)` seals a loss record and returns (sequence, message); its
    number is larger than all before.  It may raise OSError, and is asked again later.
    `behind_bytes` may wait in RAM for their receipt before they are written.
    """

    def __init__(self, hal, segments: int, segment_bytes: int, declare, behind_bytes=0) -> None:
        self._files = SegmentFiles(hal)
        self._ring = Ring(self._files, max(segments, SEGMENTS_MIN), segment_bytes)
        self._declare = declare
        self._behind_bytes = min(behind_bytes, segment_bytes // 2, QUEUE_BYTES_MAX)
        self._queue = []
        """(sequence, number before it, loss or None, message) of what is not in flash."""
        self._queue_bytes = 0
        self._doomed = 0
        """How many of the oldest segments go once the queue, with the record of it, is written."""
        self._unsaid = []
        """First, last, frames and reason of a loss that could not be sealed."""
        self._losses = Losses()
        self._receipted = -1
        self._is_flash_full = False
        self._errors = 0
        self.newest = -1
        """The highest number stored, -1 for none."""
        self.dropped = 0
        """Frames given up since the start."""

    @property
    def frames(self) -> int:
        """Frames that wait for their receipt."""
        return sum([segment.frames for segment in self._ring.segments]) + len(self._queue)

    @property
    def bytes(self) -> int:
        """Bytes of the files and of what waits in RAM."""
        return sum([segment.size for segment in self._ring.segments]) + self._queue_bytes

    @property
    def flash_errors(self) -> int:
        """Operations that the flash has refused since the start."""
        return self._errors + self._ring.errors

    def start(self, sequence_start=None, uncertain=None) -> None:
        """Find what is stored and declare what is gone; raises nothing for damage.

        `sequence_start` is the first number that this boot may use.  When it is given, all numbers
        between the newest stored and it are declared: a cut may have taken them before they were
        stored.  A record that claims to be newer is not this node's, and is removed.  Of a flash
        without damage no more than the last `uncertain` are declared, if given (spool_survey.py).
        """
        survey = Survey(self._files)
        survey.run(sequence_start)
        self._ring.segments = survey.ring
        self._errors += survey.errors
        self.newest = survey.newest
        self._receipted = survey.receipted
        self._losses = survey.losses
        self._losses.receive(self._receipted)
        self._ring.receive(self._receipted)
        self._ring.sweep(self._receipted)
        if sequence_start is not None and survey.newest + 1 < sequence_start:
            first = survey.first_unknown(sequence_start, uncertain)
            self._say(first, sequence_start - 1, 0, POWER_CUT)
            # If that could not be sealed, the record that comes next tells of a hole before it.
            self.newest = max(self.newest, sequence_start - 1)
        for first, last in survey.holes:
            self._say(first, last, 0, DAMAGED)
        self.flush()

    def put(self, sequence: int, message) -> None:
        """Store a frame; ValueError when its number is not above all before, or it is too long."""
        if sequence <= self.newest:
            raise ValueError("number %d is not above %d: not stored" % (sequence, self.newest))
        if len(message) > MESSAGE_BYTES_MAX:
            raise ValueError("frame %d is %d bytes long: not stored" % (sequence, len(message)))
        self._admit(sequence, None, message)
        unsaid, self._unsaid = self._unsaid, []
        if unsaid:
            self._say(*unsaid)
        if self._queue_bytes > self._behind_bytes:
            self._drain()
        if self._queue_bytes > QUEUE_BYTES_MAX and self._is_flash_full:
            self._make_room()
        if self._queue_bytes > QUEUE_BYTES_MAX:
            self._shorten()

    def flush(self) -> None:
        """Write what waits in RAM, as before an orderly restart."""
        self._drain()

    def first_after(self, sequence: int):
        """(sequence, message) of the oldest frame with a larger number that waits, or None."""
        after = max(sequence, self._receipted)
        found = self._ring.read_after(after)
        while self._ring.losses:
            first, last, frames, reason = self._ring.losses.pop(0)
            self.dropped += frames
            self._say(first, last, frames, reason)
            self._drain()
        if found is not None:
            return found
        for number, _, _, message in self._queue:
            if number > after:
                return number, message
        return None

    def forget(self, sequence: int) -> None:
        """Everything up to this number is delivered."""
        sequence = min(sequence, self.newest)
        if sequence <= self._receipted:
            return
        self._receipted = sequence
        self._losses.receive(sequence)
        self._ring.receive(sequence)
        while self._queue and self._queue[0][0] <= sequence:
            self._unqueue(1)

    # --- the queue in RAM -----------------------------------------------------------------------

    def _admit(self, sequence: int, lost, message) -> None:
        self._queue.append((sequence, self.newest, lost, bytes(message)))
        self._queue_bytes += HEAD_BYTES + len(message)
        self.newest = sequence

    def _unqueue(self, count: int) -> None:
        for _ in range(count):
            self._queue_bytes -= HEAD_BYTES + len(self._queue.pop(0)[3])

    def _drain(self) -> None:
        """Write the queue, and let a segment go for it when the ring is full."""
        try:
            self._doom()
            while self._queue:
                if self._doomed and not self._ring.has_room(self._queue[0]):
                    self._drop_doomed()
                cursor = (self._receipted, self._losses.settled(self._receipted))
                self._unqueue(self._ring.write(self._queue, cursor))
                self._doomed = max(self._doomed - self._ring.sweep(self._receipted), 0)
                self._doom()
        except OSError as error:
            self._errors += 1
            self._unqueue(self._ring.adopted)
            self._is_flash_full = bool(error.args) and error.args[0] == ENOSPC
            return
        self._is_flash_full = False
        self._drop_doomed()

    def _doom(self) -> None:
        """Declare the oldest segment when no file is free; it goes when that is in flash."""
        excess = self._ring.excess()
        if self._doomed or excess <= 0:
            return
        self._say_oldest(excess)
        if not self._unsaid:
            self._doomed = excess

    def _drop_doomed(self) -> None:
        while self._doomed:
            self._doomed -= 1
            self._ring.drop_oldest()

    def _say_oldest(self, count: int) -> None:
        last, frames = self._ring.tally(count)
        if frames:
            self.dropped += frames
            self._say(self._receipted + 1, last, frames, SPOOL_FULL)

    def _say(self, first: int, last: int, frames: int, reason: int) -> None:
        """Have a loss record sealed and queue it; when that fails it goes with the next one."""
        if self._unsaid:
            first = min(first, self._unsaid[0])
            last = max(last, self._unsaid[1])
            frames += self._unsaid[2]
        first, frames = self._losses.widened(first, frames)
        frames = min(frames, last - first + 1)
        try:
            sequence, message = self._declare(first, last, frames, reason)
        except OSError:
            self._errors += 1
            self._unsaid = [first, last, frames, reason]
            return
        self._unsaid = []
        self._losses.add(sequence, (first, last, frames))
        self._admit(sequence, (first, last, frames), message)

    # --- a flash that refuses -------------------------------------------------------------------

    def _make_room(self) -> None:
        """The flash is full, of other files: give up the oldest segment before its record fits."""
        if len(self._ring.segments) < 2:
            return
        if not self._doomed:
            self._say_oldest(1)
            self._doomed = 1
        self._drop_doomed()
        self._drain()

    def _shorten(self) -> None:
        """Give up the older half of the queue."""
        first, count, size = self._queue[0][1] + 1, 0, 0
        while size <= QUEUE_BYTES_MAX // 2:
            size += HEAD_BYTES + len(self._queue[count][3])
            count += 1
        last = self._queue[count - 1][0]
        self._unqueue(count)
        self.dropped += count
        self._say(first, last, count, FLASH_FAILED)
