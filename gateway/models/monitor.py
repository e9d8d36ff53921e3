"""Has the healthy distribution moved? Statistics of blocks of rows that add up, and a comparison.

For each block of at most `window_rows` neighbouring rows, scaled and less the offset of their
regime: the mean m (u,) and the scatter s_ij = mean over rows of (y_i - m_i) (y_j - m_j), (u, u).
Kept are their sums and sums of squares.

    level   (mean m - level) / sqrt(level_variance + drift (age + n / 3) + var(m) / blocks)
    shape   (mean s - mean s0) / sqrt((var(s) / blocks + var(s0) / blocks0))

The level is held against the model: it may wander as far as its own drift allows, more with
calibration age (the mean of a random walk over n rows has a third of the variance of its end). The
scatter is held against the training rows themselves, not against the model of them, so that what
the model cannot express is not taken for a change; i = j is the spread of a signal, i != j how two
of them move together. Variances are those found between blocks, so neighbouring rows need not be
independent. Each statistic is a Student t; a finding is one whose probability, times the number of
comparisons, is below `false_alarms` (Bonferroni): the chance of any finding when nothing has moved.

What cannot be told is said: a signal, or a pair of them, that has too few blocks on either side is
`unknown`, and so is a signal most of whose values stand alone. Nobody may take it for unmoved.

Promises: statistics of several spans or gateways add up to those of all rows; missing values leave
out the block of that pair alone; a way of running taken more often than in training has not moved
anything. Left to others: what to do about it (`gateway/lifecycle/gate.py`).
Sources: Welch (1947), unequal variances; Muirhead, Aspects of Multivariate Statistical Theory
(1982), 1.2, for the scatter; batch means: Law, Simulation Modeling and Analysis (2015), 9.5.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from gateway.models.calibration import residual
from gateway.models.scaling import scaled
from gateway.models.twin_model import TwinModel

Floats = NDArray[np.float64]

_VALUES_MIN: Final = 2
"""Values of a signal from which a block says something about it: one alone has no scatter. Slow
signals and short pieces count as well, or a fault could hide in them."""
_COMPARED_MIN: Final = 0.9
"""Share of a signal's values that must lie in such blocks, or too much is left unlooked at."""
BLOCKS_MIN: Final = 5
"""Fewer blocks carry no variance between blocks."""
_FLOOR: Final = 1e-12


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Healthy:
    """Sums over blocks of rows; u signals. Sums of two add up with `+`."""

    blocks: Floats
    """(u, u): blocks in which both signals were seen; the diagonal counts those of a signal."""
    means: Floats
    """(u,): sum of block means."""
    mean_squares: Floats
    """(u,): sum of squares of block means."""
    scatters: Floats
    """(u, u): sum of the scatter within blocks."""
    scatter_squares: Floats
    """(u, u): sum of squares of its entries."""
    rows: int
    """Rows all of this was computed from."""

    def __add__(self, other: "Healthy") -> "Healthy":
        return Healthy(
            blocks=self.blocks + other.blocks,
            means=self.means + other.means,
            mean_squares=self.mean_squares + other.mean_squares,
            scatters=self.scatters + other.scatters,
            scatter_squares=self.scatter_squares + other.scatter_squares,
            rows=self.rows + other.rows,
        )


class Finding(NamedTuple):
    """One thing that has moved further than chance and drift allow."""

    kind: str
    """level, spread or coupling."""
    places: tuple[int, ...]
    """Of one used signal, or of two."""
    was: float
    """Level or spread in units of scale, or correlation."""
    now: float
    statistic: float
    """In standard deviations."""
    probability: float
    """Of as much by chance, over all comparisons together; at most 1."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What a comparison found, the least probable first."""

    findings: tuple[Finding, ...]
    comparisons: int
    blocks: int
    """Of the rows that were looked at, for the signal seen least."""
    unknown: tuple[tuple[int, ...], ...]
    """Places of one used signal, or of two, of which there is too little to tell."""

    @property
    def is_known(self) -> bool:
        """Whether something can be said about every signal and pair that was known before."""
        return not self.unknown

    @property
    def has_moved(self) -> bool:
        """Whether anything was found."""
        return bool(self.findings)


