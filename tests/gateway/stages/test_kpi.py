"""The figures of a link: what is a message, what is in time, what the limits say."""

import random

import pytest

from gateway.loss import LossLedger
from gateway.stages.kpi import FIGURES
from gateway.stages.sync import UNPLACED_BOUND_NS
from tests.gateway.plant import START_NS, aligned
from tests.gateway.stages.links import MS, S, Watch


def test_every_figure_is_there_before_the_first_message() -> None:
    (link,) = Watch().kpis.latest(START_NS)
    assert [figure.name for figure in link.figures] == list(FIGURES)
    assert all(figure.unit == FIGURES[figure.name] for figure in link.figures)
    known = {figure.name for figure in link.figures if figure.value is not None}
    assert known == {
        "transfer_interval_stated_s",
        "survival_time_s",
        "messages_count",
        "communication_service_failures_count",
        "communication_service_downtime_s",
    }
    assert (link.is_up, link.observed_s) == (False, 0.0)
    assert len(FIGURES) <= 64


def test_a_regular_link_has_the_figures_of_its_schedule() -> None:
    watch = Watch()
    watch.run(range(1, 601), latency_s=0.25)
    link = watch.kpi(600.5)
    assert link.is_up
    assert link.observed_s == pytest.approx(599.5)
    for name, expected in (
        ("transfer_interval_s", 1.0),
        ("update_time_median_s", 1.0),
        ("update_time_p99_s", 1.0),
        ("end_to_end_latency_p99_s", 0.25),
        ("jitter_s", 0.0),
        ("longest_gap_s", 1.0),
        ("messages_count", 600),
        ("untimely_message_ratio", 0.0),
        ("communication_service_availability_ratio", 1.0),
        ("clock_synchronicity_bound_p99_s", 0.0015),
        ("clock_synchronicity_uncertainty_p99_s", 0.0009),
    ):
        assert watch.value(name, 600.5) == pytest.approx(expected), name
    mtbf = link.figure("communication_service_reliability_mtbf_s")
    assert (mtbf.value, mtbf.high) == (None, None)
    assert mtbf.low == pytest.approx(599.5 / 2.9957, rel=1e-4)


def test_limits_of_a_latency_hold_the_uncertainty_of_its_clock() -> None:
    watch = Watch()
    watch.run(range(1, 601), latency_s=0.25)
    median = watch.kpi(600.5).figure("end_to_end_latency_median_s")
    assert (median.low, median.high) == (pytest.approx(0.2491), pytest.approx(0.2509))


def test_a_budget_is_met_only_when_its_limits_say_so() -> None:
    watch = Watch(latency_ns=S, mtbf_s=1200.0, availability=0.99, repair_s=10.0, loss_ratio=0.1)
    watch.run(range(1, 100))
    verdicts = {figure.name: figure.is_met for figure in watch.kpi(99.5).figures}
    assert verdicts["end_to_end_latency_p99_s"] is None, "99 messages cannot show a p99"
    assert verdicts["communication_service_reliability_mtbf_s"] is None
    watch.run(range(100, 4000))
    verdicts = {figure.name: figure.is_met for figure in watch.kpi(3999.5).figures}
    assert verdicts["end_to_end_latency_p99_s"] is True
    assert verdicts["communication_service_reliability_mtbf_s"] is True
    assert verdicts["communication_service_availability_ratio"] is True
    assert verdicts["clock_synchronicity_bound_p99_s"] is True
    assert verdicts["longest_gap_s"] is True
    assert verdicts["message_loss_ratio"] is None, "the ledger was told of no message"


def test_jitter_is_that_of_rfc_3550() -> None:
    """Transit times 100, 116, 84 ms: D = 16, -32; J = 16/16 = 1, then 1 + (32 - 1)/16."""
    watch = Watch()
    for at_s, latency_s in ((1.0, 0.100), (2.0, 0.116), (3.0, 0.084)):
        watch.send(at_s, latency_s)
    assert watch.value("jitter_s", 3.0) == pytest.approx(0.001 + (0.032 - 0.001) / 16)


def test_a_message_beyond_the_latency_does_not_keep_the_service_up() -> None:
    watch = Watch()
    watch.run(range(1, 11))
    for second in range(11, 31):
        watch.send(float(second), 3600.0)
        watch.tick(second + 0.5)
    link = watch.kpi(30.5)
    assert not link.is_up
    assert watch.value("communication_service_failures_count", 30.5) == 1
    assert watch.value("untimely_message_ratio", 30.5) == pytest.approx(20 / 30)
    assert watch.value("update_time_p99_s", 30.5) == pytest.approx(1.0)
    assert watch.value("communication_service_downtime_s", 30.5) == pytest.approx(15.5)


@pytest.mark.parametrize(
    ("latency_s", "bound_ns", "is_up"),
    [
        (2.0, MS, True),
        (2.001, MS, False),
        (-0.0009, MS, True),
        (-0.0011, MS, False),
        (0.1, UNPLACED_BOUND_NS, False),
    ],
)
def test_in_time_is_neither_late_nor_from_the_future_nor_of_unknown_time(
    latency_s: float, bound_ns: int, is_up: bool
) -> None:
    watch = Watch()
    watch.send(1.0, latency_s, bound_ns=bound_ns)
    assert watch.kpi(1.0).is_up is is_up


