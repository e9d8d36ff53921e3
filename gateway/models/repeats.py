"""Has this been seen before? Exact and near-exact repeats of stored rows, found row by row.

The last `STRIDE` rows of each signal are projected on a few fixed directions and the projections
cut into cells; the cell numbers, mixed, are a slot in a table that holds the latest row with that
slot. So a row costs one look-up per signal however much is stored, and a collision is found out by
comparing the rows themselves. Near repeats fall into the same cells most of the time, and every row
is another try. Once found, a repeat is followed by its lag.

What a repeat is worth. A healthy signal stays within the tolerance of stored rows by chance; if it
did so until now, the next row does with probability

    chance = (agreements + w c) / (trials + w),    c = erf(tolerance / (deviation sqrt 2))

counted on healthy rows after a match, and started from the model: c is the most a Gaussian of the
healthy deviation given everything else can put into the tolerance. With `choices` stored places, a
run of m rows over some signals appears somewhere by chance with probability at most

    choices * product of chance^m,    log_evidence = minus its logarithm

A coarse, slow or held signal has a chance near one, and repeats of it prove nothing by themselves.

Promised: causal; memory and cost per row are constant; nothing is stored before it is `GAP_ROWS`
old, so that a short echo is left to the clock hypothesis.
Left to others: what to think of it (hypotheses_replaced.py).

Sources: Indyk and Motwani (1998), Approximate nearest neighbors, for hashing what is near;
Datar et al. (2004), Locality-sensitive hashing scheme based on p-stable distributions, 3, for the
cells.
"""

from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from gateway.models.hypotheses_replaced import Copy

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

STRIDE: Final = 6
"""Rows that are hashed together."""
GAP_ROWS: Final = 60
ROWS_MAX: Final = 16_384
_DIRECTIONS: Final = 5
_CELL: Final = 1.6
"""Width of a cell in tolerances."""
_PRIOR_TRIALS: Final = 4.0
_MULTIPLIERS: Final = np.array([73856093, 19349663, 83492791, 49979687, 86028121], dtype=np.int64)
TOLERANCE: Final = 0.25
"""What still is a repeat, in healthy deviations of a signal given everything else."""


class Repeat(NamedTuple):
    """Signals that follow stored rows at the same lag now."""

    signals: tuple[int, ...]
    lag_rows: int
    rows: int
    """For how many rows the shortest of them has."""
    log_evidence: float
    """Minus the log of the probability that chance alone does this, at most."""


