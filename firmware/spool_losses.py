"""Losses that were declared and whose records may not have arrived: what must be named again.

Promises: `widened` gives a range that also names whatever was named by a loss record that may be
within it.  It may name more, numbers that did arrive, and never less: three integers stand for all
records on their way.
"""


class Losses:
    """From which number on something is lost, the newest record of it, and how many frames."""

    def __init__(self) -> None:
        self._first = -1
        self._newest = -1
        """Number of the newest loss record that is not receipted, -1 for none."""
        self._frames = 0

    def add(self, number: int, lost) -> None:
        """Record `number` declares `lost`: (first, last, frames)."""
        self._first = lost[0] if self._newest < 0 else min(self._first, lost[0])
        self._newest = max(self._newest, number)
        self._frames = max(self._frames, lost[2])

    def receive(self, receipted: int) -> None:
        """Everything up to this number has arrived."""
        if self._newest <= receipted:
            self._first = self._newest = -1
            self._frames = 0

    def settled(self, receipted: int) -> int:
        """The highest number up to which nothing has to be named any more."""
        return receipted if self._newest < 0 else min(receipted, self._first - 1)

    def widened(self, first: int, frames: int) -> tuple:
        """(first, frames) of a loss from `first` on, with what it takes along."""
        if self._newest < first:
            return first, frames
        return min(first, self._first), frames + self._frames

    def recall(self, record) -> None:
        """Take in a stored record, in the order of their numbers."""
        self.receive(record.receipted)
        if record.settled < record.receipted and self._newest < 0:
            # The loss record that was on its way is not there any more.
            self.add(record.previous, (record.settled + 1, record.previous, 0))
        if record.lost is not None:
            self.add(record.sequence, record.lost)
