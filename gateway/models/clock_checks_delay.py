"""What the delays of exchanges say: how long the shortest way is, and whether one way got longer.

    excess = round trip - shortest round trip
    one way longer by a:  the round trip grows by a, the offset by this exchange shifts by a / 2

up to the sign, which tells the way. An extra delay that stays is a run of exchanges that are all
slower than most before them: if an exchange is slower than `q` of the past with probability p, then
j in a row are with p^j, whatever the law of the delays is (ranks; to first order, as p is counted
from the past). Both ways longer alike leave the offset where it was: a longer path, no finding.

Promised: bounded memory, sizes with a deviation. Not to be known: a difference of the two ways that
was there from the beginning (models/node_clock.py states its prior), and one that grows in the same
measure as the other way shrinks.

Sources: RFC 5905, 10 (the least delay is the best sample); Vovk et al., Algorithmic Learning in a
Random World (2005), 2.2, for ranks as chances.
"""

import math
from bisect import bisect_left
from collections import deque
from typing import Final, NamedTuple, final

_WINDOW: Final = 64
"""Exchanges, a period apart, after which a shortest delay is looked for anew; it is kept for up to
twice as many. Time counts as well, for in doubt there are many exchanges in a short while."""
_FEW: Final = 8
"""Before so many round trips nothing is said of the shortest: all of each may be queueing."""
_PAST_MAX: Final = 256
_PAST_MIN: Final = 8
"""Exchanges before a run without which chance explains it."""
_RARE: Final = -1.5
"""Log of the chance of a run of which more should be known soon: one in four."""
RUN_MAX: Final = 16
_RUN_MIN: Final = 5
"""Of two ways with exponential waiting one takes 85 % of it or more in three exchanges of ten; all
of five in a row, on the same way, in one queue of 7000."""
_ONE_SIDED: Final = 0.7
"""Part of the extra delay that must lie on one way; 0 is both alike, 1 all of it on one."""
_OVER: Final = 3
"""Exchanges in a row that are fast again before an extra delay counts as over."""


@final
class ShortestDelay:
    """The least round trip of late, and how sure that is."""

    __slots__ = ("_count", "_mean", "_newer", "_older", "_since_ns", "_total", "_window_ns")

    def __init__(self, period_ns: int) -> None:
        self._window_ns = _WINDOW * period_ns
        self._since_ns = 0
        self._older = self._newer = math.inf
        self._count = self._total = 0
        self._mean = 0.0

    @property
    def least_ns(self) -> float:
        """Return it; infinite before the first round trip."""
        return min(self._older, self._newer)

    def take(self, at_ns: int, delay_ns: float, *, is_usual: bool = True) -> float:
        """Take a round trip; return by how much the shortest one was forgotten to be shorter.

        That is above 0 when only longer ones have come for a while. With `is_usual` False nothing
        is forgotten: the path is known to be longer at present.
        """
        gone = 0.0
        is_old = not 0 <= at_ns - self._since_ns < self._window_ns
        if self._count >= _WINDOW and is_old and is_usual:
            self._since_ns = at_ns
            gone = max(self._newer - self._older, 0.0) if self._older < math.inf else 0.0
            self._older, self._newer, self._count = self._newer, math.inf, 0
        self._count += 1
        self._total = min(self._total + 1, _WINDOW)
        self._newer = min(self._newer, delay_ns)
        self._mean += (delay_ns - self.least_ns - self._mean) / self._total
        return gone

    @property
    def window_s(self) -> float:
        """Time over which a shortest delay is looked for."""
        return self._window_ns / 1e9

    def excess_ns(self, delay_ns: float) -> float:
        """Return what of a round trip may be queueing, never above the whole of it."""
        whole = max(delay_ns, 0.0)
        if self._total < _FEW:
            return whole
        return min(whole, delay_ns - self.least_ns + self._allowance_ns())

    def away_ns(self, delay_ns: float) -> float:
        """Return how far a round trip is from the shortest one when a delay was taken off it."""
        return abs(delay_ns - self.least_ns) + self._allowance_ns()

    def shorter_ns(self, delay_ns: float) -> float:
        """Return by how much a round trip is shorter than any could be by what was known.

        So much of all those before it may have been spent on one way.
        """
        if self._total < _FEW or delay_ns + self._allowance_ns() >= self.least_ns:
            return 0.0
        return self.least_ns - delay_ns

    def _allowance_ns(self) -> float:
        """Return how far the shortest delay may be below the least one seen.

        The least of n is above the shortest possible one by about the mean excess / sqrt n (the sum
        of two exponential delays has no density at 0); twice that is allowed for.
        """
        return 2.0 * self._mean / math.sqrt(self._total)


class ExtraDelay(NamedTuple):
    """One way of the path is slower than it was."""

    since_ns: int
    """Gateway time of the last exchange before it."""
    size_ns: float
    """Of the slower way; positive: from the source to the gateway."""
    deviation_ns: float


