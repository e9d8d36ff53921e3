"""Has a signal left its level? Two kinds of explanation for its rows, and the odds between them.

    normal   y_t = level_t + n_t                  level_t = level_(t-1) + v_t
    moved    y_t = place_t + n_t                  place_t = place_(t-1) + v_t + u_t
    n ~ N(0, noise),  v ~ N(0, drift),  u ~ N(0, WANDER * unit)

A signal moves with probability `ENTRY` per row, to a place drawn from level + N(0, size * unit) for
the sizes of `SIZES`, and comes back to its level with probability `RETURN`. While it is away its
healthy level is kept and ages by the drift, so a jump stays improbable however long ago it was: an
alarm lasts while its cause lasts, and ends when the rows come back. Slow wander is followed by the
level and needs no separate rule of when to learn.

The exact posterior is a mixture with a component for every pair of moving and coming back; the
`NORMAL_KEPT` and `MOVED_KEPT` weightiest of each signal are kept. A value further away than
`REACH` deviations counts no further, and moves no level: one spike is no jump.

A slow signal (`Law.is_slow`: within one window its level moves further than a row's own noise) is
a covariate. Its odds stay at zero evidence, since a random walk of that size explains any place.

Promised: causal; the odds depend on nothing but the rows; a missing value says nothing.
Left to others: which odds are worth an alarm (calibration.py), what signals have in common
(evidence_joint.py), what the cause is (causes.py).

Sources: Harrison and Stevens (1976), Bayesian forecasting, 5, for the multi-process level model;
Adams and MacKay (2007), Bayesian online changepoint detection, for the bank; Huber (1981) for the
bounded row.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.models import drift

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ENTRY: Final = 1e-4
"""Probability per row that a signal leaves its level; 1 / ENTRY rows are a few hours at 1 Hz."""
RETURN: Final = 0.03
"""Probability per row that a signal which is away comes back."""
WANDER: Final = 0.5
"""Variance a moved signal's place gains per row, over that of a row: faults are no constants."""
SIZES: Final = (4.0, 100.0)
"""Variances of the jump, over that of a row: two and ten deviations."""
REACH: Final = 4.0
"""Deviations beyond which a single row says no more."""
NORMAL_KEPT: Final = 4
MOVED_KEPT: Final = 16
ODDS_MIN: Final = -20.0
"""Log odds below which nobody needs a number."""
_NOISE_MIN: Final = 0.5
"""Least noise over the variance of a row: neighbours that alternate are not believed further."""
_DRIFT_MIN: Final = 2e-4
"""Least drift over the variance of a row: some hundred rows cannot show that there is none."""
_DRIFT_SAFETY: Final = 0.25
_NEVER: Final = -1e9
_UNIT_MIN: Final = 1e-12
_UNKNOWN: Final = 100.0
"""Variance of a level of which nothing is known."""
_VARIANCE_MAX: Final = 1e6
"""Variance of a level over that of a row which no time without values exceeds."""


class Law(NamedTuple):
    """What one signal's rows obey when all is well; arrays (u,), scaled."""

    unit: Floats
    """Variance of a row about the mean of its neighbours."""
    noise: Floats
    """Of a row, such that means of a window come out as wide as they are."""
    drift: Floats
    """Variance the level gains per row."""
    level: Floats
    level_variance: Floats
    """At the last row learnt from."""
    is_slow: Bools


class Bank(NamedTuple):
    """The explanations that are kept, u signals."""

    normal: Floats
    """(3, u, NORMAL_KEPT): log weight, level, its variance."""
    moved: Floats
    """(5, u, MOVED_KEPT): log weight, healthy level, its variance, place, its variance."""


def learn(rows: Floats, window_rows: int) -> Law:
    """Learn from healthy scaled rows (n, u) in order of time; at least two windows of them.

    A signal without a value has a law that any value obeys.
    """
    seen = ~np.isnan(rows).all(axis=0)
    found = _learn(np.where(seen, rows, 0.0), window_rows)
    neutral = (1.0, 1.0, 1.0, 0.0, _UNKNOWN, True)
    return Law(*(np.where(seen, own, none) for own, none in zip(found, neutral, strict=True)))


def _learn(rows: Floats, window_rows: int) -> Law:
    """Learn from rows (n, u) in which every signal has a value."""
    limited = _limited(rows, window_rows)
    means, counts = drift.block_means(limited, window_rows)
    unit = _unit(limited, means, counts, window_rows)
    wanders = [
        drift.learn(column[~np.isnan(column)], float(own) / window_rows, _DRIFT_SAFETY)
        for column, own in zip(means.T, unit, strict=True)
    ]
    block_noise = np.array([float(wander.noise) for wander in wanders])
    per_block = np.array([float(wander.drift) for wander in wanders])
    followed = drift.follow(
        means,
        np.broadcast_to(block_noise, means.shape),
        per_block,
        np.nanmedian(means, axis=0),
        100.0 * unit + per_block * len(means),
    )
    return Law(
        unit,
        np.maximum(block_noise * window_rows, _NOISE_MIN * unit),
        np.maximum(per_block / window_rows, _DRIFT_MIN * unit),
        followed.mean[-1],
        followed.variance[-1],
        per_block > unit,
    )


