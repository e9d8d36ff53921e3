"""Values that are states of a machine become `TimedEvent`s: was it the right one, at a right time?

A signal whose values are numbers of states is followed sample by sample. Between the last sample
of the old state and the first of the new one lies the change; its bound grows by that gap. What
happened is held against the automaton of the site file by interval arithmetic
(`models/timed_events.py`), so "too late" is said only if it is so for every time that is possible.

    first state heard   no event: nobody saw it begin, and how long it lasts is known from below
    a change            one event, with its timing
    window over         "missing", once, as soon as a sample shows that the state still lasts
    window over, silent "undecided", once: nothing came, so whether it happened is not known
    a gap with room     "undecided": it may have gone round through other states and come back, so
                        that the present stay began somewhere between its old beginning and now
    an unknown number   "wrong_order", under its number

Promises: a bad or missing value is no sample and ends no state, it only widens the gap; values that
come late are counted and change nothing; a clock that is set back starts the machine anew; one
machine's trouble stays its own. Memory is one state for each machine.
Left to others: two clocks that see one event (`anchors.py`).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, final

from gateway import status
from gateway.models.timed_events import (
    Automaton,
    Lasted,
    Passage,
    Span,
    Transition,
    Window,
    around,
    change,
    lasted,
    lasted_since,
)
from gateway.records import Aligned
from gateway.records_time import SyncCheck, TimedEvent, Timing
from gateway.stages.anchors import LATE_MAX, AnchorRule, Anchors, Instant

UNSEEN_BOUND_NS: Final = 10 * 365 * 86_400 * 1_000_000_000
"""Ten years, as `stages.sync` has it: the bound of a duration whose beginning nobody saw."""
UNKNOWN: Final = "unknown "
"""What a number is called that is no state, before the number itself."""
_SET_BACK_MIN_NS: Final = 1_000_000_000
"""The gateway's clock going back by less is jitter of hand-over, as in `stages/rows.py`."""
_SILENT_GAPS: Final = 2
"""So many usual gaps between samples without one are silence."""
_NS_PER_S: Final = 1_000_000_000


class Machine(NamedTuple):
    """What a site says about one machine."""

    name: str
    signal: str
    states: Mapping[int, str]
    transitions: tuple[Transition, ...]
    anchors: tuple[AnchorRule, ...] = ()


class _Seen(NamedTuple):
    """A sample of a state."""

    state: str
    item: Aligned
    span: Span


@final
class _Followed:
    """Where one machine is."""

    __slots__ = (
        "automaton", "entered", "first", "last", "late", "machine", "said", "sequence", "usual_ns",
    )  # fmt: skip

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.automaton = Automaton(machine.transitions)
        self.sequence = 0
        self.forget()

    def forget(self) -> None:
        """Know nothing of the state; the numbering goes on."""
        self.last: _Seen | None = None
        self.first: _Seen | None = None
        """The first sample of the present state, if nobody saw it begin."""
        self.entered: Span | None = None
        """When the present state was entered; None if nobody saw that."""
        self.usual_ns = 0
        """Gap between samples as it usually is; 0 while there was none."""
        self.late = 0
        """Values in a row that came late."""
        self.said: Timing | None = None
        """What was said of the present state lasting too long."""

    def state_of(self, value: float) -> str:
        """Return the state that a value means; one that the site does not name has its number."""
        known = self.machine.states.get(round(value)) if value == round(value) else None
        return f"{UNKNOWN}{value:g}" if known is None else known

    def is_usual(self, gap_ns: int) -> bool:
        """Tell whether samples come that far apart as a rule."""
        return gap_ns <= _SILENT_GAPS * self.usual_ns

    def gap(self, gap_ns: int) -> None:
        """Learn from a gap; a silence doubles what is usual at most."""
        if gap_ns > 0:
            self.usual_ns = min(gap_ns, 2 * self.usual_ns) if self.usual_ns else gap_ns

    def window_over(self) -> Span | None:
        """Return when the present state should have ended; None if it may last."""
        if self.last is None or self.entered is None or self.said is Timing.MISSING:
            return None
        longest_ns = self.automaton.longest_ns(self.last.state)
        if longest_ns is None:
            return None
        return Span(self.entered.earliest_ns + longest_ns, self.entered.latest_ns + longest_ns)

    def event(self, at: Span, after: str, passage: Passage, text: str) -> TimedEvent:
        """Make the next event of this machine."""
        before = "" if self.last is None else self.last.state
        elapsed_s, elapsed_bound_s = _seconds(passage.lasted)
        event = TimedEvent(
            machine=self.machine.name,
            time_ns=at.time_ns,
            bound_ns=at.bound_ns,
            before=before,
            after=after,
            timing=passage.timing,
            elapsed_s=elapsed_s,
            elapsed_bound_s=elapsed_bound_s,
            text=text,
            sequence=self.sequence,
        )
        self.sequence += 1
        return event


