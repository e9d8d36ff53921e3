"""Faults in which what arrives is no longer the signal: stuck, spoof, replay, loss.

Let B be the values of signal i from the onset on. Under the hypothesis they come from elsewhere,

    p(window) = p(all but B | law) p'(B),

and the first factor for every onset is `left_out` of hypotheses_window.py. What p' is:

    stuck    a constant c ~ N(0, wide), each value N(c, small)
    spoof    by itself right, to the others deaf: the signal's own law without them;
             or too clean: as the others foretell it, but with less than the healthy noise;
             or a smooth curve with less than the healthy noise
    replay   rows that were stored before (repeats.py), each value N(copy, small), divided by the
             number of places the copy was looked for in
    loss     values that are not there: how many are missing against how many usually are

All are Gaussian, so densities stay Student in one squared distance; `small` is never below
the resolution of the signal.

A coarse or held signal repeats itself by nature. Its healthy law therefore has an atom: with
probability `hold` a value is its predecessor again. A hypothesis that replaces such values gives
up that credit, log(1 + hold / (resolution p(value | rest))), so exact repeats count at most 1/hold
each.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from gateway.models.hypotheses_additive import Candidates, Ints, age_grid, age_weights
from gateway.models.hypotheses_window import (
    Floats,
    Law,
    LeftOut,
    Window,
    left_out,
    log_density,
    own_covariance,
    weigh,
)
from gateway.models.state_space import stationary

STUCK_ROWS_MIN: Final = 4
SPOOF_ROWS_MIN: Final = 8
REPLAY_ROWS_MIN: Final = 6
LOSS_ROWS_MIN: Final = 1
_STUCK_PLACES: Final = (1.5, 15.0, 500.0, 5e4)
_STUCK_NOISES: Final = (0.0, 0.03, 0.1)
_COPY_NOISES: Final = (0.0, 0.1, 0.3)
_CLEAN: Final = (0.3, 0.1, 0.03)
_OFFSETS: Final = (0.3, 2.0)
_CURVES: Final = ((5.0, 0.1), (5.0, 0.01), (20.0, 0.1), (20.0, 0.01))
"""(length in rows, noise) of smooth curves."""
_LOSSES: Final = (0.98, 0.5)


class Copy(NamedTuple):
    """Stored rows that look like the window's last rows."""

    signals: tuple[int, ...]
    rows: Floats
    """(n, u): residuals to the same level as the window's rows; NaN where nothing is stored."""
    choices: int
    """Places that were compared: the chance of finding one grows with them."""


class _Rest(NamedTuple):
    """What all replaced hypotheses share; arrays (u, n) by age."""

    left: LeftOut
    credit: Floats
    """What healthy repeats of the values left out had counted, in log density."""


def replaced(window: Window, copies: Sequence[Copy]) -> list[Candidates]:
    """Return stuck, spoof, loss, and a replay for every copy."""
    left = left_out(window)
    rest = _Rest(left, np.cumsum(_credit(window)[:, ::-1], axis=1))
    found = [_losses(window)]
    rows = window.values.shape[1]
    if rows >= STUCK_ROWS_MIN:
        found.append(_stuck(window, rest))
    if rows >= SPOOF_ROWS_MIN:
        found.append(_spoofs(window, rest))
    return found + [part for copy in copies for part in _replays(window, rest, copy)]


def _credit(window: Window) -> Floats:
    """Return log(1 + hold / (resolution p)) where a value repeats its predecessor, else 0."""
    law = window.law
    own = np.maximum(np.diagonal(window.precision, axis1=1, axis2=2), 1e-12)
    density = np.sqrt(own / (2.0 * np.pi)) * np.exp(-0.5 * window.weighted**2 / own)
    atom = (law.hold / law.resolution)[:, None] / np.maximum(density, 1e-300)
    step = np.abs(np.diff(window.values, axis=1, prepend=np.inf))
    both = window.seen & np.roll(window.seen, 1, axis=1)
    result: Floats = np.where(both & (step < 0.5 * law.resolution[:, None]), np.log1p(atom), 0.0)
    return result


def _weighed(window: Window, rest: _Rest, distance: Floats, determinant: Floats) -> Floats:
    """Return log ratios (u, n) by age: all but B under the law, B with this distance and det."""
    left = rest.left
    density = log_density(
        left.distance + distance,
        left.log_determinant + determinant,
        window.total,
        window.law.degrees,
    )
    result: Floats = density - window.log_density - rest.credit
    return result