class _Trip(NamedTuple):
    at_ns: int
    delay_ns: int
    residual_ns: float


@final
class OneSidedDelay:
    """Watches the round trips of one source for a run of slow ones that shift the offset.

    chance: of a false alarm in one look; floor_ns: smallest extra delay that is told; span_ns:
    least duration of a run, for exchanges that follow each other closely share their queue.
    """

    def __init__(self, *, chance: float, floor_ns: float, span_ns: float = 0.0) -> None:
        self._log_chance = math.log(chance)
        self._floor_ns = floor_ns
        self._span_ns = span_ns
        self._past: deque[int] = deque(maxlen=_PAST_MAX)
        self._total_ns = 0
        self._run: deque[_Trip] = deque()
        self._before_ns = 0
        self._fast = 0
        self._line_ns = 0.0
        self.is_suspect = False
        """A run has begun that is rare, and too short so far."""
        self.found: ExtraDelay | None = None
        """What is there now."""

    def exchange(self, at_ns: int, delay_ns: int, residual_ns: float) -> bool:
        """Take an exchange and how far its offset is from the expected one; tell of a change.

        True when an extra delay is found (`found` says it) or over (`found` is None).
        """
        if self.found is not None:
            return self._is_over(delay_ns)
        self._run.append(_Trip(at_ns, delay_ns, residual_ns))
        if len(self._run) > RUN_MAX:
            oldest = self._run.popleft()
            self._before_ns = oldest.at_ns
            self._total_ns += oldest.delay_ns
            if len(self._past) == _PAST_MAX:
                self._total_ns -= self._past[0]
            self._past.append(oldest.delay_ns)
        self.found = self._search()
        return self.found is not None

    def _search(self) -> ExtraDelay | None:
        """Return the longest run that chance does not explain and that lies on one way."""
        self.is_suspect = False
        trips = list(self._run)
        length = self._length(trips)
        if not length:
            return None
        usual = [*self._past, *(trip.delay_ns for trip in trips[:-length])]
        least = min(trip.delay_ns for trip in trips[-length:])
        slower = sum(delay >= least for delay in usual)
        rare = length * math.log((slower + 1) / (len(usual) + 1))
        start = len(trips) - length
        before_ns = trips[start - 1].at_ns if start else self._before_ns
        extra = self._weigh(before_ns, trips[start:], usual)
        is_long = trips[-1].at_ns - before_ns >= self._span_ns and length >= _RUN_MIN
        self.is_suspect = extra is not None and rare < _RARE and length < RUN_MAX
        return extra if is_long and rare <= self._log_chance else None

    def _length(self, trips: list[_Trip]) -> int:
        """Return how many of the newest were slower than all but a few of those before them."""
        is_usual = bool(self._past) and trips[-1].delay_ns <= self._total_ns / len(self._past)
        if is_usual or len(self._past) + len(trips) <= _PAST_MIN:
            return 0
        delays = sorted([*self._past, *(trip.delay_ns for trip in trips)])
        best, most = 0, 0.0
        least = math.inf
        for length, trip in enumerate(reversed(trips), start=1):
            others = len(delays) - length
            if others < _PAST_MIN:
                break
            least = min(least, trip.delay_ns)
            slower = len(delays) - bisect_left(delays, least) - length
            rare = -length * math.log((slower + 1) / (others + 1))
            if rare > most:
                best, most = length, rare
        return best

    def _weigh(self, before_ns: int, run: list[_Trip], usual_ns: list[int]) -> ExtraDelay | None:
        """Return the extra delay of a run, if it is large enough and on one way."""
        usual = sum(usual_ns) / len(usual_ns)
        extra = [trip.delay_ns - usual for trip in run]
        size = sum(extra) / len(run)
        if size <= max(self._floor_ns, 0.0):
            return None
        shift = sum(trip.residual_ns * more for trip, more in zip(run, extra, strict=True))
        share = 2 * shift / sum(more * more for more in extra)
        # On the slower way every one is late; where both ways queue, some are not.
        way = math.copysign(1.0, share)
        least = min(
            more / 2 + way * trip.residual_ns for trip, more in zip(run, extra, strict=True)
        )
        if abs(share) < _ONE_SIDED or least < _ONE_SIDED * size:
            return None
        spread = sum((delay - usual) ** 2 for delay in usual_ns) / len(usual_ns)
        spread_run = sum((more - size) ** 2 for more in extra) / len(run)
        deviation = math.sqrt(max(spread, spread_run) / len(run) + spread / len(usual_ns))
        self._line_ns = usual + size / 2
        self._fast = 0
        return ExtraDelay(before_ns, math.copysign(size, share), deviation)

    def _is_over(self, delay_ns: int) -> bool:
        """Tell whether the way is as fast again as it was."""
        self._fast = self._fast + 1 if delay_ns < self._line_ns else 0
        if self._fast < _OVER:
            return False
        self.forget()
        return True

    def forget(self) -> None:
        """Take what was found for over; runs begin anew."""
        self.found = None
        self._run.clear()
