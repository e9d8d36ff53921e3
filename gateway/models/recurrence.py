"""Passes of the Kalman filter and smoother over many rows, cut where the matrices stay the same.

The covariances of a linear-Gaussian model do not depend on the values, only on which of them are
missing. Within a run of rows with one pattern they converge, and from then on one set of matrices
serves all the rest of the run: a block. Over a block the means are a linear recurrence with
constant matrices, which `scan` does for all rows at once. With P the predicted covariance, k
factors in front of the state (their columns P_f, their block P_ff), G = C' R^-1 C and b = C' R^-1 v
of the innovation v:

    forward    W = (I + G P_ff)^-1,  H = W G,  T = I - P_f (H 0),  L = A T
               w = W b,  m+ = m + P_f w,  m' = A m+,  P' = L P A' + Q
    backward   r' = (w 0) + L' r,   N' = (H 0; 0 0) + L' N L
               mean = m + P r',  covariance = P - P N' P,  cross = (I - P_next N) L P

The backward sums never invert P, which is singular where a state holds lags of the factors.

Promised: exact to 1e-10 of the covariances' convergence; order of work, hence bits, depends on the
rows only. Left to others: what the signals are (state_space.py).

Sources: de Jong (1989), Smoothing and interpolation with the state-space model; Durbin and Koopman
(2012), 4.4, 4.7; Kailath, Sayed and Hassibi, Linear Estimation (2000), 14, for the convergence.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STEADY: Final = 1e-10
"""Relative change from one row to the next below which a covariance is said to have converged."""
_DOUBLING_ROWS_MAX: Final = 1_500
"""Longer recurrences are done in lanes, which take two products a row instead of log n."""
_NEGLIGIBLE: Final = 1e-20
"""Entries of a power of the matrix below which what lies further back has no part in any digit."""


class Run(NamedTuple):
    """Rows first..stop - 1, in which the same signals are seen with the same noise."""

    first: int
    stop: int
    gram: Floats
    """(k, k): G = C' R^-1 C of the seen signals."""


class Blocks(NamedTuple):
    """Consecutive rows in m blocks; the rows of a block share one set of matrices."""

    edges: list[int]
    """m + 1 rows: block i has the rows edges[i]..edges[i + 1] - 1."""
    covariances: Floats
    """(m, d, d): P, predicted."""
    after: Floats
    """(m, d, d): P+, updated."""
    grams: Floats
    """(m, k, k): G."""
    resolvents: Floats
    """(m, k, k): W."""
    closed: Floats
    """(m, d, d): L, from one predicted error to the next."""

    @property
    def lengths(self) -> NDArray[np.intp]:
        """Rows of each block, (m,)."""
        return np.diff(self.edges)


class Means(NamedTuple):
    """What the values of n rows did to the mean of the state."""

    predicted: Floats
    """(n, d): m, given the rows before."""
    updated: Floats
    """(n, d): m+, given the row as well."""
    weights: Floats
    """(n, k): w."""


class Stretch(NamedTuple):
    """Smoothed covariances of some rows: (d, d) shared by a slice, or (m, d, d) for m places."""

    rows: slice | NDArray[np.intp]
    covariance: Floats
    """Of the state given all rows."""
    cross: Floats
    """Of the next row's state with this one's; without meaning at the last row of a segment."""


# --- linear recurrences ---------------------------------------------------------------------------


