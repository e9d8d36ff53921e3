"""Whose clock stepped: a source's, or the gateway's?

An offset is the difference of two clocks, so one source alone cannot tell. When the gateway's clock
steps, the offsets of all sources step by the same amount between two of its readings; that two
crystals do so by themselves is not believable. A step waits until every other source that answers
has been asked since, `WAIT_NS` at most; then

    half of the others, and one at least, stepped alike   common: the gateway's, or a time server's
    else                                                  the source's

Rates that change together are told in the same way (`is_rate`), in ppm. One exchange does not show
a rate, so all that answer are waited for `RATE_WAIT_NS`, and all of them count.
Which of the common ones it is, the gateway's machine knows (stages/sync_gateway.py).

Alike: the sizes differ by less than their expanded uncertainties (En <= 1; ISO 13528, 9.7).
Promises: bounded by the number of sources; every step that is noted is decided once.
Left to others: asking the sources (stages/sync.py).
"""

import math
from typing import Final, NamedTuple, final

WAIT_NS: Final = 5_000_000_000
"""An answer takes less over any link whose time is worth checking."""
RATE_WAIT_NS: Final = 30_000_000_000
"""One exchange shows a step and not a rate: sources find a change of it so far apart."""
_RATE_RATIO: Final = 1.5
"""A rate is told while it is still being found: two within this are of one size."""


class Step(NamedTuple):
    """A step of `gateway - source` that was found with one source."""

    source: str
    since_ns: int
    found_ns: int
    size_ns: float
    deviation_ns: float


class Decision(NamedTuple):
    """Whose it was."""

    is_common: bool
    """Whether several stepped alike: it was none of theirs alone."""
    steps: tuple[Step, ...]
    """All that are alike if it is common, else the one."""
    asked: int
    """Other sources that were heard since."""


@final
class StepPeers:
    """Steps, or changes of rate, that wait for what the other sources say."""

    def __init__(self, *, is_rate: bool = False) -> None:
        self._is_rate = is_rate
        self._wait_ns = RATE_WAIT_NS if is_rate else WAIT_NS
        self._heard_ns: dict[str, int] = {}
        self._waiting: dict[str, Step] = {}
        self._asked: dict[str, set[str]] = {}
        """By waiting step: the other sources whose clocks have been looked at since."""

    @property
    def is_waiting(self) -> bool:
        """Tell whether a step is undecided, so that every source should be asked now."""
        return bool(self._waiting)

    def heard(self, source: str, at_ns: int, *, is_sure: bool) -> None:
        """Take note of an exchange with a source; `is_sure`: it is clear whether it stepped."""
        self._heard_ns[source] = at_ns
        if is_sure and not self._is_rate:
            for name, asked in self._asked.items():
                if name != source:
                    asked.add(source)

    def stepped(self, step: Step) -> None:
        """Take note of a step; that of another source is an answer to all that wait."""
        self._heard_ns[step.source] = step.found_ns
        for name, asked in self._asked.items():
            if name != step.source:
                asked.add(step.source)
        self._asked[step.source] = set(self._waiting)
        self._waiting[step.source] = step

    def drop(self) -> None:
        """Forget all that waits: it is known by other means what it was."""
        self._waiting.clear()
        self._asked.clear()

    def decide(self, now_ns: int, alive_ns: int) -> list[Decision]:
        """Return what is decided; sources not heard for `alive_ns` are not waited for."""
        decisions = []
        for name, step in list(self._waiting.items()):
            if name not in self._waiting:
                continue
            asked = self._asked[name]
            others = {
                source for source, at_ns in self._heard_ns.items()
                if source != name and abs(now_ns - at_ns) <= alive_ns
            }  # fmt: skip
            if others - asked and abs(now_ns - step.found_ns) < self._wait_ns:
                continue
            alike = [other for other in self._waiting.values() if self._are_alike(step, other)]
            count = len(others if self._is_rate else asked)
            is_common = len(alike) >= 2 and 2 * (len(alike) - 1) >= count
            steps = tuple(alike) if is_common else (step,)
            for done in steps:
                del self._waiting[done.source], self._asked[done.source]
            decisions.append(Decision(is_common, steps, count))
        return decisions

    def _are_alike(self, one: Step, other: Step) -> bool:
        """Tell whether two are of one size, the same one included."""
        if self._is_rate and one.size_ns * other.size_ns > 0:
            sizes = sorted((abs(one.size_ns), abs(other.size_ns)))
            return sizes[1] <= _RATE_RATIO * sizes[0] or _is_within(one, other)
        return _is_within(one, other)


def _is_within(one: Step, other: Step) -> bool:
    """Tell whether two sizes differ by less than their expanded uncertainties (En <= 1)."""
    uncertainty = 2.0 * math.hypot(one.deviation_ns, other.deviation_ns)
    return abs(one.size_ns - other.size_ns) <= uncertainty or one is other
