"""The generative model of one asset: a frozen record, and the questions it answers.

    y_t = location + scale * (m_r(t) + level_t + C x_t + e_t),   e_t ~ N(0, diag(noise))
    x_t = A x_(t-1) + w_t,   w_t ~ N(0, Q)          the state space (state_space.py)
    level_t = level_(t-1) + v_t,   v_t ~ N(0, diag(drift))
    r(t): a sticky Markov chain over regimes        (regimes.py)

S counts all signals of the asset, u those that take part (`scaling.used`).
Left to others: learning the model (fit.py), living with it row by row (tracker.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.models.regimes import Regimes
from gateway.models.scaling import Scaling
from gateway.models.state_space import StateSpace

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinModel:
    """A learnt model; arrays (u,) run over the used signals in units of their scale."""

    asset: str
    signals: tuple[str, ...]
    """(S,): every signal the model was fitted to, used or not."""
    units: tuple[str, ...]
    """(S,)."""
    period_ns: int
    scaling: Scaling
    state_space: StateSpace
    """Of the u used signals."""
    regimes: Regimes
    drift: Floats
    """(u,): variance the level gains per row."""
    level: Floats
    """(u,): level at the last training row."""
    level_variance: Floats
    """(u,): how well that level is known; kept diagonal."""
    long_run: Floats
    """(u,): the own noise of the mean of n rows has the variance long_run * noise / n, n large."""
    is_slow: Bools
    """(u,): the level moves more than the rows around it: a covariate, told by the data."""
    tail: Floats
    """(window - 1, u): the last training rows, scaled; so that live windows are full at once."""
    degrees: float
    """Effective degrees of freedom of what was learnt; intervals are Student with so many."""
    conditional_widening: Floats
    """(u,): factor on the deviation of a signal given others, learnt from held-out blocks."""
    forecast_widening: Floats
    """(u,): factor on the deviation of a forecast, learnt from held-out blocks."""
    calibration: object | None
    """Limits of the evidence (calibration.py), None before it is made."""
    facts: Mapping[str, object]
    """What a report wants to say about the fit; JSON-able, nothing is computed from it."""