def scan(matrix: Floats, pushes: Floats, first: Floats) -> Floats:
    """Return h (n + 1, d) with h_0 = `first` and h_(t+1) = matrix h_t + pushes_t, (n, d).

    Short ones are summed by doubling: after j rounds each row holds its last 2^j pushes. Long ones
    are cut into about sqrt(n) lanes that advance side by side, once from zero to learn where each
    lane ends, and once more from where each really starts.
    """
    count, states = pushes.shape
    if count <= _DOUBLING_ROWS_MAX:
        return _doubled(matrix, np.concatenate([first[None], pushes]))
    result = np.empty((count + 1, states))
    result[0] = first
    length = math.isqrt(count)
    lanes = count // length
    whole = lanes * length
    folded = np.ascontiguousarray(pushes[:whole].reshape(lanes, length, states).swapaxes(0, 1))
    state = np.zeros((lanes, states))
    for push in folded:
        state = state @ matrix.T + push
    starts = np.empty((lanes, states))
    starts[0] = first
    leap = np.linalg.matrix_power(matrix, length)
    for lane in range(1, lanes):
        starts[lane] = leap @ starts[lane - 1] + state[lane - 1]
    advanced = np.empty((length, lanes, states))
    for index, push in enumerate(folded):
        starts = starts @ matrix.T + push
        advanced[index] = starts
    result[1 : whole + 1] = advanced.swapaxes(0, 1).reshape(whole, states)
    for row in range(whole, count):
        result[row + 1] = matrix @ result[row] + pushes[row]
    return result


def _doubled(matrix: Floats, sums: Floats) -> Floats:
    """Return h_t = matrix h_(t-1) + push_t (n, d) from the pushes, which are overwritten."""
    power, reach = matrix.T, 1
    while reach < len(sums) and np.abs(power).max(initial=0.0) > _NEGLIGIBLE:
        sums[reach:] += sums[:-reach] @ power
        power, reach = power @ power, 2 * reach
    return sums


# --- forward --------------------------------------------------------------------------------------


def forward(transition: Floats, state_noise: Floats, start: Floats, runs: Sequence[Run]) -> Blocks:
    """Return the blocks of consecutive runs; the covariance before the first row is `start`."""
    found: list[tuple[Floats, Floats, Floats, Floats, Floats]] = []
    edges: list[int] = []
    covariance = start
    for run in runs:
        row = run.first
        while row < run.stop:
            resolvent, lifted, after = _updated(run.gram, covariance)
            found.append((covariance, after, run.gram, resolvent, lifted))
            edges.append(row)
            following = transition @ after @ transition.T + state_noise
            following = 0.5 * (following + following.T)
            row += 1
            if row < run.stop and _is_settled(covariance, following):
                row = run.stop
            covariance = following
    if not found:
        return Blocks([0], *(np.empty((0, *start.shape)) for _ in range(5)))
    covariances, updated, grams, resolvents, lifts = (
        np.array(each) for each in zip(*found, strict=True)
    )
    closed = np.repeat(transition[None], len(found), axis=0)
    closed[:, :, : grams.shape[-1]] -= transition @ lifts
    return Blocks([*edges, runs[-1].stop], covariances, updated, grams, resolvents, closed)


def _updated(gram: Floats, covariance: Floats) -> tuple[Floats, Floats, Floats]:
    """Return W, P_f W G and P+ of a row with predicted covariance (d, d) and gram (k, k)."""
    factors = len(gram)
    columns = covariance[:, :factors]
    resolvent = np.asarray(np.linalg.inv(np.eye(factors) + gram @ columns[:factors]), dtype=float)
    lifted = columns @ (resolvent @ gram)
    after = covariance - lifted @ columns.T
    return resolvent, lifted, 0.5 * (after + after.T)


def log_determinants(blocks: Blocks) -> Floats:
    """Return log det (I + G P_ff) for each row of the blocks, (n,)."""
    if len(blocks.edges) == 1:
        return np.zeros(0)
    return np.repeat(-np.linalg.slogdet(blocks.resolvents).logabsdet, blocks.lengths)


def _is_settled(before: Floats, after: Floats) -> bool:
    """Tell whether a covariance (d, d) hardly changes from one row to the next."""
    change = np.abs(after - before).max(initial=0.0)
    return bool(change <= _STEADY * np.abs(after).max(initial=0.0))


