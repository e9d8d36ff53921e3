"""The clock of one boot of one node: what is certain about it, and what is probable.

    gateway_time = node_time + offset(t)

Certain is an interval (clock.py), hard as the limit of drift. Probable is a Kalman clock
(clock_kalman.py) that starts anew from the line under the recent delays (clock_hull.py) whenever
that one is surer. The middle between the shortest ways there and back is not yet the offset: by how
much one of them is longer, no stamp shows. With h half of the shortest round trip,

    offset = middle + A h,   A = (up - down) / (up + down) ~ N(0, asymmetry^2) cut to -1..1

so u^2 = u_middle^2 + (asymmetry h)^2, and the normal law is cut to the hard interval (ADR 0029).
A clock whose steps are coarse against the path is told from the interval alone (clock_coarse.py).

Promises: `bound_ns` is hard: the truth lies in estimate +- bound. `uncertainty_ns` is expanded with
k = 2 and never above the bound. The estimate lies inside the hard interval. An exchange or arrival
that contradicts the hard interval, or is impossible, is told and changes nothing: whoever asks
decides with `restart`. Arrivals narrow the hard interval and are not weighed in otherwise: frames
differ in length and may wait in a node for as long as they like. An exchange moves the estimate,
back as well: of two samples with one between them the later may get the earlier time (ADR 0029).
Left to others: what a surprise means (clock_checks.py), boots and probes (stages/sync.py), the
gateway's own distance to UTC (host_clock.py).
"""

import math
from enum import StrEnum
from typing import Final, NamedTuple, final

from gateway.models.clock import OffsetInterval
from gateway.models.clock_coarse import is_coarse, open_ns, rate_sureness
from gateway.models.clock_kalman import SHARPNESS_MAX, ClockKalman, Prediction
from gateway.models.clock_uncertainty import COVERAGE, Contribution, expanded, in_bounds, resolution
from gateway.models.clock_window import ClockWindow

ASYMMETRY_DEVIATION: Final = 0.25
"""Prior of A: with k = 2 one way may take up to three times as long as the other (ADR 0029)."""
_FIT_POINTS: Final = 32
"""Exchanges between two lines: one costs as much as three updates ..."""
_FIT_POINTS_YOUNG: Final = 8
_YOUNG: Final = 128
"""... and a quarter as many at first, where each line is much better than the one before."""
_FLOOR_TICKS: Final = 0.1
"""Least scale of delays that is believed, in steps of the clock: below that it cannot be seen."""
_NS_PER_S: Final = 1e9
_PPM: Final = 1_000.0
"""ns/s in one ppm."""


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
    """A stamp that no clock shows: negative, or beyond 2^63 ns; or an answer after an hour."""


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
    up_mean_ns: float
    """Mean excess of the way up, as learnt before."""
    down_mean_ns: float
    """Mean excess of the way down, as learnt before."""
    way_deviation_ns: float
    """How surely each shortest way was known: standard deviation of an excess from that alone."""


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


LONGER: Final = 8.0
"""If one round trip is so many times shorter than all before, those were all waiting: a node that
starts has much to say first. They tell nothing of the path, and the estimate starts from the one.
"""
_STAMP_END_NS: Final = 1 << 63
_DELAY_END_NS: Final = 3_600_000_000_000
"""An answer that took an hour is no answer: a clock was set meanwhile."""
_SURPRISE: Final = 5.0
"""The rate of a block alone, so many deviations from the believed one, takes its place: no
temperature does that (one block in a million if it were chance)."""
_BLUNT_SURPRISE: Final = 20.0
"""The same where delays have no sharp edge and a line claims too much."""
_SKEW_REACH: Final = 10.0
"""Lines are looked for up to so many times the class, so that a broken class is seen as such."""


