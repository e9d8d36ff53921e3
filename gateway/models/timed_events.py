"""The discrete side of a machine: which state may follow which, and after how long.

A timed automaton has states and transitions, each with a window [min, max] for the time spent in
the state before. Times of events are never known exactly, so all of it is interval arithmetic:

    change      a sample still shows the old state at [a, b], the next one the new state at [c, d]:
                the change lies in [a, d], the gap between two polls included
    elapsed     entered in [a, b], left in [c, d]: the state lasted [max(0, c - b), d - a]
    timing      in time if [lasted] lies inside the window, too early or too late if it lies wholly
                beside it, else undecided: a verdict is given only if every possible time agrees
    anchor      one event seen by two clocks, the second `delay` after the first: the second clock
                is ahead of the first by [c - b - delay_max, d - a - delay_min]

Between two samples a machine may have gone through states nobody saw. If the shortest stays on such
a way fit into the gap, an order that no single transition allows is undecided and not wrong, and a
stay that seems too short or too long, or has not ended, may be several: it is undecided too. A way
on which no state has a shortest stay fits into any gap; it is held against a gap that is longer
than is usual, and not against samples that come as they always do, or nothing could ever be said.

Promises: exact integer nanoseconds; hard bounds in, hard bounds out; two bounds of one clock are
taken as independent, which can only widen what comes out. A state that was left and entered again
between two samples cannot be seen.
Left to others: which values are states (stages/events.py), words for people.

Sources: Alur and Dill (1994), A theory of timed automata, section 3 (windows on one clock that
every entry resets); Moore, Interval Analysis (1966), chapter 2; Marzullo and Owicki (1985), for
clocks as intervals.
"""

import heapq
from collections.abc import Iterable
from typing import NamedTuple, final

from gateway.records_time import Timing


class Span(NamedTuple):
    """An interval of time that holds an instant for certain; nanoseconds UTC."""

    earliest_ns: int
    latest_ns: int

    @property
    def time_ns(self) -> int:
        """Return the middle, rounded down."""
        return (self.earliest_ns + self.latest_ns) // 2

    @property
    def bound_ns(self) -> int:
        """Return half of its width, rounded up."""
        return self.latest_ns - self.time_ns


class Window(NamedTuple):
    """What is allowed for a duration; nanoseconds, both ends belong to it."""

    min_ns: int = 0
    max_ns: int | None = None
    """None: no end."""


class Lasted(NamedTuple):
    """How long something lasted, for certain; nanoseconds."""

    least_ns: int
    most_ns: int | None
    """None: nobody saw it begin."""


class Transition(NamedTuple):
    """One state may follow another if the first lasted as long as its window says."""

    before: str
    after: str
    window: Window = Window()


class Passage(NamedTuple):
    """What is to be said of a change of state."""

    timing: Timing
    lasted: Lasted
    window: Window | None
    """None: the automaton has no such transition."""
    through: tuple[str, ...] = ()
    """States in between that may have been too short to be seen."""


def around(time_ns: int, bound_ns: int) -> Span:
    """Return the interval of a time with a hard bound."""
    return Span(time_ns - bound_ns, time_ns + bound_ns)


def change(still: Span, already: Span) -> Span:
    """Return when a state changed that was seen unchanged at `still` and changed at `already`."""
    return Span(still.earliest_ns, max(already.latest_ns, still.earliest_ns))


def lasted(entered: Span, left: Span) -> Lasted:
    """Return how long a state lasted that was entered and then left."""
    least_ns = max(0, left.earliest_ns - entered.latest_ns)
    return Lasted(least_ns, max(least_ns, left.latest_ns - entered.earliest_ns))


def lasted_since(seen: Span, left: Span) -> Lasted:
    """Return how long a state lasted that had been entered before it was first seen."""
    return Lasted(max(0, left.earliest_ns - seen.latest_ns), None)


