"""Finding regimes: a hidden Markov chain of offsets with one common spread, learnt by EM.

    clean_t ~ N(m_r(t), within),   r(t) a Markov chain

E-step (`sums`): forward and backward probabilities of a segment become sums for each regime, which
add up over segments and sites. M-step (`improved`): their means, the pooled covariance, the moves.
A regime is split in two along the main axes of its own correlation, one more at a time
(Linde, Buzo and Gray 1980), so that a start needs sums only and no draw of chance.

A candidate is put forward only if its regimes lie apart (`is_distinct`); whether it is believed is
decided by the density of held-out rows (fit.py), where levels and factors compete with it.
Rows with gaps say nothing here. Sources: see regimes.py.
"""

from collections.abc import Callable
from functools import reduce
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.models.regimes import Regimes, backward, forward

Floats = NDArray[np.float64]

ROWS_MAX: Final = 1_000
"""Rows of a segment that EM looks at, in pieces spread evenly over it."""
_PIECE_ROWS: Final = 250
KINDS_MAX: Final = 4
_ITERATIONS: Final = 10
_TOLERANCE: Final = 1e-3
"""Gain of log-likelihood per row below which EM stops."""
_APART: Final = 5.0
"""Deviations within a regime by which two must differ; nearer ones are left to the factors."""
_STAY: Final = 0.95
"""First guess of the probability to stay for another row."""
_STAY_MIN: Final = 0.8
"""Below that it is noise of two values, not a way of running."""
_AXES: Final = 2
_RIDGE: Final = 1e-3
"""Variance added to every scaled channel: copies and quantised channels must not be exact."""


class Kinds(NamedTuple):
    """Regimes as they are looked for: with the covariance (u, u) within each."""

    regimes: Regimes
    within: Floats


class Sums(NamedTuple):
    """What segments say under given kinds; adds up."""

    starts: Floats
    """(r,)."""
    moves: Floats
    """(r, r)."""
    weights: Floats
    """(r,): rows."""
    values: Floats
    """(r, u)."""
    products: Floats
    """(r, u, u)."""
    log_likelihood: Floats

    def merged(self, other: "Sums") -> "Sums":
        """Return the sums of both."""
        return Sums(*(mine + its for mine, its in zip(self, other, strict=True)))


Ask = Callable[[Kinds], Sums]


def sums(kinds: Kinds, rows: Floats) -> Sums:
    """Return the sums of one segment of clean rows (n, u)."""
    return reduce(Sums.merged, [_sums(kinds, piece) for piece in _pieces(rows)])