def _stuck(window: Window, rest: _Rest) -> Candidates:
    """Return a constant, for every onset."""
    law = window.law
    signals, rows = window.values.shape
    ages = np.arange(1, rows + 1)
    seen = window.seen[:, ::-1]
    newest = np.argmax(seen, axis=1)
    last = window.values[:, ::-1][np.arange(signals), newest][:, None]
    away = np.where(seen, window.values[:, ::-1] - last, 0.0)
    count = np.maximum(rest.left.taken, 1.0)
    middle = np.cumsum(away, axis=1) / count
    scatter = np.maximum(np.cumsum(away**2, axis=1) - count * middle**2, 0.0)
    parts = []
    for small in _STUCK_NOISES:
        own = (small**2 * law.state_space.noise + law.resolution**2 / 12.0)[:, None]
        for wide in _STUCK_PLACES:
            place = (wide * law.spread[:, None]) ** 2
            distance = scatter / own + (last + middle) ** 2 * count / (own + count * place)
            determinant = rest.left.taken * np.log(own) + np.log1p(count * place / own)
            parts.append(_weighed(window, rest, distance, determinant))
    variants = np.stack(parts, axis=2) - math.log(len(parts))
    return _by_age("stuck", variants, rest.left, ages, STUCK_ROWS_MIN, rows)


def _spoofs(window: Window, rest: _Rest) -> Candidates:
    """Return values that go their own way, or are too clean, for every onset."""
    law = window.law
    rows = window.values.shape[1]
    ages = np.arange(1, rows + 1)
    parts, shares = [], []
    for offset in _OFFSETS:
        parts.append(_drawn(window, rest, marginal(law, rows, offset)))
        shares.append(0.4 / len(_OFFSETS))
    left = rest.left
    for small in _CLEAN:
        determinant = 2.0 * left.taken * math.log(small) - left.precision_determinant
        parts.append(_weighed(window, rest, left.surprise / small**2, determinant))
        shares.append(0.4 / len(_CLEAN))
    place = np.arange(rows)
    for length, small in _CURVES:
        shape = np.exp(-0.5 * ((place[:, None] - place) / length) ** 2) + 1.0
        noise = small**2 * law.state_space.noise + law.resolution**2 / 12.0
        curve = shape * (law.spread**2)[:, None, None] + noise[:, None, None] * np.eye(rows)
        parts.append(_drawn(window, rest, curve))
        shares.append(0.2 / len(_CURVES))
    variants = np.stack(parts, axis=2) + np.log(shares)
    return _by_age("spoof", variants, left, ages, SPOOF_ROWS_MIN, rows)


def marginal(law: Law, rows: int, offset: float) -> Floats:
    """Return the covariance (u, rows, rows) of each signal by itself, its level free by `offset`.

    `offset` is the deviation of a constant error, in healthy deviations.
    """
    space = law.state_space
    current = space.current
    factors = current.shape[1]
    moved = stationary(space)
    by_lag = np.zeros((rows, len(current)))
    for lag in range(rows):
        by_lag[lag] = np.einsum("if,fg,ig->i", current, moved[:factors, :factors], current)
        moved = space.transition @ moved
    place = np.arange(rows)
    shared = by_lag[np.abs(place[:, None] - place)].transpose(2, 0, 1)
    free = (offset * law.spread)[:, None, None] ** 2
    result: Floats = own_covariance(law, rows) + shared + free
    return result


def _drawn(window: Window, rest: _Rest, covariance: Floats) -> Floats:
    """Return log ratios (u, n) of B drawn from N(0, covariance (u, n, n)), for every onset."""
    seen = window.seen[:, ::-1]
    both = seen[:, :, None] & seen[:, None, :]
    filler = np.eye(seen.shape[1]) * ~seen[:, None, :]
    lower = np.linalg.cholesky(np.where(both, covariance[:, ::-1, ::-1], 0.0) + filler)
    solved = np.linalg.solve(lower, window.values[:, ::-1, None])[:, :, 0]
    distance = np.cumsum(solved**2, axis=1)
    determinant = np.cumsum(2.0 * np.log(np.diagonal(lower, axis1=1, axis2=2)), axis=1)
    return _weighed(window, rest, distance, determinant)


def _by_age(
    cause: str, variants: Floats, left: LeftOut, ages: Ints, rows_min: int, rows: int
) -> Candidates:
    """Return candidates from log ratios (u, n, variants); onsets with too few values fall out."""
    kept = ages >= rows_min
    weights = np.log(age_weights(ages[kept], rows))
    enough = left.taken[:, kept, None] >= rows_min
    likelihood = np.where(enough, variants[:, kept] + weights[:, None], -np.inf)
    shape = likelihood.shape
    flat = (shape[0], shape[1] * shape[2])
    age = np.broadcast_to(ages[kept][:, None].astype(np.float64), shape)
    unknown = np.full(flat, np.nan)
    everyone = tuple(range(shape[0]))
    return Candidates(
        cause, everyone, likelihood.reshape(flat), unknown, unknown, age.reshape(flat)
    )


