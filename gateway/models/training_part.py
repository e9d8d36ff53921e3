"""Healthy rows that stay where they are, and the sums about them that may leave.

A `TrainingPart` holds segments of rows (n, S) of one asset, or of one of several assets of a kind,
and answers the questions of fit.py: counts, sums and log-likelihoods, all of which add up over
parts. Nothing it returns has a row in it.

    clean      scaled rows less the offset of their regime; a value far from its own and both
               neighbouring blocks is missing
    level      block means, followed and smoothed (drift.py), one signal at a time
    detrended  clean - level: what the state space is learnt from

Left to others: putting the questions and adding the answers (fit.py).
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from gateway.models import drift, em, held_out, order, regime_fit, scaling, state_space
from gateway.models.regime_fit import Kinds
from gateway.models.scaling import Scaling, Survey
from gateway.models.state_space import StateSpace
from gateway.models.twin_model import TwinModel

Floats = NDArray[np.float64]

_OUTLIER_SCALES: Final = 8.0
"""A value so far from its surroundings is a spike, and says nothing about healthy rows."""
_UNKNOWN: Final = 1e8
"""Variance of a level before its first block."""


class Ground(NamedTuple):
    """What rows are compared on: their scale, and the offsets of regimes (none: one regime)."""

    scaling: Scaling
    kinds: Kinds | None = None


class Frame(NamedTuple):
    """What has been agreed about levels; arrays (u,)."""

    ground: Ground
    block_noise: Floats
    """Variance of the mean of a full block around its level."""
    block_drift: Floats
    """Variance the level gains from one block to the next."""


class Products(NamedTuple):
    """Sums over complete clean rows: their number, sums (u,), products (u, u), outliers (u,)."""

    rows: Floats
    sums: Floats
    products: Floats
    outliers: Floats
    deviations: Floats
    """(u,): squared deviations from block means, summed."""
    freedom: Floats
    """(u,): how many of them are free."""

    def about_mean(self) -> Floats:
        """Return products (u, u) about the mean, summed over the complete rows."""
        centre = self.sums / np.maximum(self.rows, 1.0)
        return self.products - np.outer(self.sums, centre)

    def merged(self, other: "Products") -> "Products":
        """Return the sums over both parts."""
        return Products(*(mine + its for mine, its in zip(self, other, strict=True)))


class LevelSums(NamedTuple):
    """Smoothed levels: their squares and variances (u,), summed over so many rows."""

    squares: Floats
    variance: Floats
    rows: int

    def merged(self, other: "LevelSums") -> "LevelSums":
        """Return the sums over both parts."""
        return LevelSums(
            self.squares + other.squares, self.variance + other.variance, self.rows + other.rows
        )


class _Detrended(NamedTuple):
    """Segments (n, u) less their levels, and what those were like."""

    segments: tuple[Floats, ...]
    levels: LevelSums


@final
class TrainingPart:
    """Segments (n, S) of rows with one period between neighbours; NaN marks a missing value."""

    def __init__(self, segments: Sequence[Floats], window_rows: int) -> None:
        filled = [rows for rows in segments if len(rows)] or list(segments[:1])
        self._segments = tuple(
            np.where(np.abs(rows) > scaling.ABSURD, np.nan, rows) for rows in filled
        )
        self._surveys = tuple(scaling.survey(rows) for rows in filled)
        self._window_rows = window_rows
        self._spreads: tuple[Floats, ...] | None = None
        self._clean: tuple[Ground, tuple[Floats, ...]] | None = None
        self._detrended: tuple[Frame, _Detrended] | None = None

    def survey(self) -> Survey:
        """Return counts and ranges, before any scale is known."""
        return reduce(Survey.merged, self._surveys)

    def value_counts(self, low: Floats, width: Floats) -> Floats:
        """Return a histogram (S, bins) of the values."""
        return _summed(scaling.histogram(rows, low, width) for rows in self._segments)

    def spread_counts(self, low: Floats, width: Floats) -> Floats:
        """Return a histogram (S, bins) of deviations from the median of the own block."""
        if self._spreads is None:
            self._spreads = tuple(
                np.abs(rows - _surroundings(rows, self._window_rows)) for rows in self._segments
            )
        return _summed(scaling.histogram(rows, low, width) for rows in self._spreads)

    def products(self, ground: Ground) -> Products:
        """Return sums of clean rows, for the search for copies and the first noise."""
        kept = [rows[:, ground.scaling.used] for rows in self._segments]
        pairs = zip(kept, self._rows(ground), strict=True)
        return reduce(Products.merged, [_products(*pair, self._window_rows) for pair in pairs])

    def kinds(self, ground: Ground, kinds: Kinds) -> regime_fit.Sums:
        """Return the sums of regimes."""
        found = [regime_fit.sums(kinds, rows) for rows in self._rows(ground)]
        return reduce(regime_fit.Sums.merged, found)

    def wander(self, ground: Ground, white: Floats) -> Floats:
        """Return the evidence (u, noises, drifts) about levels (drift.py), as if rows were apart.

        `white` (u,) is the variance of a row.
        """
        return _summed(_evidence(rows, white, self._window_rows) for rows in self._rows(ground))

    def own_wander(self, frame: Frame, model: StateSpace) -> Floats:
        """Return the same for rows less what their factors say: what is each signal's own."""
        found = []
        for rows, detrended in zip(
            self._rows(frame.ground), self._less_levels(frame).segments, strict=True
        ):
            states = state_space.smooth(model, detrended).means[:, : model.factors]
            own = rows - states @ model.current.T
            found.append(_evidence(own, model.noise, self._window_rows))
        return _summed(found)

    def moments(self, frame: Frame, lags: int) -> em.Moments:
        """Return the lagged moments of rows less their levels."""
        return em.LocalPart(self._less_levels(frame).segments).moments(lags)

    def expect(self, frame: Frame, model: StateSpace) -> em.Statistics:
        """Return the statistics of rows less their levels under a model."""
        return em.LocalPart(self._less_levels(frame).segments).expect(model)

    def choice(self, frame: Frame, factors_max: int) -> order.Choice:
        """Return how many factors and lags suit these rows."""
        return order.choose(self._less_levels(frame).segments, factors_max=factors_max)

    def levels(self, frame: Frame) -> LevelSums:
        """Return what the levels that were taken off are like."""
        return self._less_levels(frame).levels

    def head(self) -> "TrainingPart":
        """Return the part with the first rows of each segment, those of held_out.py."""
        heads = [held_out.split(rows)[0] for rows in self._segments]
        return TrainingPart(heads, self._window_rows)

    def surprises(self, model: TwinModel) -> held_out.Surprises:
        """Ask a model of all heads about the rows that follow them.

        A segment whose head is no block long says nothing: where it stands is not known.
        """
        total = held_out.nothing(len(model.drift))
        for rows in self._segments:
            head, tail = held_out.split(rows)
            if len(head) >= self._window_rows:
                total = total.merged(held_out.surprises(model, head, tail))
        return total

    def log_density(self, model: TwinModel) -> float:
        """Return the log density of those rows under it, summed."""
        return sum(held_out.log_density(model, *held_out.split(rows)) for rows in self._segments)

    def _rows(self, ground: Ground) -> tuple[Floats, ...]:
        """Return clean rows (n, u) less the offset of their regime."""
        if self._clean is None or self._clean[0] is not ground:
            made = [_clean(ground.scaling, rows, self._window_rows) for rows in self._segments]
            if ground.kinds is not None:
                made = [rows - regime_fit.assigned(ground.kinds, rows) for rows in made]
            self._clean = ground, tuple(made)
        return self._clean[1]

    def _less_levels(self, frame: Frame) -> _Detrended:
        """Return clean rows less their levels."""
        if self._detrended is None or self._detrended[0] is not frame:
            made = [
                _less_levels(frame, rows, self._window_rows) for rows in self._rows(frame.ground)
            ]
            segments, levels = zip(*made, strict=True)
            self._detrended = frame, _Detrended(segments, reduce(LevelSums.merged, levels))
        return self._detrended[1]


