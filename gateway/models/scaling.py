"""Units a model can compare: robust location and scale of every channel, and who takes no part.

    scaled = (value - location) / scale

Location is the median; scale is what the deviations from the median of their block of neighbouring
rows say (the larger of what half, 90 % and 95 % of them say), so a slow wander does not
inflate it and a spike does not set it. Both are found by asking for histograms and zooming in on
the bin that holds the quantile, so that rows can stay where they are: only counts are added up.

Promised: every channel that takes no part, or only partly, is a `Problem` that names it and says
how to mend it; nothing is dropped silently.
Left to others: the rows (training_part.py), whether the rest can carry a model (fit.py).
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BINS: Final = 64
_ROUNDS_MAX: Final = 200
"""A range of 1e300 shrinks 64 times a round; far fewer rounds are ever needed."""
FAR_SCALES: Final = 1e6
ABSURD: Final = 1e100
"""No quantity is so large; beyond it squares and ranges overflow."""
_NORMAL_QUANTILES: Final = ((0.5, 0.6745), (0.9, 1.6449), (0.95, 2.0 * 1.96))
"""Share of deviations, and how many standard deviations it stands for. The last, twice what normal
values have, widens the scale of a channel that rests and sometimes jumps; up to one value in twenty
may be wild."""
_CONSTANT: Final = 1e-9
_COLLINEAR: Final = 1e-8
"""Share of a channel's variance that the others leave, from which it is a copy of them."""
_SEEN_MIN: Final = 0.1
_TINY: Final = 1e-290
_SPREAD_PRECISION: Final = 0.005


class UnfitRowsError(ValueError):
    """The training rows cannot carry a model; the message says why and names the channels."""


class Scaling(NamedTuple):
    """Arrays (S,) over all signals, in their own units; 0 and 1 for a signal not used.

    The location of one that never changed is the value it had, so that a change can be told.
    """

    location: Floats
    scale: Floats
    used: Bools
    resolution: Floats
    """Smallest step between neighbouring values."""


class Problem(NamedTuple):
    """What is wrong with one channel, and what was done about it."""

    signal: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.signal}: {self.what}; {self.remedy}"


class Survey(NamedTuple):
    """What rows say before any scale is known; arrays (S,). Adds up, parts merge."""

    rows: int
    seen: Floats
    """Finite values."""
    infinite: Floats
    """Values that are infinite or beyond `ABSURD`; taken as missing."""
    low: Floats
    high: Floats
    step: Floats
    """Smallest difference of neighbouring rows that is not zero; infinite if there is none."""

    def merged(self, other: "Survey") -> "Survey":
        """Return the survey of both parts together."""
        return Survey(
            self.rows + other.rows,
            self.seen + other.seen,
            self.infinite + other.infinite,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            np.minimum(self.step, other.step),
        )


Ask = Callable[[Floats, Floats], Floats]
"""Low edges (S,) and bin widths (S,) in; counts (S, BINS + 2) out, the ends for what is outside."""


def survey(rows: Floats) -> Survey:
    """Return what rows (n, S) say; infinite ones count as `infinite`."""
    infinite = np.abs(rows) > ABSURD
    values = np.where(infinite, np.nan, rows)
    seen = ~np.isnan(values)
    steps = np.abs(np.diff(values, axis=0))
    return Survey(
        len(rows),
        seen.sum(axis=0).astype(np.float64),
        infinite.sum(axis=0).astype(np.float64),
        np.where(seen, values, np.inf).min(axis=0, initial=np.inf),
        np.where(seen, values, -np.inf).max(axis=0, initial=-np.inf),
        np.where(steps > 0.0, steps, np.inf).min(axis=0, initial=np.inf),
    )


def histogram(values: Floats, low: Floats, width: Floats) -> Floats:
    """Return counts (S, BINS + 2) of values (n, S); NaN counts nowhere."""
    place = np.clip(np.floor((values - low) / width), -1.0, float(BINS)) + 1.0
    seen = ~np.isnan(place)
    channel = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    flat = channel[seen] * (BINS + 2) + place[seen].astype(np.intp)
    counts = np.bincount(flat, minlength=values.shape[1] * (BINS + 2))
    return counts.reshape(values.shape[1], BINS + 2).astype(np.float64)


def quantile(
    ask: Ask, low: Floats, high: Floats, share: float, tolerance: Floats, relative: float = 0.0
) -> Floats:
    """Return a quantile (S,) of values between low and high (S,), to within `tolerance` (S,).

    Or to within `relative` of itself, if that is more.
    """
    top, bottom = high.copy(), low.copy()
    for _ in range(_ROUNDS_MAX):
        least = np.maximum(tolerance, (relative + 4e-16) * np.abs(bottom))
        is_wide = top - bottom > np.maximum(least, _TINY)
        if not is_wide.any():
            break
        width = np.where(is_wide, (top - bottom) / BINS, 1.0)
        counts = ask(bottom, width).cumsum(axis=1)
        place = np.argmax(counts >= share * counts[:, -1:], axis=1)
        edge = np.clip(place - 1, 0, BINS - 1)
        start = bottom + edge * width
        # The upper end stays as it is: rounding must not leave out the values that lie on it.
        top = np.where(is_wide & (edge < BINS - 1), start + width, top)
        bottom = np.where(is_wide, start, bottom)
    return 0.5 * (top + bottom)


