"""Living with the twin model: exact predictions, evidence that adds up, truth without the liar."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.models import evidence_steps, state_space
from gateway.models.calibration import calibrate
from gateway.models.evidence_spectrum import WINDOW_ROWS
from gateway.models.tracker import Habits, NoEvidenceError, Tracker
from tests.gateway.models import assets

TRAINING = 400


@pytest.fixture(scope="module")
def model():
    rows = assets.rows(TRAINING)
    found = assets.model(rows, order=(2, 1))
    return replace(found, calibration=calibrate(found, rows))


def steps_of(model, rows):
    tracker = Tracker(model, Habits())
    return [tracker.step(row) for row in rows]


def live(count, seed=0):
    """Return the rows that follow the training rows."""
    return assets.rows(TRAINING + count, seed)[TRAINING:]


@pytest.mark.parametrize("missing", [(), (0,), (1, 3), tuple(range(6))])
def test_the_first_prediction_is_the_conditional_of_the_state_space(model, missing):
    row = live(1)[0]
    row[list(missing)] = np.nan
    tracker = Tracker(model, Habits())
    law = model.calibration.steps
    step = tracker.step(row)
    scaled = (row - model.scaling.location) / model.scaling.scale
    spread = law.level_variance + law.drift
    mean, variance = state_space.conditional(
        model.state_space, state_space.start(model.state_space), scaled - law.level, spread
    )
    expected = model.scaling.location + model.scaling.scale * (law.level + mean)
    np.testing.assert_allclose(step.expected, expected)
    widened = model.scaling.scale * model.conditional_widening * np.sqrt(variance)
    np.testing.assert_allclose(step.deviation, widened)


def test_contributions_sum_to_the_score_with_and_without_gaps(model):
    rows = live(150)
    rows[60:, 2] += 5 * assets.SCALE[2]
    rows[np.random.default_rng(3).random(rows.shape) < 0.2] = np.nan
    for step in steps_of(model, rows):
        assert step.contributions.sum() == pytest.approx(step.score)
        assert step.score >= 0.0
        assert 0.0 <= step.probability <= 1.0


def test_healthy_rows_are_quiet_and_predictions_hold_as_often_as_they_say(model):
    rows = live(600)
    steps = steps_of(model, rows)
    assert np.mean([step.probability >= 0.5 for step in steps]) < 0.06
    assert {step.kind for step in steps if step.probability < 0.5} == {""}
    inside = [
        abs(row - s.expected) <= 1.645 * s.deviation for row, s in zip(rows, steps, strict=True)
    ]
    assert 0.85 <= np.mean(inside) <= 0.95


@pytest.mark.parametrize("signal", range(6))
def test_a_lasting_shift_is_loud_and_blames_its_signal(model, signal):
    rows = live(160)
    rows[60:, signal] += 8 * assets.SCALE[signal]
    steps = steps_of(model, rows)
    assert max(step.probability for step in steps[:60]) < 0.5
    assert min(step.probability for step in steps[75:]) > 0.9
    assert np.argmax(sum(step.contributions for step in steps[75:])) == signal
    assert {step.kind for step in steps[75:]} <= {"shift", "level"}


def test_both_ends_of_a_fault_are_change_points_and_its_middle_is_none(model):
    rows = live(400)
    rows[150:280, 2] += 6 * assets.SCALE[2]
    changes = np.flatnonzero([step.change > 0.0 for step in steps_of(model, rows)])
    assert len(changes) == 2
    assert 150 < changes[0] <= 156
    assert 280 < changes[1] <= 286


def test_a_rhythm_that_training_did_not_have_has_a_name_of_its_own(model):
    """400 rows teach little about rhythm, so the limit here is set by hand, the others far off."""
    found, far = model.calibration, np.full(6, 1e3)
    limits = replace(found, step_limits=far, joint_limits=far[:2], spread_limits=far)
    limits = replace(limits, spectrum_limits=np.full(6, -3.0))
    rows = live(300)
    rows[150:, 5] += 3 * assets.SCALE[5] * np.sin(np.arange(150) * np.pi / 2)
    steps = steps_of(replace(model, calibration=limits), rows)
    assert {step.kind for step in steps[:150]} == {""}
    found_rows = [step.scale_rows for step in steps[150 + WINDOW_ROWS :] if step.kind == "spectrum"]
    assert len(found_rows) > 0.6 * (150 - WINDOW_ROWS)
    assert set(found_rows) == {WINDOW_ROWS}


def test_what_is_given_as_true_leaves_the_liar_out_and_gets_wider(model):
    rows, truth = live(160), live(160)
    rows[60:, 0] += 10 * assets.SCALE[0]
    step, honest = steps_of(model, rows)[-1], steps_of(model, truth)[-1]
    assert abs(step.fused[0] - honest.fused[0]) < 2 * assets.SCALE[0]
    assert step.fused_deviation[0] > honest.fused_deviation[0]
    others = slice(1, None)
    np.testing.assert_array_less(
        abs(step.fused[others] - honest.fused[others]), 0.7 * assets.SCALE[others]
    )


def test_true_values_are_nearer_the_truth_than_what_was_measured(model):
    rng = np.random.default_rng(0)
    noiseless = state_space.StateSpace(*assets.SPACE)._replace(noise=np.full(6, 1e-12))
    clean = state_space.sample(noiseless, 500, rng)
    noise = rng.normal(size=clean.shape) * np.sqrt(assets.NOISE)
    steps = steps_of(model, assets.LOCATION + assets.SCALE * (clean + noise))
    fused = (np.array([step.fused for step in steps]) - assets.LOCATION) / assets.SCALE
    assert ((fused - clean)[50:] ** 2).mean() < 0.6 * (noise[50:] ** 2).mean()


def test_a_single_spike_is_over_when_it_is_over(model):
    """Only rows whose prediction it spoils, the joint law's lags, may still be loud."""
    rows = live(75)
    rows[50] += 1000 * assets.SCALE
    above = [step.probability >= 0.5 for step in steps_of(model, rows)]
    assert above[50]
    assert not any(above[:50])
    assert not any(above[50 + 4 :])


