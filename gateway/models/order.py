"""How many factors and lags: what predicts held-out rows best, not what fits best.

Rows are cut into contiguous folds, since neighbouring rows are alike; a fold is predicted row by
row, causally, by a model learnt from the others, starting cold. The largest sum of log densities
wins, and a smaller model wins a tie. This is the only thing that keeps a model of many factors from
being believed, so it works the same for 8 signals and 400 rows as for 50 signals and 20,000 rows.

Not every pair is tried. The ladder of numbers of factors is geometric (1, 2, 3, 4, 6, 8, 12, ...).
White factors need second moments only, so all rungs are tried for them at once; from the best one a
walk over (rung, lags) goes to the best neighbour until none is better. Of long recordings evenly
spaced pieces are used, and EM stops early: both favour small models, if anything.

Left to others: fitting the chosen model to all rows (em.py).

Sources: Stone (1974), Cross-validatory choice, in blocks as in Burman, Chow and Nolan (1994), A
cross-validatory method for dependent data.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import add
from typing import Final, NamedTuple

import numpy as np

from gateway.models import em
from gateway.models.lagged_moments import Moments, initial, moments
from gateway.models.state_space import Floats, StateSpace, causal, covariance

FOLDS: Final = 3
ROWS_MAX: Final = 3_000
"""Rows used for the choice; of more, pieces of PIECE_ROWS spread evenly over all of them."""
PIECE_ROWS: Final = 250
ITERATIONS: Final = 12
"""Of EM for each candidate."""
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
    folds = _folds(em.LocalPart(segments).segments)
    signals = segments[0].shape[1]
    values = sum(int((~np.isnan(rows)).sum()) for fold in folds for rows in fold)
    if not folds:
        return Choice(0, 0, {}, 0)
    ladder = _ladder(min(factors_max, signals))
    table: dict[tuple[int, int], float] = {}

    def worth(rung: int, lags: int) -> float:
        pair = (ladder[rung], 0 if rung == 0 else lags)
        if pair not in table:
            table[pair] = _held_out(folds, *pair)
        return table[pair]

    place = (_white_rung(folds, ladder), min(1, lags_max))
    best = worth(*place)
    while True:
        around = list(_neighbours(place, len(ladder), lags_max))
        found, following = max((worth(*pair), (-pair[0], -pair[1])) for pair in around)
        if found <= best:
            break
        best, place = found, (-following[0], -following[1])
    factors, lags = max(table, key=lambda pair: (table[pair], -pair[0], -pair[1]))
    return Choice(factors, lags, table, values)


def _neighbours(place: tuple[int, int], rungs: int, lags_max: int) -> Iterator[tuple[int, int]]:
    """Yield the places one rung or one lag away."""
    rung, lags = place
    for near in ((rung - 1, lags), (rung + 1, lags), (rung, lags - 1), (rung, lags + 1)):
        if 0 <= near[0] < rungs and 0 <= near[1] <= lags_max and near != (0, 0):
            yield near


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
    if total > ROWS_MAX:
        pieces = [
            rows[first : first + PIECE_ROWS]
            for rows in segments
            for first in range(0, len(rows), PIECE_ROWS)
        ]
        wanted = np.linspace(0, len(pieces) - 1, min(len(pieces), ROWS_MAX // PIECE_ROWS))
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
    """Return the rung that predicts held-out second moments best with white factors."""
    sums = [reduce(add, [moments(rows, 0) for rows in fold]) for fold in folds]
    worths = []
    for factors in ladder:
        total = 0.0
        for index, held in enumerate(sums):
            others = reduce(add, [part for other, part in enumerate(sums) if other != index])
            total += _white_worth(initial(others, factors, 0), held)
        worths.append(total)
    return int(np.argmax(worths))


def _white_worth(model: StateSpace, held: Moments) -> float:
    """Return the log density of rows with these second moments, as if complete; no constants."""
    rows = float(held.counts[0].max())
    moment = held.products[0] / np.maximum(held.counts[0], 1.0)
    law = covariance(model)
    _, log_determinant = np.linalg.slogdet(law)
    return -0.5 * rows * (float(log_determinant) + float(np.trace(np.linalg.solve(law, moment))))
