"""A verdict comes on a lasting change only, and says why."""

import math
from dataclasses import replace

import pytest

from gateway import status
from gateway.records import Cause, Estimate, SignalEstimate, State
from gateway.stages.judge import Judge, Persistence
from tests.gateway.stages.frames import SECOND_NS

START_NS = 1_583_748_000 * SECOND_NS


def estimate(second, probability, is_trained=True, flow=28.0):
    """Return an estimate in which the flow is off and the rest is not."""
    values = tuple(
        SignalEstimate(
            signal=signal,
            value=measured,
            expected=expected,
            standard_deviation=0.5,
            fused=expected,
            fused_deviation=0.25,
            interval=(expected - 0.41, expected + 0.41),
            trust=1.0,
            fused_status=status.GOOD,
            contribution=contribution,
            status=status.GOOD,
        )
        for signal, measured, expected, contribution in (
            ("b:flow", flow, 32.0, 60.0),
            ("b:current", 1.5, 1.0, 20.0),
            ("a:vibration", 0.1, 0.1, -2.0),
        )
    )
    return Estimate(
        asset="pump",
        time_ns=START_NS + second * SECOND_NS,
        values=values if is_trained else (),
        log_density=0.0,
        score=78.0,
        anomaly_probability=probability,
        is_trained=is_trained,
        status=status.GOOD,
    )


def judged(probabilities, judge=None):
    """Return (row, verdict) for a run of probabilities after training."""
    judge = Judge("pump") if judge is None else judge
    return [
        (second, verdict)
        for second, probability in enumerate(probabilities)
        for verdict in judge.feed(estimate(second, probability), 0)
    ]


def test_nothing_is_said_while_learning():
    judge = Judge("pump")
    assert judge.feed(estimate(0, 0.0, is_trained=False), 0) == []
    assert judge.state is State.LEARNING


def test_the_first_normal_row_ends_the_learning():
    ((second, verdict),) = judged([0.01, 0.01])
    assert (second, verdict.state, verdict.sequence) == (0, State.NORMAL, 0)
    assert verdict.blamed == ()


def test_an_alarm_needs_its_rows_and_names_its_first_one():
    said = judged([0.0, 0.9, 0.9, 0.1, 0.8, 0.9, 0.95, 0.99])
    assert [(second, verdict.state) for second, verdict in said] == [
        (0, State.NORMAL),
        (6, State.ALARM),
    ]
    alarm = said[1][1]
    assert alarm.since_ns == START_NS + 4 * SECOND_NS
    assert alarm.time_ns == START_NS + 6 * SECOND_NS
    assert alarm.sequence == 1


def test_an_anomaly_from_the_first_row_is_an_alarm_without_a_normal_before():
    assert [verdict.state for _, verdict in judged([0.9] * 5)] == [State.ALARM]


def test_the_way_back_is_slower_and_has_another_threshold():
    probabilities = [0.0] + [0.9] * 3 + [0.3] * 20 + [0.1] * 9 + [0.3] + [0.1] * 10
    said = judged(probabilities)
    assert [verdict.state for _, verdict in said] == [State.NORMAL, State.ALARM, State.NORMAL]
    assert said[-1][0] == len(probabilities) - 1
    assert said[-1][1].since_ns == START_NS + (len(probabilities) - 10) * SECOND_NS


def test_the_evidence_names_sensors_numbers_and_time():
    alarm = judged([0.0, 0.9, 0.9, 0.987654321])[1][1]
    assert [(blame.signal, blame.share) for blame in alarm.blamed] == [
        ("b:flow", 0.75),
        ("b:current", 0.25),
    ]
    assert alarm.probability == 0.987654
    assert alarm.evidence == (
        "not normal: anomaly probability 0.988, 3 rows in a row since 2020-03-09T10:00:01Z; "
        "b:flow 28 instead of 32 (-8.0 sigma given the others), 75% of the evidence; "
        "b:current 1.5 instead of 1 (+1.0 sigma given the others), 25% of the evidence"
    )


CAUSES = (
    Cause(cause="bias", signal="b:flow", probability=0.61234567, words="4 below, +- 0.5"),
    Cause(cause="process", signal=None, probability=0.3, words="two signals have moved together"),
    *(Cause(cause="noise", signal=f"b:{n}", probability=0.05, words="") for n in range(4)),
    Cause(cause="spoof", signal="b:flow", probability=0.01, words=""),
)


