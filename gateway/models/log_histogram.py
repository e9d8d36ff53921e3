"""A histogram of durations whose buckets grow with the duration: any range, one relative error.

    bucket of v > 0:   k = floor(16 log2(v / 1 us)),   its edges 1 us x 2^(k/16), 2^((k+1)/16)
    quantile p:        geometric middle of the bucket that holds rank ceil(p n)

Promises: a quantile is off by at most 2.2 % of itself (half a bucket), limits of it go outwards to
the edges, the least and the greatest value are exact; powers of two microseconds are edges, so
cumulative counts at them are exact. Memory is bounded by `BUCKETS_MAX` whatever comes; what is no
duration at all is refused. What is not above zero has a bucket of its own and counts as the least
of its kind. Left to others: what is measured (`stages/kpi_link.py`).

Sources: Masson, Rim and Lee (2019), DDSketch, 2, for quantiles with a relative error.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple, final

from gateway.models.reliability import UNKNOWN, Limits, quantile_ranks

PER_OCTAVE: Final = 16
"""Buckets for a factor of two: 4.4 % wide."""
LEAST_S: Final = 1e-6
"""Shorter durations share the lowest bucket: node time is told in microseconds."""
BUCKETS_MAX: Final = 800
"""Fifty octaves above a microsecond: 35 years."""
_NOT_POSITIVE: Final = -1
"""Place of what is zero or less: a value that seems to come before it was measured."""
BEYOND_S: Final = 1e15
"""Thirty million years: no duration, and no sum of such is infinite."""
COUNT_MAX: Final = 1 << 62


class HistogramState(NamedTuple):
    """All that a histogram has seen, to be kept over a restart."""

    counts: Mapping[int, int]
    total_s: float
    least_s: float
    greatest_s: float


@final
class LogHistogram:
    """Counts durations in seconds."""

    __slots__ = ("_counts", "count", "greatest_s", "least_s", "total_s")

    def __init__(self, state: HistogramState | None = None) -> None:
        """Begin empty, or go on from a state; raise ValueError for one that cannot be."""
        self._counts: dict[int, int] = {}
        self.count = 0
        self.total_s = 0.0
        self.least_s = math.inf
        self.greatest_s = -math.inf
        if state is not None and state.counts:
            _check(state)
            self._counts = dict(state.counts)
            self.count = sum(self._counts.values())
            self.total_s = state.total_s
            self.least_s, self.greatest_s = state.least_s, state.greatest_s

    def add(self, value_s: float) -> bool:
        """Count one duration; False for NaN and for what is beyond `BEYOND_S`."""
        if not abs(value_s) <= BEYOND_S:
            return False
        place = _place(value_s)
        self._counts[place] = self._counts.get(place, 0) + 1
        self.count += 1
        self.total_s += value_s
        self.least_s = min(self.least_s, value_s)
        self.greatest_s = max(self.greatest_s, value_s)
        return True

    def quantile(self, probability: float) -> float | None:
        """Return a quantile in seconds; None of nothing."""
        if not self.count:
            return None
        low, high = self._edges(math.ceil(probability * self.count))
        middle = low if low <= 0 else math.sqrt(low * high)
        return min(max(middle, self.least_s), self.greatest_s)

    def quantile_limits(self, probability: float) -> Limits:
        """Return 95 % limits of a quantile of whatever makes such durations."""
        if not self.count:
            return UNKNOWN
        low, high = quantile_ranks(probability, self.count)
        return Limits(
            None if low is None else self._edges(low)[0],
            None if high is None else self._edges(high)[1],
        )

    def below(self, octaves: range) -> list[tuple[float, int]]:
        """Return (edge in s, durations below it) at 1 us x 2^octave, for each octave."""
        return [
            (
                LEAST_S * 2.0**octave,
                sum(n for place, n in self._counts.items() if place < octave * PER_OCTAVE),
            )
            for octave in octaves
        ]

    def state(self) -> HistogramState:
        """Return all that was seen."""
        return HistogramState(dict(self._counts), self.total_s, self.least_s, self.greatest_s)

    def _edges(self, rank: int) -> tuple[float, float]:
        """Return the edges of the bucket with the value of a rank from 1, inside what was seen."""
        seen = 0
        for place in sorted(self._counts):
            seen += self._counts[place]
            if seen >= rank:
                return self._bucket(place)
        return self.greatest_s, self.greatest_s

    def _bucket(self, place: int) -> tuple[float, float]:
        """Return the edges of a bucket, drawn in to the least and the greatest value."""
        if place == _NOT_POSITIVE:
            return self.least_s, min(self.greatest_s, 0.0)
        low, high = (LEAST_S * 2.0 ** (edge / PER_OCTAVE) for edge in (place, place + 1))
        return max(low, self.least_s), min(high, self.greatest_s)


def _place(value_s: float) -> int:
    if value_s <= 0:
        return _NOT_POSITIVE
    octaves = math.log2(value_s / LEAST_S)
    return min(max(math.floor(octaves * PER_OCTAVE), 0), BUCKETS_MAX - 1)


def _check(state: HistogramState) -> None:
    """Raise ValueError unless a histogram may have come to this state."""
    for place, count in state.counts.items():
        if not _NOT_POSITIVE <= place < BUCKETS_MAX or not 0 < count < COUNT_MAX:
            raise ValueError(f"bucket {place} with {count} values is none")
    if sum(state.counts.values()) >= COUNT_MAX:
        raise ValueError("the buckets hold more values than can be counted")
    facts = (state.total_s, state.least_s, state.greatest_s)
    if not all(math.isfinite(fact) for fact in facts) or state.least_s > state.greatest_s:
        raise ValueError(f"sum, least and greatest of {facts} are none")
