"""What the numbers of a model must satisfy before anybody computes with them.

Promises: after `check` all shapes fit together, all numbers are finite, those of the limits too
(only `tail` has gaps), scales and variances are above zero, covariances are covariances, the
factors do not explode, chains of regimes are chains. A model that breaks a rule is refused with the
field's name: it never becomes a silent wrong number, nor a limit that no alarm can cross.
Left to others: whether the model is any good.
"""

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.lifecycle.codec import CodecError, Hints
from gateway.models.calibration import Calibration
from gateway.models.evidence_joint import WINDOWS
from gateway.models.evidence_spectrum import LAGS
from gateway.models.twin_model import TwinModel

_RADIUS_MAX: Final = 1.0
_SUM_TOLERANCE: Final = 1e-6
_POSITIVE: Final = frozenset(
    {
        "scaling.scale",
        "state_space.noise",
        "long_run",
        "conditional_widening",
        "forecast_widening",
        "calibration.steps.unit",
        "calibration.steps.noise",
        "calibration.spread.variance",
        "calibration.spread.freedom",
        "calibration.spectrum.deviation",
        "calibration.spectrum.inflation",
        "calibration.alarm_tail.scale",
        "calibration.change_tail.scale",
    }
)
_NOT_NEGATIVE: Final = frozenset(
    {
        "scaling.resolution",
        "drift",
        "level_variance",
        "regimes.weights",
        "regimes.transition",
        "calibration.steps.drift",
        "calibration.steps.level_variance",
    }
)
_NUMBERS_POSITIVE: Final = ("false_alarms_per_hour", "rows_per_alarm", "rows")
_EIGENVALUE_MIN: Final = -1e-9
"""Of a covariance, over its largest: what rounding leaves of zero."""
SIGNALS_MAX: Final = 100_000

HINTS: Final[Hints] = {("TwinModel", "calibration"): Calibration | None}
"""Types that `TwinModel` leaves open."""


def check(model: TwinModel) -> None:
    """Raise `CodecError` at the first number or shape that cannot be right."""
    signals = len(model.signals)
    if not 0 < signals <= SIGNALS_MAX or len(set(model.signals)) < signals:
        raise CodecError("signals", "are none, too many, or not all different")
    if len(model.units) != signals:
        raise CodecError("units", f"{len(model.units)} of them for {signals} signals")
    if model.period_ns <= 0:
        raise CodecError("period_ns", "is not above zero")
    for where, array, shape in _shapes(model):
        _check_array(where, array, shape)
    _above_zero("degrees", model.degrees)
    _check_chains(model)
    if isinstance(model.calibration, Calibration):
        _check_limits(model.calibration, len(model.level))
    elif model.calibration is not None:
        raise CodecError("calibration", "is not of a kind that is known")