def _losses(window: Window) -> Candidates:
    """Return missing values of each signal, and of all together; for every onset.

    A row in which nothing arrived says nothing against one signal, only against all.
    """
    signals, rows = window.values.shape
    seen = window.seen[:, ::-1]
    is_empty = ~seen.any(axis=0)
    counted = np.vstack([np.where(is_empty, True, seen), ~is_empty])
    usual = np.append(window.law.missing, float(window.law.missing.min()))[:, None]
    gone = np.cumsum(~counted, axis=1)
    ages = np.arange(LOSS_ROWS_MIN, rows + 1)
    weighed = np.cumsum(np.vstack([np.tile(~is_empty, (signals, 1)), np.ones(rows, bool)]), axis=1)
    parts = [
        gone * np.log(chance / usual)
        + (weighed - gone) * np.log((1.0 - chance) / (1.0 - usual))
        - math.log(len(_LOSSES))
        for chance in _LOSSES
    ]
    likelihood = np.concatenate(parts, axis=1)
    likelihood += np.tile(np.log(age_weights(ages, rows)), len(_LOSSES))
    age = np.tile(ages.astype(np.float64), (signals + 1, len(_LOSSES)))
    unknown = np.full(likelihood.shape, np.nan)
    return Candidates("loss", (*range(signals), None), likelihood, unknown, unknown, age)


def _replays(window: Window, rest: _Rest, copy: Copy) -> list[Candidates]:
    """Return what a copy explains: each of its signals alone, or all of them together."""
    rows = window.values.shape[1]
    away, length = _from_copy(window, copy)
    ages = age_grid(rows, REPLAY_ROWS_MIN)
    ages = ages[ages <= length]
    if not len(ages):
        return []
    choices = math.log(max(copy.choices, 1))
    if len(copy.signals) == 1:
        variants = [
            _weighed(window, rest, *_near(window, away, noise)) - math.log(len(_COPY_NOISES))
            for noise in _COPY_NOISES
        ]
        chosen = np.stack(variants, axis=2)[copy.signals[0]][ages - 1]
        weights = np.log(age_weights(ages, rows))[:, None]
        return [_replay(copy.signals[0], chosen + weights - choices, ages)]
    return [_replay(None, _together(window, rest, copy, away, ages) - choices, ages)]


def _from_copy(window: Window, copy: Copy) -> tuple[Floats, int]:
    """Return value less copy (u, n), newest first, and for how many rows there is a copy."""
    stored = copy.rows.T[:, ::-1]
    is_gap = [bool(np.isnan(column).any()) for column in stored[list(copy.signals)].T]
    length = is_gap.index(True) if True in is_gap else len(is_gap)
    seen = window.seen[:, ::-1] & ~np.isnan(stored)
    return np.where(seen, window.values[:, ::-1] - np.nan_to_num(stored), 0.0), length


def _near(window: Window, away: Floats, noise: float) -> tuple[Floats, Floats]:
    """Return distance and log determinant (u, n) by age of values this near to their copy."""
    law = window.law
    variance = (noise**2 * law.state_space.noise + law.resolution**2 / 12.0)[:, None]
    distance = np.cumsum(away**2, axis=1) / variance
    determinant: Floats = np.multiply(np.cumsum(window.seen[:, ::-1], axis=1), np.log(variance))
    return distance, determinant


def _together(window: Window, rest: _Rest, copy: Copy, away: Floats, ages: Ints) -> Floats:
    """Return log ratios (ages, variants) of several signals replaced at once."""
    rows = window.values.shape[1]
    members = list(copy.signals)
    original = np.where(window.seen, window.values, np.nan).T
    weights = np.log(age_weights(ages, rows))
    near = [_near(window, away, noise) for noise in _COPY_NOISES]
    result = np.empty((len(ages), len(_COPY_NOISES)))
    for place, age in enumerate(ages):
        emptied = original.copy()
        emptied[rows - age :, members] = np.nan
        left = weigh(window.law, emptied)
        credit = rest.credit[members, age - 1].sum()
        for variant, (distance, determinant) in enumerate(near):
            density = log_density(
                left.distance + distance[members, age - 1].sum(),
                left.log_determinant + determinant[members, age - 1].sum(),
                window.total,
                window.law.degrees,
            )
            result[place, variant] = density - window.log_density - credit + weights[place]
    return result - math.log(len(_COPY_NOISES))


def _replay(signal: int | None, likelihood: Floats, ages: Ints) -> Candidates:
    """Return one copy as candidates; (ages, variants) in."""
    flat = likelihood.reshape(1, -1)
    age = np.repeat(ages.astype(np.float64), likelihood.shape[1])[None]
    unknown = np.full(flat.shape, np.nan)
    return Candidates("replay", (signal,), flat, unknown, unknown, age)
