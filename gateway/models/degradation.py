"""How a fleet wears out: exponential paths of a few fused signals, learnt from runs to failure.

    y_t = location + scale * (offset + C x_t + e_t),      e_t ~ N(0, diag(noise))
    x_t = a + b exp(-r_t / tau),                          r_t = rows left before the last one
    (a, b) | tau, kind ~ N(m_kind + n_kind (log tau - centre), S_kind)
    log tau | kind ~ N(mean_kind, deviation_kind^2),      kind ~ weights

Each unit has its own start (a), its own wear (b), its own time constant (tau), and is of one of a
few kinds (failure modes). A tau far beyond a life is a straight line, so lines and exponentials
are one family. Given tau and r everything is linear and Gaussian, so a unit enters only through

    sums over its rows of {1, y, y^2, f, f^2, f y},       f = exp(-age of the row / tau)

per signal and per tau of a grid: `Evidence`. It is exact for any pattern of missing values, costs
O(signals x grid) a row, forgets the rows themselves, and shifting r only scales f. What crosses
from one plant to another to learn a fleet is this evidence, never a row.

Promised: `expect` and `maximise` are one exact EM step up to the grid, on which the law of log tau
is a discretised Gaussian, and up to the floors on variances. Left to others: scaling, the choice
of factors and kinds, the law of remaining life (prognosis.py).

Sources: Gebraeel, Lawley, Li and Ryan (2005), Residual-life distributions from component
degradation signals, IIE Transactions 37, section 2 (exponential path, Bayesian unit parameters);
Lu and Meeker (1993), Technometrics 35 (random-coefficient paths); Rubin and Thayer (1982) (EM).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NOISE_MIN: Final = 1e-3
"""Least own noise of a signal of unit variance; keeps the information finite."""
_RIDGE: Final = 1e-4
"""Least population variance of a coefficient, relative to the mean one."""
_DEGREES_MIN: Final = 3.0
"""Least degrees of freedom whose Student law has a covariance, with some room."""
_LOG_TWO_PI: Final = float(np.log(2.0 * np.pi))


class Evidence(NamedTuple):
    """What the rows of one unit say, newest row at age 0; s scaled signals, g time constants."""

    seen: Floats
    """(s,): number of values seen."""
    total: Floats
    """(s,): their sum."""
    square: Floats
    """(s,): sum of their squares."""
    weight: Floats
    """(s, g): sum of f over the rows where the signal was seen."""
    weight_square: Floats
    """(s, g): sum of f^2."""
    product: Floats
    """(s, g): sum of f y."""


class Kind(NamedTuple):
    """Population of one failure mode; c = 2 * factors coefficients (all a, then all b)."""

    weight: float
    regression: Floats
    """(2, c): mean of the coefficients at the centre, and its change per unit of log tau."""
    covariance: Floats
    """(c, c): of the coefficients between units of the same tau."""
    log_rate: float
    """Mean of log tau (tau in rows)."""
    log_rate_deviation: float


class Degradation(NamedTuple):
    """The fleet: s scaled signals, k factors, g time constants."""

    offset: Floats
    """(s,)."""
    loadings: Floats
    """(s, k)."""
    noise: Floats
    """(s,): own variance of each signal."""
    kinds: tuple[Kind, ...]
    taus: Floats
    """(g,): grid of time constants in rows, geometric."""
    centre: float
    """Log tau at which `regression[0]` holds."""


class Fit(NamedTuple):
    """A fleet and the log-likelihood of all runs before each step of EM."""

    model: Degradation
    log_likelihoods: tuple[float, ...]


def no_evidence(signals: int, taus: Floats) -> Evidence:
    """Return the evidence of a unit of which nothing was seen yet."""
    narrow, wide = np.zeros(signals), np.zeros((signals, len(taus)))
    return Evidence(narrow, narrow, narrow, wide, wide, wide)


def observe(evidence: Evidence, row: Floats, taus: Floats) -> Evidence:
    """Return the evidence after one more scaled row (s,); NaN is missing, a row ages the others."""
    seen = np.isfinite(row)
    mask = seen.astype(np.float64)
    value = np.where(seen, row, 0.0)
    decay = np.exp(-1.0 / taus)
    return Evidence(
        evidence.seen + mask,
        evidence.total + value,
        evidence.square + value**2,
        evidence.weight * decay + mask[:, None],
        evidence.weight_square * decay**2 + mask[:, None],
        evidence.product * decay + value[:, None],
    )


def gather(rows: Floats, taus: Floats) -> Evidence:
    """Return the evidence of scaled rows (n, s): what `observe` says row by row."""
    seen = np.isfinite(rows)
    mask = seen.astype(np.float64)
    values = np.where(seen, rows, 0.0)
    fade = np.exp(-np.arange(len(rows))[::-1, None] / taus)
    return Evidence(
        mask.sum(axis=0),
        values.sum(axis=0),
        (values**2).sum(axis=0),
        np.einsum("ns,ng->sg", mask, fade),
        np.einsum("ns,ng->sg", mask, fade**2),
        np.einsum("ns,ng->sg", values, fade),
    )


def infer(model: Degradation, evidence: Evidence, remaining: Floats) -> Floats:
    """Return the log joint density (h, kinds, g) of evidence, kind and tau.

    One row for each remaining life in `remaining` (h,), in rows; the unit's coefficients are
    integrated out.
    """
    information, score = _information(model, evidence)
    factors = model.loadings.shape[1]
    fade = np.exp(-remaining[:, None] / model.taus)
    factor = np.concatenate(
        [np.ones((*fade.shape, factors)), np.repeat(fade[..., None], factors, axis=2)], axis=2
    )
    information = information * (factor[..., :, None] * factor[..., None, :])
    score = score * factor
    parts = [_of_kind(model, kind, information, score)[0] for kind in model.kinds]
    log_weight: Floats = np.stack(parts, axis=1) + _log_noise(model, evidence)
    return log_weight


def log_tau_weights(model: Degradation, kind: Kind) -> Floats:
    """Return the log probability of each time constant of the grid (g,) for a kind."""
    logs = -0.5 * ((np.log(model.taus) - kind.log_rate) / kind.log_rate_deviation) ** 2
    weights: Floats = logs - np.logaddexp.reduce(logs)
    return weights


def coefficient_means(model: Degradation, kind: Kind) -> Floats:
    """Return the population mean of the coefficients (g, c) at each time constant."""
    means: Floats = _design(model) @ kind.regression
    return means


def fit(model: Degradation, runs: Sequence[Evidence], iterations: int, tolerance: float) -> Fit:
    """Improve `model` by EM on runs that ended in failure.

    Stops once a step gains less than `tolerance` (nats per run). Raises nothing: too little data
    shows in held-out likelihood, which is the caller's to look at.
    """
    history: list[float] = []
    for _ in range(iterations):
        model, log_likelihood = step(model, runs)
        history.append(log_likelihood)
        if len(history) > 1 and history[-1] - history[-2] < tolerance * len(runs):
            break
    return Fit(model, tuple(history))


def step(model: Degradation, runs: Sequence[Evidence]) -> tuple[Degradation, float]:
    """Make one step of EM; return the new fleet and the log-likelihood under the old one."""
    parts = [_information(model, run) for run in runs]
    information, score = (np.stack(part) for part in zip(*parts, strict=True))
    of_kinds = [_of_kind(model, kind, information, score) for kind in model.kinds]
    log_weight, mean, precision = (np.stack(part, axis=1) for part in zip(*of_kinds, strict=True))
    totals = np.logaddexp.reduce(log_weight.reshape(len(runs), -1), axis=1)
    weight = np.exp(log_weight - totals[:, None, None])
    log_likelihood = float(totals.sum()) + sum(_log_noise(model, run) for run in runs)
    second = np.linalg.inv(precision)
    second = second + mean[..., :, None] * mean[..., None, :]
    kinds = tuple(
        _population(model, weight[:, place], mean[:, place], second[:, place])
        for place in range(len(model.kinds))
    )
    offset, loadings, noise = _signals(
        runs, np.einsum("nkg,nkgc->ngc", weight, mean), np.einsum("nkg,nkgcd->ngcd", weight, second)
    )
    return model._replace(
        offset=offset, loadings=loadings, noise=noise, kinds=kinds
    ), log_likelihood


def for_new_unit(model: Degradation, runs: int) -> Degradation:
    """Return the fleet as it predicts a unit that was not among the `runs` it was learnt from.

    The coefficients of such a unit are Student distributed, since their mean and covariance were
    estimated (Gelman and others 2013, Bayesian Data Analysis, section 14.2, flat prior): a kind
    learnt from m units by 2 regressors has m - c - 1 degrees of freedom. Here the Gaussian of the
    same covariance stands for it, so few units mean wide answers.
    """
    kinds = []
    for kind in model.kinds:
        units = kind.weight * runs
        degrees = max(units - len(kind.covariance) - 1.0, _DEGREES_MIN)
        widening = units / (degrees - 2.0) * (1.0 + 1.0 / units)
        kinds.append(kind._replace(covariance=max(widening, 1.0) * kind.covariance))
    return model._replace(kinds=tuple(kinds))


def _design(model: Degradation) -> Floats:
    """Return [1, log tau - centre], (g, 2)."""
    logs = np.log(model.taus) - model.centre
    return np.stack([np.ones_like(logs), logs], axis=1)


def _information(model: Degradation, evidence: Evidence) -> tuple[Floats, Floats]:
    """Return information (g, c, c) and score (g, c) of the coefficients at remaining life 0."""
    loadings = model.loadings
    scaled = loadings / model.noise[:, None]
    total = evidence.total - model.offset * evidence.seen
    product = evidence.product - model.offset[:, None] * evidence.weight
    level = np.einsum("sa,s,sb->ab", scaled, evidence.seen, loadings)
    cross = np.einsum("sa,sg,sb->gab", scaled, evidence.weight, loadings)
    wear = np.einsum("sa,sg,sb->gab", scaled, evidence.weight_square, loadings)
    level = np.broadcast_to(level, cross.shape)
    top, bottom = np.concatenate([level, cross], axis=2), np.concatenate([cross, wear], axis=2)
    flat = np.broadcast_to(total @ scaled, (len(model.taus), loadings.shape[1]))
    return (
        np.concatenate([top, bottom], axis=1),
        np.concatenate([flat, product.T @ scaled], axis=1),
    )


def _of_kind(
    model: Degradation, kind: Kind, information: Floats, score: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return log weight (h, g), mean (h, g, c) and precision (h, g, c, c) under one kind."""
    means = coefficient_means(model, kind)
    prior = np.linalg.inv(kind.covariance)
    _, log_prior = np.linalg.slogdet(kind.covariance)
    precision: Floats = information + prior
    push: Floats = score + means @ prior
    mean: Floats = np.linalg.solve(precision, push[..., None])[..., 0].astype(np.float64)
    diagonal = np.diagonal(np.linalg.cholesky(precision), axis1=-2, axis2=-1)
    fit_of_prior = np.einsum("gc,cd,gd->g", means, prior, means)
    quadratic = 0.5 * ((mean * push).sum(axis=-1) - fit_of_prior - float(log_prior))
    weights = float(np.log(kind.weight)) + log_tau_weights(model, kind)
    log_weight: Floats = quadratic - np.log(diagonal).sum(axis=-1) + weights
    return log_weight, mean, precision


