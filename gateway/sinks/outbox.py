"""The bounded queue in front of every sink.

What is offered is delivered, dropped with a reason, or still queued; the loss ledger says how much.

Promises: `put` never waits and never fails, so south does not depend on north; when the queue is
full the oldest record goes ("queue_full"), because the newest says most about the plant; a record
whose time no calendar of a sink can hold never gets in ("implausible_time"). The ledger is told how
many records are really held, so one that is taken and forgotten shows.
Left to others: delivering; a sink takes a batch, delivers it and says so with `delivered`.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar, final

from gateway.clock import NS_PER_S
from gateway.loss import LossLedger
from gateway.records import Aligned, Estimate, Report, Verdict, Verified

T = TypeVar("T")
QUEUE_FULL: Final = "queue_full"
IMPLAUSIBLE: Final = "implausible_time"
_END_NS: Final = 7_258_118_400 * NS_PER_S
"""2200-01-01. SQLite, OPC UA and Sparkplug can all tell every time from 1970 until then."""


def has_plausible_time(record: object) -> bool:
    """Tell whether all times of a record, and the bound of its time, lie within 1970 to 2200."""
    times: tuple[int, ...]
    match record:
        case Verified():
            times = (record.received_ns,)
        case Aligned() | Report():
            times = (record.time_ns, record.bound_ns)
        case Estimate():
            times = (record.time_ns,)
        case Verdict():
            times = (record.time_ns, record.since_ns)
        case _:
            return True
    return all(0 <= time_ns < _END_NS for time_ns in times)


@final
class Outbox(Generic[T]):
    """A first-in first-out queue of at most `capacity` records for one sink.

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
        self._capacity = capacity
        self._ledger = ledger
        self._filled = asyncio.Event()
        self._dropped = dropped
        self._open_count = 0
        """Records of the batch under delivery: taken last, and not accounted for yet."""
        self._tell_held()

    def __len__(self) -> int:
        return len(self._records)

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
            oldest = self._records.popleft()
            self._ledger.dropped(self.sink, QUEUE_FULL)
            self._dropped(oldest)
        self._records.append(record)
        self._filled.set()
        self._tell_held()

    def take(self, count_max: int) -> list[T]:
        """Remove and return the oldest records, at most `count_max`.

        They must be delivered, dropped or given back before the next batch is taken.
        """
        count = min(count_max, len(self._records))
        batch = [self._records.popleft() for _ in range(count)]
        if not self._records:
            self._filled.clear()
        self._open_count = count
        self._tell_held()
        return batch

    def give_back(self, batch: list[T]) -> None:
        """Put an undelivered batch back in front, in its order; what has no room is dropped."""
        self._open_count -= len(batch)
        room = self._capacity - len(self._records)
        if len(batch) > room:
            self._ledger.dropped(self.sink, QUEUE_FULL, len(batch) - room)
            for record in batch[: len(batch) - room]:
                self._dropped(record)
            batch = batch[len(batch) - room :]
        self._records.extendleft(reversed(batch))
        if self._records:
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
        self.drop(reason, len(self.take(len(self._records))))

    async def wait(self) -> None:
        """Return when at least one record is queued."""
        await self._filled.wait()

    def _tell_held(self) -> None:
        """Tell the ledger how many records are waiting or under delivery."""
        self._ledger.queued(self.sink, len(self._records) + self._open_count)