def _less_levels(frame: Frame, rows: Floats, window_rows: int) -> tuple[Floats, LevelSums]:
    """Return rows (n, u) less their smoothed levels, and what those are like."""
    means, counts = drift.block_means(rows, window_rows)
    noise = frame.block_noise * window_rows / np.maximum(counts, 1.0)
    unknown = np.full(rows.shape[1], _UNKNOWN)
    levels = drift.follow(means, noise, frame.block_drift, 0.0 * unknown, unknown)
    levels = drift.smooth(levels)
    trend = drift.rowwise(levels.mean, len(rows), window_rows)
    variance = levels.variance.mean(axis=0) * len(rows)
    return rows - trend, LevelSums((trend**2).sum(axis=0), variance, len(rows))


def _clean(agreed: Scaling, rows: Floats, window_rows: int) -> Floats:
    """Return scaled rows (n, u); a value far from its own and both neighbouring blocks is NaN."""
    values = scaling.scaled(agreed, rows)
    middles = drift.block_medians(values, window_rows)
    block = np.arange(len(rows)) // window_rows
    far = np.ones(values.shape, dtype=np.bool_)
    for near in (block - 1, block, block + 1):
        surroundings = middles[np.clip(near, 0, len(middles) - 1)]
        far &= ~(np.abs(values - surroundings) <= _OUTLIER_SCALES)
    return np.where(far, np.nan, values)


def _surroundings(rows: Floats, window_rows: int) -> Floats:
    """Return for every row (n, S) the median of its block; NaN if the block is empty."""
    return drift.block_medians(rows, window_rows)[np.arange(len(rows)) // window_rows]


def _products(rows: Floats, cleaned: Floats, window_rows: int) -> Products:
    """Return the sums of one segment (n, u), as it came and clean."""
    complete = cleaned[~np.isnan(cleaned).any(axis=1)]
    means, counts = drift.block_means(cleaned, window_rows)
    deviations = cleaned - means[np.arange(len(cleaned)) // window_rows]
    missing = np.isnan(cleaned) & ~np.isnan(rows)
    return Products(
        np.asarray(float(len(complete))),
        complete.sum(axis=0),
        np.einsum("ni,nj->ij", complete, complete),
        missing.sum(axis=0).astype(np.float64),
        np.nansum(deviations**2, axis=0),
        np.maximum(counts - 1.0, 0.0).sum(axis=0),
    )


def _evidence(rows: Floats, white: Floats, window_rows: int) -> Floats:
    """Return the evidence about the levels of rows (n, u) that vary by `white` (u,) around them."""
    means, counts = drift.block_means(rows, window_rows)
    return drift.evidence(means, white / np.maximum(counts, 1.0), white / window_rows)


def _summed(parts: Iterable[Floats]) -> Floats:
    """Return the sum of arrays of one shape."""
    total: Floats = np.sum(list(parts), axis=0)
    return total
