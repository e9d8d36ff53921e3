"""Faults of the plant and not of a sensor: what the signals have in common has changed.

Four ways, each from a grid of onsets:

    step       y_t += C b 1(t >= onset),              b ~ N(0, v V)   along what is known to move
    pulse      y_t += C A^(t - onset) b,              b ~ N(0, v V)   a jump that dies away
    livelier   cov(x) grows by v Kx from the onset on                 the same, but more of it
    free       y_it += a_i s_t for a subset of signals, a_i ~ N(0, v), s a step or a ramp

V is the stationary covariance of the factors. "Free" is for a plant that does what it never did
before; the subset is grown one signal at a time by what each adds (a lower bound of the sum over
all subsets), and pays the number of subsets of its size. A subset of one signal is a process change
only as far as that signal has a life of its own: its weight is the share of its variance that the
other signals do not explain. So a sensor that nothing else confirms is never accused with
certainty.

Sources: Willsky and Jones (1976), II; Mitchell and Beauchamp (1988), Bayesian variable selection,
for spike and slab; forward selection by conditional gain as in Chen, Cowan and Grant (1991).
"""

import math
from typing import Final, NamedTuple

import numpy as np
from scipy.special import gammaln

from gateway.models.hypotheses_additive import (
    BIAS_ROWS_MIN,
    SIZE_WEIGHTS,
    SIZES,
    Candidates,
    Ints,
    age_grid,
    age_weights,
    between,
    ratio,
)
from gateway.models.hypotheses_window import Floats, Window, factor_covariance
from gateway.models.state_space import stationary

_SIZES: Final = SIZES[:6]
_SIZE_WEIGHTS: Final = SIZE_WEIGHTS[:6] / SIZE_WEIGHTS[:6].sum()
_WAYS: Final = {"step": 0.25, "pulse": 0.15, "livelier": 0.15, "free": 0.45}
_SUBSET_MAX: Final = 8
_SHORTLIST: Final = 48
"""Signals that are tried in subsets: those that gain most by themselves."""
_ALONE: Final = 0.25
"""Weight of a subset of one signal that nothing else explains."""
_LIVELIER_STRIDE: Final = 3
"""Every how many of the onsets a livelier process is tried from."""


class Changed(NamedTuple):
    """Which signals a process change moves most, and how far; in healthy deviations."""

    signals: tuple[int, ...]
    sizes: tuple[float, ...]


_NOTHING: Final = Changed((), ())


class _Common(NamedTuple):
    """What every onset needs of a window."""

    prior: Floats
    """(k, k): V."""
    gram: Floats
    """(n, k, n, k): B' K^-1 B for B the loadings at every row."""
    pulled: Floats
    """(n, k): B' K^-1 r."""


def process(window: Window) -> tuple[Candidates, Changed]:
    """Return the process changes of a window, and what the likeliest free one moves."""
    rows = window.values.shape[1]
    ages = age_grid(rows, BIAS_ROWS_MIN)
    found: dict[int, tuple[Floats, Changed]] = {}
    if len(ages):
        common = _common(window)
        found = {int(age): _at(window, common, int(age)) for age in ages}
        best = max(found, key=lambda age: float(found[age][0].max()))
        for age in between(ages, best):
            found[age] = _at(window, common, age)
        ages = np.array(sorted(found))
        parts = [
            (found[int(age)][0] + weight, int(age))
            for age, weight in zip(ages, np.log(age_weights(ages, rows)), strict=True)
        ]
        parts += _livelier(window, common)
    else:
        parts = [(np.zeros(0), 0)]
    likelihood = np.concatenate([part for part, _ in parts])
    age_of = np.concatenate([np.full(len(part), float(age)) for part, age in parts])
    size = np.full((1, len(likelihood)), np.nan)
    top = max(found.values(), key=lambda each: float(each[0].max()), default=(size, _NOTHING))
    return Candidates("process", (None,), likelihood[None], size, size, age_of[None]), top[1]


def _at(window: Window, common: _Common, age: int) -> tuple[Floats, Changed]:
    """Return log ratios of all ways but the livelier one that begin `age` rows ago."""
    rows = window.values.shape[1]
    step = _moments(window, _flat(rows, age))
    flat, by_step = _free(window, *step)
    ramp, by_ramp = _free(window, *_moments(window, _ramp(rows, age)))
    free = math.log(_WAYS["free"] / 2)
    ways = [_step(window, common, *step), _pulse(window, common, age), flat + free, ramp + free]
    return np.concatenate(ways), by_step if flat.max() >= ramp.max() else by_ramp


