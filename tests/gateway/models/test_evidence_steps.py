"""The bank of explanations: exact on short runs, quiet in health, held in a fault."""

import math

import numpy as np
import pytest

from gateway.models import evidence_steps
from gateway.models.evidence_steps import ENTRY, RETURN, SIZES, WANDER, Law

WINDOW = 20


def law(signals=1, noise=1.0, drift=1e-3, *, is_slow=False):
    return Law(
        unit=np.ones(signals),
        noise=np.full(signals, noise),
        drift=np.full(signals, drift),
        level=np.zeros(signals),
        level_variance=np.full(signals, 0.05),
        is_slow=np.full(signals, is_slow),
    )


def odds_of(found, rows):
    """Return the log odds (n, u) of rows (n, u)."""
    bank = evidence_steps.start(found)
    odds = np.empty(rows.shape)
    for place, row in enumerate(rows):
        bank = evidence_steps.step(found, bank, row)
        odds[place] = evidence_steps.log_odds(bank)
    return odds


def white(count, signals=1, seed=0):
    return np.random.default_rng(seed).normal(size=(count, signals))


def test_the_odds_of_the_first_row_are_those_of_three_densities():
    found = law()
    value = 2.5

    def log_density(variance):
        return -0.5 * (math.log(variance) + value**2 / variance)

    level = 0.05 + 1e-3
    stayed = log_density(level + 1.0) + math.log1p(-ENTRY)
    left = [log_density(level + size + 1.0) + math.log(ENTRY / len(SIZES)) for size in SIZES]
    expected = math.log(sum(map(math.exp, left))) - stayed
    assert odds_of(found, np.array([[value]]))[0, 0] == pytest.approx(expected)


def test_two_rows_equal_the_sum_over_all_their_explanations(monkeypatch):
    """Level, place and the two ways of leaving written out as joint Gaussians of both rows."""
    monkeypatch.setattr(evidence_steps, "REACH", 100.0)
    found, rows = law(), np.array([[3.0], [3.5]])
    start, drift = 0.05, 1e-3

    def joint(log_prior, covariance):
        covariance = covariance + np.eye(2)
        _, log_determinant = np.linalg.slogdet(covariance)
        away = rows[:, 0]
        return log_prior - 0.5 * (log_determinant + away @ np.linalg.solve(covariance, away))

    level = np.array([[start + drift, start + drift], [start + drift, start + 2 * drift]])
    normal, moved = [joint(2 * math.log1p(-ENTRY), level)], []
    for size in SIZES:
        enter = math.log(ENTRY / len(SIZES))
        lasting = level + size
        lasting[1, 1] += WANDER
        moved.append(joint(enter + math.log1p(-RETURN), lasting))
        moved.append(joint(enter + math.log1p(-ENTRY), level + np.diag([0.0, size])))
        normal.append(joint(enter + math.log(RETURN), level + np.diag([size, 0.0])))
    expected = np.logaddexp.reduce(moved) - np.logaddexp.reduce(normal)
    # A level that was left is kept without the row that was away from it: a hair's breadth.
    assert odds_of(found, rows)[1, 0] == pytest.approx(expected, abs=0.05)


def test_healthy_rows_stay_below_even_odds():
    assert (odds_of(law(6), white(600, 6)) < 0.0).mean() > 0.999


@pytest.mark.parametrize("size", [-8.0, 4.0, 1000.0])
def test_a_jump_is_held_while_it_lasts_and_let_go_when_it_ends(size):
    rows = white(700, seed=1)
    rows[200:500] += size
    odds = odds_of(law(), rows)[:, 0]
    assert odds[:200].max() < 0.0
    assert odds[215:500].min() > 0.0
    assert odds[520:].max() < 0.0


def test_a_small_jump_is_found_but_not_held_for_ever():
    """Two deviations: in time, a wander as large as learnt explains them as well."""
    rows = white(400, seed=1)
    rows[100:] += 2.0
    odds = odds_of(law(), rows)[:, 0]
    assert odds[:100].max() < 0.0
    assert odds[110:130].min() > 0.0


def test_a_spike_of_any_size_is_no_jump():
    rows = white(100, seed=2)
    rows[50] = 1e6
    odds = odds_of(law(), rows)[:, 0]
    assert odds[51:].max() < 0.0
    assert odds.max() < 0.0


def test_a_wander_as_learnt_is_followed_and_the_same_wander_unlearnt_is_not():
    rng = np.random.default_rng(3)
    wander = np.cumsum(rng.normal(size=(700, 1)) * 0.1, axis=0)
    rows = wander + rng.normal(size=(700, 1))
    assert (odds_of(law(drift=0.01), rows) > 0.0).mean() < 0.02
    assert (odds_of(law(drift=2e-4), rows) > 0.0).mean() > 0.1


def test_a_slow_signal_is_never_said_to_have_moved():
    rows = white(100, seed=4)
    rows[50:] += 50.0
    assert odds_of(law(is_slow=True), rows).max() == evidence_steps.ODDS_MIN


