"""The chain of regimes is the exact one, and regimes are found where there are some."""

import itertools

import numpy as np
import pytest

from gateway.models import regime_fit, regimes, state_space
from gateway.models.regimes import Regimes
from tests.gateway.models import assets

MODES = np.array([12.0, -9.0, 15.0, 0.0, 0.0, 0.0])
TWO = Regimes(
    np.array([np.zeros(6), MODES]), np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0.7, 0.3])
)


def test_emissions_are_the_densities_of_the_stationary_law():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4, 6)) * 3
    rows[1, 2] = rows[2, :] = np.nan
    rows[3, 1:] = np.nan
    extra = np.full(6, 0.3)
    logs, distances = regimes.emissions(assets.SPACE, TWO.offsets, rows, extra)
    law = state_space.covariance(assets.SPACE) + np.diag(extra)
    for row, found, distance in zip(rows, logs, distances, strict=True):
        seen = ~np.isnan(row)
        among = law[np.ix_(seen, seen)]
        for kind, offset in enumerate(TWO.offsets):
            rest = (row - offset)[seen]
            far = float(rest @ np.linalg.solve(among, rest))
            constant = np.linalg.slogdet(2 * np.pi * among)[1]
            assert distance[kind] == pytest.approx(far, abs=1e-9)
            assert found[kind] == pytest.approx(-0.5 * (constant + far), abs=1e-9)


def test_the_chain_equals_the_sum_over_all_paths():
    logs = np.random.default_rng(1).normal(size=(5, 2)) * 2
    chain = regimes.forward(TWO, logs)
    smoothed, moves = regimes.backward(TWO, chain)
    total, by_row, by_move = 0.0, np.zeros((5, 2)), np.zeros((2, 2))
    for path in itertools.product(range(2), repeat=5):
        weight = TWO.weights[path[0]] * np.exp(logs[0, path[0]])
        for at, (before, after) in enumerate(itertools.pairwise(path)):
            weight *= TWO.transition[before, after] * np.exp(logs[at + 1, after])
        total += weight
        by_row[np.arange(5), path] += weight
        for before, after in itertools.pairwise(path):
            by_move[before, after] += weight
    assert chain.log_densities.sum() == pytest.approx(np.log(total))
    np.testing.assert_allclose(smoothed, by_row / total)
    np.testing.assert_allclose(moves, by_move / total)
    np.testing.assert_allclose(chain.filtered[-1], smoothed[-1])


def test_a_row_far_from_every_regime_does_not_break_the_chain():
    logs = np.array([[-1e6, -2e6], [-2e6, -1e6]])
    chain = regimes.forward(TWO, logs)
    assert np.isfinite(chain.log_densities).all()
    np.testing.assert_allclose(chain.filtered, [[1.0, 0.0], [0.0, 1.0]], atol=1e-12)


def scaled(count, seed=0, modes=None):
    return (assets.rows(count, seed, modes=modes) - assets.LOCATION) / assets.SCALE


def found(segments):
    def ask(kinds):
        parts = [regime_fit.sums(kinds, rows) for rows in segments]
        total = parts[0]
        for part in parts[1:]:
            total = total.merged(part)
        return total

    return regime_fit.candidates(ask, 6, 20)


@pytest.mark.slow
def test_two_ways_of_running_are_found_with_their_offsets_and_turns():
    first = found([scaled(1200, modes=MODES)])[0]
    offsets = first.regimes.offsets
    order = np.argsort(offsets[:, 0])
    np.testing.assert_allclose(np.diff(offsets[order], axis=0)[0], MODES, atol=0.5)
    assert np.diag(first.regimes.transition).min() > 0.95
    assigned = regime_fit.assigned(first, scaled(1200, modes=MODES))
    is_high = assigned[:, 0] > 6.0
    np.testing.assert_array_equal(is_high, assets.turns(1200) == 1)


@pytest.mark.slow
def test_rows_of_one_way_of_running_give_no_candidate():
    assert found([scaled(600)]) == []


@pytest.mark.slow
def test_sums_of_segments_find_what_the_segments_hold_together():
    rows = scaled(900, modes=MODES)
    rows[::17, 3] = np.nan
    kinds = found([rows[:300], rows[300:]])[0]
    assert len(kinds.regimes.weights) == 2


def test_too_few_complete_rows_give_no_candidate():
    rows = scaled(200, modes=MODES)
    rows[3:, 0] = np.nan
    assert found([rows]) == []


def test_one_regime_costs_nothing():
    assert regimes.single(3).offsets.shape == (1, 3)
    np.testing.assert_array_equal(
        regime_fit.assigned(regime_fit.one(6), scaled(4)), np.zeros((4, 6))
    )