def _check_array(where: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Check shape, finiteness and sign of one array."""
    if array.shape != shape:
        raise CodecError(where, f"has shape {array.shape}, wanted {shape}")
    if where == "tail":
        if np.isinf(array).any():
            raise CodecError(where, "is infinite somewhere")
    elif not np.isfinite(array).all():
        raise CodecError(where, "is not finite everywhere")
    if where in _POSITIVE and not (array > 0).all():
        raise CodecError(where, "is not above zero everywhere")
    if where in _NOT_NEGATIVE and not (array >= 0).all():
        raise CodecError(where, "is negative somewhere")


def _above_zero(where: str, number: float) -> None:
    if not 0 < number < math.inf:
        raise CodecError(where, f"is {number}, not a number above zero")


def _check_covariance(where: str, matrix: NDArray[Any], *, is_definite: bool) -> None:
    """Check that a matrix is symmetric with no eigenvalue below zero, or all above it."""
    if not matrix.size:
        return
    size = float(np.abs(matrix).max())
    if not np.allclose(matrix, matrix.T, atol=_SUM_TOLERANCE * size):
        raise CodecError(where, "is no covariance: not symmetric")
    least = float(np.linalg.eigvalsh(matrix).min())
    if least < _EIGENVALUE_MIN * size or (is_definite and least <= 0.0):
        raise CodecError(where, f"is no covariance: it has an eigenvalue of {least:.3g}")


def _check_limits(limits: Calibration, used: int) -> None:
    """Check the numbers of the limits, and what their arrays must be together."""
    for name in _NUMBERS_POSITIVE:
        _above_zero(f"calibration.{name}", getattr(limits, name))
    _above_zero("calibration.spectrum.degrees", limits.spectrum.degrees)
    joint = limits.joint
    if joint is None:
        return
    _above_zero("calibration.joint.degrees", joint.degrees)
    if not used or len(joint.coefficients) % used or not len(joint.coefficients):
        what = f"{len(joint.coefficients)} rows are no whole number of lags of {used} signals"
        raise CodecError("calibration.joint.coefficients", what)
    _check_covariance("calibration.joint.covariance", joint.covariance, is_definite=True)


def _shapes(model: TwinModel) -> Iterator[tuple[str, NDArray[Any], tuple[int, ...]]]:
    """Yield every array of a model with the shape it must have."""
    signals = len(model.signals)
    scaling, space, regimes = model.scaling, model.state_space, model.regimes
    for name in ("location", "scale", "used", "resolution"):
        yield f"scaling.{name}", getattr(scaling, name), (signals,)
    used = int(scaling.used.sum())
    states = space.factors * max(space.lags, 1)
    yield "state_space.transition", space.transition, (states, states)
    yield "state_space.state_noise", space.state_noise, (states, states)
    yield "state_space.loadings", space.loadings, (used, states)
    yield "state_space.noise", space.noise, (used,)
    count = len(regimes.weights)
    yield "regimes.offsets", regimes.offsets, (count, used)
    yield "regimes.transition", regimes.transition, (count, count)
    yield "regimes.weights", regimes.weights, (count,)
    for name in ("drift", "level", "level_variance", "long_run", "is_slow"):
        yield name, getattr(model, name), (used,)
    yield "conditional_widening", model.conditional_widening, (used,)
    yield "forecast_widening", model.forecast_widening, (used,)
    yield "tail", model.tail, (len(model.tail), used)
    if isinstance(model.calibration, Calibration):
        yield from _limit_shapes(model.calibration, used)


def _limit_shapes(
    limits: Calibration, used: int
) -> Iterator[tuple[str, NDArray[Any], tuple[int, ...]]]:
    """Yield every array of the limits with the shape it must have."""
    for name in limits.steps._fields:
        yield f"calibration.steps.{name}", getattr(limits.steps, name), (used,)
    yield "calibration.step_limits", limits.step_limits, (used,)
    for name in ("spread_limits", "spectrum_limits", "change_limits"):
        yield f"calibration.{name}", getattr(limits, name), (used,)
    for name in limits.spread._fields:
        yield f"calibration.spread.{name}", getattr(limits.spread, name), (used,)
    spectrum = limits.spectrum
    yield "calibration.spectrum.deviation", spectrum.deviation, (used,)
    yield "calibration.spectrum.inflation", spectrum.inflation, (used,)
    yield "calibration.spectrum.coefficients", spectrum.coefficients, (LAGS, used)
    yield "calibration.joint_limits", limits.joint_limits, (len(WINDOWS),)
    alarms = 3 * used + len(WINDOWS)
    for where, tail, count in (
        ("alarm_tail", limits.alarm_tail, alarms),
        ("change_tail", limits.change_tail, used),
    ):
        yield f"calibration.{where}.highest", tail.highest, (count,)
        yield f"calibration.{where}.scale", tail.scale, (count,)
    if limits.joint is not None:
        joint = limits.joint
        yield "calibration.joint.mean", joint.mean, (used,)
        yield "calibration.joint.covariance", joint.covariance, (used, used)
        rows = len(joint.coefficients)
        yield "calibration.joint.coefficients", joint.coefficients, (rows, used)


def _check_chains(model: TwinModel) -> None:
    """Check what makes the factors and the regimes come back."""
    space, regimes = model.state_space, model.regimes
    if space.factors < 0 or space.lags < 0:
        raise CodecError("state_space", "has a negative number of factors or lags")
    if space.factors and space.lags:
        radius = float(np.abs(np.linalg.eigvals(space.transition)).max())
        if radius >= _RADIUS_MAX:
            raise CodecError("state_space.transition", f"explodes (spectral radius {radius:.3g})")
    _check_covariance("state_space.state_noise", space.state_noise, is_definite=False)
    for where, total in (
        ("regimes.weights", regimes.weights.sum()),
        ("regimes.transition", regimes.transition.sum(axis=1)),
    ):
        if not np.allclose(total, 1.0, atol=_SUM_TOLERANCE):
            raise CodecError(where, "does not sum to one")
