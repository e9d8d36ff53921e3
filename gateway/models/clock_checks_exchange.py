"""All that one source's exchanges say about its clock and its path, in the order it is asked.

    1. the round trip: what of it is queueing, and is one way slower than it was?
    2. the offset, less half of a one-sided delay that is known: did the clock step, did its rate
       change, was one stamp false?
    3. the rate: is it beyond what the crystal may do?

Promises: one call for each exchange, verdicts with size and deviation, nothing decided twice: an
offset that a delay explains is no step, nor what a change of the round trip explains (then the
clock is followed and nothing is told). While a path is longer on one way, steps are still found.
A rate is beyond its class when it is so by more deviations than chance explains, and within it
again when its best estimate is. Left to others: hard contradictions (models/node_clock.py).
"""

import math
from enum import StrEnum
from typing import Final, NamedTuple, final

from gateway.models.clock_checks import Change, ChangeKind, ClockChanges, evidence_limit
from gateway.models.clock_checks_delay import ExtraDelay, OneSidedDelay, ShortestDelay
from gateway.models.clock_checks_path import RecentTrips
from gateway.models.node_clock import LONGER, Crystal

_DAY_S: Final = 86_400.0
_LOOKS: Final = 8
"""Lengths of a run of slow exchanges that count as independent looks."""

_SURE: Final = 2.0
"""Deviations by which the size of a one-sided delay may be off."""


class ExchangeFinding(StrEnum):
    """What an exchange may bring to light."""

    STEP = "step"
    SKEW_CHANGE = "skew_change"
    FALSE_STAMP = "false_stamp"
    ASYMMETRY = "asymmetry"
    ASYMMETRY_OVER = "asymmetry_over"
    BEYOND_CLASS = "beyond_class"
    WITHIN_CLASS = "within_class"


class Found(NamedTuple):
    """A finding, its size in ns or ppm, and the standard deviation of that."""

    finding: ExchangeFinding
    since_ns: int
    size: float
    """Of the source: positive if its clock leapt ahead, if it runs faster, if the way from it is
    the slower one."""
    deviation: float


_KINDS: Final = {
    ChangeKind.STEP: ExchangeFinding.STEP,
    ChangeKind.SKEW: ExchangeFinding.SKEW_CHANGE,
    ChangeKind.FALSE_STAMP: ExchangeFinding.FALSE_STAMP,
}


