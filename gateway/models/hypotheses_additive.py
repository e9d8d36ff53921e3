"""Faults that add something to one signal: bias, drift, spike, noise.

Under the hypothesis the i-th signal is y_i + s delta, with a signature s (n,) of the fault's onset
and a size delta ~ N(0, v). With P_i and z_i of the window (hypotheses_window.py),

    G = s' P_i s,   g = s' z_i
    log det K' = log det K + log(1 + v G),    distance' = distance - v g^2 / (1 + v G)
    delta | rows ~ N(v g / (1 + v G), v / (1 + v G))

so the size is integrated out exactly, and v is averaged over a grid. Noise adds v on the diagonal
from its onset on: the same with the eigenvalues of the block of P_i. Onsets are weighed by
1 / age: no time scale is preferred; one more unit of weight stands for "before the window".

A step of one row is a spike until more rows say otherwise: each cause has a least age.

Sources: Willsky and Jones (1976), A generalized likelihood ratio approach to the detection and
estimation of jumps, II-III; Kass and Raftery (1995), Bayes factors, for integrating out.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.models.hypotheses_window import Floats, Window, log_density

Ints = NDArray[np.int64]

SIZES: Final = np.array([0.5, 1.5, 5.0, 15.0, 50.0, 5e2, 5e3, 5e4, 5e5])
"""Standard deviations of a size before anything is seen, in healthy deviations of the signal."""
SIZE_WEIGHTS: Final = np.array([1.0, 1.0, 1.0, 1.0, 0.5, 0.1, 0.1, 0.1, 0.1]) / 4.9
BIAS_ROWS_MIN: Final = 3
DRIFT_ROWS_MIN: Final = 6
NOISE_ROWS_MIN: Final = 6
_OLDER: Final = (1.5, 2.0, 4.0)
"""A drift may have begun before the window: so many window lengths ago."""
_SPIKE_WIDTHS: Final = ((1, 0.7), (2, 0.3))
_AGES: Final = 12


class Candidates(NamedTuple):
    """One cause in g places (signals, or none of them), each in m variants of onset and size."""

    cause: str
    signals: tuple[int | None, ...]
    """(g,)."""
    log_likelihood: Floats
    """(g, m): log density of the window over that under "all is well", weight of the variant in."""
    size: Floats
    """(g, m): mean size given the variant, in healthy deviations of the signal."""
    size_variance: Floats
    """(g, m)."""
    age: Floats
    """(g, m): rows since the onset."""


def age_weights(ages: Ints, rows: int) -> Floats:
    """Return weights of ages (in rows), proportional to 1 / age and summing to one.

    Ages may skip: each stands for its neighbours too. The oldest stands for all before the window.
    """
    middle = np.sqrt(ages[1:] * ages[:-1].astype(np.float64))
    edges = np.concatenate([[ages[0] * 0.7], middle, [max(ages[-1], rows) * np.e]])
    weights = np.diff(np.log(edges))
    result: Floats = weights / weights.sum()
    return result


def age_grid(rows: int, rows_min: int) -> Ints:
    """Return about a dozen ages from `rows_min` to `rows`, evenly in their logarithm."""
    if rows < rows_min:
        return np.zeros(0, dtype=np.int64)
    return np.unique(np.geomspace(rows_min, rows, _AGES).round().astype(np.int64))


def between(ages: Ints, best: int) -> list[int]:
    """Return the ages that a grid left out between the neighbours of its best one.

    A coarse grid weighs an onset that falls on it too high, and all others too low; with these
    the ages around the best one are as fine as rows.
    """
    place = int(np.searchsorted(ages, best))
    low, high = ages[max(place - 1, 0)], ages[min(place + 1, len(ages) - 1)]
    return sorted(set(range(int(low), int(high) + 1)) - {int(age) for age in ages})


def ratio(window: Window, gain: Floats, determinant: Floats) -> Floats:
    """Return log of the density with less distance and more log determinant, over the null's."""
    law = window.law
    changed = log_density(
        window.distance - gain, window.log_determinant + determinant, window.total, law.degrees
    )
    result: Floats = changed - window.log_density
    return result


def additive(window: Window) -> list[Candidates]:
    """Return bias, drift, spike and noise of every signal."""
    rows = window.values.shape[1]
    found = [_spikes(window)]
    if rows >= BIAS_ROWS_MIN:
        found.append(_biases(window))
    if rows >= DRIFT_ROWS_MIN:
        found.append(_drifts(window))
    if rows >= NOISE_ROWS_MIN:
        found.append(_noises(window))
    return found