def _log_noise(model: Degradation, evidence: Evidence) -> float:
    """Return the part of the log-likelihood that no latent changes."""
    square = evidence.square - 2.0 * model.offset * evidence.total + model.offset**2 * evidence.seen
    logs = evidence.seen * (_LOG_TWO_PI + np.log(model.noise)) + square / model.noise
    return float(-0.5 * logs.sum())


def _population(model: Degradation, weight: Floats, mean: Floats, second: Floats) -> Kind:
    """Return the kind that explains coefficients of n runs: weight (n, g), mean, second moment."""
    design = _design(model)
    per_tau = weight.sum(axis=0)
    mass = max(float(per_tau.sum()), 1e-12)
    outer = np.einsum("g,gi,gj->ij", per_tau, design, design) + 1e-9 * np.eye(2)
    cross = np.einsum("ng,gi,ngc->ic", weight, design, mean)
    regression = np.linalg.solve(outer, cross)
    spread = np.einsum("ng,ngcd->cd", weight, second)
    explained = regression.T @ cross
    covariance = (spread - explained - explained.T + regression.T @ outer @ regression) / mass
    ridge = _RIDGE * float(np.trace(covariance)) / len(covariance)
    covariance = 0.5 * (covariance + covariance.T) + max(ridge, 1e-9) * np.eye(len(covariance))
    logs = np.log(model.taus)
    log_rate = float(per_tau @ logs) / mass
    variance = float(per_tau @ (logs - log_rate) ** 2) / mass
    grid_step = float(logs[1] - logs[0])
    share = max(mass / float(len(weight)), 1e-6)
    return Kind(share, regression, covariance, log_rate, max(variance**0.5, grid_step))


