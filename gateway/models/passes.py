"""The matrices of a filter and smoother pass over many rows: shared by blocks, or in lanes.

Rows whose pattern of gaps lasts soon share one set of matrices (recurrence.py); rows whose pattern
keeps changing have sets of their own, made side by side (lanes.py). Both say the same, to what is
called settled there; which is taken depends on the patterns only, never on values.

Left to others: what the signals are (state_space.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple, Protocol, final

import numpy as np
from numpy.typing import NDArray

from gateway.models import lanes, recurrence
from gateway.models.lanes import Passage
from gateway.models.recurrence import Blocks, Means, Run, Stretch

Floats = NDArray[np.float64]

_SETTLING_ROWS: Final = 24
"""About so many rows of a run have sets of their own before the rest shares one."""
_RESTLESS_ROWS_MIN: Final = 48
_RESTLESS_SHARE: Final = 0.25
"""Share of the rows with a set of their own from which on lanes cost less than blocks."""


class Dynamics(NamedTuple):
    """How the state moves, and its law (d, d) before the first row of a segment."""

    transition: Floats
    state_noise: Floats
    start: Floats


class Pass(Protocol):
    """The matrices of n rows, of one segment or several, and what they do to the means."""

    def means(self, measured: Floats) -> Means:
        """Return the causal means; `measured` (n, k) is C' R^-1 y of the seen values."""

    def log_determinants(self) -> Floats:
        """Return log det (I + G P_ff) of each row, (n,)."""

    def predicted(self) -> Floats:
        """Return the covariances (n, d, d) given the rows before."""

    def updated(self) -> Floats:
        """Return the covariances (n, d, d) given the row as well."""

    def smoothed(self, causal: Means) -> Floats:
        """Return the means (n, d) given all rows of the segment."""

    def stretches(self) -> Iterable[Stretch]:
        """Yield the covariances given all rows of the segment, every row once."""


def over(
    dynamics: Dynamics, current: Floats, precision: Floats, lengths: Sequence[int] | None = None
) -> Pass:
    """Return the pass over rows whose values have precisions (n, s), 0 where missing.

    `current` (s, k) are the loadings. With `lengths` the rows are several segments in lanes;
    without, they are one, done in the way that costs less.
    """
    edges = _edges(precision) if lengths is None else []
    if lengths is None and not _is_restless(edges):
        blocks = recurrence.forward(*dynamics, _runs(current, precision, edges))
        return InBlocks(blocks=blocks, transition=dynamics.transition)
    squares = np.einsum("sk,sl->skl", current, current).reshape(len(current), -1)
    grams = (precision @ squares).reshape(len(precision), *2 * current.shape[1:])
    cut = lanes.cut([len(precision)] if lengths is None else lengths)
    passage = lanes.forward(*dynamics, grams, cut)
    return InLanes(passage=passage, transition=dynamics.transition)


def is_restless(patterns: NDArray[np.generic]) -> bool:
    """Tell whether rows with these patterns (n, s), precisions or marks, are better in lanes."""
    return _is_restless(_edges(patterns))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class InBlocks:
    """A pass over one segment in blocks of rows that share their matrices."""

    blocks: Blocks
    transition: Floats

    def means(self, measured: Floats) -> Means:
        """See `Pass`."""
        return recurrence.forward_means(self.transition, self.blocks, measured)

    def log_determinants(self) -> Floats:
        """See `Pass`."""
        return recurrence.log_determinants(self.blocks)

    def predicted(self) -> Floats:
        """See `Pass`."""
        return np.repeat(self.blocks.covariances, self.blocks.lengths, axis=0)

    def updated(self) -> Floats:
        """See `Pass`."""
        return np.repeat(self.blocks.after, self.blocks.lengths, axis=0)

    def smoothed(self, causal: Means) -> Floats:
        """See `Pass`."""
        return recurrence.backward_means(self.blocks, causal)

    def stretches(self) -> Iterable[Stretch]:
        """See `Pass`."""
        return recurrence.backward_covariances(self.blocks)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class InLanes:
    """A pass over segments side by side, every row with its own matrices."""

    passage: Passage
    transition: Floats

    def means(self, measured: Floats) -> Means:
        """See `Pass`."""
        return lanes.forward_means(self.transition, self.passage, measured)

    def log_determinants(self) -> Floats:
        """See `Pass`."""
        return lanes.log_determinants(self.passage)

    def predicted(self) -> Floats:
        """See `Pass`."""
        return self.passage.covariances

    def updated(self) -> Floats:
        """See `Pass`."""
        return lanes.updated_covariances(self.passage)

    def smoothed(self, causal: Means) -> Floats:
        """See `Pass`."""
        return lanes.backward_means(self.passage, causal)

    def stretches(self) -> Iterable[Stretch]:
        """See `Pass`."""
        return lanes.backward_covariances(self.passage)


def _edges(patterns: NDArray[np.generic]) -> list[int]:
    """Return where runs of equal patterns (n, s) begin, and n; for no rows only 0."""
    if not len(patterns):
        return [0]
    changes = np.flatnonzero((patterns[1:] != patterns[:-1]).any(axis=1)) + 1
    return [0, *changes.tolist(), len(patterns)]


def _is_restless(edges: list[int]) -> bool:
    """Tell whether runs between these rows are so short that lanes cost less than blocks."""
    count = edges[-1]
    if count < _RESTLESS_ROWS_MIN:
        return False
    own = np.minimum(np.diff(edges), _SETTLING_ROWS).sum()
    return bool(own > _RESTLESS_SHARE * count + _SETTLING_ROWS)


def _runs(current: Floats, precision: Floats, edges: list[int]) -> list[Run]:
    """Return the runs of rows whose precisions (n, s) are the same."""
    grams: dict[bytes, Floats] = {}
    runs = []
    for first, stop in pairwise(edges):
        key = precision[first].tobytes()
        if key not in grams:
            grams[key] = current.T @ (current * precision[first][:, None])
        runs.append(Run(first, stop, grams[key]))
    return runs
