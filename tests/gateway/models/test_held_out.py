"""Intervals are widened by what held-out rows say, and by no more than that."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from gateway.models import held_out
from gateway.models.held_out import Surprises
from tests.gateway.models import assets


def counts(errors):
    """Return counts (1, bins) of errors."""
    return held_out._counted(np.asarray(errors)[:, None])


@pytest.mark.parametrize("true", [0.8, 1.0, 2.0])
def test_many_errors_set_the_factor(true):
    errors = true * stats.t(9).rvs(40_000, random_state=0)
    assert held_out.widening(counts(errors), 9.0, 20)[0] == pytest.approx(true, rel=0.03)


def test_few_errors_are_drawn_to_those_of_all_signals_and_these_to_one():
    rng = np.random.default_rng(0)
    wild, calm = counts(3.0 * rng.normal(size=60)), counts(rng.normal(size=4000))
    found = held_out.widening(np.vstack([wild, *[calm] * 9]), 1e6, 20)
    assert 1.05 < found[0] < 2.0
    alone = held_out.widening(wild, 1e6, 20)
    assert 1.0 < alone[0] < 1.6


def test_a_signal_that_was_not_asked_for_gets_the_factor_of_all():
    errors = counts(2.0 * np.random.default_rng(0).normal(size=8000))
    found = held_out.widening(np.vstack([errors, np.zeros_like(errors)]), 1e6, 20)
    assert found[1] == pytest.approx(2.0, rel=0.1)


def test_no_errors_at_all_widen_nothing():
    assert held_out.widening(np.zeros((2, len(counts([1.0])[0]))), 9.0, 20).tolist() == [1.0, 1.0]


def test_counts_of_two_parts_add_up_and_gaps_count_nowhere():
    both = counts([0.5, np.nan, 3.0, 1e9])
    assert both.sum() == 3
    assert both[0, -1] == 1
    merged = Surprises(both, both).merged(Surprises(both, 0 * both))
    assert merged.conditional.sum() == 6
    assert merged.forecast.sum() == 3


def test_head_and_tail_are_neighbours():
    rows = np.arange(10.0)[:, None]
    head, tail = held_out.split(rows)
    np.testing.assert_array_equal(np.vstack([head, tail]), rows)
    assert len(head) == 6


@pytest.mark.slow
def test_a_model_too_sure_of_itself_is_found_out():
    model = assets.model(assets.rows(400), order=(2, 1))
    sure = replace(model, conditional_widening=np.full(6, 0.5), forecast_widening=np.full(6, 0.5))
    head, tail = assets.rows(200, seed=5), assets.rows(400, seed=6)
    found = held_out.surprises(sure, head, tail)
    factor = held_out.widening(found.conditional, model.degrees, 20)
    assert np.median(factor) > 1.3
