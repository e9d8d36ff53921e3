"""Passes of the Kalman filter and smoother over rows whose pattern of gaps keeps changing.

Every row then has matrices of its own (recurrence.py has the equations and the case of few). They
depend on each other, one row on the next, so the rows are cut into lanes that are gone through side
by side, and a whole step of all lanes is a handful of products of stacked matrices. Where a lane
starts is found first, exactly: a lane gone through from P = 0 leaves C, the leap F, which is the
product of its L, and J, the sum of F_t' H_t F_t; from any other start S the same lane leads to

    P' = C + F S (I + J S)^-1 F',     leap F (I + S J)^-1,     information (I + J S)^-1 J

so one short pass from lane to lane gives every true start. The means are linear: each lane is gone
through from zero, the leaps carry what was before, and then from where it really starts.

Segments, each with its own start, are cut into lanes together. Nothing here waits for convergence,
so how slowly a model forgets does not matter; the order of work depends on the rows only.

Left to others: what the signals are, and when lanes pay (state_space.py).
Sources: Kailath, Sayed and Hassibi, Linear Estimation (2000), 17.6, for the change of the start;
Sarkka and Garcia-Fernandez (2021), Temporal parallelization of Bayesian smoothers, for the idea.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.models.recurrence import Means, Stretch

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

_ROWS_MIN: Final = 16
"""Of a lane; shorter ones cost more in between than they save."""


class Lanes(NamedTuple):
    """Consecutive pieces of consecutive segments, b in number."""

    firsts: Places
    """(b,): first row."""
    stops: Places
    """(b,): row after the last one."""
    is_first: NDArray[np.bool_]
    """(b,): whether a segment begins with it."""
    steps: tuple[tuple[Places | slice, Places], ...]
    """For each step the lanes that are long enough, and their rows."""


class Passage(NamedTuple):
    """The matrices of n rows in b lanes."""

    lanes: Lanes
    covariances: Floats
    """(n, d, d): P, predicted."""
    grams: Floats
    """(n, k, k): G."""
    resolvents: Floats
    """(n, k, k): W."""
    closed: Floats
    """(n, d, d): L."""
    leaps: Floats
    """(b, d, d): product of the L of a lane."""
    gathered: Floats
    """(b, d, d): information of a lane's rows about its first state, J."""


class _Step(NamedTuple):
    """What one row of each lane does; arrays (lanes, ...)."""

    resolvent: Floats
    gained: Floats
    """(b, k, k): H."""
    closed: Floats
    following: Floats
    """(b, d, d): P of the next row."""