def _signals(
    runs: Sequence[Evidence], mean: Floats, second: Floats
) -> tuple[Floats, Floats, Floats]:
    """Regress every signal on the factors: offset (s,), loadings (s, k), noise (s,).

    `mean` (n, g, c) and `second` (n, g, c, c) carry the weight of each tau; they sum over g to
    the moments of a run's coefficients.
    """
    factors = mean.shape[2] // 2
    count = np.stack([run.seen for run in runs])
    weight = np.stack([run.weight for run in runs])
    weight_square = np.stack([run.weight_square for run in runs])
    total = np.stack([run.total for run in runs])
    product = np.stack([run.product for run in runs])
    start, wear = mean[..., :factors], mean[..., factors:]
    mixed = second[..., :factors, factors:]
    outer = np.einsum("ns,ngab->sab", count, second[..., :factors, :factors])
    outer += np.einsum("nsg,ngab->sab", weight, mixed + np.swapaxes(mixed, 2, 3))
    outer += np.einsum("nsg,ngab->sab", weight_square, second[..., factors:, factors:])
    first = np.einsum("ns,nga->sa", count, start) + np.einsum("nsg,nga->sa", weight, wear)
    cross = np.einsum("ns,nga->sa", total, start) + np.einsum("nsg,nga->sa", product, wear)
    signals, seen = len(outer), count.sum(axis=0)
    left = np.empty((signals, factors + 1, factors + 1))
    left[:, 0, 0] = seen
    left[:, 0, 1:] = left[:, 1:, 0] = first
    left[:, 1:, 1:] = outer
    right = np.concatenate([total.sum(axis=0)[:, None], cross], axis=1)
    solution = np.linalg.solve(left + 1e-9 * np.eye(factors + 1), right[..., None])[..., 0]
    square = np.stack([run.square for run in runs]).sum(axis=0)
    noise = np.maximum((square - (solution * right).sum(axis=1)) / seen, NOISE_MIN)
    return solution[:, 0], solution[:, 1:], noise
