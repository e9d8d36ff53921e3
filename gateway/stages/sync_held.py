"""Frames that wait until the clock of their boot is known.

A node that stores its frames delivers what it kept; of a new boot nothing says how old that is
until a probe was answered. So its values wait, for `hold_ns` at most and `HELD_MAX` frames of all
sources, in the order in which they came; then they go on without a time. A node waits 15 s for a
receipt before it sends again, so a hold must be shorter.

Promises: bounded; a frame is held once and released once; a clock set back releases all.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, final

from gateway.records import Verified

HELD_MAX: Final = 256


@final
class HeldFrames:
    """The frames that wait, the one that came first in front."""

    def __init__(self, hold_ns: int) -> None:
        self._hold_ns = hold_ns
        self._held: deque[tuple[Verified, int]] = deque()
        self._ids: set[int] = set()

    def hold(self, item: Verified, now_ns: int) -> bool:
        """Have a frame wait; False if it cannot."""
        if self._hold_ns <= 0 or len(self._held) >= HELD_MAX:
            return False
        self._held.append((item, now_ns))
        self._ids.add(id(item))
        return True

    def is_holding(self, item: Verified) -> bool:
        """Tell whether a frame waits."""
        return id(item) in self._ids

    def released(self, now_ns: int, is_decided: Callable[[Verified], bool]) -> list[Verified]:
        """Return the frames whose wait is over: their clock is decided, or their time is up."""
        if not self._held:
            return []
        freed = []
        kept: deque[tuple[Verified, int]] = deque()
        for item, since_ns in self._held:
            if is_decided(item) or not 0 <= now_ns - since_ns < self._hold_ns:
                freed.append(item)
                self._ids.discard(id(item))
            else:
                kept.append((item, since_ns))
        self._held = kept
        return freed
