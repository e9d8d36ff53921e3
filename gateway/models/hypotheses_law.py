"""The healthy law of a window, from a model and from how the training rows really behave.

The model (twin_model.py) is learnt for one row after another. Over a window it matters too how long
a signal's own noise remembers, how coarse the signal is, how often it holds its value or has none,
and how much windows differ in width. `learn` takes these from training rows:

- persistence and a factor on the own noise: the pair of a grid with the greatest likelihood of
  the signal given all others, summed over windows of training rows;
- degrees: the Student degrees of freedom with the greatest likelihood of whole windows;
- resolution, hold, missing: counted.

The level of a training window is the mean of the rows before it, as the live level is learnt from
rows before; its uncertainty is that of such a mean, plus drift. Where an asset has several regimes,
the offset of each row's regime is taken off first: what remains is what the law is about.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.models.calibration import residual
from gateway.models.hypotheses_window import Law, given_others, log_density, weigh
from gateway.models.twin_model import TwinModel

Floats = NDArray[np.float64]

WINDOW_ROWS: Final = 60
_LEVEL_ROWS: Final = 60
_PERSISTENCES: Final = (0.0, 0.2, 0.4, 0.6, 0.75, 0.9, 0.97)
_NOISE_FACTORS: Final = (0.5, 0.7, 1.0, 1.4, 2.0, 3.0, 5.0, 8.0)
_DEGREES: Final = (3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 55.0, 89.0)
_WINDOWS_MAX: Final = 30
_RESOLUTION_MIN: Final = 1e-6
LEVEL_VARIANCE_MAX: Final = 1e6
"""In scales squared. A level so far unknown says nothing any more; beyond, digits run out."""
_CORNER: Final = 1e300
_MEET_FIRST: Final = 8
_MEET_LAST: Final = 60
_MEET_STRIDE: Final = 4
"""Lags at which two values of a signal are compared for meeting by chance."""


class Ways(NamedTuple):
    """How a signal behaves beyond its model; arrays (u,), units of each signal's scale."""

    persistence: Floats
    noise_factor: Floats
    resolution: Floats
    hold: Floats
    missing: Floats
    degrees: float


def plain(model: TwinModel) -> Ways:
    """Return what a model without training rows says: safe values where it says nothing."""
    signals = len(model.drift)
    inflation = np.maximum(model.long_run, 1.0)
    used = model.scaling.used
    resolution = model.scaling.resolution[used] / model.scaling.scale[used]
    return Ways(
        np.minimum((inflation - 1.0) / (inflation + 1.0), 0.9),
        np.ones(signals),
        np.maximum(resolution, _RESOLUTION_MIN),
        np.full(signals, 0.01),
        np.full(signals, 0.01),
        model.degrees,
    )


def law_of(model: TwinModel, ways: Ways, *, level_variance: Floats | None = None) -> Law:
    """Return the law of residuals to a level of that variance (u,); default: the model's own.

    What held-out blocks said of a signal given the others (`conditional_widening`) widens its own
    noise: on its training rows a model of many signals looks better than it is. The variance counts
    up to `LEVEL_VARIANCE_MAX`.
    """
    widened = ways.noise_factor * np.maximum(model.conditional_widening, 1.0) ** 2
    space = model.state_space._replace(noise=model.state_space.noise * widened)
    variance = model.level_variance if level_variance is None else level_variance
    return Law(
        space,
        ways.persistence,
        np.minimum(variance, LEVEL_VARIANCE_MAX),
        model.drift,
        ways.resolution,
        ways.hold,
        ways.missing,
        ways.degrees,
    )


def learn(model: TwinModel, rows: Floats) -> Ways:
    """Learn from healthy rows (n, u), scaled, NaN where missing; with few rows, stay with `plain`.

    Deterministic; at most `_WINDOWS_MAX` windows, evenly spread, are used for likelihoods.
    """
    start = plain(model)
    start = _counted(start, rows, law_of(model, start).spread)
    if len(rows) < _LEVEL_ROWS + WINDOW_ROWS:
        return start
    windows = healthy_windows(residual(model, rows))
    first = start._replace(persistence=np.zeros_like(start.persistence))
    chosen = _remembered(law_of(model, first, level_variance=level_variance(model)), windows)
    ways = start._replace(persistence=chosen[:, 0], noise_factor=chosen[:, 1])
    return ways._replace(degrees=_degrees(model, ways, windows))