def agree(total: Survey, values: Ask, spreads: Ask, signals: tuple[str, ...]) -> Scaling:
    """Return the scaling of surveyed rows; `values` and `spreads` count them and their deviations.

    Channels of `problems(total, ...)` that cannot be used are left out of `used`.
    """
    used = np.array([is_usable for is_usable, _ in _judged(total, signals)])
    step = np.where(np.isfinite(total.step), total.step, 0.0)
    low, high = np.where(used, total.low, 0.0), np.where(used, total.high, 0.0)
    scale = step / np.sqrt(12.0)
    for share, deviations in _NORMAL_QUANTILES:
        zero, span = np.zeros(len(low)), high - low
        spread = quantile(spreads, zero, span, share, 0.02 * step, _SPREAD_PRECISION)
        scale = np.maximum(scale, np.where(spread > 0.25 * step, spread, 0.0) / deviations)
    scale = np.where(used & (scale > 0.0), scale, 1.0)
    location = quantile(values, low, high, 0.5, 0.01 * scale)
    is_constant = total.low == total.high
    return Scaling(
        np.where(used, location, np.where(is_constant, total.low, 0.0)), scale, used, step
    )


def problems(total: Survey, signals: tuple[str, ...]) -> tuple[Problem, ...]:
    """Return what is wrong with the channels of surveyed rows."""
    found = [problem for _, problem in _judged(total, signals)]
    return tuple(problem for problem in found if problem is not None)


def _judged(total: Survey, signals: tuple[str, ...]) -> list[tuple[bool, Problem | None]]:
    """Tell for each channel whether it can be used, and what is wrong with it."""
    return [_judge(total, place, signal) for place, signal in enumerate(signals)]


def _judge(total: Survey, place: int, signal: str) -> tuple[bool, Problem | None]:
    """Tell whether one channel can be used, and what is wrong with it."""
    seen, infinite = int(total.seen[place]), int(total.infinite[place])
    low, high = float(total.low[place]), float(total.high[place])
    if not seen:
        what = "every training value is " + ("infinite or absurd" if infinite else "missing")
        return False, Problem(signal, what, "it takes no part; check its sensor and its name")
    if seen < _SEEN_MIN * total.rows:
        what = f"only {seen} of {total.rows} training values are there"
        return False, Problem(signal, what, "it takes no part; give it a slower row period")
    if high - low <= _CONSTANT * max(abs(low), abs(high)):
        what = f"its training values are all {high:.6g}"
        remedy = "it takes no part, for its spread is unknown; train with rows in which it moves"
        return False, Problem(signal, what, remedy)
    if infinite:
        what = f"{infinite} of {total.rows} training values are infinite or beyond {ABSURD:g}"
        return True, Problem(signal, what, "they are taken as missing; check its converter")
    return True, None


def copies(products: Floats, signals: tuple[str, ...]) -> tuple[tuple[int, Problem], ...]:
    """Return channels that are sums of earlier ones, from their products (u, u) about the mean.

    One channel after the other is explained by those kept before it (a Cholesky factor by rows).
    """
    root = np.sqrt(np.maximum(np.diag(products), np.finfo(np.float64).tiny))
    correlation = products / np.outer(root, root)
    kept: list[int] = []
    found: list[tuple[int, Problem]] = []
    for place, signal in enumerate(signals):
        shares = np.linalg.solve(correlation[np.ix_(kept, kept)], correlation[kept, place])
        if 1.0 - float(shares @ correlation[kept, place]) > _COLLINEAR:
            kept.append(place)
            continue
        strong = [
            signals[kept[at]] for at in np.argsort(-np.abs(shares))[:3] if shares[at] ** 2 > 1e-6
        ]
        what = f"it says nothing that {' and '.join(strong)} does not say already"
        found.append((place, Problem(signal, what, "it takes no part; leave it out of the asset")))
    return tuple(found)


def scaled(scaling: Scaling, rows: Floats) -> Floats:
    """Return rows (..., S) as (..., u), scaled; infinite values are missing, absurd ones limited.

    The limit is far beyond anything a model can tell apart and keeps squares from overflowing.
    """
    used = scaling.used
    kept = rows[..., used]
    values = (np.where(np.isinf(kept), np.nan, kept) - scaling.location[used]) / scaling.scale[used]
    clipped: Floats = np.clip(values, -FAR_SCALES, FAR_SCALES)
    return clipped
