"""The pump-skid model: its physics, its labels, and that a seed gives one file."""

import hashlib
import math

import numpy as np
import pytest

from hil.plants.pump import (
    COLUMNS,
    PumpState,
    fault_rows,
    operating_point,
    simulate,
    valve_opening,
    write_pump_trace,
)
from hil.traces import Trace, read_trace
from hil.units import unit

TRAINING_ROWS = 400


@pytest.fixture(scope="module")
def states() -> list[PumpState]:
    return list(simulate(seed=1))


@pytest.fixture(scope="module")
def trace(tmp_path_factory) -> Trace:
    path = tmp_path_factory.mktemp("pump") / "pump.csv"
    write_pump_trace(path, seed=1)
    return read_trace(path, dict(COLUMNS), label_column="anomaly")


@pytest.mark.parametrize("opening", [0.2, 0.35, 0.7, 1.0])
@pytest.mark.parametrize("speed", [0.9, 1.0, 1.05])
def test_the_operating_point_lies_on_the_pump_and_on_the_circuit(opening, speed):
    flow_m3_s, head_m = operating_point(opening, speed)
    relative = flow_m3_s / (32e-3 / 60)
    assert head_m == pytest.approx(4.0 * speed**2 - 1.0 * relative**2)
    assert head_m == pytest.approx((2.0 + 1.0 / opening**2) * relative**2)


def test_at_the_design_point_the_flow_is_32_litres_a_minute():
    flow_m3_s, head_m = operating_point(1.0, 1.0)
    assert unit("l/min").from_si(flow_m3_s) == pytest.approx(32.0)
    assert head_m == pytest.approx(3.0)


def test_flow_follows_speed_and_head_its_square():
    slow, fast = operating_point(0.6, 1.0), operating_point(0.6, 1.1)
    assert fast[0] / slow[0] == pytest.approx(1.1)
    assert fast[1] / slow[1] == pytest.approx(1.21)


def test_the_valve_closes_and_opens_at_the_labels():
    first, after = fault_rows()
    assert (first, after) == (400, 800)
    openings = [valve_opening(row) for row in range(1200)]
    assert openings[:401] == [1.0] * 401
    assert openings[401] < 1.0
    assert openings[440:761] == [0.35] * 321
    assert openings[799] < 1.0
    assert openings[800:] == [1.0] * 400


def test_a_closing_valve_does_what_it_does_to_a_pump(states):
    open_, closed = states[399], states[600]
    assert closed.flow_m3_s < 0.7 * open_.flow_m3_s
    assert closed.pressure_pascal > 1.15 * open_.pressure_pascal
    assert closed.vibration_1_m_s2 > 1.1 * open_.vibration_1_m_s2
    assert closed.motor_celsius < open_.motor_celsius
    assert closed.water_celsius < open_.water_celsius


def test_temperatures_lag_and_never_jump(states):
    for name in ("motor_celsius", "water_celsius"):
        values = np.array([getattr(state, name) for state in states])
        assert np.abs(np.diff(values)).max() < 0.05
    motor = np.array([state.motor_celsius for state in states])
    fallen = (motor[400] - motor[400 + 240]) / (motor[400] - motor[760])
    assert 0.5 < fallen < 0.95  # one lag after the step, most of the way but not all of it


def test_the_file_reads_back_with_its_label_and_one_row_a_second(trace):
    assert [(channel.name, channel.unit) for channel in trace.channels] == list(COLUMNS)
    assert trace.duration_ns == 1200 * 1_000_000_000
    assert trace.labels is not None
    assert trace.labels.spans_ns() == ((400 * 1_000_000_000, 800 * 1_000_000_000),)


def test_change_points_stand_where_the_valve_starts_and_stops_moving(tmp_path):
    path = tmp_path / "pump.csv"
    write_pump_trace(path, seed=1)
    changes = read_trace(path, {}, label_column="changepoint").labels
    assert changes is not None
    assert [start // 1_000_000_000 for start, _ in changes.spans_ns()] == [400, 440, 760, 800]


def test_the_noise_is_that_of_the_instruments(trace, states):
    flow = trace.channel("Volume Flow RateRMS").values
    exact = np.array([unit("l/min").from_si(state.flow_m3_s) for state in states])
    assert np.std(flow - exact) == pytest.approx(0.4, rel=0.1)
    assert abs(np.mean(flow - exact)) < 4 * 0.4 / math.sqrt(len(flow))


def test_the_healthy_rows_are_alike_and_the_fault_stands_out_of_them(trace):
    """What a model learns on rows 0-399 must hold on rows 400 - 1 and fail from 440 on."""
    rows = np.column_stack([channel.values for channel in trace.channels])
    training = rows[:TRAINING_ROWS]
    scores = np.abs((rows - training.mean(axis=0)) / training.std(axis=0))
    flow = [name for name, _ in COLUMNS].index("Volume Flow RateRMS")
    assert scores[:TRAINING_ROWS].max() < 5.0
    assert scores[440:760, flow].min() > 10.0
    assert scores[800:, flow].max() < 6.0


def test_a_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    digests = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_pump_trace(tmp_path / name, seed=seed, rows=120)
        digests.append(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert digests[0] == digests[1] != digests[2]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "pump.csv").mkdir()
    with pytest.raises(OSError, match=r"pump\.csv"):
        write_pump_trace(tmp_path / "pump.csv", seed=1, rows=10)
    assert [each.name for each in tmp_path.iterdir()] == ["pump.csv"]
