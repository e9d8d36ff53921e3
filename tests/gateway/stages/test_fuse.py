"""Fuse learns, then estimates; it is blind to times and never silently wrong."""

import math

import numpy as np
import pytest

from gateway import status
from gateway.errors import TrainingError
from gateway.records import Aligned, Provenance
from gateway.stages.fuse import Fuse
from tests.gateway.models import healthy
from tests.gateway.stages.frames import SECOND_NS

TRAINING = 200
SIGNALS = tuple(f"n:s{place}" for place in range(healthy.SIGNALS))


def fuse():
    """Return a fuse that has seen nothing."""
    return Fuse("pump", SIGNALS, TRAINING, period_ns=SECOND_NS)


def feed(stage, rows, start=0, codes=None, late_s=0):
    """Feed rows one per second from `start`; NaN sends a bad value, None sends nothing."""
    out = []
    for second, row in enumerate(rows, start):
        for signal, number in zip(SIGNALS, row, strict=True):
            if number is None:
                continue
            code = status.GOOD if math.isfinite(number) else status.BAD_SENSOR_FAILURE
            value = Aligned(
                signal=signal,
                unit="V",
                value=number,
                time_ns=second * SECOND_NS,
                bound_ns=0,
                status=code if codes is None else codes,
                provenance=Provenance.SEALED,
                source="n",
                sequence=second,
            )
            out += stage.feed(value, (second + late_s) * SECOND_NS)
    return out


@pytest.fixture(scope="module")
def rows():
    return healthy.rows(400).tolist()


def test_learning_then_estimating(rows):
    out = feed(fuse(), rows)
    assert len(out) == 400
    assert {estimate.status for estimate in out[:TRAINING]} == {status.BAD_WAITING_FOR_INITIAL_DATA}
    assert [estimate.is_trained for estimate in out] == [False] * TRAINING + [True] * 200
    late = out[-1]
    assert late.time_ns == 399 * SECOND_NS
    assert [value.signal for value in late.values] == list(SIGNALS)
    assert [value.value for value in late.values] == rows[-1]
    assert sum(value.contribution for value in late.values) == pytest.approx(late.score)
    assert late.status == status.GOOD
    assert 0.0 <= late.anomaly_probability < 0.5


def test_expectations_are_in_the_signals_own_units(rows):
    last = feed(fuse(), rows)[-1]
    for value, location, scale in zip(last.values, healthy.LOCATION, healthy.SCALE, strict=True):
        assert abs(value.expected - location) < 5 * scale
        assert 0.2 * scale < value.standard_deviation < 2 * scale


def test_a_shift_raises_the_probability_and_is_attributed(rows):
    shifted = [[*row[:4], row[4] + 5 * healthy.SCALE[4]] for row in rows[300:]]
    last = feed(fuse(), rows[:300] + shifted)[-1]
    assert last.anomaly_probability > 0.99
    assert max(last.values, key=lambda value: value.contribution).signal == "n:s4"


def test_it_is_blind_to_the_time_of_day_and_to_how_long_it_runs(rows):
    early, late = feed(fuse(), rows), feed(fuse(), rows, start=1_600_000_000)
    assert [e.anomaly_probability for e in early] == [e.anomaly_probability for e in late]


def test_a_bad_value_is_integrated_out_and_imputed(rows):
    spoilt = [list(row) for row in rows]
    spoilt[350][1] = math.nan
    stage = fuse()
    out = feed(stage, spoilt) + stage.tick(1000 * SECOND_NS)
    row = next(estimate for estimate in out if estimate.time_ns == 350 * SECOND_NS)
    assert row.status == status.GOOD_SUB_NORMAL
    assert math.isnan(row.values[1].value)
    assert row.values[1].status == status.BAD_SENSOR_FAILURE
    assert abs(row.values[1].expected - healthy.LOCATION[1]) < 5 * healthy.SCALE[1]


def test_a_value_that_never_came_has_no_data_and_few_values_are_uncertain(rows):
    thin = [list(row) for row in rows]
    thin[350] = [rows[350][0], None, None, None, None]
    stage = fuse()
    row = next(e for e in feed(stage, thin) if e.time_ns == 350 * SECOND_NS)
    assert row.status == status.UNCERTAIN_SUB_NORMAL
    assert [value.status for value in row.values] == [status.GOOD] + [status.BAD_NO_DATA] * 4


def test_missing_rows_age_the_model(rows):
    stage, other = fuse(), fuse()
    feed(stage, rows[:300])
    feed(other, rows[:300])
    with_gap = feed(stage, rows[300:301], start=300 + 5000)[-1]
    without = feed(other, rows[300:301], start=300)[-1]
    assert with_gap.values[0].standard_deviation > without.values[0].standard_deviation


def test_a_row_that_waits_is_estimated_when_its_time_is_up(rows):
    stage = fuse()
    feed(stage, rows[:300])
    assert feed(stage, [[rows[300][0], None, None, None, None]], start=300) == []
    assert len(stage.tick(303 * SECOND_NS)) == 1
    assert stage.tick(400 * SECOND_NS) == []


def test_a_constant_signal_is_out_of_service_and_the_rest_works(rows):
    flat = [[*row[:2], 7.0, *row[3:]] for row in rows]
    last = feed(fuse(), flat)[-1]
    constant = last.values[2]
    assert constant.status == status.BAD_OUT_OF_SERVICE
    assert math.isnan(constant.expected)
    assert math.isnan(constant.standard_deviation)
    assert constant.contribution == 0.0
    assert last.status == status.GOOD
    assert math.isfinite(last.score)


def test_rows_that_cannot_be_fitted_are_said_and_tried_again(rows):
    stage = fuse()
    out = feed(stage, [[1.0] * healthy.SIGNALS] * TRAINING)
    assert "no signal varies" in stage.problem
    assert out[-1].status == status.BAD_CONFIGURATION_ERROR
    assert not out[-1].is_trained
    out = feed(stage, rows, start=TRAINING)
    assert out[-1].is_trained
    assert stage.problem == ""


@pytest.mark.parametrize(("signals", "training"), [(("a",), 99), ((), 400), (SIGNALS * 40, 400)])
def test_settings_that_can_never_work_are_refused_at_once(signals, training):
    with pytest.raises(TrainingError, match="set training_rows to"):
        Fuse("pump", signals, training, period_ns=SECOND_NS)


def test_infinite_and_absurd_values_do_no_harm(rows):
    spoilt = [list(row) for row in rows]
    spoilt[320][0] = math.inf
    spoilt[330][0] = 1e300
    stage = fuse()
    out = feed(stage, spoilt) + stage.tick(1000 * SECOND_NS)
    assert all(np.isfinite(estimate.score) for estimate in out)
    assert out[-1].anomaly_probability < 0.5


def test_late_values_are_counted(rows):
    stage = fuse()
    feed(stage, rows[:50])
    feed(stage, rows[:1], late_s=50)
    assert stage.counts == {"late": healthy.SIGNALS}


def test_a_clock_set_back_loses_no_more_than_the_rows_of_a_moment(rows):
    stage = fuse()
    feed(stage, rows[: TRAINING + 50], start=7200)
    out = feed(stage, rows[TRAINING + 50 : TRAINING + 100], start=3600)
    assert len(out) >= 49
    assert all(estimate.is_trained for estimate in out)
    assert stage.counts == {"clock_set_back": 1}
