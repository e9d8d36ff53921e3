"""What is normal for the lag of a signal, what is too much, and what could be seen at all.

Healthy windows, one after another, give the profiles of lag.py. Of them are learnt

    reference    the lag within reach at which the sum of their profiles is largest: a lag that was
                 always there (a pipe, a filter, a model of few lags) is no finding
    gain         of a window or of several together: largest likelihood less that at the reference,
                 the `LINES` frequencies that say most for it counted as the one after them
    limit        the gain that health exceeds with the probability p asked for

The gain has to do without what is particular to a few frequencies, because an oscillation that all
signals share and the model does not know is explained better by half a period of lag than by the
model's signs of the coupling. All other frequencies speak against that; a lag turns every one.

Were the model right, a likelihood ratio x would be exceeded with a probability below e^-x (Markov,
since its mean is 1). Real rows are less obedient, so the scale of that exponential is learnt: with
the gains g_w of W windows and a prior worth `PRIOR_WINDOWS` windows of scale 1 the predictive law
is that of Lomax (Pareto of the second kind), and

    limit = (PRIOR_WINDOWS + sum max(g_w, 1)) (p^(-1 / (PRIOR_WINDOWS + W)) - 1)

so few windows, or restless ones, make it high. And a true lag s is worth what healthy windows would
lose by it, L(reference) - L(reference - s) in their mean: a gain that is a small share of that, as
if a signal had come loose from all others, is none. A shift is detectable if in nine of ten healthy
windows it is worth more than the limit, on both sides. Of a lag beyond `lag.REACH_ROWS` only the
sign is known, and that it is so large: its deviation is that reach.

Promises: pure and deterministic; nothing is claimed of a signal without a detectable shift.
Left to others: profiles (lag.py), the flow of rows (lag_monitor.py).

Sources: Royall (1997), Statistical Evidence, section 1.4, for the bound e^-x; Lomax (1954);
Gelman et al., Bayesian Data Analysis (2013), 2.6, for the exponential with a gamma prior.
"""

import math
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.models import lag
from gateway.models.lag import Profile

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

HORIZONS: Final = (1, 4)
"""Windows that are looked at together: one finds a large lag soon, four a small one at all."""
SHARE_MIN: Final = 1.0 / 3.0
"""Of what a lag is worth in health: two thirds of a window are behind the onset then."""
LINES: Final = 12
"""Of 128 frequencies: a line under the taper takes five of them, and so does its first overtone."""
PRIOR_WINDOWS: Final = 8.0
"""What the theory of likelihood ratios is worth against what is seen, in windows."""
_TENTH: Final = 1.2815515655446004
"""Standard normal quantile of 90 %."""


class Reference(NamedTuple):
    """What healthy windows taught about one group of signals."""

    place: int
    """Of the reference among `lag.lags()`."""
    limits: tuple[float, ...]
    """For each of `HORIZONS`, in nats; infinite where there were too few windows."""
    spread: float
    """By how much variances of a lag are wider than the likelihood's curvature says; 1 at least."""
    detectable_rows: tuple[float | None, ...]
    """For each of `HORIZONS`: smallest shift that is found; None if none within reach is."""
    worth: tuple[float, ...]
    """Nats that a window gains, in the mean, where the best lag is the one at each place; for all
    `lag.lags()`, and beyond the reach as at its edge."""
    windows: int

    @property
    def lag_rows(self) -> float:
        """Return the reference lag."""
        return float(lag.lags()[self.place])


class Found(NamedTuple):
    """What a profile says against a reference."""

    lag_rows: float
    """Beyond the reference, above zero: late."""
    deviation_rows: float
    """Standard deviation of that lag."""
    is_beyond: bool
    """Whether it is beyond reach, so that no more is known than that, and the sign."""
    gain: float
    """Nats by which it explains the values better than the reference, the strongest frequencies
    cut down."""
    is_agreed: bool
    """Whether the plain correlation, without weights, prefers it too, and the gain is a fair share
    of what such a lag is worth."""


def learn(profiles: Sequence[Profile], chance: float) -> Reference:
    """Learn from the profiles of healthy windows, in their order; `chance` is p.

    Raises ValueError without any profile.
    """
    if not profiles:
        raise ValueError("no healthy window; a reference is learnt from one at least")
    reach = _within_reach()
    course = together(profiles).log_likelihood
    place = int(reach[np.argmax(course[reach])])
    worth = _worth(profiles, place)
    limits, detectable = [], []
    for horizon in HORIZONS:
        ends = range(horizon, len(profiles) + 1, horizon)
        parts = [together(profiles[end - horizon : end]) for end in ends]
        limits.append(limit_of([gain(part, place) for part in parts], chance))
        detectable.append(_detectable(profiles, place, horizon, worth, limits[-1]))
    bests = [int(reach[np.argmax(each.log_likelihood[reach])]) for each in profiles]
    gains = [gain_of(each, best, place) for each, best in zip(profiles, bests, strict=True)]
    # Half of a chi-square with one degree of freedom is 1/2 in the mean.
    spread = max(1.0, 2.0 * float(np.mean(gains)))
    return Reference(place, tuple(limits), spread, tuple(detectable), worth, len(profiles))


