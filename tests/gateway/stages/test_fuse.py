"""Fuse learns, then estimates; it is blind to times and never silently wrong."""

import math

import numpy as np
import pytest

from gateway import status
from gateway.errors import TrainingError
from gateway.models.twin_model import WrongModelError
from gateway.records import Provenance
from gateway.stages import diagnosis
from gateway.stages.fuse import Fuse, FuseOptions
from gateway.stages.learning import Known, model_id
from tests.gateway.models import healthy
from tests.gateway.stages.frames import SECOND_NS
from tests.gateway.stages.fusing import ASSET, QUICK, SIGNALS, TRAINING, feed, learning


@pytest.fixture(scope="module")
def rows():
    return healthy.rows(400).tolist()


@pytest.fixture(scope="module")
def learnt(rows):
    """What a fuse learns from the first rows; their times are 0 s to 199 s."""
    kept = []

    def keep(model):
        kept.append(model)
        return model_id(model)

    feed(Fuse(ASSET, TRAINING, FuseOptions(settings=QUICK), keep=keep), rows[:TRAINING])
    (only,) = kept
    return only


@pytest.fixture
def fuse(learnt):
    """A fuse that goes on with that model."""
    return Fuse(ASSET, TRAINING, known=Known(learnt.model, "0123", learnt.to_ns))


# --- learning ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_learning_then_estimating(rows):
    out = feed(learning(), rows)
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
    assert len(late.model_id) == 16


@pytest.mark.slow
def test_what_was_learnt_is_kept_with_its_rows_and_proof(learnt, rows):
    assert (learnt.rows, learnt.from_ns, learnt.to_ns) == (TRAINING, 0, 199 * SECOND_NS)
    assert (learnt.model.signals, learnt.model.units) == (SIGNALS, ASSET.units)
    assert learnt.is_sealed
    kept = []
    stage = Fuse(ASSET, TRAINING, FuseOptions(settings=QUICK), keep=lambda m: kept.append(m) or "")
    feed(stage, rows[:TRAINING], provenance=Provenance.UNAUTHENTICATED)
    assert not kept[0].is_sealed


@pytest.mark.slow
def test_a_known_model_needs_no_training_and_gives_the_same_estimates(fuse, rows):
    stage = learning()
    before = feed(stage, rows)[TRAINING:]
    after = feed(fuse, rows[TRAINING:], start=TRAINING)
    assert [e.anomaly_probability for e in after] == [e.anomaly_probability for e in before]
    assert {estimate.model_id for estimate in after} == {"0123"}


def test_the_time_since_a_known_model_was_learnt_ages_it(learnt, rows):
    deviations = []
    for hours in (0, 1, 24):
        stage = Fuse(ASSET, TRAINING, known=Known(learnt.model, "0123", learnt.to_ns))
        first = feed(stage, rows[200:210], start=200 + hours * 3600)[0]
        deviations.append(first.values[4].standard_deviation)
    assert deviations == sorted(deviations)
    assert deviations[0] < deviations[2]


@pytest.mark.slow
def test_rows_that_cannot_be_fitted_are_said_and_tried_again(rows):
    stage = learning()
    out = feed(stage, [[1.0] * healthy.SIGNALS] * TRAINING)
    assert SIGNALS[0] in stage.problem
    assert out[-1].status == status.BAD_CONFIGURATION_ERROR
    assert not out[-1].is_trained
    out = feed(stage, rows[:55], start=TRAINING)
    assert out[-1].is_trained
    assert stage.problem == ""


def test_settings_that_can_never_work_are_refused_at_once():
    with pytest.raises(TrainingError, match="set training_rows to 200"):
        Fuse(ASSET, 199)


# --- estimating ----------------------------------------------------------------------------------


def test_expectations_are_in_the_signals_own_units(fuse, rows):
    last = feed(fuse, rows[200:], start=200)[-1]
    for value, location, scale in zip(last.values, healthy.LOCATION, healthy.SCALE, strict=True):
        assert abs(value.expected - location) < 5 * scale
        assert 0.2 * scale < value.standard_deviation < 2 * scale
        low, high = value.interval
        assert low < value.fused < high
        assert value.fused_deviation > 0.0
        assert value.trust > 0.9
        assert value.fused_status == status.GOOD


