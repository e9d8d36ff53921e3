"""The live model: exact with gaps, additive, quiet on healthy rows, loud on shifts, honest."""

import numpy as np
import pytest

from gateway.models.linear_gaussian import fit
from gateway.models.linear_tracker import RENEWAL_ROWS, Habits, Tracker
from tests.gateway.models import healthy

WINDOW = 20
TRAINING = 400


@pytest.fixture(scope="module")
def model():
    return fit(healthy.rows(TRAINING), WINDOW, 0.25)


def covariance_of(model):
    """Return the row covariance a fresh tracker uses, in the signals' units."""
    aged = model.level_covariance + RENEWAL_ROWS * np.diag(model.drift)
    return (model.row_covariance + aged) * np.outer(model.scale, model.scale)


@pytest.mark.parametrize("missing", [(), (0,), (1, 3), (0, 1, 2, 3), (0, 1, 2, 3, 4)])
def test_prediction_and_density_are_those_of_the_gaussian_with_the_gaps_marginalised(
    model, missing
):
    row = healthy.rows(1, seed=9)[0]
    row[list(missing)] = np.nan
    step = Tracker(model, Habits()).step(row)
    mean = model.location + model.scale * model.level
    covariance = covariance_of(model)
    for signal in range(len(row)):
        others = [s for s in range(len(row)) if s != signal and not np.isnan(row[s])]
        among = covariance[np.ix_(others, others)]
        weights = np.linalg.solve(among, covariance[others, signal])
        expected = mean[signal] + weights @ (row[others] - mean[others])
        variance = covariance[signal, signal] - weights @ covariance[others, signal]
        assert step.expected[signal] == pytest.approx(expected)
        assert step.deviation[signal] == pytest.approx(np.sqrt(variance))
    seen = [s for s in range(len(row)) if not np.isnan(row[s])]
    scaled = ((row - mean) / model.scale)[seen]
    among = (covariance / np.outer(model.scale, model.scale))[np.ix_(seen, seen)]
    _, log_determinant = np.linalg.slogdet(among)
    distance = scaled @ np.linalg.solve(among, scaled)
    normaliser = len(seen) * np.log(2 * np.pi) + log_determinant
    assert step.log_density == pytest.approx(-0.5 * (normaliser + distance))


def test_contributions_sum_to_the_score_with_and_without_gaps(model):
    tracker = Tracker(model, Habits())
    rng = np.random.default_rng(3)
    for row in healthy.rows(200, seed=4):
        row[rng.random(len(row)) < 0.2] = np.nan
        step = tracker.step(row)
        assert step.contributions.sum() == pytest.approx(step.score)
        assert step.score >= -1e-9


def test_a_window_without_gaps_weighs_the_same_on_both_ways(model):
    tracker = Tracker(model, Habits())
    for row in healthy.rows(25, seed=5):
        step = tracker.step(row)
    tracker = Tracker(model, Habits())
    for row in healthy.rows(25, seed=5):
        tracker.step(row)
    residuals = tracker._window - tracker._level
    score, contributions, signals = tracker._weigh_gaps(residuals, ~np.isnan(residuals))
    assert score == pytest.approx(step.score)
    np.testing.assert_allclose(contributions, step.contributions, atol=1e-9)
    assert signals == healthy.SIGNALS


def test_healthy_rows_are_quiet_and_predictions_cover_as_often_as_they_say(model):
    tracker = Tracker(model, Habits())
    inside, probabilities = [], []
    for row in healthy.rows(4000, seed=6):
        step = tracker.step(row)
        probabilities.append(step.probability)
        inside.append(np.abs(row - step.expected) <= 1.645 * step.deviation)
    assert np.mean(np.array(probabilities) >= 0.5) < 0.01
    assert 0.85 <= np.mean(inside) <= 0.95


@pytest.mark.parametrize("signal", range(healthy.SIGNALS))
def test_a_lasting_shift_is_loud_and_blames_its_signal(model, signal):
    tracker = Tracker(model, Habits())
    rows = healthy.rows(400, seed=7)
    rows[200:, signal] += 4 * model.scale[signal]
    steps = [tracker.step(row) for row in rows]
    assert max(step.probability for step in steps[:200]) < 0.5
    assert min(step.probability for step in steps[230:]) > 0.9
    assert np.argmax(steps[230].contributions) == signal


def test_a_single_spike_is_no_shift(model):
    tracker = Tracker(model, Habits())
    rows = healthy.rows(100, seed=8)
    rows[50] += 1000 * healthy.SCALE
    assert max(tracker.step(row).probability for row in rows) < 0.5


def test_age_grows_during_an_alarm_and_is_bounded_in_health(model):
    habits = Habits()
    tracker = Tracker(model, habits)
    for row in healthy.rows(1000, seed=9):
        tracker.step(row)
    assert tracker.age_rows <= habits.trust_rows + RENEWAL_ROWS
    for row in healthy.rows(500, seed=10) + 5 * healthy.SCALE:
        tracker.step(row)
    assert tracker.age_rows >= 500


def test_a_slow_wander_of_a_slow_channel_is_followed():
    drift = [0, 0, 0, 0.3, 0]
    rows = healthy.rows(5000, seed=11, drift=drift)
    tracker = Tracker(fit(rows[:TRAINING], WINDOW, 0.25), Habits())
    alarmed = [tracker.step(row).probability >= 0.5 for row in rows[TRAINING:]]
    assert np.mean(alarmed) < 0.02


def test_missing_rows_empty_the_window_and_age_the_model(model):
    tracker = Tracker(model, Habits())
    for row in healthy.rows(50, seed=12):
        tracker.step(row)
    wide = tracker.step(np.full(healthy.SIGNALS, np.nan)).deviation
    tracker.skip(10_000_000)
    step = tracker.step(np.full(healthy.SIGNALS, np.nan))
    assert step.score == 0.0
    assert step.probability == Habits().prior
    assert (step.deviation > wide).all()
    assert tracker.age_rows > 9_000_000


def test_skip_equals_as_many_empty_rows(model):
    skipped, stepped = Tracker(model, Habits()), Tracker(model, Habits())
    rows = healthy.rows(60, seed=13)
    for row in rows[:40]:
        skipped.step(row)
        stepped.step(row)
    skipped.skip(7)
    for _ in range(7):
        stepped.step(np.full(healthy.SIGNALS, np.nan))
    assert skipped.age_rows == stepped.age_rows
    one, other = skipped.step(rows[40]), stepped.step(rows[40])
    assert one.score == pytest.approx(other.score, rel=0.05)


def test_the_same_rows_give_the_same_bits(model):
    def trail():
        tracker = Tracker(model, Habits())
        return [tracker.step(row).probability.hex() for row in healthy.rows(300, seed=14)]

    assert trail() == trail()
