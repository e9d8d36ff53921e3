"""Limits keep the agreed rate, look at healthy rows alone, and know whether levels wander."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.models import calibration, evidence_steps
from gateway.models.calibration import calibrate
from gateway.models.scaling import UnfitRowsError
from gateway.models.tracker import Habits, Tracker
from tests.gateway.models import assets

TRAINING = 400


@pytest.fixture(scope="module")
def model():
    return assets.model(assets.rows(TRAINING), order=(2, 1))


@pytest.fixture(scope="module")
def limits(model):
    return calibrate(model, assets.rows(TRAINING), 1.0)


def test_what_was_agreed_and_on_how_many_rows_is_kept(limits):
    assert limits.false_alarms_per_hour == 1.0
    assert limits.rows == TRAINING
    assert limits.step_limits.shape == (6,)
    assert limits.joint_limits.shape == (2,)
    assert limits.spectrum_limits.shape == limits.change_limits.shape == (6,)
    assert (limits.step_limits >= np.log(3600 / TRAINING) - 1e-9).all()


def test_ten_times_fewer_false_alarms_cost_log_ten_times_the_scale_that_was_seen(model, limits):
    rarer = calibrate(model, assets.rows(TRAINING), 0.1)
    scales = np.split(limits.alarm_tail.scale, [6, 8, 14])
    for name, scale in zip(("step", "joint", "spread", "spectrum"), scales, strict=True):
        moved = getattr(rarer, f"{name}_limits") - getattr(limits, f"{name}_limits")
        np.testing.assert_allclose(moved, np.log(10.0) * scale)
    moved = rarer.change_limits - limits.change_limits
    np.testing.assert_allclose(moved, np.log(10.0) * limits.change_tail.scale)


@pytest.mark.slow
@pytest.mark.parametrize("drift", [None, np.full(6, 0.05)])
def test_the_set_point_is_kept_on_new_healthy_rows(drift):
    """Twelve an hour is two in 600 rows; a Poisson number of that mean is below seven.

    An alarm is what the judge makes of it: three rows in a row, one while pauses are short.
    """
    rows = assets.rows(TRAINING + 600, 4, drift=drift)
    found = assets.model(rows[:TRAINING], order=(2, 1))
    found = replace(found, calibration=calibrate(found, rows[:TRAINING], 12.0))
    tracker = Tracker(found, Habits())
    steps = [tracker.step(row) for row in rows[TRAINING:]]
    above = np.array([step.probability >= 0.5 for step in steps])
    lasting = np.flatnonzero(above[2:] & above[1:-1] & above[:-2])
    assert int((np.diff(lasting) > 20).sum()) + bool(len(lasting)) < 7
    assert sum(step.change > 0.0 for step in steps) < 7


@pytest.mark.slow
def test_levels_are_followed_where_they_wander_and_fixed_where_they_do_not(limits):
    assert limits.joint is not None
    assert not limits.joint.follows_levels
    wandering = assets.rows(TRAINING, seed=3, drift=np.full(6, 0.2))
    found = calibrate(assets.model(wandering, order=(2, 1)), wandering)
    assert found.joint is not None
    assert found.joint.follows_levels


def test_a_signal_that_jumps_in_training_gets_a_higher_limit(model, limits):
    rows = assets.rows(TRAINING)
    rows[330:360, 3] += 6 * assets.SCALE[3]
    jumpy = calibrate(model, rows, 1.0)
    assert jumpy.step_limits[3] > limits.step_limits[3] + 3.0


def test_few_rows_for_many_signals_leave_the_joint_evidence_out(monkeypatch, model):
    monkeypatch.setattr(calibration.joint_law, "_ROWS_PER_REGRESSOR", 100)
    found = calibrate(model, assets.rows(TRAINING))
    assert found.joint is None
    assert np.isfinite(found.joint_limits).all()


def test_a_joint_law_that_is_left_out_is_said_in_words(model):
    whole = replace(model, calibration=calibrate(model, assets.rows(TRAINING)))
    assert calibration.problems(whole) == ()
    assert calibration.problems(model) == ()
    rows = assets.rows(TRAINING)
    rows[np.random.default_rng(2).random(rows.shape) < 0.3] = np.nan
    thin = replace(model, calibration=calibrate(model, rows))
    assert thin.calibration.joint is None
    (problem,) = calibration.problems(thin)
    facts = calibration.calibrated(replace(model, facts={"problems": ["s0: odd"]}), rows, 1.0).facts
    assert facts["problems"] == ["s0: odd", problem]
    assert "together raises no alarm" in problem
    assert "fewer gaps" in problem


@pytest.mark.slow
def test_few_gaps_in_training_move_the_limits_little(model):
    rows = assets.rows(800)
    whole = calibrate(model, rows)
    rows[np.random.default_rng(3).random(rows.shape) < 0.02] = np.nan
    gaps = calibrate(model, rows)
    assert gaps.joint is not None
    np.testing.assert_allclose(gaps.joint_limits, whole.joint_limits, atol=4.0)


@pytest.fixture(scope="module")
def late():
    """Return a calibrated model of rows in which the fourth signal comes late."""
    rows = assets.rows(TRAINING)
    rows[:260, 3] = np.nan
    found = assets.model(rows, order=(2, 1))
    return replace(found, calibration=calibrate(found, rows))


def test_a_signal_that_starts_late_is_left_out_by_name_and_nothing_is_no_number(late):
    limits = late.calibration
    assert calibration.left_out(limits).tolist() == [False] * 3 + [True] + [False] * 2
    assert calibration.left_out(calibration.at_set_point(limits, 1e4)).sum() == 1
    for name in ("step", "joint", "spread", "spectrum", "change"):
        assert np.isfinite(getattr(limits, f"{name}_limits")).all()
    assert all(np.isfinite(each).all() for each in limits.steps)
    assert limits.joint is not None
    (problem,) = calibration.problems(late)
    assert "vibration raises no alarm" in problem


def test_faults_of_the_others_are_found_and_the_late_one_has_no_say(late):
    rows = assets.rows(TRAINING + 160)[TRAINING:]
    rows[60:, 1] += 8 * assets.SCALE[1]
    rows[:, 3] += 5 * assets.SCALE[3]
    tracker = Tracker(late, Habits())
    steps = [tracker.step(row) for row in rows]
    assert max(step.probability for step in steps[:60]) < 0.5
    assert min(step.probability for step in steps[75:]) > 0.9
    assert max(abs(step.contributions[3]) for step in steps) == 0.0


def test_the_last_rows_are_those_that_count(monkeypatch, model):
    monkeypatch.setattr(calibration, "ROWS_MAX", 240)
    rows = assets.rows(TRAINING)
    found = calibrate(model, rows)
    assert found.rows == 240
    law = evidence_steps.learn(
        calibration.residual(model, calibration.scaled(model.scaling, rows[-240:])), 20
    )
    np.testing.assert_array_equal(found.steps.level, law.level)


def test_rows_that_cannot_set_limits_are_refused_with_the_number_that_can(model):
    with pytest.raises(UnfitRowsError, match=r"199 rows of pump are too few.*at least 200"):
        calibrate(model, assets.rows(199))
    with pytest.raises(UnfitRowsError, match="agree on a number above zero"):
        calibrate(model, assets.rows(TRAINING), 0.0)


def test_the_offset_of_a_regime_is_taken_off(model):
    offsets = np.array([np.zeros(6), np.full(6, 12.0)])
    two = replace(
        model,
        regimes=model.regimes._replace(
            offsets=offsets, transition=np.full((2, 2), 0.5), weights=np.full(2, 0.5)
        ),
    )
    values = np.vstack([np.zeros((5, 6)), np.full((5, 6), 12.0)])
    np.testing.assert_allclose(calibration.residual(two, values), 0.0)


def test_limits_for_another_rate_are_those_of_a_new_calibration(model, limits):
    moved = calibration.at_set_point(limits, 0.1)
    fresh = calibrate(model, assets.rows(TRAINING), 0.1)
    for name in (
        "step_limits",
        "joint_limits",
        "spread_limits",
        "spectrum_limits",
        "change_limits",
    ):
        np.testing.assert_allclose(getattr(moved, name), getattr(fresh, name))
    assert (calibration.at_set_point(limits, 1e9).step_limits == 0.0).all()
