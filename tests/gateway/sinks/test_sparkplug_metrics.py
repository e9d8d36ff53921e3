"""What a record says as metrics: quality, null, historical, and names no birth has."""

from pathlib import Path

from gateway import status
from gateway.sinks.sparkplug_metrics import births, metric_name, metrics_of, quality
from gateway.sinks.sparkplug_payload import DataType, Metric, Payload, decode, encode
from tests.gateway.plant import aligned, make_site


def test_late_values_are_marked_historical_and_do_not_become_current(tmp_path: Path) -> None:
    latest = births(make_site(tmp_path))
    (first,) = metrics_of(aligned(value=0.001, second=5), latest)
    (late,) = metrics_of(aligned(value=0.009, second=3), latest)
    (same,) = metrics_of(aligned(value=0.002, second=5), latest)
    assert [m.is_historical for m in (first, late, same)] == [False, True, False]
    assert latest["a/flow"].value == 0.002


def test_what_no_birth_has_named_is_not_sent(tmp_path: Path) -> None:
    latest = births(make_site(tmp_path))
    assert metrics_of(aligned("a:unknown"), latest) == []


def test_qualities_are_the_three_of_the_specification() -> None:
    assert quality(status.GOOD) == 192
    assert quality(status.UNCERTAIN_SENSOR_NOT_ACCURATE) == 192
    assert quality(status.UNCERTAIN_LAST_USABLE_VALUE) == 500
    assert quality(status.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE) == 500
    assert quality(status.BAD_NO_COMMUNICATION) == 0


def test_metric_names_are_folders_and_leaves() -> None:
    assert metric_name("pump-a:vibration-1") == "pump-a/vibration-1"


def test_a_host_that_saw_no_birth_sees_numbers_without_types() -> None:
    metric = Metric(name="n", datatype=DataType.INT32, value=-1)
    data = encode(Payload(timestamp_ms=1, sequence=0, metrics=(metric,)), states_types=False)
    assert decode(data).metrics[0].value == 0xFFFF_FFFF
