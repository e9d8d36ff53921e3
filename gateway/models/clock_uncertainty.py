"""How uncertain a time is, told the way measurement is told (GUM, JCGM 100:2008).

Contributions are standard uncertainties u_i; together u_c^2 = sum u_i^2 (GUM 5.1.2, independent),
and U = k u_c with k = 2 is what records carry (GUM 6.2).

    half-width a, anything inside as likely    u = a / sqrt 3           (GUM 4.3.7)
    step q of a clock or a number              u = q / sqrt 12          (GUM F.2.2.1)

Promises: pure functions; a normal law is cut to a hard interval without leaving it (`inside`).
Left to others: which numbers go in (node_clock.py), the asymmetry of a path, whose prior is a
choice and stands in ADR 0029, and what a time adds to a value that moves (alignment.py).
"""

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

COVERAGE: Final = 2.0
"""k of every expanded uncertainty in Twinrig: about 95 % of a normal law."""
_CLEAR: Final = 4.0
"""A limit further than so many standard deviations away cuts less than 1e-4 of a normal law."""
_SQRT_2: Final = math.sqrt(2)
_DENSITY_0: Final = 1 / math.sqrt(2 * math.pi)


class Contribution(NamedTuple):
    """One line of an uncertainty budget."""

    name: str
    standard_ns: float
    law: str
    """How it came to be: "normal", "rectangular", "stated"."""


def rectangular(half_width: float) -> float:
    """Return the standard uncertainty of a value anywhere within +- half_width (GUM 4.3.7)."""
    return half_width / math.sqrt(3)


def resolution(step: float) -> float:
    """Return the standard uncertainty that one step of an indication leaves (GUM F.2.2.1)."""
    return step / math.sqrt(12)


def combined(standards: Iterable[float]) -> float:
    """Return the root of the sum of squares (GUM 5.1.2, without covariance)."""
    return math.hypot(*standards)


def expanded(standards: Iterable[float]) -> float:
    """Return U = k u_c, k = 2 (GUM 6.2.1)."""
    return COVERAGE * combined(standards)


def inside(mean: float, deviation: float, low: float, high: float) -> tuple[float, float]:
    """Return mean and standard deviation of a normal law cut to low..high.

    Johnson, Kotz, Balakrishnan, Continuous univariate distributions 1 (1994), chapter 13, 10.1.
    Where hardly anything of the law is inside, what is left of it is an exponential slope: near the
    limit if the law is narrow, level if it is far wider than the interval. No surer than a
    rectangle.
    """
    reach = _CLEAR * deviation
    if low + reach <= mean <= high - reach:
        return mean, deviation
    widest = (high - low) / math.sqrt(12)
    if deviation <= 0 or low >= high:
        return min(max(mean, low), high), 0.0
    alpha, beta = (low - mean) / deviation, (high - mean) / deviation
    mass = (math.erfc(-beta / _SQRT_2) - math.erfc(-alpha / _SQRT_2)) / 2
    if mass < 1e-3:
        return _on_slope(mean, deviation, low, high), min(deviation, widest)
    at_low = _DENSITY_0 * math.exp(-min(alpha * alpha / 2, 700.0))
    at_high = _DENSITY_0 * math.exp(-min(beta * beta / 2, 700.0))
    shift = (at_low - at_high) / mass
    share = 1 + (alpha * at_low - beta * at_high) / mass - shift * shift
    cut = deviation * math.sqrt(max(share, 0.0))
    return min(max(mean + deviation * shift, low), high), min(cut, widest)


def _on_slope(mean: float, deviation: float, low: float, high: float) -> float:
    """Return the mean of a density that goes on as the normal law's does at the middle."""
    width = high - low
    steepness = ((mean - (low + high) / 2) / deviation) * (width / deviation)
    if abs(steepness) < 1e-3:
        share = 0.5 + steepness / 12
    elif abs(steepness) > 500.0:
        share = (1.0 if steepness > 0 else 0.0) - 1 / steepness
    else:
        share = -1 / math.expm1(-steepness) - 1 / steepness
    return low + width * share


def in_bounds(
    middle_ns: int, half_ns: int, estimate_ns: float, variance: float
) -> tuple[int, int, int]:
    """Return estimate, bound and uncertainty (k = 2) from a hard interval and a normal law.

    `estimate_ns` counts from the middle of the interval, so that no digit is lost.
    """
    mean, deviation = inside(estimate_ns, math.sqrt(variance), -half_ns, half_ns)
    shift_ns = round(mean)
    bound_ns = half_ns + abs(shift_ns)
    return middle_ns + shift_ns, bound_ns, min(math.ceil(COVERAGE * deviation), bound_ns)
