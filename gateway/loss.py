"""The loss ledger: per source and per sink, what came in, what went on, what did not and why.

Promises two identities for every source, at any moment between two `feed` calls:

    received == verified + sum(rejected by reason)            nothing disappears inside
    announced == numbered + refused + lost + unanswered + awaited + declared + unknown
                                                              nothing disappears on the way

`announced` is how many frames the node is known to have made, from its own authenticated sequence
numbers: the span from the lowest to the highest number seen of each boot, over both lanes,
and what its loss records name beside it.
`numbered` counts the verified frames that carried a number, `refused` authentic frames whose
content was rejected. Numbers not seen are `awaited` while the node may still have them in its
spool, `lost` when the data lane has passed them, `unanswered` when they are taken for answers of
the moment that the line took, `declared` when the node said in a loss record that they are gone,
`unknown` when it said that it cannot tell: a power cut may have taken frames with these numbers, or
they were never used. One that comes after all moves to `recovered`. `stages/numbering.py` has the
rules. What a node sent before the first frame we saw of a boot is unknown and not counted as lost.
For every sink: offered == delivered + sum(dropped by reason) + queued.
A sink that reports its queue (`LossLedger.queued`) is held to this: a record taken and forgotten
breaks it. Of one that does not, `queued` is the remainder, which must not be negative.

Left to others: line errors are counted here but are no frames, so they are outside the identities.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(slots=True)
class Account:
    """The running counters of one source; stages hold it and count in place."""

    source: str
    received: int = 0
    verified: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    announced: int = 0
    numbered: int = 0
    refused: int = 0
    lost: int = 0
    unanswered: int = 0
    awaited: int = 0
    declared: int = 0
    unknown: int = 0
    recovered: int = 0
    delivered: int = 0
    line_errors: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class SinkAccount:
    """The running counters of one sink."""

    sink: str
    offered: int = 0
    delivered: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    queued: int | None = None
    """Records the sink holds: waiting, or in a batch under delivery; None if it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBalance:
    """A snapshot of one source's account."""

    source: str
    received: int
    verified: int
    rejected: Mapping[str, int]
    announced: int
    numbered: int
    refused: int
    lost: int
    """Data that did not come, of which nobody says why."""
    unanswered: int
    """Answers of the live lane that the line took; no data."""
    awaited: int
    declared: int
    unknown: int
    """Numbers that the node itself cannot account for; each may be a lost frame."""
    recovered: int
    delivered: int
    """Verified frames that went through the whole pipeline."""
    line_errors: Mapping[str, int]

    @property
    def rejected_total(self) -> int:
        """All rejected frames, whatever the reason."""
        return sum(self.rejected.values())

    def adds_up(self) -> bool:
        """Tell whether both identities of the source hold and no counter is negative."""
        return (
            self.received == self.verified + self.rejected_total
            and self.announced
            == self.numbered
            + self.refused
            + self.lost
            + self.unanswered
            + self.awaited
            + self.declared
            + self.unknown
            and self.verified >= max(self.numbered, self.delivered)
            and min(self.lost, self.unanswered, self.awaited, self.declared) >= 0
            and min(self.recovered, self.refused, self.unknown) >= 0
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkBalance:
    """A snapshot of one sink's account."""

    sink: str
    offered: int
    delivered: int
    dropped: Mapping[str, int]
    queued: int
    """Records the sink says it holds; the remainder of the others if it does not say."""

    def adds_up(self) -> bool:
        """Tell whether every record that came in is delivered, dropped or still held."""
        out = self.delivered + sum(self.dropped.values())
        return self.queued >= 0 and self.offered == out + self.queued


class LossLedger:
    """All accounts of a gateway. Cheap to count in, snapshots are frozen."""

    def __init__(self) -> None:
        self._sources: dict[str, Account] = {}
        self._sinks: dict[str, SinkAccount] = {}

    def account(self, source: str) -> Account:
        """Return the live account of a source, opened on first use."""
        account = self._sources.get(source)
        if account is None:
            account = self._sources[source] = Account(source)
        return account

    def sink(self, sink: str) -> SinkAccount:
        """Return the live account of a sink, opened on first use."""
        account = self._sinks.get(sink)
        if account is None:
            account = self._sinks[sink] = SinkAccount(sink)
        return account

    def line_error(self, source: str, reason: str, count: int = 1) -> None:
        """Count bytes that never became a frame ("cobs", "crc", "too_long", "short")."""
        self.account(source).line_errors[reason] += count

    def offered(self, sink: str, count: int = 1) -> None:
        """Count records handed to a sink."""
        self.sink(sink).offered += count

    def delivered(self, sink: str, count: int = 1) -> None:
        """Count records a sink has put where they belong."""
        self.sink(sink).delivered += count

    def dropped(self, sink: str, reason: str, count: int = 1) -> None:
        """Count records a sink gave up ("queue_full", "refused", ...)."""
        self.sink(sink).dropped[reason] += count

    def queued(self, sink: str, count: int) -> None:
        """Take note of how many records a sink really holds, waiting or under delivery, now."""
        self.sink(sink).queued = count

    def balance(self, source: str) -> SourceBalance:
        """Return a snapshot of one source (all zeros if it was never heard of)."""
        account = self._sources.get(source, Account(source))
        return SourceBalance(
            source=source,
            received=account.received,
            verified=account.verified,
            rejected=_frozen(account.rejected),
            announced=account.announced,
            numbered=account.numbered,
            refused=account.refused,
            lost=account.lost,
            unanswered=account.unanswered,
            awaited=account.awaited,
            declared=account.declared,
            unknown=account.unknown,
            recovered=account.recovered,
            delivered=account.delivered,
            line_errors=_frozen(account.line_errors),
        )

    def sink_balance(self, sink: str) -> SinkBalance:
        """Return a snapshot of one sink (all zeros if it was never used)."""
        account = self._sinks.get(sink, SinkAccount(sink))
        rest = account.offered - account.delivered - sum(account.dropped.values())
        return SinkBalance(
            sink=sink,
            offered=account.offered,
            delivered=account.delivered,
            dropped=_frozen(account.dropped),
            queued=rest if account.queued is None else account.queued,
        )

    def rows(self) -> list[SourceBalance]:
        """Return a snapshot of every source, sorted by name."""
        return [self.balance(source) for source in sorted(self._sources)]

    def sink_rows(self) -> list[SinkBalance]:
        """Return a snapshot of every sink, sorted by name."""
        return [self.sink_balance(sink) for sink in sorted(self._sinks)]

    def adds_up(self) -> bool:
        """Tell whether the identities hold for every source and every sink."""
        return all(row.adds_up() for row in self.rows()) and all(
            row.adds_up() for row in self.sink_rows()
        )


def _frozen(counts: Counter[str]) -> Mapping[str, int]:
    """Return the non-zero counts, sorted by reason, read-only."""
    return MappingProxyType({reason: counts[reason] for reason in sorted(counts) if counts[reason]})