def start(law: Law) -> Bank:
    """Return the bank before the first row: every signal is at its level."""
    signals = len(law.level)
    normal = np.empty((3, signals, NORMAL_KEPT))
    normal[0], normal[1], normal[2] = _NEVER, law.level[:, None], law.level_variance[:, None]
    normal[0, :, 0] = 0.0
    moved = np.empty((5, signals, MOVED_KEPT))
    moved[0] = _NEVER
    moved[[1, 3]], moved[[2, 4]] = law.level[:, None], law.level_variance[:, None]
    return Bank(normal, moved)


def step(law: Law, bank: Bank, row: Floats, unseen: Floats | None = None) -> Bank:
    """Return the bank after a scaled row (u,); NaN for a missing value.

    `unseen` (u,) is the drift of levels whose value is missing; without it that of the law. That is
    a little more than was learnt, which forgives a level that is watched and hides one that is not.
    """
    missing = np.isnan(row)
    drifts = law.drift if unseen is None else np.where(missing, unseen, law.drift)
    normal, moved = _aged(law, bank, 1, drifts)
    stayed = normal + np.array([math.log1p(-ENTRY), 0.0, 0.0])[:, None, None]
    back = moved[:3] + np.array([math.log(RETURN), 0.0, 0.0])[:, None, None]
    away = moved + np.array([math.log1p(-RETURN), 0.0, 0.0, 0.0, 0.0])[:, None, None]
    entered = normal + _enters(law)
    left = [_left(law, entered, size) for size in SIZES]
    at_level = _taken(np.concatenate([stayed, back], axis=2), law.noise, row, is_bounded=True)
    elsewhere = np.concatenate([away, *left], axis=2)
    at_place = _taken(elsewhere[[0, 3, 4]], law.noise, row, is_bounded=False)
    elsewhere[[0, 3, 4]] = at_place
    return _kept(at_level, elsewhere, missing)


def age(law: Law, bank: Bank, rows: int, drift: Floats) -> Bank:
    """Return the bank after `rows` rows, at least one, of which nothing was seen, at once.

    Levels gain `drift` (u,) per row. Signals leave and come back as the two states of a Markov
    chain do in so many rows; who left in the gap is away for as many rows as is to be expected. The
    variances are bounded, so any gap costs the same time and can be computed with.
    """
    enters = np.where(law.is_slow, 0.0, ENTRY)
    rest = enters / (enters + RETURN)
    fading = (1.0 - enters - RETURN) ** rows
    leaving, returning = rest * (1.0 - fading), (1.0 - rest) * (1.0 - fading)
    lasting = (1.0 - RETURN) ** rows
    normal, moved = _aged(law, bank, rows, drift)
    back = moved[:3] + _logs(returning)
    away = moved + _logs(np.full(len(enters), lasting), 5)
    away_rows = _expected_rows(rows)
    # Both who left their level in the gap, and who came back in it and left again.
    again = np.maximum(1.0 - returning - lasting, 0.0)
    entered = np.concatenate([normal + _logs(leaving), moved[:3] + _logs(again)], axis=2)
    left = [_left(law, entered, size + WANDER * away_rows) for size in SIZES]
    at_level = np.concatenate([normal + _logs(1.0 - leaving), back], axis=2)
    elsewhere = np.concatenate([away, *left], axis=2)
    return _kept(at_level, elsewhere, np.ones(len(enters), dtype=np.bool_))


def _enters(law: Law) -> Floats:
    """Return what the first row away adds to explanations (3, u, k); a slow signal never leaves."""
    result = np.zeros((3, len(law.unit), 1))
    result[0, :, 0] = np.where(law.is_slow, _NEVER, math.log(ENTRY))
    return result


def _expected_rows(rows: int) -> float:
    """Return for how many rows a signal that left in the last `rows` rows is away, on average.

    It left k rows ago with probability in proportion to q^k, q = 1 - RETURN, k < rows.
    """
    stays = 1.0 - RETURN
    gone = stays**rows
    return stays / RETURN - rows * gone / (1.0 - gone)


def _logs(probability: Floats, parts: int = 3) -> Floats:
    """Return log probabilities (u,) as what adds to the weights of explanations (parts, u, k)."""
    result = np.zeros((parts, len(probability), 1))
    known = np.where(probability > 0.0, probability, 1.0)
    result[0, :, 0] = np.where(probability > 0.0, np.log(known), _NEVER)
    return result


