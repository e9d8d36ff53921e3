"""Values of many sources, each with its own phase and lateness, become rows of one period.

- The boundaries between rows lie in the widest gap between the phases of the signals, found in the
  first few periods, so that jitter does not throw two values of a signal into one row.
- A row is closed when it is complete, when a younger row is complete, or `wait_ns` after its end.
- Signals may be slower than the rows: a row is complete with every signal that is due in it
  (`cadence.py`), and says which of the missing ones were. Of a faster one the last value counts.
- Rows come out in order and once. A value for a closed row is counted `late`, one that claims to
  be from the future `ahead`, a second one for its place replaces the first and is counted `double`.
- A clock that is set back starts all this anew, boundaries and order too: open rows come out as
  they are, values from before that have no row yet are dropped. It is counted `clock_set_back`.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple, final

from gateway import status
from gateway.records import Aligned
from gateway.stages.cadence import SignalCadence

_OPEN_MAX: Final = 16
"""Rows under way at once; with more, the oldest is closed. It is the one farthest from now, since
no value lies further ahead than a period."""
_SET_BACK_MIN_NS: Final = 1_000_000_000
"""A frame stamped before a tick may be handed over after it; less than this is no set-back."""
_SETTLING_PERIODS: Final = 3
_HARDLY_NARROWER: Final = 0.75


class Row(NamedTuple):
    """The values of one period; `values[i]` is None where the signal gave none."""

    number: int
    time_ns: int
    """Middle of the period."""
    values: tuple[Aligned | None, ...]
    is_due: tuple[bool, ...]
    """Whether a value was to be expected; False for a slower signal between two of its values."""


@final
class RowCollector:
    """Collects `signals` into rows of `period_ns`; `stated_ns` are periods known by signal."""

    def __init__(
        self,
        signals: tuple[str, ...],
        period_ns: int,
        wait_ns: int,
        stated_ns: Mapping[str, int] | None = None,
    ) -> None:
        self._places = {signal: place for place, signal in enumerate(signals)}
        self._period_ns = period_ns
        self._wait_ns = wait_ns
        self._boundary_ns: int | None = None
        self._settling: list[Aligned] = []
        self._cadence = SignalCadence(signals, period_ns, stated_ns or {})
        self._open: dict[int, list[Aligned | None]] = {}
        self._closed_to: int | None = None
        self._now_ns: int | None = None
        self.counts: Counter[str] = Counter()

    def put(self, value: Aligned, now_ns: int) -> list[Row]:
        """Take a value and return the rows that are finished by it or by the time."""
        if value.signal not in self._places:
            return []
        rows = self._follow(now_ns)
        # The claimed time alone: a wide bound must not buy a place in the future.
        if value.time_ns > now_ns + self._period_ns:
            self.counts["ahead"] += 1
            return rows
        if self._boundary_ns is None:
            return rows + self._settle(value, now_ns)
        return rows + self._place(value) + self._due(now_ns)

    def due(self, now_ns: int) -> list[Row]:
        """Return the rows whose time is up."""
        return self._follow(now_ns) + self._due(now_ns)

    def _follow(self, now_ns: int) -> list[Row]:
        """Follow the clock; if it was set back, start anew and return what was under way."""
        last_ns = now_ns if self._now_ns is None else self._now_ns
        if last_ns - now_ns <= max(self._period_ns, _SET_BACK_MIN_NS):
            self._now_ns = max(last_ns, now_ns)
            return []
        self._now_ns = now_ns
        self.counts["clock_set_back"] += 1
        rows = self._close(max(self._open)) if self._open else []
        self._settling.clear()
        self._cadence.forget()
        self._boundary_ns = self._closed_to = None
        return rows

    def _due(self, now_ns: int) -> list[Row]:
        """Close the rows that have waited long enough."""
        if self._boundary_ns is None:
            return []
        last = (now_ns - self._wait_ns - self._boundary_ns) // self._period_ns - 1
        return self._close(last) if self._open and min(self._open) <= last else []

    def _settle(self, value: Aligned, now_ns: int) -> list[Row]:
        """Keep the first values until the phases are known, then place them all."""
        self._settling.append(value)
        first_ns = min(kept.time_ns for kept in self._settling)
        if value.time_ns - first_ns < _SETTLING_PERIODS * self._period_ns:
            return []
        self._settling.sort(key=lambda kept: kept.time_ns)
        phases = [kept.time_ns % self._period_ns for kept in self._settling]
        self._boundary_ns = _widest_gap(phases, self._period_ns)
        rows: list[Row] = []
        for kept in self._settling:
            rows += self._place(kept)
        self._settling.clear()
        return rows + self._due(now_ns)

    def _place(self, value: Aligned) -> list[Row]:
        """Put the value into its row; a complete row closes itself and all older ones."""
        assert self._boundary_ns is not None  # noqa: S101 - both callers know it
        number = (value.time_ns - self._boundary_ns) // self._period_ns
        self._cadence.heard(value.signal, value.time_ns)
        if self._closed_to is not None and number <= self._closed_to:
            self.counts["late"] += 1
            return []
        row = self._open.get(number)
        if row is None:
            row = self._open[number] = [None] * len(self._places)
        place = self._places[value.signal]
        if row[place] is not None:
            self.counts["double"] += 1
        row[place] = value
        if self._is_complete(row, self._end_ns(number)):
            return self._close(number)
        if len(self._open) > _OPEN_MAX:
            return self._close(min(self._open))
        return []

    def _close(self, last: int) -> list[Row]:
        """Close every open row up to `last`."""
        assert self._boundary_ns is not None  # noqa: S101 - the callers know it
        middle_ns = self._boundary_ns + self._period_ns // 2
        numbers = sorted(number for number in self._open if number <= last)
        if numbers:
            self._closed_to = numbers[-1]
        return [
            Row(
                number,
                middle_ns + number * self._period_ns,
                tuple(self._open.pop(number)),
                tuple(self._cadence.is_due(name, self._end_ns(number)) for name in self._places),
            )
            for number in numbers
        ]

    def _is_complete(self, row: list[Aligned | None], end_ns: int) -> bool:
        """Tell whether every value that is due in a row is there and usable."""
        return all(
            not self._cadence.is_due(name, end_ns)
            if kept is None
            else not status.is_bad(kept.status)
            for name, kept in zip(self._places, row, strict=True)
        )

    def _end_ns(self, number: int) -> int:
        """Return the time at which a row ends."""
        assert self._boundary_ns is not None  # noqa: S101 - rows have numbers only then
        return self._boundary_ns + (number + 1) * self._period_ns


def _widest_gap(phases: list[int], period_ns: int) -> int:
    """Return the middle of the widest gap between phases on the circle of one period.

    `phases` are in the order of time. The gap before the first value is preferred to one that is
    hardly wider, so that the first row starts with the first value.
    """
    circle = sorted(set(phases))
    before = [circle[-1] - period_ns, *circle[:-1]]
    gaps = [end - start for start, end in zip(before, circle, strict=True)]
    place = circle.index(phases[0])
    if gaps[place] < _HARDLY_NARROWER * max(gaps):
        place = gaps.index(max(gaps))
    return (circle[place] - gaps[place] // 2) % period_ns
