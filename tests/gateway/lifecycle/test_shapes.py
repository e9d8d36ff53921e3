"""No number that cannot be right gets past the check: each field, its sign, its company."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from gateway.lifecycle.codec import CodecError, field_names
from gateway.lifecycle.shapes import check
from gateway.models.calibration import Calibration, calibrate
from gateway.models.twin_model import TwinModel
from tests.gateway.lifecycle import models_on_disk

NAN = float("nan")


@cache
def calibrated() -> tuple[TwinModel, Calibration]:
    model = models_on_disk.model()
    limits = calibrate(model, models_on_disk.rows(models_on_disk.TRAINING_ROWS))
    return replace(model, calibration=limits), limits


def refusal(model: TwinModel) -> str:
    with pytest.raises(CodecError) as caught:
        check(model)
    return caught.value.where


def test_a_model_as_it_is_made_passes() -> None:
    model, limits = calibrated()
    check(model)
    check(replace(model, calibration=None))
    check(replace(model, calibration=replace(limits, joint=None)))
    assert refusal(replace(model, calibration="limits")) == "calibration"


def test_no_number_of_the_limits_may_be_missing() -> None:
    """Every array and every number of every record in the limits, whatever it is called."""
    model, limits = calibrated()
    for name in field_names(Calibration):
        value = getattr(limits, name)
        for where, broken in broken_parts(value):
            changed = replace(model, calibration=replace(limits, **{name: broken}))
            assert refusal(changed) == f"calibration.{name}{where}"


def broken_parts(value: object) -> list[tuple[str, object]]:
    """Return a value with one part after the other made unknown, and where."""
    if isinstance(value, float):
        return [("", NAN)]
    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        return [("", np.full(value.shape, NAN)), ("", value[..., :-1])]
    names = field_names(type(value))
    return [
        (f".{name}{where}", value._replace(**{name: part}))
        for name in names
        for where, part in broken_parts(getattr(value, name))
    ]


Change = Callable[[Calibration], Calibration]
CHANGES: dict[str, Change] = {
    "steps.noise": lambda c: replace(c, steps=c.steps._replace(noise=-c.steps.noise)),
    "steps.unit": lambda c: replace(c, steps=c.steps._replace(unit=0.0 * c.steps.unit)),
    "steps.level_variance": lambda c: replace(
        c, steps=c.steps._replace(level_variance=-np.ones_like(c.steps.noise))
    ),
    "steps.drift": lambda c: replace(c, steps=c.steps._replace(drift=-c.steps.noise)),
    "spread.variance": lambda c: replace(c, spread=c.spread._replace(variance=np.zeros(4))),
    "spread.freedom": lambda c: replace(c, spread=c.spread._replace(freedom=np.zeros(4))),
    "spectrum.inflation": lambda c: replace(c, spectrum=c.spectrum._replace(inflation=-np.ones(4))),
    "spectrum.degrees": lambda c: replace(c, spectrum=c.spectrum._replace(degrees=0.0)),
    "alarm_tail.scale": lambda c: replace(
        c, alarm_tail=c.alarm_tail._replace(scale=-c.alarm_tail.scale)
    ),
    "joint.covariance": lambda c: replace(c, joint=c.joint._replace(covariance=np.zeros((4, 4)))),
    "joint.coefficients": lambda c: replace(
        c, joint=c.joint._replace(coefficients=np.zeros((3, 4)))
    ),
    "joint.degrees": lambda c: replace(c, joint=c.joint._replace(degrees=np.inf)),
    "false_alarms_per_hour": lambda c: replace(c, false_alarms_per_hour=0.0),
    "rows_per_alarm": lambda c: replace(c, rows_per_alarm=np.inf),
    "rows": lambda c: replace(c, rows=0),
}


@pytest.mark.parametrize("where", CHANGES)
def test_signs_and_covariances_of_limits(where: str) -> None:
    model, limits = calibrated()
    assert refusal(replace(model, calibration=CHANGES[where](limits))) == f"calibration.{where}"


def test_signs_and_covariances_of_the_model() -> None:
    model, _ = calibrated()
    space, count = model.state_space, len(model.level)
    turned = space._replace(state_noise=-space.state_noise)
    assert refusal(replace(model, state_space=turned)) == "state_space.state_noise"
    finer = model.scaling._replace(resolution=np.full(count, -1.0))
    assert refusal(replace(model, scaling=finer)) == "scaling.resolution"
    assert refusal(replace(model, degrees=np.inf)) == "degrees"
    assert refusal(replace(model, degrees=NAN)) == "degrees"
    assert refusal(replace(model, tail=np.full(model.tail.shape, np.inf))) == "tail"
    assert refusal(replace(model, forecast_widening=np.zeros(count))) == "forecast_widening"


def test_a_covariance_that_is_not_symmetric_is_none() -> None:
    model, limits = calibrated()
    assert limits.joint is not None
    odd = limits.joint.covariance.copy()
    odd[0, 1] += 0.5 * odd[0, 0]
    changed = replace(limits, joint=limits.joint._replace(covariance=odd))
    assert refusal(replace(model, calibration=changed)) == "calibration.joint.covariance"
