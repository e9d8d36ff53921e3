"""The only place that knows what time it is: an argument everywhere else.

Promises: times are integer nanoseconds UTC; `ManualClock` never moves by itself and wakes sleepers
in the order of their times, so a run in virtual time is repeatable; `Cadence` keeps to
`start + n * period` without accumulating error and survives steps of the clock in both directions.
Left to others: how trustworthy the machine's UTC is (`stages/sync.py` states bounds per source).
"""

import asyncio
import heapq
import itertools
import time
from typing import Final, Protocol, final

from gateway.errors import InternalError

NS_PER_US: Final = 1_000
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000

_SLICE_S: Final = 1.0
"""Longest single wait of `SystemClock`: a stepped wall clock is noticed within this time."""


async def give_way() -> None:
    """Let the other tasks have a turn; for loops that await nothing else."""
    await asyncio.sleep(0)


class Clock(Protocol):
    """What a part of the gateway may ask about time."""

    def now_ns(self) -> int:
        """Return UTC in nanoseconds since 1970-01-01."""
        ...

    async def sleep_until(self, time_ns: int) -> None:
        """Return when `now_ns()` is at or after `time_ns`; at once if it already is.

        If the clock is set back meanwhile, return after the time that was to be waited for.
        """
        ...


@final
class SystemClock:
    """The operating system's UTC."""

    def now_ns(self) -> int:
        """Return UTC in nanoseconds since 1970-01-01."""
        return time.time_ns()

    async def sleep_until(self, time_ns: int) -> None:
        """Sleep in slices: a clock set forward ends the wait, one set back cannot lengthen it."""
        end_ns = time.monotonic_ns() + time_ns - self.now_ns()
        while True:
            left_ns = min(time_ns - self.now_ns(), end_ns - time.monotonic_ns())
            if left_ns <= 0:
                return
            await asyncio.sleep(min(left_ns / NS_PER_S, _SLICE_S))


@final
class ManualClock:
    """A clock that stands still until it is told to advance (rig, tests)."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        """Return the virtual UTC in nanoseconds."""
        return self._now_ns

    async def sleep_until(self, time_ns: int) -> None:
        """Wait until somebody has advanced the clock to `time_ns`."""
        if time_ns <= self._now_ns:
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (time_ns, next(self._order), woken))
        await woken

    def advance_to(self, time_ns: int) -> None:
        """Move to `time_ns` and wake everybody whose time has come, earliest first.

        Raises `InternalError` when asked to go back.
        """
        if time_ns < self._now_ns:
            raise InternalError(f"clock asked to go back from {self._now_ns} to {time_ns} ns")
        self._now_ns = time_ns
        while self._sleepers and self._sleepers[0][0] <= time_ns:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)


@final
class Cadence:
    """When something periodic is due: at `start + n * period`, never twice for the same n.

    Slots that passed while nobody asked are skipped and counted, not caught up in a burst.
    """

    def __init__(self, period_ns: int) -> None:
        if period_ns <= 0:
            raise InternalError(f"period must be positive, not {period_ns} ns")
        self.period_ns = period_ns
        self.skipped = 0
        self._next_ns: int | None = None

    def due_ns(self, now_ns: int) -> int:
        """Return when the next slot starts; the first call is the start and is due at once."""
        if self._next_ns is None or self._next_ns - now_ns > self.period_ns:
            # First use, or the clock was set back by more than a period: start afresh from here.
            self._next_ns = now_ns
        return self._next_ns

    def take(self, now_ns: int) -> bool:
        """Tell whether a slot is due now, and if so use it up."""
        due_ns = self.due_ns(now_ns)
        if now_ns < due_ns:
            return False
        slots = (now_ns - due_ns) // self.period_ns
        self.skipped += slots
        self._next_ns = due_ns + (slots + 1) * self.period_ns
        return True