@pytest.mark.slow
def test_a_shift_raises_the_probability_and_is_attributed_explained_and_left_out(fuse, rows):
    shifted = [[*row[:4], row[4] + 8 * healthy.SCALE[4]] for row in rows[300:320]]
    out = feed(fuse, rows[200:300] + shifted, start=200)
    last = out[-1]
    assert last.anomaly_probability > 0.99
    assert max(last.values, key=lambda value: value.contribution).signal == "n:s4"
    assert last.kind in ("shift", "level")
    assert last.causes[0].signal == "n:s4"
    assert sum(cause.probability for cause in last.causes) <= 1.0 + 1e-9
    false, true = last.values[4], last.values[0]
    assert false.trust < 0.5 < true.trust
    assert false.fused_status == status.UNCERTAIN_SUBSTITUTE_VALUE
    assert false.status == true.fused_status == status.GOOD
    assert (
        abs(false.fused - healthy.LOCATION[4])
        < 3 * healthy.SCALE[4]
        < abs(false.value - false.fused)
    )
    assert out[99].causes == ()


@pytest.mark.slow
def test_an_alarm_that_cannot_be_explained_is_an_alarm_all_the_same(fuse, rows, monkeypatch):
    def run_out(*_args, **_options):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(diagnosis, "explain", run_out)
    shifted = [[*row[:4], row[4] + 8 * healthy.SCALE[4]] for row in rows[300:306]]
    last = feed(fuse, rows[200:300] + shifted, start=200)[-1]
    assert last.anomaly_probability > 0.9
    assert last.causes == ()
    assert fuse.counts == {"unexplained": 1}


@pytest.mark.slow
def test_rows_that_were_stored_and_come_again_are_an_anomaly_of_their_own(rows):
    stage = learning()
    feed(stage, rows[:320])
    out = feed(stage, rows[220:280], start=320)
    last = out[-1]
    assert last.kind == "repeat"
    assert last.anomaly_probability > 0.99
    assert sum(value.contribution for value in last.values) == pytest.approx(last.score)
    assert last.scale_rows > 20


def test_it_is_blind_to_the_time_of_day(learnt, rows):
    said = []
    for start in (200, 1_600_000_000):
        to_ns = (start - 1) * SECOND_NS
        stage = Fuse(ASSET, TRAINING, known=Known(learnt.model, "0123", to_ns))
        said.append([e.anomaly_probability for e in feed(stage, rows[200:], start=start)])
    assert said[0] == said[1]


def test_a_bad_value_is_integrated_out_and_imputed(fuse, rows):
    spoilt = [list(row) for row in rows[200:]]
    spoilt[150][1] = math.nan
    out = feed(fuse, spoilt, start=200) + fuse.tick(1000 * SECOND_NS)
    row = next(estimate for estimate in out if estimate.time_ns == 350 * SECOND_NS)
    assert row.status == status.GOOD_SUB_NORMAL
    assert math.isnan(row.values[1].value)
    assert row.values[1].status == status.BAD_SENSOR_FAILURE
    assert abs(row.values[1].expected - healthy.LOCATION[1]) < 5 * healthy.SCALE[1]
    assert abs(row.values[1].fused - healthy.LOCATION[1]) < 5 * healthy.SCALE[1]
    assert row.values[1].fused_status == status.UNCERTAIN_SUBSTITUTE_VALUE


def test_a_value_that_never_came_has_no_data_and_few_values_are_uncertain(fuse, rows):
    thin = [list(row) for row in rows[200:]]
    thin[150] = [rows[350][0], None, None, None, None]
    row = next(e for e in feed(fuse, thin, start=200) if e.time_ns == 350 * SECOND_NS)
    assert row.status == status.UNCERTAIN_SUB_NORMAL
    assert [value.status for value in row.values] == [status.GOOD] + [status.BAD_NO_DATA] * 4


def test_missing_rows_age_the_model(learnt, rows):
    after = []
    for gap in (5000, 0):
        stage = Fuse(ASSET, TRAINING, known=Known(learnt.model, "0123", learnt.to_ns))
        feed(stage, rows[200:300], start=200)
        after.append(feed(stage, rows[300:301], start=300 + gap)[-1])
    with_gap, without = after
    assert with_gap.values[4].standard_deviation > without.values[4].standard_deviation


def test_a_row_that_waits_is_estimated_when_its_time_is_up(fuse, rows):
    feed(fuse, rows[200:300], start=200)
    assert feed(fuse, [[rows[300][0], None, None, None, None]], start=300) == []
    assert len(fuse.tick(303 * SECOND_NS)) == 1
    assert fuse.tick(400 * SECOND_NS) == []


