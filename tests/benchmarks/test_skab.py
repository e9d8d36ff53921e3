"""Rows, alarms and change points are counted as they are, set-point by set-point."""

import numpy as np
import pytest

from benchmarks import skab
from benchmarks.engine import Said
from benchmarks.recordings import SKAB_TRAINING_ROWS, Recording


def recording(anomalies):
    count = SKAB_TRAINING_ROWS + len(anomalies)
    flags = np.concatenate([np.zeros(SKAB_TRAINING_ROWS, dtype=bool), anomalies])
    changes = np.flatnonzero(np.diff(flags.astype(int)))
    points = np.zeros(count, dtype=bool)
    points[changes + 1] = True
    times = np.arange(count, dtype=float)
    return Recording("made", ("a",), times, np.zeros((count, 1)), flags, points)


def said(alarmed, changed):
    nothing = np.zeros(len(alarmed))
    return Said(nothing, nothing, alarmed, changed)


def test_beginnings_of_alarms_per_hour():
    quiet = np.zeros(1800, dtype=bool)
    twice = quiet.copy()
    twice[[0, 1, 100]] = True
    events = [skab.begun(quiet), skab.begun(twice)]
    np.testing.assert_array_equal(np.flatnonzero(events[1]), [0, 100])
    assert skab.per_hour(events) == pytest.approx(2.0)


def test_verdicts_change_where_they_begin_and_end():
    alarmed = np.zeros(30, dtype=bool)
    alarmed[10:20] = True
    np.testing.assert_array_equal(np.flatnonzero(skab.edges(alarmed)), [10, 20])


def test_each_set_point_has_a_line_with_its_own_alarms():
    anomalies = np.zeros(400, dtype=bool)
    anomalies[100:300] = True
    silent = np.zeros(400, dtype=bool)
    edges = skab.edges(anomalies)
    by_rate = {rate: said(silent, edges) for rate in skab.SET_POINTS}
    by_rate[skab.SET_POINTS[-1]] = said(anomalies, silent)
    table = skab.by_set_point([recording(anomalies)], [by_rate], [by_rate])
    cells = [list(column.cells) for column in table.columns]
    assert cells[1] == ["0.000", "0.000", "1.000"]
    assert cells[4] == ["100.0", "100.0", "0.0"]
    assert cells[5] == ["0.0", "0.0", "100.0"]
    assert cells[6] == ["0.0", "0.0", "50.0"]
    without = skab.by_set_point([recording(anomalies)], [by_rate], [])
    assert set(without.columns[9].cells) == {"-"}


def test_rates_and_change_points_of_perfect_verdicts():
    anomalies = np.zeros(400, dtype=bool)
    anomalies[100:300] = True
    file = recording(anomalies)
    assert skab.rates([file], [anomalies]).f1 == 1.0
    assert skab.change_score([file], [skab.edges(anomalies)]) == pytest.approx(100.0)
    assert skab.rates([file], [~anomalies]).f1 == 0.0
