"""The fit finds the model that made the rows, and refuses rows that cannot carry one."""

import numpy as np
import pytest

from gateway.models.linear_gaussian import UnfitRowsError, fit, update
from tests.gateway.models import healthy

WINDOW = 20


def test_scale_location_and_covariance_are_found():
    model = fit(healthy.rows(2000), WINDOW, 0.25)
    np.testing.assert_allclose(model.location, healthy.LOCATION, atol=0.1 * healthy.SCALE.max())
    deviation = healthy.SCALE * np.sqrt(np.diag(healthy.COVARIANCE))
    np.testing.assert_allclose(model.scale, deviation, rtol=0.06)
    root = np.sqrt(np.diag(healthy.COVARIANCE))
    correlation = healthy.COVARIANCE / np.outer(root, root)
    np.testing.assert_allclose(model.row_covariance, correlation, atol=0.12)
    assert model.order == 2
    assert model.used.all()
    assert model.degrees == 99


def test_a_slow_channel_is_told_by_the_data():
    model = fit(healthy.rows(400, drift=[0, 0, 0, 0.5, 0]), WINDOW, 0.25)
    others = np.delete(model.drift, 3)
    assert model.drift[3] > 10 * others.max()


def test_outliers_do_not_set_the_scale():
    rows = healthy.rows(400)
    spoilt = rows.copy()
    spoilt[::37, 1] += 100 * healthy.SCALE[1]
    clean, robust = fit(rows, WINDOW, 0.25), fit(spoilt, WINDOW, 0.25)
    assert robust.scale[1] < 2 * clean.scale[1]


def test_a_constant_signal_takes_no_part():
    rows = healthy.rows(400)
    rows[:, 2] = 7.25
    model = fit(rows, WINDOW, 0.25)
    assert model.used.tolist() == [True, True, False, True, True]
    assert model.row_covariance.shape == (4, 4)


def test_a_signal_that_is_never_there_takes_no_part():
    rows = healthy.rows(400)
    rows[:, 4] = np.nan
    assert fit(rows, WINDOW, 0.25).used.tolist() == [True, True, True, True, False]


def test_a_two_valued_signal_gets_a_scale_of_its_step_at_least():
    rows = healthy.rows(400)
    rows[:, 4] = np.where(np.arange(400) % 50 == 0, 33.0, 32.0)
    assert fit(rows, WINDOW, 0.25).scale[4] >= 1 / np.sqrt(12) - 1e-12


def test_gaps_in_training_are_survived():
    rows = healthy.rows(400)
    rows[::7, 0] = np.nan
    rows[40:60, 1] = np.nan
    model = fit(rows, WINDOW, 0.25)
    whole = fit(healthy.rows(400), WINDOW, 0.25)
    np.testing.assert_allclose(model.row_covariance, whole.row_covariance, atol=0.2)
    assert np.isfinite(model.level).all()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (healthy.rows(99), "99 training rows of 5 signals are too few; at least 100"),
        (np.zeros((400, 5)), "no signal varies"),
        (np.full((400, 5), np.nan), "no signal varies"),
        (np.random.default_rng(0).normal(size=(110, 200)), "at least 201"),
    ],
)
def test_rows_that_cannot_carry_a_model_are_refused(rows, says):
    with pytest.raises(UnfitRowsError, match=says):
        fit(rows, WINDOW, 0.25)


def test_too_many_gaps_are_refused():
    rows = healthy.rows(400)
    rows[::3, 0] = np.nan
    rows[1::3, 1] = np.nan
    with pytest.raises(UnfitRowsError, match="are complete"):
        fit(rows, WINDOW, 0.25)


def test_update_equals_the_information_form_and_ignores_nan():
    rng = np.random.default_rng(0)
    root, noise = rng.normal(size=(3, 3)), np.diag([0.5, 1.0, 2.0])
    before = root @ root.T + np.eye(3)
    level, measured = np.zeros(3), np.array([1.0, np.nan, -2.0])
    after, covariance = update(level, before, measured, noise)
    information = np.linalg.inv(before) + np.diag([2.0, 0.0, 0.5])
    np.testing.assert_allclose(covariance, np.linalg.inv(information))
    np.testing.assert_allclose(after, covariance @ np.array([2.0, 0.0, -1.0]))
    same, _ = update(level, before, np.full(3, np.nan), noise)
    assert same is level


def test_the_same_rows_give_the_same_bits():
    first, second = (fit(healthy.rows(400), WINDOW, 0.25) for _ in range(2))
    for name in ("row_covariance", "long_run_covariance", "drift", "level"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
