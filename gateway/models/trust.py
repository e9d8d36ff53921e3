"""What to believe: a best value for every signal, without what is judged false.

For signal i let q be the probability that its newest value is false, m the value and e +- d what
all other values (and its own before the onset) say it should read. The best value and its deviation
are those of the mixture, (1 - q) of m and q of N(e, d^2):

    fused = (1 - q) m + q e,      variance = q d^2 + q (1 - q) (m - e)^2

So a signal is down-weighted as far as it is doubted, and the doubt is in the deviation. A missing
value has q = 1. The value meant is what a healthy sensor would read, its own noise included.
"""

from typing import Final, NamedTuple

import numpy as np

from gateway.models.causes import Weighed
from gateway.models.hypotheses_window import Floats, without_from

LEFT_OUT_FROM: Final = 0.5
"""Probability of being false from which a signal is said to be left out."""
_DOUBT_MIN: Final = 1e-3
_PASSING: Final = ("spike",)
"""Causes that are over once the rows they touched are."""
_SPIKE_ROWS: Final = 2


class Fused(NamedTuple):
    """Arrays (u,), residuals to the level in units of each signal's scale."""

    value: Floats
    deviation: Floats
    doubt: Floats
    """Probability that the newest value is false."""
    from_rest: Floats
    """What the rest says; the value itself where it was not asked."""
    from_rest_deviation: Floats

    @property
    def left_out(self) -> tuple[int, ...]:
        """Signals that the best value leaves out."""
        return tuple(int(place) for place in np.flatnonzero(self.doubt >= LEFT_OUT_FROM))


def fuse(weighed: Weighed) -> Fused:
    """Return the best value of every signal at the newest row of the window."""
    window = weighed.window
    signals, rows = window.values.shape
    doubt, ages, shared = _doubts(weighed)
    value = np.where(window.seen[:, -1], window.values[:, -1], 0.0)
    expected, deviation = value.copy(), np.zeros(signals)
    for signal in np.flatnonzero((doubt >= _DOUBT_MIN) | ~window.seen[:, -1]):
        first = max(0, rows - max(int(ages[signal]), 1))
        mean, spread = without_from(window, int(signal), first)
        expected[signal], deviation[signal] = mean[-1], spread[-1]
    # If all are replayed there is no rest: only the level and the healthy spread remain.
    chosen = np.where(window.seen[:, -1], doubt, 1.0)
    apart = value - expected
    variance = chosen * deviation**2 + chosen * (1.0 - chosen) * apart**2
    fused = value - chosen * apart
    law = window.law
    variance = (1.0 - shared) * variance + shared * (law.spread**2 + (1.0 - shared) * fused**2)
    total = 1.0 - (1.0 - chosen) * (1.0 - shared)
    floor = law.resolution**2 / 12.0
    return Fused((1.0 - shared) * fused, np.sqrt(variance + floor), total, expected, deviation)


def _doubts(weighed: Weighed) -> tuple[Floats, Floats, float]:
    """Return doubt and age of the likeliest onset (u,), and the probability that all are false."""
    signals = len(weighed.window.values)
    doubt, ages, best = np.zeros(signals), np.ones(signals), np.zeros(signals)
    shared = 0.0
    for finding in weighed.findings:
        if finding.cause in _PASSING and finding.age_rows > _SPIKE_ROWS:
            continue
        if finding.signal is None:
            shared += finding.probability if finding.cause == "replay" else 0.0
            continue
        doubt[finding.signal] += finding.probability
        if finding.probability > best[finding.signal]:
            best[finding.signal] = finding.probability
            ages[finding.signal] = finding.age_rows
    return np.minimum(doubt, 1.0), ages, shared