def _remembered(law: Law, windows: list[Floats]) -> Floats:
    """Return persistence and factor on the own noise (u, 2) that make the windows likeliest.

    `law` has no persistence, so that its own covariance is the noise on the diagonal, and wander.
    """
    place = np.arange(WINDOW_ROWS)
    lags = np.abs(place[:, None] - place[None, :])
    memories = [persistence**lags for persistence in _PERSISTENCES]
    noise = law.state_space.noise[:, None, None]
    options = [(p, factor) for p in range(len(memories)) for factor in _NOISE_FACTORS]
    totals = np.zeros((len(options), len(noise)))
    for rows in windows:
        window = weigh(law, rows)
        rest = given_others(window)
        away = window.values - rest.mean
        without = rest.covariance - noise * np.eye(WINDOW_ROWS)
        for option, (memory, factor) in enumerate(options):
            moved = without + (noise * factor) * memories[memory]
            totals[option] += _gaussian(moved, away, window.seen)
    grid = np.array([(_PERSISTENCES[memory], factor) for memory, factor in options])
    result: Floats = grid[np.argmax(totals, axis=0)]
    return result


def level_variance(model: TwinModel) -> Floats:
    """Return the variance (u,) of a level learnt from the rows just before a window."""
    own = model.state_space.noise * np.maximum(model.long_run, 1.0) / _LEVEL_ROWS
    result: Floats = own + model.drift * _LEVEL_ROWS / 2.0
    return result


def _counted(ways: Ways, rows: Floats, spread: Floats) -> Ways:
    """Return resolution, hold and missing as the rows have them; `spread` (u,) of a healthy row.

    The resolution is the smallest step, or what makes healthy values meet as often as they do: two
    draws from a normal law, rounded to steps of r, are equal with probability
    r / (2 sqrt(pi) spread). A signal that mostly jumps by whole steps and rarely by a hair is
    coarse.
    """
    steps = np.abs(np.diff(rows, axis=0))
    smallest = np.where(steps > _RESOLUTION_MIN, steps, np.inf).min(axis=0, initial=np.inf)
    smallest = np.where(np.isfinite(smallest), smallest, ways.resolution)
    meetings = [_held(rows, lag, smallest) for lag in range(_MEET_FIRST, _MEET_LAST, _MEET_STRIDE)]
    met = np.mean(meetings, axis=0) if len(rows) > _MEET_LAST else np.zeros(len(smallest))
    resolution = np.maximum(smallest, 2.0 * np.sqrt(np.pi) * spread * met)
    count = max(len(rows) - 1, 1)
    return ways._replace(
        resolution=resolution,
        hold=np.clip((_held(rows, 1, resolution) * count + 0.5) / (count + 1.0), 0.0, 0.999),
        missing=np.clip((np.isnan(rows).sum(axis=0) + 0.5) / (len(rows) + 1.0), 1e-4, 0.9),
    )


def _held(rows: Floats, lag: int, resolution: Floats) -> Floats:
    """Return the share (u,) of values equal to the one `lag` rows before."""
    away = np.abs(rows[lag:] - rows[:-lag])
    known = ~np.isnan(away)
    same = known & (np.where(known, away, np.inf) < 0.5 * resolution)
    result: Floats = same.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return result


def healthy_windows(rows: Floats) -> list[Floats]:
    """Return residual windows (WINDOW_ROWS, u) of training rows, evenly spread.

    Neighbours share two thirds of their rows: of few rows as many windows as have news.
    """
    starts = np.arange(_LEVEL_ROWS, len(rows) - WINDOW_ROWS + 1, WINDOW_ROWS // 3)
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(len(starts), _WINDOWS_MAX)).round())
    windows = []
    for start in starts[chosen.astype(np.int64)]:
        before = rows[start - _LEVEL_ROWS : start]
        known = ~np.isnan(before)
        level = np.where(known, before, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        windows.append(rows[start : start + WINDOW_ROWS] - level)
    return windows


def _gaussian(covariance: Floats, away: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Return log densities (u,) of residuals (u, n) with covariance (u, n, n), where seen.

    The residuals stand below the covariance, in a last row whose corner is beyond them all: that
    row of the Cholesky factor is then the solved residual, and no other solution is needed.
    """
    signals, rows = seen.shape
    both = seen[:, :, None] & seen[:, None, :]
    bordered = np.zeros((signals, rows + 1, rows + 1))
    bordered[:, :rows, :rows] = np.where(both, covariance, 0.0)
    bordered[:, np.arange(rows), np.arange(rows)] += ~seen
    bordered[:, rows, :rows] = bordered[:, :rows, rows] = np.where(seen, away, 0.0)
    bordered[:, rows, rows] = _CORNER
    lower = np.linalg.cholesky(bordered)
    determinant = np.log(np.diagonal(lower, axis1=1, axis2=2)[:, :rows]).sum(axis=1)
    result: Floats = -0.5 * (lower[:, rows, :rows] ** 2).sum(axis=1) - determinant
    return result


def _degrees(model: TwinModel, ways: Ways, windows: list[Floats]) -> float:
    """Return the degrees of freedom under which the windows are likeliest."""
    law = law_of(model, ways, level_variance=level_variance(model))
    weighed = [weigh(law, residual) for residual in windows]
    totals = [
        sum(
            float(log_density(one.distance, one.log_determinant, one.total, degrees))
            for one in weighed
        )
        for degrees in _DEGREES
    ]
    return _DEGREES[int(np.argmax(totals))]
