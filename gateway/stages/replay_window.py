"""Which frames of a node were seen already: a sliding window over its sealed sequence numbers.

Rules, in this order (after RFC 8613, 7.4, and the IPsec window):
1. a boot id below the highest one seen is `stale_boot`; a higher one opens a new, empty window;
2. a number above the highest is taken and moves the window, the numbers jumped over are lost;
3. a number `WINDOW` or more below the highest is `too_old`;
4. a number seen before is `replayed`; an unseen one is taken and fills its gap.

`admit` decides and remembers in one step. Left to the caller: calling it only after the MAC was
found right, since an unauthenticated number must not move anything.
"""

from dataclasses import dataclass
from typing import Final, final

from gateway.loss import Account

WINDOW: Final = 64
"""Numbers remembered below the highest one."""

_MASK: Final = (1 << WINDOW) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayMark:
    """What must outlive the gateway so that old frames stay old: store it, hand it to `Verify`."""

    source: str
    boot_id: int
    highest: int
    seen: int
    """Bit i set: number `highest - i` was seen."""


@final
class ReplayWindow:
    """The window of one node; counts announced, lost and recovered numbers in `account`."""

    def __init__(self, account: Account, mark: ReplayMark | None = None) -> None:
        self._account = account
        self._boot_id = -1 if mark is None else mark.boot_id
        self._highest = -1 if mark is None else mark.highest
        self._seen = 0 if mark is None else mark.seen & _MASK
        # Numbers up to the floor were never announced in this ledger, so they fill no gap of it.
        self._floor = self._highest

    def admit(self, boot_id: int, sequence: int) -> str | None:
        """Take the number and return None, or leave everything as it is and return the reason."""
        if boot_id != self._boot_id:
            if boot_id < self._boot_id:
                return "stale_boot"
            self._boot_id, self._highest, self._floor, self._seen = boot_id, sequence, sequence, 1
            self._account.announced += 1
            return None
        ahead = sequence - self._highest
        if ahead > 0:
            # A jump past the window empties it; shifting by the full jump could need huge integers.
            self._seen = ((self._seen << ahead) | 1) & _MASK if ahead < WINDOW else 1
            self._highest = sequence
            self._account.announced += ahead
            self._account.lost += ahead - 1
            return None
        return self._fill(-ahead, sequence)

    def mark(self, source: str) -> ReplayMark | None:
        """Return what to remember of this window, None before the first frame."""
        if self._boot_id < 0:
            return None
        return ReplayMark(
            source=source, boot_id=self._boot_id, highest=self._highest, seen=self._seen
        )

    def _fill(self, behind: int, sequence: int) -> str | None:
        """Take a number at or below the highest one, if it was not seen and is not too old."""
        if behind >= WINDOW:
            return "too_old"
        bit = 1 << behind
        if self._seen & bit:
            return "replayed"
        self._seen |= bit
        if sequence > self._floor:
            self._account.lost -= 1
            self._account.recovered += 1
        else:
            self._account.announced += 1
        return None