def _flat(rows: int, age: int) -> Floats:
    """Return a step (rows,) `age` rows ago."""
    return (np.arange(rows) >= rows - age).astype(np.float64)


def _ramp(rows: int, age: int) -> Floats:
    """Return a ramp (rows,) from `age` rows ago that ends at one."""
    return np.maximum(0.0, (np.arange(rows) - rows + age + 1) / age)


def _step(window: Window, common: _Common, information: Floats, score: Floats) -> Floats:
    """Return log ratios (sizes,) of a step of the factors; moments of a step of the signals in."""
    current = window.law.state_space.current
    inner = current.T @ information @ current
    return _along(window, common, inner, current.T @ score, "step")


def _pulse(window: Window, common: _Common, age: int) -> Floats:
    """Return log ratios (sizes,) of a jump of the factors that the dynamics then carry on."""
    space = window.law.state_space
    rows, factors = common.pulled.shape
    if not factors or not np.any(space.transition):
        return np.zeros(0)
    moved = np.zeros((age, factors, factors))
    power = np.eye(len(space.transition))
    for row in range(age):
        moved[row] = power[:factors, :factors]
        power = space.transition @ power
    flat = moved.reshape(age * factors, factors)
    block = common.gram[rows - age :, :, rows - age :].reshape(age * factors, age * factors)
    score = flat.T @ common.pulled[rows - age :].reshape(-1)
    return _along(window, common, flat.T @ block @ flat, score, "pulse")


def _along(window: Window, common: _Common, information: Floats, score: Floats, way: str) -> Floats:
    """Return log ratios of b ~ N(0, v V) with information (k, k) and score (k,), for every v."""
    factors = len(score)
    if not factors:
        return np.zeros(0)
    prior = common.prior
    lower = np.linalg.cholesky(prior + 1e-9 * np.trace(prior) * np.eye(factors))
    values, vectors = np.linalg.eigh(lower.T @ information @ lower)
    turned = vectors.T @ (lower.T @ score)
    return _spectral(window, np.maximum(values, 0.0), turned) + math.log(_WAYS[way])


def _spectral(window: Window, values: Floats, turned: Floats) -> Floats:
    """Return log ratios (sizes,) from eigenvalues and scores along eigenvectors."""
    grown = 1.0 + _SIZES[:, None] ** 2 * values
    gain = (_SIZES[:, None] ** 2 * turned**2 / grown).sum(axis=1)
    result: Floats = ratio(window, gain, np.log(grown).sum(axis=1)) + np.log(_SIZE_WEIGHTS)
    return result


def _livelier(window: Window, common: _Common) -> list[tuple[Floats, int]]:
    """Return log ratios of factors that move more, for a few onsets."""
    rows, factors = common.pulled.shape
    ages = age_grid(rows, BIAS_ROWS_MIN)[-1::-_LIVELIER_STRIDE][::-1]
    if not factors:
        return []
    among = factor_covariance(window.law, rows)
    result = []
    for age, weight in zip(ages, age_weights(ages, rows), strict=True):
        size = age * factors
        covariance = among[rows - age :, :, rows - age :].reshape(size, size)
        jitter = 1e-9 * float(np.trace(covariance)) / size
        lower = np.linalg.cholesky(covariance + jitter * np.eye(size))
        block = common.gram[rows - age :, :, rows - age :].reshape(size, size)
        values, vectors = np.linalg.eigh(lower.T @ block @ lower)
        turned = vectors.T @ (lower.T @ common.pulled[rows - age :].reshape(size))
        found = _spectral(window, np.maximum(values, 0.0), turned)
        result.append((found + math.log(_WAYS["livelier"] * weight), int(age)))
    return result


def _common(window: Window) -> _Common:
    """Return B' K^-1 B and B' K^-1 r; with Q = sum_i R_i (x) C_i C_i' the first is Q - Q W Q."""
    current = window.law.state_space.current
    factors = current.shape[1]
    plain = np.einsum("its,if,ig->tfsg", window.own_precision, current, current, optimize=True)
    size = plain.shape[0] * factors
    flat = plain.reshape(size, size)
    gram = flat - flat @ window.coupling.reshape(size, size) @ flat
    prior = stationary(window.law.state_space)[:factors, :factors]
    return _Common(prior, gram.reshape(plain.shape), window.weighted.T @ current)


