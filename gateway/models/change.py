"""Change points: has the mean of the last rows left the mean of those just before them?

    z_i = (V^-1 m)_i / sqrt((V^-1)_ii)       m = mean of the last k rows - mean of `BEFORE` rows
    V = R (1/k + 1/b) + diag(drift (k + b) / 3)
    log BF = log mean over s of (1 + s)^(-1/2) exp(z^2 / 2 s / (1 + s))        s: size of a step

for each signal i given the others, averaged over the `AFTER` lengths k; z^2 / 2 is the generalised
likelihood ratio of a step in that signal alone. R has the correlations of the factor model and, on
its diagonal, the noise of window means; the last term is what a healthy level wanders between two
windows. All of it is low rank plus diagonal, so a row costs O(signals * factors).

Where an alarm asks "is this healthy?", a change point asks "is this as it was just now?": the
beginning of a fault is one, so is its end, and neither needs to know what healthy is. A ramp that
is longer than the windows is a change again and again, at most once in `PAUSE` rows.

Slow signals have no say. A value further than `REACH` deviations from both its neighbours, on one
side, is a spike and is cut back to there; so windows end one row before the newest.

Promised: causal; the latest `ROWS` rows and nothing else decide; a missing value says nothing.
Left to others: limits (calibration.py), alarms (tracker.py), what the cause is (causes.py).

Sources: Basseville and Nikiforov, Detection of Abrupt Changes (1993), 2.4 and 7.2; Willsky and
Jones (1976) for windows of the generalised likelihood ratio; Woodbury for the inverse.
"""

from collections import deque
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from gateway.models.evidence import SHIFTS
from gateway.models.evidence_steps import Law
from gateway.models.state_space import StateSpace, stationary

Floats = NDArray[np.float64]

AFTER: Final = (5, 10, 20)
"""Rows a change has been there for: what is large is found early, what is small after all."""
BEFORE: Final = 40
"""Rows it is compared with; twice the longest, so that their mean adds little noise."""
ROWS: Final = BEFORE + AFTER[-1]
PAUSE: Final = ROWS
"""Rows after a change point before the next: till then the windows hold the old one as well."""
REACH: Final = 4.0


class ChangeLaw(NamedTuple):
    """The inverse of V for each length of `AFTER` (a), of u signals and f factors, taken apart."""

    precision: Floats
    """(a, u): of the diagonal part; 0 for a slow signal."""
    shared: Floats
    """(a, u, f): the inverse is diag(precision) - shared shared'."""
    reach: Floats
    """(u,): how far from both neighbours a value may be."""


def law(steps: Law, space: StateSpace) -> ChangeLaw:
    """Return the law of differences of means, by level laws (u,) and the factors of the model."""
    block = stationary(space)[: space.factors, : space.factors]
    values, vectors = np.linalg.eigh(0.5 * (block + block.T))
    loaded = space.current @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    row = (loaded**2).sum(axis=1) + space.noise
    is_fast = ~steps.is_slow
    # The correlations are the model's; how noisy means of windows are is what blocks showed.
    loaded = np.where(is_fast, np.sqrt(steps.noise / row), 0.0)[:, None] * loaded
    own = steps.noise * space.noise / row
    precision = np.empty((len(AFTER), len(row)))
    shared = np.empty((len(AFTER), *loaded.shape))
    for place, after in enumerate(AFTER):
        share = 1.0 / after + 1.0 / BEFORE
        diagonal = own * share + steps.drift * (after + BEFORE) / 3.0
        precision[place] = np.where(is_fast, 1.0 / diagonal, 0.0)
        weighed = precision[place][:, None] * loaded * np.sqrt(share)
        inner = np.eye(space.factors) + share * loaded.T @ (precision[place][:, None] * loaded)
        shared[place] = np.linalg.solve(np.linalg.cholesky(inner), weighed.T).T
    return ChangeLaw(precision, shared, REACH * np.sqrt(steps.unit))


def despiked(reach: Floats, before: Floats, row: Floats, after: Floats) -> Floats:
    """Return rows (..., u) cut back to `reach` (u,) beyond their neighbours, which may be NaN."""
    lone = np.isnan(before) & np.isnan(after)
    low = np.where(lone, row, np.fmin(before, after) - reach)
    high = np.where(lone, row, np.fmax(before, after) + reach)
    cut: Floats = np.clip(row, low, high)
    return cut


