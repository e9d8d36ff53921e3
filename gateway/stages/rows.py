"""Values of many sources, each with its own phase, rate and lateness, become rows of one period.

- The boundaries between rows lie in the widest gap between the phases of the signals, found in the
  first few periods, so that jitter does not throw two values of a signal into one row.
- A row is closed when it is complete, when a younger row is complete, or `wait_ns` after its end.
- Signals may be slower than the rows: a row is complete with every signal that is due in it
  (`cadence.py`), and says which of the missing ones were; with a faster one when its last sample
  of the row is there.
- A row has of each signal what its samples in the row say about the row's time, and how much less
  that is worth than one reading at that time (models/alignment_rows.py): a value whose time is
  badly known, or that lies far off, weighs less. A regular signal keeps its values as they are.
- Rows come out in order and once. A value for a closed row is counted `late`, and up to
  `horizon_ns` after its end says what that row would have had (`take_late`); one that claims to be
  from the future is counted `ahead`, a second one for its time replaces the first, `double`.
- A clock that is set back starts all this anew, boundaries and order too: open rows come out as
  they are, values from before that have no row yet are dropped. It is counted `clock_set_back`.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple, final

from gateway.models.alignment_rows import Carried, Resampler
from gateway.records import Aligned
from gateway.stages.cadence import SignalCadence
from gateway.stages.row_samples import RowSamples, is_usable, joined

_OPEN_MAX: Final = 16
"""Rows under way at once; with more, the oldest is closed. It is the one farthest from now, since
no value lies further ahead than a period."""
_CLOSED_MAX: Final = 600
"""Closed rows whose samples are kept for late values, however long the horizon is."""
_LATE_MAX: Final = 1024
_SET_BACK_MIN_NS: Final = 1_000_000_000
"""A frame stamped before a tick may be handed over after it; less than this is no set-back."""
_SETTLING_PERIODS: Final = 3
_SETTLING_MAX: Final = 65_536
"""Values kept while the phases are sought; of more the oldest go, counted `crowded`."""
_HARDLY_NARROWER: Final = 0.75


class Row(NamedTuple):
    """The values of one period; `values[i]` is None where the signal gave none."""

    number: int
    time_ns: int
    """Middle of the period."""
    values: tuple[Aligned | None, ...]
    """Of several the newest usable one, as it came."""
    is_due: tuple[bool, ...]
    """Whether a value was to be expected; False for a slower signal between two of its values."""
    carried: Carried
    """What the samples say about the row's time, in the order of the signals."""
    coherence_ns: int
    """The worst expanded uncertainty (k = 2) of the times of its usable values."""
    bound_ns: int
    """The worst hard bound of those times."""


class Late(NamedTuple):
    """What a value that came for a closed row makes of that row."""

    number: int
    place: int
    """Of the signal."""
    value: float
    """Of that signal in the row, with the late value."""
    extra: float
    """Variance beyond that of one reading at the right time."""
    status: int
    """Of the value that came late."""
    late_ns: int
    """After the end of the row."""


