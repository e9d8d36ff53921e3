"""What others do with the same probes: each takes stamps and says an offset (gateway minus node).

    last probe       the middle of the newest exchange
    NTP filter       of the last 8 exchanges the one with the least delay (RFC 5905, 10: NSTAGE 8)
    least squares    a straight line through the middles of the last 64 exchanges

Promises: the same interface for all, each with the rate it assumes; times in s since the first
exchange, offsets in ns from the first one's.
"""

from collections import deque
from typing import Final, Protocol, final

import numpy as np

NSTAGE: Final = 8
LINE_POINTS: Final = 64


class Baseline(Protocol):
    """An estimator of an offset."""

    def exchange(self, time_s: float, offset_ns: float, delay_ns: float) -> None:
        """Take the middle and the delay of an exchange."""

    def offset_at(self, time_s: float) -> float:
        """Return the offset at a time."""

    @property
    def skew_ppm(self) -> float:
        """The rate it assumes."""


@final
class LastProbe:
    """Believes the newest exchange."""

    def __init__(self) -> None:
        self._offset_ns = 0.0

    def exchange(self, time_s: float, offset_ns: float, delay_ns: float) -> None:
        """Take the middle of an exchange."""
        del time_s, delay_ns
        self._offset_ns = offset_ns

    def offset_at(self, time_s: float) -> float:
        """Return the newest middle, whatever the time."""
        del time_s
        return self._offset_ns

    @property
    def skew_ppm(self) -> float:
        """None is assumed."""
        return 0.0


@final
class NtpFilter:
    """Believes the exchange of least delay among the last eight, as NTP's clock filter does."""

    def __init__(self) -> None:
        self._stages: deque[tuple[float, float]] = deque(maxlen=NSTAGE)

    def exchange(self, time_s: float, offset_ns: float, delay_ns: float) -> None:
        """Take an exchange into the shift register."""
        del time_s
        self._stages.append((delay_ns, offset_ns))

    def offset_at(self, time_s: float) -> float:
        """Return the middle of the exchange with the least delay."""
        del time_s
        return min(self._stages)[1]

    @property
    def skew_ppm(self) -> float:
        """None is assumed: in NTP that is the business of the clock discipline."""
        return 0.0


@final
class LeastSquares:
    """Believes a straight line through the last middles, all of equal weight."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque(maxlen=LINE_POINTS)
        self._line: tuple[float, float, float] | None = None

    def exchange(self, time_s: float, offset_ns: float, delay_ns: float) -> None:
        """Take a middle into the window."""
        del delay_ns
        self._points.append((time_s, offset_ns))
        self._line = None

    def offset_at(self, time_s: float) -> float:
        """Return the line at a time."""
        slope, middle_s, offset_ns = self._fitted()
        return offset_ns + slope * (time_s - middle_s)

    @property
    def skew_ppm(self) -> float:
        """Slope of the line."""
        return self._fitted()[0] / 1000

    def _fitted(self) -> tuple[float, float, float]:
        """Return slope (ns/s), mean time and mean offset of the window."""
        if self._line is None:
            times, offsets = np.array(self._points).T
            middle_s, offset_ns = float(times.mean()), float(offsets.mean())
            square = float(((times - middle_s) ** 2).sum())
            slope = float(((times - middle_s) * (offsets - offset_ns)).sum()) / max(square, 1e-9)
            self._line = (slope, middle_s, offset_ns)
        return self._line
