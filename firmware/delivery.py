"""Stored frames on their way: oldest first, at most a window unreceipted, again when unseen.

Promises: a frame leaves the spool only when a receipt of the gateway names it as stored, and no two
frames are in flight that lie further apart than the gateway's replay window reaches, so whatever
got lost on the way can still be delivered.  A gateway that is silent gets one frame at a time, ever
more rarely, up to one per BACKOFF_US_MAX; the first receipt opens the window again.

After a start the node does not know what was receipted before: it sends its oldest frame and waits
for the receipt, which says what of the rest the gateway has.  Price: that one frame may come to the
gateway twice, and is refused there.

With `wants_receipts` false nobody answers: a frame is gone once the link has taken it.
"""

WINDOW_FRAMES = 32
WINDOW_NUMBERS = 60
"""Below the 64 numbers that a receipt, and the gateway's replay window, reach back."""
RECEIPT_BITS = 64
RECEIPT_TIMEOUT_US = 15000000
BACKOFF_US_MAX = 240000000


class Delivery:
    """Moves frames from `spool` (firmware/spool.py) to `link` (firmware/link.py)."""

    def __init__(self, spool, link, wants_receipts: bool) -> None:
        self._spool = spool
        self._link = link
        self._wants_receipts = wants_receipts
        self._is_known = True
        self._sent = -1
        self._outstanding = []
        self._again = []
        self._timeout_us = RECEIPT_TIMEOUT_US
        self._deadline_us = 0
        self._first = 0
        self.is_proven = False
        """Whether a frame of this start is known to have arrived: a receipt, or the link's word."""

    def start(self, sequence_start: int) -> None:
        """Look at what an earlier start left in the spool; this one begins at `sequence_start`."""
        self._first = sequence_start
        if self._wants_receipts and self._spool.frames:
            self._is_known = False

    def put(self, sequence: int, message) -> None:
        """Store a frame; `pump` sends it when its turn comes."""
        self._spool.put(sequence, message)

    def pump(self, now_us: int) -> bool:
        """Send one stored frame if one is due; whether one was sent."""
        if self._outstanding and now_us >= self._deadline_us:
            return self._ask(now_us)
        if not self._link.has_room():
            return False
        if self._again:
            return self._repeat()
        if self._spool.newest <= self._sent:
            return False
        stored = self._spool.first_after(self._sent)
        if stored is None or not self._has_room(stored[0]):
            return False
        return self._send(stored[0], stored[1], now_us)

    def on_receipt(self, highest: int, seen: int, now_us: int) -> None:
        """The gateway has stored number `highest` - i for each bit i of `seen`."""
        if not self._wants_receipts:
            return
        if highest >= self._first:
            # A receipt of an earlier start, kept by somebody, proves nothing of this one.
            self.is_proven = True
        if not self._is_known:
            self._recall(highest)
        before = len(self._outstanding)
        waiting = []
        again = []
        for sequence in self._outstanding:
            behind = highest - sequence
            if behind < 0:
                waiting.append(sequence)
            elif behind < RECEIPT_BITS and not (seen >> behind) & 1:
                waiting.append(sequence)
                again.append(sequence)
        if len(waiting) < before:
            # Only news puts off asking: a receipt may be repeated while a frame is lost.
            self._timeout_us = RECEIPT_TIMEOUT_US
            self._deadline_us = now_us + RECEIPT_TIMEOUT_US
        self._outstanding = waiting
        self._again = again
        self._spool.forget(waiting[0] - 1 if waiting else self._sent)

    def _recall(self, highest: int) -> None:
        """Take what the spool holds up to `highest` as sent: the receipt tells what arrived."""
        self._is_known = True
        self._sent = max(self._sent, highest)
        # What went out beyond `highest` still waits, however old the receipt is.
        beyond = [sequence for sequence in self._outstanding if sequence > highest]
        self._outstanding = []
        number = highest - RECEIPT_BITS
        stored = self._spool.first_after(number)
        while stored is not None and stored[0] <= highest:
            self._outstanding.append(stored[0])
            stored = self._spool.first_after(stored[0])
        self._outstanding += beyond

    def _repeat(self) -> bool:
        """Send a frame again that the gateway has not seen."""
        stored = self._spool.first_after(self._again[0] - 1)
        if stored is None or stored[0] != self._again[0]:
            # Dropped meanwhile, and declared by the spool.
            self._forget(self._again.pop(0))
            return True
        if not self._link.send(stored[1]):
            return False
        self._again.pop(0)
        return True

    def _ask(self, now_us: int) -> bool:
        """Send the oldest frame again: the gateway was silent for too long."""
        self._timeout_us = min(2 * self._timeout_us, BACKOFF_US_MAX)
        self._deadline_us = now_us + self._timeout_us
        oldest = self._outstanding[0]
        stored = self._spool.first_after(oldest - 1)
        if stored is None or stored[0] != oldest:
            self._forget(oldest)
            return True
        return self._link.send(stored[1])

    def _send(self, sequence: int, message, now_us: int) -> bool:
        if not self._link.send(message):
            return False
        self._sent = sequence
        if not self._wants_receipts:
            self.is_proven = True
            self._spool.forget(sequence)
            return True
        if not self._outstanding:
            self._deadline_us = now_us + self._timeout_us
        self._outstanding.append(sequence)
        return True

    def _has_room(self, sequence: int) -> bool:
        outstanding = self._outstanding
        if not outstanding:
            return True
        return (
            self._is_known
            and len(outstanding) < WINDOW_FRAMES
            and sequence - outstanding[0] < WINDOW_NUMBERS
        )

    def _forget(self, sequence: int) -> None:
        if sequence in self._outstanding:
            self._outstanding.remove(sequence)