def test_the_likeliest_causes_of_the_row_that_decides_are_in_the_verdict():
    judge = Judge("pump")
    said = []
    for second in range(4):
        item = estimate(second, 0.9 if second else 0.0)
        said += judge.feed(replace(item, causes=CAUSES if second == 3 else CAUSES[1:]), 0)
    normal, alarm = said
    assert normal.causes == ()
    assert [cause.cause for cause in alarm.causes] == ["bias", "process", *["noise"] * 3]
    assert alarm.causes[0].probability == 0.6123
    assert "; likely cause: bias of b:flow 61%: 4 below, +- 0.5" in alarm.evidence
    assert alarm.evidence.count("likely cause") == 3


def test_the_way_back_has_no_cause():
    judge = alarmed()
    said = [
        verdict
        for second in range(4, 14)
        for verdict in judge.feed(replace(estimate(second, 0.01), causes=CAUSES), 0)
    ]
    assert [(verdict.state, verdict.causes) for verdict in said] == [(State.NORMAL, ())]


def test_a_blamed_sensor_that_fell_silent_is_said_so():
    judge = Judge("pump")
    verdicts = [
        verdict
        for second in range(4)
        for verdict in judge.feed(estimate(second, 0.9 if second else 0.0, flow=float("nan")), 0)
    ]
    assert "b:flow has no value" in verdicts[-1].evidence


def test_persistence_is_configuration():
    quick = Judge("pump", Persistence(alarm_on=0.3, rows_on=1, alarm_off=0.1, rows_off=1))
    states = [verdict.state for _, verdict in judged([0.0, 0.4, 0.2, 0.05], quick)]
    assert states == [State.NORMAL, State.ALARM, State.NORMAL]


@pytest.mark.parametrize("probability", [0.5, 0.2])
def test_the_thresholds_themselves_speak_for_the_change(probability):
    rule = Persistence(rows_on=1, rows_off=1)
    judge = Judge("pump", rule)
    assert judged([0.0, 0.5], judge)[-1][1].state is State.ALARM
    assert bool(judged([probability], judge)) is (probability <= rule.alarm_off)


def alarmed():
    """Return a judge that blames b:flow and b:current."""
    judge = Judge("pump")
    assert judged([0.0, 0.9, 0.9, 0.9], judge)[-1][1].state is State.ALARM
    return judge


def test_losing_the_blamed_sensor_does_not_end_its_alarm():
    judge = alarmed()
    silent = [estimate(second, 0.01, flow=float("nan")) for second in range(4, 60)]
    assert [verdict for item in silent for verdict in judge.feed(item, 0)] == []
    assert judge.state is State.ALARM


def test_a_value_with_a_bad_status_does_not_end_an_alarm():
    judge = alarmed()
    for second in range(4, 60):
        item = estimate(second, 0.01)
        flow = replace(item.values[0], status=status.BAD_SENSOR_FAILURE)
        assert judge.feed(replace(item, values=(flow, *item.values[1:])), 0) == []


def test_a_signal_that_leaves_the_row_does_not_end_an_alarm():
    judge = alarmed()
    for second in range(4, 60):
        item = estimate(second, 0.01)
        assert judge.feed(replace(item, values=item.values[1:]), 0) == []


def test_the_return_needs_all_its_rows_with_the_sensor_and_says_how_long_it_was_silent():
    judge = alarmed()
    for second in range(4, 34):
        judge.feed(estimate(second, 0.01, flow=float("nan")), 0)
    (*held, last) = [judge.feed(estimate(second, 0.01, flow=32.0), 0) for second in range(34, 44)]
    assert held == [[]] * 9
    (verdict,) = last
    assert (verdict.state, verdict.since_ns) == (State.NORMAL, START_NS + 34 * SECOND_NS)
    assert verdict.evidence.endswith("; no data from b:flow in 30 rows of the alarm")


def test_a_sensor_nobody_blames_may_be_silent():
    judge = alarmed()
    said = []
    for second in range(4, 14):
        item = estimate(second, 0.01)
        silent = replace(item.values[2], value=float("nan"), status=status.BAD_NO_DATA)
        said += judge.feed(replace(item, values=(*item.values[:2], silent)), 0)
    assert [verdict.state for verdict in said] == [State.NORMAL]
    assert "no data" not in said[0].evidence


