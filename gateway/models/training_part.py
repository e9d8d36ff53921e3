"""Healthy rows that stay where they are, and the sums about them that may leave.

A `TrainingPart` holds segments of rows (n, S) of one asset, or of one of several assets of a kind,
and answers the questions of fit.py: counts, sums and log-likelihoods, all of which add up over
parts. Nothing it returns has a row in it.

    clean      scaled rows; a value far from its own and both neighbouring blocks is missing
    level      block means, followed and smoothed (drift.py), one signal at a time
    detrended  clean - level: what the state space is learnt from

Left to others: putting the questions and adding the answers (fit.py).
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from gateway.models import drift, held_out, scaling
from gateway.models.scaling import Scaling, Survey
from gateway.models.twin_model import TwinModel

Floats = NDArray[np.float64]

_OUTLIER_SCALES: Final = 8.0
"""A value so far from its surroundings is a spike, and says nothing about healthy rows."""
_UNKNOWN: Final = 1e8
"""Variance of a level before its first block."""


class Frame(NamedTuple):
    """What has been agreed so far about scale and levels; arrays (u,) but for `scaling`."""

    scaling: Scaling
    window_rows: int
    offset: Floats
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


@final
class TrainingPart:
    """Segments (n, S) of rows with one period between neighbours; NaN marks a missing value."""

    def __init__(self, segments: Sequence[Floats], window_rows: int) -> None:
        self._segments = tuple(
            np.where(np.abs(rows) > scaling.ABSURD, np.nan, rows) for rows in segments
        )
        self._surveys = tuple(scaling.survey(rows) for rows in segments)
        self._window_rows = window_rows
        self._spreads: tuple[Floats, ...] | None = None
        self._clean: tuple[Scaling, tuple[Floats, ...]] | None = None

    def survey(self) -> Survey:
        """Return counts and ranges, before any scale is known."""
        total = self._surveys[0]
        for other in self._surveys[1:]:
            total = total.merged(other)
        return total

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

    def products(self, agreed: Scaling) -> Products:
        """Return sums of scaled rows, for the search for copies and the first noise."""
        totals = [
            _products(agreed, rows, cleaned, self._window_rows)
            for rows, cleaned in zip(self._segments, self.clean(agreed), strict=True)
        ]
        total = totals[0]
        for other in totals[1:]:
            total = total.merged(other)
        return total

    def wander(self, agreed: Scaling, noise: Floats, white: Floats) -> Floats:
        """Return the evidence (u, noises, drifts) about levels (drift.py), summed.

        `noise` (window + 1, u) is that of a mean of so many values, `white` (u,) the unit.
        """
        return _summed(
            drift.evidence(means, _noise_of(counts, noise), white)
            for means, counts in self._blocks(agreed)
        )

    def detrended(self, frame: Frame) -> tuple[tuple[Floats, ...], Floats]:
        """Return clean rows less their levels, and the mean variance (u,) those levels have.

        Not for other ears: this is what the local expectation step is fed with.
        """
        rows_of, variances, weights = [], [], []
        for cleaned in self.clean(frame.scaling):
            levels = smoothed_levels(frame, cleaned - frame.offset)
            trend = drift.rowwise(levels.mean, len(cleaned), frame.window_rows)
            rows_of.append(cleaned - frame.offset - trend)
            variances.append(levels.variance.mean(axis=0) * len(cleaned))
            weights.append(len(cleaned))
        return tuple(rows_of), _summed(variances) / sum(weights)

    def head(self) -> "TrainingPart":
        """Return the part with the first rows of each segment, those of held_out.py."""
        heads = [held_out.split(rows)[0] for rows in self._segments]
        return TrainingPart(heads, self._window_rows)

    def surprises(self, model: TwinModel) -> held_out.Surprises:
        """Ask a model of all heads about the rows that follow them."""
        counted = [held_out.surprises(model, *held_out.split(rows)) for rows in self._segments]
        return reduce(held_out.Surprises.merged, counted)

    def clean(self, agreed: Scaling) -> tuple[Floats, ...]:
        """Return the segments scaled (n, u), outliers missing."""
        if self._clean is None or self._clean[0] is not agreed:
            made = tuple(_clean(agreed, rows, self._window_rows) for rows in self._segments)
            self._clean = agreed, made
        return self._clean[1]

    def _blocks(self, agreed: Scaling) -> list[tuple[Floats, Floats]]:
        """Return block means and counts of each segment."""
        return [drift.block_means(rows, self._window_rows) for rows in self.clean(agreed)]


def smoothed_levels(frame: Frame, rows: Floats) -> drift.Levels:
    """Return the levels (b, u) of blocks of rows (n, u), given all of them."""
    means, counts = drift.block_means(rows, frame.window_rows)
    noise = frame.block_noise * frame.window_rows / np.maximum(counts, 1.0)
    unknown = np.full(rows.shape[1], _UNKNOWN)
    return drift.smooth(drift.follow(means, noise, frame.block_drift, 0.0 * unknown, unknown))


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


def _products(agreed: Scaling, rows: Floats, cleaned: Floats, window_rows: int) -> Products:
    """Return the sums of one segment (n, S), clean (n, u)."""
    complete = cleaned[~np.isnan(cleaned).any(axis=1)]
    means, counts = drift.block_means(cleaned, window_rows)
    deviations = cleaned - means[np.arange(len(cleaned)) // window_rows]
    missing = np.isnan(cleaned) & ~np.isnan(rows[:, agreed.used])
    return Products(
        np.asarray(float(len(complete))),
        complete.sum(axis=0),
        np.einsum("ni,nj->ij", complete, complete),
        missing.sum(axis=0).astype(np.float64),
        np.nansum(deviations**2, axis=0),
        np.maximum(counts - 1.0, 0.0).sum(axis=0),
    )


def _noise_of(counts: Floats, noise: Floats) -> Floats:
    """Return the noise (b, u) of means of so many values (b, u), from a table (window + 1, u)."""
    picked: Floats = np.take_along_axis(noise, counts.astype(np.intp), axis=0)
    return picked


def _summed(parts: Iterable[Floats]) -> Floats:
    """Return the sum of arrays of one shape."""
    total: Floats = np.sum(list(parts), axis=0)
    return total
