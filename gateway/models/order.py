"""How many factors and lags: what predicts held-out rows best, not what fits best.

Rows are cut into contiguous folds, since neighbouring rows are alike; a fold is predicted row by
row, causally, by a model learnt from the others, starting cold. The largest sum of log densities
wins, where each factor and each lag has to be worth EVIDENCE_MIN. This is the only thing that keeps
a model of many factors from being believed, so it works the same for 8 signals and 400 rows as for
50 signals and 20,000 rows.

Not every pair is tried:

- the numbers of factors form a ladder, 0, 1, 2, 3, 4, 6, 8, 12, 16, ...; white factors need second
  moments only, so the ladder is climbed for them first, and the search starts at their best rung;
- then the best rung for the lags, and the best lags for the rung, in turn until neither changes;
- then the halves between the best rung and its neighbours, until they meet.

No pair is tried that has fewer than ROWS_PER_COEFFICIENT training rows for each coefficient of a
factor's equation. Of long recordings evenly spaced pieces are used, and EM stops early, before
large models have converged: what that favours is small models.

Left to others: fitting the chosen model to all rows (em.py).

Sources: Kass and Raftery (1995), Bayes factors, 3.2, for what counts as strong evidence; Stone
(1974), Cross-validatory choice; Burman, Chow and Nolan (1994), A cross-validatory method for
dependent data, for blocks.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Final, NamedTuple, final

import numpy as np

from gateway.models import em
from gateway.models.lagged_moments import Moments, initial, moments
from gateway.models.state_space import Floats, StateSpace, causal, covariance

FOLDS: Final = 3
ROWS_MAX: Final = 3_000
"""Rows used for the choice; of more, pieces of PIECE_ROWS spread evenly over all of them."""
ROWS_MAX_GAPPED: Final = 1_000
"""The same where more than GAPPED_SHARE of the rows have gaps: each of those has matrices of its
own, and costs several times as much as a row whose matrices have settled."""
GAPPED_SHARE: Final = 0.05
PIECE_ROWS: Final = 250
ITERATIONS: Final = 12
"""Of EM for each candidate."""
ROWS_PER_COEFFICIENT: Final = 5
EVIDENCE_MIN: Final = 3.0
"""Nats of held-out log-likelihood, a factor of 20, that one more factor or lag must bring."""
_ROWS_PER_FOLD_MIN: Final = 10


class Choice(NamedTuple):
    """The chosen numbers, and what every tried pair was worth."""

    factors: int
    lags: int
    table: dict[tuple[int, int], float]
    """Held-out log-likelihood for each tried (factors, lags), in nats over `values`."""
    values: int
    """Held-out values."""


def choose(segments: Sequence[Floats], *, factors_max: int, lags_max: int = 2) -> Choice:
    """Choose for segments of centred rows (n, s) of about unit variance, NaN where missing.

    At most min(factors_max, s) factors and `lags_max` lags. With too few rows to hold any out, no
    factors and no lags are chosen and the table is empty. Raises `em.UnfitSegmentsError` as `fit`.
    """
    filled = em.LocalPart(segments).segments
    folds = _folds(filled)
    if not folds:
        return Choice(0, 0, {}, 0)
    search = _Search(folds)
    ladder = _ladder(min(factors_max, filled[0].shape[1]))
    factors, lags = ladder[_white_rung(folds, ladder)], min(1, lags_max)
    while True:
        factors = search.climb(ladder, factors, lags)
        better = max(range(lags_max + 1), key=lambda other: search.worth(factors, other))
        if better == lags:
            break
        lags = better
    search.bisect(ladder, factors, lags)
    values = sum(int((~np.isnan(rows)).sum()) for fold in folds for rows in fold)
    best = max(search.table, key=lambda pair: search.worth(*pair))
    return Choice(*best, search.table, values)


@final
class _Search:
    """The held-out worth of pairs, each found once."""

    def __init__(self, folds: Sequence[Sequence[Floats]]) -> None:
        self.table: dict[tuple[int, int], float] = {}
        self._folds = folds
        rows = sum(len(rows) for fold in folds for rows in fold)
        self._coefficients_max = rows * (FOLDS - 1) // (FOLDS * ROWS_PER_COEFFICIENT)

    def worth(self, factors: int, lags: int) -> float:
        """Return the held-out log-likelihood less what so many factors and lags must bring.

        Minus infinity if there are too few rows to try.
        """
        if factors * max(lags, 1) > self._coefficients_max:
            return -np.inf
        pair = (factors, lags if factors else 0)
        if pair not in self.table:
            self.table[pair] = _held_out(self._folds, *pair)
        return self.table[pair] - EVIDENCE_MIN * sum(pair)

    def climb(self, ladder: Sequence[int], factors: int, lags: int) -> int:
        """Return the rung that is better than the next on either side, starting at `factors`."""
        rung = ladder.index(factors)
        while True:
            near = [index for index in (rung - 1, rung, rung + 1) if 0 <= index < len(ladder)]
            better = max(near, key=lambda index: self.worth(ladder[index], lags))
            if better == rung:
                return ladder[rung]
            rung = better

    def bisect(self, ladder: Sequence[int], factors: int, lags: int) -> None:
        """Try numbers of factors between `factors` and its neighbours, halving the distances."""
        rung = ladder.index(factors)
        low, high = ladder[max(rung - 1, 0)], ladder[min(rung + 1, len(ladder) - 1)]
        while high - low > 2:
            near = [low, (low + factors) // 2, factors, (factors + high + 1) // 2, high]
            better = max(range(1, 4), key=lambda index: self.worth(near[index], lags))
            if near[better] in (low, high):
                return
            low, factors, high = near[better - 1 : better + 2]


def _ladder(factors_max: int) -> list[int]:
    """Return 0, 1, 2, 3, 4, 6, 8, 12, 16, ... and `factors_max`."""
    rungs = [0]
    power = 1
    while power <= factors_max:
        rungs += [power, power + power // 2]
        power *= 2
    return sorted({rung for rung in rungs if rung <= factors_max} | {factors_max})


def _folds(segments: Sequence[Floats]) -> list[list[Floats]]:
    """Return FOLDS groups of contiguous pieces, about equally many rows each; [] if too few."""
    total = sum(len(rows) for rows in segments)
    if total < FOLDS * _ROWS_PER_FOLD_MIN:
        return []
    gapped = sum(int(np.isnan(rows).any(axis=1).sum()) for rows in segments)
    rows_max = ROWS_MAX_GAPPED if gapped > GAPPED_SHARE * total else ROWS_MAX
    if total > rows_max:
        pieces = [
            rows[first : first + PIECE_ROWS]
            for rows in segments
            for first in range(0, len(rows), PIECE_ROWS)
        ]
        wanted = np.linspace(0, len(pieces) - 1, min(len(pieces), rows_max // PIECE_ROWS))
        segments = [pieces[index] for index in np.unique(wanted.round().astype(int))]
        total = sum(len(rows) for rows in segments)
    folds: list[list[Floats]] = [[] for _ in range(FOLDS)]
    begin = 0
    for rows in segments:
        edges = [round(total * fold / FOLDS) - begin for fold in range(FOLDS + 1)]
        for fold in range(FOLDS):
            piece = rows[max(edges[fold], 0) : max(edges[fold + 1], 0)]
            if len(piece):
                folds[fold].append(piece)
        begin += len(rows)
    return folds


def _held_out(folds: Sequence[Sequence[Floats]], factors: int, lags: int) -> float:
    """Return the log-likelihood of each fold under a model of the others, summed."""
    total = 0.0
    for index, fold in enumerate(folds):
        others = [rows for other, part in enumerate(folds) if other != index for rows in part]
        model = em.fit(others, factors, lags, iterations=ITERATIONS).model
        total += sum(float(causal(model, rows).log_densities.sum()) for rows in fold)
    return total


def _white_rung(folds: Sequence[Sequence[Floats]], ladder: Sequence[int]) -> int:
    """Return the rung from which on white factors predict held-out second moments no better."""
    sums = [reduce(add, [moments(rows, 0) for rows in fold]) for fold in folds]
    best, best_rung = -np.inf, 0
    for rung, factors in enumerate(ladder):
        worth = 0.0
        for index, held in enumerate(sums):
            others = reduce(add, [part for other, part in enumerate(sums) if other != index])
            worth += _white_worth(initial(others, factors, 0), held)
        if worth > best:
            best, best_rung = worth, rung
        elif rung > best_rung + 1:
            break
    return best_rung


def _white_worth(model: StateSpace, held: Moments) -> float:
    """Return the log density of rows with these second moments, as if complete; no constants."""
    rows = float(held.counts[0].max())
    moment = held.products[0] / np.maximum(held.counts[0], 1.0)
    law = covariance(model)
    _, log_determinant = np.linalg.slogdet(law)
    return -0.5 * rows * (float(log_determinant) + float(np.trace(np.linalg.solve(law, moment))))
