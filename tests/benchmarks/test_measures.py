"""Counts, delays, rates and aims against small examples."""

import math

import numpy as np
import pytest

from benchmarks import measures
from benchmarks.measures import Aim, Counts

LABEL = np.array([False, False, True, True, True, False])


def test_rows_are_counted_by_label_and_alarm() -> None:
    counts = measures.count(LABEL, np.array([True, False, False, True, True, False]))
    assert counts == Counts(2, 1, 1, 2)
    assert counts.f1 == pytest.approx(2 / 3)
    assert counts.false_alarm_rate == pytest.approx(1 / 3)
    assert counts.missed_rate == pytest.approx(1 / 3)


def test_counts_of_files_add_up_before_rates_are_taken() -> None:
    assert Counts(1, 0, 0, 1) + Counts(0, 3, 1, 0) == Counts(1, 3, 1, 1)


def test_a_rate_without_rows_is_not_a_number() -> None:
    assert math.isnan(Counts(0, 0, 0, 5).missed_rate)


def test_delay_is_from_the_label_to_the_first_alarm_in_it() -> None:
    assert measures.delay_rows(LABEL, np.array([False] * 4 + [True, True])) == 2
    assert measures.delay_rows(LABEL, np.ones(6, dtype=np.bool_)) == 0
    assert measures.delay_rows(LABEL, np.array([True, True] + [False] * 4)) is None


def test_median_delay_leaves_out_what_was_never_found_and_counts_it() -> None:
    assert measures.median_delay([4, None, 8, 6]) == (6.0, 1)
    median, missing = measures.median_delay([None])
    assert math.isnan(median)
    assert missing == 1


def test_detection_rate_at_the_limit_of_the_run_without_fault() -> None:
    quiet = np.arange(1000.0)
    fault = np.concatenate([np.full(160, 5_000.0), np.full(300, 995.0), np.full(100, 3.0)])
    rates = measures.detection_rates({0: quiet, 4: fault})
    assert rates == {4: pytest.approx(0.75)}


def test_a_score_that_is_not_there_yet_is_no_alarm() -> None:
    fault = np.concatenate([np.zeros(160), np.full(10, np.nan), np.full(10, 9.0)])
    assert measures.detection_rates({0: np.zeros(100), 1: fault})[1] == pytest.approx(0.5)


def test_rows_before_the_fault_tell_whether_the_limit_holds_on_other_runs() -> None:
    wanders = np.concatenate([np.full(40, 5_000.0), np.zeros(120), np.full(100, 5_000.0)])
    assert measures.early_rate({0: np.arange(1000.0), 2: wanders}) == pytest.approx(0.25)


def test_the_mean_can_leave_out_what_nobody_finds() -> None:
    rates = {1: 1.0, 3: 0.0, 9: 0.0, 10: 0.8}
    assert measures.mean_rate(rates) == pytest.approx(0.45)
    assert measures.mean_rate(rates, without_undetectable=True) == pytest.approx(0.9)


def test_an_aim_says_by_how_much_it_was_missed() -> None:
    assert str(Aim("F1", 0.9, least=0.87)) == "F1 >= 0.87: 0.9, reached"
    assert str(Aim("F1", 0.8, least=0.87)) == "F1 >= 0.87: 0.8, NOT reached, short by 0.07"
    assert str(Aim("cover %", 97.0, least=85, most=95)).endswith("NOT reached, short by 2")
    assert not Aim("F1", math.nan, least=0.87).is_reached
