"""The clock of one boot of one node: what is certain about it, and what is probable.

    gateway_time = node_time + offset(t)

Promises: `bound_ns` is hard (models/clock.py), `uncertainty_ns` is expanded with k = 2 and never
above the bound, and the estimate lies inside the hard interval. An exchange or an arrival that
contradicts the hard interval is told and changes nothing: whoever asks decides with `restart`.
Left to others: what a surprise means (models/clock_checks.py), boots, probes (stages/sync.py).
"""

import math
from enum import StrEnum
from typing import Final, NamedTuple, final

from gateway.models.clock import OffsetInterval

ASYMMETRY_DEVIATION: Final = 0.25
"""Standard deviation of (up - down) / (up + down) of the shortest path; see ADR 0029."""


class Crystal(NamedTuple):
    """What is known of an oscillator before it is measured."""

    drift_ppm: float
    """Hard: largest rate difference to the gateway's clock."""
    wander_ppm_per_s: float = 0.01
    """Standard deviation of how fast that rate changes (temperature)."""
    tick_ns: int = 1_000
    """One step of the node's clock, which is read off truncated."""


class ExchangeVerdict(StrEnum):
    """What became of a two-way exchange."""

    USED = "used"
    NEGATIVE_DELAY = "negative_delay"
    """It ended before it began on one of the clocks, or its delay is below zero."""
    CONTRADICTION = "contradiction"
    """Possible in itself, and impossible with what was known."""
    ABSURD = "absurd"
    """A stamp that no clock shows: negative, or beyond 2^63 ns."""


class Exchange(NamedTuple):
    """One two-way exchange, held against what was known before it."""

    verdict: ExchangeVerdict
    at_ns: int
    """Gateway time of the answer, T4."""
    offset_ns: int
    """Offset by this exchange alone, ((T1 - T2) + (T4 - T3)) / 2: gateway minus node."""
    delay_ns: int
    """(T4 - T1) - (T3 - T2)."""
    shortest_delay_ns: int
    """Least delay of the recent exchanges, this one included."""
    innovation_ns: float
    """`offset_ns` minus its prediction; 0 for the first one."""
    innovation_deviation_ns: float
    """Standard deviation expected of it; infinite for the first one."""
    skew_innovation_ppm: float
    """Rate over the recent window alone minus the predicted one."""
    skew_innovation_deviation_ppm: float
    """Standard deviation expected of it; infinite while the window is too short."""
    contradiction_ns: int
    """How far its interval lies above (+) or below (-) the carried one; 0 if they meet."""
    up_excess_ns: float
    """T4 - T3 above the fitted shortest way node -> gateway; negative: below it."""
    down_excess_ns: float
    """T2 - T1 above the fitted shortest way gateway -> node; negative: below it."""


class ArrivalVerdict(StrEnum):
    """What became of the arrival of a frame."""

    USED = "used"
    UNKNOWN = "unknown"
    """No exchange yet: nothing to hold it against."""
    SENT_AFTER_RECEIVED = "sent_after_received"
    ABSURD = "absurd"


class Arrival(NamedTuple):
    """The arrival of a frame, held against what was known before it."""

    verdict: ArrivalVerdict
    excess_ns: float
    """Delay above the fitted shortest way node -> gateway; 0 while that is unknown."""
    contradiction_ns: int
    """By how much it came before it can have been sent, negative; 0 if it did not."""


class PlacedTime(NamedTuple):
    """A node time on the gateway's timeline."""

    time_ns: int
    bound_ns: int
    uncertainty_ns: int


class ClockBelief(NamedTuple):
    """What is known of the clock at some moment."""

    offset_ns: int
    bound_ns: int
    uncertainty_ns: int
    skew_ppm: float
    skew_uncertainty_ppm: float
    delay_ns: int
    """Shortest recent round trip."""


_STAMP_END_NS: Final = 1 << 63


