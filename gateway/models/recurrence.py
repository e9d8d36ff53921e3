"""Passes of the Kalman filter and smoother over many rows, cut where the matrices stay the same.

The covariances of a linear-Gaussian model do not depend on the values, only on which of them are
missing. Within a run of rows with one pattern they converge, and from then on one set of matrices
serves all the rest of the run: a `Block`. Over a block the means are a linear recurrence with
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
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STEADY: Final = 1e-10
"""Relative change from one row to the next below which a covariance is said to have converged."""
_SCAN_ROWS_MIN: Final = 32
"""A shorter recurrence is done row by row: setting up lanes would cost more."""


class Run(NamedTuple):
    """Rows first..stop - 1, in which the same signals are seen with the same noise."""

    first: int
    stop: int
    gram: Floats
    """(k, k): G = C' R^-1 C of the seen signals."""


class Block(NamedTuple):
    """Rows first..stop - 1 that share one set of matrices."""

    first: int
    stop: int
    covariance: Floats
    """(d, d): P, predicted."""
    after: Floats
    """(d, d): P+, updated."""
    gram: Floats
    """(k, k): G."""
    resolvent: Floats
    """(k, k): W."""
    closed: Floats
    """(d, d): L, from one predicted error to the next."""


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

    Long ones are cut into about sqrt(n) lanes that advance side by side, once from zero to learn
    where each lane ends, and once more from where each really starts.
    """
    count, states = pushes.shape
    result = np.empty((count + 1, states))
    result[0] = first
    length = math.isqrt(count) if count >= _SCAN_ROWS_MIN else 1
    lanes = count // length
    whole = lanes * length
    if length > 1:
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
    for row in range(whole if length > 1 else 0, count):
        result[row + 1] = matrix @ result[row] + pushes[row]
    return result


# --- forward --------------------------------------------------------------------------------------


def forward(
    transition: Floats, state_noise: Floats, start: Floats, runs: Sequence[Run]
) -> list[Block]:
    """Return the blocks of consecutive runs; the covariance before the first row is `start`."""
    blocks: list[Block] = []
    covariance = start
    for run in runs:
        row = run.first
        while row < run.stop:
            block = _block(transition, run.gram, covariance, row)
            following = transition @ block.after @ transition.T + state_noise
            following = 0.5 * (following + following.T)
            row += 1
            if row < run.stop and _is_settled(covariance, following):
                row = run.stop
                block = block._replace(stop=row)
            blocks.append(block)
            covariance = following
    return blocks


def _block(transition: Floats, gram: Floats, covariance: Floats, row: int) -> Block:
    """Return the block of one row with predicted covariance (d, d) and gram (k, k)."""
    factors = len(gram)
    columns = covariance[:, :factors]
    inner = np.eye(factors) + gram @ columns[:factors]
    resolvent = np.asarray(np.linalg.inv(inner), dtype=np.float64)
    lifted = columns @ (resolvent @ gram)
    after = covariance - lifted @ columns.T
    closed = transition.copy()
    closed[:, :factors] -= transition @ lifted
    return Block(row, row + 1, covariance, 0.5 * (after + after.T), gram, resolvent, closed)


def log_determinants(blocks: Sequence[Block]) -> Floats:
    """Return log det (I + G P_ff) for each row of the blocks, (n,)."""
    if not blocks:
        return np.zeros(0)
    lengths = [block.stop - block.first for block in blocks]
    resolvents = np.array([block.resolvent for block in blocks])
    return np.repeat(-np.linalg.slogdet(resolvents).logabsdet, lengths)


def _is_settled(before: Floats, after: Floats) -> bool:
    """Tell whether a covariance (d, d) hardly changes from one row to the next."""
    change = np.abs(after - before).max(initial=0.0)
    return bool(change <= _STEADY * np.abs(after).max(initial=0.0))


def forward_means(transition: Floats, blocks: Sequence[Block], measured: Floats) -> Means:
    """Return the causal means of n rows.

    `measured` (n, k) is C' R^-1 y of the seen values of each row.
    """
    count, factors = measured.shape
    predicted = np.zeros((count + 1, len(transition)))
    updated = np.empty((count, len(transition)))
    weights = np.empty((count, factors))
    for block in blocks:
        here = slice(block.first, block.stop)
        lift = block.covariance[:, :factors]
        push = transition @ (lift @ block.resolvent)
        predicted[block.first : block.stop + 1] = scan(
            block.closed, measured[here] @ push.T, predicted[block.first]
        )
        innovation = measured[here] - predicted[here, :factors] @ block.gram
        weights[here] = innovation @ block.resolvent.T
        updated[here] = predicted[here] + weights[here] @ lift.T
    return Means(predicted[:count], updated, weights)


# --- backward -------------------------------------------------------------------------------------


def backward_means(blocks: Sequence[Block], causal: Means) -> Floats:
    """Return the smoothed means (n, d)."""
    predicted, _, weights = causal
    factors = weights.shape[1]
    means = np.empty_like(predicted)
    adjoint = np.zeros(predicted.shape[1])
    for block in reversed(blocks):
        pushes = np.zeros((block.stop - block.first, len(adjoint)))
        pushes[:, :factors] = weights[block.first : block.stop][::-1]
        adjoints = scan(block.closed.T, pushes, adjoint)
        adjoint = adjoints[-1]
        here = slice(block.first, block.stop)
        means[here] = predicted[here] + adjoints[1:][::-1] @ block.covariance
    return means


def backward_covariances(blocks: Sequence[Block]) -> Iterator[Stretch]:
    """Yield the smoothed covariances from the last row to the first, alike rows together."""
    if not blocks:
        return
    information = np.zeros_like(blocks[-1].covariance)
    following = information
    for block in reversed(blocks):
        factors = len(block.gram)
        gained = np.zeros_like(information)
        gained[:factors, :factors] = block.resolvent @ block.gram
        row = block.stop
        while row > block.first:
            before = gained + block.closed.T @ information @ block.closed
            before = 0.5 * (before + before.T)
            change = np.abs(before - information).max(initial=0.0)
            is_steady = following is block.covariance and change <= _STEADY * np.abs(before).max(
                initial=0.0
            )
            first = block.first if is_steady else row - 1
            cross = block.closed @ block.covariance
            cross -= following @ (information @ cross)
            covariance = block.covariance - block.covariance @ before @ block.covariance
            yield Stretch(slice(first, row), 0.5 * (covariance + covariance.T), cross)
            row, information, following = first, before, block.covariance