@final
class RowCollector:
    """Collects `signals` into rows of `period_ns`; `stated_ns` are periods known by signal."""

    def __init__(
        self,
        signals: tuple[str, ...],
        period_ns: int,
        wait_ns: int,
        stated_ns: Mapping[str, int] | None = None,
        horizon_ns: int = 0,
    ) -> None:
        self._signals = signals
        self._places = {signal: place for place, signal in enumerate(signals)}
        self._period_ns = period_ns
        self._wait_ns = wait_ns
        self._horizon_ns = horizon_ns
        self._boundary_ns: int | None = None
        self._settling: list[Aligned] = []
        self._settling_from_ns = 0
        self._cadence = SignalCadence(signals, period_ns, stated_ns or {})
        self._resampler = Resampler(len(signals), period_ns)
        self._open: dict[int, RowSamples] = {}
        self._closed: dict[int, RowSamples] = {}
        self._closed_to: int | None = None
        self._late: list[Late] = []
        self._now_ns: int | None = None
        self._due_ns = 0
        """No open row has waited long enough before."""
        self.counts: Counter[str] = Counter()

    def put(self, value: Aligned, now_ns: int) -> list[Row]:
        """Take a value and return the rows that are finished by it or by the time."""
        place = self._places.get(value.signal)
        if place is None:
            return []
        rows = self._follow(now_ns)
        # The claimed time alone: a wide bound must not buy a place in the future.
        if value.time_ns > now_ns + self._period_ns:
            self.counts["ahead"] += 1
            return rows
        if self._boundary_ns is None:
            return rows + self._settle(value, now_ns)
        rows += self._place(place, value, now_ns)
        return rows + self._due(now_ns) if now_ns >= self._due_ns else rows

    def due(self, now_ns: int) -> list[Row]:
        """Return the rows whose time is up."""
        return self._follow(now_ns) + self._due(now_ns)

    def take_late(self) -> list[Late]:
        """Return and forget what late values made of closed rows, in the order they came."""
        late, self._late = self._late, []
        return late

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
        self._closed.clear()
        self._cadence.forget()
        self._resampler.forget()
        self._boundary_ns = self._closed_to = None
        self._due_ns = 0
        return rows

    def _due(self, now_ns: int) -> list[Row]:
        """Close the rows that have waited long enough."""
        if self._boundary_ns is None:
            return []
        last = (now_ns - self._wait_ns - self._boundary_ns) // self._period_ns - 1
        rows = self._close(last) if self._open and min(self._open) <= last else []
        if self._open:
            self._due_ns = self._end_ns(min(self._open)) + self._wait_ns
        return rows

    def _settle(self, value: Aligned, now_ns: int) -> list[Row]:
        """Keep the first values until the phases are known, then place them all."""
        if len(self._settling) >= _SETTLING_MAX:
            self.counts["crowded"] += 1
            del self._settling[0]
        before_ns = self._settling_from_ns if self._settling else value.time_ns
        self._settling_from_ns = min(before_ns, value.time_ns)
        self._settling.append(value)
        if value.time_ns - self._settling_from_ns < _SETTLING_PERIODS * self._period_ns:
            return []
        self._settling.sort(key=lambda kept: kept.time_ns)
        phases = [kept.time_ns % self._period_ns for kept in self._settling]
        self._boundary_ns = _widest_gap(phases, self._period_ns)
        rows: list[Row] = []
        for kept in self._settling:
            rows += self._place(self._places[kept.signal], kept, now_ns)
        self._settling.clear()
        return rows + self._due(now_ns)

    def _place(self, place: int, value: Aligned, now_ns: int) -> list[Row]:
        """Put the value into its row; a complete row closes itself and all older ones."""
        assert self._boundary_ns is not None  # noqa: S101 - both callers know it
        number = (value.time_ns - self._boundary_ns) // self._period_ns
        self._cadence.heard(value.signal, value.time_ns)
        if self._closed_to is not None and number <= self._closed_to:
            self._take_late(place, value, number, now_ns)
            return []
        row = self._open.get(number)
        if row is None:
            row = self._open[number] = RowSamples(len(self._signals))
            self._due_ns = min(self._due_ns, self._end_ns(number) + self._wait_ns)
        problem = row.put(place, value)
        if problem:
            self.counts[problem] += 1
        # Only the signal that a row waits for can make it complete.
        if place == row.first_open and self._is_complete(row, self._end_ns(number)):
            return self._close(number)
        if len(self._open) > _OPEN_MAX:
            return self._close(min(self._open))
        return []

    def _take_late(self, place: int, value: Aligned, number: int, now_ns: int) -> None:
        """Count a late value; within the horizon, work out what its row has with it."""
        self.counts["late"] += 1
        row, late_ns = self._closed.get(number), now_ns - self._end_ns(number)
        if row is None or not 0 <= late_ns <= self._horizon_ns or not is_usable(value):
            return
        problem = row.put(place, value)
        if problem:
            self.counts[problem] += 1
            return
        beside = (self._closed.get(at) or self._open.get(at) for at in (number - 1, number + 1))
        near = joined((row, *(other for other in beside if other is not None)), place)
        found, extra = self._resampler.again(place, near, self._middle_ns(number))
        if found == found and len(self._late) < _LATE_MAX:  # noqa: PLR0124 - not NaN
            self._late.append(Late(number, place, found, extra, value.status, late_ns))

    def _close(self, last: int) -> list[Row]:
        """Close every open row up to `last`."""
        numbers = sorted(number for number in self._open if number <= last)
        if numbers:
            self._closed_to = numbers[-1]
        return [self._finished(number) for number in numbers]

    def _finished(self, number: int) -> Row:
        """Take a row out of those under way."""
        row, middle_ns = self._open.pop(number), self._middle_ns(number)
        following = self._open.get(number + 1) or RowSamples(0)
        carried = self._resampler.close(row.batch(), following.batch(), middle_ns)
        if self._horizon_ns:
            self._keep(number, row)
        end_ns = self._end_ns(number)
        return Row(
            number,
            middle_ns,
            tuple(row.kept),
            tuple(self._cadence.is_due(name, end_ns) for name in self._signals),
            carried,
            row.coherence_ns,
            row.bound_ns,
        )

    def _keep(self, number: int, row: RowSamples) -> None:
        """Keep the samples of a closed row as long as a late value may come for it."""
        self._closed[number] = row
        oldest = number - min(_CLOSED_MAX, self._horizon_ns // self._period_ns + 2)
        while next(iter(self._closed)) < oldest:
            del self._closed[next(iter(self._closed))]

    def _is_complete(self, row: RowSamples, end_ns: int) -> bool:
        """Tell whether all that is due in a row is there, and move on to what it waits for."""
        while row.first_open < len(self._signals):
            name, kept = self._signals[row.first_open], row.kept[row.first_open]
            if kept is None or not row.has[row.first_open]:
                if self._cadence.is_due(name, end_ns):
                    return False
            elif self._cadence.has_more(name, kept.time_ns, end_ns):
                return False
            row.first_open += 1
        return True

    def _end_ns(self, number: int) -> int:
        """Return the time at which a row ends."""
        assert self._boundary_ns is not None  # noqa: S101 - rows have numbers only then
        return self._boundary_ns + (number + 1) * self._period_ns

    def _middle_ns(self, number: int) -> int:
        """Return the time a row is of."""
        return self._end_ns(number) - self._period_ns + self._period_ns // 2


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
