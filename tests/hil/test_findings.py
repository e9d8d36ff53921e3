"""Who was right about time: checks against faults, and the stated times against the true ones."""

from dataclasses import replace

import pytest

from gateway.records import Reading
from gateway.records_time import ClockEstimate, SyncCause, SyncCheck
from hil.board_clock import BoardClock, Jump, Rate
from hil.clock_truth import ClockTruth, Tally
from hil.findings import SETTLE_NS, FaultTruth, TimedCheck, judge_checks
from hil.scenario_faults import FaultExpect
from tests.gateway.plant import aligned, verified

S = 1_000_000_000
END_NS = 1000 * S


def check(cause: SyncCause, at_s: float, *, source: str = "a", size: float = 0.0, is_active=True):
    record = SyncCheck(
        source=source,
        cause=cause,
        is_active=is_active,
        time_ns=0,
        since_ns=0,
        size=size,
        size_uncertainty=None,
        unit="s",
        text="",
    )
    return TimedCheck(check=record, emitted_ns=round(at_s * S))


def fault(begin_s: int = 100, end_s: int = 110, **expect) -> FaultTruth:
    return FaultTruth(
        kind="step",
        node="a",
        sources=("a",),
        begin_ns=begin_s * S,
        end_ns=end_s * S,
        breaks_bounds=True,
        size=0.05,
        unit="s",
        expect=FaultExpect(**({"cause": "step", "within_s": 15.0, "tolerance": 0.01} | expect)),
    )


def judged(*checks: TimedCheck, faults=None):
    return judge_checks(checks, [fault()] if faults is None else faults, END_NS, ["a"])


def test_a_fault_that_is_found_has_a_delay_a_size_error_and_a_right_cause():
    (finding,) = judged(check(SyncCause.STEP, 107.5, size=0.052)).findings
    assert finding.delay_s == 7.5
    assert finding.size_error == pytest.approx(0.002)
    assert finding.is_cause_right
    assert finding.failures() == []


def test_what_comes_late_or_wrong_in_size_or_not_at_all_is_said():
    (late,) = judged(check(SyncCause.STEP, 116, size=0.05)).findings
    assert late.failures() == ["step of a: step expected within 15 s, came after 16.0 s"]
    (small,) = judged(check(SyncCause.STEP, 101, size=0.03)).findings
    assert small.failures() == ["step of a: size off by -0.02 s, at most 0.01 expected"]
    (none,) = judged().findings
    assert none.failures() == ["step of a: step expected, not found"]
    assert not none.is_cause_right


def test_another_cause_is_wrong_unless_it_is_true_as_well():
    wrong = [check(SyncCause.SKEW_CHANGE, 104), check(SyncCause.STEP, 107, size=0.05)]
    (finding,) = judged(*wrong).findings
    assert not finding.is_cause_right
    assert finding.failures() == ["step of a: named skew_change, which it is not"]
    (finding,) = judged(
        *reversed(wrong[:1]), wrong[1], faults=[fault(also=["skew_change"])]
    ).findings
    assert finding.is_cause_right
    assert finding.failures() == []
    after = [check(SyncCause.STEP, 104, size=0.05), check(SyncCause.STALE, 107)]
    (finding,) = judged(*after).findings
    assert finding.is_cause_right, "it was named first"
    assert finding.others == ("stale",)


def test_of_several_causes_one_is_enough():
    either = fault(cause=["backwards", "step"])
    (finding,) = judged(check(SyncCause.STEP, 104, size=0.05), faults=[either]).findings
    assert finding.is_cause_right
    assert finding.failures() == []
    (none,) = judged(faults=[either]).findings
    assert none.failures() == ["step of a: backwards or step expected, not found"]


def test_a_quiet_fault_is_one_of_which_nothing_is_said():
    quiet = fault(cause="none", within_s=None, tolerance=None)
    assert judged(faults=[quiet]).findings[0].failures() == []
    (loud,) = judged(check(SyncCause.STEP, 101), faults=[quiet]).findings
    assert not loud.is_cause_right
    assert loud.failures() == ["step of a: named step, which it is not"]