def summarise(model: TwinModel, segments: Floats | Sequence[Floats]) -> Healthy:
    """Return the sums of rows (n, S) in the signals' own units, NaN where missing.

    Segments are unbroken pieces; what is left after the whole blocks of a piece, or a piece shorter
    than one, is a block of its own.
    """
    used = len(model.level)
    square = np.zeros((used, used))
    total = Healthy(
        blocks=square,
        means=np.zeros(used),
        mean_squares=np.zeros(used),
        scatters=square,
        scatter_squares=square,
        rows=0,
    )
    for piece in _pieces(segments):
        if len(piece):
            total = total + _sums(_blocks(model, piece), len(piece))
    return total


def alone(model: TwinModel, segments: Floats | Sequence[Floats]) -> tuple[int, ...]:
    """Return the places of used signals too many of whose values no block of `summarise` holds."""
    held, given = (np.zeros(len(model.level)) for _ in range(2))
    for piece in _pieces(segments):
        if len(piece):
            counts = (~np.isnan(_blocks(model, piece))).sum(axis=1)
            given += counts.sum(axis=0)
            held += np.where(counts >= _VALUES_MIN, counts, 0).sum(axis=0)
    return tuple(int(place) for place in np.flatnonzero(held < _COMPARED_MIN * given))


def _pieces(segments: Floats | Sequence[Floats]) -> Sequence[Floats]:
    return [segments] if isinstance(segments, np.ndarray) else segments