def test_missing_rows_widen_and_change_no_verdict(model):
    tracker = Tracker(model, Habits())
    for row in live(50):
        tracker.step(row)
    nothing = np.full(6, np.nan)
    before = tracker.step(nothing).deviation
    tracker.skip(10_000_000)
    step = tracker.step(nothing)
    assert (step.deviation > before).all()
    assert step.probability < 0.5
    assert tracker.age_rows == 10_000_052


@pytest.mark.parametrize("name", ["step", "spread", "spectrum", "change", "joint"])
def test_a_limit_that_is_no_number_is_refused_by_name(model, name):
    limits = getattr(model.calibration, f"{name}_limits").copy()
    limits[1] = np.nan
    broken = replace(model.calibration, **{f"{name}_limits": limits})
    signal = "joint" if name == "joint" else "pressure"
    with pytest.raises(NoEvidenceError, match=signal):
        Tracker(replace(model, calibration=broken), Habits())


def test_evidence_that_is_no_number_is_an_error(model, monkeypatch):
    monkeypatch.setattr(evidence_steps, "log_odds", lambda _: np.full(6, np.nan))
    with pytest.raises(NoEvidenceError, match="pump is no number"):
        steps_of(model, live(1))


@pytest.mark.parametrize("lost", [0, 2])
def test_a_lost_sensor_is_no_alarm(model, lost):
    rows = live(300)
    rows[50:, lost] = np.nan
    assert np.mean([step.probability >= 0.5 for step in steps_of(model, rows)]) < 0.06


def test_random_gaps_are_no_alarm(model):
    rows = live(300)
    rows[np.random.default_rng(5).random(rows.shape) < 0.1] = np.nan
    assert np.mean([step.probability >= 0.5 for step in steps_of(model, rows)]) < 0.06


@pytest.mark.parametrize("follows", [False, True])
def test_a_bias_is_found_after_a_restart_a_day_after_training(model, follows):
    """Signals that stood still in training are not expected elsewhere a day later."""
    joint = model.calibration.joint._replace(follows_levels=follows)
    still = replace(
        model,
        drift=np.full(6, 1e-6),
        calibration=replace(model.calibration, joint=joint),
    )
    rows = live(200)
    for bias, is_loud in ((0.0, False), (8.0, True)):
        tracker = Tracker(still, Habits())
        tracker.skip(86_400)
        steps = [tracker.step(row + bias * assets.SCALE * np.eye(6)[0]) for row in rows]
        share = np.mean([step.probability >= 0.5 for step in steps[20:]])
        assert share > 0.95 if is_loud else share < 0.05


def test_a_gap_of_many_rows_and_as_many_rows_of_nothing_end_alike(model):
    rows, nothing = live(100), np.full(6, np.nan)
    rows[50:, 0] += 8 * assets.SCALE[0]
    skipping, waiting = Tracker(model, Habits()), Tracker(model, Habits())
    for row in rows:
        skipping.step(row)
        waiting.step(row)
    skipping.skip(400)
    for _ in range(400):
        waiting.step(nothing)
    ours, theirs = skipping.step(nothing), waiting.step(nothing)
    assert ours.probability == pytest.approx(theirs.probability, rel=1e-3)
    np.testing.assert_allclose(ours.deviation, theirs.deviation, rtol=1e-2)


def test_while_there_is_an_alarm_a_level_that_left_its_place_is_as_unsure_as_it_is_far(model):
    """A ramp slow enough takes its level along; only what stood before tells how far it went."""
    quiet = Tracker(model, Habits())
    quiet.step(live(1)[0])
    far = model.calibration.joint._replace(follows_levels=False)
    steps = model.calibration.steps
    gone = steps._replace(level=steps.level + 12.0 * np.eye(6)[0])
    limits = replace(model.calibration, joint=far, steps=gone)
    loud = Tracker(replace(model, calibration=limits), Habits())
    loud._stood = steps.level.copy()
    rows = live(30) + 12.0 * assets.SCALE * np.eye(6)[0]
    step = [loud.step(row) for row in rows][-1]
    assert step.probability > 0.9
    assert step.fused_deviation[0] > 6.0 * assets.SCALE[0]
    calm = quiet.step(live(2)[1])
    assert calm.fused_deviation[0] < 2.0 * assets.SCALE[0]