def timing(duration: Lasted, window: Window) -> Timing:
    """Hold a duration against its window."""
    most_ns, max_ns = duration.most_ns, window.max_ns
    if most_ns is not None and most_ns < window.min_ns:
        return Timing.TOO_EARLY
    if max_ns is not None and duration.least_ns > max_ns:
        return Timing.TOO_LATE
    is_late_enough = duration.least_ns >= window.min_ns
    is_early_enough = max_ns is None or (most_ns is not None and most_ns <= max_ns)
    return Timing.IN_TIME if is_late_enough and is_early_enough else Timing.UNDECIDED


def ahead(first: Span, second: Span, delay: Window) -> Span:
    """Return by how much the second clock is ahead of the first, from one event seen by both.

    `first` and `second` are when each clock says that it was; `delay` is how long after the first
    the second sees it. Without an end of the delay there is no lower end: the span is then as long
    as the delay is unknown, which nothing contradicts; such a delay is refused by the site file.
    """
    max_ns = delay.min_ns if delay.max_ns is None else delay.max_ns
    return Span(
        second.earliest_ns - first.latest_ns - max_ns,
        second.latest_ns - first.earliest_ns - delay.min_ns,
    )


def contradiction_ns(found: Span, claim_ns: int) -> int:
    """Return how far an interval lies outside +-`claim_ns`: signed, 0 if they meet."""
    if found.earliest_ns > claim_ns:
        return found.earliest_ns - claim_ns
    return min(0, found.latest_ns + claim_ns)


@final
class Automaton:
    """The transitions of a machine; of two between the same states the last one counts."""

    def __init__(self, transitions: Iterable[Transition]) -> None:
        self._windows: dict[str, dict[str, Window]] = {}
        for each in transitions:
            self._windows.setdefault(each.before, {})[each.after] = each.window

    def following(self, state: str) -> tuple[str, ...]:
        """Return the states that may follow, in the order in which they were given."""
        return tuple(self._windows.get(state, ()))

    def longest_ns(self, state: str) -> int | None:
        """Return how long a state may last; None if for ever, or if nothing may follow it."""
        ends = [window.max_ns for window in self._windows.get(state, {}).values()]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None

    def passed(
        self, before: str, after: str, duration: Lasted, gap: Span, *, is_usual: bool = True
    ) -> Passage:
        """Judge a change of state; `gap` is the interval in which it happened.

        `is_usual`: samples come that far apart as a rule.
        """
        window = self._windows.get(before, {}).get(after)
        room_ns = gap.latest_ns - gap.earliest_ns
        if window is None:
            through = self._way(before, after, room_ns)[1]
            verdict = Timing.UNDECIDED if through else Timing.WRONG_ORDER
            return Passage(verdict, duration, None, through)
        through = self.unseen(before, after, room_ns, is_usual=is_usual)
        if through and window != Window():
            return Passage(Timing.UNDECIDED, duration, window, through)
        return Passage(timing(duration, window), duration, window)

    def unseen(self, before: str, after: str, room_ns: int, *, is_usual: bool) -> tuple[str, ...]:
        """Return the states between two through which it may have gone although it need not."""
        spent_ns, through = self._way(before, after, room_ns)
        return () if is_usual and spent_ns == 0 else through

    def _way(self, before: str, after: str, room_ns: int) -> tuple[int, tuple[str, ...]]:
        """Return the states between two on the way with the shortest stays, if these fit in.

        There is one between them at least; `before` and `after` may be the same, and may be passed
        once more. With them comes the time that is spent between. Dijkstra (1959); what counts is
        the shortest time in each state between, not in the first.
        """
        best: dict[str, int] = {}
        waiting: list[tuple[int, tuple[str, ...]]] = [(0, (before,))]
        while waiting:
            spent_ns, path = heapq.heappop(waiting)
            state = path[-1]
            if state == after and len(path) > 2:
                return spent_ns, path[1:-1]
            is_first = len(path) == 1
            if not is_first and best.get(state, spent_ns + 1) <= spent_ns:
                continue
            if not is_first:
                best[state] = spent_ns
            for following, window in self._windows.get(state, {}).items():
                stay_ns = spent_ns + (0 if is_first else window.min_ns)
                if following != state and stay_ns <= room_ns:
                    heapq.heappush(waiting, (stay_ns, (*path, following)))
        return 0, ()
