"""Has a clock stepped, or its rate changed? Likelihood ratios over the exchanges of one clock.

    theta_k = offset(t_k) + e_k,   |e_k| <= c_k = excess_k / 2 + tick
    offset' = skew,   skew' = white noise of the crystal's wander
    nu_k, S_k            innovation of a Kalman filter for (offset, skew), and its variance
    l(start, kind) = (sum gamma nu / S)^2 / sum gamma^2 / S
    change = sum gamma nu / S / sum gamma^2 / S,   variance 1 / sum gamma^2 / S

gamma_k is what a unit change since `start` leaves in innovation k after all that the filter has
made of it: for a step of the offset, for a change of the skew, and for one false stamp. Whatever
queues do to an exchange, they shift theta by at most half of what they add to its delay. So c_k,
taken as a standard deviation, makes l larger than chance allows only where no delay can have done
it (Hoeffding: an error within +-c of mean zero is no worse than a normal one of deviation c), and a
one-sided delay that stays leads to no more than sqrt(`STARTS_MAX`) deviations, below every limit.

A rate that has changed may go on changing: for half an hour the filter lets the crystal wander more
than was stated. When a change began is known to an exchange or so, and that is part of its size.

Promised: bounded memory; an evidence limit from the set-point (false alarms per day) by the normal
law; a change has a size, its deviation and a beginning; after a verdict the filter goes on from the
changed clock. Left to others: which part of a delay is queueing, one-sided delays
(clock_checks_delay.py), all of it put together (clock_checks_exchange.py), whether it is the
source's clock or the gateway's (clock_checks_peers.py).

Sources: Willsky and Jones, IEEE Trans. Automatic Control 21 (1976), for the signatures; Basseville
and Nikiforov, Detection of Abrupt Changes (1993), 7.2.4; Hoeffding, JASA 58 (1963), lemma 1.
"""

import math
from collections import deque
from enum import StrEnum
from statistics import NormalDist
from typing import Final, NamedTuple, final

from gateway.models.clock_uncertainty import rectangular
from gateway.models.node_clock import Crystal

STARTS_MAX: Final = 24
"""Exchanges back to which a change may have begun: its root is below every evidence limit."""
_DENSE: Final = 8
"""So many of the newest exchanges may each be the start; of older ones every fourth."""
_TESTS: Final = 8
"""Looks at the evidence that count as independent: two kinds, and four ages of a change."""
_WANDER_S: Final = 60.0
"""A crystal that warms goes on warming for about so long."""
_SKEW_FIRST_PPM: Final = 1e5
"""Deviation of the skew before anything is known: a tenth, worse than any oscillator."""
_CLEAR: Final = 9.0
"""Lead in likelihood ratio (2 ln) over the other kinds that names the kind: odds of 90 to 1."""
_NAMED_AFTER: Final = 16
"""Exchanges after which the likelier kind is named, clear or not."""
_RESTLESS: Final = 5.0
"""Where a rate has just changed, a crystal is out in the weather: it may wander so many times as
much as was stated ..."""
_RESTLESS_NS: Final = 1_800_000_000_000
"""... for the next half hour."""
_DAY_S: Final = 86_400.0
_NS_PER_S: Final = 1e9
_PPM: Final = 1e3
"""ns per second in one ppm."""


class ChangeKind(StrEnum):
    """What has become of a clock."""

    STEP = "step"
    SKEW = "skew"
    FALSE_STAMP = "false_stamp"
    """One exchange alone is off by more than its delay: its stamps were not true."""


class Change(NamedTuple):
    """A change of a clock, seen from the gateway: of `gateway - source`."""

    kind: ChangeKind
    since_ns: int
    """Gateway time of the last exchange before it."""
    size: float
    """ns of a step or a false stamp, ppm of the skew."""
    deviation: float


def evidence_limit(false_alarms_per_day: float, period_s: float) -> float:
    """Return how many deviations an exchange may show if one is made every `period_s` seconds.

    The chance of one look is the set-point over the looks of a day, two-sided (normal law).
    """
    chance = false_alarms_per_day * period_s / _DAY_S / _TESTS
    return -NormalDist().inv_cdf(min(max(chance, 1e-15), 0.01) / 2)


