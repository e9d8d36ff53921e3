"""Clocks against the physics: what is said, to whom, and when it is not."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from gateway import status
from gateway.models import lag, lag_marginals
from gateway.records import Estimate, SignalEstimate
from gateway.records_time import ClockEstimate, SyncCause
from gateway.stages.lag import LagWatch, groups_of
from tests.gateway.models import assets, lagging
from tests.gateway.stages.frames import SECOND_NS

SIGNALS = tuple(f"{'ab'[place // 3]}:{name}" for place, name in enumerate(assets.SIGNALS))
TAUGHT = 8 * lag.WINDOW_ROWS


@pytest.fixture(scope="module")
def model():
    """Return the model with the names of two sources, a and b, of three signals each."""
    return replace(lagging.model(), signals=SIGNALS)


def estimate(row, second, probability=0.01, code=status.GOOD):
    """Return the estimate of a row (6,) in own units."""
    values = tuple(
        SignalEstimate(
            signal=signal,
            value=float(value),
            expected=0.0,
            standard_deviation=1.0,
            fused=0.0,
            fused_deviation=1.0,
            interval=(-1.0, 1.0),
            trust=1.0,
            fused_status=status.GOOD,
            contribution=0.0,
            status=code,
        )
        for signal, value in zip(SIGNALS, row, strict=True)
    )
    return Estimate(
        asset="pump",
        time_ns=second * SECOND_NS,
        values=values,
        log_density=0.0,
        score=0.0,
        anomaly_probability=probability,
        is_trained=True,
        status=status.GOOD,
    )


def fed(watch, model, rows, start=0, **more):
    """Return what is said of rows from a second on."""
    return [
        check
        for second, row in enumerate(rows, start)
        for check in watch.feed(estimate(row, second, **more), model)
    ]


_TAUGHT = {}


def taught(model):
    """Return a watch of its own that healthy rows have taught."""
    if id(model) not in _TAUGHT:
        _TAUGHT[id(model)] = LagWatch()
        assert fed(_TAUGHT[id(model)], model, assets.rows(TAUGHT, seed=41)) == []
    return copy.deepcopy(_TAUGHT[id(model)], {id(model): model})


def late_rows(signals, shift, count=1_024, seed=42):
    return lagging.late(assets.rows(count, seed=seed), signals, shift, 0)


def clock(bound_ns, is_two_way=True):
    return ClockEstimate(
        source="a",
        time_ns=0,
        boot_id=1,
        is_two_way=is_two_way,
        offset_ns=0,
        bound_ns=bound_ns,
        uncertainty_ns=bound_ns,
        skew_ppm=0.0,
        skew_uncertainty_ppm=1.0,
        delay_ns=0,
        probes=10,
        text="",
    )


def test_a_late_signal_is_said_with_what_its_clock_claims(model) -> None:
    watch = taught(model)
    watch.note(clock(800_000))
    check = fed(watch, model, late_rows(0, 3), TAUGHT)[0]
    assert (check.cause, check.source, check.signal) == (SyncCause.LAG, "a", "a:flow")
    assert (check.is_active, check.unit, check.sequence) == (True, "s", 0)
    assert check.size == pytest.approx(3.0, abs=check.size_uncertainty + 0.25)
    assert check.since_ns <= check.time_ns
    assert "late against what the other signals make expected" in check.text
    assert "claims to be right within 0.0008 s" in check.text


def test_a_late_source_is_named_as_a_whole(model) -> None:
    watch = taught(model)
    check = fed(watch, model, late_rows([3, 4, 5], 6), TAUGHT)[0]
    assert (check.source, check.signal) == ("b", None)
    assert "all that comes from b stands" in check.text
    # With two sources nothing tells whether the one is late or the other early.
    assert "hardly tell it from a" in check.text


def test_of_a_lag_beyond_reach_only_that_is_said(model) -> None:
    check = fed(taught(model), model, late_rows(0, 25), TAUGHT)[0]
    assert (check.signal, check.size, check.size_uncertainty) == ("a:flow", 16.0, 32.0)
    assert "stands at least 16 s late against" in check.text


def test_signals_that_are_too_many_are_said_once(model, monkeypatch, caplog) -> None:
    monkeypatch.setattr(lag_marginals, "SIGNALS_MAX", 2)
    watch = LagWatch()
    fed(watch, model, assets.rows(3, seed=41))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "lag_not_watched asset=pump 4 of 6 signals" in said[0]
    assert "and 1 more" in said[0]


def test_what_the_clock_admits_is_no_contradiction_until_it_claims_more(model) -> None:
    watch = taught(model)
    watch.note(clock(30 * SECOND_NS))
    rows = late_rows(0, 3)
    assert fed(watch, model, rows[:900], TAUGHT) == []
    watch.note(clock(SECOND_NS))
    assert fed(watch, model, rows[900:], TAUGHT + 900)[0].size == pytest.approx(3.0, abs=1.0)


def test_a_clock_that_is_heard_one_way_admits_nothing(model) -> None:
    watch = taught(model)
    watch.note(clock(None, is_two_way=False))
    check = fed(watch, model, late_rows(0, 3), TAUGHT)[0]
    assert "only changes can be known" in check.text


@pytest.mark.slow
def test_the_end_is_said_once_and_only_of_what_was_said(model) -> None:
    watch = taught(model)
    rows = assets.rows(2_500, seed=43)
    rows[:700] = lagging.late(rows, 0, 5, 0)[:700]
    checks = fed(watch, model, rows, TAUGHT)
    assert [check.is_active for check in checks] == [True, False]
    assert [check.sequence for check in checks] == [0, 1]
    assert "no longer stands" in checks[1].text
    quiet = taught(model)
    quiet.note(clock(30 * SECOND_NS))
    assert fed(quiet, model, rows, TAUGHT) == []


def test_what_could_be_found_is_told(model) -> None:
    watch = taught(model)
    told = {each.name: each for each in watch.detectable()}
    assert set(told) == {*SIGNALS, "a", "b"}
    flow = told["a:flow"]
    assert flow.window_s == (256.0, 1024.0)
    assert flow.shift_s[1] is not None
    assert flow.shift_s[1] <= 3.0
    assert abs(flow.reference_s) <= 1.0


def test_groups_are_signals_and_sources(model) -> None:
    names = [group.name for group in groups_of(model)]
    assert names == [*SIGNALS, "a", "b"]
    assert [group.name for group in groups_of(lagging.model())] == list(assets.SIGNALS)


def test_rows_that_nobody_may_use_teach_nothing(model) -> None:
    suspect, bad, odd = LagWatch(), LagWatch(), LagWatch()
    rows = assets.rows(1_024, seed=44)
    assert fed(suspect, model, rows, probability=0.9) == []
    assert fed(bad, model, rows, code=status.BAD_NO_COMMUNICATION) == []
    assert fed(odd, model, rows, probability=np.nan) == []
    assert suspect.detectable() == bad.detectable() == odd.detectable() == ()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_beyond_reason_are_no_exception(model, value) -> None:
    watch = taught(model)
    rows = assets.rows(600, seed=45)
    rows[::3, 2] = value
    fed(watch, model, rows, TAUGHT)


def test_rows_out_of_order_are_left_out_and_a_clock_set_back_is_followed(model) -> None:
    watch = taught(model)
    assert watch.feed(estimate(assets.rows(1)[0], TAUGHT - 5), model) == []
    far = fed(watch, model, late_rows(0, 4), -10 * TAUGHT)
    assert far[0].signal == "a:flow"
    assert fed(watch, model, assets.rows(10, seed=46), 2**62 // SECOND_NS) == []


def test_without_a_model_nothing_is_said(model) -> None:
    watch = LagWatch()
    row = estimate(assets.rows(1)[0], 0)
    assert watch.feed(row, None) == []
    assert watch.feed(replace(row, is_trained=False), model) == []
    assert watch.feed(replace(row, values=()), model) == []
    assert watch.detectable() == ()


def test_another_model_starts_everything_anew(model) -> None:
    watch = taught(model)
    other = replace(model)
    watch.feed(estimate(assets.rows(1)[0], TAUGHT), other)
    assert watch.detectable() == ()