@final
class Events:
    """Follows the machines of a site."""

    def __init__(self, machines: Iterable[Machine]) -> None:
        followed = [_Followed(machine) for machine in machines]
        self._of_signal: dict[str, list[_Followed]] = {}
        for each in followed:
            self._of_signal.setdefault(each.machine.signal, []).append(each)
        self._anchors = Anchors(rule for each in followed for rule in each.machine.anchors)
        self._now_ns: int | None = None
        self.counts: Counter[str] = Counter()
        """Values that were no sample (unusable), came late, or showed a clock set back."""

    @property
    def anchor_counts(self) -> Mapping[str, int]:
        """Return how many events of anchors found their partner (pairs) or none (unpaired)."""
        return dict(self._anchors.counts)

    def feed(self, item: Aligned, now_ns: int, /) -> list[TimedEvent]:
        """Take a value; return the events that it shows."""
        self._follow(now_ns)
        self._anchors.feed(item, now_ns)
        events: list[TimedEvent] = []
        for followed in self._of_signal.get(item.signal, ()):
            if status.is_bad(item.status) or not math.isfinite(item.value):
                self.counts["unusable"] += 1
                continue
            events += self._take(followed, item, now_ns)
        return events

    def tick(self, now_ns: int, /) -> list[TimedEvent]:
        """Return events that should have come by now, where nothing comes at all."""
        self._follow(now_ns)
        self._anchors.tick(now_ns)
        return [
            event
            for machines in self._of_signal.values()
            for followed in machines
            for event in _silent(followed, now_ns)
        ]

    def findings(self) -> list[SyncCheck]:
        """Return what anchors found out about clocks since the last call."""
        return self._anchors.findings()

    def _follow(self, now_ns: int) -> None:
        """Start anew if the gateway's clock was set back."""
        if self._now_ns is not None and self._now_ns - now_ns > _SET_BACK_MIN_NS:
            self._restart(each for machines in self._of_signal.values() for each in machines)
            self._now_ns = now_ns
        self._now_ns = now_ns if self._now_ns is None else max(self._now_ns, now_ns)

    def _restart(self, machines: Iterable[_Followed]) -> None:
        """Forget where machines are."""
        self.counts["clock_set_back"] += 1
        for followed in machines:
            followed.forget()
            self._anchors.restart(followed.machine.name)

    def _take(self, followed: _Followed, item: Aligned, now_ns: int) -> list[TimedEvent]:
        """Take a sample of a machine."""
        seen = _Seen(followed.state_of(item.value), item, around(item.time_ns, item.bound_ns))
        if followed.last is not None and item.time_ns < followed.last.item.time_ns:
            self.counts["late"] += 1
            followed.late += 1
            if followed.late < LATE_MAX:
                return []
            self._restart([followed])
        followed.late = 0
        last = followed.last
        events: list[TimedEvent] = []
        if last is None:
            followed.first = followed.last = seen
        else:
            if seen.state != last.state:
                events = [self._changed(followed, last, seen, now_ns)]
            else:
                events = _still(followed, last, seen)
                followed.last = seen
            followed.gap(seen.item.time_ns - last.item.time_ns)
        self._anchors.heard(followed.machine.name, item.time_ns, now_ns)
        return events

    def _changed(self, followed: _Followed, last: _Seen, seen: _Seen, now_ns: int) -> TimedEvent:
        """Judge a change of state and go on with the new one."""
        at = change(last.span, seen.span)
        first = last if followed.first is None else followed.first
        entered = followed.entered
        duration = lasted_since(first.span, at) if entered is None else lasted(entered, at)
        is_usual = followed.is_usual(seen.item.time_ns - last.item.time_ns)
        passage = followed.automaton.passed(last.state, seen.state, duration, at, is_usual=is_usual)
        if last.state not in followed.machine.states.values():
            passage = passage._replace(timing=Timing.UNDECIDED)
        event = followed.event(at, seen.state, passage, _text(followed, seen.state, passage))
        claim_ns = max(last.item.bound_ns, seen.item.bound_ns)
        raw = Span(last.item.time_ns, seen.item.time_ns)
        instant = Instant(raw, claim_ns, seen.item.source)
        self._anchors.entered(followed.machine.name, seen.state, instant, now_ns)
        followed.last, followed.entered, followed.said = seen, at, None
        return event


