"""What is known about time as metrics, read with an independent decoder too."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.message import Message

from gateway import status
from gateway.clock import NS_PER_MS
from gateway.records_time import KpiFigure, SyncCause
from gateway.sinks.sparkplug_metrics import Published, births, metrics_of
from gateway.sinks.sparkplug_payload import DataType, Metric, Payload, encode
from gateway.sinks.time_tags import figure_tags
from tests.gateway.conftest import Broker
from tests.gateway.plant import SECOND_NS, START_NS, aligned, estimate, make_site
from tests.gateway.sinks.sparkplug_reference import payload_class
from tests.gateway.sinks.test_sparkplug import REBIRTH, host_on, make_edge, running
from tests.gateway.sinks.time_records import (
    SITE_WITH_MACHINE,
    clock_estimate,
    link_kpi,
    one_way,
    revision,
    sync_check,
    timed_event,
)


@pytest.fixture
def latest(tmp_path: Path) -> dict[str, Metric]:
    """Return the births of a site with a machine."""
    return births(make_site(tmp_path, SITE_WITH_MACHINE))


def sent(record: Published, latest: dict[str, Metric]) -> dict[str, Metric]:
    """Return the metrics of a record by name; each was born, with the same type."""
    metrics = {metric.name: metric for metric in metrics_of(record, latest)}
    for name, metric in metrics.items():
        assert metric.datatype is latest[name].datatype
    return metrics


def values(metrics: dict[str, Metric], folder: str) -> dict[str, object]:
    """Return the values below a folder."""
    return {
        name.removeprefix(f"{folder}/"): metric.value
        for name, metric in metrics.items()
        if name.startswith(folder)
    }


def test_everything_is_born_before_it_is_sent(latest: dict[str, Metric]) -> None:
    for source in ("a", "plc", "skid"):
        assert latest[f"Time/{source}/OffsetNs"].datatype is DataType.INT64
        assert latest[f"Time/{source}/LastCheck/Since"].datatype is DataType.DATETIME
        assert latest[f"Time/{source}/OffsetNs"].value is None
        assert latest[f"Time/{source}/ActiveChecks"].value == "", "nothing was found"
    for source in ("a", "plc"):
        for tag, unit in figure_tags().items():
            born = latest[f"Kpi/{source}/{tag}"]
            assert {p.key: p.value for p in born.properties} == {
                "Quality": 0, "StatusCode": status.BAD_NO_DATA, "engUnit": unit, "Low": None,
                "High": None, "Budget": None, "IsMet": None,
            }  # fmt: skip
    for record in (clock_estimate(), one_way(), sync_check(), link_kpi(), timed_event()):
        assert len(sent(record, dict(latest))) >= 5
    assert metrics_of(clock_estimate(source="stranger"), latest) == []
    assert metrics_of(sync_check(source="stranger"), latest) == []
    assert metrics_of(timed_event(machine="another"), latest) == []


def test_what_a_clock_cannot_tell_is_null(latest: dict[str, Metric]) -> None:
    two_way = values(sent(clock_estimate(1), latest), "Time/a")
    assert (two_way["OffsetNs"], two_way["OffsetChangeNs"]) == (START_NS - 5 * SECOND_NS, None)
    assert (two_way["BoundNs"], two_way["UncertaintyK2Ns"]) == (1_500_000, 900_000)
    heard = values(sent(one_way(1, skew_ppm=math.nan), latest), "Time/plc")
    assert (heard["OffsetNs"], heard["OffsetChangeNs"], heard["BoundNs"]) == (None, -250_000, None)
    assert heard["SkewPpm"] is None


def test_active_findings_follow_whatever_their_order(latest: dict[str, Metric]) -> None:
    sent(sync_check(9), latest)
    earlier = sync_check(2, cause=SyncCause.LAG, signal="a:flow", text="behind\nby 2 rows")
    metrics = sent(earlier, latest)
    assert metrics["Time/a/LastCheck/Cause"].is_historical, "found for an earlier time"
    active = metrics["Time/a/ActiveChecks"]
    assert active.value == f"step: {sync_check().text}\nlag of a:flow: behind by 2 rows"
    assert (active.is_historical, active.timestamp_ms) == (False, START_NS // NS_PER_MS + 9_000)
    assert metrics["Time/a/ActiveCauses"].value == "step\nlag of a:flow"
    sent(sync_check(10, is_active=False), latest)
    last = sent(replace(earlier, is_active=False, time_ns=START_NS + 11 * SECOND_NS), latest)
    assert (last["Time/a/ActiveCauses"].value, last["Time/a/LastCheck/IsActive"].value) == (
        "",
        False,
    )
    again = sent(sync_check(12), latest)
    assert again["Time/a/ActiveCauses"].value == "step"


def test_a_figure_is_sent_when_it_changes(latest: dict[str, Metric]) -> None:
    first = sent(link_kpi(1), latest)
    figure = first["Kpi/a/CommunicationServiceAvailabilityRatio"]
    assert (figure.value, figure.timestamp_ms) == (0.9995, START_NS // NS_PER_MS + 1_000)
    assert {p.key: p.value for p in figure.properties} == {
        "Quality": 192, "StatusCode": 0, "engUnit": "/", "Low": 0.998, "High": 0.99995,
        "Budget": 0.9999, "IsMet": False,
    }  # fmt: skip
    assert first["Kpi/a/EndToEndLatencyP99S"].value is None
    assert sent(link_kpi(2), latest) == {}, "nothing new"
    more = (
        replace(link_kpi().figures[0], low=0.9),
        KpiFigure(name="no_such_s", value=1.0, unit="s"),
    )
    changed = sent(link_kpi(3, observed_s=3610.0, figures=more), latest)
    assert [*changed] == ["Kpi/a/ObservedS", "Kpi/a/CommunicationServiceAvailabilityRatio"]


def test_a_revision_is_history_and_the_present_stays(latest: dict[str, Metric]) -> None:
    for second in (3, 4):
        sent(estimate(second), latest)
    old = sent(revision(3), latest)["Estimate/a/flow/Fused"]
    assert (old.value, old.is_historical) == (0.00185, True)
    assert old.timestamp_ms == START_NS // NS_PER_MS + 3_000
    assert {p.key: p.value for p in old.properties}["Revision"] == 1
    assert latest["Estimate/a/flow/Fused"].value == 0.0019
    newest = sent(revision(4, number=2), latest)["Estimate/a/flow/Fused"]
    assert newest.is_historical
    born = latest["Estimate/a/flow/Fused"]
    assert (born.value, born.is_historical) == (0.00185, False), "what the next birth tells"
    bad = sent(revision(4, status=status.BAD_NO_DATA), latest)["Estimate/a/flow/FusedDeviation"]
    assert (bad.value, bad.properties[0].value) == (None, 0)


def test_bound_and_uncertainty_of_a_value_are_two_properties(latest: dict[str, Metric]) -> None:
    properties = {p.key: p.value for p in sent(aligned(), latest)["a/flow"].properties}
    assert properties["TimeBoundNs"] == 1_500_000
    assert properties["TimeUncertaintyK2Ns"] == 900_000


@pytest.mark.parametrize(
    "record",
    [clock_estimate(), one_way(), sync_check(), timed_event(), link_kpi(), revision(), aligned()],
    ids=lambda record: type(record).__name__,
)
def test_an_independent_decoder_reads_every_record(
    record: Published, latest: dict[str, Metric], shared_dir: Path
) -> None:
    metrics = metrics_of(record, latest)
    data = encode(Payload(timestamp_ms=1, sequence=0, metrics=tuple(metrics)))
    message: Message = payload_class(shared_dir).FromString(data)
    assert [metric.name for metric in message.metrics] == [metric.name for metric in metrics]
    for found, metric in zip(message.metrics, metrics, strict=True):
        assert found.is_null == (metric.value is None)
        assert found.is_historical == metric.is_historical
        assert list(found.properties.keys) == [prop.key for prop in metric.properties]
        if metric.datatype is DataType.DOUBLE and metric.value is not None:
            assert found.double_value == metric.value
        if metric.datatype is DataType.INT64 and metric.value is not None:
            assert found.long_value == metric.value % (1 << 64)


async def test_a_host_hears_of_findings_and_a_rebirth_tells_them(
    broker: Broker, tmp_path: Path
) -> None:
    async with host_on(broker.port) as host, running(make_edge(tmp_path, broker.port)) as edge:
        await host.take("NBIRTH", "DBIRTH")
        for record in (sync_check(1), clock_estimate(2), link_kpi(3), revision(4)):
            edge.sink.put(record)
        await edge.sink.drain()
        (data,) = await host.take("DDATA")
        assert data.metric("Time/a/ActiveCauses").value == "step"
        assert data.metric("Time/a/OffsetNs").value == START_NS - 5 * SECOND_NS
        assert data.metric("Estimate/a/flow/Fused").is_historical
        await host.command("spBv1.0/g/NCMD/e", REBIRTH)
        _, device = await host.take("NBIRTH", "DBIRTH")
        assert device.metric("Time/a/ActiveChecks").value == f"step: {sync_check().text}"
        assert device.metric("Kpi/a/IsUp").value is True
        assert device.metric("Estimate/a/flow/Fused").value is None, "no row was ever the latest"
        balance = edge.ledger.sink_balance("sparkplug")
        assert (balance.offered, balance.delivered, balance.dropped) == (4, 4, {})


async def test_findings_outlive_a_broker_that_is_away(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.sinks.sparkplug._QUEUE_MAX", 5)
    edge = make_edge(tmp_path, broker.port)
    edge.sink.put(sync_check(1))
    for second in range(20):
        edge.sink.put(aligned(second=second))
    async with host_on(broker.port) as host, running(edge):
        *_, data = await host.take("NBIRTH", "DBIRTH", "DDATA")
        assert data.metric("Time/a/ActiveCauses").value == "step"
        times = [m.timestamp_ms for m in data.payload.metrics if m.name == "a/flow"]
        assert times == [START_NS // NS_PER_MS + second * 1_000 for second in range(15, 20)]
        assert edge.ledger.sink_balance("sparkplug").dropped == {"queue_full": 15}
