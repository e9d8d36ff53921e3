"""One event, two clocks: a change of state that a signal of another source shows as well.

The machine says when a state was entered, the other source when its signal crossed a level; how
long after the one the other comes is stated in the site file. So each pair gives an interval in
which the difference of the two clocks lies, whatever the clocks claim of themselves:

    ahead = [crossed - entered - delay_max, crossed - entered - delay_min]

Both instants lie between two samples, and are as wide as that gap. If the interval does not meet
+-(bound of one + bound of the other), the two clocks cannot both be right: a `SyncCheck` with the
cause "lag". Which of the two is wrong no such event can tell, and the text says so.

Which entry and which crossing are the same event is a question of distance: by how much the clocks
would have to differ for it, 0 if the delay may have been as stated. A crossing belongs to the entry
it is nearest to, an entry to the nearest crossing of its own, and that is decided only when nothing
nearer can still come: when both sources have been heard beyond the other event by that distance.
A source that has gone silent is not waited for longer than `within_ns`. If several crossings belong
to one entry and even the nearest contradicts the clocks, nobody can say which one it was: that is
counted as ambiguous and is no finding.

Promises: bounded memory; an event is used once; what pairs with nothing, or not clearly, is counted
and never guessed. Bad values are no samples, late ones change nothing; a source or a gateway that
was set back starts its anchors anew. A finding bears the name of the event and not the signal's
alone, so that it never ends what `stages/lag.py` says of that signal.
Left to others: when a state was entered (`events.py`), the arithmetic (`models/timed_events.py`).
"""

import math
from collections import Counter, deque
from collections.abc import Iterable
from typing import Final, NamedTuple, final

from gateway import status
from gateway.models.timed_events import Span, Window, ahead, contradiction_ns
from gateway.records import Aligned
from gateway.records_time import SyncCause, SyncCheck

_KEPT: Final = 8
"""Events of each kind that wait for their partner; the oldest goes first and is counted."""
LATE_MAX: Final = 16
"""Values in a row from before the last one: then the source was set back, and counts from there."""
_NS_PER_S: Final = 1_000_000_000


class AnchorRule(NamedTuple):
    """The crossing of `level` by `signal` and the entry into `state` are the same event."""

    machine: str
    state: str
    signal: str
    level: float
    is_rising: bool
    delay: Window
    """How long after the entry the signal crosses."""
    within_ns: int
    """What lies further apart is not the same event."""


class Instant(NamedTuple):
    """An event between two samples of one source."""

    span: Span
    """By the source's clock as it is read: without that clock's own bound."""
    claim_ns: int
    """What the clock says of itself: hard bound of those times."""
    source: str


class _Sample(NamedTuple):
    """The last usable sample of a signal."""

    time_ns: int
    bound_ns: int
    is_beyond: bool


@final
class _Event:
    """An entry or a crossing, until it is too old to have to do with anything that may come."""

    __slots__ = ("instant", "is_settled")

    def __init__(self, instant: Instant) -> None:
        self.instant = instant
        self.is_settled = False
        """Whether it has been compared, or belongs to what has been."""


class _Pair(NamedTuple):
    """An entry and a crossing that may be the same event."""

    entry: _Event
    crossing: _Event
    apart_ns: int
    """By how much the two clocks differ at least, if they are."""
    middle_ns: int
    """By how much they differ in the middle: tells those apart that both may be right."""

    @property
    def order(self) -> tuple[int, int]:
        """Return what makes a pair nearer than another."""
        return self.apart_ns, self.middle_ns


