"""What a model answers is the exact Gaussian answer, in own units, with intervals that hold."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.models import centring, drift, regimes, state_space, twin_model
from gateway.models.belonging import check, strangers
from gateway.models.scaling import Scaling
from gateway.models.twin_model import TwinModel, WrongModelError
from tests.gateway.models import assets


def true_model(**changes):
    """Return the model that makes `assets.rows`, without a fit; signal 3 takes no part if asked."""
    ones = np.ones(6)
    model = TwinModel(
        asset="pump",
        signals=assets.SIGNALS,
        units=assets.UNITS,
        period_ns=assets.PERIOD_NS,
        scaling=Scaling(assets.LOCATION, assets.SCALE, ones > 0, 0.0 * ones),
        state_space=assets.SPACE,
        regimes=regimes.single(6),
        drift=0.0 * ones,
        level=0.0 * ones,
        level_variance=1e-12 * ones,
        long_run=ones,
        is_slow=ones < 0,
        tail=np.full((19, 6), np.nan),
        degrees=1e9,
        conditional_widening=ones,
        forecast_widening=ones,
        calibration=None,
        facts={},
    )
    return replace(model, **changes)


def joint(rows):
    """Return the covariance (rows * 6, rows * 6) of rows of the known model, scaled."""
    lags = [state_space.autocovariance(assets.SPACE, lag) for lag in range(rows)]
    return np.block(
        [[lags[i - j] if i >= j else lags[j - i].T for j in range(rows)] for i in range(rows)]
    )


def given(law, values):
    """Return mean and deviation of what is NaN in values (n,) given the rest, by brute force."""
    seen = ~np.isnan(values)
    gain = np.linalg.solve(law[np.ix_(seen, seen)], law[np.ix_(seen, ~seen)]).T
    rest = law[np.ix_(~seen, ~seen)] - gain @ law[np.ix_(seen, ~seen)]
    return gain @ values[seen], np.sqrt(np.diag(rest))


ROWS = 8


@pytest.fixture
def rows():
    return assets.rows(ROWS, seed=3)


def scaled(rows):
    return (rows - assets.LOCATION) / assets.SCALE


def test_the_density_of_all_rows_is_that_of_the_joint_gaussian(rows):
    rows[2, 1] = rows[5, :] = np.nan
    found = twin_model.log_predictive_density(true_model(), rows)
    values = scaled(rows).ravel()
    seen = ~np.isnan(values)
    law = joint(ROWS)[np.ix_(seen, seen)]
    far = values[seen] @ np.linalg.solve(law, values[seen])
    scale = np.log(np.broadcast_to(assets.SCALE, rows.shape).ravel()[seen]).sum()
    assert found.shape == (ROWS,)
    assert found[5] == 0.0
    expected = -0.5 * (far + np.linalg.slogdet(2 * np.pi * law)[1]) - scale
    assert found.sum() == pytest.approx(expected, abs=1e-6)


def test_the_density_does_not_look_ahead(rows):
    whole = twin_model.log_predictive_density(true_model(), rows)
    changed = rows.copy()
    changed[5:] += 3 * assets.SCALE
    np.testing.assert_array_equal(
        twin_model.log_predictive_density(true_model(), changed)[:5], whole[:5]
    )


def test_what_is_missing_is_filled_in_exactly(rows):
    hidden = rows.copy()
    hidden[2, 1] = hidden[3, 1] = hidden[6, :] = np.nan
    found = twin_model.impute(true_model(), hidden)
    is_hidden = np.isnan(hidden)
    mean, deviation = given(joint(ROWS), scaled(hidden).ravel())
    np.testing.assert_allclose(scaled(found.mean)[is_hidden], mean, atol=1e-6)
    scale = np.broadcast_to(assets.SCALE, rows.shape)[is_hidden]
    np.testing.assert_allclose(found.deviation[is_hidden] / scale, deviation, rtol=1e-6)
    np.testing.assert_array_equal(found.mean[~is_hidden], rows[~is_hidden])
    assert not found.deviation[~is_hidden].any()


def test_a_virtual_sensor_is_exact_and_blind_to_its_targets(rows):
    found = twin_model.virtual(true_model(), rows, ["pressure", "voltage"])
    last = scaled(rows)
    last[:, [1, 5]] = np.nan
    values = last.ravel()
    # Targets of earlier rows are unknown too, so that only those of the last row are compared.
    mean, deviation = given(joint(ROWS), values)
    np.testing.assert_allclose(
        (found.mean[-1] - assets.LOCATION[[1, 5]]) / assets.SCALE[[1, 5]], mean[-2:], atol=1e-6
    )
    np.testing.assert_allclose(
        found.deviation[-1] / assets.SCALE[[1, 5]], deviation[-2:], rtol=1e-6
    )
    rows[:, [1, 5]] = 1e9
    again = twin_model.virtual(true_model(), rows, ["pressure", "voltage"])
    np.testing.assert_array_equal(again.mean, found.mean)


def test_a_forecast_is_exact(rows):
    found = twin_model.forecast(true_model(), rows[:5], 3)
    values = np.concatenate([scaled(rows[:5]).ravel(), np.full(18, np.nan)])
    mean, deviation = given(joint(ROWS), values)
    np.testing.assert_allclose(scaled(found.mean).ravel(), mean, atol=1e-6)
    np.testing.assert_allclose((found.deviation / assets.SCALE).ravel(), deviation, rtol=1e-6)


def test_a_forecast_from_nothing_is_the_stationary_law():
    found = twin_model.forecast(true_model(), np.empty((0, 6)), 2)
    deviation = assets.SCALE * np.sqrt(np.diag(state_space.covariance(assets.SPACE)))
    np.testing.assert_allclose(found.deviation, [deviation, deviation])
    np.testing.assert_allclose(found.mean, [assets.LOCATION, assets.LOCATION])


@pytest.mark.slow
def test_forecasts_of_many_origins_are_those_one_by_one():
    model = assets.model(assets.rows(400), order=(2, 1))
    later = assets.rows(130, seed=9)
    origins, found = twin_model.forecasts(model, later, 5)
    assert origins.tolist() == [19, 39, 59, 79, 99, 119]
    for place, origin in enumerate(origins):
        one = twin_model.forecast(model, later[: origin + 1], 5)
        np.testing.assert_allclose(found.mean[place], one.mean[-1], rtol=1e-9)
        np.testing.assert_allclose(found.deviation[place], one.deviation[-1], rtol=1e-6)


def test_a_drifting_level_widens_with_age():
    model = true_model(drift=np.full(6, 0.01))
    found = twin_model.forecast(model, np.empty((0, 6)), 400).deviation / assets.SCALE
    law = np.diag(state_space.covariance(assets.SPACE))
    np.testing.assert_allclose(found[-1], np.sqrt(law + 4.0), rtol=1e-6)


def test_smoothed_rows_have_less_noise_than_measured_ones():
    rows = assets.rows(300)
    found = twin_model.smooth(true_model(), rows)
    rest = (rows - found.mean) / assets.SCALE
    assert np.all(rest.std(axis=0) < 1.1 * np.sqrt(assets.NOISE))
    assert found.factors.shape == (300, 2)
    assert found.regimes.shape == (300, 1)


def test_samples_have_the_spectra_and_cross_correlations_of_the_model():
    rows = scaled(twin_model.sample(true_model(), 20_000, np.random.default_rng(0)))
    for lag in (0, 1, 4):
        found = rows[lag:].T @ rows[: len(rows) - lag] / (len(rows) - lag)
        true = state_space.autocovariance(assets.SPACE, lag)
        np.testing.assert_allclose(found, true, atol=0.12)


def test_samples_repeat_with_the_generator_and_take_all_regimes():
    kinds = regimes.Regimes(
        np.array([np.zeros(6), np.full(6, 20.0)]),
        np.array([[0.9, 0.1], [0.3, 0.7]]),
        np.ones(2) / 2,
    )
    model = true_model(regimes=kinds)
    one, two = (twin_model.sample(model, 500, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    is_high = scaled(one)[:, 3] > 10
    assert 0.1 < is_high.mean() < 0.4


def test_regimes_are_followed_and_hidden_signals_follow_them():
    modes = np.array([12.0, -9.0, 15.0, 0.0, 0.0, 0.0])
    kinds = regimes.Regimes(
        np.array([np.zeros(6), modes]), np.array([[0.98, 0.02], [0.02, 0.98]]), np.ones(2) / 2
    )
    model = true_model(regimes=kinds, level_variance=np.full(6, 0.01))
    rows = assets.rows(400, modes=modes)
    chain = twin_model.smooth(model, rows).regimes
    np.testing.assert_array_equal(chain.argmax(axis=1), assets.turns(400))
    found = twin_model.virtual(model, rows, ["current"])
    error = (rows[:, 2] - found.mean[:, 0]) / found.deviation[:, 0]
    assert np.median(np.abs(error)) < 1.0
    ahead = twin_model.forecast(model, rows, 300)
    assert ahead.deviation[-1, 2] / assets.SCALE[2] > 7.0


@pytest.mark.slow
def test_a_signal_that_takes_no_part_has_no_answer():
    rows = assets.rows(400)
    rows[:, 3] = 1.5
    model = assets.model(rows, order=(2, 1))
    rows[7, 3] = np.nan
    filled = twin_model.impute(model, rows)
    assert np.isnan(filled.mean[7, 3])
    assert filled.mean[8, 3] == 1.5
    assert np.isnan(twin_model.forecast(model, rows, 2).mean[:, 3]).all()
    assert np.isnan(twin_model.sample(model, 5, np.random.default_rng(0))[:, 3]).all()


def test_infinite_values_are_missing_ones(rows):
    spoilt, hidden = rows.copy(), rows.copy()
    spoilt[3, 2], hidden[3, 2] = np.inf, np.nan
    model = true_model()
    np.testing.assert_array_equal(
        twin_model.log_predictive_density(model, spoilt),
        twin_model.log_predictive_density(model, hidden),
    )
    assert np.isfinite(twin_model.impute(model, spoilt).mean).all()


def test_intervals_are_student_and_symmetric():
    model = true_model(degrees=5.0)
    low, high = twin_model.interval(model, np.array([1.0]), np.array([2.0]), 0.9)
    assert high[0] - 1.0 == pytest.approx(2.0 * 2.01505, rel=1e-4)
    assert low[0] + high[0] == pytest.approx(2.0)


def test_the_end_of_other_rows_moves_level_and_tail_only():
    model = true_model(level_variance=np.full(6, 100.0))
    rows = assets.rows(400) + 5 * assets.SCALE
    here = twin_model.at_end(model, rows)
    np.testing.assert_allclose(here.level, 5.0, atol=1.0)
    np.testing.assert_allclose(here.tail, scaled(rows[-19:]))
    assert here.state_space is model.state_space


def test_the_noise_of_a_mean_is_that_of_the_model():
    table = centring.mean_noise(assets.SPACE, np.ones(6), 20)
    law = joint(3)
    picks = np.kron(np.ones((1, 3)) / 3, np.eye(6))
    np.testing.assert_allclose(table[3], np.diag(picks @ law @ picks.T))


def test_levels_are_not_looked_up_ahead():
    law = centring.Law(assets.SPACE, regimes.single(6), np.full(6, 0.01), np.ones(6), 20)
    rows = scaled(assets.rows(100))
    changed = rows.copy()
    changed[40:] += 9.0
    start = centring.Standing(np.zeros(6), np.ones(6))
    whole = centring.centre(law, start, rows, is_causal=True)
    other = centring.centre(law, start, changed, is_causal=True)
    np.testing.assert_array_equal(whole.centre[:60], other.centre[:60])
    assert np.all(other.centre[99] > whole.centre[99])


def test_blocks_are_smoothed_to_rows_between_their_middles():
    blocks = np.array([[0.0], [10.0]])
    assert drift.rowwise(blocks, 8, 4)[:, 0].tolist() == [0, 0, 1.25, 3.75, 6.25, 8.75, 10, 10]


def test_rows_of_another_width_and_unknown_targets_are_refused():
    with pytest.raises(WrongModelError, match=r"shape \(3, 5\).*flow, pressure"):
        twin_model.forecast(true_model(), np.zeros((3, 5)), 1)
    with pytest.raises(
        WrongModelError, match="signal flaw is not in the model of pump; it has flow"
    ):
        twin_model.virtual(true_model(), assets.rows(3), ["flaw"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"asset": "fan"}, "model is of pump, not of fan"),
        ({"signals": ("flow",)}, "missing pressure, current"),
        ({"units": ("m3/s", "bar", "A", "m/s2", "K", "V")}, "pressure is in bar, .* fitted to Pa"),
        ({"period_ns": 5}, "every 5 ns, the model was fitted to rows every 1000000000 ns"),
    ],
)
def test_a_model_of_something_else_is_refused_by_name(changes, says):
    right = {
        "asset": "pump",
        "signals": assets.SIGNALS,
        "units": assets.UNITS,
        "period_ns": assets.PERIOD_NS,
    }
    check(true_model(), **right)
    with pytest.raises(WrongModelError, match=says):
        check(true_model(), **(right | changes))


def test_a_way_of_running_never_seen_is_named():
    rows = assets.rows(100)
    assert strangers(true_model(), rows) == ()
    rows[40:, 0] += 30 * assets.SCALE[0]
    (problem,) = strangers(true_model(), rows)
    assert str(problem).startswith("flow: 3 of 5 blocks")
    kinds = regimes.Regimes(
        np.array([np.zeros(6), [30.0, 0, 0, 0, 0, 0]]), np.full((2, 2), 0.5), np.ones(2) / 2
    )
    assert strangers(true_model(regimes=kinds), rows) == ()
    assert strangers(true_model(drift=np.full(6, 0.3)), rows) == ()


def test_converted_units_are_strangers_by_name():
    rows = assets.rows(60)
    rows[:, 1] /= 1e5
    (problem,) = strangers(true_model(), rows)
    assert problem.signal == "pressure"
