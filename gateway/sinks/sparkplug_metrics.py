"""What a record says as Sparkplug metrics, and which metrics there are at all.

Promises: a metric's timestamp is the time of acquisition; quality travels as the property "Quality"
(0 bad, 192 good, 500 stale) with the OPC UA code beside it; a bad value is null, never a number; a
fused value without its own signal says so in that code; what comes out of order is marked
historical. Left to others: when they are sent (`sparkplug.py`).
Source: Sparkplug 3.0.0 chapters 6.4.6 (Metric), 6.4.8 (PropertySet, Quality).
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gateway import status
from gateway.clock import NS_PER_MS
from gateway.records import Aligned, Cause, Estimate, SignalEstimate, Verdict
from gateway.sinks.sparkplug_payload import DataType, Metric, Property, Value
from gateway.site import Site

QUALITY_BAD: Final = 0
QUALITY_GOOD: Final = 192
QUALITY_STALE: Final = 500
_VERDICT_TYPES: Final = {
    "Verdict/State": DataType.STRING,
    "Verdict/Probability": DataType.DOUBLE,
    "Verdict/Blamed": DataType.STRING,
    "Verdict/Evidence": DataType.STRING,
    "Verdict/Since": DataType.DATETIME,
    "Verdict/Cause": DataType.STRING,
    "Verdict/CauseSignal": DataType.STRING,
    "Verdict/CauseProbability": DataType.DOUBLE,
    "Verdict/Causes": DataType.STRING,
}
_ESTIMATE_TYPES: Final = {
    "Estimate/AnomalyProbability": DataType.DOUBLE,
    "Estimate/Score": DataType.DOUBLE,
    "Estimate/Kind": DataType.STRING,
    "Estimate/ScaleRows": DataType.INT64,
    "Estimate/Regime": DataType.INT64,
    "Estimate/ModelId": DataType.STRING,
    "Estimate/Cause": DataType.STRING,
    "Estimate/CauseSignal": DataType.STRING,
    "Estimate/CauseProbability": DataType.DOUBLE,
    "Estimate/Causes": DataType.STRING,
}
_SIGNAL_ESTIMATES: Final = (
    "Expected", "StandardDeviation", "Fused", "FusedDeviation", "IntervalLow", "IntervalHigh",
    "Contribution", "Trust",
)  # fmt: skip


def metric_name(signal: str) -> str:
    """Return the metric of a signal: `node:channel` becomes the folder and leaf `node/channel`."""
    return signal.replace(":", "/")


def quality(code: int) -> int:
    """Return the Sparkplug quality of an OPC UA status; the spec has these three only."""
    if status.is_bad(code):
        return QUALITY_BAD
    stale = (
        status.UNCERTAIN_LAST_USABLE_VALUE,
        status.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE,
    )
    return QUALITY_STALE if code in stale else QUALITY_GOOD


def births(site: Site) -> dict[str, Metric]:
    """Return every metric the device will ever have, as it is before its first value."""
    metrics = {
        metric_name(signal): Metric(
            name=metric_name(signal),
            datatype=DataType.DOUBLE,
            properties=(
                Property(key="Quality", datatype=DataType.INT32, value=QUALITY_BAD),
                Property(key="engUnit", datatype=DataType.STRING, value=unit),
            ),
        )
        for signal, unit in site.units().items()
    }
    for name, datatype in (_ESTIMATE_TYPES | _VERDICT_TYPES).items():
        metrics[name] = Metric(name=name, datatype=datatype)
    for signal in site.fused_signals():
        for name in _SIGNAL_ESTIMATES:
            metric = _number(f"Estimate/{metric_name(signal)}/{name}", math.nan, status.BAD_NO_DATA)
            metrics[metric.name or ""] = metric
    return metrics


def metrics_of(record: Aligned | Estimate | Verdict, latest: dict[str, Metric]) -> list[Metric]:
    """Return the metrics of a record; `latest` (by name, from `births`) is brought up to date.

    A metric older than the latest one is marked historical and leaves `latest` as it is; one that
    no birth has named is left out.
    """
    match record:
        case Aligned():
            fresh = [_value_metric(record)]
        case Estimate():
            fresh = _estimate_metrics(record)
        case Verdict():
            fresh = _verdict_metrics(record)
    marked: list[Metric] = []
    for metric in fresh:
        known = latest.get(metric.name or "")
        if known is None or metric.timestamp_ms is None:
            continue
        if known.timestamp_ms is not None and metric.timestamp_ms < known.timestamp_ms:
            marked.append(replace(metric, is_historical=True))
            continue
        latest[metric.name or ""] = metric
        marked.append(metric)
    return marked


def _value_metric(value: Aligned) -> Metric:
    """Return a value with its quality; a bad one is null, never a number."""
    return Metric(
        name=metric_name(value.signal),
        timestamp_ms=value.time_ns // NS_PER_MS,
        datatype=DataType.DOUBLE,
        value=None if status.is_bad(value.status) else value.value,
        properties=(
            Property(key="Quality", datatype=DataType.INT32, value=quality(value.status)),
            Property(key="engUnit", datatype=DataType.STRING, value=value.unit),
            Property(key="StatusCode", datatype=DataType.UINT32, value=value.status),
            Property(key="TimeUncertaintyNs", datatype=DataType.UINT64, value=value.bound_ns),
            Property(key="Provenance", datatype=DataType.STRING, value=value.provenance.value),
        ),
    )


def _estimate_metrics(estimate: Estimate) -> list[Metric]:
    """Return what the model says of the asset and of each signal, once it is trained."""
    if not estimate.is_trained:
        return []
    facts: dict[str, Value] = {
        "Estimate/AnomalyProbability": estimate.anomaly_probability,
        "Estimate/Score": estimate.score,
        "Estimate/Kind": estimate.kind,
        "Estimate/ScaleRows": estimate.scale_rows,
        "Estimate/Regime": estimate.regime,
        "Estimate/ModelId": estimate.model_id,
        **_cause_facts("Estimate", estimate.causes),
    }
    metrics = _plain_metrics(facts, _ESTIMATE_TYPES, estimate.time_ns)
    time_ms = estimate.time_ns // NS_PER_MS
    return metrics + [
        replace(metric, timestamp_ms=time_ms)
        for signal in estimate.values
        for metric in _signal_metrics(signal)
    ]


def _signal_metrics(signal: SignalEstimate) -> list[Metric]:
    """Return what the model says of one signal, without a time."""
    predicted = status.UNCERTAIN_SUBSTITUTE_VALUE if status.is_bad(signal.status) else status.GOOD
    low, high = signal.interval
    numbers = (
        (signal.expected, predicted),
        (signal.standard_deviation, predicted),
        (signal.fused, signal.fused_status),
        (signal.fused_deviation, signal.fused_status),
        (low, signal.fused_status),
        (high, signal.fused_status),
        (signal.contribution, status.GOOD),
        (signal.trust, status.GOOD),
    )
    folder = f"Estimate/{metric_name(signal.signal)}"
    return [
        _number(f"{folder}/{name}", number, code)
        for name, (number, code) in zip(_SIGNAL_ESTIMATES, numbers, strict=True)
    ]


def _number(name: str, number: float, code: int) -> Metric:
    """Return a number of the model with its quality; what is no number is null and bad."""
    if not math.isfinite(number) and not status.is_bad(code):
        code = status.BAD_NO_DATA
    return Metric(
        name=name,
        datatype=DataType.DOUBLE,
        value=None if status.is_bad(code) else number,
        properties=(
            Property(key="Quality", datatype=DataType.INT32, value=quality(code)),
            Property(key="StatusCode", datatype=DataType.UINT32, value=code),
        ),
    )


def _cause_facts(folder: str, causes: tuple[Cause, ...]) -> dict[str, Value]:
    """Return the most probable cause in parts, and all of them a line each."""
    top = causes[0] if causes else None
    return {
        f"{folder}/Cause": "" if top is None else top.cause,
        f"{folder}/CauseSignal": "" if top is None or top.signal is None else top.signal,
        f"{folder}/CauseProbability": 0.0 if top is None else top.probability,
        f"{folder}/Causes": "\n".join(cause.text for cause in causes),
    }


def _verdict_metrics(verdict: Verdict) -> list[Metric]:
    """Return a verdict; State comes last, so who waits for it has seen the rest."""
    blamed = " ".join(f"{blame.signal}={blame.share:.3f}" for blame in verdict.blamed)
    facts: dict[str, Value] = {
        "Verdict/Probability": verdict.probability,
        "Verdict/Blamed": blamed,
        "Verdict/Evidence": verdict.evidence,
        "Verdict/Since": verdict.since_ns // NS_PER_MS,
        **_cause_facts("Verdict", verdict.causes),
        "Verdict/State": verdict.state.value,
    }
    return _plain_metrics(facts, _VERDICT_TYPES, verdict.time_ns)


def _plain_metrics(
    facts: Mapping[str, Value], types: Mapping[str, DataType], time_ns: int
) -> list[Metric]:
    """Return metrics of one moment without properties."""
    time_ms = time_ns // NS_PER_MS
    return [
        Metric(name=name, timestamp_ms=time_ms, datatype=types[name], value=value)
        for name, value in facts.items()
    ]
