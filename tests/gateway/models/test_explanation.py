"""Words with the numbers behind them, from a fitted model to a sentence in its own units."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.models.causes import WINDOW_ROWS
from gateway.models.explanation import experience, explain
from gateway.models.fit import fit
from gateway.models.hypotheses_law import healthy_windows, learn, plain
from gateway.models.regimes import Regimes
from gateway.models.scaling import scaled
from tests.gateway.models import healthy

NAMES = ("flow", "pressure", "current", "speed", "level")
UNITS = ("l/min", "bar", "A", "Hz", "m")
TRAINING = 600
AGE = 25


@pytest.fixture(scope="module")
def model():
    return fit(healthy.rows(TRAINING), NAMES, UNITS, period_ns=2_000_000_000, asset="pump")


@pytest.fixture(scope="module")
def learnt(model):
    return experience(model, scaled(model.scaling, healthy.rows(TRAINING)))


def window(model, change):
    """Return level and residual rows of a window of fresh rows, changed in the last AGE."""
    rows = healthy.rows(2 * WINDOW_ROWS, seed=4)
    change(rows[-AGE:])
    values = scaled(model.scaling, rows)
    level = values[:WINDOW_ROWS].mean(axis=0)
    return level, values[WINDOW_ROWS:] - level


def raise_pressure(rows):
    rows[:, 1] += 6.0 * healthy.SCALE[1]


@pytest.mark.slow
def test_a_bias_is_said_with_value_unit_time_and_alternatives(model, learnt):
    level, rows = window(model, raise_pressure)
    told = explain(model, rows, level=level, learnt=learnt)
    first = told.posterior[0]
    assert (first.cause, first.signal) == ("bias", "pressure")
    assert first.probability > 0.9
    assert abs(first.since_rows - AGE) <= 2
    for part in ("a bias of pressure", " bar", "expected from the rest", "sigma", "since", " s)"):
        assert part in told.words
    assert "leave out pressure" in told.words
    measured = healthy.rows(2 * WINDOW_ROWS, seed=4)[-1, 1] + 6.0 * healthy.SCALE[1]
    assert f"measured {measured:.5g} bar" in told.words


@pytest.mark.slow
def test_a_missing_signal_is_said_to_be_missing(model, learnt):
    def lose(rows):
        rows[:, 0] = np.nan

    level, rows = window(model, lose)
    told = explain(model, rows, level=level, learnt=learnt)
    assert told.posterior[0].cause == "loss"
    assert "values of flow are missing" in told.words
    assert "nothing measured" in told.words


@pytest.mark.slow
def test_without_experience_the_model_alone_answers(model):
    level, rows = window(model, raise_pressure)
    told = explain(model, rows, level=level)
    assert told.posterior[0].signal == "pressure"
    assert sum(one.probability for one in told.posterior) == pytest.approx(1.0)


def test_ways_of_few_rows_are_the_plain_ones(model):
    rows = scaled(model.scaling, healthy.rows(40))
    assert np.array_equal(learn(model, rows).persistence, plain(model).persistence)
    assert healthy_windows(rows) == []


def test_ways_count_what_repeats_and_what_is_missing(model):
    rows = scaled(model.scaling, healthy.rows(100))
    rows[10:20, 2] = np.nan
    rows[:, 3] = np.repeat(rows[::4, 3], 4)
    ways = learn(model, rows)
    assert ways.missing[2] == pytest.approx(0.104, abs=0.01)
    assert ways.hold[3] == pytest.approx(0.75, abs=0.05)
    assert (ways.hold[[0, 1, 4]] < 0.05).all()


@pytest.mark.slow
def test_a_persistent_noise_is_noticed(model):
    rng = np.random.default_rng(3)
    rows = scaled(model.scaling, healthy.rows(1200, seed=5))
    wander = np.zeros(len(rows))
    for row in range(1, len(rows)):
        wander[row] = 0.75 * wander[row - 1] + rng.normal()
    rows[:, 4] = wander * rows[:, 4].std() / wander.std()
    ways = learn(model, rows)
    assert ways.persistence[4] >= 0.6
    assert ways.persistence[0] <= 0.4


@pytest.mark.slow
def test_values_are_told_from_the_level_of_their_own_row(model):
    level, rows = window(model, raise_pressure)
    first = np.broadcast_to(level, rows.shape)
    other = np.where(np.arange(len(rows))[:, None] < 10, first, first + 7.0)
    told, moved = (explain(model, rows, level=levels).words for levels in (first, other))
    assert told == explain(model, rows, level=level).words
    values = [words.split("measured ")[1].split(" bar")[0] for words in (told, moved)]
    apart = (float(values[1]) - float(values[0])) / model.scaling.scale[1]
    assert apart == pytest.approx(7.0, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("unknown", [1e9, 1e15, np.inf])
def test_a_level_that_nobody_knows_is_no_numerical_failure(model, learnt, unknown):
    level, rows = window(model, lambda _: None)
    told = explain(model, rows, level=level, variance=np.full(5, unknown), learnt=learnt)
    assert sum(one.probability for one in told.posterior) == pytest.approx(1.0)
    assert np.isfinite(told.fused.deviation).all()


@pytest.mark.slow
def test_regimes_teach_what_their_rows_teach_without_the_offsets(model):
    plainly = scaled(model.scaling, healthy.rows(TRAINING))
    offsets = np.array([[0.0, 0.0, 0.0, 0.0, 0.0], [30.0, -30.0, 30.0, 30.0, 30.0]])
    sticky = np.array([[0.99, 0.01], [0.01, 0.99]])
    two = replace(model, regimes=Regimes(offsets, sticky, np.array([0.5, 0.5])))
    rows = plainly + offsets[np.arange(TRAINING) // 150 % 2]
    ways, expected = learn(two, rows), learn(model, plainly)
    assert np.array_equal(ways.persistence, expected.persistence)
    assert np.array_equal(ways.noise_factor, expected.noise_factor)
    assert ways.degrees == expected.degrees
    handicaps = experience(two, rows).handicap, experience(model, plainly).handicap
    assert handicaps[0] == pytest.approx(handicaps[1], abs=0.1)
