"""What is found out about time, in the log: a line for each sync check and each odd event.

Promises: what is wrong is a warning and what is right again is not; a source whose findings come
and go in turns fills no disk, because of one source at most `LINES_MAX` are logged in a minute and
the others are counted in the next line; the words of a finding are quoted, so that a name in them
cannot forge a line. An event that came in time is no news. Left to others: showing and keeping all
of them (sinks).
"""

import logging
from typing import Final, final

from gateway.clock import NS_PER_S
from gateway.records_time import SyncCheck, TimedEvent, Timing

_LOG: Final = logging.getLogger("twinrig.gateway.time")
LINES_MAX: Final = 20
"""Lines of one source in `_WINDOW_NS`: more than there are causes."""
_WINDOW_NS: Final = 60 * NS_PER_S
_SOURCES_MAX: Final = 1_000


@final
class FindingLog:
    """Logs findings; counts lines by source, in windows of the findings' own time."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[int, int]] = {}
        """By source: when its window began, and how many findings there were in it."""

    def tell(self, record: SyncCheck | TimedEvent) -> None:
        """Log a finding, if there is room for a line of its source."""
        if isinstance(record, TimedEvent):
            self._tell_event(record)
            return
        unsaid = self._unsaid(record.source, record.time_ns)
        if unsaid is None:
            return
        _LOG.log(
            logging.WARNING if record.is_active else logging.INFO,
            "sync_check source=%s cause=%s active=%s signal=%s size=%.6g unit=%s text=%r unsaid=%d",
            record.source, record.cause.value, record.is_active, record.signal or "-",
            record.size, record.unit, record.text, unsaid,
        )  # fmt: skip

    def _tell_event(self, event: TimedEvent) -> None:
        """Log an event that was not as expected."""
        if event.timing in (Timing.IN_TIME, Timing.UNDECIDED):
            return
        unsaid = self._unsaid(event.machine, event.time_ns)
        if unsaid is not None:
            _LOG.warning(
                "timed_event machine=%s timing=%s before=%s after=%s text=%r unsaid=%d",
                event.machine, event.timing.value, event.before, event.after, event.text, unsaid,
            )  # fmt: skip

    def _unsaid(self, name: str, time_ns: int) -> int | None:
        """Return how many lines the last window left out, or None if this one is to be left out."""
        began_ns, count = self._windows.pop(name, (time_ns, 0))
        unsaid = 0
        if not 0 <= time_ns - began_ns < _WINDOW_NS:
            began_ns, unsaid, count = time_ns, max(0, count - LINES_MAX), 0
        while len(self._windows) >= _SOURCES_MAX:
            del self._windows[next(iter(self._windows))]
        self._windows[name] = began_ns, count + 1
        return unsaid if count < LINES_MAX else None