def squares(law: ChangeLaw, moved: Floats) -> Floats:
    """Return z^2 (..., a, u) of differences of means (..., a, u)."""
    in_common = np.einsum("auf,...au->...af", law.shared, moved)
    weighed = law.precision * moved - np.einsum("auf,...af->...au", law.shared, in_common)
    known = law.precision - (law.shared**2).sum(axis=2)
    result: Floats = np.where(known > 0.0, weighed**2 / np.where(known > 0.0, known, 1.0), 0.0)
    return result


def evidence(squares: Floats) -> Floats:
    """Return log Bayes factors (..., u) of z^2 (..., a, u): a step, its size and age unknown."""
    sizes = np.array(SHIFTS)
    logs = 0.5 * (squares[..., None] * (sizes / (1.0 + sizes)) - np.log1p(sizes))
    logs = np.moveaxis(logs, -3, -1).reshape(*squares.shape[:-2], squares.shape[-1], -1)
    top = logs.max(axis=-1)
    result: Floats = top + np.log(np.exp(logs - top[..., None]).mean(axis=-1))
    return result


def over_rows(law: ChangeLaw, rows: Floats) -> Floats:
    """Return evidences (n - ROWS, u) of rows (n, u), the first one after row number `ROWS`."""
    cut = rows.copy()
    cut[1:-1] = despiked(law.reach, rows[:-2], rows[1:-1], rows[2:])
    seen = ~np.isnan(cut[:-1])
    sums = np.vstack([np.zeros((1, rows.shape[1])), np.cumsum(np.where(seen, cut[:-1], 0.0), 0)])
    counts = np.vstack([np.zeros((1, rows.shape[1])), np.cumsum(seen, axis=0)])
    ends = np.arange(ROWS, len(rows))
    moved = np.stack([_difference(sums, counts, ends, after) for after in AFTER], axis=1)
    return evidence(squares(law, moved))


def _difference(sums: Floats, counts: Floats, ends: NDArray[np.intp], after: int) -> Floats:
    """Return mean after less mean before (k, u) of windows that end before rows `ends` (k,).

    Where values are missing it is made smaller, by the root of the share that is there: so its
    variance is never rated too small, and an empty window says nothing.
    """
    middle, first = ends - after, ends - after - BEFORE
    late, early = counts[ends] - counts[middle], counts[middle] - counts[first]
    moved = (sums[ends] - sums[middle]) / np.maximum(late, 1.0)
    moved -= (sums[middle] - sums[first]) / np.maximum(early, 1.0)
    share = np.minimum(late / after, early / BEFORE)
    result: Floats = moved * np.sqrt(share)
    return result


@final
class Changes:
    """The live side: one row in, evidence above the limit out, where a change point is."""

    def __init__(self, law: ChangeLaw, limits: Floats) -> None:
        self._law = law
        self._limits = limits
        self._raw: deque[Floats] = deque(maxlen=2)
        self._rows: deque[Floats] = deque(maxlen=ROWS)
        self._pause = 0

    def step(self, row: Floats) -> Floats:
        """Return by how much each signal's evidence (u,) is above its limit; zeros mostly.

        `row` (u,) is scaled and less the offset of its regime.
        """
        if len(self._raw) == 2:
            before, last = self._raw
            self._rows.append(despiked(self._law.reach, before, last, row))
        elif self._raw:
            self._rows.append(self._raw[-1])
        self._raw.append(row)
        self._pause = max(self._pause - 1, 0)
        nothing = np.zeros(len(row))
        if len(self._rows) < ROWS or self._pause:
            return nothing
        above: Floats = np.maximum(self._weigh() - self._limits, 0.0)
        if above.any():
            self._pause = PAUSE
        return above

    def forget(self) -> None:
        """Begin anew, after a gap: what was before it is not "just now"."""
        self._raw.clear()
        self._rows.clear()
        self._pause = 0

    def _weigh(self) -> Floats:
        """Return the evidence (u,) of the rows that are kept."""
        rows = np.array(self._rows)
        seen = rows == rows  # noqa: PLR0124 - the fast way to tell NaN
        sums, counts = np.zeros((2, ROWS + 1, rows.shape[1]))
        np.cumsum(np.where(seen, rows, 0.0), axis=0, out=sums[1:])
        np.cumsum(seen, axis=0, out=counts[1:])
        ends = np.array([ROWS])
        moved = np.stack([_difference(sums, counts, ends, after)[0] for after in AFTER])
        return evidence(squares(self._law, moved))
