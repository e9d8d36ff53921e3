"""Where a stretch of rows stands: its regime, and the level of every signal.

    values_t = m_r(t) + level_t + rest_t

Rows are taken in blocks. Within a block the level is what the blocks before say, and the regime is
weighed row by row under it (regimes.py); then the mean of what is left moves the level (drift.py).
The regime of a row that is acted upon is the most probable one.

Promised: with `is_causal` nothing at row t depends on later rows. With one regime nothing is
weighed. Left to others: the rest (state_space.py), units (twin_model.py).
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.models import drift, regimes, state_space
from gateway.models.regimes import Chain, Regimes
from gateway.models.state_space import StateSpace

Floats = NDArray[np.float64]

_CLIP_SCALES: Final = 8.0
"""A value so far from the median of its block counts no further for the level."""
_PROBABILITY_MIN: Final = 1e-300


class Law(NamedTuple):
    """What is always so of an asset; arrays (u,)."""

    space: StateSpace
    regimes: Regimes
    drift: Floats
    """Variance the level gains per row."""
    long_run: Floats
    window_rows: int


class Standing(NamedTuple):
    """Level (u,) at one moment, and its variance."""

    level: Floats
    variance: Floats


class Centred(NamedTuple):
    """Rows split into what is common to a stretch of rows and what is not; arrays (n, u)."""

    rows: Floats
    """Less centre: what the state space is about."""
    centre: Floats
    """Level and offset of the regime."""
    level: Floats
    variance: Floats
    """Of the level."""
    chain: Floats
    """(n, r): probability of each regime."""
    cost: Floats
    """(n,): log probability, given the rows before, of the regime that was taken."""
    standing: Standing
    """After the last row."""


def mean_noise(space: StateSpace, long_run: Floats, window_rows: int) -> Floats:
    """Return the variance (window + 1, u) of the mean of 1 to window rows around the level.

    C V C' + diag(long_run * noise) / n with V of state_space.mean_state_covariance; [0] is no mean.
    """
    table = np.empty((window_rows + 1, len(space.noise)))
    table[0] = 1.0
    for rows in range(1, window_rows + 1):
        spread = state_space.mean_state_covariance(space, rows)[: space.factors, : space.factors]
        common = np.einsum("sk,kl,sl->s", space.current, spread, space.current)
        table[rows] = common + (long_run if rows > 1 else 1.0) * space.noise / rows
    return table


def centre(law: Law, start: Standing, values: Floats, *, is_causal: bool) -> Centred:
    """Find regime and level of scaled rows (n, u) that follow `start`."""
    noise = mean_noise(law.space, law.long_run, law.window_rows)
    count = len(values)
    if len(law.regimes.weights) == 1 or not count:
        chain = np.ones((count, 1)) if count else np.empty((0, len(law.regimes.weights)))
        return _levels(law, start, values, noise, chain, np.zeros(count), is_causal)
    found = _followed(law, start, values, noise)
    chain = found.filtered if is_causal else regimes.backward(law.regimes, found)[0]
    taken = found.predicted[np.arange(count), chain.argmax(axis=1)]
    cost = np.log(np.maximum(taken, _PROBABILITY_MIN))
    return _levels(law, start, values, noise, chain, cost, is_causal)


def _followed(law: Law, start: Standing, values: Floats, noise: Floats) -> Chain:
    """Follow regimes and levels together, block by block."""
    level, variance = start
    chains = []
    following = law.regimes
    for first in range(0, len(values), law.window_rows):
        block = values[first : first + law.window_rows]
        variance = variance + law.drift * law.window_rows
        logs, _ = regimes.emissions(law.space, law.regimes.offsets, block - level, variance)
        chain = regimes.forward(following, logs)
        chains.append(chain)
        following = law.regimes._replace(weights=chain.filtered[-1] @ law.regimes.transition)
        offset = law.regimes.offsets[chain.filtered.argmax(axis=1)]
        means, own = _means(block - offset, noise, law.window_rows)
        seen = ~np.isnan(means[0])
        gain = np.where(seen, variance / (variance + own[0]), 0.0)
        level = level + gain * np.where(seen, means[0] - level, 0.0)
        variance = variance * (1.0 - gain)
    return Chain(*(np.concatenate(parts) for parts in zip(*chains, strict=True)))


def _levels(
    law: Law,
    start: Standing,
    values: Floats,
    noise: Floats,
    chain: Floats,
    cost: Floats,
    is_causal: bool,
) -> Centred:
    """Follow the levels of scaled rows (n, u) whose regimes are `chain` (n, r)."""
    window = law.window_rows
    offset = law.regimes.offsets[chain.argmax(axis=1)] if len(values) else values
    residual = values - offset
    means, own = _means(residual, noise, window)
    levels = drift.follow(means, own, law.drift * window, *start)
    standing = Standing(levels.mean[-1], levels.variance[-1]) if len(values) else start
    block = np.arange(len(values)) // window
    if is_causal:
        level, variance = levels.predicted[block], levels.predicted_variance[block]
    else:
        levels = drift.smooth(levels)
        level, variance = drift.rowwise(levels.mean, len(values), window), levels.variance[block]
    return Centred(residual - level, level + offset, level, variance, chain, cost, standing)


def _means(rows: Floats, noise: Floats, window_rows: int) -> tuple[Floats, Floats]:
    """Return block means (b, u) of rows (n, u) without their spikes, and their noise (b, u)."""
    middle = drift.block_medians(rows, window_rows)[np.arange(len(rows)) // window_rows]
    clipped = np.clip(rows, middle - _CLIP_SCALES, middle + _CLIP_SCALES)
    means, counts = drift.block_means(clipped, window_rows)
    return means, np.take_along_axis(noise, counts.astype(np.intp), axis=0)
