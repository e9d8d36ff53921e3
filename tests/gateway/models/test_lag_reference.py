"""What is normal, what is too much, what could be seen."""

import math

import numpy as np
import pytest

from gateway.models import lag, lag_reference
from gateway.models.lag_reference import PRIOR_WINDOWS
from tests.gateway.models import lagging

CHANCE = 1e-5
ONE = np.array([0])


@pytest.fixture(scope="module", autouse=True)
def _learnt() -> None:
    """Learn the model before the first test."""
    lagging.model()


def profiles(count, seed, shift=0):
    """Return profiles of the first signal, late by `shift` rows, in windows of their own."""
    law = lag.law_of(lagging.model())
    rows = lagging.values(count * lag.WINDOW_ROWS, seed=seed)
    rows = lagging.late(rows, 0, shift, 0)
    return [
        lag.weigh(law, rows[first : first + lag.WINDOW_ROWS], [ONE])[0]
        for first in range(0, len(rows), lag.WINDOW_ROWS)
    ]


def test_a_lag_that_was_always_there_is_the_reference() -> None:
    found = lag_reference.learn(profiles(6, seed=11, shift=3), CHANCE)
    assert found.lag_rows == pytest.approx(3.0, abs=0.5)
    assert found.windows == 6


def test_the_limit_is_the_quantile_of_lomax() -> None:
    """With four windows of gain 1 and the prior of eight the law is Lomax(12, 12)."""
    limit = lag_reference.limit_of([0.0, 1.0, 0.3, 0.7], CHANCE)
    total = PRIOR_WINDOWS + 4
    assert (1.0 + limit / total) ** -total == pytest.approx(CHANCE)
    many = lag_reference.limit_of([1.0] * 10_000, CHANCE)
    assert many == pytest.approx(-math.log(CHANCE), rel=0.02)


def test_few_or_restless_windows_make_the_limit_high() -> None:
    calm = lag_reference.limit_of([0.5] * 20, CHANCE)
    assert lag_reference.limit_of([0.5] * 3, CHANCE) > calm
    assert lag_reference.limit_of([4.0] * 20, CHANCE) > 2.0 * calm
    assert math.isinf(lag_reference.limit_of([], CHANCE))


def test_what_is_called_detectable_is_found_in_most_windows() -> None:
    learnt = lag_reference.learn(profiles(16, seed=12), CHANCE)
    shift = learnt.detectable_rows[0]
    assert shift is not None
    assert shift <= 6.0
    seen = [
        lag_reference.held_against(learnt, each)
        for each in profiles(20, seed=13, shift=math.ceil(shift))
    ]
    assert np.mean([each.gain > learnt.limits[0] for each in seen]) >= 0.8
    assert all(each.is_agreed for each in seen if each.gain > learnt.limits[0])


def test_four_windows_see_less_than_one() -> None:
    one, four = lag_reference.learn(profiles(16, seed=12), CHANCE).detectable_rows
    assert one is not None
    assert four is not None
    assert four < one


def test_health_is_not_above_the_limit() -> None:
    learnt = lag_reference.learn(profiles(8, seed=14), CHANCE)
    gains = [lag_reference.held_against(learnt, each).gain for each in profiles(40, seed=15)]
    assert max(gains) < learnt.limits[0]


def test_the_stated_deviation_of_a_lag_is_its_error() -> None:
    learnt = lag_reference.learn(profiles(16, seed=16), CHANCE)
    found = [lag_reference.held_against(learnt, each) for each in profiles(40, seed=17, shift=4)]
    near = [each for each in found if each.gain > learnt.limits[0]]
    assert len(near) >= 20
    errors = np.array([(each.lag_rows - 4.0) / each.deviation_rows for each in near])
    assert 0.4 < np.sqrt((errors**2).mean()) < 1.6


def test_a_stream_that_is_coupled_with_nothing_has_no_detectable_shift() -> None:
    law = lag.law_of(lagging.model())
    rng = np.random.default_rng(18)
    found = []
    for seed in range(6):
        rows = lagging.values(lag.WINDOW_ROWS, seed=300 + seed)
        rows[:, 0] = rng.normal(size=len(rows))
        found.append(lag.weigh(law, rows, [ONE])[0])
    assert lag_reference.learn(found, CHANCE).detectable_rows == (None, None)


@pytest.mark.parametrize("size", [0.5, 1.0, 1.2])
def test_a_signal_that_has_come_loose_is_not_late(size) -> None:
    """White noise in its place is better explained at some lag or other, but hardly."""
    learnt = lag_reference.learn(profiles(16, seed=19), CHANCE)
    law, rng = lag.law_of(lagging.model()), np.random.default_rng(20)
    found = []
    for seed in range(20):
        rows = lagging.values(lag.WINDOW_ROWS, seed=400 + seed)
        rows[:, 0] = size * rng.normal(size=len(rows))
        found.append(lag_reference.held_against(learnt, lag.weigh(law, rows, [ONE])[0]))
    assert not any(each.is_agreed and each.gain > learnt.limits[0] for each in found)


def test_nothing_is_learnt_from_nothing() -> None:
    with pytest.raises(ValueError, match="no healthy window"):
        lag_reference.learn([], CHANCE)
