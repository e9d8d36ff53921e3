"""Values of many sources, each with its own phase, rate and lateness, become rows of one period.

- The boundaries between rows lie in the widest gap between the phases of the signals, found in the
  first few periods, so that jitter does not throw two values of a signal into one row.
- A row is closed when it is complete, when a younger row is complete, or `wait_ns` after its end.
  At most `ROWS_MAX` rows wait or are kept for late values; a site that asks for more is refused.
- Signals may be slower than the rows: a row is complete with every signal that is due in it
  (`cadence.py`), and says which of the missing ones were; with a faster one when its last sample
  of the row is there.
- A row has of each signal what its samples in the row say about the row's time, and how much less
  that is worth than one reading at that time (models/alignment_rows.py): a value whose time is
  badly known, or that lies far off, weighs less. A regular signal keeps its values as they are.
- A row that has waited long enough is closed with the next value of a later row, unless both came
  in one frame, or by the clock (`due`): values that were stored on the way and come together make
  whole rows, however late they are.
- Rows come out in order and once. A value for a closed row is counted `late`, and up to
  `horizon_ns` after its end says what that row would have had (`take_late`); one that claims to be
  from the future is counted `ahead`, a second one for its time replaces the first, `double`. Before
  any row is closed, one that lies further back than `wait_ns`, `horizon_ns` and the time of
  settling before the newest value is `ancient` and has no row.
- A clock that is set back starts all this anew, boundaries and order too: open rows come out as
  they are, values from before that have no row yet are dropped. It is counted `clock_set_back`.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple, final

from gateway.models.alignment_law import Law
from gateway.models.alignment_rows import Carried, Resampler
from gateway.records import Aligned
from gateway.stages.cadence import SignalCadence
from gateway.stages.row_history import Late, RowHistory
from gateway.stages.row_samples import UNSURE_MAX_NS, RowSamples

ROWS_MAX: Final = 600
"""Rows that wait, or are kept for late values: minutes at the usual period of a second."""
_OPEN_MIN: Final = 16
"""Rows under way at once are that many more than can wait; with more, the oldest is closed. It is
the one farthest from now, since no value lies further ahead than a period."""
_OPEN_SAMPLES_MAX: Final = 1 << 18
"""Samples in all rows under way, about 130 MB; with more, the oldest row is closed."""
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
        self._open_max = _OPEN_MIN + min(wait_ns // period_ns, ROWS_MAX)
        self._reach_ns = wait_ns + horizon_ns + _SETTLING_PERIODS * period_ns
        self._boundary_ns: int | None = None
        self._settling: list[Aligned] = []
        self._settling_from_ns = 0
        self._cadence = SignalCadence(signals, period_ns, stated_ns or {})
        self._resampler = Resampler(len(signals), period_ns)
        self._open: dict[int, RowSamples] = {}
        self._open_samples = 0
        rows_max = min(horizon_ns // period_ns, ROWS_MAX) + 2 if horizon_ns else 0
        self._history = RowHistory(len(signals), rows_max, self._resampler)
        self._closed_to: int | None = None
        self._newest_ns: int | None = None
        self._now_ns: int | None = None
        self._due_ns = 0
        """No open row has waited long enough before."""
        self.counts: Counter[str] = Counter()

    @property
    def law(self) -> Law:
        """How each signal moves, as far as that is known."""
        return self._resampler.law

    def doubt(self, *, is_suspect: bool) -> None:
        """Say whether rows are suspect now: how signals move is not learnt from such."""
        self._resampler.is_suspect = is_suspect

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
        if self._closed_to is None and self._is_ancient(value):
            return rows
        if self._boundary_ns is None:
            return rows + self._settle(value, now_ns)
        rows += self._place(place, value, now_ns)
        return rows + self._overdue(value, now_ns) if now_ns >= self._due_ns else rows

    def due(self, now_ns: int) -> list[Row]:
        """Return the rows whose time is up."""
        return self._follow(now_ns) + self._overdue(None, now_ns)

    def take_late(self) -> list[Late]:
        """Return and forget what late values made of closed rows, once for a row and signal."""
        return self._history.take(self._open, self._middle_ns)

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
        self._history.forget()
        self._cadence.forget()
        self._resampler.forget()
        self._boundary_ns = self._closed_to = self._newest_ns = None
        self._due_ns = 0
        return rows

    def _overdue(self, value: Aligned | None, now_ns: int) -> list[Row]:
        """Close the rows that have waited long enough; after a value, only older ones than its.

        A row that was begun by the frame of the value stays: the rest of it may be in that frame.
        """
        last = None
        frame = None if value is None else (value.source, value.sequence)
        for number in sorted(self._open):
            is_due = self._end_ns(number) + self._wait_ns <= now_ns
            is_older = value is None or value.time_ns >= self._end_ns(number)
            if not (is_due and is_older) or self._open[number].frame == frame:
                break
            last = number
        rows = [] if last is None else self._close(last)
        if self._open:
            self._due_ns = self._end_ns(min(self._open)) + self._wait_ns
        return rows

    def _is_ancient(self, value: Aligned) -> bool:
        """Tell whether a value lies too far behind the newest one, before any row is closed.

        If the newest lies as far ahead of values that settle, those are ancient.
        """
        newest_ns = value.time_ns if self._newest_ns is None else self._newest_ns
        if value.time_ns < newest_ns - self._reach_ns or value.time_ns < -UNSURE_MAX_NS:
            self.counts["ancient"] += 1
            return True
        if value.time_ns <= newest_ns and self._newest_ns is not None:
            return False
        self._newest_ns = value.time_ns
        oldest_ns = value.time_ns - self._reach_ns
        if self._settling and self._settling_from_ns < oldest_ns:
            kept = [each for each in self._settling if each.time_ns >= oldest_ns]
            self.counts["ancient"] += len(self._settling) - len(kept)
            self._settling = kept
            self._settling_from_ns = min((each.time_ns for each in kept), default=0)
        return False

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
        return rows + self._overdue(value, now_ns)

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
            frame = value.source, value.sequence
            row = self._open[number] = RowSamples(len(self._signals), frame)
            self._due_ns = min(self._due_ns, self._end_ns(number) + self._wait_ns)
        problem = row.put(place, value)
        if problem:
            self.counts[problem] += 1
        else:
            self._open_samples += 1
        # Only the signal that a row waits for can make it complete.
        if place == row.first_open and self._is_complete(row, self._end_ns(number)):
            return self._close(number)
        if len(self._open) > self._open_max or self._open_samples > _OPEN_SAMPLES_MAX:
            return self._close(min(self._open))
        return []

    def _take_late(self, place: int, value: Aligned, number: int, now_ns: int) -> None:
        """Count a late value; within the horizon it joins the samples of its row."""
        self.counts["late"] += 1
        late_ns = max(now_ns - self._end_ns(number), 0)
        if late_ns > self._horizon_ns:
            return
        problem = self._history.put(number, place, value, late_ns)
        if problem:
            self.counts[problem] += 1

    def _close(self, last: int) -> list[Row]:
        """Close every open row up to `last`."""
        numbers = sorted(number for number in self._open if number <= last)
        if numbers:
            self._closed_to = numbers[-1]
        return [self._finished(number) for number in numbers]

    def _finished(self, number: int) -> Row:
        """Take a row out of those under way."""
        row, middle_ns = self._open.pop(number), self._middle_ns(number)
        self._open_samples -= len(row)
        following = self._open.get(number + 1) or RowSamples(0)
        batch = row.batch()
        carried = self._resampler.close(batch, following.batch(), middle_ns)
        self._history.keep(number, batch)
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