@final
class Memory:
    """Stored rows of `u` signals in units of their scale, and what of them comes again.

    `deviation` (u,) is a healthy signal's deviation given everything else and the past,
    `resolution` (u,) its smallest step. The same rows give the same answers: the directions come
    from a fixed seed.
    """

    __slots__ = (
        "_agreements",
        "_chance",
        "_count",
        "_directions",
        "_is_learning",
        "_lag",
        "_prior",
        "_rows",
        "_run",
        "_table",
        "_tolerance",
        "_trials",
    )

    def __init__(self, deviation: Floats, resolution: Floats, rows_max: int = ROWS_MAX) -> None:
        signals = len(deviation)
        self._tolerance = np.maximum(TOLERANCE * deviation, 0.51 * resolution)
        reach = self._tolerance / np.maximum(deviation, 1e-12)
        self._prior = np.clip(erf(reach / np.sqrt(2.0)), 1e-6, 1.0)
        self._agreements = np.zeros(signals)
        self._trials = np.zeros(signals)
        self._chance = self._prior.copy()
        directions = np.random.default_rng(0).normal(size=(STRIDE, _DIRECTIONS))
        self._directions = directions / np.linalg.norm(directions, axis=0)
        self._rows = np.full((rows_max, signals), np.nan, dtype=np.float32)
        slots = 1 << int(np.ceil(np.log2(2 * rows_max)))
        self._table = np.full((signals, slots), -1, dtype=np.int64)
        self._count = 0
        self._lag = np.zeros(signals, dtype=np.int64)
        self._run = np.zeros(signals, dtype=np.int64)
        self._is_learning = False

    @property
    def chance(self) -> Floats:
        """Probability (u,) that a healthy signal that agreed so far agrees once more."""
        result: Floats = self._chance.copy()
        return result

    @property
    def choices(self) -> int:
        """Stored places a repeat could have come from."""
        return max(1, min(self._count, len(self._rows)) - GAP_ROWS)

    def learn(self, rows: Floats) -> None:
        """Store healthy rows (n, u) and count how often they repeat themselves by nature."""
        self._is_learning = True
        for row in rows:
            self.step(row)
        self._is_learning = False
        self._chance = (self._agreements + _PRIOR_TRIALS * self._prior) / (
            self._trials + _PRIOR_TRIALS
        )
        self._lag[:] = 0
        self._run[:] = 0

    def step(self, row: Floats) -> tuple[Repeat, ...]:
        """Store one row (u,), NaN where missing; return what is being repeated, strongest first."""
        self._rows[self._count % len(self._rows)] = row
        self._count += 1
        self._follow()
        self._store()
        self._find()
        return () if self._is_learning else self._repeats()

    def copies(self, rows: int, level: Floats) -> tuple[Copy, ...]:
        """Return the stored rows behind the last `rows`, less `level`, for every repeat.

        The level is (u,), or (rows, u) with the offset of the regime each last row is in.
        """
        return tuple(
            Copy(
                repeat.signals,
                self._stretch(repeat.lag_rows, rows).astype(np.float64) - level,
                self.choices,
            )
            for repeat in self._repeats()
        )

    def _stretch(self, lag: int, rows: int) -> NDArray[np.float32]:
        """Return the `rows` rows that ended `lag` rows ago; NaN where none is stored any more."""
        numbers = np.arange(self._count - lag - rows, self._count - lag)
        known = (numbers >= 0) & (numbers >= self._count - len(self._rows))
        result = self._rows[numbers % len(self._rows)].copy()
        result[~known] = np.nan
        return result

    def _follow(self) -> None:
        """See whether signals with a lag still agree; a missing value says nothing."""
        active = np.flatnonzero(self._lag)
        if not len(active):
            return
        size = len(self._rows)
        now = self._rows[(self._count - 1) % size, active]
        then = self._rows[(self._count - 1 - self._lag[active]) % size, active]
        away = np.abs(now - then)
        is_known = ~np.isnan(away)
        agrees = is_known & (away <= self._tolerance[active])
        self._run[active] += agrees
        if self._is_learning:
            self._trials[active] += is_known
            self._agreements[active] += agrees
        lost = active[is_known & ~agrees | (self._lag[active] >= size - 1)]
        self._lag[lost] = 0
        self._run[lost] = 0

    def _store(self) -> None:
        """Enter the rows that are old enough by now."""
        last = self._count - GAP_ROWS
        if last >= STRIDE:
            slots, known = self._slots(last)
            self._table[known, slots[known]] = last

    def _find(self) -> None:
        """Look up the last rows of signals without a lag, and compare what is found."""
        if self._count < STRIDE + GAP_ROWS:
            return
        slots, known = self._slots(self._count)
        every = np.flatnonzero(known & (self._lag == 0))
        found = self._table[every, slots[every]]
        is_stored = (found >= STRIDE) & (found > self._count - len(self._rows) + STRIDE)
        every, found = every[is_stored], found[is_stored]
        if not len(every):
            return
        size = len(self._rows)
        back = np.arange(1, STRIDE + 1)
        now = self._rows[(self._count - back[:, None]) % size, every]
        then = self._rows[(found - back[:, None]) % size, every]
        same = (np.abs(now - then) <= self._tolerance[every]).all(axis=0)
        self._lag[every[same]] = self._count - found[same]
        self._run[every[same]] = STRIDE

    def _slots(self, stop: int) -> tuple[Ints, Bools]:
        """Return the slot (u,) of the rows before number `stop`, and whether all are there."""
        numbers = np.arange(stop - STRIDE, stop) % len(self._rows)
        scaled = self._rows[numbers].astype(np.float64) / self._tolerance
        known: Bools = np.logical_not(np.isnan(scaled).any(axis=0))
        projected = np.where(known, scaled, 0.0).T @ self._directions
        cells = np.floor(np.clip(projected, -1e9, 1e9) / _CELL).astype(np.int64)
        mixed = np.bitwise_xor.reduce(cells * _MULTIPLIERS, axis=1)
        return mixed & (self._table.shape[1] - 1), known

    def _repeats(self) -> tuple[Repeat, ...]:
        """Return the lags that are followed and worth something, strongest first."""
        found = []
        worth = -np.log(self._chance) * self._run
        for lag in np.unique(self._lag[self._lag > 0]):
            members = np.flatnonzero(self._lag == lag)
            evidence = float(worth[members].sum() - np.log(self.choices))
            if evidence > 0.0:
                signals = tuple(int(member) for member in members)
                rows = int(self._run[members].min())
                found.append(Repeat(signals, int(lag), rows, evidence))
        return tuple(sorted(found, key=lambda repeat: -repeat.log_evidence))
