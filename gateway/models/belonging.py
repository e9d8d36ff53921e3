"""Does a model fit what it is given? Another asset, other units, a way of running never seen.

`check` refuses by name what can be known beforehand; `strangers` looks at values and says in words
which channel left everything the model was taught. Numbers of a converted unit look like that too.
`Watch` asks the same live, after each block of rows.

Left to others: which conversion it was (lifecycle/match.py), whether it is a fault (causes.py).
"""

from collections.abc import Sequence
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from gateway.models import state_space
from gateway.models.drift import block_medians
from gateway.models.scaling import Problem, scaled
from gateway.models.twin_model import TwinModel, WrongModelError

Floats = NDArray[np.float64]

_STRANGE: Final = 8.0
"""Deviations of the median of a block from the nearest regime; healthy blocks do not get there."""


def check(
    model: TwinModel,
    *,
    asset: str,
    signals: Sequence[str],
    units: Sequence[str],
    period_ns: int,
) -> None:
    """Raise `WrongModelError` unless the model was fitted to exactly this."""
    if asset != model.asset:
        raise WrongModelError(
            f"the model is of {model.asset}, not of {asset}; name the model of {asset}, or fit one"
        )
    if tuple(signals) != model.signals:
        missing = [signal for signal in model.signals if signal not in signals]
        unknown = [signal for signal in signals if signal not in model.signals]
        raise WrongModelError(
            f"the model of {asset} has other signals: missing {', '.join(missing) or 'none'}, "
            f"unknown {', '.join(unknown) or 'none'}, or another order; fit a model of these"
        )
    for signal, now, learnt in zip(signals, units, model.units, strict=True):
        if now != learnt:
            raise WrongModelError(
                f"{signal} is in {now or 'no unit'}, the model was fitted to "
                f"{learnt or 'no unit'}; convert it, or fit a model again"
            )
    if period_ns != model.period_ns:
        raise WrongModelError(
            f"rows of {asset} come every {period_ns} ns, the model was fitted to rows every "
            f"{model.period_ns} ns; resample them, or fit a model again"
        )


def strangers(model: TwinModel, rows: Floats, age_rows: int = 0) -> tuple[Problem, ...]:
    """Return the channels of rows (n, S) that leave every regime the model knows.

    `age_rows` is how many rows went by since the last one the level was learnt from.
    """
    values = scaled(model.scaling, rows) - model.level
    middles = block_medians(values, model.window_rows)
    ages = age_rows + model.window_rows * np.arange(1, len(middles) + 1)[:, None]
    spread = np.diag(state_space.covariance(model.state_space)) + model.level_variance
    deviation = np.sqrt(spread + ages * model.drift)
    far = np.abs(middles[:, None, :] - model.regimes.offsets) / deviation[:, None, :]
    # The regime that explains a block best is the one its worst channel says least against.
    worst = np.nanmax(np.where(np.isnan(far), 0.0, far), axis=2)
    nearest = far[np.arange(len(far)), worst.argmin(axis=1)]
    return tuple(
        Problem(
            name,
            f"{int((column > _STRANGE).sum())} of {len(column)} blocks of {model.window_rows} rows "
            f"lie up to {np.nanmax(column):.0f} deviations from every way of running in the model",
            "if the plant runs in a new way, fit the model with such rows; check its unit too",
        )
        for name, column in zip(model.names, nearest.T, strict=True)
        if (column > _STRANGE).any()
    )


@final
class Watch:
    """The live side of `strangers`: rows in, problems out whenever a block of them is full."""

    def __init__(self, model: TwinModel) -> None:
        self._model = model
        self._rows: list[Floats] = []
        self._age_rows = 0

    def step(self, row: Floats) -> tuple[Problem, ...] | None:
        """Take a row (S,); return the strangers of the block it ends, None inside a block."""
        self._rows.append(row)
        if len(self._rows) < self._model.window_rows:
            return None
        found = strangers(self._model, np.array(self._rows), self._age_rows)
        self._age_rows += len(self._rows)
        self._rows.clear()
        return found

    def skip(self, rows: int) -> None:
        """Let rows pass that nobody saw; a block that was begun is not ended with later rows."""
        self._age_rows += len(self._rows) + rows
        self._rows.clear()