def _blocks(model: TwinModel, piece: Floats) -> Floats:
    """Return neighbouring rows (n, S) as scaled blocks (b, window, u), the last filled with NaN."""
    window = model.window_rows
    count = -(-len(piece) // window)
    rows = np.full((count * window, len(model.level)), np.nan)
    rows[: len(piece)] = residual(model, scaled(model.scaling, piece))
    return rows.reshape(count, window, len(model.level))


def _sums(blocks: Floats, rows: int) -> Healthy:
    """Return the sums over blocks (b, window, u) made of so many rows."""
    seen = ~np.isnan(blocks)
    counts = seen.sum(axis=1)
    enough = counts >= _VALUES_MIN
    filled = np.where(seen, blocks, 0.0)
    means = filled.sum(axis=1) / np.maximum(counts, 1)
    centred = np.where(seen, blocks - means[:, None, :], 0.0)
    both = seen.astype(np.float64)
    pairs = np.einsum("bti,btj->bij", both, both)
    valid = (enough[:, :, None] & enough[:, None, :]) & (pairs >= 2.0)
    # With n values a scatter about its own mean is (n - 1) / n of the variance.
    scatter = np.einsum("bti,btj->bij", centred, centred) / np.maximum(pairs - 1.0, 1.0)
    scatter = np.where(valid, scatter, 0.0)
    means = np.where(enough, means, 0.0)
    return Healthy(
        blocks=valid.sum(axis=0).astype(np.float64),
        means=means.sum(axis=0),
        mean_squares=(means**2).sum(axis=0),
        scatters=scatter.sum(axis=0),
        scatter_squares=(scatter**2).sum(axis=0),
        rows=rows,
    )


def compare(
    model: TwinModel,
    before: Healthy,
    now: Healthy,
    *,
    age_rows: int | Floats = 0,
    false_alarms: float = 0.01,
) -> Movement:
    """Hold sums of new rows against the model and the sums of its training rows.

    `age_rows`, one number or (u,), lie between the last training row and the first new one.
    `false_alarms` is the probability of any finding if nothing has moved.
    """
    used = len(model.level)
    comparisons = used + used * (used + 1) // 2
    found = [*_levels(model, now, age_rows), *_scatters(before, now)]
    findings = [
        finding._replace(probability=min(1.0, finding.probability * comparisons))
        for finding in found
    ]
    kept = [finding for finding in findings if finding.probability < false_alarms]
    kept.sort(key=lambda finding: (finding.probability, -abs(finding.statistic)))
    blocks = int(np.diag(now.blocks).min()) if used else 0
    return Movement(
        findings=tuple(kept),
        comparisons=comparisons,
        blocks=blocks,
        unknown=_unknown(before.blocks, now.blocks),
    )


def _unknown(before: Floats, now: Floats) -> tuple[tuple[int, ...], ...]:
    """Return signals and pairs without enough blocks (u, u); a pair only if it was known once."""
    few = np.minimum(np.diag(before), np.diag(now)) < BLOCKS_MIN
    lost = (before >= BLOCKS_MIN) & (now < BLOCKS_MIN) & ~few[:, None] & ~few[None, :]
    places = [(int(place),) for place in np.flatnonzero(few)]
    return (*places, *((int(i), int(j)) for i, j in np.argwhere(np.triu(lost, 1))))


def _levels(model: TwinModel, now: Healthy, age_rows: int | Floats) -> list[Finding]:
    """Compare the level of each signal with where drift may have taken it."""
    blocks = np.diag(now.blocks)
    ages = np.broadcast_to(age_rows, blocks.shape)
    found = []
    for place in np.flatnonzero(blocks >= BLOCKS_MIN):
        count = blocks[place]
        mean = now.means[place] / count
        between = max(now.mean_squares[place] / count - mean**2, 0.0) * count / (count - 1.0)
        wander = model.drift[place] * (ages[place] + now.rows / 3.0)
        variance = model.level_variance[place] + wander + between / count
        statistic = float((mean - model.level[place]) / np.sqrt(max(variance, _FLOOR)))
        degrees = min(model.degrees, count - 1.0)
        probability = float(2.0 * stats.t.sf(abs(statistic), degrees))
        where = (int(place),)
        was = float(model.level[place])
        found.append(Finding("level", where, was, float(mean), statistic, probability))
    return found


def _scatters(before: Healthy, now: Healthy) -> list[Finding]:
    """Compare spread and coupling with those of the training rows, entry by entry."""
    least = np.minimum(before.blocks, now.blocks)
    old, old_variance = _mean_and_variance(before)
    new, new_variance = _mean_and_variance(now)
    deviation = np.sqrt(np.maximum(old_variance + new_variance, _FLOOR))
    statistic = (new - old) / deviation
    # Welch and Satterthwaite: the degrees of a difference of two means of unequal variance.
    spread = old_variance**2 / np.maximum(before.blocks - 1.0, 1.0)
    spread += new_variance**2 / np.maximum(now.blocks - 1.0, 1.0)
    degrees = np.maximum((old_variance + new_variance) ** 2 / np.maximum(spread, _FLOOR), 1.0)
    probability = 2.0 * stats.t.sf(np.abs(statistic), degrees)
    found = []
    for i, j in combinations_with_replacement(range(len(old)), 2):
        if least[i, j] < BLOCKS_MIN:
            continue
        kind = "spread" if i == j else "coupling"
        was, is_now = _shown(old, i, j), _shown(new, i, j)
        where = (i,) if i == j else (i, j)
        values = (float(statistic[i, j]), float(probability[i, j]))
        found.append(Finding(kind, where, was, is_now, *values))
    return found


def _mean_and_variance(sums: Healthy) -> tuple[Floats, Floats]:
    """Return the mean scatter (u, u) and the variance of that mean, from blocks that differ."""
    blocks = np.maximum(sums.blocks, 1.0)
    mean = sums.scatters / blocks
    variance = np.maximum(sums.scatter_squares / blocks - mean**2, 0.0)
    return mean, variance / np.maximum(blocks - 1.0, 1.0)


def _shown(scatter: Floats, i: int, j: int) -> float:
    """Return a standard deviation, or the correlation of two signals within a block."""
    own, other = float(scatter[i, i]), float(scatter[j, j])
    if i == j:
        return float(np.sqrt(max(own, 0.0)))
    return float(scatter[i, j] / np.sqrt(max(own * other, _FLOOR)))