def test_a_missing_value_says_nothing_and_only_lets_time_pass():
    found, rows = law(2), white(60, 2, seed=5)
    rows[30:40, 1] = np.nan
    bank = evidence_steps.start(found)
    for row in rows[:40]:
        bank = evidence_steps.step(found, bank, row)
    whole = odds_of(found, rows)
    assert np.isfinite(whole).all()
    levels, variances = evidence_steps.levels(bank)
    assert variances[1] > variances[0]
    assert abs(levels).max() < 1.0


def test_age_widens_levels_by_the_drift_it_is_given():
    found = law()
    bank = evidence_steps.start(found)
    aged = evidence_steps.age(found, bank, 500, np.array([1e-5]))
    mean, variance = evidence_steps.levels(aged)
    assert mean[0] == 0.0
    assert variance[0] == pytest.approx(0.05 + 500 * 1e-5)


@pytest.mark.parametrize("rows", [1, 2, 30, 500])
def test_rows_skipped_are_rows_without_values(rows):
    """Odds are those of the two-state chain, from a signal that is away and from one at home."""
    found, seen = law(2), white(60, 2, seed=9)
    seen[30:, 0] += 8.0
    bank = evidence_steps.start(found)
    for row in seen:
        bank = evidence_steps.step(found, bank, row)
    before = 1.0 / (1.0 + np.exp(-evidence_steps.log_odds(bank)))
    nothing, one_by_one = np.full(2, np.nan), bank
    for _ in range(rows):
        one_by_one = evidence_steps.step(found, one_by_one, nothing, found.drift)
    at_once = evidence_steps.age(found, bank, rows, found.drift)
    rest = ENTRY / (ENTRY + RETURN)
    away = rest + (before - rest) * (1.0 - ENTRY - RETURN) ** rows
    expected = np.log(away / (1.0 - away))
    np.testing.assert_allclose(evidence_steps.log_odds(one_by_one), expected, rtol=1e-6)
    np.testing.assert_allclose(evidence_steps.log_odds(at_once), expected, rtol=1e-6)
    for ours, theirs in zip(
        evidence_steps.levels(at_once), evidence_steps.levels(one_by_one), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0.1, atol=0.02)


def test_an_endless_gap_is_bounded_and_leaves_a_bank_that_works():
    found = law(2, drift=0.01)
    bank = evidence_steps.start(found)
    for _ in range(3):
        bank = evidence_steps.age(found, bank, 10**15, np.array([1e-3, 1e6]))
    _, variance = evidence_steps.levels(bank)
    assert (variance <= 1e6 + 1.0).all()
    assert np.isfinite(bank.normal).all()
    assert np.isfinite(bank.moved).all()
    bank = evidence_steps.step(found, bank, np.array([300.0, -300.0]))
    assert (evidence_steps.log_odds(bank) < 0.0).all()


def test_a_level_that_nobody_watches_ages_by_the_drift_that_was_learnt():
    found, row = law(2), np.array([0.0, np.nan])
    bank = evidence_steps.step(found, evidence_steps.start(found), row, np.full(2, 1e-6))
    assert evidence_steps.levels(bank)[1][1] == pytest.approx(0.05 + 1e-6)


def test_a_slow_signal_has_not_left_after_a_gap_either():
    found = law(is_slow=True)
    bank = evidence_steps.age(found, evidence_steps.start(found), 10_000, found.drift)
    assert evidence_steps.log_odds(bank)[0] == evidence_steps.ODDS_MIN


def test_a_signal_without_a_value_has_a_law_that_anything_obeys():
    rows = white(200, 2, seed=10)
    rows[:, 1] = np.nan
    found = evidence_steps.learn(rows, WINDOW)
    assert all(np.isfinite(each).all() for each in found)
    assert found.is_slow.tolist() == [False, True]
    alone = evidence_steps.learn(rows[:, :1], WINDOW)
    np.testing.assert_allclose([each[0] for each in found], [each[0] for each in alone])


def test_the_law_of_known_rows_is_learnt():
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(2000, 3)) * [1.0, 2.0, 1.0]
    rows[:, 2] += np.cumsum(rng.normal(size=2000))
    rows[77, 0] = 1e9
    rows[100:110, 1] = np.nan
    found = evidence_steps.learn(rows, WINDOW)
    np.testing.assert_allclose(found.unit[:2], [1.0, 4.0], rtol=0.1)
    np.testing.assert_allclose(found.noise[:2], [1.0, 4.0], rtol=0.3)
    assert (found.drift[:2] < 2e-3 * found.unit[:2]).all()
    assert 0.5 < found.drift[2] < 2.0
    assert found.is_slow.tolist() == [False, False, True]
    assert abs(found.level[0]) < 0.3


def test_the_same_odds_in_other_units_and_for_any_neighbour():
    rows = white(200, seed=7)
    rows[100:] += 3.0
    one = odds_of(law(), rows)
    beside = odds_of(law(3), np.hstack([rows, white(200, 2, seed=8)]))
    np.testing.assert_allclose(beside[:, 0], one[:, 0], atol=1e-9)
    plain = evidence_steps.learn(rows[:100], WINDOW)
    large = evidence_steps.learn(1e3 * rows[:100], WINDOW)
    np.testing.assert_allclose(odds_of(large, 1e3 * rows), odds_of(plain, rows), atol=1e-6)
