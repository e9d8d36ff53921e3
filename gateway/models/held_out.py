"""How much too narrow intervals are on rows that were not learnt from.

A model of the first part of the training rows is asked about the last part, as it will be asked in
use: every signal from all others, and the rows ahead. The sizes of the errors, in deviations, are
counted; counts of several sites add up. A factor for each signal makes the 90 % interval hold 90 %,

    widening = (0.9-quantile of |error / deviation|) / (0.9-quantile of |Student|)

drawn towards the factor of all signals, and that towards 1: neighbouring rows err alike, and a
few dozen blocks say little. So what inflates errors, from drift to few rows, is learnt from the
training rows and from nothing else.

Left to others: fitting the model of the first part (fit.py).
Source: blocked hold-out as in Burman, Chow and Nolan (1994); conformal in spirit (Vovk, Gammerman
and Shafer 2005), but shrunk, since the rows are not exchangeable.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from gateway.models import twin_model
from gateway.models.twin_model import TwinModel

Floats = NDArray[np.float64]

HEAD_SHARE: Final = 0.6
ROWS_MAX: Final = 2_500
"""Rows at the end of a segment that are used; more would cost time and say the same."""
HORIZONS: Final = (1, 5, 20)
_SIGNALS_MAX: Final = 32
"""Signals that are asked for one by one; the others get the factor of all."""
_SHARE: Final = 0.9
_EDGES: Final = np.concatenate([[0.0], np.geomspace(0.02, 200.0, 400)])
_OWN_WEIGHT: Final = 10.0
"""Blocks a signal must have before its own factor counts as much as that of all signals."""
_ALL_WEIGHT: Final = 20.0
"""The same for the factor of all signals against 1."""
_LEAST: Final = 0.7
_MOST: Final = 5.0


class Surprises(NamedTuple):
    """Counts (u, bins) of errors by size in deviations, of values given others and of forecasts."""

    conditional: Floats
    forecast: Floats

    def merged(self, other: "Surprises") -> "Surprises":
        """Return the counts of both."""
        return Surprises(self.conditional + other.conditional, self.forecast + other.forecast)


def nothing(signals: int) -> Surprises:
    """Return counts of no errors."""
    return Surprises(*np.zeros((2, signals, len(_EDGES) - 1)))


def split(rows: Floats) -> tuple[Floats, Floats]:
    """Return the first and the last part of a segment (n, S)."""
    recent = rows[-ROWS_MAX:]
    place = int(HEAD_SHARE * len(recent))
    return recent[:place], recent[place:]


def surprises(model: TwinModel, head: Floats, tail: Floats) -> Surprises:
    """Ask a model about `tail` (n, S), which follows `head` (m, S)."""
    here = twin_model.at_end(model, head)
    used = np.flatnonzero(model.scaling.used)
    conditional = np.zeros((len(used), len(_EDGES) - 1))
    asked = np.unique(np.linspace(0, len(used) - 1, min(len(used), _SIGNALS_MAX)).astype(int))
    for place in asked:
        signal = used[place]
        answer = twin_model.virtual(here, tail, [model.signals[signal]])
        errors = (tail[:, [signal]] - answer.mean) / answer.deviation
        conditional[place] = _counted(errors)[0]
    ahead = np.zeros_like(conditional)
    for horizon in HORIZONS:
        origins, answers = twin_model.forecasts(here, tail, horizon)
        errors = (tail[origins + horizon] - answers.mean) / answers.deviation
        ahead += _counted(errors[:, used])
    return Surprises(conditional, ahead)


def log_density(model: TwinModel, head: Floats, tail: Floats) -> float:
    """Return the log density of `tail` (n, S), which follows `head` (m, S), summed."""
    here = twin_model.at_end(model, head)
    return float(twin_model.log_predictive_density(here, tail).sum())


def _counted(errors: Floats) -> Floats:
    """Return the counts (u, bins) of errors (n, u) by size; NaN counts nowhere."""
    sizes = np.minimum(np.abs(errors), _EDGES[-1])
    return np.array([np.histogram(column[~np.isnan(column)], _EDGES)[0] for column in sizes.T])


def widening(counts: Floats, degrees: float, per_block: int) -> Floats:
    """Return the factor (u,) on the deviation, from counts (u, bins), so many from each block."""
    expected = float(stdtrit(degrees, 0.5 + 0.5 * _SHARE))
    blocks = counts.sum(axis=1) / per_block
    total = counts.sum(axis=0)
    if not total.any():
        return np.ones(len(counts))
    weight = blocks.sum() / (blocks.sum() + _ALL_WEIGHT)
    of_all = weight * np.log(_quantile(total[None])[0] / expected)
    own = np.where(blocks > 0, np.log(_quantile(counts) / expected), 0.0)
    logs = (blocks * own + _OWN_WEIGHT * of_all) / (blocks + _OWN_WEIGHT)
    factors: Floats = np.clip(np.exp(logs), _LEAST, _MOST)
    return factors


def _quantile(counts: Floats) -> Floats:
    """Return the quantile (u,) of counts (u, bins), interpolated within its bin."""
    passed = np.hstack([np.zeros((len(counts), 1)), counts.cumsum(axis=1)])
    wanted = _SHARE * passed[:, -1]
    return np.array(
        [np.interp(goal, row, _EDGES) for goal, row in zip(wanted, passed, strict=True)]
    )