# --- what should not come ------------------------------------------------------------------------


@pytest.mark.parametrize("probability", [math.nan, math.inf, -math.inf])
def test_a_probability_that_is_no_number_changes_nothing(probability):
    judge = Judge("pump")
    assert judged([probability] * 20, judge) == []
    assert judge.state is State.LEARNING
    found = judged([0.9, 0.9, probability, 0.9, *[probability] * 20], judge)
    assert [(row, verdict.state) for row, verdict in found] == [(3, State.ALARM)]
    assert math.isfinite(found[0][1].probability)


def test_a_contribution_that_is_no_number_hides_no_other_signal():
    judge = Judge("pump")
    for second in range(3):
        flow, current, vibration = estimate(second, 0.9).values
        spoilt = (replace(flow, contribution=math.nan), current, vibration)
        said = judge.feed(replace(estimate(second, 0.9), values=spoilt), 0)
    assert [(blame.signal, blame.share) for blame in said[0].blamed] == [("b:current", 1.0)]


@pytest.mark.parametrize("spoilt", [{"expected": math.nan}, {"standard_deviation": 0.0}])
def test_a_blamed_signal_without_an_expectation_is_told_without_sigmas(spoilt):
    judge = Judge("pump")
    for second in range(3):
        flow, *rest = estimate(second, 0.9).values
        said = judge.feed(
            replace(estimate(second, 0.9), values=(replace(flow, **spoilt), *rest)), 0
        )
    assert "b:flow has no value, 75% of the evidence" in said[0].evidence
    assert "nan" not in said[0].evidence


def test_a_clock_set_back_within_a_run_gives_no_beginning_after_the_end():
    judge = Judge("pump")
    judged([0.0], judge)
    said = [
        verdict for second in (7200, 7201, 3600) for verdict in judge.feed(estimate(second, 0.9), 0)
    ]
    assert [verdict.state for verdict in said] == [State.ALARM]
    assert said[0].since_ns == said[0].time_ns


# --- time that is badly known --------------------------------------------------------------------


def judged_with_bound(probabilities, bound_s, period_s=1):
    """Return (row, verdict) for rows whose times are known to +- `bound_s`."""
    judge = Judge("pump", period_ns=period_s * SECOND_NS)
    rows = [
        replace(estimate(second, probability), bound_ns=int(bound_s * SECOND_NS))
        for second, probability in enumerate(probabilities)
    ]
    return [(at, verdict) for at, row in enumerate(rows) for verdict in judge.feed(row, 0)]


@pytest.mark.parametrize(
    ("bound_s", "period_s", "more"),
    [(0.0, 1, 0), (0.49, 1, 0), (0.5, 1, 1), (1.2, 1, 2), (1.2, 10, 0), (3600.0, 1, 3)],
)
def test_a_run_is_longer_by_the_rows_its_time_bound_covers_up_to_double(bound_s, period_s, more):
    out = judged_with_bound([0.1] + [0.9] * 10, bound_s, period_s)
    assert [(row, verdict.state) for row, verdict in out[1:]] == [(3 + more, State.ALARM)]
    said = f"{more} rows longer than asked for, since times are known to +-{bound_s:.3g} s only"
    assert (said in out[-1][1].evidence) == (more > 0)


def test_the_worst_bound_of_the_run_counts_and_that_of_the_run_before_does_not():
    judge = Judge("pump", period_ns=SECOND_NS)
    rows = [0.1, 0.9, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9]
    bounds_s = [0, 50, 0, 0, 1, 0, 0, 0]
    out = [
        (at, verdict.state)
        for at, (probability, bound_s) in enumerate(zip(rows, bounds_s, strict=True))
        for verdict in judge.feed(
            replace(estimate(at, probability), bound_ns=bound_s * SECOND_NS), 0
        )
    ]
    assert out == [(0, State.NORMAL), (7, State.ALARM)]


def test_without_a_period_bounds_say_nothing():
    judge = Judge("pump")
    rows = [replace(estimate(at, 0.9 if at else 0.1), bound_ns=9 * SECOND_NS) for at in range(4)]
    assert [at for at, row in enumerate(rows) for _ in judge.feed(row, 0)] == [0, 3]
