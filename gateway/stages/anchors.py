"""One event, two clocks: a change of state that a signal of another source shows as well.

The machine says when a state was entered, the other source when its signal crossed a level; how
long after the one the other comes is stated in the site file. So each pair gives an interval in
which the difference of the two clocks lies, whatever the clocks claim of themselves:

    ahead = [crossed - entered - delay_max, crossed - entered - delay_min]

Both instants lie between two samples, and are as wide as that gap. If the interval does not meet
+-(bound of one + bound of the other), the two clocks cannot both be right: a `SyncCheck` with the
cause "lag". Which of the two is wrong no such event can tell, and the text says so.

Promises: bounded memory; an event pairs once, with the nearest of the other kind not further away
than stated; what pairs with nothing is counted, never guessed. Bad values are no samples.
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
class _Pairing:
    """The two kinds of events of one rule, until they find each other."""

    __slots__ = ("crossed", "entered", "is_active", "last", "rule")

    def __init__(self, rule: AnchorRule) -> None:
        self.rule = rule
        self.entered: deque[Instant] = deque(maxlen=_KEPT)
        self.crossed: deque[Instant] = deque(maxlen=_KEPT)
        self.last: _Sample | None = None
        self.is_active = False

    def crossing(self, item: Aligned) -> Instant | None:
        """Return the crossing that a value shows, if it does."""
        rule = self.rule
        is_beyond = item.value > rule.level if rule.is_rising else item.value < rule.level
        last, now = self.last, _Sample(item.time_ns, item.bound_ns, is_beyond)
        if last is not None and now.time_ns < last.time_ns:
            return None
        self.last = now
        if last is None or last.is_beyond or not is_beyond:
            return None
        claim_ns = max(last.bound_ns, now.bound_ns)
        return Instant(Span(last.time_ns, now.time_ns), claim_ns, item.source)


@final
class Anchors:
    """All anchors of a site."""

    def __init__(self, rules: Iterable[AnchorRule]) -> None:
        self._pairings = [_Pairing(rule) for rule in rules]
        self._found: list[SyncCheck] = []
        self._sequences: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        """Pairs, and events that found no partner (unpaired)."""

    def entered(self, machine: str, state: str, instant: Instant, now_ns: int) -> None:
        """Take note that a state was entered."""
        for pairing in self._pairings:
            if (pairing.rule.machine, pairing.rule.state) == (machine, state):
                self._keep(pairing, pairing.entered, instant, now_ns)

    def feed(self, item: Aligned, now_ns: int, /) -> None:
        """Take a value, which may be that of an anchor's signal."""
        for pairing in self._pairings:
            if pairing.rule.signal != item.signal:
                continue
            if status.is_bad(item.status) or not math.isfinite(item.value):
                continue
            crossing = pairing.crossing(item)
            if crossing is not None:
                self._keep(pairing, pairing.crossed, crossing, now_ns)

    def findings(self) -> list[SyncCheck]:
        """Return what was found since the last call."""
        found, self._found = self._found, []
        return found

    def _keep(self, pairing: _Pairing, kind: deque[Instant], instant: Instant, now_ns: int) -> None:
        """Keep an event and pair it, if its partner is there."""
        if len(kind) == _KEPT:
            self.counts["unpaired"] += 1
        kind.append(instant)
        pair = _nearest(pairing)
        if pair is not None:
            pairing.entered.remove(pair[0])
            pairing.crossed.remove(pair[1])
            self.counts["pairs"] += 1
            self._compare(pairing, *pair, now_ns)

    def _compare(self, pairing: _Pairing, first: Instant, second: Instant, now_ns: int) -> None:
        """Hold one event seen by two clocks against what these claim."""
        found = ahead(first.span, second.span, pairing.rule.delay)
        claim_ns = first.claim_ns + second.claim_ns
        is_wrong = contradiction_ns(found, claim_ns) != 0
        if is_wrong == pairing.is_active and not is_wrong:
            return
        pairing.is_active = is_wrong
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
                text=_text(pairing.rule, first, second, found, is_wrong=is_wrong),
                signal=pairing.rule.signal,
                sequence=self._sequences[second.source],
            )
        )
        self._sequences[second.source] += 1


def _nearest(pairing: _Pairing) -> tuple[Instant, Instant] | None:
    """Return the entry and the crossing that lie nearest to each other, if near enough."""
    pairs = [
        (abs(second.span.time_ns - first.span.time_ns - pairing.rule.delay.min_ns), first, second)
        for first in pairing.entered
        for second in pairing.crossed
    ]
    if not pairs:
        return None
    apart_ns, first, second = min(pairs)
    return (first, second) if apart_ns <= pairing.rule.within_ns else None


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
