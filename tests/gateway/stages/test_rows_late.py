"""Fast signals, samples of one row, and values that come for rows that are closed."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gateway import status
from gateway.stages.row_samples import CROWDED, DOUBLE, SAMPLES_MAX, RowSamples
from gateway.stages.rows import ROWS_MAX, RowCollector
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
    assert [sample.time_ns for sample in row.of(1)] == [5, 7]


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


@pytest.mark.parametrize(
    ("order", "doubles", "times"),
    [((2, 1, 2), 1, [2, 1]), ((1, 2, 1), 1, [1, 2]), ((1, 2, 1, 1, 2, 1), 4, [1, 2])],
)
def test_a_second_value_for_a_time_replaces_its_first_in_whatever_order(order, doubles, times):
    row = RowSamples(1)
    said = [row.put(0, value("a:x", time_ns, float(at))) for at, time_ns in enumerate(order)]
    assert said.count(DOUBLE) == doubles
    newest = [float(max(at for at, each in enumerate(order) if each == one)) for one in times]
    assert [(each.time_ns, each.value) for each in row.of(0)] == list(
        zip(times, newest, strict=True)
    )
    assert len(row.batch().values) == 2


def test_a_time_that_is_absurdly_unsure_can_be_computed_with():
    row = RowSamples(1)
    row.put(0, replace(value("a:x", 1), uncertainty_ns=10**400, bound_ns=10**400))
    assert math.isfinite(row.batch().uncertainties_ns[0])
    assert row.coherence_ns == row.bound_ns == 1 << 62


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
        late = value("a:x", 115 * SECOND_NS, 115.0)
    rows.put(late, now_ns)
    assert rows.take_late() == []
    assert rows.counts["late"] == 1


def test_a_late_correction_of_a_value_revises_and_a_copy_of_it_does_not():
    rows = patient()
    without(rows, 115)
    for number in (9.0, 9.0, 115.0, 7.0):
        rows.put(value("a:x", 115 * SECOND_NS, number), 121 * SECOND_NS)
    (found,) = rows.take_late()
    assert (found.place, found.value) == (0, 7.0)
    assert rows.counts == {"late": 4, "double": 4}
    rows.put(value("a:x", 115 * SECOND_NS, 7.0), 121 * SECOND_NS)
    assert rows.take_late() == []


def test_late_samples_of_one_signal_and_row_are_worked_out_once_and_repeated_they_change_nothing():
    rows = patient()
    without(rows, 115)
    for _ in range(3):
        for shift, number in ((500, 1.0), (600, 2.0)):
            time_ns = 115 * SECOND_NS + shift * SECOND_NS // 1000
            rows.put(value("b:y", time_ns, number), 121 * SECOND_NS)
    (found,) = rows.take_late()
    assert found.value == 1.5
    assert rows.counts == {"late": 6, "double": 4}


def test_a_second_sample_of_a_row_that_was_complete_early_revises_it():
    rows = patient()
    out = feed_seconds(rows, range(100, 110), phases=(0, 1))
    closed_ns = max(kept.time_ns for kept in out[-1].values)
    rows.put(value("b:y", closed_ns + SECOND_NS // 10, 9.0), closed_ns + SECOND_NS // 5)
    (found,) = rows.take_late()
    assert (found.number, found.late_ns) == (out[-1].number, 0)


def test_a_thousand_signals_that_come_late_are_resampled_together(monkeypatch):
    names = tuple(f"n:{place}" for place in range(200))
    rows = RowCollector(names, SECOND_NS, SECOND_NS, horizon_ns=10 * SECOND_NS)
    for second in range(100, 110):
        rows.put(value(names[0], second * SECOND_NS), second * SECOND_NS)
    rows.due(110 * SECOND_NS)
    asked = []
    again = rows._resampler.again
    monkeypatch.setattr(
        rows._resampler, "again", lambda *each: asked.append(len(each[0])) or again(*each)
    )
    for name in names[1:]:
        rows.put(value(name, 105 * SECOND_NS, 3.0), 110 * SECOND_NS)
    assert [late.value for late in rows.take_late()] == [3.0] * 199
    assert asked == [199]


# --- stored values -------------------------------------------------------------------------------

FOUR = ("n:a", "n:b", "n:c", "n:d")


def stored(seconds, signals=FOUR, source="n", by_signal=False):
    """Return values that were stored on the way: one frame a second, or all in one frame."""
    made = [
        replace(value(name, second * SECOND_NS), source=source, sequence=second)
        for second in seconds
        for name in signals
    ]
    if by_signal:
        made = [replace(each, sequence=0) for each in made]
        made.sort(key=lambda each: each.signal)
    return made


def after_an_outage(*deliveries):
    """Return the rows after 100 s that come of values delivered in turn at 160 s, and counts."""
    rows = RowCollector(FOUR, SECOND_NS, SECOND_NS)
    for each in stored(range(90, 100)):
        rows.put(each, each.time_ns)
    for second in range(100, 160):
        rows.due(second * SECOND_NS)
    out = [row for each in deliveries for row in rows.put(each, 160 * SECOND_NS)]
    out += rows.due(170 * SECOND_NS)
    return [sum(kept is not None for kept in row.values) for row in out], rows.counts


@pytest.mark.parametrize("by_signal", [False, True])
def test_a_backlog_of_one_node_makes_whole_rows(by_signal):
    seconds = range(100, 112) if by_signal else range(100, 160)
    full, counts = after_an_outage(*stored(seconds, by_signal=by_signal))
    assert full == [4] * len(seconds)
    assert not counts


def test_a_backlog_that_lacks_a_signal_makes_rows_in_order_that_wait_for_nothing():
    full, counts = after_an_outage(*stored(range(100, 160), FOUR[:3]))
    assert full == [3] * 60
    assert not counts


def test_a_backlog_that_begins_everything_makes_whole_rows_too():
    rows = RowCollector(FOUR, SECOND_NS, SECOND_NS)
    out = [row for each in stored(range(100, 160)) for row in rows.put(each, 170 * SECOND_NS)]
    out += rows.due(170 * SECOND_NS)
    assert [sum(kept is not None for kept in row.values) for row in out] == [4] * 60


# --- absurd times --------------------------------------------------------------------------------


@pytest.mark.parametrize("time_ns", [-(2**70), -(2**63) - 1, 0, 60 * SECOND_NS])
def test_a_first_value_that_lies_far_back_neither_settles_rows_nor_opens_one(time_ns):
    rows = collector()
    rows.put(value("a:x", time_ns), 100 * SECOND_NS)
    out = feed_seconds(rows, range(100, 110))
    assert len(out) == 10
    rows.put(value("a:x", time_ns), 110 * SECOND_NS)
    assert rows.counts == {"ancient": 1, "late": 1}


def test_once_settled_what_lies_far_back_opens_no_row():
    rows = RowCollector(SIGNALS, SECOND_NS, SECOND_NS)
    for second in range(100, 105):
        rows.put(value("a:x", second * SECOND_NS), 100 * SECOND_NS + second)
    rows._closed_to = None
    rows.put(value("a:x", -(2**70)), 105 * SECOND_NS)
    assert rows.counts["ancient"] == 1


# --- bounds --------------------------------------------------------------------------------------


def test_rows_wait_as_long_as_was_asked_for():
    rows = collector(wait_ns=60 * SECOND_NS)
    out = []
    for second in range(100, 190):
        time_ns = second * SECOND_NS
        out += rows.put(value("a:x", time_ns), time_ns)
        if second >= 130:
            out += rows.put(value("b:y", time_ns - 30 * SECOND_NS + 1), time_ns)
    assert len(out) >= 58
    assert all(None not in row.values for row in out)
    assert not rows.counts


def test_samples_of_rows_under_way_are_bounded(monkeypatch):
    monkeypatch.setattr("gateway.stages.rows._OPEN_SAMPLES_MAX", 50)
    rows = collector(wait_ns=600 * SECOND_NS)
    for second in range(100, 300):
        rows.put(value("a:x", second * SECOND_NS), second * SECOND_NS)
    assert sum(len(row) for row in rows._open.values()) == rows._open_samples <= 50


def test_closed_rows_are_kept_for_the_horizon_only_and_not_over_a_set_back():
    rows = patient(horizon_s=3)
    feed_seconds(rows, range(100, 160))
    assert len(rows._history) <= 6
    rows.due(10 * SECOND_NS)
    assert len(rows._history) == 0


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


def test_a_horizon_of_as_many_rows_as_a_site_may_ask_for_is_kept():
    horizon_s = ROWS_MAX
    rows = patient(horizon_s)
    for second in range(100, 100 + horizon_s):
        rows.put(value("a:x", second * SECOND_NS), second * SECOND_NS)
    now_ns = (100 + horizon_s) * SECOND_NS
    rows.due(now_ns + SECOND_NS)
    rows.put(value("b:y", 101 * SECOND_NS, 7.0), now_ns)
    assert [late.value for late in rows.take_late()] == [7.0]