@final
class NodeClock:
    """The clock of one boot of one node; see the module."""

    __slots__ = ("_delay_ns", "_interval", "asymmetry", "crystal")

    def __init__(self, crystal: Crystal, *, asymmetry: float = ASYMMETRY_DEVIATION) -> None:
        self.crystal = crystal
        self.asymmetry = asymmetry
        self._interval = OffsetInterval(crystal.drift_ppm, crystal.tick_ns)
        self._delay_ns = 0

    @property
    def is_known(self) -> bool:
        """Tell whether an exchange has been used since the start."""
        return self._interval.is_known

    def restart(self) -> None:
        """Forget everything: the clock stepped, or is another one."""
        self._interval = OffsetInterval(self.crystal.drift_ppm, self.crystal.tick_ns)

    def exchange(self, t1_ns: int, t2_us: int, t3_us: int, t4_ns: int) -> Exchange:
        """Take one two-way exchange; only a verdict of USED changes what is known."""
        offset_ns = (t1_ns - t2_us * 1000 + t4_ns - t3_us * 1000) // 2
        delay_ns = t4_ns - t1_ns - (t3_us - t2_us) * 1000
        verdict, contradiction_ns = ExchangeVerdict.USED, 0
        if min(t1_ns, t2_us, t3_us, t4_ns) < 0 or max(t4_ns, t3_us * 1000) >= _STAMP_END_NS:
            verdict = ExchangeVerdict.ABSURD
        elif t4_ns < t1_ns or t3_us < t2_us or delay_ns < -1000:
            verdict = ExchangeVerdict.NEGATIVE_DELAY
        else:
            contradiction_ns = self._interval.contradiction_ns(t1_ns, t2_us, t3_us, t4_ns)
            if contradiction_ns:
                verdict = ExchangeVerdict.CONTRADICTION
        belief = self.at(t4_ns)
        innovation_ns, deviation_ns = 0.0, math.inf
        if belief is not None:
            innovation_ns = float(offset_ns - belief.offset_ns)
            deviation_ns = math.hypot(belief.uncertainty_ns / 2, delay_ns / 4)
        if verdict is ExchangeVerdict.USED:
            self._interval.exchange(t1_ns, t2_us, t3_us, t4_ns)
            self._delay_ns = delay_ns
        return Exchange(
            verdict, t4_ns, offset_ns, delay_ns, self._delay_ns, innovation_ns, deviation_ns,
            0.0, math.inf, contradiction_ns, 0.0, 0.0,
        )  # fmt: skip

    def arrival(self, sent_us: int, received_ns: int) -> Arrival:
        """Take the arrival of any frame; only a verdict of USED changes what is known."""
        if sent_us < 0 or received_ns < 0 or max(received_ns, sent_us * 1000) >= _STAMP_END_NS:
            return Arrival(ArrivalVerdict.ABSURD, 0.0, 0)
        if not self.is_known:
            return Arrival(ArrivalVerdict.UNKNOWN, 0.0, 0)
        early_ns = self._interval.early_ns(sent_us, received_ns)
        if early_ns:
            return Arrival(ArrivalVerdict.SENT_AFTER_RECEIVED, 0.0, -early_ns)
        self._interval.arrival(sent_us, received_ns)
        return Arrival(ArrivalVerdict.USED, 0.0, 0)

    def time_of(self, tick_us: int) -> PlacedTime | None:
        """Return when the node's clock stood at `tick_us`; None while unknown."""
        placed = self._interval.time_of(tick_us)
        return None if placed is None else PlacedTime(*placed, placed[1])

    def at(self, now_ns: int) -> ClockBelief | None:
        """Return what is known of the clock at gateway time `now_ns`; None while unknown."""
        offset = self._interval.at(now_ns)
        if offset is None:
            return None
        drift_ppm = self.crystal.drift_ppm
        return ClockBelief(*offset, offset.bound_ns, 0.0, drift_ppm, self._delay_ns)
