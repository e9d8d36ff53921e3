"""The last word on every clock and link, for whoever asks: the control socket and the web page.

Promises: memory is bounded: one clock and one link for each source, the findings that last, and the
`RECENT_MAX` last ones that were told; answers are plain data that JSON can hold, without NaN, in
integers of nanoseconds and seconds as the records have them.
Left to others: finding out (`stages/sync.py`, `stages/kpi.py`), keeping (`sinks/store.py`).
"""

import math
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Final, TypeVar, final

from gateway.clock import Clock
from gateway.records import Record
from gateway.records_time import ClockEstimate, LinkKpi, SyncCause, SyncCheck, TimedEvent
from gateway.stages.kpi import Distribution

RECENT_MAX: Final = 50
ACTIVE_MAX: Final = 500
SOURCES_MAX: Final = 1000
"""A source beyond these pushes the one out that was heard of longest ago."""
Answer = dict[str, object]
K = TypeVar("K")
V = TypeVar("V")
CheckKey = tuple[str, SyncCause, str]


def _no_distributions() -> Sequence[Distribution]:
    return ()


@final
class TimeBoard:
    """What was said last about time; `site` is the name of the gateway's own clock."""

    def __init__(self, site: str, clock: Clock) -> None:
        self.site = site
        self.distributions: Callable[[], Sequence[Distribution]] = _no_distributions
        """Histograms of the links, if somebody keeps them."""
        self._clock = clock
        self._clocks: OrderedDict[str, ClockEstimate] = OrderedDict()
        self._links: OrderedDict[str, LinkKpi] = OrderedDict()
        self._active: OrderedDict[CheckKey, SyncCheck] = OrderedDict()
        self._recent: deque[SyncCheck] = deque(maxlen=RECENT_MAX)
        self._events: OrderedDict[str, TimedEvent] = OrderedDict()
        self._found: Counter[tuple[str, str]] = Counter()

    def tell(self, record: Record) -> None:
        """Take note of a record; of most kinds there is nothing to note."""
        match record:
            case ClockEstimate():
                _keep(self._clocks, record.source, record)
            case LinkKpi():
                _keep(self._links, record.source, record)
            case TimedEvent():
                _keep(self._events, record.machine, record)
            case SyncCheck():
                self._check(record)

    def now_ns(self) -> int:
        """Return the gateway's time."""
        return self._clock.now_ns()

    def clocks(self) -> list[ClockEstimate]:
        """Return the last estimate of every clock, sorted by source."""
        return [self._clocks[source] for source in sorted(self._clocks)]

    def links(self) -> list[LinkKpi]:
        """Return the last figures of every link, sorted by source."""
        return [self._links[source] for source in sorted(self._links)]

    def active(self) -> list[SyncCheck]:
        """Return the findings that last, oldest first."""
        return list(self._active.values())

    def recent(self) -> list[SyncCheck]:
        """Return the last findings, newest first."""
        return list(reversed(self._recent))

    def events(self) -> list[TimedEvent]:
        """Return the last event of every machine, sorted by name."""
        return [self._events[machine] for machine in sorted(self._events)]

    def found(self) -> Mapping[tuple[str, str], int]:
        """Return how often each (source, cause) was found since the start."""
        return dict(self._found)

    def kpi_answer(self) -> Answer:
        """Return all links as plain data."""
        return {
            "site": self.site,
            "time_ns": self.now_ns(),
            "links": [_plain(asdict(link)) for link in self.links()],
        }

    def clock_answer(self) -> Answer:
        """Return all clocks and findings as plain data."""
        return {
            "site": self.site,
            "time_ns": self.now_ns(),
            "clocks": [_plain(asdict(clock)) for clock in self.clocks()],
            "active_checks": [_plain(asdict(check)) for check in self.active()],
            "recent_checks": [_plain(asdict(check)) for check in self.recent()],
            "machines": [_plain(asdict(event)) for event in self.events()],
        }

    def _check(self, check: SyncCheck) -> None:
        key = check.source, check.cause, check.signal or ""
        if check.is_active:
            self._count(check)
            _keep(self._active, key, check, ACTIVE_MAX)
        elif self._active.pop(key, None) is None:
            # What lasts no time is told once, as over.
            self._count(check)
        self._recent.append(check)

    def _count(self, check: SyncCheck) -> None:
        key = check.source, check.cause.value
        if key in self._found or len(self._found) < ACTIVE_MAX:
            self._found[key] += 1


def _keep(kept: OrderedDict[K, V], key: K, record: V, most: int = SOURCES_MAX) -> None:
    """Put a record in the place of the last one; the oldest goes when there are too many."""
    kept[key] = record
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)


def _plain(value: object) -> object:
    """Return data without what JSON cannot hold."""
    match value:
        case dict():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