def _still(followed: _Followed, last: _Seen, seen: _Seen) -> list[TimedEvent]:
    """Return the event that is missing, if a sample shows that its window is over.

    If the gap had room to go round, the present stay may have begun in it.
    """
    over, entered = followed.window_over(), followed.entered
    through = followed.automaton.unseen(
        last.state,
        seen.state,
        seen.span.latest_ns - last.span.earliest_ns,
        is_usual=followed.is_usual(seen.item.time_ns - last.item.time_ns),
    )
    events: list[TimedEvent] = []
    if over is not None and entered is not None and seen.span.earliest_ns > over.latest_ns:
        duration = lasted(entered, seen.span)
        if not through:
            events = [_overdue(followed, over, Passage(Timing.MISSING, duration, None), "")]
        elif followed.said is None:
            more = f"; it may have gone through {', '.join(through)} and come back unseen"
            passage = Passage(Timing.UNDECIDED, duration, None, through)
            events = [_overdue(followed, over, passage, more)]
    if through:
        followed.first = seen
        if entered is not None:
            latest_ns = max(entered.latest_ns, seen.span.latest_ns)
            followed.entered = Span(entered.earliest_ns, latest_ns)
    return events


def _silent(followed: _Followed, now_ns: int) -> list[TimedEvent]:
    """Return the event of which nobody can say whether it came, once."""
    over = followed.window_over()
    if over is None or followed.entered is None or followed.last is None or followed.said:
        return []
    if (
        now_ns
        <= max(over.latest_ns, followed.last.span.latest_ns) + _SILENT_GAPS * followed.usual_ns
    ):
        return []
    heard_ns = followed.last.item.time_ns
    silence = f"; nothing has come for {(now_ns - heard_ns) / _NS_PER_S:.1f} s, so it may have come"
    duration = lasted(followed.entered, around(now_ns, 0))
    passage = Passage(Timing.UNDECIDED, duration, None)
    return [_overdue(followed, over, passage, silence)]


def _overdue(followed: _Followed, over: Span, passage: Passage, more: str) -> TimedEvent:
    """Say that the present state should have ended."""
    followed.said = passage.timing
    before = "" if followed.last is None else followed.last.state
    after = " or ".join(followed.automaton.following(before))
    text = (
        f"{followed.machine.name} should have left {before} for {after} by now: it may last "
        f"{(followed.automaton.longest_ns(before) or 0) / _NS_PER_S:g} s and has lasted "
        f"{_duration(passage.lasted)}{more}"
    )
    return followed.event(over, after, passage, text)


_SAID: Final = {
    Timing.IN_TIME: "in time",
    Timing.TOO_EARLY: "too early",
    Timing.TOO_LATE: "too late",
    Timing.WRONG_ORDER: "this machine has no such transition",
    Timing.UNDECIDED: "undecided, an edge lies inside what is not known of the time",
}


def _text(followed: _Followed, after: str, passage: Passage) -> str:
    """Say a change of state in words."""
    before = "" if followed.last is None else followed.last.state
    said = f"{followed.machine.name} went from {before} to {after} after "
    said += _duration(passage.lasted)
    if passage.through:
        way = ", ".join(passage.through)
        return f"{said}; it may have gone through {way} between two samples: undecided"
    if before not in followed.machine.states.values():
        return f"{said}; the site file does not name the state before: undecided"
    allowed = "" if passage.window is None else f", allowed is {_window(passage.window)}"
    return f"{said}{allowed}: {_SAID[passage.timing]}"


def _seconds(duration: Lasted) -> tuple[float, float]:
    """Return a duration and its hard bound in seconds."""
    if duration.most_ns is None:
        return duration.least_ns / _NS_PER_S, UNSEEN_BOUND_NS / _NS_PER_S
    middle_ns = (duration.least_ns + duration.most_ns) / 2
    return middle_ns / _NS_PER_S, (duration.most_ns - duration.least_ns) / 2 / _NS_PER_S


def _duration(duration: Lasted) -> str:
    """Write a duration down."""
    if duration.most_ns is None:
        return f"{duration.least_ns / _NS_PER_S:.3f} s or more"
    elapsed_s, bound_s = _seconds(duration)
    return f"{elapsed_s:.3f} s +- {bound_s:.3f} s"


def _window(window: Window) -> str:
    """Write a window down."""
    if window.max_ns is None:
        return f"{window.min_ns / _NS_PER_S:g} s or more"
    return f"{window.min_ns / _NS_PER_S:g} s to {window.max_ns / _NS_PER_S:g} s"
