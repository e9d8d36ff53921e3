"""What a record says as metrics: quality, null, historical, and names no birth has."""

import math
from dataclasses import replace
from pathlib import Path

from gateway import status
from gateway.records import State
from gateway.sinks.sparkplug_metrics import births, metrics_of
from gateway.sinks.sparkplug_payload import DataType, Metric, Payload, decode, encode
from gateway.sinks.sparkplug_quality import metric_name, quality
from tests.gateway.plant import SECOND_NS, START_NS, aligned, estimate, make_site, verdict


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


def by_name(record, folder: Path) -> dict[str, Metric]:
    """Return the metrics of a record by their names."""
    return {metric.name: metric for metric in metrics_of(record, births(make_site(folder)))}


def test_an_estimate_has_its_numbers_qualities_and_causes(tmp_path: Path) -> None:
    found = by_name(estimate(second=2), tmp_path)
    fused = found["Estimate/a/flow/Fused"]
    assert (fused.value, fused.timestamp_ms) == (0.0019, (START_NS + 2 * SECOND_NS) // 1_000_000)
    assert [fact.value for fact in fused.properties] == [192, status.UNCERTAIN_SUBSTITUTE_VALUE]
    assert found["Estimate/a/flow/IntervalLow"].value == 0.0018
    assert found["Estimate/a/flow/Trust"].value == 0.125
    assert found["Estimate/Cause"].value == "bias"
    assert found["Estimate/CauseSignal"].value == "a:flow"
    assert found["Estimate/Causes"].value.splitlines()[1] == "process change 12%: all have moved"


def test_a_number_the_model_does_not_have_is_null_and_bad(tmp_path: Path) -> None:
    nothing = replace(estimate().values[0], expected=math.nan, fused=math.nan)
    found = by_name(replace(estimate(), values=(nothing,)), tmp_path)
    for name in ("Expected", "Fused"):
        metric = found[f"Estimate/a/flow/{name}"]
        assert metric.value is None
        assert metric.properties[0].value == 0


def test_a_model_that_learns_says_nothing(tmp_path: Path) -> None:
    assert by_name(replace(estimate(), is_trained=False), tmp_path) == {}


def test_a_verdict_names_its_causes_and_says_its_state_last(tmp_path: Path) -> None:
    alarm, normal = by_name(verdict(), tmp_path), by_name(verdict(State.NORMAL), tmp_path)
    assert alarm["Verdict/CauseProbability"].value == 0.875
    assert (normal["Verdict/Cause"].value, normal["Verdict/Causes"].value) == ("", "")
    assert [*alarm][-1] == "Verdict/State"


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