def _biases(window: Window) -> Candidates:
    """Return a step at every onset."""
    rows = window.values.shape[1]
    ages = np.arange(BIAS_ROWS_MIN, rows + 1)
    sums = np.cumsum(window.weighted[:, ::-1], axis=1)
    squares = np.cumsum(np.cumsum(window.precision[:, ::-1, ::-1], axis=1), axis=2)
    information = np.diagonal(squares, axis1=1, axis2=2)
    chosen = ages - 1
    return _sized(window, "bias", information[:, chosen], sums[:, chosen], ages, rows)


def _drifts(window: Window) -> Candidates:
    """Return a ramp from every onset that reaches the size at the window's end."""
    rows = window.values.shape[1]
    older = [round(rows * factor) for factor in _OLDER]
    ages = np.concatenate([np.arange(DRIFT_ROWS_MIN, rows + 1), older]).astype(np.int64)
    place = np.arange(rows)[:, None]
    ramps = np.maximum(0.0, (place - rows + ages + 1) / ages)
    information = np.einsum("ta,ita->ia", ramps, window.precision @ ramps)
    return _sized(window, "drift", information, window.weighted @ ramps, ages, rows)


def _spikes(window: Window) -> Candidates:
    """Return one or two rows out of line, anywhere in the window."""
    rows = window.values.shape[1]
    parts = []
    for width, share in _SPIKE_WIDTHS:
        if rows < width:
            continue
        ages = np.arange(width, rows + 1)
        first = rows - ages
        signature = np.zeros((rows, len(ages)))
        for offset in range(width):
            signature[first + offset, np.arange(len(ages))] = 1.0
        information = np.einsum("ta,ita->ia", signature, window.precision @ signature)
        part = _sized(window, "spike", information, window.weighted @ signature, ages, rows)
        parts.append(part._replace(log_likelihood=part.log_likelihood + np.log(share)))
    return _joined(parts)


def _noises(window: Window) -> Candidates:
    """Return additional white noise from a grid of onsets on, finer around the best one."""
    signals, rows = window.values.shape
    ages = age_grid(rows, NOISE_ROWS_MIN)
    found = {int(age): _noise(window, int(age)) for age in ages}
    best = max(found, key=lambda age: float(found[age].max()))
    found |= {age: _noise(window, age) for age in between(ages, best)}
    ages = np.array(sorted(found))
    weights = np.log(age_weights(ages, rows))
    likelihood = np.stack([found[int(age)] for age in ages], axis=1) + weights[:, None]
    size = np.broadcast_to(SIZES, likelihood.shape)
    age = np.broadcast_to(ages[:, None].astype(np.float64), likelihood.shape)
    flat = (signals, len(ages) * len(SIZES))
    return Candidates(
        "noise",
        tuple(range(signals)),
        likelihood.reshape(flat),
        size.reshape(flat),
        0.25 * size.reshape(flat) ** 2,
        age.reshape(flat),
    )


def _noise(window: Window, age: int) -> Floats:
    """Return log ratios (u, sizes) of noise in the last `age` rows."""
    rows = window.values.shape[1]
    variances = (window.law.spread[:, None] * SIZES) ** 2
    values, vectors = np.linalg.eigh(window.precision[:, rows - age :, rows - age :])
    values = np.maximum(values, 0.0)[:, None, :]
    turned = np.einsum("its,it->is", vectors, window.weighted[:, rows - age :])[:, None, :]
    grown = 1.0 + variances[:, :, None] * values
    gain = (variances[:, :, None] * turned**2 / grown).sum(axis=2)
    return ratio(window, gain, np.log(grown).sum(axis=2)) + np.log(SIZE_WEIGHTS)


def _sized(
    window: Window, cause: str, information: Floats, score: Floats, ages: Ints, rows: int
) -> Candidates:
    """Return candidates from G and g (u, ages), averaged over the grid of sizes."""
    spread = window.law.spread[:, None, None]
    variances = (spread * SIZES) ** 2
    information, score = information[:, :, None], score[:, :, None]
    grown = 1.0 + variances * np.maximum(information, 0.0)
    likelihood = ratio(window, variances * score**2 / grown, np.log(grown))
    weights = np.log(age_weights(ages, rows))[:, None] + np.log(SIZE_WEIGHTS)
    size = variances * score / grown / spread
    shape = likelihood.shape
    flat = (shape[0], shape[1] * shape[2])
    age = np.broadcast_to(ages[:, None].astype(np.float64), shape)
    return Candidates(
        cause,
        tuple(range(shape[0])),
        (likelihood + weights).reshape(flat),
        size.reshape(flat),
        (variances / grown / spread**2).reshape(flat),
        age.reshape(flat),
    )


def _joined(parts: list[Candidates]) -> Candidates:
    """Put variants of the same cause and places side by side."""
    return Candidates(
        parts[0].cause,
        parts[0].signals,
        *(
            np.concatenate([part[field] for part in parts], axis=1)
            for field in range(2, len(Candidates._fields))
        ),
    )