def test_an_alarm_outlasts_a_short_gap(model):
    rows = live(100)
    rows[50:, 1] += 10 * assets.SCALE[1]
    tracker = Tracker(model, Habits())
    assert [tracker.step(row) for row in rows[:90]][-1].probability > 0.9
    tracker.skip(3)
    assert tracker.step(rows[95]).probability > 0.9


def test_a_model_that_nobody_calibrated_works_as_well(model):
    bare = replace(model, calibration=None)
    rows = live(160)
    rows[80:, 0] += 10 * assets.SCALE[0]
    steps = steps_of(bare, rows)
    assert max(step.probability for step in steps[:80]) < 0.5
    assert steps[-1].probability > 0.9


def test_it_sees_rows_and_nothing_else(model):
    """The same rows give the same bits, whatever came before a long gap of the tracker's life."""
    one = [step.probability.hex() for step in steps_of(model, live(60))]
    assert one == [step.probability.hex() for step in steps_of(model, live(60))]


def test_regimes_take_their_offset_with_them(model):
    offsets = np.array([np.zeros(6), np.full(6, 20.0)])
    chain = model.regimes._replace(
        offsets=offsets, transition=np.array([[0.99, 0.01], [0.01, 0.99]]), weights=np.full(2, 0.5)
    )
    two = replace(model, regimes=chain)
    rows = live(120)
    rows[60:] += 20.0 * model.scaling.scale
    steps = steps_of(two, rows)
    assert [step.regime for step in steps] == [0] * 60 + [1] * 60
    assert np.mean([step.probability >= 0.5 for step in steps]) < 0.05


@pytest.mark.parametrize(("factor", "kind"), [(6.0, "variance"), (0.0, "clean")])
def test_noise_that_grows_or_goes_has_a_kind_of_its_own(model, factor, kind):
    rows = live(140)
    level = rows[60, 3]
    rows[60:, 3] = level + factor * (rows[60:, 3] - level)
    steps = steps_of(model, rows)
    assert max(step.probability for step in steps[:60]) < 0.5
    assert kind in {step.kind for step in steps[75:]}
    assert np.argmax(sum(step.contributions for step in steps[90:])) == 3


# --- values with a variance of their own ---------------------------------------------------------


def with_extra(model, rows, extra):
    """Return the steps of rows (n, S) whose values have these extra variances (S,)."""
    tracker = Tracker(model, Habits())
    return [tracker.step(row, extra) for row in rows]


def shifted(count, place, deviations):
    """Return live rows in which one signal is off by so many deviations."""
    rows = live(count, seed=4)
    rows[:, place] += deviations * assets.SCALE[place]
    return rows


def test_no_extra_variance_changes_nothing(model):
    rows = live(20)
    without, with_none = steps_of(model, rows), with_extra(model, rows, np.zeros(6))
    for one, other in zip(without, with_none, strict=True):
        assert one.probability == other.probability
        np.testing.assert_array_equal(one.fused, other.fused)


def test_the_more_extra_variance_the_less_a_value_says(model):
    rows = shifted(12, 2, 6.0)
    found = []
    for share in (0.0, 1.0, 30.0, 1e4):
        extra = np.zeros(6)
        extra[2] = share * assets.SCALE[2] ** 2
        found.append(with_extra(model, rows, extra)[-1])
    probabilities = [step.probability for step in found]
    assert probabilities == sorted(probabilities, reverse=True)
    assert probabilities[0] > 0.9
    assert probabilities[-1] < 0.1
    assert abs(found[-1].fused[2] - assets.LOCATION[2]) < 3 * assets.SCALE[2]


def test_a_value_with_endless_variance_is_a_missing_one(model):
    rows = live(10)
    gone = rows.copy()
    gone[:, 1] = np.nan
    missing = steps_of(model, gone)[-1]
    for endless in (np.inf, np.nan, 1e300):
        extra = np.zeros(6)
        extra[1] = endless
        step = with_extra(model, rows, extra)[-1]
        assert step.probability == missing.probability
        np.testing.assert_array_equal(step.fused, missing.fused)


def test_rows_that_are_worse_by_just_what_they_say_raise_no_alarm(model):
    rng = np.random.default_rng(11)
    rows = live(300, seed=12)
    off = 3.0 * assets.SCALE * rng.normal(size=rows.shape)
    said = with_extra(model, rows + off, (3.0 * assets.SCALE) ** 2)
    unsaid = steps_of(model, rows + off)
    assert np.mean([step.probability >= 0.5 for step in unsaid]) > 0.5
    assert np.mean([step.probability >= 0.5 for step in said]) < 0.02
