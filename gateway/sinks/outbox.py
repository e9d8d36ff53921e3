"""The bounded queue in front of every sink.

What is offered is delivered, dropped with a reason, or still queued; the loss ledger says how much.

Promises: `put` never waits and never fails, so south does not depend on north; when the queue is
full the oldest record goes ("queue_full"), because the newest says most about the plant; a finding
(verdict, sync check, event of a machine, revision) is said once and not again with the next value,
so the last `FINDINGS_MAX` of those that would have to go are kept beside the queue, in their order;
a record whose time no calendar of a sink can hold never gets in ("implausible_time"). The ledger is
told how many records are really held, so one that is taken and forgotten shows.
Left to others: delivering; a sink takes a batch, delivers it and says so with `delivered`.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar, final

from gateway.clock import NS_PER_S
from gateway.loss import LossLedger
from gateway.records import Aligned, Estimate, Report, Verdict, Verified
from gateway.records_time import ClockEstimate, LinkKpi, Revision, SyncCheck, TimedEvent

T = TypeVar("T")
QUEUE_FULL: Final = "queue_full"
IMPLAUSIBLE: Final = "implausible_time"
_END_NS: Final = 7_258_118_400 * NS_PER_S
"""2200-01-01. SQLite, OPC UA and Sparkplug can all tell every time from 1970 until then."""
FINDINGS_MAX: Final = 1_000
"""Findings kept beside a full queue: a day of one a minute, with some to spare."""
_Finding = Verdict | SyncCheck | TimedEvent | Revision


def has_plausible_time(record: object) -> bool:
    """Tell whether all times of a record, and the bounds of its time, lie within 1970 to 2200.

    The offset of a clock may be as large to both sides: a source may be that far ahead.
    """
    times: tuple[int | None, ...] = ()
    match record:
        case Verified():
            times = (record.received_ns,)
        case Aligned():
            times = (record.time_ns, record.bound_ns, record.uncertainty_ns)
        case Report() | TimedEvent():
            times = (record.time_ns, record.bound_ns)
        case Estimate():
            times = (record.time_ns, record.bound_ns, record.coherence_ns)
        case LinkKpi():
            times = (record.time_ns,)
        case Verdict() | SyncCheck():
            times = (record.time_ns, record.since_ns)
        case Revision():
            times = (record.time_ns, record.late_ns)
        case ClockEstimate():
            signed = (record.offset_ns, record.delay_ns)
            sizes = tuple(None if size_ns is None else abs(size_ns) for size_ns in signed)
            times = (record.time_ns, record.bound_ns, record.uncertainty_ns, *sizes)
    return all(0 <= time_ns < _END_NS for time_ns in times if time_ns is not None)


@final
class Outbox(Generic[T]):
    """A first-in first-out queue of at most `capacity` records, and `FINDINGS_MAX`, for one sink.

    `dropped` is told of every record that finds no room or may not get in; it must not wait.
    """

    def __init__(
        self,
        sink: str,
        capacity: int,
        ledger: LossLedger,
        *,
        dropped: Callable[[T], None] = lambda record: None,
    ) -> None:
        self.sink = sink
        self._records: deque[T] = deque()
        self._findings: deque[T] = deque()
        """What a full queue had to give up and was kept; all older than `_records`."""
        self._capacity = capacity
        self._ledger = ledger
        self._filled = asyncio.Event()
        self._dropped = dropped
        self._open_count = 0
        """Records of the batch under delivery: taken last, and not accounted for yet."""
        self._tell_held()

    def __len__(self) -> int:
        return len(self._findings) + len(self._records)

    def put(self, record: T) -> None:
        """Queue a record; drop the oldest, counted, when there is no room.

        A record with an implausible time is dropped itself.
        """
        self._ledger.offered(self.sink)
        if not has_plausible_time(record):
            self._ledger.dropped(self.sink, IMPLAUSIBLE)
            self._dropped(record)
            return
        if len(self._records) >= self._capacity:
            self._findings.extend(self._findings_of([self._records.popleft()]))
            self._trim_findings()
        self._records.append(record)
        self._filled.set()
        self._tell_held()

    def take(self, count_max: int) -> list[T]:
        """Remove and return the oldest records, at most `count_max`.

        They must be delivered, dropped or given back before the next batch is taken.
        """
        batch = [
            (self._findings or self._records).popleft() for _ in range(min(count_max, len(self)))
        ]
        if not len(self):
            self._filled.clear()
        self._open_count = len(batch)
        self._tell_held()
        return batch

    def give_back(self, batch: list[T]) -> None:
        """Put an undelivered batch back in front, in its order; what has no room is dropped."""
        self._open_count -= len(batch)
        # There are findings beside the queue only while it is full, and they are taken first: so
        # what is there now is newer than the batch.
        excess = max(0, len(batch) - (self._capacity - len(self._records)))
        self._findings.extendleft(reversed(self._findings_of(batch[:excess])))
        self._trim_findings()
        self._records.extendleft(reversed(batch[excess:]))
        if len(self):
            self._filled.set()
        self._tell_held()

    def delivered(self, count: int) -> None:
        """Count records as delivered."""
        self._ledger.delivered(self.sink, count)
        self._open_count -= count
        self._tell_held()

    def drop(self, reason: str, count: int = 1) -> None:
        """Count taken records as dropped."""
        if count:
            self._ledger.dropped(self.sink, reason, count)
            self._open_count -= count
            self._tell_held()

    def drop_all(self, reason: str) -> None:
        """Drop what is still queued, for a sink that stops without having delivered it."""
        self.drop(reason, len(self.take(len(self))))

    async def wait(self) -> None:
        """Return when at least one record is queued."""
        await self._filled.wait()

    def _findings_of(self, displaced: list[T]) -> list[T]:
        """Return the findings among records without room; the others are dropped."""
        for record in displaced:
            if not isinstance(record, _Finding):
                self._give_up(record)
        return [record for record in displaced if isinstance(record, _Finding)]

    def _trim_findings(self) -> None:
        """Drop the oldest findings beyond those there is room for."""
        while len(self._findings) > FINDINGS_MAX:
            self._give_up(self._findings.popleft())

    def _give_up(self, record: T) -> None:
        """Drop a record that has no room."""
        self._ledger.dropped(self.sink, QUEUE_FULL)
        self._dropped(record)

    def _tell_held(self) -> None:
        """Tell the ledger how many records are waiting or under delivery."""
        self._ledger.queued(self.sink, len(self) + self._open_count)