def forward_means(transition: Floats, blocks: Blocks, measured: Floats) -> Means:
    """Return the causal means of n rows.

    `measured` (n, k) is C' R^-1 y of the seen values of each row.
    """
    factors = measured.shape[1]
    columns = blocks.covariances[:, :, :factors]
    pushes = _by_block(blocks, transition @ columns @ blocks.resolvents, measured)
    predicted = np.empty((len(measured), len(transition)))
    state = np.zeros(len(transition))
    for index, (first, stop) in enumerate(pairwise(blocks.edges)):
        if stop - first == 1:
            predicted[first] = state
            state = blocks.closed[index] @ state + pushes[first]
        else:
            states = scan(blocks.closed[index], pushes[first:stop], state)
            predicted[first:stop], state = states[:-1], states[-1]
    innovation = measured - _by_block(blocks, blocks.grams, predicted[:, :factors])
    weights = _by_block(blocks, blocks.resolvents, innovation)
    return Means(predicted, predicted + _by_block(blocks, columns, weights), weights)


def _by_block(blocks: Blocks, matrices: Floats, vectors: Floats) -> Floats:
    """Return for every row its block's matrix (m, i, j) times the row's vector, (n, i).

    Blocks of one row are done all at once, longer ones by one product each.
    """
    result = np.empty((len(vectors), matrices.shape[1]))
    lengths = blocks.lengths
    single = np.flatnonzero(lengths == 1)
    rows = np.asarray(blocks.edges, dtype=np.intp)[single]
    result[rows] = (matrices[single] @ vectors[rows][:, :, None])[:, :, 0]
    for index in np.flatnonzero(lengths > 1).tolist():
        here = slice(blocks.edges[index], blocks.edges[index + 1])
        result[here] = vectors[here] @ matrices[index].T
    return result


# --- backward -------------------------------------------------------------------------------------


def backward_means(blocks: Blocks, causal: Means) -> Floats:
    """Return the smoothed means (n, d)."""
    predicted, _, weights = causal
    pushes = np.zeros_like(predicted)
    pushes[:, : weights.shape[1]] = weights
    adjoints = np.empty_like(predicted)
    state = np.zeros(predicted.shape[1])
    for index in range(len(blocks.edges) - 2, -1, -1):
        first, stop = blocks.edges[index], blocks.edges[index + 1]
        if stop - first == 1:
            adjoints[first] = state = state @ blocks.closed[index] + pushes[first]
        else:
            states = scan(blocks.closed[index].T, pushes[first:stop][::-1], state)
            adjoints[first:stop], state = states[:0:-1], states[-1]
    return predicted + _by_block(blocks, blocks.covariances, adjoints)


def backward_covariances(blocks: Blocks) -> list[Stretch]:
    """Return the smoothed covariances from the last row to the first, alike rows together."""
    if len(blocks.edges) == 1:
        return []
    places, spans, informations = _informations(blocks)
    here, closed = blocks.covariances[places], blocks.closed[places]
    # The last row has none that follows it; what stands there is not used.
    following = blocks.covariances[[places[0], *places[:-1]]]
    after, before = informations[:-1], informations[1:]
    moved = closed @ here
    crosses = moved - following @ (after @ moved)
    covariances = here - here @ before @ here
    covariances = 0.5 * (covariances + np.swapaxes(covariances, 1, 2))
    return [Stretch(*each) for each in zip(spans, covariances, crosses, strict=True)]


def _informations(blocks: Blocks) -> tuple[list[int], list[slice], Floats]:
    """Return blocks, rows and N (m + 1, d, d) of stretches from the last row to the first.

    The first N is that after the last row: nothing.
    """
    factors = blocks.grams.shape[-1]
    gained = np.zeros_like(blocks.covariances)
    gained[:, :factors, :factors] = blocks.resolvents @ blocks.grams
    found = [np.zeros_like(gained[0])]
    places: list[int] = []
    spans: list[slice] = []
    for index in range(len(gained) - 1, -1, -1):
        first, row = blocks.edges[index], blocks.edges[index + 1]
        closed = blocks.closed[index]
        is_new = True
        while row > first:
            before = gained[index] + closed.T @ found[-1] @ closed
            before = 0.5 * (before + before.T)
            is_steady = row - 1 > first and not is_new and _is_settled(found[-1], before)
            begin = first if is_steady else row - 1
            found.append(before)
            places.append(index)
            spans.append(slice(begin, row))
            row, is_new = begin, False
    return places, spans, np.array(found)