def cut(lengths: Sequence[int]) -> Lanes:
    """Cut segments of so many rows (at least 1 each) into lanes of about equally many."""
    wanted = max(_ROWS_MIN, math.isqrt(sum(lengths) // 2))
    edges, is_first, begin = [], [], 0
    for length in lengths:
        count = -(-length // wanted)
        edges.append(begin + np.arange(count) * length // count)
        is_first.append(np.arange(count) == 0)
        begin += length
    firsts = np.concatenate(edges).astype(np.intp)
    stops = np.append(firsts[1:], begin)
    steps: list[tuple[Places | slice, Places]] = []
    for step in range(int((stops - firsts).max())):
        places = np.flatnonzero(stops - firsts > step)
        steps.append((slice(None) if len(places) == len(firsts) else places, firsts[places] + step))
    return Lanes(firsts, stops, np.concatenate(is_first), tuple(steps))


# --- forward --------------------------------------------------------------------------------------


def forward(
    transition: Floats, state_noise: Floats, start: Floats, grams: Floats, lanes: Lanes
) -> Passage:
    """Return the matrices of n rows; every segment begins with the covariance `start` (d, d)."""
    count, states = len(grams), len(transition)
    state, leaps, gathered = _crossed(transition, state_noise, start, grams, lanes)
    passage = Passage(
        lanes,
        np.empty((count, states, states)),
        grams,
        np.empty_like(grams),
        np.empty((count, states, states)),
        leaps,
        gathered,
    )
    for places, rows in lanes.steps:
        here = state[places]
        passage.covariances[rows] = here
        step = _stepped(transition, state_noise, grams[rows], here)
        passage.resolvents[rows] = step.resolvent
        passage.closed[rows] = step.closed
        state[places] = step.following
    return passage


def _stepped(transition: Floats, state_noise: Floats, grams: Floats, covariances: Floats) -> _Step:
    """Take one row of each lane, grams (b, k, k), into predicted covariances (b, d, d)."""
    factors = grams.shape[-1]
    columns = covariances[:, :, :factors]
    inner = np.eye(factors) + grams @ columns[:, :factors]
    resolvent = np.asarray(np.linalg.inv(inner), dtype=np.float64)
    gained = resolvent @ grams
    closed = np.repeat(transition[None], len(grams), axis=0)
    closed[:, :, :factors] -= transition @ (columns @ gained)
    following = (closed @ covariances) @ transition.T + state_noise
    return _Step(resolvent, gained, closed, _symmetric(following))


def _crossed(
    transition: Floats, state_noise: Floats, start: Floats, grams: Floats, lanes: Lanes
) -> tuple[Floats, Floats, Floats]:
    """Return for every lane its first covariance, its leap and its information, (b, d, d) each."""
    states, count = len(transition), len(lanes.firsts)
    starts = np.repeat(start[None], count, axis=0)
    if lanes.is_first.all():
        return starts, np.zeros_like(starts), np.zeros_like(starts)
    ends, leaps, gathered = _crossed_from_zero(transition, state_noise, grams, lanes)
    identity = np.eye(states)
    for lane in np.flatnonzero(~lanes.is_first):
        before = starts[lane - 1]
        kept = np.linalg.solve(identity + gathered[lane - 1] @ before, leaps[lane - 1].T)
        starts[lane] = _symmetric(ends[lane - 1] + leaps[lane - 1] @ before @ kept)
    undone = np.linalg.inv(identity + gathered @ starts)
    return starts, leaps @ np.swapaxes(undone, 1, 2), _symmetric(undone @ gathered)


def _crossed_from_zero(
    transition: Floats, state_noise: Floats, grams: Floats, lanes: Lanes
) -> tuple[Floats, Floats, Floats]:
    """Return C, F and J, (b, d, d) each, of every lane gone through from P = 0."""
    factors = grams.shape[-1]
    ends = np.zeros((len(lanes.firsts), *transition.shape))
    leaps = np.repeat(np.eye(len(transition))[None], len(ends), axis=0)
    gathered = np.zeros_like(ends)
    for places, rows in lanes.steps:
        step = _stepped(transition, state_noise, grams[rows], ends[places])
        leap = leaps[places]
        top = leap[:, :factors]
        gathered[places] += np.swapaxes(top, 1, 2) @ (step.gained @ top)
        leaps[places] = step.closed @ leap
        ends[places] = step.following
    return ends, leaps, gathered


def forward_means(transition: Floats, passage: Passage, measured: Floats) -> Means:
    """Return the causal means of n rows; `measured` (n, k) is C' R^-1 y of the seen values."""
    lanes, factors = passage.lanes, measured.shape[1]
    columns = passage.covariances[:, :, :factors]
    lifted = _times(columns, _times(passage.resolvents, measured))
    after = _recurrence(lanes, passage.closed, lifted @ transition.T, passage.leaps)
    predicted = np.zeros_like(after)
    predicted[1:] = after[:-1]
    predicted[lanes.firsts[lanes.is_first]] = 0.0
    innovation = measured - _times(passage.grams, predicted[:, :factors])
    weights = _times(passage.resolvents, innovation)
    return Means(predicted, predicted + _times(columns, weights), weights)


def updated_covariances(passage: Passage) -> Floats:
    """Return P+ (n, d, d) = P - P_f H P_f'."""
    columns = passage.covariances[:, :, : passage.grams.shape[-1]]
    gained = passage.resolvents @ passage.grams
    return _symmetric(passage.covariances - (columns @ gained) @ np.swapaxes(columns, 1, 2))


def log_determinants(passage: Passage) -> Floats:
    """Return log det (I + G P_ff) for each row, (n,)."""
    result: Floats = -np.linalg.slogdet(passage.resolvents).logabsdet
    return result


# --- backward -------------------------------------------------------------------------------------


def backward_means(passage: Passage, causal: Means) -> Floats:
    """Return the smoothed means (n, d)."""
    predicted, _, weights = causal
    pushes = np.zeros_like(predicted)
    pushes[:, : weights.shape[1]] = weights
    turned, leaps = np.swapaxes(passage.closed, 1, 2), np.swapaxes(passage.leaps, 1, 2)
    adjoints = _recurrence(passage.lanes, turned, pushes, leaps, is_backward=True)
    return predicted + _times(passage.covariances, adjoints)


def backward_covariances(passage: Passage) -> Iterator[Stretch]:
    """Yield the smoothed covariances, one row of each lane at a time, last rows first."""
    lanes, factors = passage.lanes, passage.grams.shape[-1]
    information = _informations(passage)
    for places, rows in reversed(lanes.steps):
        covariance, closed = passage.covariances[rows], passage.closed[rows]
        pushed = information[places] @ closed
        before = np.swapaxes(closed, 1, 2) @ pushed
        before[:, :factors, :factors] += passage.resolvents[rows] @ passage.grams[rows]
        before = _symmetric(before)
        following = passage.covariances[np.minimum(rows + 1, len(passage.covariances) - 1)]
        cross = (closed - following @ pushed) @ covariance
        information[places] = before
        yield Stretch(rows, _symmetric(covariance - covariance @ before @ covariance), cross)


def _informations(passage: Passage) -> Floats:
    """Return N (b, d, d) of what follows each lane about the state right after it."""
    result = np.zeros_like(passage.leaps)
    is_first = passage.lanes.is_first
    for lane in range(len(result) - 2, -1, -1):
        if not is_first[lane + 1]:
            leap = passage.leaps[lane + 1]
            result[lane] = passage.gathered[lane + 1] + leap.T @ result[lane + 1] @ leap
    return result


# --- in lanes -------------------------------------------------------------------------------------


def _recurrence(
    lanes: Lanes, matrices: Floats, pushes: Floats, leaps: Floats, *, is_backward: bool = False
) -> Floats:
    """Return h_t = matrix_t h_before + push_t (n, d), from zero where a segment begins or ends."""
    steps = lanes.steps[::-1] if is_backward else lanes.steps
    states = np.zeros((len(lanes.firsts), pushes.shape[1]))
    result = np.empty_like(pushes)
    if not lanes.is_first.all():
        for places, rows in steps:
            states[places] = _times(matrices[rows], states[places]) + pushes[rows]
        states = _starts(lanes, states, leaps, is_backward=is_backward)
    for places, rows in steps:
        here = _times(matrices[rows], states[places]) + pushes[rows]
        states[places] = result[rows] = here
    return result


def _starts(lanes: Lanes, ends: Floats, leaps: Floats, *, is_backward: bool) -> Floats:
    """Return where each lane starts (b, d), given where it ends if it starts from zero."""
    starts = np.zeros_like(ends)
    joined = np.flatnonzero(~lanes.is_first)
    if is_backward:
        for lane in joined[::-1]:
            starts[lane - 1] = leaps[lane] @ starts[lane] + ends[lane]
    else:
        for lane in joined:
            starts[lane] = leaps[lane - 1] @ starts[lane - 1] + ends[lane - 1]
    return starts


def _times(matrices: Floats, vectors: Floats) -> Floats:
    """Return the products (n, i) of matrices (n, i, j) with vectors (n, j)."""
    result: Floats = (matrices @ vectors[:, :, None])[:, :, 0]
    return result


def _symmetric(matrices: Floats) -> Floats:
    """Return the symmetric part of each matrix."""
    result: Floats = 0.5 * (matrices + np.swapaxes(matrices, -1, -2))
    return result
