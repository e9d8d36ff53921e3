"""Learn a TwinModel from healthy rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.models import linear_gaussian, regimes
from gateway.models.factor_analysis import choose
from gateway.models.linear_gaussian import UnfitRowsError
from gateway.models.scaling import Scaling
from gateway.models.state_space import StateSpace
from gateway.models.twin_model import TwinModel

Floats = NDArray[np.float64]

__all__ = ["Settings", "UnfitRowsError", "fit"]


class Settings(NamedTuple):
    """How a model is learnt; stated choices, valid for all assets."""

    window_rows: int = 20
    """Rows of a block of neighbours, the unit in which drift is learnt."""
    drift_safety: float = 0.25
    """Posterior standard deviations by which the learnt drift is raised."""


def fit(
    segments: Floats | Sequence[Floats],
    signals: tuple[str, ...],
    units: tuple[str, ...],
    *,
    period_ns: int,
    asset: str,
    settings: Settings | None = None,
) -> TwinModel:
    """Fit rows (n, S), or several segments of them, of normal operation; NaN is missing.

    Raises `UnfitRowsError` when the rows cannot carry a model.
    """
    chosen = Settings() if settings is None else settings
    rows = segments if isinstance(segments, np.ndarray) else np.vstack(list(segments))
    old = linear_gaussian.fit(rows, chosen.window_rows, chosen.drift_safety)
    location, scale = np.zeros(len(signals)), np.ones(len(signals))
    location[old.used], scale[old.used] = old.location, old.scale
    unscaled = (rows[:, old.used] - old.location) / old.scale
    factors = choose(unscaled[~np.isnan(unscaled).any(axis=1)])
    order = factors.loadings.shape[1]
    variance = np.diag(old.row_covariance)
    return TwinModel(
        asset=asset,
        signals=signals,
        units=units,
        period_ns=period_ns,
        scaling=Scaling(location, scale, old.used, np.zeros(len(signals))),
        state_space=StateSpace(
            np.zeros((order, order)), np.eye(order), factors.loadings, factors.noise, order, 0
        ),
        regimes=regimes.single(len(old.location)),
        drift=old.drift,
        level=old.level,
        level_variance=np.diag(old.level_covariance).copy(),
        long_run=np.diag(old.long_run_covariance) / variance,
        is_slow=old.drift * chosen.window_rows > variance,
        tail=old.tail,
        degrees=old.degrees,
        conditional_widening=np.ones(len(old.location)),
        forecast_widening=np.ones(len(old.location)),
        calibration=None,
        facts={"rows": len(rows)},
    )
