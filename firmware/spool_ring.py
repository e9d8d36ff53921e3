"""The segments of the spool in order: written at one end, read from anywhere, let go at the other.

Promises: after `write` its records are in flash; an OSError means that some of them may be, and
those are adopted, so that no number stands in flash twice.  A record that cannot be read ends its
segment; what is behind it is noted in `losses`, for the spool to declare.
Rule of order: whoever calls `drop_oldest` has declared what it holds.
"""

from firmware.spool_files import HEAD_BYTES, SLOTS_MAX, Segment, SegmentFiles, packed

DAMAGED, FLASH_FAILED = 2, 4
"""Reasons of a loss, as wire/messages.py numbers them."""
WRITE_BYTES_MAX = 6144
ENOSPC = 28


class Ring:
    """At most `segments` files; the queue's entries are (sequence, previous, lost, message)."""

    def __init__(self, files: SegmentFiles, segments: int, segment_bytes: int) -> None:
        self._files = files
        self._segments_max = min(segments, SLOTS_MAX)
        self._segment_bytes = segment_bytes
        self._seek = (None, 0, 0)
        """(segment, where the record behind the one read last begins, number of that one)."""
        self._slot = -1
        """The place used last: one that could not be read is not used again before it must be."""
        self.segments = []
        self.losses = []
        """(first, last, frames, reason) of what reading has found to be gone."""
        self.adopted = 0
        """How many of the queue's first entries a failed `write` has left in flash."""
        self.errors = 0

    def excess(self) -> int:
        """How many of the oldest segments have to go, so that there is a free file again."""
        return len(self.segments) - self._segments_max + 1

    def has_room(self, entry) -> bool:
        """Whether `entry` can be written without letting a segment go."""
        return len(self.segments) < self._segments_max or self._fits(self.segments[-1], entry)

    # --- writing --------------------------------------------------------------------------------

    def write(self, queue, cursor) -> int:
        """Append the first of `queue` to one segment; how many of them are in flash now.

        `cursor` is (receipted, settled), for the records to remember.
        """
        self.adopted = 0
        segment = self.segments[-1] if self.segments else None
        if segment is None or not self._fits(segment, queue[0]):
            segment = self._new_segment()
        records = []
        size = 0
        for sequence, previous, lost, message in queue:
            record = packed(sequence, previous, cursor, lost, message)
            size += len(record)
            if records and (segment.size + size > self._segment_bytes or size > WRITE_BYTES_MAX):
                break
            records.append(record)
        try:
            joined = b"".join(records)
        except MemoryError:
            # A heap in small pieces: one record at a time wears the flash more and loses nothing.
            joined = records[0]
            del records[1:]
        try:
            self._files.append(segment, joined)
        except OSError:
            self._adopt(segment, queue)
            raise
        for index, record in enumerate(records):
            self._count_in(segment, queue[index][0], segment.size + len(record))
        return len(records)

    def _fits(self, segment: Segment, entry) -> bool:
        end = segment.size + HEAD_BYTES + len(entry[3])
        return segment.is_open and (segment.size == 0 or end <= self._segment_bytes)

    def _new_segment(self) -> Segment:
        taken = [segment.slot for segment in self.segments]
        slot = taken[-1] if taken else self._slot
        for _ in range(self._segments_max):
            slot = (slot + 1) % self._segments_max
            if slot not in taken:
                return Segment(slot)
        raise OSError(ENOSPC)

    def _count_in(self, segment: Segment, sequence: int, size: int) -> None:
        if not segment.frames and segment not in self.segments:
            segment.first = sequence
            self.segments.append(segment)
            self._slot = segment.slot
        segment.frames += 1
        segment.last = sequence
        segment.size = size

    def _adopt(self, segment: Segment, queue) -> None:
        """Take what a failed append has left: whole records count, a torn one closes the file."""
        try:
            size = self._files.size(segment)
            while size > segment.size and self.adopted < len(queue):
                record = self._files.whole(segment, segment.size)
                if record is None or record.sequence != queue[self.adopted][0]:
                    break
                self._count_in(segment, record.sequence, record.end)
                self.adopted += 1
            segment.is_open = size <= segment.size
        except OSError:
            self.errors += 1
            segment.is_open = False

    # --- reading --------------------------------------------------------------------------------

    def read_after(self, after: int):
        """(sequence, message) of the first record with a number above `after`, or None."""
        index = 0
        while index < len(self.segments):
            segment = self.segments[index]
            if segment.last > after:
                found = self._find(segment, after)
                if found is not None:
                    return found
            if index < len(self.segments) and self.segments[index] is segment:
                index += 1
        return None

    def _find(self, segment: Segment, after: int):
        is_behind = self._seek[0] is segment and self._seek[2] <= after
        offset = self._seek[1] if is_behind else segment.front
        reason = DAMAGED
        try:
            while offset < segment.size:
                record = self._files.record(segment, offset)
                if record is None or record.end > segment.size:
                    break
                if record.sequence > after:
                    message = self._files.message(segment, offset, record)
                    if message is None:
                        break
                    self._seek = (segment, record.end, record.sequence)
                    return record.sequence, message
                offset = record.end
        except OSError:
            self.errors += 1
            reason = FLASH_FAILED
        self._cut(segment, offset, reason)
        return None

    def _cut(self, segment: Segment, end: int, reason: int) -> None:
        """End `segment` at `end`; a file of which nothing is left stays until its place is used."""
        index = self.segments.index(segment)
        before = self.segments[index - 1].last if index else segment.receipted
        gone, last = segment.frames, segment.last
        segment.size, segment.is_open, segment.frames = end, False, 0
        for record in self._heads(segment):
            segment.frames += 1
            before = record.sequence
        segment.last = before
        if not segment.frames:
            self.segments.remove(segment)
        self._seek = (None, 0, 0)
        self.losses.append((before + 1, last, max(gone - segment.frames, 0), reason))

    def _heads(self, segment: Segment):
        """The heads of the records that are not receipted, as far as they can be read."""
        offset = segment.front
        while offset < segment.size:
            try:
                record = self._files.record(segment, offset)
            except OSError:
                self.errors += 1
                return
            if record is None or record.end > segment.size:
                return
            yield record
            offset = record.end

    # --- letting go -----------------------------------------------------------------------------

    def receive(self, receipted: int) -> None:
        """Count what is receipted as gone; its files stay until `sweep`."""
        for segment in self.segments:
            segment.receipted = receipted
            if segment.last <= receipted:
                segment.front, segment.frames = segment.size, 0
                continue
            for record in self._heads(segment):
                if record.sequence > receipted:
                    break
                segment.front = record.end
                segment.frames = max(segment.frames - 1, 0)
            return

    def sweep(self, receipted: int) -> int:
        """Remove what was receipted, now that a record in flash says so; how many segments went.

        The newest segment stays, and with it the newest number and the newest receipt.
        """
        before = len(self.segments)
        while len(self.segments) > 1 and self.segments[0].last <= receipted:
            self.drop_oldest()
        return before - len(self.segments)

    def tally(self, count: int) -> tuple:
        """(last number, frames) of the `count` oldest segments."""
        frames = sum([segment.frames for segment in self.segments[:count]])
        return self.segments[count - 1].last, frames

    def drop_oldest(self) -> None:
        """Remove the oldest segment; a file that cannot be removed goes when its place is used."""
        segment = self.segments.pop(0)
        try:
            self._files.remove(segment)
        except OSError:
            self.errors += 1
