"""Rows come out in order, once, and complete if the values came in time."""

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import status
from gateway.records import Aligned, Provenance
from gateway.stages.rows import RowCollector
from tests.gateway.stages.frames import SECOND_NS

SIGNALS = ("a:x", "b:y")


def value(signal, time_ns, number=1.0, code=status.GOOD):
    """Return one aligned value."""
    return Aligned(
        signal=signal,
        unit="V",
        value=number,
        time_ns=time_ns,
        bound_ns=0,
        uncertainty_ns=0,
        status=code,
        provenance=Provenance.SEALED,
        source=signal.split(":")[0],
        sequence=0,
    )


def collector(wait_ns=SECOND_NS):
    """Return an empty collector."""
    return RowCollector(SIGNALS, SECOND_NS, wait_ns)


def feed_seconds(rows, seconds, phases=(0, SECOND_NS // 2)):
    """Feed both signals once per second with their own phases."""
    out = []
    for second in seconds:
        for signal, phase_ns in zip(SIGNALS, phases, strict=True):
            time_ns = second * SECOND_NS + phase_ns
            out += rows.put(value(signal, time_ns, float(second)), time_ns)
    return out


def test_two_phases_make_one_complete_row_per_second():
    out = feed_seconds(collector(), range(100, 110))
    assert [row.number - out[0].number for row in out] == list(range(10))
    assert all(row.values[0].value == row.values[1].value for row in out)


def test_the_boundary_keeps_its_distance_from_jitter_around_the_second():
    """Phases 0.98 and 0.02: a fixed grid would tear neighbours apart."""
    out = []
    rows = collector()
    for second in range(20):
        for signal, shift in (("a:x", -20_000_000), ("b:y", 20_000_000)):
            time_ns = (second + 5) * SECOND_NS + shift
            out += rows.put(value(signal, time_ns, float(second)), time_ns)
    assert [row.values[0].value for row in out] == [float(second) for second in range(20)]
    assert all(row.values[0].value == row.values[1].value for row in out)
    assert not rows.counts


def test_a_row_lacking_a_value_waits_then_comes_thin():
    rows = collector()
    feed_seconds(rows, range(100, 110))
    assert rows.put(value("a:x", 110 * SECOND_NS), 110 * SECOND_NS) == []
    assert rows.due(111 * SECOND_NS) == []
    (row,) = rows.due(113 * SECOND_NS)
    assert row.values[0].time_ns == 110 * SECOND_NS
    assert row.values[1] is None


def test_a_younger_complete_row_closes_a_thin_one_first():
    rows = collector(wait_ns=100 * SECOND_NS)
    feed_seconds(rows, range(100, 110))
    rows.put(value("b:y", 110 * SECOND_NS + SECOND_NS // 2), 111 * SECOND_NS)
    out = feed_seconds(rows, [111])
    assert [row.values[0] is None for row in out] == [True, False]
    assert out[0].number + 1 == out[1].number


def test_late_ahead_double_and_unknown_values_are_counted_or_ignored():
    rows = collector()
    feed_seconds(rows, range(100, 110))
    assert rows.put(value("a:x", 105 * SECOND_NS), 110 * SECOND_NS) == []
    assert rows.put(value("a:x", 900 * SECOND_NS), 110 * SECOND_NS) == []
    rows.put(value("a:x", 110 * SECOND_NS, 1.0), 110 * SECOND_NS)
    rows.put(value("a:x", 110 * SECOND_NS, 2.0), 110 * SECOND_NS)
    assert rows.put(value("c:z", 110 * SECOND_NS), 110 * SECOND_NS) == []
    assert rows.counts == {"late": 1, "ahead": 1, "double": 1}
    (row,) = rows.due(200 * SECOND_NS)
    assert row.values[0].value == 2.0


def test_a_bad_value_does_not_complete_a_row_but_is_kept():
    rows = collector()
    feed_seconds(rows, range(100, 110))
    time_ns = 110 * SECOND_NS
    rows.put(value("a:x", time_ns, code=status.BAD_SENSOR_FAILURE), time_ns)
    assert rows.put(value("b:y", time_ns + SECOND_NS // 2), time_ns + SECOND_NS // 2) == []
    (row,) = rows.due(200 * SECOND_NS)
    assert row.values[0].status == status.BAD_SENSOR_FAILURE


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from(SIGNALS)), max_size=150))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_any_order_gives_each_row_once_and_in_order(offers):
    rows = collector()
    out = []
    for second, signal in offers:
        out += rows.put(value(signal, second * SECOND_NS), 60 * SECOND_NS)
    out += rows.due(1000 * SECOND_NS)
    numbers = [row.number for row in out]
    assert numbers == sorted(set(numbers))
    assert all(any(kept is not None for kept in row.values) for row in out)


def test_a_clock_set_back_by_an_hour_costs_a_few_rows_not_an_hour():
    """The phases of the values change with the step, so the boundaries are found anew."""
    rows = collector()
    feed_seconds(rows, range(7200, 7210))
    rows.put(value("a:x", 7210 * SECOND_NS), 7210 * SECOND_NS)
    out = feed_seconds(rows, range(3600, 3620), phases=(SECOND_NS // 4, 3 * SECOND_NS // 4))
    thin, *full = out
    assert (thin.values[0].time_ns, thin.values[1]) == (7210 * SECOND_NS, None)
    assert len(full) >= 19
    assert all(row.values[0].value == row.values[1].value for row in full)
    assert [row.number - full[0].number for row in full] == list(range(len(full)))
    assert rows.counts == {"clock_set_back": 1}


def test_a_clock_set_back_is_seen_by_due_and_while_settling():
    rows = collector()
    rows.put(value("a:x", 7200 * SECOND_NS), 7200 * SECOND_NS)
    assert rows.due(3600 * SECOND_NS) == []
    assert rows.counts == {"clock_set_back": 1}
    out = feed_seconds(rows, range(3600, 3610))
    assert len(out) >= 9
    assert all(None not in row.values for row in out)


def test_a_little_disorder_of_the_calls_is_no_set_back():
    rows = collector()
    feed_seconds(rows, range(100, 110))
    rows.due(110 * SECOND_NS)
    rows.put(value("a:x", 109 * SECOND_NS + 1), 109 * SECOND_NS + 1)
    assert "clock_set_back" not in rows.counts


def test_values_ahead_cannot_close_honest_rows_however_wide_their_bound():
    rows = collector()
    feed_seconds(rows, range(100, 110))
    now_ns = 110 * SECOND_NS
    rows.put(value("a:x", now_ns), now_ns)
    for ahead in range(2, 60):
        wide = replace(value("b:y", now_ns + ahead * SECOND_NS), bound_ns=3600 * SECOND_NS)
        assert rows.put(wide, now_ns) == []
    (row,) = rows.put(value("b:y", now_ns + SECOND_NS // 2), now_ns + SECOND_NS // 2)
    assert row.values[0].time_ns == now_ns
    assert rows.counts == {"ahead": 58}


# --- signals of several periods ------------------------------------------------------------------


def multi_rate(stated_ns=None):
    """Return a collector of rows of a second whose second signal comes every five seconds."""
    return RowCollector(SIGNALS, SECOND_NS, SECOND_NS, stated_ns)


def feed_two_rates(rows, seconds, slow_lost=()):
    """Feed "a:x" each second and "b:y" every fifth."""
    out = []
    for second in seconds:
        time_ns = second * SECOND_NS
        out += rows.put(value("a:x", time_ns, float(second)), time_ns)
        if second % 5 == 0 and second not in slow_lost:
            late_ns = time_ns + SECOND_NS // 10
            out += rows.put(value("b:y", late_ns, float(second)), late_ns)
    return out


def test_rows_do_not_wait_for_a_slow_signal_that_is_not_due():
    out = feed_two_rates(multi_rate({"b:y": 5 * SECOND_NS}), range(100, 120))
    assert len(out) == 20
    assert [row.values[1] is not None for row in out] == [second % 5 == 0 for second in range(20)]
    assert [row.is_due[1] for row in out if row.values[1] is None] == [False] * 16


def test_a_slow_signal_that_is_due_and_missing_is_said_so_and_waited_for():
    rows = multi_rate({"b:y": 5 * SECOND_NS})
    out = feed_two_rates(rows, range(100, 111), slow_lost=(110,))
    assert len(out) == 10, "row 110 still waits for its slow value"
    (row,) = rows.due(113 * SECOND_NS)
    assert (row.values[1], row.is_due) == (None, (True, True))


def test_the_slow_period_is_recognised_when_nobody_states_it():
    rows = multi_rate()
    feed_two_rates(rows, range(100, 126))
    out = feed_two_rates(rows, range(126, 135))
    assert [row.values[0].value for row in out] == [float(second) for second in range(126, 135)]


def test_a_clock_set_back_again_and_again_keeps_no_rows_and_no_values():
    rows = collector()
    out = []
    for start in range(90_000, 0, -3600):
        out += feed_seconds(rows, range(start, start + 10))
    assert rows.counts == {"clock_set_back": 24}
    assert len(out) >= 25 * 9
    assert len(out) + len(rows.due(10**6 * SECOND_NS)) <= 25 * 11
    assert rows.due(2 * 10**6 * SECOND_NS) == []


def test_a_value_that_is_no_number_takes_its_place_in_a_row():
    rows = collector()
    feed_seconds(rows, range(100, 110))
    time_ns = 110 * SECOND_NS
    out = rows.put(value("a:x", time_ns, math.nan), time_ns)
    out += rows.put(value("b:y", time_ns + 1, math.inf), time_ns + SECOND_NS // 2)
    assert [row.number for row in out] == [out[0].number]
    assert math.isnan(out[0].values[0].value)