def _pieces(rows: Floats) -> list[Floats]:
    """Return the rows, or pieces spread evenly over them if they are many."""
    if len(rows) <= ROWS_MAX:
        return [rows]
    starts = np.linspace(0, len(rows) - _PIECE_ROWS, ROWS_MAX // _PIECE_ROWS).astype(int)
    return [rows[start : start + _PIECE_ROWS] for start in starts]


def _sums(kinds: Kinds, rows: Floats) -> Sums:
    """Return the sums of neighbouring rows."""
    chain = forward(kinds.regimes, log_densities(kinds, rows))
    smoothed, moves = backward(kinds.regimes, chain)
    complete = ~np.isnan(rows).any(axis=1)
    values, weights = rows[complete], smoothed[complete]
    return Sums(
        smoothed[0],
        moves,
        weights.sum(axis=0),
        weights.T @ values,
        np.einsum("nr,ni,nj->rij", weights, values, values, optimize=True),
        chain.log_densities.sum(),
    )


def log_densities(kinds: Kinds, rows: Floats) -> Floats:
    """Return log densities (n, r) of rows (n, u) under each kind; 0 for a row with gaps."""
    root = np.linalg.cholesky(kinds.within)
    _, log_determinant = np.linalg.slogdet(kinds.within)
    logs = np.zeros((len(rows), len(kinds.regimes.weights)))
    complete = ~np.isnan(rows).any(axis=1)
    for kind, offset in enumerate(kinds.regimes.offsets):
        white = np.linalg.solve(root, (rows[complete] - offset).T)
        logs[complete, kind] = -0.5 * ((white**2).sum(axis=0) + log_determinant)
    return logs


def assigned(kinds: Kinds, rows: Floats) -> Floats:
    """Return the offset (n, u) of the most probable regime of each clean row, given all rows."""
    if len(kinds.regimes.weights) == 1:
        return np.zeros(rows.shape)
    chain = forward(kinds.regimes, log_densities(kinds, rows))
    smoothed, _ = backward(kinds.regimes, chain)
    offsets: Floats = kinds.regimes.offsets[smoothed.argmax(axis=1)]
    return offsets


def one(signals: int) -> Kinds:
    """Return the one regime without offset."""
    return Kinds(Regimes(np.zeros((1, signals)), np.ones((1, 1)), np.ones(1)), np.eye(signals))


def candidates(ask: Ask, signals: int, rows_min: int) -> list[Kinds]:
    """Return kinds of two and more regimes that lie apart, `rows_min` rows each, fewest first."""
    found: list[Kinds] = []
    total = ask(one(signals))
    if total.weights.sum() <= signals + 1:
        return found
    kinds, now = improved(total), total
    while len(kinds.regimes.weights) < KINDS_MAX:
        tried = [_settled(ask, split) for split in _splits(kinds, now)]
        kinds, now = max(tried, key=lambda pair: float(pair[1].log_likelihood))
        if not is_distinct(kinds, now, rows_min):
            break
        found.append(kinds)
    return found


def improved(now: Sums) -> Kinds:
    """Return the kinds that sums lead to."""
    weights = np.maximum(now.weights, 1e-6)
    offsets = now.values / weights[:, None]
    scatter = now.products - np.einsum("r,ri,rj->rij", weights, offsets, offsets)
    within = scatter.sum(axis=0) / weights.sum() + _RIDGE * np.eye(offsets.shape[1])
    moves = now.moves + _STAY * np.eye(len(weights)) + (1.0 - _STAY) / len(weights)
    transition = moves / moves.sum(axis=1, keepdims=True)
    return Kinds(Regimes(offsets, transition, weights / weights.sum()), within)


def is_distinct(kinds: Kinds, now: Sums, rows_min: int) -> bool:
    """Tell whether all regimes lie apart, last for rows, and were seen long enough."""
    offsets = kinds.regimes.offsets
    gaps = offsets[:, None, :] - offsets[None, :, :]
    solved = np.linalg.solve(kinds.within, gaps.reshape(-1, gaps.shape[2]).T).T
    distance = (gaps.reshape(-1, gaps.shape[2]) * solved).sum(axis=1).reshape(gaps.shape[:2])
    others = distance[~np.eye(len(offsets), dtype=np.bool_)]
    stays = np.diag(kinds.regimes.transition)
    return bool(
        others.min() >= _APART**2 and stays.min() >= _STAY_MIN and now.weights.min() >= rows_min
    )


def _settled(ask: Ask, kinds: Kinds) -> tuple[Kinds, Sums]:
    """Return kinds after EM, and the last sums."""
    now = ask(kinds)
    for _ in range(_ITERATIONS):
        kinds, before = improved(now), float(now.log_likelihood)
        now = ask(kinds)
        if float(now.log_likelihood) - before < _TOLERANCE * float(now.weights.sum()):
            break
    return kinds, now


def _splits(kinds: Kinds, now: Sums) -> list[Kinds]:
    """Return starts with one more regime: each one split along each of its main axes."""
    starts = []
    for kind, (weight, offset) in enumerate(zip(now.weights, kinds.regimes.offsets, strict=True)):
        own = now.products[kind] / max(float(weight), 1.0) - np.outer(offset, offset)
        deviation = np.sqrt(np.maximum(np.diag(own), _RIDGE))
        values, vectors = np.linalg.eigh(own / np.outer(deviation, deviation))
        for axis in range(1, min(_AXES, len(values)) + 1):
            step = deviation * vectors[:, -axis] * np.sqrt(max(float(values[-axis]), _RIDGE))
            offsets = np.vstack([kinds.regimes.offsets, offset + step])
            offsets[kind] = offset - step
            within = np.diag(np.maximum(np.diag(kinds.within) - step**2, 0.1 * deviation**2))
            starts.append(Kinds(_sticky(offsets), within))
    return starts


def _sticky(offsets: Floats) -> Regimes:
    """Return equally probable regimes that tend to stay."""
    count = len(offsets)
    transition = np.full((count, count), (1.0 - _STAY) / (count - 1))
    np.fill_diagonal(transition, _STAY)
    return Regimes(offsets, transition, np.full(count, 1.0 / count))
