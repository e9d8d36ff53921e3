"""The metrics, read by the parser of Prometheus's own client library."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.clock import ManualClock
from gateway.loss import LossLedger
from gateway.records_time import SyncCause
from gateway.stages.kpi import Kpis
from gateway.stages.kpi_figures import FIGURES
from gateway.time_board import TimeBoard
from gateway.web.metrics import Metrics
from tests.gateway.plant import START_NS
from tests.gateway.stages.test_kpi import Watch
from tests.gateway.time_records import check, clock, link


@pytest.fixture
def board() -> TimeBoard:
    return TimeBoard("skid", ManualClock(START_NS))


def read(board: TimeBoard, ledger: LossLedger | None = None) -> dict[tuple[str, tuple], float]:
    """Return every sample by name and labels; fail on one that comes twice."""
    found: dict[tuple[str, tuple], float] = {}
    text = Metrics(board, ledger or LossLedger()).text().decode()
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        assert family.type in ("gauge", "counter", "histogram"), family.name
        assert family.name.startswith("twinrig_")
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def test_a_clock_is_told_in_seconds_and_ratios(board: TimeBoard) -> None:
    board.tell(clock("a", offset_ns=-20_000_000))
    board.tell(clock("plc", is_two_way=False, bound_ns=None, skew_ppm=None))
    found, a, plc = read(board), (("source", "a"),), (("source", "plc"),)
    assert found["twinrig_clock_offset_seconds", a] == pytest.approx(-0.02)
    assert found["twinrig_clock_bound_seconds", a] == pytest.approx(0.001512)
    assert found["twinrig_clock_skew_ratio", a] == pytest.approx(-12.345e-6)
    assert found["twinrig_clock_probes_total", a] == 401
    assert ("twinrig_clock_bound_seconds", plc) not in found, "unknown is no zero"
    assert ("twinrig_clock_skew_ratio", plc) not in found


def test_findings_are_counted_and_shown_while_they_last(board: TimeBoard) -> None:
    board.tell(check("a"))
    board.tell(check("a", signal="a:flow"))
    board.tell(check("b", SyncCause.DUPLICATED, is_active=False))
    found = read(board)
    step = (("cause", "step"), ("source", "a"))
    assert found["twinrig_sync_check_active", step] == 1
    assert found["twinrig_sync_checks_total", step] == 2
    over = (("cause", "duplicated"), ("source", "b"))
    assert (found["twinrig_sync_check_active", over], found["twinrig_sync_checks_total", over]) == (
        0,
        1,
    )


def test_every_figure_is_a_gauge_with_its_limits_and_budget(board: TimeBoard) -> None:
    board.tell(link("a"))
    found, labels = read(board), (("link", "serial"), ("source", "a"))
    names = {name for name, kept in found if kept == labels}
    for name in FIGURES:
        told = (
            f"twinrig_{name.removesuffix('_s')}_seconds"
            if name.endswith("_s")
            else f"twinrig_{name}"
        )
        assert (told in names) == (name != "communication_service_reliability_mtbf_s"), told
    latency = (("figure", "end_to_end_latency_p99_s"), *labels)
    assert found["twinrig_figure_low", latency] == pytest.approx(0.2)
    assert found["twinrig_figure_budget", latency] == pytest.approx(0.1)
    assert found["twinrig_figure_met", latency] == 0
    mtbf = (("figure", "communication_service_reliability_mtbf_s"), *labels)
    assert found["twinrig_figure_low", mtbf] == 1000
    assert ("twinrig_figure_met", mtbf) not in found


def test_histograms_are_cumulative_and_whole(board: TimeBoard) -> None:
    watch = Watch()
    watch.run(range(1, 101), latency_s=0.25)
    board.distributions = watch.kpis.distributions
    found = read(board)
    labels = (("link", "test"), ("source", "a"))
    name = "twinrig_end_to_end_latency_distribution_seconds"
    buckets = [
        (float(dict(kept)["le"]), value)
        for (told, kept), value in found.items()
        if told == f"{name}_bucket"
    ]
    assert [value for _, value in sorted(buckets)] == sorted(value for _, value in buckets)
    assert max(buckets) == (float("inf"), 100)
    assert dict(buckets)[0.131072] == 0
    assert dict(buckets)[0.262144] == 100
    assert found[f"{name}_count", labels] == 100
    assert found[f"{name}_sum", labels] == pytest.approx(25.0)


def test_the_ledger_is_told_account_by_account(board: TimeBoard) -> None:
    ledger = LossLedger()
    account = ledger.account("a")
    account.received, account.verified, account.rejected["bad_mac"] = 10, 9, 1
    ledger.line_error("a", "crc", 3)
    ledger.offered("store", 5)
    ledger.dropped("store", "queue_full", 2)
    found = read(board, ledger)
    assert found["twinrig_frames", (("account", "verified"), ("source", "a"))] == 9
    rejected = (("reason", "bad_mac"), ("source", "a"))
    assert found["twinrig_frames_rejected_total", rejected] == 1
    assert found["twinrig_line_errors_total", (("reason", "crc"), ("source", "a"))] == 3
    assert found["twinrig_sink_records_offered_total", (("sink", "store"),)] == 5
    assert found["twinrig_sink_records_queued", (("sink", "store"),)] == 3


def test_a_site_without_anything_yet_has_metrics_that_parse(board: TimeBoard) -> None:
    board.distributions = Kpis({}, LossLedger()).distributions
    assert read(board) == {}