def together(profiles: Sequence[Profile]) -> Profile:
    """Return what several windows say together."""
    return reduce(add, profiles)


def gain(profile: Profile, place: int) -> float:
    """Return by how many nats the best lag is better than that at `place`."""
    return evidence(profile, int(np.argmax(profile.log_likelihood)), place)


def held_against(reference: Reference, profile: Profile, windows: int = 1) -> Found:
    """Return what the profile of so many windows says."""
    course = profile.log_likelihood
    best = int(np.argmax(course))
    step = 1.0 / lag.STEPS_PER_ROW
    inner = min(max(best, 1), len(course) - 2)
    below, middle, above = (float(value) for value in course[inner - 1 : inner + 2])
    bend = 2.0 * middle - below - above
    shift = 0.5 * (above - below) / bend if bend > 0.0 and inner == best else 0.0
    looseness = profile.looseness(best)
    variance = looseness * reference.spread * step**2 / bend if bend > 0.0 else math.inf
    reach = float(lag.REACH_ROWS)
    late_rows = float(lag.lags()[best]) + shift * step - reference.lag_rows
    is_beyond = abs(late_rows) >= reach
    deviation = reach if is_beyond else min(math.sqrt(variance + step**2 / 12.0), reach)
    plain = profile.plain
    gained = evidence(profile, best, reference.place)
    is_fair = gained >= SHARE_MIN * windows * reference.worth[best]
    is_agreed = bool(is_fair and plain[best] > plain[reference.place])
    return Found(late_rows, deviation, is_beyond, gained, is_agreed)


def evidence(profile: Profile, place: int, other: int) -> float:
    """Return the nats that speak for one place against another, the strongest frequencies cut down.

    Below zero where most of the others object.
    """
    parts = lag.said(profile.cross, np.array([place]), other)
    return float(_capped(parts)[0]) / profile.looseness(place)


def gain_of(profile: Profile, place: int, other: int) -> float:
    """Return the nats that speak for one place against another."""
    course = profile.log_likelihood
    return float(course[place] - course[other]) / profile.looseness(place)


def limit_of(gains: Sequence[float], chance: float) -> float:
    """Return the gain that health exceeds with the probability `chance`."""
    if not gains:
        return math.inf
    windows = PRIOR_WINDOWS + len(gains)
    total = PRIOR_WINDOWS + sum(max(each, 1.0) for each in gains)
    return total * math.expm1(-math.log(chance) / windows)


def _capped(parts: Floats) -> Floats:
    """Return the sums (n,) of parts (n, f), the largest of each row cut to the one after them."""
    after = np.partition(parts, -LINES - 1, axis=1)[:, -LINES - 1, None]
    result: Floats = np.minimum(parts, np.maximum(after, 0.0)).sum(axis=1)
    return result


def _within_reach() -> Ints:
    """Return the places among `lag.lags()` whose size is told."""
    return np.flatnonzero(np.abs(lag.lags()) <= lag.REACH_ROWS)


def _worth(profiles: Sequence[Profile], place: int) -> tuple[float, ...]:
    """Return what a window gains at each place (lags,), if that is where it is best.

    Values that stand late by s lose at the reference what healthy ones lose s before it.
    """
    crosses = [each.cross / each.looseness(place) for each in profiles]
    reach = _within_reach()
    lost = _capped(-lag.said(np.mean(crosses, axis=0), reach, place))
    mirrored = np.clip(2 * place - np.arange(len(lag.lags())) - reach[0], 0, len(lost) - 1)
    return tuple(float(value) for value in lost[mirrored])


def _detectable(
    profiles: Sequence[Profile],
    place: int,
    horizon: int,
    worth: Sequence[float],
    limit: float,
) -> float | None:
    """Return the smallest shift in rows that nine of ten healthy windows would show."""
    if not math.isfinite(limit):
        return None
    courses = np.array([each.log_likelihood / each.looseness(place) for each in profiles])
    lost = courses[:, place, None] - courses
    deviation = lost.std(axis=0) * math.sqrt(horizon)
    for steps in range(1, lag.REACH_ROWS * lag.STEPS_PER_ROW + 1):
        # A shift to the one side is worth what health loses on the other.
        sides = [(place - steps, place + steps), (place + steps, place - steps)]
        if all(horizon * worth[at] - _TENTH * deviation[mirror] >= limit for at, mirror in sides):
            return steps / lag.STEPS_PER_ROW
    return None
