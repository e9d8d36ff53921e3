"""Fast signals, samples of one row, and values that come for rows that are closed."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gateway import status
from gateway.stages.row_samples import CROWDED, DOUBLE, SAMPLES_MAX, RowSamples, joined
from gateway.stages.rows import RowCollector
from tests.gateway.stages.frames import SECOND_NS
from tests.gateway.stages.test_rows import SIGNALS, collector, feed_seconds, value

# --- samples of a row ----------------------------------------------------------------------------


def test_samples_leave_as_arrays_and_time_uncertainty_as_a_standard_one():
    row = RowSamples(2)
    for place, time_ns, unsure_ns in ((1, 5, 8), (0, 3, 2), (1, 7, 4)):
        sample = replace(value("a:x", time_ns, float(time_ns)), uncertainty_ns=unsure_ns)
        assert row.put(place, replace(sample, bound_ns=3 * unsure_ns)) == ""
    found = row.batch()
    assert found.places.tolist() == [1, 0, 1]
    assert found.times_ns.tolist() == [5, 3, 7]
    assert found.values.tolist() == [5.0, 3.0, 7.0]
    assert found.uncertainties_ns.tolist() == [4.0, 1.0, 2.0]
    assert (row.coherence_ns, row.bound_ns) == (8, 24)
    assert joined([row, row], 1).times_ns.tolist() == [5, 7, 5, 7]


def test_the_newest_usable_value_is_kept_and_a_bad_one_only_while_there_is_none():
    row = RowSamples(1)
    bad = value("a:x", 5, code=status.BAD_SENSOR_FAILURE)
    row.put(0, bad)
    assert (row.kept, row.has) == ([bad], [False])
    good = value("a:x", 4)
    row.put(0, good)
    row.put(0, value("a:x", 6, code=status.BAD_SENSOR_FAILURE))
    row.put(0, value("a:x", 7, math.nan))
    row.put(0, value("a:x", 3))
    assert (row.kept, row.has) == ([good], [True])
    assert row.batch().times_ns.tolist() == [4, 3]


def test_a_second_value_for_a_time_replaces_the_first_and_a_flood_is_bounded():
    row = RowSamples(1)
    row.put(0, value("a:x", 1, 1.0))
    assert row.put(0, value("a:x", 1, 2.0)) == DOUBLE
    assert row.batch().values.tolist() == [2.0]
    said = [row.put(0, value("a:x", 2 + at, float(at))) for at in range(SAMPLES_MAX + 10)]
    assert said.count(CROWDED) == 11
    assert len(row.batch().values) == SAMPLES_MAX
    assert row.kept[0].value == SAMPLES_MAX + 9


def test_a_row_without_samples_has_no_time_to_doubt():
    row = RowSamples(2)
    assert (row.coherence_ns, row.bound_ns, len(row.batch().values)) == (0, 0, 0)


# --- fast signals --------------------------------------------------------------------------------


def feed_fast(rows, seconds, lost=()):
    """Feed "a:x" ten times a second and "b:y" once."""
    out = []
    for tenth in range(10 * seconds.start, 10 * seconds.stop):
        time_ns = tenth * SECOND_NS // 10
        if tenth not in lost:
            out += rows.put(value("a:x", time_ns, float(tenth % 10)), time_ns)
        if tenth % 10 == 0:
            out += rows.put(value("b:y", time_ns + 1, 0.0), time_ns + 1)
    return out


def test_a_row_waits_for_all_samples_of_a_faster_signal():
    rows = RowCollector(SIGNALS, SECOND_NS, SECOND_NS, {"a:x": SECOND_NS // 10})
    out = feed_fast(rows, range(100, 120))
    assert len(out) >= 18
    means = [row.carried.values[0] for row in out[1:40]]
    assert means == pytest.approx([4.5] * len(means), abs=0.3)
    assert not rows.counts


def test_a_lost_last_sample_holds_a_row_up_no_longer_than_it_waits():
    stated = {"a:x": SECOND_NS // 10}
    rows = RowCollector(SIGNALS, SECOND_NS, SECOND_NS // 2, stated)
    whole = len(feed_fast(rows, range(100, 120)))
    rows = RowCollector(SIGNALS, SECOND_NS, SECOND_NS // 2, stated)
    last = 1109 if whole else 0
    assert len(feed_fast(rows, range(100, 120), lost=(last,))) == whole


# --- late values ---------------------------------------------------------------------------------


def patient(horizon_s=10):
    """Return a collector that works out what late values make of closed rows."""
    return RowCollector(SIGNALS, SECOND_NS, SECOND_NS, horizon_ns=horizon_s * SECOND_NS)


def without(rows, second):
    """Feed rows 100 to 119 without the value of "b:y" in one of them."""
    out = []
    for at in range(100, 120):
        time_ns = at * SECOND_NS
        out += rows.put(value("a:x", time_ns, float(at)), time_ns)
        if at != second:
            time_ns += SECOND_NS // 2
            out += rows.put(value("b:y", time_ns, float(at)), time_ns)
    return out


def test_a_value_within_the_horizon_says_what_its_row_would_have_had():
    rows = patient()
    out = without(rows, 115)
    late = value("b:y", 115 * SECOND_NS + SECOND_NS // 2, 115.25)
    assert rows.put(late, 121 * SECOND_NS) == []
    (found,) = rows.take_late()
    thin = next(row for row in out if row.values[1] is None)
    assert (found.number, found.place, found.value) == (thin.number, 1, 115.25)
    assert found.late_ns == 121 * SECOND_NS - (thin.time_ns + SECOND_NS // 2)
    assert (found.extra, found.status) == (0.0, status.GOOD)
    assert rows.take_late() == []
    assert rows.counts == {"late": 1}


@pytest.mark.parametrize("odd", ["too late", "bad", "the same again", "nan", "no horizon"])
def test_what_says_nothing_new_is_counted_late_and_revises_nothing(odd):
    rows = patient(horizon_s=0 if odd == "no horizon" else 10)
    without(rows, 115)
    time_ns, now_ns = 115 * SECOND_NS + SECOND_NS // 2, 121 * SECOND_NS
    late = value("b:y", time_ns, 115.0)
    if odd == "too late":
        now_ns = 140 * SECOND_NS
    elif odd == "bad":
        late = replace(late, status=status.BAD_SENSOR_FAILURE)
    elif odd == "nan":
        late = replace(late, value=math.nan)
    elif odd == "the same again":
        late = value("a:x", 115 * SECOND_NS, 9.0)
    rows.put(late, now_ns)
    assert rows.take_late() == []
    assert rows.counts["late"] == 1


def test_closed_rows_are_kept_for_the_horizon_only_and_not_over_a_set_back():
    rows = patient(horizon_s=3)
    feed_seconds(rows, range(100, 160))
    assert len(rows._closed) <= 6
    rows.due(10 * SECOND_NS)
    assert not rows._closed


def test_nobody_who_takes_no_late_values_pays_for_them():
    rows = patient()
    without(rows, 115)
    for at in range(5_000):
        rows.put(value("b:y", 115 * SECOND_NS + 400_000_000 + at, 1.0), 121 * SECOND_NS)
    assert len(rows.take_late()) <= 1024
    assert rows.counts["late"] == 5_000


# --- time ----------------------------------------------------------------------------------------


def test_a_row_says_how_badly_the_worst_of_its_times_is_known():
    rows = collector()
    feed_seconds(rows, range(100, 110))
    at_ns = 110 * SECOND_NS
    rows.put(replace(value("a:x", at_ns), uncertainty_ns=5, bound_ns=9), at_ns)
    later_ns = at_ns + SECOND_NS // 2
    (row,) = rows.put(replace(value("b:y", later_ns), uncertainty_ns=7, bound_ns=8), later_ns)
    assert (row.coherence_ns, row.bound_ns) == (7, 9)


@pytest.mark.slow
def test_phases_and_rates_do_not_matter_to_what_is_regular():
    """Carried values of regular signals are the values themselves, also when laws are known."""
    rows = collector()
    rng = np.random.default_rng(0)
    numbers = np.cumsum(rng.normal(size=(700, 2)), axis=0)
    out = []
    for second, pair in enumerate(numbers.tolist()):
        for signal, phase_ns, number in zip(SIGNALS, (0, 300_000_000), pair, strict=True):
            time_ns = second * SECOND_NS + phase_ns
            out += rows.put(value(signal, time_ns, number), time_ns)
    assert rows._resampler.law.is_known.all()
    assert [row.carried.values.tolist() for row in out] == numbers[: len(out)].tolist()
    assert not any(row.carried.extra.any() for row in out)
