"""What is wrong with the time of a source now: findings begin once, and end once.

    lasts         begins when it is found, ends when it is found to be over (a slow way, a class)
    happens       a moment: it ends by itself `QUIET_NS` after the last time; the next one is news
    is counted    moments of one kind, as many as there may be: one finding until it is quiet again

Promises: every `SyncCheck` that is active is followed by one that is not, of the same source and
cause; `sequence` counts those of a source without a gap; `since_ns` is never after `time_ns`; what
waits to be taken is bounded, the oldest goes first. Left to others: what to find (sync_clock.py,
sync_dated.py), its words (sync_words.py).
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Final, final

from gateway.records_time import ClockEstimate, SyncCause, SyncCheck

QUIET_NS: Final = 60_000_000_000
"""A minute without another one ends what happens now and then."""
_TAKEN_MAX: Final = 1000

Finding = SyncCheck | ClockEstimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is to be told of a source, before anybody has counted it."""

    cause: SyncCause
    since_ns: int
    size: float
    unit: str
    text: str
    size_uncertainty: float | None = None
    signal: str | None = None


@final
class _Active:
    """A finding that is not over."""

    __slots__ = ("claim", "count", "last_ns", "lasts")

    def __init__(self, claim: Claim, now_ns: int, *, lasts: bool) -> None:
        self.claim = claim
        self.last_ns = now_ns
        self.lasts = lasts
        self.count = 1


@final
class Findings:
    """The findings of all sources, and the records that tell of them."""

    def __init__(self) -> None:
        self._active: dict[tuple[str, SyncCause], _Active] = {}
        self._deferred: dict[tuple[str, SyncCause], tuple[Claim, bool]] = {}
        """What is told if nobody else turns out to be the cause; and whether it lasts."""
        self._sequences: Counter[str] = Counter()
        self._made: deque[Finding] = deque(maxlen=_TAKEN_MAX)

    def estimate(self, record: ClockEstimate) -> None:
        """Have a clock's estimate published."""
        self._made.append(record)

    def happened(self, source: str, claim: Claim, now_ns: int) -> None:
        """Tell of something that took place; what was told of it before is over."""
        self.over(source, claim.cause, now_ns)
        self._begin(source, claim, now_ns, lasts=False)

    def counted(self, source: str, claim: Claim, now_ns: int) -> None:
        """Tell of something that takes place many times: once, until it is quiet again."""
        active = self._active.get((source, claim.cause))
        if active is None:
            self._begin(source, claim, now_ns, lasts=False)
            return
        active.last_ns = now_ns
        active.count += 1

    def lasting(self, source: str, claim: Claim, now_ns: int) -> None:
        """Tell of something that is so from now on, until `over`; once, however often it is said.

        One whose direction has turned is another one.
        """
        active = self._active.get((source, claim.cause))
        is_same = active is not None and (active.claim.size >= 0) == (claim.size >= 0)
        if active is not None and active.lasts and is_same:
            return
        self.over(source, claim.cause, now_ns)
        self._begin(source, claim, now_ns, lasts=True)

    def defer(self, source: str, claim: Claim, *, lasts: bool) -> None:
        """Keep a finding until `settle`; if it is over before that, nobody hears of it."""
        self._deferred[source, claim.cause] = claim, lasts

    def settle(self, source: str, cause: SyncCause, now_ns: int, *, is_told: bool) -> None:
        """Tell what was deferred, or forget it: it had another cause."""
        claim, lasts = self._deferred.pop((source, cause), (None, False))
        if claim is None or not is_told:
            return
        if lasts:
            self.lasting(source, claim, now_ns)
        else:
            self.happened(source, claim, now_ns)

    def settle_all(self, cause: SyncCause, now_ns: int) -> None:
        """Tell all findings of one cause that are still deferred."""
        for source, deferred in list(self._deferred):
            if deferred is cause:
                self.settle(source, cause, now_ns, is_told=True)

    def over(self, source: str, cause: SyncCause, now_ns: int) -> None:
        """Tell that something is over, if it was there."""
        self._deferred.pop((source, cause), None)
        active = self._active.pop((source, cause), None)
        if active is None:
            return
        claim = active.claim
        size, words = claim.size, f"over: {claim.text}"
        if active.count > 1:
            words = f"over, {active.count} times in all: {claim.text}"
            size = float(active.count) if claim.unit == "count" else size
        self._record(source, claim, now_ns, size, words, is_active=False)

    def forget(self, source: str, now_ns: int, causes: tuple[SyncCause, ...]) -> None:
        """Tell that findings about a clock are over because it is another clock now."""
        for cause in causes:
            self.over(source, cause, now_ns)

    def is_active(self, source: str, cause: SyncCause) -> bool:
        """Tell whether a finding is not over."""
        return (source, cause) in self._active

    def tick(self, now_ns: int) -> None:
        """End what has been quiet for long enough; a clock set back ends it as well."""
        for (source, cause), active in list(self._active.items()):
            if not active.lasts and not 0 <= now_ns - active.last_ns < QUIET_NS:
                self.over(source, cause, now_ns)

    def take(self) -> list[Finding]:
        """Return the records made since the last call, in their order."""
        made = list(self._made)
        self._made.clear()
        return made

    def _begin(self, source: str, claim: Claim, now_ns: int, *, lasts: bool) -> None:
        self._active[source, claim.cause] = _Active(claim, now_ns, lasts=lasts)
        self._record(source, claim, now_ns, claim.size, claim.text, is_active=True)

    def _record(
        self, source: str, claim: Claim, now_ns: int, size: float, text: str, *, is_active: bool
    ) -> None:
        self._made.append(
            SyncCheck(
                source=source,
                cause=claim.cause,
                is_active=is_active,
                time_ns=now_ns,
                since_ns=min(claim.since_ns, now_ns),
                size=size,
                size_uncertainty=claim.size_uncertainty,
                unit=claim.unit,
                text=text,
                signal=claim.signal,
                sequence=self._sequences[source],
            )
        )
        self._sequences[source] += 1
