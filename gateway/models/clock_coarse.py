"""The offset of a clock that shows coarse steps: the middle of what is possible, as a rectangle.

A polled clock of whole seconds, asked every second, is read at the same place of its step for
hours. Its error then is no noise and no number of answers averages it out; it even moves as the
rates do, so that the two clocks seem to run alike. Lines and filters take both for knowledge.

With W the width of the hard interval (clock.py) and L the least round trip ever seen, the shortest
ways take L of it, divided by the asymmetry A, and the rest is the step and the age of the answers:

    offset = middle of the interval + A L / 2 + R,   R anywhere within +- (W - L) / 2
    u^2 = (asymmetry L / 2)^2 + (W - L)^2 / 12

When polls fall on all places of the step, the interval narrows to W = L, and so does u.

Promises: pure functions. Left to others: the interval, and cutting to it (node_clock.py).
Sources: GUM (JCGM 100:2008), 4.3.7 for the rectangle, F.2.2.1 for the step of an indication.
"""

import math
from typing import Final

from gateway.models.clock_uncertainty import rectangular

_FINE: Final = 0.125
"""A step above this share of the least round trip is coarse. Below it, step / sqrt 12 stays under a
third of what the asymmetry leaves unknown, and is added in full."""


def is_coarse(tick_ns: int, least_ns: float) -> bool:
    """Tell whether a step of the clock matters against the least round trip seen."""
    return tick_ns > _FINE * max(least_ns, 0.0)


def open_ns(half_ns: float, least_ns: float, asymmetry: float) -> tuple[float, float]:
    """Return the standard uncertainties of the offset in +- `half_ns`: of R and A L / 2.

    A least round trip that is wider than the interval went another way: it takes all of it.
    """
    least_ns = min(max(least_ns, 0.0), 2 * half_ns)
    return rectangular(half_ns - least_ns / 2), asymmetry * least_ns / 2


def rate_sureness(
    skew: float, variance: float, limit: float, tick_ns: int, span_s: float
) -> tuple[float, float]:
    """Return rate and variance (ns/s) when a rate of one step in `span_s` would not show.

    Weighed with all rates within +- `limit` (the class of the crystal) being as likely before.
    """
    hidden = rectangular(tick_ns / span_s) if span_s > 0 else math.inf
    prior, seen = rectangular(limit) ** 2, variance + hidden * hidden
    if seen == math.inf:
        return 0.0, prior
    share = prior / (prior + seen) if prior > 0 else 0.0
    return skew * share, seen * share