def test_what_no_fault_explains_is_a_false_alarm():
    found = judged(
        check(SyncCause.STEP, 99),
        check(SyncCause.STEP, 105, source="b"),
        check(SyncCause.STEP, 110 + SETTLE_NS // S + 1),
        check(SyncCause.STEP, 105, source="b", is_active=False),
    )
    assert [item.emitted_ns // S for item in found.false_checks] == [99, 105, 201]
    assert found.quiet_s == 1000 - 10 - SETTLE_NS / S


def test_a_check_belongs_to_the_last_fault_that_had_begun():
    two = [fault(), fault(150, 160)]
    found = judged(check(SyncCause.STEP, 155, size=0.05), faults=two)
    assert [finding.found is not None for finding in found.findings] == [False, True]
    assert found.quiet_s == 100 + 1000 - 160 - SETTLE_NS / S


def test_no_alarm_in_t_days_leaves_three_over_t():
    # standards.md 8.4: the rule of three; chi-square says 2.996.
    found = judge_checks([], [], 43_200 * S, ["a", "b"])
    assert found.false_per_day == 0.0
    assert found.false_per_day_high == pytest.approx(3.0, abs=0.005)
    one = judge_checks([check(SyncCause.STEP, 1)], [], 86_400 * S, ["a"])
    assert one.false_per_day == 1.0
    assert one.false_per_day_high == pytest.approx(4.744, abs=0.001)
    assert judge_checks([], [], 0, ["a"]).false_per_day_high == float("inf")


# --- stated times -------------------------------------------------------------------------------


def estimate(time_ns: int, offset_ns: int, bound_ns: int = 1000) -> ClockEstimate:
    return ClockEstimate(
        source="a",
        time_ns=time_ns,
        boot_id=1,
        is_two_way=True,
        offset_ns=offset_ns,
        bound_ns=bound_ns,
        uncertainty_ns=bound_ns // 2,
        skew_ppm=None,
        skew_uncertainty_ppm=None,
        delay_ns=None,
        probes=1,
        text="",
    )


def witness(clock: BoardClock, epoch_ns: int = 0) -> ClockTruth:
    return ClockTruth({"a": clock}, lambda node: 0, epoch_ns, lambda node, now: now > 50 * S)


def test_an_offset_is_held_against_the_board_s_own_clock():
    seen = witness(BoardClock([Rate(0, 100.0)]), epoch_ns=7 * S)
    true_ns = 7 * S - 1_000_000  # After 10 s at 100 ppm the board is 1 ms ahead.
    for error_ns in (0, -1000, 1000, -1001, 2001):
        seen.see([estimate(17 * S, true_ns + error_ns)], 20 * S)
    tally = seen.nodes[0].estimates
    assert (tally.claims, tally.broken, tally.covered) == (5, 2, 2)
    assert tally.error_max_ns == 2001


def test_what_is_stated_while_the_clock_lies_is_counted_apart():
    seen = witness(BoardClock(jumps=[Jump(50 * S, S)]))
    seen.see([estimate(60 * S, 0)], 20 * S)
    seen.see([estimate(20 * S, 0)], 60 * S)
    assert seen.nodes[0].estimates == Tally()


def test_a_bound_is_as_wide_as_it_says():
    clock = BoardClock([Rate(0, 100.0)])
    tick_us = clock.reading_ns(20 * S) // 1000
    reading = Reading(signal="a:flow", unit="m3/s", value=1.0, tick_us=tick_us)
    for late_ns, broken in ((0, 0), (900, 0), (-900, 0), (-2200, 1), (2200, 1)):
        seen = witness(clock)
        value = aligned("a:flow", time_ns=20 * S + late_ns, bound_ns=1000, sequence=3)
        seen.see(
            [verified(3, readings=(reading,)), value, replace(value, source="stranger")], 20 * S
        )
        assert seen.nodes[0].values.claims == 1
        assert seen.nodes[0].values.broken == broken, late_ns


def test_values_nobody_has_the_tick_of_are_not_judged():
    seen = witness(BoardClock())
    seen.see([aligned("a:flow", time_ns=20 * S, bound_ns=1, sequence=9)], 20 * S)
    assert seen.nodes[0].values == Tally()


def test_a_gateway_that_is_ahead_states_its_own_time():
    seen = ClockTruth(
        {"a": BoardClock()},
        lambda node: 0,
        0,
        lambda node, now_ns: False,
        gateway=BoardClock([Rate(0, 50.0)], [Jump(10 * S, 2 * S)]),
    )
    shown_ns = 22 * S + 20 * 50_000
    seen.see([estimate(shown_ns, shown_ns - 20 * S)], 21 * S)
    assert seen.nodes[0].estimates.error_max_ns <= 5, "rate times error"
