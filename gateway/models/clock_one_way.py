"""A source that is heard one way only: its rate and how its offset changes, never the offset.

    received - stamp = offset(t) + delay,   delay >= an unknown least one

Promises: rate (ppm) and change of offset since the source was first heard, with uncertainties
(k = 2). The absolute offset is hidden in the unknown shortest delay, and no number here claims it.
"""

from enum import StrEnum
from typing import NamedTuple, final


class HeardVerdict(StrEnum):
    """What became of a stamp."""

    USED = "used"
    ABSURD = "absurd"
    """Negative, or beyond 2^63 ns."""


class Heard(NamedTuple):
    """One stamp of a source, held against what was known before it."""

    verdict: HeardVerdict
    lateness_ns: int
    """Received minus stamp: offset and delay together."""
    excess_ns: float
    """Lateness above the fitted shortest one; negative: below it."""
    deviation_ns: float
    """Standard deviation expected of a value below the fitted line; infinite at first."""


class OneWayBelief(NamedTuple):
    """What can be known of the clock of a one-way source."""

    change_ns: int
    """Change of offset (gateway minus source) since it was first heard."""
    uncertainty_ns: int
    """Expanded, k = 2."""
    skew_ppm: float
    skew_uncertainty_ppm: float
    """Expanded, k = 2."""


@final
class OneWayClock:
    """The clock of a source whose stamps come one way; see the module."""

    __slots__ = ("_drift_ppm", "_first_ns", "_heard_ns", "_least_ns")

    def __init__(self, *, drift_ppm: float = 100.0) -> None:
        self._drift_ppm = drift_ppm
        self._first_ns: int | None = None
        self._heard_ns = 0
        self._least_ns = 0

    def hear(self, stamp_ns: int, received_ns: int) -> Heard:
        """Take one stamp, and when it came."""
        lateness_ns = received_ns - stamp_ns
        if min(stamp_ns, received_ns) < 0 or max(stamp_ns, received_ns) >= 1 << 63:
            return Heard(HeardVerdict.ABSURD, lateness_ns, 0.0, float("inf"))
        if self._first_ns is None:
            self._first_ns = self._least_ns = lateness_ns
        self._heard_ns = received_ns
        excess_ns = float(lateness_ns - self._least_ns)
        self._least_ns = min(self._least_ns, lateness_ns)
        return Heard(HeardVerdict.USED, lateness_ns, excess_ns, float("inf"))

    def at(self, now_ns: int) -> OneWayBelief | None:
        """Return what is known at gateway time `now_ns`; None before the second stamp."""
        if self._first_ns is None:
            return None
        spread_ns = round(abs(now_ns - self._heard_ns) * self._drift_ppm * 1e-6)
        change_ns = self._least_ns - self._first_ns
        return OneWayBelief(change_ns, abs(change_ns) + spread_ns, 0.0, self._drift_ppm)

    def restart(self) -> None:
        """Forget everything: the source's clock was set."""
        self._first_ns = None
