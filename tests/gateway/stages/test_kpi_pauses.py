"""The figures of a link over pauses of the gateway, clocks that are set, and restarts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.loss import LossLedger
from gateway.stages.kpi import PAUSE_NS, Kpis
from tests.gateway.plant import START_NS, aligned
from tests.gateway.stages.links import MS, S, Watch, budget


def test_a_pause_of_the_gateway_is_no_downtime_and_no_gap() -> None:
    watch = Watch()
    watch.run(range(1, 11))
    watch.run(range(4000, 4010))
    link = watch.kpi(4009.5)
    assert (link.is_up, link.observed_s) == (True, pytest.approx(19.0))
    assert watch.value("communication_service_failures_count", 4009.5) == 0
    assert watch.value("longest_gap_s", 4009.5) <= 1.5
    assert watch.value("update_time_p99_s", 4009.5) == pytest.approx(1.0)


@pytest.mark.parametrize("halt_s", [0.9, 1.1, 1.3, 2.0, 6.0, 8.0])
@pytest.mark.parametrize("survival_ns", [S, 4 * S])
def test_a_short_halt_or_a_clock_set_ahead_is_no_failure_of_any_link(
    halt_s: float, survival_ns: int
) -> None:
    """A message every 0.1 s, four looks a second; then neither, and on as before."""
    watch = Watch(survival_ns=survival_ns, transfer_interval_ns=100 * MS)
    for tenth in range(1, 200):
        at_s = tenth / 10 + (halt_s if tenth > 100 else 0.0)
        watch.send(at_s)
        watch.tick(at_s + 0.05)
    end_s = 19.95 + halt_s
    assert watch.value("communication_service_failures_count", end_s) == 0
    assert watch.value("communication_service_availability_ratio", end_s) == 1.0
    assert watch.value("longest_gap_s", end_s) <= 1.1


def test_a_clock_that_is_set_does_not_make_a_figure() -> None:
    watch = Watch()
    watch.run(range(1, 11))
    watch.run(range(-5000, -4990))
    watch.run(range(100_000, 100_010))
    link = watch.kpi(100_009.5)
    assert link.observed_s == pytest.approx(28.5)
    assert watch.value("longest_gap_s", 100_009.5) <= 1.5
    assert link.is_up


def test_a_silence_that_was_watched_is_downtime_however_long() -> None:
    watch = Watch()
    watch.send(1.0)
    for second in range(2, 102):
        watch.tick(float(second))
    assert watch.value("communication_service_downtime_s", 101.0) == pytest.approx(95.0)
    assert watch.value("longest_gap_s", 101.0) == pytest.approx(100.0)


def test_figures_go_on_over_a_restart() -> None:
    first = Watch()
    first.run(range(1, 101))
    again = Watch()
    assert again.kpis.restore(first.kpis.state() | {"gone": first.kpis.state()["a"]}) == []
    again.run(range(1, 101))
    link = again.kpi(100.5)
    assert link.observed_s == pytest.approx(99.5 + 99.5), "the wait for the first is not observed"
    assert again.value("messages_count", 100.5) == 200
    assert again.value("communication_service_failures_count", 100.5) == 0


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("at", [1, 40, 299])
def test_a_burst_over_a_restart_is_one_burst(late: bool, at: int) -> None:
    """300 messages lost, or late, in a row; the gateway restarts when some of them are."""
    figures = []
    for is_restarted in (False, True):
        watch = Watch(LossLedger(), is_polled=True)
        for second in range(1, 1001):
            bad = second in range(300, 600)
            if bad and not late:
                watch.ledger.line_error("a", "poll_failed")
                watch.tick(float(second))
            else:
                watch.ledger.account("a").verified += 1
                watch.send(float(second), 60.0 if bad else 0.1)
            if is_restarted and second == 300 + at:
                state = watch.kpis.state()
                watch.ledger, number = LossLedger(), watch.number
                watch.kpis = Kpis({"a": budget(is_polled=True)}, watch.ledger)
                watch.kpis.restore(state)
                watch.number = number
        name = "untimely_message_ratio" if late else "message_loss_ratio"
        figures.append(watch.kpi(1000.0).figure(name))
    assert figures[0] == figures[1]
    assert figures[0].high > 0.6, "one event is little to tell a rate from"


def test_a_burst_that_goes_on_counts_as_one_before_it_is_over() -> None:
    watch = Watch(is_polled=True)
    watch.ledger.account("a").verified = 100
    watch.send(1.0)
    watch.ledger.line_error("a", "poll_failed", 50)
    assert watch.kpi(2.0).figure("message_loss_ratio").high > 0.7


def test_another_budget_begins_afresh() -> None:
    first = Watch()
    first.run(range(1, 11))
    again = Watch(survival_ns=S)
    assert again.kpis.restore(first.kpis.state()) == ["a"]
    assert again.value("messages_count", 0.0) == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-3 * PAUSE_NS, 3 * PAUSE_NS),
            st.sampled_from(("tick", "send", "restart")),
            st.integers(-(1 << 62), 1 << 62),
            st.integers(0, 1 << 62),
        ),
        max_size=40,
    )
)
def test_no_order_of_calls_and_no_stamp_breaks_the_sums(steps) -> None:
    watch, now_ns, moved_ns = Watch(), START_NS, 0
    for step_ns, what, latency_ns, bound_ns in steps:
        now_ns += step_ns
        moved_ns += max(step_ns, 0)
        if what == "tick":
            watch.kpis.tick(now_ns)
        elif what == "send":
            watch.number += 1
            value = aligned(
                "a:flow", time_ns=now_ns - latency_ns, bound_ns=bound_ns, sequence=watch.number
            )
            watch.kpis.observe([watch.frame("a:flow"), value], now_ns)
        else:
            state = watch.kpis.state()
            watch.kpis = Kpis({"a": budget()}, LossLedger())
            watch.kpis.restore(state)
    for link in watch.kpis.latest(now_ns):
        assert 0 <= link.observed_s * S <= moved_ns + S
        for figure in link.figures:
            if None not in (figure.low, figure.high):
                assert figure.low <= figure.high, figure
        ratio = link.figure("communication_service_availability_ratio").value
        assert ratio is None or 0 <= ratio <= 1