def test_only_the_fastest_signals_make_a_message() -> None:
    watch = Watch()
    for signal in ("a:slow", "b:flow"):
        watch.kpis.observe([watch.frame(signal), aligned(signal)], START_NS + S)
    watch.kpis.observe([aligned("a:flow")], START_NS + S)
    watch.kpis.observe([watch.frame("a:flow", source="stranger")], START_NS + S)
    assert watch.value("messages_count", 1.0) == 0


@pytest.mark.parametrize("lost", [0.0, 0.1])
def test_signals_that_come_apart_are_one_message(lost: float) -> None:
    """Two topics of one device, 20 ms apart, once a second; either may be lost."""
    rng, watch = random.Random(1), Watch(signals=frozenset({"a:flow", "a:level", "a:dead"}))
    for second in range(1, 1001):
        for signal, late_s in (("a:flow", 0.0), ("a:level", 0.02)):
            if rng.random() < lost:
                continue
            now_ns = START_NS + second * S + round(late_s * S)
            watch.number += 1
            value = aligned(signal, time_ns=now_ns - 100 * MS, sequence=watch.number)
            watch.kpis.observe([watch.frame(signal), value], now_ns)
        watch.tick(second + 0.5)
    assert watch.value("messages_count", 1000.5) == pytest.approx(1000 * (1 - lost**2), abs=6)
    assert watch.value("update_time_median_s", 1000.5) == pytest.approx(1.0, rel=0.025)
    assert watch.value("transfer_interval_s", 1000.5) == pytest.approx(1.0, rel=0.025)


def test_loss_is_what_the_ledger_says_over_all_runs() -> None:
    ledger = LossLedger()
    watch = Watch(ledger, loss_ratio=0.5)
    account = ledger.account("a")
    account.announced, account.lost, account.declared, account.unknown = 100, 1, 2, 1
    figure = watch.kpi(1.0).figure("message_loss_ratio")
    assert figure.value == pytest.approx(0.04)
    assert figure.low < 0.04 < figure.high
    assert figure.is_met is True
    again = Watch(LossLedger())
    again.kpis.restore(watch.kpis.state())
    again.ledger.account("a").announced = 100
    assert again.value("message_loss_ratio", 1.0) == pytest.approx(0.02)


def test_losses_and_late_messages_in_a_row_are_one_event() -> None:
    apart, together = Watch(), Watch()
    for watch, lost in ((apart, (1, 2, 3, 4)), (together, (0, 4, 4, 4))):
        watch.ledger.account("a").announced = 1000
        for second, so_far in enumerate(lost):
            watch.ledger.account("a").lost = so_far
            watch.send(second + 1.0, 60.0 if watch is together or second % 2 else 0.1)
    for name in ("message_loss_ratio", "untimely_message_ratio"):
        single, burst = (watch.kpi(5.0).figure(name) for watch in (apart, together))
        assert burst.high - burst.low > single.high - single.low, name


def test_one_long_delay_is_not_held_against_the_latency_for_good() -> None:
    """Forty messages late in a row are 2 % of them and one event: too little to tell."""
    once, often = Watch(latency_ns=S), Watch(latency_ns=S)
    for second in range(1, 2001):
        once.send(float(second), 5.0 if second in range(1000, 1040) else 0.1)
        often.send(float(second), 5.0 if second % 50 == 0 else 0.1)
    figures = [watch.kpi(2000.0).figure("end_to_end_latency_p99_s") for watch in (once, often)]
    assert [figure.low > figure.budget for figure in figures] == [True, True]
    assert [figure.is_met for figure in figures] == [None, False]


def test_a_poll_without_an_answer_is_a_lost_message() -> None:
    watch = Watch(is_polled=True)
    watch.ledger.account("a").verified = 8
    watch.ledger.line_error("a", "poll_failed", 2)
    assert watch.value("message_loss_ratio", 1.0) == pytest.approx(0.2)


def test_figures_are_told_now_and_then_and_when_a_service_changes() -> None:
    watch = Watch()
    told = {}
    for tenth in range(1, 250):
        if tenth <= 25 and tenth % 10 == 0:
            watch.send(tenth / 10)
        for link in watch.tick(tenth / 10):
            told[tenth / 10] = link.is_up
    assert told == {1.0: True, 7.1: False, 10.0: False, 20.0: False}


def test_distributions_are_cumulative() -> None:
    watch = Watch()
    watch.run(range(1, 101))
    found = {entry.name: entry for entry in watch.kpis.distributions()}
    update = found["update_time"]
    assert (update.count, update.total_s) == (99, pytest.approx(99.0))
    below = {round(edge, 6): count for edge, count in update.buckets}
    assert (below[0.524288], below[1.048576]) == (0, 99)


def test_a_noisy_link_shows_its_loss_and_gaps() -> None:
    """One message in ten is lost at random: gaps of two intervals, no failure of a grace of 5."""
    rng, watch = random.Random(1), Watch()
    for second in range(1, 2001):
        if rng.random() > 0.1:
            watch.send(float(second))
        watch.tick(second + 0.5)
    assert 2.0 <= watch.value("update_time_p99_s", 2000.5) <= 3.1
    assert watch.value("transfer_interval_s", 2000.5) == pytest.approx(1.0, rel=0.03)
    assert watch.value("communication_service_failures_count", 2000.5) == 0