@final
class _Pairing:
    """The two kinds of events of one rule, until they find each other."""

    __slots__ = ("crossed", "entered", "heard_ns", "is_active", "last", "late", "rule")

    def __init__(self, rule: AnchorRule) -> None:
        self.rule = rule
        self.is_active = False
        self.restart()

    def restart(self) -> None:
        """Know of no event; what was found stays so until the next pair."""
        self.entered: deque[_Event] = deque(maxlen=_KEPT)
        self.crossed: deque[_Event] = deque(maxlen=_KEPT)
        self.last: _Sample | None = None
        self.heard_ns: int | None = None
        """Time of the last sample of the machine."""
        self.late = 0

    def crossing(self, item: Aligned) -> Instant | None:
        """Return the crossing that a value shows, if it does; the value is not a late one."""
        rule = self.rule
        is_beyond = item.value > rule.level if rule.is_rising else item.value < rule.level
        last, now = self.last, _Sample(item.time_ns, item.bound_ns, is_beyond)
        self.last, self.late = now, 0
        if last is None or last.is_beyond or not is_beyond:
            return None
        claim_ns = max(last.bound_ns, now.bound_ns)
        return Instant(Span(last.time_ns, now.time_ns), claim_ns, item.source)

    def next_pair(self, now_ns: int) -> tuple[_Pair, bool] | None:
        """Return a pair to which nothing nearer can still come, and whether it is the only one."""
        for entry in self.entered:
            if entry.is_settled:
                continue
            own = [
                pair
                for pair in (self._nearest(crossing) for crossing in self.crossed)
                if pair is not None and pair.entry is entry and not pair.crossing.is_settled
            ]
            if own and self._is_decided(best := min(own, key=lambda pair: pair.order), now_ns):
                for pair in own:
                    pair.crossing.is_settled = True
                entry.is_settled = True
                return best, len(own) == 1
        return None

    def expired(self, now_ns: int) -> int:
        """Drop what nothing that may still come can belong to; return how many had no partner."""
        rule, unpaired = self.rule, 0
        longest_ns = rule.delay.max_ns or 0
        entered_ns, crossed_ns = self._heard(now_ns)
        while self.entered and crossed_ns > (
            self.entered[0].instant.span.latest_ns + longest_ns + rule.within_ns
        ):
            unpaired += not self.entered.popleft().is_settled
        while self.crossed and entered_ns > (
            self.crossed[0].instant.span.latest_ns - rule.delay.min_ns + rule.within_ns
        ):
            unpaired += not self.crossed.popleft().is_settled
        return unpaired

    def _nearest(self, crossing: _Event) -> _Pair | None:
        """Return a crossing with the entry that it is nearest to, if any is near enough."""
        pairs = []
        for entry in self.entered:
            found = ahead(entry.instant.span, crossing.instant.span, self.rule.delay)
            apart_ns = abs(contradiction_ns(found, 0))
            if apart_ns <= self.rule.within_ns:
                pairs.append(_Pair(entry, crossing, apart_ns, abs(found.time_ns)))
        return min(pairs, key=lambda pair: pair.order, default=None)

    def _is_decided(self, pair: _Pair, now_ns: int) -> bool:
        """Tell whether both sources have been heard beyond what could lie nearer."""
        if pair.apart_ns == 0:
            return True
        entered_ns, crossed_ns = self._heard(now_ns)
        delay = self.rule.delay
        last_ns = pair.entry.instant.span.latest_ns + (delay.max_ns or 0) + pair.apart_ns
        first_ns = pair.crossing.instant.span.latest_ns - delay.min_ns + pair.apart_ns
        return crossed_ns >= last_ns and entered_ns >= first_ns

    def _heard(self, now_ns: int) -> tuple[int, int]:
        """Return until when the machine and the signal have been heard, as far as one waits.

        Nothing has been heard of the future, whatever a stamp says.
        """
        least_ns = now_ns - self.rule.within_ns
        last_ns = None if self.last is None else self.last.time_ns
        entered_ns, crossed_ns = (
            least_ns if heard_ns is None else min(max(heard_ns, least_ns), now_ns)
            for heard_ns in (self.heard_ns, last_ns)
        )
        return entered_ns, crossed_ns


