"""Change points: both ends of a fault, once each, and nothing of what was always so."""

import numpy as np
import pytest

from gateway.models import change, state_space
from gateway.models.change import AFTER, BEFORE, PAUSE, ROWS, Changes
from gateway.models.evidence import SHIFTS
from gateway.models.evidence_steps import Law
from tests.gateway.models import assets


def steps(noise, drift=0.0, is_slow=None):
    """Return level laws of rows with this noise (u,)."""
    noise = np.asarray(noise, dtype=float)
    slow = np.zeros(len(noise), dtype=bool) if is_slow is None else np.asarray(is_slow)
    zeros = np.zeros(len(noise))
    return Law(noise, noise, np.full(len(noise), drift), zeros, zeros, slow)


def alone(signals=1, drift=0.0, is_slow=None):
    """Return the law of signals of unit noise that have nothing in common."""
    space = state_space.assemble(
        np.zeros((1, 1)), np.eye(1), np.zeros((signals, 1)), np.ones(signals), 0
    )
    return change.law(steps(np.ones(signals), drift, is_slow), space)


def points(law, rows, limit=6.0):
    """Return the rows at which the live side sees a change point."""
    changes = Changes(law, np.full(rows.shape[1], limit))
    return [place for place, row in enumerate(rows) if changes.step(row).any()]


@pytest.mark.parametrize(("drift", "variance"), [(0.0, 1 / 5 + 1 / 40), (0.03, 0.225 + 0.45)])
def test_the_likelihood_ratio_of_one_deviation_in_five_rows_by_hand(drift, variance):
    """Means of 5 and 40 rows of variance one; a level that wanders adds drift * 45 / 3."""
    squares = change.squares(alone(drift=drift), np.ones((len(AFTER), 1)))
    assert squares[0, 0] / 2 == pytest.approx(0.5 / variance)


def test_signals_are_weighed_given_each_other():
    law = change.law(steps(np.full(6, 2.0), 0.01), assets.SPACE)
    row = state_space.covariance(assets.SPACE)
    correlation = row / np.sqrt(np.outer(np.diag(row), np.diag(row)))
    share = 1 / AFTER[1] + 1 / BEFORE
    wander = 0.01 * (AFTER[1] + BEFORE) / 3
    precision = np.linalg.inv(2.0 * correlation * share + wander * np.eye(6))
    moved = np.random.default_rng(0).normal(size=(len(AFTER), 6))
    expected = (precision @ moved[1]) ** 2 / np.diag(precision)
    np.testing.assert_allclose(change.squares(law, moved)[1], expected)


def test_evidence_is_the_mean_of_the_density_ratios():
    squares = np.array([[9.0], [4.0], [1.0]])
    sizes = np.array(SHIFTS)
    ratios = np.exp(0.5 * squares * sizes / (1 + sizes)) / np.sqrt(1 + sizes)
    assert change.evidence(squares)[0] == pytest.approx(np.log(ratios.mean()))


def test_health_exceeds_no_more_often_than_a_bayes_factor():
    rows = np.random.default_rng(1).normal(size=(20_000, 2))
    found = change.over_rows(alone(2), rows)
    for bound in (3.0, 10.0, 30.0):
        assert ((found > np.log(bound)).mean(axis=0) <= 1.3 / bound).all()


def test_a_level_that_wanders_as_learnt_is_no_change():
    rng = np.random.default_rng(2)
    wander = np.cumsum(rng.normal(size=(20_000, 1)) * 0.1, axis=0)
    rows = wander + rng.normal(size=wander.shape)
    for bound in (10.0, 30.0):
        assert (change.over_rows(alone(drift=0.01), rows) > np.log(bound)).mean() <= 1.3 / bound
    assert (change.over_rows(alone(), rows) > np.log(10.0)).mean() > 0.1


@pytest.mark.parametrize("ramp", [1, 20])
def test_both_ends_of_a_fault_are_change_points(ramp):
    rows = np.random.default_rng(3).normal(size=(400, 3))
    place = np.arange(400)
    fault = np.clip((place - 150) / ramp, 0, 1) - np.clip((place - 270) / ramp, 0, 1)
    rows[:, 1] += 4.0 * fault
    first, last = points(alone(3), rows)
    assert 150 < first <= 155 + ramp
    assert 270 < last <= 275 + ramp


def test_a_large_step_is_found_after_few_rows_and_a_small_one_after_all():
    rows = np.zeros((200, 1))
    delays = []
    for size in (20.0, 5.0, 2.0):
        rows[100:] = size
        delays.append(points(alone(), rows)[0] - 100)
    assert delays[0] <= 3
    assert delays[0] < delays[1] < delays[2] <= AFTER[-1] + 1


def test_a_long_ramp_is_a_change_again_and_again_with_pauses():
    rows = np.zeros((700, 1))
    rows[200:500, 0] = np.arange(300) * 0.5
    found = points(alone(), rows)
    assert len(found) >= 4
    assert (np.diff(found) >= PAUSE).all()


def test_one_spike_is_no_change_and_two_rows_are_not_a_spike():
    rows = np.random.default_rng(4).normal(size=(300, 1))
    rows[150] += 1e6
    assert points(alone(), rows) == []
    rows[151] += 1e6
    assert points(alone(), rows)


def test_slow_signals_have_no_say():
    rows = np.zeros((200, 2))
    rows[100:, 0] = 50.0
    assert points(alone(2, is_slow=[True, False]), rows) == []
    assert points(alone(2, is_slow=[False, True]), rows)


def test_missing_values_say_nothing_and_hide_nothing():
    rows = np.random.default_rng(5).normal(size=(300, 2))
    rows[:150:3, 0] = np.nan
    rows[200:, 1] = np.nan
    assert points(alone(2), rows) == []
    rows[150:, 0] += 4.0
    assert len(points(alone(2), rows)) == 1
    nothing = np.full((200, 2), np.nan)
    np.testing.assert_array_less(change.over_rows(alone(2), nothing), 0.0)


def test_after_a_gap_nothing_is_just_now():
    changes = Changes(alone(), np.full(1, 6.0))
    for _ in range(ROWS + 5):
        changes.step(np.zeros(1))
    changes.forget()
    assert not any(changes.step(np.full(1, 9.0)).any() for _ in range(2 * ROWS))


def test_row_by_row_is_all_at_once():
    law = change.law(steps(np.ones(6)), assets.SPACE)
    rows = np.random.default_rng(6).normal(size=(150, 6))
    rows[70, 2], rows[90, 3] = np.nan, 50.0
    at_once = change.over_rows(law, rows)
    changes = Changes(law, np.zeros(6))
    for row in rows[: ROWS + 1]:
        changes.step(row)
    for place, row in enumerate(rows[ROWS + 1 :], start=1):
        changes.step(row)
        np.testing.assert_allclose(changes._weigh(), at_once[place], atol=1e-9)
