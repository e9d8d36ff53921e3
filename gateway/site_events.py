"""[[machines]] of `site.toml`: state machines of the plant, their order and their timing.

    [[machines]]
    name = "run-state"
    signal = "plc:run-state"
    states = { stopped = 0, starting = 1, running = 2, tripped = 3 }
    transitions = [
      { before = "stopped", after = "starting" },
      { before = "starting", after = "running", min_s = 2.0, max_s = 10.0 },
    ]
    anchors = [{ state = "running", signal = "pump-b:current", above = 0.6, delay_s = [0.0, 0.5] }]

A window says how long the state before lasts. An anchor is the same event seen by a second source,
so that the clocks of the two can be held against each other.

Promises: every finding says what to write instead. Left to others: whether the signals exist is a
rule between tables (`machine_problems`), what comes of it all (`stages/events.py`).
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final

from pydantic import Field, model_validator

from gateway.clock import NS_PER_S
from gateway.models.timed_events import Transition, Window
from gateway.site_fields import Finite, Name, NotEmpty, Positive, Table
from gateway.site_rules import RawTable, hint, tables
from gateway.stages.anchors import AnchorRule
from gateway.stages.events import UNKNOWN, Machine

STATES_MAX: Final = 64
"""More are no states but a number; the way through unseen ones is searched among them."""
_NOT_NEGATIVE: Final = Field(ge=0, le=31_536_000)
"""Seconds, a year at most."""
Seconds = Annotated[float, _NOT_NEGATIVE]


class TransitionSettings(Table):
    """[[machines.transitions]] One state may follow another."""

    before: str
    after: str
    min_s: Seconds = 0.0
    """The state before lasts at least so long,"""
    max_s: Seconds | None = None
    """and at most so long; default: without end."""

    @model_validator(mode="after")
    def _is_window(self) -> "TransitionSettings":
        if self.max_s is not None and self.max_s < self.min_s:
            raise ValueError(f"max_s = {self.max_s} is below min_s = {self.min_s}; exchange them")
        if self.before == self.after:
            raise ValueError(
                f"before and after are both {self.before!r}, and staying shows no change; leave it "
                "out, and give the transitions out of that state a max_s"
            )
        return self


class AnchorSettings(Table):
    """[[machines.anchors]] Another source sees the same event."""

    state: str
    """Entering it is the event."""
    signal: str
    """Signal of another source that crosses a level then."""
    above: Finite | None = None
    below: Finite | None = None
    delay_s: Annotated[tuple[Seconds, Seconds], Field(strict=False)] = (0.0, 0.0)
    """How long after the change of state it crosses, at least and at most."""
    within_s: Positive = 60.0
    """What lies further apart is not taken for the same event, nor is a silent source waited for
    any longer."""

    @model_validator(mode="after")
    def _has_level(self) -> "AnchorSettings":
        if (self.above is None) == (self.below is None):
            raise ValueError("wants one level; write either above = .. or below = ..")
        if self.delay_s[0] > self.delay_s[1]:
            raise ValueError(f"delay_s = {list(self.delay_s)}; write [least, most]")
        if self.delay_s[1] > self.within_s:
            raise ValueError(
                f"delay_s = {list(self.delay_s)} goes beyond within_s = {self.within_s}, so that "
                f"no late one is the same event; write within_s = {2 * self.delay_s[1]:g} or more"
            )
        return self


class MachineSettings(Table):
    """[[machines]] A state machine whose events are held against their order and timing."""

    name: Name
    signal: str
    """Resolved name of the signal whose values are numbers of states."""
    states: Annotated[dict[str, int], Field(min_length=2, max_length=STATES_MAX)]
    """Names and numbers."""
    transitions: Annotated[tuple[TransitionSettings, ...], Field(strict=False), NotEmpty]
    anchors: Annotated[tuple[AnchorSettings, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _states_are_known(self) -> "MachineSettings":
        numbers = list(self.states.values())
        twice = sorted({number for number in numbers if numbers.count(number) > 1})
        if twice:
            raise ValueError(f"states: {twice[0]} is the number of two states; give each its own")
        named = [(f"transitions[{i}].before", t.before) for i, t in enumerate(self.transitions)]
        named += [(f"transitions[{i}].after", t.after) for i, t in enumerate(self.transitions)]
        named += [(f"anchors[{i}].state", a.state) for i, a in enumerate(self.anchors)]
        for where, state in named:
            if state not in self.states:
                raise ValueError(f"{where}: {state!r} is no state; {hint(state, [*self.states])}")
        return self

    @model_validator(mode="after")
    def _says_nothing_twice(self) -> "MachineSettings":
        for state in self.states:
            if state.casefold().startswith(UNKNOWN):
                raise ValueError(
                    f"states: {state!r} is what a number without a name is called; choose another"
                )
        ways = [(each.before, each.after) for each in self.transitions]
        for i, way in enumerate(ways):
            if (first := ways.index(way)) < i:
                raise ValueError(
                    f"transitions[{i}]: from {way[0]} to {way[1]} is already transitions[{first}], "
                    "and only one window can hold; keep one of the two"
                )
        seen = [(each.state, each.signal) for each in self.anchors]
        for i, anchor in enumerate(seen):
            if (first := seen.index(anchor)) < i:
                raise ValueError(
                    f"anchors[{i}]: {anchor[1]!r} at {anchor[0]} is already anchors[{first}], and "
                    "one crossing is one event; keep one of the two"
                )
        return self

    @model_validator(mode="after")
    def _anchors_have_two_clocks(self) -> "MachineSettings":
        for i, anchor in enumerate(self.anchors):
            if _source(anchor.signal) == _source(self.signal):
                raise ValueError(
                    f"anchors[{i}].signal: {anchor.signal!r} is of the same source as the machine, "
                    "so one clock would be held against itself; name a signal of another source"
                )
        return self

    def machine(self) -> Machine:
        """Return what the stage wants to know."""
        return Machine(
            name=self.name,
            signal=self.signal,
            states={number: state for state, number in self.states.items()},
            transitions=tuple(
                Transition(each.before, each.after, _window(each.min_s, each.max_s))
                for each in self.transitions
            ),
            anchors=tuple(
                AnchorRule(
                    machine=self.name,
                    state=each.state,
                    signal=each.signal,
                    level=_level(each),
                    is_rising=each.above is not None,
                    delay=_window(*each.delay_s),
                    within_ns=round(each.within_s * NS_PER_S),
                )
                for each in self.anchors
            ),
        )


def machine_problems(data: RawTable, signals: Sequence[str]) -> Iterable[str]:
    """Check what needs the rest of the file: names used twice, signals that do not exist."""
    first: dict[str, int] = {}
    for i, row in tables(data.get("machines")):
        name = row.get("name")
        if isinstance(name, str) and first.setdefault(name.casefold(), i) != i:
            earlier = first[name.casefold()]
            yield (
                f"machines[{i}].name: {name!r} is already the name of machines[{earlier}]; "
                "choose another"
            )
        named = [(f"machines[{i}].signal", row.get("signal"))]
        named += [
            (f"machines[{i}].anchors[{j}].signal", anchor.get("signal"))
            for j, anchor in tables(row.get("anchors"))
        ]
        for where, signal in named:
            if isinstance(signal, str) and signal not in signals:
                yield f"{where}: {signal!r} is no signal of this site; {hint(signal, signals)}"


def _source(signal: str) -> str:
    """Return the source in a resolved name."""
    return signal.partition(":")[0]


def _window(min_s: float, max_s: float | None) -> Window:
    """Return a window in nanoseconds."""
    end_ns = None if max_s is None else round(max_s * NS_PER_S)
    return Window(round(min_s * NS_PER_S), end_ns)


def _level(anchor: AnchorSettings) -> float:
    """Return the one level of an anchor."""
    level = anchor.below if anchor.above is None else anchor.above
    return 0.0 if level is None else level
