"""Frames that wait until the clock of their boot is known.

A node that stores its frames delivers what it kept; of a boot whose clock is unknown nothing says
how old that is until a probe was answered. So its values wait, for `hold_ns` at most and `HELD_MAX`
frames of each source, in the order in which they came; then they go on without a time. A node waits
15 s for a receipt before it sends again, so a hold must be shorter.

Promises: bounded; a frame is held once and released once, those of one source in the order in which
they came (of too many the oldest goes first); a clock set back releases all. To ask costs as much
as there are sources with frames that wait.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, final

from gateway.records import Verified

HELD_MAX: Final = 256
"""What a node on a fast line delivers of its store within the wait."""


@final
class HeldFrames:
    """The frames that wait, of each source the one that came first in front."""

    def __init__(self, hold_ns: int) -> None:
        self._hold_ns = hold_ns
        self._held: dict[str, deque[tuple[Verified, int]]] = {}
        self._ids: set[int] = set()

    def hold(self, item: Verified, now_ns: int) -> bool:
        """Have a frame wait; False if frames do not wait here."""
        if self._hold_ns <= 0:
            return False
        self._held.setdefault(item.source, deque()).append((item, now_ns))
        self._ids.add(id(item))
        return True

    def is_holding(self, item: Verified) -> bool:
        """Tell whether a frame waits."""
        return id(item) in self._ids

    def released(self, now_ns: int, is_decided: Callable[[Verified], bool]) -> list[Verified]:
        """Return the frames whose wait is over: their clock is decided, or their time is up."""
        freed: list[Verified] = []
        for source, held in list(self._held.items()):
            while held and self._is_over(held, now_ns, is_decided):
                item, _ = held.popleft()
                self._ids.discard(id(item))
                freed.append(item)
            if not held:
                del self._held[source]
        return freed

    def _is_over(
        self,
        held: deque[tuple[Verified, int]],
        now_ns: int,
        is_decided: Callable[[Verified], bool],
    ) -> bool:
        """Tell whether the wait of the frame in front is over."""
        item, since_ns = held[0]
        is_in_time = 0 <= now_ns - since_ns < self._hold_ns
        return len(held) > HELD_MAX or not is_in_time or is_decided(item)