@pytest.mark.slow
def test_a_constant_signal_is_out_of_service_and_the_rest_works(rows):
    flat = [[*row[:2], 7.0, *row[3:]] for row in rows[:210]]
    last = feed(learning(), flat)[-1]
    constant = last.values[2]
    assert (constant.status, constant.fused_status) == (status.BAD_OUT_OF_SERVICE,) * 2
    assert math.isnan(constant.expected)
    assert math.isnan(constant.fused)
    assert constant.contribution == 0.0
    assert last.status == status.GOOD
    assert math.isfinite(last.score)


def test_infinite_and_absurd_values_do_no_harm(fuse, rows):
    spoilt = [list(row) for row in rows[200:]]
    spoilt[120][0] = math.inf
    spoilt[130][0] = 1e300
    out = feed(fuse, spoilt, start=200) + fuse.tick(1000 * SECOND_NS)
    assert all(np.isfinite(estimate.score) for estimate in out)
    assert out[-1].anomaly_probability < 0.5


# --- time ----------------------------------------------------------------------------------------


def every(rows, period):
    """Return rows in which the last signal comes only each `period`-th second."""
    return [row if at % period == 0 else [*row[:4], None] for at, row in enumerate(rows)]


def test_a_slower_signal_between_two_values_is_not_missing(learnt, rows):
    stage = Fuse(
        ASSET,
        TRAINING,
        FuseOptions(periods_ns={"n:s4": 10 * SECOND_NS}),
        known=Known(learnt.model, "0123", learnt.to_ns),
    )
    out = feed(stage, every(rows[200:], 10), start=200)
    assert len(out) == 200, "no row waits for a value that is not due"
    between, due = out[155], out[160]
    assert {between.status, due.status} == {status.GOOD}
    slow = between.values[4]
    assert (slow.status, slow.fused_status) == (status.GOOD_NO_DATA, status.GOOD)
    assert math.isnan(slow.value)
    assert abs(slow.fused - healthy.LOCATION[4]) < 5 * healthy.SCALE[4]
    assert due.values[4].status == status.GOOD
    assert due.values[4].value == rows[360][4]
    assert max(estimate.anomaly_probability for estimate in out) < 0.5


@pytest.mark.slow
def test_a_slow_signal_can_be_learnt_too_without_being_told(rows):
    stage = learning()
    out = feed(stage, every(rows[:230], 2)) + stage.tick(1000 * SECOND_NS)
    assert len(out) == 230
    assert out[-1].values[4].status == status.GOOD_NO_DATA
    assert math.isfinite(out[-1].values[4].expected)
    assert stage.model.scaling.used.all()


def test_late_values_are_counted(fuse, rows):
    feed(fuse, rows[:50])
    feed(fuse, rows[:1], late_s=50)
    assert fuse.counts == {"late": healthy.SIGNALS}


def test_a_clock_set_back_loses_no_more_than_the_rows_of_a_moment(fuse, rows):
    feed(fuse, rows[200:250], start=7200)
    out = feed(fuse, rows[250:300], start=3600)
    assert len(out) >= 49
    assert all(estimate.is_trained for estimate in out)
    assert fuse.counts == {"clock_set_back": 1}


def test_a_way_of_running_never_seen_is_said_and_so_is_its_end(fuse, rows, caplog):
    strange = [[value + 50.0 for value in row] for row in rows[220:240]]
    with caplog.at_level("INFO"):
        feed(fuse, rows[200:220], start=200)
        assert fuse.strangers == ()
        feed(fuse, strange, start=220)
        feed(fuse, rows[240:241], start=240)
        assert [said.split(":s")[0] for said in fuse.strangers] == ["n"] * healthy.SIGNALS
        feed(fuse, rows[241:262], start=241)
    assert fuse.strangers == ()
    assert caplog.text.count("regime_unknown asset=pump n:s0: 1 of 1 blocks") == 1
    assert caplog.text.count("regime_known_again asset=pump") == 1


def test_a_model_of_something_else_is_not_gone_on_with(learnt):
    other = ASSET._replace(units=("A",) * healthy.SIGNALS)
    with pytest.raises(WrongModelError, match="n:s0 is in A, the model was fitted to V"):
        Fuse(other, TRAINING, known=Known(learnt.model, "0123", learnt.to_ns))