@final
class ExchangeChecks:
    """Watches the exchanges of one clock; set-points hold for one exchange in `period_s`."""

    def __init__(
        self,
        crystal: Crystal,
        *,
        false_alarms_per_day: float,
        period_s: float,
        asymmetry_min_ns: float,
    ) -> None:
        self._crystal = crystal
        self._limit = evidence_limit(false_alarms_per_day, period_s)
        chance = min(false_alarms_per_day * period_s / _DAY_S / _LOOKS, 0.01)
        self._asymmetry = chance, asymmetry_min_ns, period_s * 1e9
        self.restart()

    def restart(self) -> None:
        """Begin anew, as for another clock over another path."""
        chance, floor_ns, span_ns = self._asymmetry
        self._changes = ClockChanges(self._crystal, limit=self._limit)
        self._delay = OneSidedDelay(chance=chance, floor_ns=floor_ns, span_ns=span_ns)
        self._shortest = ShortestDelay(round(span_ns))
        self._trips = RecentTrips()
        self._is_beyond = False

    @property
    def is_suspect(self) -> bool:
        """Tell whether something has changed and it is not clear yet what."""
        return self._changes.is_suspect or self._delay.is_suspect

    @property
    def is_one_sided(self) -> bool:
        """Tell whether one way of the path is slower than it was."""
        return self._delay.found is not None

    def exchange(self, at_ns: int, offset_ns: int, delay_ns: int) -> list[Found]:
        """Take one exchange and return what it brings to light.

        at_ns: gateway time of the answer; offset_ns: gateway minus source by this exchange alone;
        delay_ns: its round trip.
        """
        if LONGER * delay_ns < self._shortest.least_ns < math.inf:
            # As in NodeClock: all before was waiting, and says nothing of the path.
            self.restart()
        extra = self._delay.found
        usual_ns, shift_ns = float(delay_ns), 0.0
        # A faster one than the slow way allows went the usual way; all it has may be queueing.
        if extra is not None and delay_ns >= self._shortest.least_ns + _least_extra_ns(extra):
            usual_ns -= abs(extra.size_ns)
            shift_ns = extra.size_ns / 2
        self._trips.take(at_ns, usual_ns)
        excess_ns = self._excess_ns(at_ns, usual_ns, extra)
        change = self._changes.exchange(at_ns, offset_ns - round(shift_ns), excess_ns)
        if extra is not None and change is not None and not _is_of_the_clock(change, extra):
            self._delay.forget()
            return [self._delayed(at_ns, extra)]
        is_told = change is not None and not self._trips.explain(change, at_ns)
        found = [_told(change)] if change is not None and is_told else []
        if self._delay.exchange(at_ns, delay_ns, self._changes.residual_ns):
            found.append(self._delayed(at_ns, extra))
        return found + self._rated(at_ns)

    def _excess_ns(self, at_ns: int, usual_ns: float, extra: ExtraDelay | None) -> float:
        """Return what of a round trip may be queueing; offsets over another path may differ."""
        shortest = self._shortest
        if extra is not None:
            # Too much may have been taken off for the slower way: that makes no shorter path.
            shortest.take(at_ns, max(usual_ns, shortest.least_ns), is_usual=False)
            return shortest.away_ns(usual_ns) + _SURE * extra.deviation_ns
        other_ns = shortest.shorter_ns(usual_ns)
        other_ns += shortest.take(at_ns, usual_ns)
        if other_ns > 0.0:
            self._changes.allow(other_ns / 2, shortest.window_s)
        return shortest.excess_ns(usual_ns)

    def _delayed(self, at_ns: int, before: ExtraDelay | None) -> Found:
        """Return that a one-sided delay has come or gone; the offset is less sure by its error."""
        extra = self._delay.found
        if extra is not None:
            self._changes.allow(extra.deviation_ns)
            return Found(ExchangeFinding.ASYMMETRY, *extra)
        size_ns, deviation_ns = (0.0, 0.0) if before is None else before[1:]
        self._changes.allow(deviation_ns)
        return Found(ExchangeFinding.ASYMMETRY_OVER, at_ns, size_ns, deviation_ns)

    def _rated(self, at_ns: int) -> list[Found]:
        """Return that the rate has left the class of the crystal, or come back."""
        if self.is_suspect or self.is_one_sided:
            # A step kicks the filter's rate until it is known to be one, and so does a delay.
            return []
        skew_ppm, deviation_ppm = self._changes.skew_ppm
        beyond_ppm = abs(skew_ppm) - self._crystal.drift_ppm
        if not self._is_beyond and beyond_ppm > self._limit * deviation_ppm:
            self._is_beyond = True
            finding = ExchangeFinding.BEYOND_CLASS
        elif self._is_beyond and beyond_ppm < 0.0:
            self._is_beyond = False
            finding = ExchangeFinding.WITHIN_CLASS
        else:
            return []
        return [Found(finding, at_ns, -skew_ppm, deviation_ppm)]


def _is_of_the_clock(change: Change, extra: ExtraDelay) -> bool:
    """Tell a change from the sign that a delay is not, or not any more, on one way.

    One exchange alone may have gone the usual way; and by half of the delay the offset leaps when
    what was taken off it was not there.
    """
    if change.kind is ChangeKind.FALSE_STAMP:
        return False
    away_ns = abs(abs(change.size) - abs(extra.size_ns) / 2)
    error_ns = math.hypot(change.deviation, extra.deviation_ns)
    return change.kind is not ChangeKind.STEP or away_ns > 3 * error_ns


def _least_extra_ns(extra: ExtraDelay) -> float:
    """Return what every exchange over the slower way takes longer."""
    return max(abs(extra.size_ns) - _SURE * extra.deviation_ns, 0.0)


def _told(change: Change) -> Found:
    """Return a change of gateway - source as one of the source."""
    return Found(_KINDS[change.kind], change.since_ns, -change.size, change.deviation)
