"""The choice finds the order that made the rows, and believes no more than held-out rows do."""

import numpy as np
import pytest

from gateway.models import order, state_space
from tests.gateway.models.dynamics import gapped, known


def drawn(model, rows):
    return state_space.sample(model, rows, np.random.default_rng(0))


@pytest.mark.slow
@pytest.mark.parametrize(("factors", "lags"), [(1, 1), (3, 0), (2, 2)])
def test_the_order_of_a_known_model_is_found(factors, lags):
    rows = drawn(known(factors, lags, 8), 2_000)
    choice = order.choose([rows[:700], rows[700:]], factors_max=8)
    assert (choice.factors, choice.lags) == (factors, lags)
    assert choice.table[factors, lags] > max(choice.table.values()) - 3 * order.EVIDENCE_MIN
    assert choice.values == rows.size


@pytest.mark.slow
def test_a_number_between_two_rungs_is_found():
    choice = order.choose([drawn(known(7, 1, 16), 1_500)], factors_max=16, lags_max=1)
    assert (choice.factors, choice.lags) == (7, 1)


def test_independent_noise_has_no_factors():
    rows = np.random.default_rng(0).normal(size=(600, 4))
    choice = order.choose([rows], factors_max=4)
    assert (choice.factors, choice.lags) == (0, 0)


@pytest.mark.slow
def test_missing_values_do_not_count_as_held_out():
    rows = gapped(drawn(known(1, 1, 4), 100), 0.2)
    choice = order.choose([rows], factors_max=1, lags_max=1)
    assert choice.values == (~np.isnan(rows)).sum()
    assert choice.factors == 1


def test_of_long_recordings_pieces_are_used_and_fewer_where_rows_have_gaps():
    rows = np.random.default_rng(0).normal(size=(5_000, 2))
    whole = order.choose([rows], factors_max=0)
    assert whole.values == 2 * order.ROWS_MAX
    rows[::10, 0] = np.nan
    gapped_choice = order.choose([rows], factors_max=0)
    assert gapped_choice.values == 1.9 * order.ROWS_MAX_GAPPED


def test_too_few_rows_choose_nothing():
    assert order.choose([np.zeros((20, 5))], factors_max=5) == order.Choice(0, 0, {}, 0)


def test_few_rows_of_many_signals_keep_the_model_small():
    rows = np.random.default_rng(0).normal(size=(60, 40))
    choice = order.choose([rows], factors_max=40)
    assert choice.factors == 0
    assert all(factors * max(lags, 1) <= 8 for factors, lags in choice.table)


@pytest.mark.slow
def test_no_more_than_was_allowed_is_tried():
    rows = drawn(known(3, 2, 5), 200)
    choice = order.choose([rows], factors_max=2, lags_max=1)
    assert max(factors for factors, _ in choice.table) <= 2
    assert max(lags for _, lags in choice.table) <= 1
    assert choice.lags == 1


def test_white_factors_alone_can_be_asked_for():
    choice = order.choose([drawn(known(2, 0, 6), 300)], factors_max=6, lags_max=0)
    assert choice.lags == 0
    assert choice.factors == 2
