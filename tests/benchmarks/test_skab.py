"""Another set-point is another limit; rows and alarms are counted as they are."""

import numpy as np
import pytest

from benchmarks import engine, skab
from benchmarks.recordings import SKAB_TRAINING_ROWS, Recording
from gateway.models.calibration import FALSE_ALARMS_PER_HOUR


def recording(anomalies):
    count = SKAB_TRAINING_ROWS + len(anomalies)
    flags = np.concatenate([np.zeros(SKAB_TRAINING_ROWS, dtype=bool), anomalies])
    changes = np.flatnonzero(np.diff(flags.astype(int)))
    points = np.zeros(count, dtype=bool)
    points[changes + 1] = True
    times = np.arange(count, dtype=float)
    return Recording("made", ("a",), times, np.zeros((count, 1)), flags, points)


def test_the_usual_set_point_changes_nothing():
    probability = np.random.default_rng(0).random(500)
    ours = skab.at_set_point(probability, FALSE_ALARMS_PER_HOUR)
    np.testing.assert_array_equal(ours, engine.lasting(probability))


def test_ten_times_the_rate_alarms_at_a_tenth_of_the_odds():
    probability = np.full(50, 1.0 / 9.0)
    assert not skab.at_set_point(probability, FALSE_ALARMS_PER_HOUR).any()
    assert not skab.at_set_point(probability, 7.9 * FALSE_ALARMS_PER_HOUR).any()
    assert skab.at_set_point(probability, 8.1 * FALSE_ALARMS_PER_HOUR)[2:].all()


def test_certain_rows_are_certain_at_every_set_point():
    sure = np.array([0.0] * 20 + [1.0] * 20)
    for rate in skab.SET_POINTS:
        assert not skab.at_set_point(sure, rate)[:20].any()
        assert skab.at_set_point(sure, rate)[22:].all()


def test_beginnings_of_alarms_per_hour():
    quiet = np.zeros(1800, dtype=bool)
    twice = quiet.copy()
    twice[[0, 1, 100]] = True
    assert skab.alarms_per_hour([quiet, twice]) == pytest.approx(2.0)


def test_rates_and_change_points_of_perfect_verdicts():
    anomalies = np.zeros(400, dtype=bool)
    anomalies[100:300] = True
    file = recording(anomalies)
    assert skab.rates([file], [anomalies]).f1 == 1.0
    assert skab.change_score([file], [anomalies]) == pytest.approx(100.0)
    assert skab.rates([file], [~anomalies]).f1 == 0.0
