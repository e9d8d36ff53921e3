"""A signal whose values are right but stand at the wrong time.

From the onset on, y_it is what the signal was (or will be) `shift` rows away. Given all other
signals, the true course of signal i is N(mean_i, S_i) at every row, seen or not; so with the rows
s(t) = t before the onset and t - shift from it on,

    p(y_i | others) = N(mean_i[s], S_i[s, s] + jitter)

Rows that stand twice in s are the same value twice, up to `jitter`: a clock that steps back repeats
what was sent, and the density knows it. The window is widened by empty rows on both sides, so that
an onset before the window needs no special case.

Sources: Knapp and Carter (1976), The generalized correlation method for estimation of time delay,
for delay as a likelihood; the rest is conditioning of Gaussians.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from gateway.models.hypotheses_additive import Candidates, Ints, age_weights
from gateway.models.hypotheses_window import (
    Bools,
    Floats,
    LeftOut,
    Rest,
    Window,
    given_others,
    left_out,
    log_density,
    only,
    weigh,
)

CLOCK_ROWS_MIN: Final = 8
_SHIFTS: Final = (1, 2, 3, 4, 5, 6, 8, -1, -2, -3, -5, -8)
"""Rows by which values stand late (above zero) or early."""
_SHARE_LATE: Final = 0.8
_ONSETS: Final = 5
_REACH: Final = 8
_SIGNALS_MAX: Final = 8
_REPEATED_MAX: Final = 24
_JITTER: Final = 0.01
"""Deviation of a value from itself, in deviations of the signal's own noise."""


def clock(window: Window) -> list[Candidates]:
    """Return signals at other times, for a few onsets and shifts.

    Tried are those that agree least with the others, and those that repeat their last rows.
    """
    signals, rows = window.values.shape
    if rows < CLOCK_ROWS_MIN or signals < 2:
        return []
    left = left_out(window)
    repeated = _repeated(window)
    ages = np.unique(np.geomspace(CLOCK_ROWS_MIN, rows, _ONSETS).round().astype(np.int64))
    pairs = [(int(age), shift) for age in ages for shift in _SHIFTS]
    pairs += [pair for pair in repeated if pair not in pairs]
    chosen = _worth_trying(left, repeated)
    few = _Few(
        LeftOut(*(field[chosen] for field in left)),
        _padded_rest(window, chosen),
        window.values[chosen],
        window.seen[chosen],
        _jitter(window)[chosen],
    )
    weights = age_weights(np.unique(np.array([age for age, _ in pairs])), rows)
    of_age = dict(zip(sorted({age for age, _ in pairs}), np.log(weights), strict=True))
    parts = [
        _shifted(window, few, _places(rows, age, shift) + _REACH) + of_age[age] + _log_share(shift)
        for age, shift in pairs
    ]
    likelihood = np.stack(parts, axis=1)
    shape = likelihood.shape
    return [
        Candidates(
            "clock",
            tuple(int(signal) for signal in chosen),
            likelihood,
            np.broadcast_to([float(shift) for _, shift in pairs], shape),
            np.zeros(shape),
            np.broadcast_to([float(age) for age, _ in pairs], shape),
        )
    ]


class _Few(NamedTuple):
    """The signals that are tried, g of them."""

    left: LeftOut
    rest: Rest
    values: Floats
    seen: Bools
    jitter: Floats


def _jitter(window: Window) -> Floats:
    """Return the variance (u,) between two arrivals of one value."""
    law = window.law
    result: Floats = _JITTER**2 * law.state_space.noise + law.resolution**2 / 12.0
    return result


def _repeated(window: Window) -> dict[tuple[int, int], set[int]]:
    """Return {(age, shift): signals} that repeat their `shift` rows before the onset exactly.

    A run of at least two rows, not all the same value: a constant repeats itself anyhow.
    """
    found: dict[tuple[int, int], set[int]] = {}
    rows = window.values.shape[1]
    near = 0.5 * window.law.resolution[:, None]
    moving = np.abs(np.diff(window.values, axis=1, prepend=np.inf)) > near
    for shift in [shift for shift in _SHIFTS if shift > 1]:
        both = window.seen[:, shift:] & window.seen[:, :-shift]
        same = both & (np.abs(window.values[:, shift:] - window.values[:, :-shift]) < near)
        for first in range(shift, rows - shift + 1):
            run = same[:, first - shift : first].all(axis=1)
            run &= moving[:, first + 1 : first + shift].any(axis=1)
            if run.any():
                signals = {int(place) for place in np.flatnonzero(run)}
                found.setdefault((rows - first, shift), set()).update(signals)
    ranked = sorted(found.items(), key=lambda item: (-item[0][1], item[0][0]))
    return dict(ranked[:_REPEATED_MAX])


def _worth_trying(left: LeftOut, repeated: dict[tuple[int, int], set[int]]) -> Ints:
    """Return the signals that agree least with the others, and those that repeat themselves."""
    surprise = left.surprise[:, -1] / np.maximum(left.taken[:, -1], 1.0)
    worst = np.argsort(-surprise, kind="stable")[:_SIGNALS_MAX]
    return np.array(sorted({int(place) for place in worst}.union(*repeated.values())))


def _padded_rest(window: Window, chosen: Ints) -> Rest:
    """Return the law of the chosen signals given all others, on both sides beyond the window."""
    empty = np.full((_REACH, len(window.values)), np.nan)
    original = np.where(window.seen, window.values, np.nan).T
    padded = weigh(window.law, np.vstack([empty, original, empty]))
    return given_others(only(padded, chosen))


def _log_share(shift: int) -> float:
    """Return the log prior of a shift."""
    late = sum(other > 0 for other in _SHIFTS)
    if shift > 0:
        return math.log(_SHARE_LATE / late)
    return math.log((1.0 - _SHARE_LATE) / (len(_SHIFTS) - late))


def _places(rows: int, age: int, shift: int) -> Ints:
    """Return the row (rows,) at which each value was really taken."""
    place = np.arange(rows)
    return np.where(place >= rows - age, place - shift, place)


def _shifted(window: Window, few: _Few, place: Ints) -> Floats:
    """Return log ratios (g,) of values taken at other rows, `place` (n,) of the padded window."""
    seen = few.seen
    both = seen[:, :, None] & seen[:, None, :]
    rows = seen.shape[1]
    moved = few.rest.covariance[:, place[:, None], place] + few.jitter[:, None, None] * np.eye(rows)
    lower = np.linalg.cholesky(np.where(both, moved, 0.0) + np.eye(rows) * ~seen[:, None, :])
    away = np.where(seen, few.values - few.rest.mean[:, place], 0.0)
    solved = np.linalg.solve(lower, away[:, :, None])[:, :, 0]
    determinant = 2.0 * np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    density = log_density(
        few.left.distance[:, -1] + (solved**2).sum(axis=1),
        few.left.log_determinant[:, -1] + determinant,
        window.total,
        window.law.degrees,
    )
    result: Floats = density - window.log_density
    return result
