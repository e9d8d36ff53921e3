"""A source that is heard one way only: its rate and how its offset changes, never the offset.

    received - stamp = offset(t) + shortest delay + waiting,   waiting >= 0

The line under these sums shows the rate, and how offset and shortest delay change together. What
part of it is offset no stamp tells, so no number here claims it; and a path that becomes longer for
good looks like a clock that was set back by as much.

Promises: rate (ppm) and change since the source was first heard, with uncertainties (k = 2) that
take the shortest delay as constant. An impossible stamp is told and changes nothing. The line is
that of clock_hull.py for one way, followed by the filter of clock_kalman.py.
Left to others: what a surprise means, and `restart` after a step (stages/sync.py).
"""

import math
from enum import StrEnum
from typing import Final, NamedTuple, final

from gateway.models.clock_kalman import SHARPNESS_MAX, ClockKalman
from gateway.models.clock_uncertainty import COVERAGE
from gateway.models.clock_window import ClockWindow

_STAMP_END_NS: Final = 1 << 63
_NS_PER_S: Final = 1e9
_PPM: Final = 1_000.0
"""ns/s in one ppm."""
_SCALE_NS: Final = 20e6
"""Waiting believed possible before any was seen: what a scan cycle and a small network take."""
_FLOOR_STEPS: Final = 0.1
"""Least scale of delays that is believed, in steps of the stamps."""
_FIT_POINTS: Final = 16
_EARLY: Final = 8.0
"""A stamp so many deviations below the shortest way is no luck: one in 10^15 of a normal law."""


class HeardVerdict(StrEnum):
    """What became of a stamp."""

    USED = "used"
    EARLY = "early"
    """Far earlier than the shortest way allows: the clock was set forward, or the path is new."""
    ABSURD = "absurd"
    """Negative, or beyond 2^63 ns."""


class Heard(NamedTuple):
    """One stamp of a source, held against what was known before it."""

    verdict: HeardVerdict
    lateness_ns: int
    """Received minus stamp: offset, shortest delay and waiting together."""
    excess_ns: float
    """Lateness above the fitted shortest one; negative: below it."""
    deviation_ns: float
    """How surely that shortest one was known; infinite at first."""
    mean_excess_ns: float
    """Mean waiting, as learnt before."""


class OneWayBelief(NamedTuple):
    """What can be known of the clock of a one-way source."""

    change_ns: int
    """Change of offset (gateway minus source) since it was first heard."""
    uncertainty_ns: int
    """Expanded, k = 2."""
    skew_ppm: float
    """How much faster the gateway's clock runs than the source's."""
    skew_uncertainty_ppm: float
    """Expanded, k = 2."""


@final
class OneWayClock:
    """The clock of a source whose stamps come one way; see the module.

    `drift_ppm` bounds its rate, `wander_ppm_per_s` is the standard deviation of how fast it
    changes, `resolution_ns` one step of its stamps.
    """

    __slots__ = (
        "_base_ns", "_drift_ppm", "_filter", "_first", "_floor_ns", "_origin_ns", "_wander",
        "_window", "heard",
    )  # fmt: skip

    def __init__(
        self,
        *,
        drift_ppm: float = 100.0,
        wander_ppm_per_s: float = 0.01,
        resolution_ns: int = 1_000,
    ) -> None:
        self._drift_ppm, self._wander = max(drift_ppm, 1e-3), wander_ppm_per_s * _PPM
        self._floor_ns = max(resolution_ns, 1) * _FLOOR_STEPS
        self.restart()

    def restart(self) -> None:
        """Forget everything: the source's clock was set."""
        self.heard = 0
        """Stamps used since the start."""
        self._filter: ClockKalman | None = None
        self._window = ClockWindow(
            skew_max=self._drift_ppm * _PPM, floor_ns=self._floor_ns, is_two_way=False
        )
        self._origin_ns = self._base_ns = 0
        self._first = (0.0, (_SCALE_NS / 2) ** 2)

    def hear(self, stamp_ns: int, received_ns: int) -> Heard:
        """Take one stamp, and when it came; only a verdict of USED changes what is known."""
        lateness_ns = received_ns - stamp_ns
        if min(stamp_ns, received_ns) < 0 or max(stamp_ns, received_ns) >= _STAMP_END_NS:
            return Heard(HeardVerdict.ABSURD, lateness_ns, 0.0, math.inf, 0.0)
        if self._filter is None:
            self._start(lateness_ns, received_ns)
            return Heard(HeardVerdict.USED, lateness_ns, 0.0, math.inf, 0.0)
        clock = self._filter
        time_s = (received_ns - self._origin_ns) / _NS_PER_S
        late = float(lateness_ns - self._base_ns)
        expected = clock.at(time_s)
        excess = late - expected.offset_ns - clock.half_ns
        deviation = math.sqrt(max(expected.variance + 2 * clock.p_xh + clock.p_hh, 0.0))
        verdict = HeardVerdict.USED
        if excess < -_EARLY * math.hypot(deviation, clock.up_mean_ns, math.sqrt(clock.up_variance)):
            verdict = HeardVerdict.EARLY
        told = Heard(verdict, lateness_ns, excess, deviation, clock.up_mean_ns)
        if verdict is HeardVerdict.USED:
            self._learn(clock, time_s, late)
        return told

    def at(self, now_ns: int) -> OneWayBelief | None:
        """Return what is known at gateway time `now_ns`; None before the second stamp."""
        if self._filter is None or self.heard < 2:
            return None
        clock = self._filter
        expected = clock.at((now_ns - self._origin_ns) / _NS_PER_S)
        change_ns = expected.offset_ns + clock.half_ns - self._first[0]
        now = math.sqrt(max(expected.variance + 2 * clock.p_xh + clock.p_hh, 0.0))
        # One line tells both ends, so their errors do not cancel out and are added as they are.
        deviation = now + math.sqrt(self._first[1])
        return OneWayBelief(
            round(change_ns),
            math.ceil(COVERAGE * deviation),
            clock.skew / _PPM,
            COVERAGE * math.sqrt(clock.p_ss) / _PPM,
        )

    def _start(self, lateness_ns: int, received_ns: int) -> None:
        self._origin_ns, self._base_ns, self.heard = received_ns, lateness_ns, 1
        # As if an answer had taken all that is believed possible: a shortest way below this one.
        self._filter = ClockKalman(
            0.0, 0.0, max(_SCALE_NS, self._floor_ns), skew_max=self._drift_ppm * _PPM,
            wander=self._wander, floor_ns=self._floor_ns,
        )  # fmt: skip
        self._window.add(0.0, 0.0)

    def _learn(self, clock: ClockKalman, time_s: float, late: float) -> None:
        """Take a stamp; the shortest way at the beginning is told by the first window."""
        self.heard += 1
        clock.predict(time_s)
        clock.hear(late)
        is_first_window = self._window.blocks == 0
        self._window.add(time_s, late)
        if self.heard % _FIT_POINTS:
            return
        line = self._window.fit()
        if line is None:
            return
        if is_first_window and line.sharpness <= SHARPNESS_MAX:
            variance = line.offset_variance + line.time_s**2 * line.skew_variance
            self._first = (line.offset_ns - line.time_s * line.skew, variance)
        clock.adopt(line, time_s)
