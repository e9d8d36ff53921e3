"""Has the path changed when the clock seems to have? Round trips before and after.

One way that becomes longer or shorter by D moves the offset of an exchange by D / 2, and the round
trip by D. A clock that is set or runs at another rate moves no round trip. So a change of the
offset by no more than half of what the round trip changed by, at the same time, is the path's.

Promises: bounded memory. Left to others: which way it was (clock_checks_delay.py).
Source: RFC 5905, 8, for offset and round trip of an exchange.
"""

from collections import deque
from typing import Final, final

from gateway.models.clock_checks import STARTS_MAX, Change, ChangeKind

_BEFORE: Final = 8
"""Exchanges, just before a change and well before it, whose mean round trip is held against now."""
_NOW: Final = 4
"""Exchanges that tell the round trip of now."""
_HALF: Final = 0.6
"""Half, and a fifth of it for waiting that is not the same in every exchange."""
_PPM_S: Final = 1e-6


@final
class RecentTrips:
    """Round trips of the exchanges in which a change may have begun, and of some before them."""

    __slots__ = ("_trips",)

    def __init__(self) -> None:
        self._trips: deque[tuple[int, float]] = deque(maxlen=STARTS_MAX + _BEFORE)

    def take(self, at_ns: int, delay_ns: float) -> None:
        """Take the round trip of an exchange, in ns, and when it ended."""
        self._trips.append((at_ns, delay_ns))

    def explain(self, change: Change, now_ns: int) -> bool:
        """Tell whether a step, or a rate, is no more than the path makes of it."""
        before = [delay for at_ns, delay in self._trips if at_ns <= change.since_ns]
        since = [delay for at_ns, delay in self._trips if at_ns > change.since_ns]
        if not before or not since or change.kind is ChangeKind.FALSE_STAMP:
            return False
        now = since[-_NOW:]
        # What an offset makes of a path may show some exchanges after the path has changed.
        usual = (before[-_BEFORE:], before[:_BEFORE])
        changed_ns = max(abs(sum(now) / len(now) - sum(part) / len(part)) for part in usual)
        moved_ns = abs(change.size)
        if change.kind is ChangeKind.SKEW:
            # A rate has gone as far as it has by now.
            moved_ns *= _PPM_S * (now_ns - change.since_ns)
        return moved_ns <= _HALF * changed_ns
