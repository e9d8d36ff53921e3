"""What a start finds in the segment files: the ring in order, and every number that is gone.

Promises: whatever the files hold, the survey ends, raises nothing and is bounded in memory.  The
first record of a file that is not whole ends the file: what is behind it is gone.

A hole is a range of numbers behind the last receipt of which records are known to have existed: the
next record names a number before it that was not found.  What of it a stored loss record names is
known to the gateway, or will be; what a loss record in a hole had named, `losses` knows.

Behind the last whole record no hole is seen: the numbers from there to the first of this boot are
declared by whoever knows that one.  With `behind_bytes` these may be all that the node ever sent,
receipted and never written.  Who knows how many can have been in RAM, or be unused, when the power
went, names those only: the numbers before them were receipted, provided that the flash has lost
nothing.  What a flash that refused had made the node give up, declared in RAM alone, is then not
named; the gateway finds it missing all the same.
"""

from firmware.spool_files import SLOTS_MAX, Segment, SegmentFiles
from firmware.spool_losses import Losses

HOLES_MAX = 8


class Survey:
    """The result: `ring` (oldest segment first), `newest`, `receipted`, `losses`, `holes`."""

    def __init__(self, files: SegmentFiles) -> None:
        self._files = files
        self.ring = []
        self.newest = -1
        self.receipted = -1
        self.losses = Losses()
        self.holes = []
        """(first, last) of what is gone and not declared, at most HOLES_MAX."""
        self.errors = 0
        """Files that could not be read or removed."""
        self._is_whole = True

    def run(self, sequence_end) -> None:
        """Look at every file; records from `sequence_end` on, if given, are not of this node."""
        found = []
        for slot in range(SLOTS_MAX):
            segment = Segment(slot)
            try:
                if self._files.size(segment) >= 0:
                    record = self._files.record(segment, 0)
                    segment.first = -1 if record is None else record.sequence
                    found.append(segment)
            except OSError:
                self.errors += 1
                self._is_whole = False
        found.sort(key=lambda segment: segment.first)
        for segment in found:
            self._take(segment, sequence_end)
        self._clip()

    def first_unknown(self, sequence_end: int, uncertain) -> int:
        """The first number behind the newest record that may be neither receipted nor stored.

        `uncertain` is how many numbers below `sequence_end` may be, None when nobody knows: those
        that the counters skip, the frames that RAM can hold, and the answers sealed between them.
        """
        first = self.newest + 1
        if uncertain is None or self.holes or not self._is_whole:
            return first
        return max(first, sequence_end - uncertain)

    def _take(self, segment: Segment, sequence_end) -> None:
        is_readable = True
        try:
            self._scan(segment, sequence_end)
            segment.is_open = segment.size == self._files.size(segment)
        except OSError:
            self.errors += 1
            segment.is_open = is_readable = False
        self._is_whole = self._is_whole and segment.is_open
        if segment.frames:
            self.ring.append(segment)
        elif is_readable:
            try:
                self._files.remove(segment)
            except OSError:
                self.errors += 1

    def _scan(self, segment: Segment, sequence_end) -> None:
        while True:
            record = self._files.whole(segment, segment.size)
            if record is None or (sequence_end is not None and record.sequence >= sequence_end):
                return
            segment.size = record.end
            if record.sequence <= self.newest:
                # An append that failed and was there all the same: the number is stored already.
                continue
            if not segment.frames:
                segment.first = record.sequence
            segment.frames += 1
            segment.last = record.sequence
            self._chain(record)

    def _chain(self, record) -> None:
        """Note what stood between the record before this one and this one."""
        if record.previous > self.newest:
            self.holes.append((self.newest + 1, record.previous))
        self.newest = record.sequence
        self.receipted = max(self.receipted, record.receipted)
        self.losses.recall(record)
        if record.lost is not None:
            self._clip()
            named = [_without(hole, record.lost) for hole in self.holes]
            self.holes = [hole for hole in named if hole[0] <= hole[1]]
        if len(self.holes) > HOLES_MAX:
            last = self.holes.pop()[1]
            self.holes[-1] = (self.holes[-1][0], last)

    def _clip(self) -> None:
        """Forget of the holes what was receipted."""
        after = self.receipted
        self.holes = [(max(hole[0], after + 1), hole[1]) for hole in self.holes if hole[1] > after]


def _without(hole: tuple, lost: tuple) -> tuple:
    """What of `hole` the loss does not name; all of it when that would be two ranges."""
    first, last = hole
    if lost[0] <= first <= lost[1]:
        first = lost[1] + 1
    if lost[0] <= last <= lost[1]:
        last = lost[0] - 1
    return first, last