def _moments(window: Window, shape: Floats) -> tuple[Floats, Floats]:
    """Return G (u, u) and g (u,) of one signature (n,) that any signal may follow.

    G_ij = s' (K^-1)_ij s = [i = j] s' R_i s - (C_i (x) R_i s)' W (C_j (x) R_j s).
    """
    current = window.law.state_space.current
    reached = window.own_precision @ shape
    carried = (reached[:, :, None] * current[:, None, :]).reshape(len(current), -1)
    size = carried.shape[1]
    information = np.diag(reached @ shape)
    information = information - carried @ window.coupling.reshape(size, size) @ carried.T
    return information, window.weighted @ shape


def _free(window: Window, information: Floats, score: Floats) -> tuple[Floats, Changed]:
    """Return log ratios of growing subsets that follow one signature, and what the best one moves.

    G (u, u) and g (u,) in. Adding signal j with variance v changes K by v s_j s_j', hence G and g
    by one outer product. All sizes grow side by side.
    """
    spread = window.law.spread
    information = information * spread * spread[:, None]
    score = score * spread
    gains = score**2 / np.maximum(np.diag(information), 1e-300)
    chosen = np.argsort(-gains, kind="stable")[:_SHORTLIST]
    information, score = information[np.ix_(chosen, chosen)], score[chosen]
    gain, determinant, order = _grow(information, score)
    own_share = (window.law.state_space.noise / spread**2)[chosen[order[:, 0]]]
    prior = _subset_weights(len(spread), order.shape[1], own_share)
    likelihood = ratio(window, gain, determinant) + prior + np.log(_SIZE_WEIGHTS)[:, None]
    size, last = divmod(int(np.argmax(likelihood)), likelihood.shape[1])
    members = order[size, : last + 1]
    inner = information[np.ix_(members, members)] + np.eye(last + 1) / _SIZES[size] ** 2
    means = np.linalg.solve(inner, score[members])
    top = Changed(tuple(int(m) for m in chosen[members]), tuple(float(m) for m in means))
    return likelihood.reshape(-1), top


def _grow(information: Floats, score: Floats) -> tuple[Floats, Floats, Ints]:
    """Return gain, log determinant and newest member (sizes, m) of subsets of 1, 2, ... signals."""
    variance = _SIZES[:, None] ** 2
    every = np.arange(len(_SIZES))
    information = np.tile(information, (len(_SIZES), 1, 1))
    score = np.tile(score, (len(_SIZES), 1))
    count = min(_SUBSET_MAX, score.shape[1])
    gain, determinant = np.zeros((len(_SIZES), count)), np.zeros((len(_SIZES), count))
    order = np.zeros((len(_SIZES), count), dtype=np.int64)
    is_in = np.zeros(score.shape, dtype=bool)
    for turn in range(count):
        grown = 1.0 + variance * np.maximum(np.diagonal(information, axis1=1, axis2=2), 0.0)
        adds = np.where(is_in, -np.inf, variance * score**2 / grown - np.log(grown))
        best = np.argmax(adds, axis=1)
        is_in[every, best] = True
        order[:, turn] = best
        factor = variance[:, 0] / grown[every, best]
        column = information[every, :, best]
        pull = score[every, best]
        gain[:, turn] = factor * pull**2
        determinant[:, turn] = np.log(grown[every, best])
        score = score - column * (factor * pull)[:, None]
        information = information - factor[:, None, None] * column[:, :, None] * column[:, None, :]
    return np.cumsum(gain, axis=1), np.cumsum(determinant, axis=1), order


def _subset_weights(signals: int, largest: int, own_share: Floats) -> Floats:
    """Return log priors (sizes, largest) of one subset of 1, 2, ... out of `signals` signals."""
    counts = np.arange(1, largest + 1)
    mass = np.tile(1.0 / counts, (len(own_share), 1))
    mass[:, 0] = _ALONE * own_share
    total = (1.0 / counts).sum()
    choices = gammaln(signals + 1) - gammaln(counts + 1) - gammaln(signals - counts + 1)
    result: Floats = np.log(mass / total) - choices
    return result