class _Start:
    """One candidate: since when and of which kind; what it leaves in state and innovations."""

    __slots__ = ("count", "gap_s", "kind", "level", "projected", "rate", "since_ns", "weight")

    def __init__(
        self, kind: ChangeKind, since_ns: int, gap_s: float, level: float, rate: float
    ) -> None:
        self.kind = kind
        self.gap_s = gap_s
        """Time between the exchanges between which it began."""
        self.since_ns = since_ns
        self.level, self.rate = level, rate
        """Truth less estimate that a unit change leaves: offset (ns), skew (ns/s)."""
        self.projected = self.weight = 0.0
        self.count = 0

    def ratio(self) -> float:
        """Return twice the log likelihood ratio of the best size."""
        return self.projected * self.projected / self.weight if self.weight > 0.0 else 0.0


@final
class ClockChanges:
    """Watches the exchanges of one clock, one call each; the filter and its candidates."""

    def __init__(self, crystal: Crystal, *, limit: float) -> None:
        self._crystal = crystal
        self._limit = limit * limit
        self._wander = (crystal.wander_ppm_per_s * _PPM) ** 2 * _WANDER_S
        self.restart()

    def restart(self) -> None:
        """Begin anew: of another boot, or after a pause that makes the past worthless."""
        self._zero_ns: int | None = None
        self._at_ns = self._restless_ns = 0
        self._level = self._rate = 0.0
        self._p00 = self._p01 = self._p11 = 0.0
        self._starts: deque[_Start] = deque()
        self._count = 0
        self.residual_ns = 0.0
        self.is_suspect = False

    @property
    def skew_ppm(self) -> tuple[float, float]:
        """Rate of the gateway's clock against the source's, and its standard deviation."""
        if self._zero_ns is None:
            return 0.0, _SKEW_FIRST_PPM
        return self._rate / _PPM, math.sqrt(max(self._p11, 0.0)) / _PPM

    def allow(self, deviation_ns: float, over_s: float = math.inf) -> None:
        """Let the next offsets differ by so much for a reason that is not the clock's.

        What came in the course of `over_s` seconds was taken for a rate until now.
        """
        self._p00 += deviation_ns * deviation_ns
        self._p11 += (deviation_ns / over_s) ** 2
        self._starts.clear()
        self.is_suspect = False

    def exchange(self, at_ns: int, offset_ns: int, excess_ns: float) -> Change | None:
        """Take one exchange; return the change that is certain with it, if one is.

        at_ns: gateway time, not before the last one (an older one is not looked at); offset_ns:
        gateway minus source by this exchange alone; excess_ns: how much of its round trip may be
        queueing.
        """
        wide = excess_ns / 2 + self._crystal.tick_ns
        if self._zero_ns is None:
            self._zero_ns, self._at_ns = offset_ns, at_ns
            self._p00, self._p11 = wide * wide, (_SKEW_FIRST_PPM * _PPM) ** 2
            return None
        if at_ns <= self._at_ns:
            return None
        before_ns, elapsed_s = self._at_ns, (at_ns - self._at_ns) / _NS_PER_S
        self._predict(elapsed_s)
        self._at_ns = at_ns
        self._open(before_ns, elapsed_s)
        self.residual_ns = offset_ns - self._zero_ns - self._level
        self._update(self.residual_ns, wide * wide)
        return self._decide()

    def _predict(self, elapsed_s: float) -> None:
        """Carry the filter and what changes have left in it over a time."""
        self._level += self._rate * elapsed_s
        is_restless = self._at_ns < self._restless_ns
        noise = self._wander * elapsed_s * (_RESTLESS * _RESTLESS if is_restless else 1.0)
        self._p00 += elapsed_s * (2 * self._p01 + elapsed_s * self._p11) + noise * elapsed_s**2 / 3
        self._p01 += elapsed_s * self._p11 + noise * elapsed_s / 2
        self._p11 += noise
        for start in self._starts:
            start.level += start.rate * elapsed_s

    def _open(self, before_ns: int, elapsed_s: float) -> None:
        """Let changes begin between the last exchange and this one; drop the oldest starts."""
        self._count += 1
        self._starts.append(_Start(ChangeKind.STEP, before_ns, elapsed_s, 1.0, 0.0))
        self._starts.append(_Start(ChangeKind.SKEW, before_ns, elapsed_s, elapsed_s, 1.0))
        self._starts.append(_Start(ChangeKind.FALSE_STAMP, before_ns, elapsed_s, 0.0, 0.0))
        kept = (start for start in self._starts if self._is_kept(start))
        self._starts = deque(kept, maxlen=3 * STARTS_MAX)

    def _is_kept(self, start: _Start) -> bool:
        if start.kind is ChangeKind.FALSE_STAMP or start.count < _DENSE:
            return start.count < _DENSE
        return start.count < STARTS_MAX and (self._count - start.count) % 4 == 0

    def _update(self, innovation: float, noise: float) -> None:
        """Correct the filter, and add up what this innovation says of every start."""
        variance = self._p00 + noise
        gain0, gain1 = self._p00 / variance, self._p01 / variance
        self._level += gain0 * innovation
        self._rate += gain1 * innovation
        self._p11 -= gain1 * self._p01
        self._p01 -= gain0 * self._p01
        self._p00 -= gain0 * self._p00
        for start in self._starts:
            mark = start.level
            if start.count == 0 and start.kind is ChangeKind.FALSE_STAMP:
                # The stamp is off and the clock is not: only the filter follows it.
                mark = 1.0
            start.projected += mark * innovation / variance
            start.weight += mark * mark / variance
            start.level -= gain0 * mark
            start.rate -= gain1 * mark
            start.count += 1

    def _decide(self) -> Change | None:
        """Return the change that is beyond chance and whose kind is clear; go on from it."""
        best: dict[ChangeKind, tuple[float, _Start]] = {}
        for start in self._starts:
            ratio = self._ratio(start)
            if ratio > best.get(start.kind, (-math.inf, start))[0]:
                best[start.kind] = ratio, start
        ranked = sorted(best.values(), key=lambda found: -found[0])
        self.is_suspect = ranked[0][0] >= self._limit
        if not self.is_suspect:
            return None
        first, second = ranked[0], ranked[1]
        is_clear = first[1].count >= 2 and first[0] - second[0] >= _CLEAR
        if not is_clear and first[1].count < _NAMED_AFTER:
            return None
        return self._accept(first[1])

    def _ratio(self, start: _Start) -> float:
        """Return the evidence for a start; a rate no crystal may take counts against it."""
        ratio = start.ratio()
        if start.kind is ChangeKind.SKEW and start.weight > 0.0:
            size_ppm = start.projected / start.weight / _PPM
            ratio -= (size_ppm / (20 * self._crystal.drift_ppm)) ** 2
        return ratio

    def _accept(self, best: _Start) -> Change:
        """Correct the filter by a change, and forget all other candidates.

        Its beginning is not certain: all of its kind count, each by its likelihood.
        """
        kind, highest = best.kind, best.ratio()
        weighed = [
            (math.exp(min(start.ratio() - highest, 0.0) / 2), start)
            for start in self._starts
            if start.kind is kind and start.weight > 0.0
        ]
        total = sum(weight for weight, _ in weighed)
        level = rate = p00 = p01 = p11 = mean = square = 0.0
        for weight, start in weighed:
            size, variance = self._size(start)
            share, second = weight / total, variance + size * size
            level += share * start.level * size
            rate += share * start.rate * size
            p00 += share * start.level * start.level * second
            p01 += share * start.level * start.rate * second
            p11 += share * start.rate * start.rate * second
            mean += share * size
            square += share * second
        self._level += level
        self._rate += rate
        self._p00 += p00 - level * level
        self._p01 += p01 - level * rate
        self._p11 += p11 - rate * rate
        self._starts.clear()
        self.is_suspect = False
        if kind is ChangeKind.SKEW:
            self._restless_ns = self._at_ns + _RESTLESS_NS
        unit = _PPM if kind is ChangeKind.SKEW else 1.0
        deviation = math.sqrt(max(square - mean * mean, 0.0))
        return Change(kind, best.since_ns, mean / unit, deviation / unit)

    def _size(self, start: _Start) -> tuple[float, float]:
        """Return the best size of a candidate and its variance."""
        size, variance = start.projected / start.weight, 1.0 / start.weight
        if start.kind is ChangeKind.SKEW:
            # A rate that began an exchange earlier or later is as much smaller or larger.
            share = start.gap_s / max((self._at_ns - start.since_ns) / _NS_PER_S, start.gap_s)
            variance += (rectangular(share) * size) ** 2
        return size, variance
