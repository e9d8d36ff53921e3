"""What a few failures, losses and late messages say about the rate behind them, with limits.

    MTBF          m = T / n               2 T / m follows chi-square
                  two-sided, n > 0        [2T / q(1 - a/2; 2n + 2), 2T / q(a/2; 2n)]
                  n = 0                   [2T / q(1 - a; 2), unbounded) = T / 3.0 at 95 %
    availability  A = 1 / (1 + r)         r = D / U, mean down over mean up time
                  D > 0                   r / mean ratio follows F: the limits of r are
                                          D/U [F(a/2; 2n, 2n), (1 + 1/n) F(1 - a/2; 2n + 2, 2n)]
                                          with n = 1 for an outage that was there at the beginning
                  D = 0                   r <= repair / (T / 3.0), for a repair time that is stated
    ratio         k of n                  beta quantiles (Clopper and Pearson) of k/f and n/f, with
                                          f = sum of b^2 / sum of b over bursts of b in a row
    quantile p    ranks l <= u of n       P(X_(l) <= x_p <= X_(u)) >= 1 - a, binomial in the ranks

with T = U up time, D down time, n failures, q and F quantiles of chi-square and F, a = 5 %.
An observation that ends at a stated time and not at a failure has 2n + 2 degrees of freedom at the
unfavourable side: the failure that is due may be the next thing to happen.

Promises: finite numbers or None, never an exception, for every count that can be. A limit that the
observations cannot give is None, not a wide guess.
Left to others: what a failure is (`stages/kpi_service.py`). Failures, and the bursts of a ratio,
are taken as independent (a compound Poisson law, whose variance is f times that of single losses).
So are the values of a quantile: of delays that stay high for long its limits are too narrow.
`python -m benchmarks.kpi` prints what the limits are worth.

Sources: Epstein and Sobel (1953), Life testing, for the chi-square law; NIST/SEMATECH e-Handbook
of Statistical Methods, 8.4.5.1, for time-truncated tests and for none seen; Birolini (2017),
Reliability Engineering, 7.2.2, for availability; Clopper and Pearson (1934); David and Nagaraja
(2003), Order Statistics, 7.1, for quantiles; Korn and
Graubard (1998), Confidence intervals for proportions with small expected number of positive
counts, for dividing k and n. 3GPP TS 22.104, annex C, for the figures themselves.
"""

import math
from typing import Final, NamedTuple

from scipy.special import bdtr, betaincinv, fdtri, gammaincinv

CONFIDENCE: Final = 0.95


class Limits(NamedTuple):
    """Where a figure lies with the confidence asked for; None where nothing bounds it."""

    low: float | None
    high: float | None


UNKNOWN: Final = Limits(None, None)


def chi_square_quantile(probability: float, degrees: float) -> float:
    """Return the value below which chi-square with so many degrees lies with a probability."""
    return 2.0 * float(gammaincinv(degrees / 2.0, probability))


def mtbf_limits(up_s: float, failures: int, confidence: float = CONFIDENCE) -> Limits:
    """Return limits of the mean up time between failures after `up_s` of service.

    Without a failure the limit is one-sided, at the full confidence. Nothing is known of no time.
    """
    if not 0 < up_s < math.inf or failures < 0:
        return UNKNOWN
    missed = 1.0 - confidence
    if failures == 0:
        return Limits(2.0 * up_s / chi_square_quantile(confidence, 2), None)
    low = 2.0 * up_s / chi_square_quantile(1.0 - missed / 2.0, 2 * failures + 2)
    high = 2.0 * up_s / chi_square_quantile(missed / 2.0, 2 * failures)
    return Limits(low, high)


def availability_limits(
    up_s: float,
    down_s: float,
    failures: int,
    *,
    repair_s: float | None = None,
    confidence: float = CONFIDENCE,
) -> Limits:
    """Return limits of the share of time a service is up, in the long run.

    `repair_s` is how long an outage is taken to last while none was seen; without it there is no
    lower limit then. Up and down times are taken as exponential. Down time without a failure is
    an outage that had begun before the observation, and counts as one.
    """
    if not 0 < up_s < math.inf or not 0 <= down_s < math.inf or failures < 0:
        return UNKNOWN
    if down_s == 0:
        rarest = mtbf_limits(up_s, failures, confidence).low
        if repair_s is None or rarest is None:
            return Limits(None, 1.0)
        return Limits(1.0 / (1.0 + repair_s / rarest), 1.0)
    missed, ratio, outages = 1.0 - confidence, down_s / up_s, max(failures, 1)
    least = ratio * float(fdtri(2 * outages, 2 * outages, missed / 2.0))
    rise = (outages + 1) / outages
    most = ratio * rise * float(fdtri(2 * outages + 2, 2 * outages, 1.0 - missed / 2.0))
    return Limits(1.0 / (1.0 + most), 1.0 / (1.0 + least))


def ratio_limits(count: int, of: int, squares: int = 0, confidence: float = CONFIDENCE) -> Limits:
    """Return limits of a probability that showed `count` times in `of` trials.

    `squares` is the sum of the squared lengths of the bursts that make up `count`; single ones are
    assumed where it is less than that.
    """
    if not 0 <= count <= of or of == 0:
        return UNKNOWN
    missed = 1.0 - confidence
    burst = max(1.0, squares / count) if count else 1.0
    seen, rest = count / burst, (of - count) / burst
    low = 0.0 if count == 0 else float(betaincinv(seen, rest + 1.0, missed / 2.0))
    high = 1.0 if count == of else float(betaincinv(seen + 1.0, rest, 1.0 - missed / 2.0))
    return Limits(low, high)


def quantile_ranks(
    probability: float, count: int, confidence: float = CONFIDENCE
) -> tuple[int | None, int | None]:
    """Return between which of `count` ordered values, from 1, a quantile lies; None for neither.

    Of p99 there is no upper one below 368 values: all of them may lie below it by chance.
    """
    missed = (1.0 - confidence) / 2.0
    if count <= 0 or not 0 < probability < 1:
        return None, None
    # P(X_(rank) > quantile) = P(fewer than rank values at or below it) = bdtr(rank - 1).
    low = _last_rank(probability, count, missed)
    # P(X_(rank) <= quantile) = 1 - bdtr(rank - 1), at most `missed`.
    high = _last_rank(probability, count, 1.0 - missed) + 1
    return low or None, high if high <= count else None


def _last_rank(probability: float, count: int, below: float) -> int:
    """Return the highest rank with P(fewer than rank at or below the quantile) <= `below`."""
    low, high = 0, count
    while low < high:
        middle = (low + high + 1) // 2
        if float(bdtr(middle - 1, count, probability)) <= below:
            low = middle
        else:
            high = middle - 1
    return low
