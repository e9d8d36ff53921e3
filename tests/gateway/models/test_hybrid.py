"""Parameters come back with honest errors, each part is credited, what is wrong is named."""

import numpy as np
import pytest

from gateway.errors import TrainingError
from gateway.models import hybrid
from gateway.models.hybrid import Channel, FunctionMean, Parameter

SECOND_NS = 1_000_000_000
SPEED, HEAD, POWER = Channel("speed", "1/s"), Channel("head", "m"), Channel("power", "W")
GAIN = Parameter("gain", "m s2", 1.0, 0.0, 10.0)
LOSS = Parameter("loss", "W", 50.0, 0.0, 500.0)
TRUTH = np.array([2.5, 120.0])


def pump(law=None, parameters=(GAIN, LOSS)):
    """Return the affinity laws of a pump: head goes with speed^2, power with speed^3 + a loss."""

    def affinity(inputs, values):
        speed = inputs[:, 0]
        return np.stack([values[0] * speed**2, 10.0 * speed**3 + values[1]], axis=1)

    return FunctionMean(
        name="pump",
        inputs=(SPEED,),
        outputs=(HEAD, POWER),
        parameters=parameters,
        law=law or affinity,
    )


def recorded(count, seed=0, missed=0.0):
    """Return inputs and outputs; `missed` is how much of a common cause the equations ignore."""
    rng = np.random.default_rng(seed)
    speed = 3.0 + np.sin(np.arange(count) / 20.0) + 0.1 * rng.normal(size=count)
    inputs = speed[:, None]
    cause = np.zeros(count)
    for row in range(1, count):
        cause[row] = 0.5 * cause[row - 1] + rng.normal()
    noise = rng.normal(size=(count, 2)) * [0.5, 10.0]
    return inputs, pump()(inputs, TRUTH) + noise + missed * cause[:, None] * [1.0, 20.0]


@pytest.mark.slow
def test_parameters_are_found_and_errors_cover_the_truth():
    hits = np.zeros(2)
    for seed in range(20):
        found = hybrid.estimate(pump(), *recorded(600, seed))
        hits += np.abs(found.values - TRUTH) < 2.0 * found.standard_errors
    assert (hits >= 17).all()
    np.testing.assert_allclose(found.deviation, [0.5, 10.0], rtol=0.15)


def test_rows_that_go_together_widen_the_errors():
    apart = hybrid.estimate(pump(), *recorded(1200)).standard_errors
    together = hybrid.estimate(pump(), *recorded(1200, missed=0.5)).standard_errors
    assert (together > 1.2 * apart).all()


def test_spikes_and_gaps_do_not_bend_the_physics():
    inputs, rows = recorded(600)
    rows[::50] += 200.0
    rows[5:300:7, 0] = np.nan
    found = hybrid.estimate(pump(), inputs, rows)
    np.testing.assert_allclose(found.values, TRUTH, rtol=0.05)


def test_a_parameter_at_its_bound_is_named_without_an_error():
    tight = pump(parameters=(GAIN._replace(high=2.0), LOSS))
    found = hybrid.estimate(tight, *recorded(600))
    assert found.at_bound == ("gain",)
    assert np.isnan(found.standard_errors[0])
    assert np.isfinite(found.standard_errors[1])


def test_parameters_that_cannot_be_told_apart_are_named():
    double = pump(
        lambda inputs, values: np.hstack([inputs, inputs]) * (values[0] + values[1]),
    )
    with pytest.raises(TrainingError, match="do not determine gain and loss"):
        hybrid.estimate(double, *recorded(600))


@pytest.mark.parametrize(
    ("law", "said"),
    [
        (lambda inputs, values: inputs, r"returned shape \(600, 1\), not \(600, 2\)"),
        (lambda inputs, values: np.full((600, 2), np.nan), "output head is not finite at row 0"),
    ],
)
def test_a_law_that_fails_is_named(law, said):
    with pytest.raises(TrainingError, match=said):
        hybrid.estimate(pump(law), *recorded(600))


def test_rows_that_do_not_fit_are_named():
    inputs, rows = recorded(600)
    with pytest.raises(TrainingError, match="600 rows of head, power"):
        hybrid.estimate(pump(), inputs, rows[:, :1])
    with pytest.raises(TrainingError, match="rows of speed"):
        hybrid.estimate(pump(), inputs[:, 0], rows)
    with pytest.raises(TrainingError, match="input speed has no value at row 7"):
        hybrid.estimate(pump(), np.where(np.arange(600)[:, None] == 7, np.nan, inputs), rows)
    with pytest.raises(TrainingError, match="output head has 40 values"):
        hybrid.estimate(pump(), inputs[:40], rows[:40])


def test_a_law_without_parameters_needs_no_search():
    fixed = pump(lambda inputs, values: pump()(inputs, TRUTH), parameters=())
    found = hybrid.estimate(fixed, *recorded(600))
    assert found.values.shape == (0,)
    np.testing.assert_allclose(found.deviation, [0.5, 10.0], rtol=0.15)


@pytest.mark.slow
def test_each_part_is_credited_on_rows_it_has_not_seen():
    inputs, rows = recorded(3000, missed=1.5)
    model = hybrid.hybrid(pump(), inputs[:2000], rows[:2000], period_ns=SECOND_NS)
    shares = hybrid.explained(model, inputs[2000:], rows[2000:])
    for share, lost in zip(shares, rows[2000:].var(axis=0), strict=True):
        assert share.by_mean + share.by_learnt + share.left == pytest.approx(1.0)
        assert share.by_mean > 0.5
        assert share.by_learnt > 0.3 * (1.0 - share.by_mean)
        assert share.left * lost > 0.0
    said = hybrid.report(model, shares)
    assert "gain = 2." in said
    assert "head: mean" in said
    mean, deviation = hybrid.expected(model, inputs[2000:], rows[2000:])
    held = (np.abs(rows[2000:] - mean) < 1.645 * deviation).mean(axis=0)
    assert ((held > 0.8) & (held < 0.98)).all()
