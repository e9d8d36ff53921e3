"""Learning a fleet for prognosis.py: what is scaled how, how many factors, how many failure modes.

Scale: the noise of a signal from one row to the next, so that signals weigh by what they tell.
Factors and failure modes: more of them as long as the log probability of the true remaining life,
in whole runs left out, rises. The same runs say how far the likelihood is to be trusted.
Time constants: a wide geometric grid first, then one of the same size over what the population has.

Left to others: the mathematics (degradation.py), the answers (prognosis.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.errors import TrainingError
from gateway.models import degradation
from gateway.models.degradation import Degradation, Evidence, Floats, Kind
from gateway.models.prognosis import LifeLaw, Prognosis, survival

RUNS_MIN: Final = 5
"""Fewer lives say nothing of how lives differ."""
RUN_ROWS_MIN: Final = 10
"""Rows a run must have to count as a path."""
_GRID: Final = 33
"""Time constants of the grid: a ratio of about 1.1 between neighbours after refinement."""
_TAU_REACH: Final = 3.5
"""Population deviations of log tau that the refined grid covers on each side."""
_BLOCK_ROWS: Final = 10
_TRUSTS: Final = np.array([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
"""Exponents of the likelihood that are tried; above 1 a model would be surer than its evidence."""
_TOLERANCE: Final = 0.01
"""Nats per run below which EM has converged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How much is tried; what is taken is decided by held-out probability."""

    factors_max: int = 4
    kinds_max: int = 3
    folds: int = 5
    questions: int = 5
    """Remaining lives asked of each held-out run while choosing, spread over its life."""
    stride_rows: int = 4
    """Grid of remaining lives while choosing."""
    iterations: int = 25
    """Steps of EM at most, on the wide grid and again on the fine one."""


def fit(
    runs: Sequence[Floats],
    signals: Sequence[str],
    *,
    fleet: str,
    asked: Floats | None = None,
    settings: Settings | None = None,
) -> Prognosis:
    """Learn a fleet from `runs`, each (rows, S) in own units with failure right after its last row.

    `asked` (horizon,) weighs the remaining lives at which the question will be put, if that is
    known; default: any moment of a life (`prognosis.survival`).

    Raises:
        TrainingError: fewer than `RUNS_MIN` runs, a run too short, or no signal that varies.
    """
    settings = settings or Settings()
    _check(runs, signals, fleet)
    longest = max(len(run) for run in runs) - RUN_ROWS_MIN
    if asked is None:
        asked = survival(np.sort([float(len(run)) for run in runs]))
    if not np.isfinite(asked).all() or (asked < 0.0).any() or asked[: longest + 1].sum() <= 0.0:
        raise TrainingError(
            fleet,
            "`asked` does not weigh any remaining life that a run has",
            f"give weights >= 0 for 0, 1, 2, ... rows left, some of them up to {longest}",
        )
    asked = asked / asked.sum()
    held_out, trust = _choose(runs, signals, fleet, asked, settings)
    factors, kinds, _ = held_out[-1]
    model = learn(runs, signals, fleet, (factors, kinds), settings)
    return replace(model, trust=trust, asked=asked, held_out=held_out)


def _check(runs: Sequence[Floats], signals: Sequence[str], fleet: str) -> None:
    """Refuse runs that cannot carry a law of lives."""
    if len(runs) < RUNS_MIN:
        raise TrainingError(
            fleet,
            f"{len(runs)} runs to failure, at least {RUNS_MIN} are needed",
            "record more lives, or take those of the same kind of unit from other plants",
        )
    for number, run in enumerate(runs):
        if run.ndim != 2 or run.shape[1] != len(signals):
            raise TrainingError(
                fleet,
                f"run {number} has shape {run.shape}, not (rows, {len(signals)})",
                "give every run the same signals in the same order",
            )
        if len(run) < RUN_ROWS_MIN:
            raise TrainingError(
                fleet,
                f"run {number} has {len(run)} rows, at least {RUN_ROWS_MIN} are needed",
                "leave it out",
            )


def _choose(
    runs: Sequence[Floats],
    signals: Sequence[str],
    fleet: str,
    asked: Floats,
    settings: Settings,
) -> tuple[tuple[tuple[int, int, float], ...], float]:
    """Add a factor or a kind, whichever helps more, while one helps; return the table and trust.

    What is taken stands last in the table.
    """
    varying = int(_scaling(runs)[0].sum())
    if varying == 0:
        raise TrainingError(fleet, "no signal varies", f"look at {', '.join(signals)}")
    # The covariance of 2 k coefficients between units needs clearly more units than that.
    factors_max = min(settings.factors_max, varying, max(len(runs) // 8, 1))
    kinds_max = max(min(settings.kinds_max, len(runs) // 20), 1)
    tried: list[tuple[int, int, float]] = []

    trusts: dict[tuple[int, int], float] = {}

    def score(shape: tuple[int, int]) -> float:
        logs = _held_out(runs, fleet, asked, shape, settings)
        best_trust = int(np.argmax(logs))
        trusts[shape] = float(_TRUSTS[best_trust])
        tried.append((*shape, float(logs[best_trust])))
        return tried[-1][2]

    taken = (1, 1)
    best = score(taken)
    while True:
        next_shapes = [(taken[0] + 1, taken[1])] * (taken[0] < factors_max)
        next_shapes += [(taken[0], taken[1] + 1)] * (taken[1] < kinds_max)
        scored = {shape: score(shape) for shape in next_shapes}
        if max(scored.values(), default=best) <= best:
            return (*tried, (*taken, best)), trusts[taken]
        taken = max(scored, key=lambda shape: scored[shape])
        best = scored[taken]


def _held_out(
    runs: Sequence[Floats],
    fleet: str,
    asked: Floats,
    shape: tuple[int, int],
    settings: Settings,
) -> Floats:
    """Return the mean log probability of true remaining lives in runs left out, for each trust."""
    names = [str(place) for place in range(runs[0].shape[1])]
    scores: list[Floats] = []
    for fold in range(settings.folds):
        kept = [run for place, run in enumerate(runs) if place % settings.folds != fold]
        model = learn(kept, names, fleet, shape, settings)
        for run in runs[fold :: settings.folds]:
            for left in _questions(asked, len(run) - RUN_ROWS_MIN, settings.questions):
                # Every few rows are enough to compare models, and asking costs what it is.
                grid = np.arange(left % settings.stride_rows, len(asked), settings.stride_rows)
                grid = grid[asked[grid] > 0.0]
                density = model.log_density(
                    model.gather(run[: len(run) - left]), grid.astype(np.float64)
                )
                logs = _TRUSTS[:, None] * density + np.log(asked[grid])
                truth = logs[:, np.searchsorted(grid, left)]
                scores.append(truth - np.logaddexp.reduce(logs, axis=1))
    mean: Floats = np.mean(scores, axis=0)
    return mean


def _questions(asked: Floats, last: int, count: int) -> list[int]:
    """Return `count` remaining lives of at most `last` rows, evenly over the law `asked`.

    None if a unit so short is never asked about.
    """
    reached = np.cumsum(asked[: last + 1])
    if reached[-1] <= 0.0:
        return []
    levels = (np.arange(count) + 0.5) / count
    return [int(np.searchsorted(reached, level * reached[-1])) for level in levels]


def learn(
    runs: Sequence[Floats],
    signals: Sequence[str],
    fleet: str,
    shape: tuple[int, int],
    settings: Settings,
) -> Prognosis:
    """Fit a model of `shape` (factors, kinds): on a wide grid of time constants, then fine."""
    used, location, scale = _scaling(runs)
    scaled = [((run - location) / scale)[:, used] for run in runs]
    lives = np.sort([float(len(run)) for run in runs])
    taus = np.geomspace(max(float(np.median(lives)) / 50.0, 1.0), 4.0 * lives[-1], _GRID)
    model = initial(scaled, taus, *shape)
    model = degradation.fit(
        model, [degradation.gather(run, taus) for run in scaled], settings.iterations, 0.1
    ).model
    reach = [
        kind.log_rate + side * _TAU_REACH * kind.log_rate_deviation
        for kind in model.kinds
        for side in (-1.0, 1.0)
    ]
    fine = np.geomspace(
        max(float(np.exp(min(reach))), taus[0]), min(float(np.exp(max(reach))), taus[-1]), _GRID
    )
    evidence = [degradation.gather(run, fine) for run in scaled]
    model = degradation.fit(
        model._replace(taus=fine), evidence, settings.iterations, _TOLERANCE
    ).model
    model = degradation.for_new_unit(model, len(runs))
    return Prognosis(
        fleet=fleet,
        signals=tuple(signals),
        used=used,
        location=location,
        scale=scale,
        degradation=model,
        lives=lives,
        life_law=_life_law(model, evidence, np.array([float(len(run)) for run in runs])),
        trust=1.0,
        asked=survival(lives),
        held_out=(),
    )


def initial(scaled: Sequence[Floats], taus: Floats, factors: int, kinds: int) -> Degradation:
    """Return where EM starts: principal axes of block means, kinds split by where units ended."""
    signals = scaled[0].shape[1]
    blocks = np.concatenate([_block_means(run) for run in scaled])
    centred = blocks - blocks.mean(axis=0)
    moment = np.einsum("ni,nj->ij", centred, centred) / len(centred)
    _, vectors = np.linalg.eigh(moment - np.eye(signals) / _BLOCK_ROWS)
    loadings = vectors[:, ::-1][:, :factors]
    place = len(taus) // 2
    fade = [np.exp(-np.arange(len(run))[::-1] / taus[place]) for run in scaled]
    paths = [(np.nan_to_num(run) - blocks.mean(axis=0)) @ loadings for run in scaled]
    coefficients = np.stack(
        [
            np.linalg.lstsq(np.stack([np.ones(len(f)), f], axis=1), path, rcond=None)[0].ravel()
            for f, path in zip(fade, paths, strict=True)
        ]
    )
    ends = coefficients[:, :factors] + coefficients[:, factors:]
    _, axes = np.linalg.eigh(np.cov(ends.T).reshape(factors, factors))
    order = np.argsort(ends @ axes[:, -1], kind="stable")
    wide = np.cov(coefficients.T) + 0.1 * np.eye(2 * factors)
    rate = float(np.log(taus[place]))
    populations = tuple(
        Kind(
            1.0 / kinds,
            np.stack([coefficients[part].mean(axis=0), np.zeros(2 * factors)]),
            wide,
            rate,
            1.0,
        )
        for part in np.array_split(order, kinds)
    )
    return Degradation(blocks.mean(axis=0), loadings, np.ones(signals), populations, taus, rate)


def _block_means(run: Floats) -> Floats:
    """Return means (blocks, s) of neighbouring rows; a missing value counts as the centre."""
    blocks = len(run) // _BLOCK_ROWS
    cut = np.nan_to_num(run[len(run) - blocks * _BLOCK_ROWS :])
    means: Floats = cut.reshape(blocks, _BLOCK_ROWS, run.shape[1]).mean(axis=1)
    return means


def _scaling(runs: Sequence[Floats]) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Return which signals vary (S,), their median (S,) and their row-to-row noise (S,)."""
    rows = np.concatenate(runs)
    changes = np.concatenate([np.diff(run, axis=0) for run in runs])
    seen = np.isfinite(rows).mean(axis=0) > 0.5
    spread = np.nanstd(np.where(seen, rows, 0.0), axis=0)
    used: NDArray[np.bool_] = seen & (spread > 1e-9 * np.abs(np.where(seen, rows[0], 1.0)))
    noise = np.nanstd(np.where(seen, changes, 0.0), axis=0) / np.sqrt(2.0)
    noise = np.where(noise > 1e-3 * spread, noise, spread)
    location = np.nanmedian(np.where(seen, rows, 0.0), axis=0)
    return used, location, np.where(used, noise, 1.0)


def _life_law(model: Degradation, runs: Sequence[Evidence], lives: Floats) -> LifeLaw:
    """Regress log life on the posterior mean of log tau, over the training runs."""
    logs = np.log(model.taus)
    means = np.empty(len(runs))
    for place, run in enumerate(runs):
        weight = np.logaddexp.reduce(degradation.infer(model, run, np.zeros(1))[0])
        weight = np.exp(weight - np.logaddexp.reduce(weight))
        means[place] = float(weight @ logs)
    design = np.stack([np.ones(len(runs)), means], axis=1)
    coefficients, *_ = np.linalg.lstsq(design, np.log(lives), rcond=None)
    left = np.log(lives) - design @ coefficients
    deviation = float(np.sqrt((left**2).sum() / (len(runs) - 2)))
    return LifeLaw(float(coefficients[0]), float(coefficients[1]), max(deviation, 1e-3))