@final
class NodeClock:
    """The clock of one boot of one node; see the module.

    `asymmetry` is the standard deviation of A. A polled clock that shows whole steps is a node as
    well: T2 = T3 = what it showed, with `Crystal.tick_ns` its step.
    """

    __slots__ = (
        "_base_ns", "_filter", "_interval", "_least_ns", "_origin_ns", "_skew_mark", "_used",
        "_window", "asymmetry", "crystal",
    )  # fmt: skip

    def __init__(self, crystal: Crystal, *, asymmetry: float = ASYMMETRY_DEVIATION) -> None:
        self.crystal = crystal
        self.asymmetry = asymmetry
        self.restart()

    @property
    def is_known(self) -> bool:
        """Tell whether an exchange has been used since the start."""
        return self._filter is not None

    @property
    def exchanges(self) -> int:
        """Exchanges used since the estimate started, or started anew after a long silence."""
        return self._used

    def restart(self) -> None:
        """Forget everything: the clock stepped, or is another one."""
        crystal = self.crystal
        self._interval = OffsetInterval(crystal.drift_ppm, crystal.tick_ns)
        self._filter: ClockKalman | None = None
        self._least_ns = math.inf
        self._origin_ns = self._base_ns = self._used = 0
        self._skew_mark = (0.0, math.inf)

    def exchange(self, t1_ns: int, t2_us: int, t3_us: int, t4_ns: int) -> Exchange:
        """Take one two-way exchange; only a verdict of USED changes what is known."""
        verdict, contradiction_ns = self._judge(t1_ns, t2_us, t3_us, t4_ns)
        up_ns = t4_ns - t3_us * 1000
        # The node's clock was read up to a step late: so the way down is at most this long.
        down_ns = t2_us * 1000 + self.crystal.tick_ns - t1_ns
        offset_ns, delay_ns = (up_ns - down_ns) // 2, t4_ns - t1_ns - (t3_us - t2_us) * 1000
        if verdict is ExchangeVerdict.USED:
            self._least_ns = min(self._least_ns, delay_ns)
        if self._filter is None:
            if verdict is not ExchangeVerdict.USED:
                return _unpredicted(verdict, t4_ns, offset_ns, delay_ns, contradiction_ns)
            self._interval.exchange(t1_ns, t2_us, t3_us, t4_ns)
            self._origin_ns, self._base_ns = (t1_ns + t4_ns) // 2, (up_ns - down_ns) // 2
            self._start(0.0, float(up_ns - self._base_ns), float(down_ns + self._base_ns))
            return _unpredicted(verdict, t4_ns, offset_ns, delay_ns, 0)
        # Offsets hold half a delay before T4 and after T1 alike: between them the skew cancels.
        time_s = ((t1_ns + t4_ns) // 2 - self._origin_ns) / _NS_PER_S
        up, down = float(up_ns - self._base_ns), float(down_ns + self._base_ns)
        expected = self._filter.at(time_s)
        told = self._filter.held_against(expected, up, down)
        skew_innovation = (0.0, math.inf)
        if verdict is ExchangeVerdict.USED:
            self._interval.exchange(t1_ns, t2_us, t3_us, t4_ns)
            # The filter takes them in order; one that was asked long ago narrows the interval only.
            if time_s >= self._filter.time_s:
                skew_innovation = self._learn(self._filter, expected, time_s, up, down)
        least_ns = round(self._window.least_ns) - self.crystal.tick_ns
        return Exchange(
            verdict, t4_ns, offset_ns, delay_ns, least_ns, *told[:2], *skew_innovation,
            contradiction_ns, *told[2:],
        )  # fmt: skip

    def arrival(self, sent_us: int, received_ns: int) -> Arrival:
        """Take the arrival of any frame; only a verdict of USED changes what is known."""
        if min(sent_us, received_ns) < 0 or max(received_ns, sent_us * 1000) >= _STAMP_END_NS:
            return Arrival(ArrivalVerdict.ABSURD, 0.0, 0)
        if self._filter is None:
            return Arrival(ArrivalVerdict.UNKNOWN, 0.0, 0)
        up_ns = received_ns - sent_us * 1000 - self._base_ns
        expected_ns = self._filter.mean_at((received_ns - self._origin_ns) / _NS_PER_S)
        excess_ns = up_ns - expected_ns - self._filter.half_ns
        early_ns = self._interval.early_ns(sent_us, received_ns)
        if early_ns:
            return Arrival(ArrivalVerdict.SENT_AFTER_RECEIVED, excess_ns, -early_ns)
        self._interval.arrival(sent_us, received_ns)
        return Arrival(ArrivalVerdict.USED, excess_ns, 0)

    def time_of(self, tick_us: int) -> PlacedTime | None:
        """Return when the node's clock stood at `tick_us`; None while unknown."""
        placed = self._interval.time_of(tick_us)
        if placed is None or self._filter is None:
            return None
        tick_ns = self.crystal.tick_ns
        # The moment in seconds of the gateway: good to skew^2 x age, far below the tick.
        shown_ns = tick_us * 1000 + tick_ns // 2
        age_s = (shown_ns + self._base_ns - self._origin_ns) / _NS_PER_S
        skew = self._filter.skew / _NS_PER_S
        age_s = self._filter.time_s + (
            age_s + self._filter.offset_ns / _NS_PER_S - self._filter.time_s
        ) / (1 - skew)
        expected = self._filter.at(age_s)
        # Of the bound one step is the stamp's own; the rest is the clock's.
        ahead_ns = shown_ns - placed[0] + self._base_ns
        return PlacedTime(*self._placed(*placed, ahead_ns, expected, tick_ns))

    def at(self, now_ns: int) -> ClockBelief | None:
        """Return what is known of the clock at gateway time `now_ns`; None while unknown."""
        offset = self._interval.at(now_ns)
        if offset is None or self._filter is None:
            return None
        expected = self._filter.at((now_ns - self._origin_ns) / _NS_PER_S)
        ahead_ns = self._base_ns - offset.offset_ns
        placed = self._placed(*offset, ahead_ns, expected, 0)
        skew, skew_variance = self._rate()
        skew_deviation = COVERAGE * math.sqrt(skew_variance) / _PPM
        delay_ns = round(self._window.least_ns) - self.crystal.tick_ns
        return ClockBelief(*placed, skew / _PPM, skew_deviation, delay_ns)

    def budget(self, now_ns: int) -> tuple[Contribution, ...]:
        """Return what the uncertainty of a time stamp made now is made of; empty while unknown."""
        if self._filter is None:
            return ()
        step = Contribution("step of the clock", resolution(self.crystal.tick_ns), "rectangular")
        offset = self._interval.at(now_ns)
        if offset is not None and is_coarse(self.crystal.tick_ns, self._least_ns):
            left, path = open_ns(offset.bound_ns, self._least_ns, self.asymmetry)
            return (
                Contribution("step of the clock at the probes", left, "rectangular"),
                Contribution("asymmetry of the path", path, "stated"),
                step,
            )
        fresh = self._filter.p_xx
        expected = self._filter.at((now_ns - self._origin_ns) / _NS_PER_S)
        return (
            Contribution("offset at the last probe", math.sqrt(fresh), "normal"),
            Contribution("holdover", math.sqrt(max(expected.variance - fresh, 0.0)), "normal"),
            Contribution("asymmetry of the path", self._asymmetry_ns(), "stated"),
            step._replace(name="step of the clock at the probes"),
            step,
        )

    def _judge(self, t1_ns: int, t2_us: int, t3_us: int, t4_ns: int) -> tuple[ExchangeVerdict, int]:
        """Return what an exchange is worth, and how far it is from what was known."""
        if min(t1_ns, t2_us, t3_us, t4_ns) < 0 or max(t1_ns, t4_ns) >= _STAMP_END_NS:
            return ExchangeVerdict.ABSURD, 0
        if max(t2_us, t3_us) * 1000 >= _STAMP_END_NS or t4_ns - t1_ns >= _DELAY_END_NS:
            return ExchangeVerdict.ABSURD, 0
        if not self._interval.is_possible(t1_ns, t2_us, t3_us, t4_ns):
            return ExchangeVerdict.NEGATIVE_DELAY, 0
        contradiction_ns = self._interval.contradiction_ns(t1_ns, t2_us, t3_us, t4_ns)
        if contradiction_ns:
            return ExchangeVerdict.CONTRADICTION, contradiction_ns
        return ExchangeVerdict.USED, 0

    def _start(self, time_s: float, up: float, down: float) -> None:
        """Start the estimate from one exchange; floats count from the first one."""
        crystal = self.crystal
        skew_max, floor_ns = max(crystal.drift_ppm, 1e-3) * _PPM, crystal.tick_ns * _FLOOR_TICKS
        self._filter = ClockKalman(
            time_s, up, down, skew_max=skew_max, wander=crystal.wander_ppm_per_s * _PPM,
            floor_ns=floor_ns,
        )  # fmt: skip
        self._window = ClockWindow(skew_max=max(skew_max, _PPM) * _SKEW_REACH, floor_ns=floor_ns)
        self._window.add(time_s, up, down)
        self._skew_mark, self._used = (0.0, self._filter.p_ss), 1

    def _learn(
        self, clock: ClockKalman, expected: Prediction, time_s: float, up: float, down: float
    ) -> tuple[float, float]:
        """Take both ways; return innovation and deviation (ppm) of the rate if a block ended."""
        is_all_waiting = LONGER * (up + down) < self._window.least_ns
        if is_all_waiting or clock.is_lost(expected, up + down):
            self._start(time_s, up, down)
            return 0.0, math.inf
        self._used += 1
        clock.predict(time_s)
        clock.update(up, down)
        block = self._window.add(time_s, up, down)
        if self._used % (_FIT_POINTS_YOUNG if self._used < _YOUNG else _FIT_POINTS) == 0:
            line = self._window.fit()
            if line is not None:
                clock.adopt(line, time_s)
        if block is None:
            return 0.0, math.inf
        before, variance = self._skew_mark
        # Both are rates over a while: a steady change lies between them, by span x wander.
        wander = self.crystal.wander_ppm_per_s * _PPM * block.span_s
        deviation = math.sqrt(block.skew_variance + variance + wander * wander)
        limit = _SURPRISE if block.sharpness <= SHARPNESS_MAX else _BLUNT_SURPRISE
        if abs(block.skew - before) > limit * deviation:
            clock.take(block, time_s)
        self._skew_mark = (clock.skew, clock.p_ss)
        return (block.skew - before) / _PPM, deviation / _PPM

    def _asymmetry_ns(self) -> float:
        """Return the standard uncertainty that the unknown asymmetry leaves."""
        if self._filter is None:
            return 0.0
        half_ns = max(self._filter.half_ns - self.crystal.tick_ns / 2, 0.0)
        return math.hypot(self.asymmetry * half_ns, math.sqrt(self._filter.detour_variance))

    def _placed(
        self, middle_ns: int, half_ns: int, ahead_ns: int, expected: Prediction, step_ns: int
    ) -> tuple[int, int, int]:
        """Return estimate, bound and uncertainty of what lies in `middle_ns` +- `half_ns`.

        By the filter it is `ahead_ns` + `expected` from the middle; `step_ns` of it is a stamp's.
        """
        tick_ns = self.crystal.tick_ns
        if is_coarse(tick_ns, self._least_ns):
            law = open_ns(half_ns - step_ns, self._least_ns, self.asymmetry)
            expanded_ns = math.ceil(expanded((*law, resolution(step_ns))))
            # A step is shown late and never early, so that its middle is off by half of it.
            shift_ns, bound_ns = step_ns // 2, half_ns - step_ns // 2
            return middle_ns + shift_ns, bound_ns, min(expanded_ns, bound_ns)
        steps = resolution(step_ns) ** 2 + resolution(tick_ns) ** 2
        variance = max(expected.variance, 0.0) + self._asymmetry_ns() ** 2 + steps
        return in_bounds(middle_ns, half_ns, ahead_ns + expected.offset_ns, variance)

    def _rate(self) -> tuple[float, float]:
        """Return the rate and its variance; a coarse step may hide what it did in the window."""
        clock = self._filter
        if clock is None:
            return 0.0, math.inf
        if not is_coarse(self.crystal.tick_ns, self._least_ns):
            return clock.skew, max(clock.p_ss, 0.0)
        limit, tick_ns = self.crystal.drift_ppm * _PPM, self.crystal.tick_ns
        return rate_sureness(clock.skew, clock.p_ss, limit, tick_ns, self._window.span_s)


def _unpredicted(
    verdict: ExchangeVerdict, at_ns: int, offset_ns: int, delay_ns: int, contradiction_ns: int
) -> Exchange:
    """Return an exchange before which nothing was known."""
    return Exchange(
        verdict, at_ns, offset_ns, delay_ns, delay_ns, 0.0, math.inf, 0.0, math.inf,
        contradiction_ns, 0.0, 0.0, 0.0, 0.0, math.inf,
    )  # fmt: skip