def _aged(law: Law, bank: Bank, rows: int, drift: Floats) -> Bank:
    """Return the bank `rows` rows later, without moves, when nothing has been seen."""
    normal, moved = bank.normal.copy(), bank.moved.copy()
    gained = rows * drift[:, None]
    most = _VARIANCE_MAX * law.unit[:, None]
    for variance, gain in (
        (normal[2], gained),
        (moved[2], gained),
        (moved[4], gained + rows * WANDER * law.unit[:, None]),
    ):
        variance[:] = np.minimum(variance + gain, np.maximum(variance, most))
    return Bank(normal, moved)


def _kept(at_level: Floats, elsewhere: Floats, unseen: Bools) -> Bank:
    """Return the weightiest explanations (3, u, k) and (5, u, l), their weights summing to one.

    Where a signal is unseen (u,), those kept inherit the weight of those that go: no value spoke
    against them, so nothing but the chain of leaving and coming back may move the odds.
    """
    kept, rest = _heaviest(at_level, NORMAL_KEPT), _heaviest(elsewhere, MOVED_KEPT)
    if unseen.any():
        for whole, part in ((at_level, kept), (elsewhere, rest)):
            gone = _log_sum(whole[0]) - _log_sum(part[0])
            part[0] += np.where(unseen, gone, 0.0)[:, None]
    total = np.logaddexp(_log_sum(kept[0]), _log_sum(rest[0]))[:, None]
    kept[0] = np.maximum(kept[0] - total, _NEVER)
    rest[0] = np.maximum(rest[0] - total, _NEVER)
    return Bank(kept, rest)


def log_odds(bank: Bank) -> Floats:
    """Return the log odds (u,) of "moved" over "normal", entry probability included."""
    odds = _log_sum(bank.moved[0]) - _log_sum(bank.normal[0])
    return np.maximum(odds, ODDS_MIN)


def levels(bank: Bank) -> tuple[Floats, Floats]:
    """Return mean and variance (u,) of the healthy level, whatever explanation holds."""
    return _mixed(*(np.concatenate([bank.normal[:3], bank.moved[:3]], axis=2)))


def _left(law: Law, entered: Floats, size: float) -> Floats:
    """Return what left its level (3, u, k) to a place so far away as explanations (5, u, k)."""
    log_weight, level, variance = entered
    place_variance = variance + size * law.unit[:, None]
    shared = log_weight - math.log(len(SIZES))
    return np.stack([shared, level, variance, level, place_variance])


def _taken(explanations: Floats, noise: Floats, row: Floats, *, is_bounded: bool) -> Floats:
    """Weigh (3, u, k) log weights, means, variances by the row (u,), and move them to it.

    A bounded one is not moved by a value beyond reach.
    """
    log_weight, mean, variance = explanations
    seen = (row == row)[:, None]  # noqa: PLR0124 - the fast way to tell NaN
    away = np.where(seen, row[:, None], mean) - mean
    total = variance + noise[:, None]
    distance = away * away / total
    far = distance > REACH * REACH
    gained = -0.5 * (np.log(total) + np.minimum(distance, REACH * REACH))
    gain = variance / total
    moving = seen & ~far if is_bounded else np.broadcast_to(seen, far.shape)
    gain = np.where(moving, gain, 0.0)
    weighed = log_weight + np.where(seen, gained, 0.0)
    return np.stack([weighed, mean + gain * away, variance * (1.0 - gain)])


def _heaviest(explanations: Floats, kept: int) -> Floats:
    """Return the `kept` weightiest of (m, u, k) explanations of each signal."""
    places = np.argpartition(-explanations[0], kept - 1, axis=1)[:, :kept]
    return np.take_along_axis(explanations, places[None], axis=2)


def _mixed(log_weight: Floats, mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance (u,) of mixtures (u, k)."""
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    middle = (weight * mean).sum(axis=1)
    spread = (weight * (variance + (mean - middle[:, None]) ** 2)).sum(axis=1)
    return middle, spread


def _log_sum(logs: Floats) -> Floats:
    """Return log(sum(exp)) over the last axis of (u, k)."""
    top = logs.max(axis=1)
    total: Floats = top + np.log(np.exp(logs - top[:, None]).sum(axis=1))
    return total


def _limited(rows: Floats, window_rows: int) -> Floats:
    """Return rows (n, u) with outliers among their neighbours pulled in."""
    block = np.arange(len(rows)) // window_rows
    middle = drift.block_medians(rows, window_rows)[block]
    limit = 5.0 * np.nanquantile(np.abs(rows - middle), 0.9, axis=0) / 1.6449
    limited: Floats = np.clip(rows, middle - limit, middle + limit)
    return np.where(limit > 0.0, limited, rows)


def _unit(rows: Floats, means: Floats, counts: Floats, window_rows: int) -> Floats:
    """Return the variance (u,) of rows (n, u) about the means (b, u) of their blocks, unbiased."""
    away = rows - np.repeat(means, window_rows, axis=0)[: len(rows)]
    freedom = np.maximum(counts - 1.0, 0.0).sum(axis=0)
    unit: Floats = np.nansum(away**2, axis=0) / np.maximum(freedom, 1.0)
    return np.maximum(unit, _UNIT_MIN)