@final
class Anchors:
    """All anchors of a site."""

    def __init__(self, rules: Iterable[AnchorRule]) -> None:
        self._pairings = [_Pairing(rule) for rule in rules]
        self._found: list[SyncCheck] = []
        self._sequences: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        """Pairs, events without a partner (unpaired) or without a clear one (ambiguous), values
        that came late, and clocks that were set back."""

    def entered(self, machine: str, state: str, instant: Instant, now_ns: int) -> None:
        """Take note that a state was entered."""
        for pairing in self._pairings:
            if (pairing.rule.machine, pairing.rule.state) == (machine, state):
                self._keep(pairing.entered, instant)
                self._settle(pairing, now_ns)

    def heard(self, machine: str, time_ns: int, now_ns: int) -> None:
        """Take note of a sample of a machine."""
        for pairing in self._pairings:
            if pairing.rule.machine == machine:
                pairing.heard_ns = time_ns
                self._settle(pairing, now_ns)

    def feed(self, item: Aligned, now_ns: int, /) -> None:
        """Take a value, which may be that of an anchor's signal."""
        for pairing in self._pairings:
            if pairing.rule.signal != item.signal:
                continue
            if status.is_bad(item.status) or not math.isfinite(item.value):
                continue
            if self._is_late(pairing, item):
                continue
            crossing = pairing.crossing(item)
            if crossing is not None:
                self._keep(pairing.crossed, crossing)
            self._settle(pairing, now_ns)

    def tick(self, now_ns: int, /) -> None:
        """Decide what silent sources leave open."""
        for pairing in self._pairings:
            self._settle(pairing, now_ns)

    def restart(self, machine: str) -> None:
        """Forget the events of a machine whose clock, or the gateway's, was set back."""
        for pairing in self._pairings:
            if pairing.rule.machine == machine:
                pairing.restart()

    def findings(self) -> list[SyncCheck]:
        """Return what was found since the last call."""
        found, self._found = self._found, []
        return found

    def _is_late(self, pairing: _Pairing, item: Aligned) -> bool:
        """Tell whether a value is from before the last one; after many of them start anew."""
        if pairing.last is None or item.time_ns >= pairing.last.time_ns:
            return False
        self.counts["late"] += 1
        pairing.late += 1
        if pairing.late < LATE_MAX:
            return True
        self.counts["clock_set_back"] += 1
        pairing.restart()
        return False

    def _keep(self, kind: deque[_Event], instant: Instant) -> None:
        """Keep an event; the oldest makes room."""
        if len(kind) == _KEPT and not kind[0].is_settled:
            self.counts["unpaired"] += 1
        kind.append(_Event(instant))

    def _settle(self, pairing: _Pairing, now_ns: int) -> None:
        """Compare what can be decided, and drop what is too old."""
        while (decided := pairing.next_pair(now_ns)) is not None:
            pair, is_clear = decided
            self._compare(pairing, pair.entry.instant, pair.crossing.instant, now_ns, is_clear)
        unpaired = pairing.expired(now_ns)
        if unpaired:
            self.counts["unpaired"] += unpaired

    def _compare(
        self, pairing: _Pairing, first: Instant, second: Instant, now_ns: int, is_clear: bool
    ) -> None:
        """Hold one event seen by two clocks against what these claim."""
        found = ahead(first.span, second.span, pairing.rule.delay)
        is_wrong = contradiction_ns(found, first.claim_ns + second.claim_ns) != 0
        if is_wrong and not is_clear:
            self.counts["ambiguous"] += 1
            return
        self.counts["pairs"] += 1
        if is_wrong == pairing.is_active and not is_wrong:
            return
        pairing.is_active = is_wrong
        rule = pairing.rule
        self._found.append(
            SyncCheck(
                source=second.source,
                cause=SyncCause.LAG,
                is_active=is_wrong,
                time_ns=max(now_ns, first.span.latest_ns, second.span.latest_ns),
                since_ns=min(first.span.earliest_ns, second.span.earliest_ns),
                size=found.time_ns / _NS_PER_S,
                size_uncertainty=found.bound_ns / _NS_PER_S,
                unit="s",
                text=_text(rule, first, second, found, is_wrong=is_wrong),
                signal=f"{rule.machine}/{rule.state}/{rule.signal}",
                sequence=self._sequences[second.source],
            )
        )
        self._sequences[second.source] += 1


def _text(rule: AnchorRule, first: Instant, second: Instant, found: Span, *, is_wrong: bool) -> str:
    """Say what the event and what the clocks say."""
    claim_ns = first.claim_ns + second.claim_ns
    seen = (
        f"{rule.machine} entered {rule.state} by the clock of {first.source} and {rule.signal} "
        f"crossed {rule.level:g}: the clock of {second.source} is ahead of it by "
        f"{found.earliest_ns / _NS_PER_S:.3f} s to {found.latest_ns / _NS_PER_S:.3f} s"
    )
    claimed = f"the two clocks claim to agree within {claim_ns / _NS_PER_S:.3f} s"
    if not is_wrong:
        return f"{seen}; {claimed}: they do again"
    return (
        f"{seen}, but {claimed}; one of the two is wrong, which one this event cannot tell: "
        "look at the sync checks of both, and at the delay stated for this anchor"
    )
