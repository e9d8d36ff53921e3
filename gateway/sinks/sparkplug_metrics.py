"""What a record says as Sparkplug metrics, and which metrics there are at all.

Promises: a metric's timestamp is the time of acquisition; a bad value is null, never a number; a
fused value without its own signal says so in its code; what comes out of order is marked
historical, and so is a revision. The time of a value is qualified by two properties:
"TimeBoundNs", the hard bound, and "TimeUncertaintyK2Ns", the expanded uncertainty (k = 2).
Left to others: qualities (`sparkplug_quality.py`), what is known about time (`sparkplug_time.py`),
when they are sent (`sparkplug.py`).
Source: Sparkplug 3.0.0 chapter 6.4.6 (Metric).
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gateway import status
from gateway.clock import NS_PER_MS
from gateway.records import Aligned, Cause, Estimate, SignalEstimate, TimeRecord, Verdict
from gateway.sinks.sparkplug_payload import DataType, Metric, Property, Value
from gateway.sinks.sparkplug_quality import QUALITY_BAD, metric_name, number, quality
from gateway.sinks.sparkplug_time import revised, time_births, time_metrics
from gateway.site import Site

Published = Aligned | Estimate | Verdict | TimeRecord
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
    "Estimate/CoherenceK2Ns": DataType.INT64,
    "Estimate/TimeBoundNs": DataType.INT64,
    "Estimate/Cause": DataType.STRING,
    "Estimate/CauseSignal": DataType.STRING,
    "Estimate/CauseProbability": DataType.DOUBLE,
    "Estimate/Causes": DataType.STRING,
}
_SIGNAL_ESTIMATES: Final = (
    "Expected", "StandardDeviation", "Fused", "FusedDeviation", "IntervalLow", "IntervalHigh",
    "Contribution", "Trust",
)  # fmt: skip


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
            metric = number(f"Estimate/{metric_name(signal)}/{name}", math.nan, status.BAD_NO_DATA)
            metrics[metric.name or ""] = metric
    return metrics | time_births(site)


def metrics_of(record: Published, latest: dict[str, Metric]) -> list[Metric]:
    """Return the metrics of a record; `latest` (by name, from `births`) is brought up to date.

    A metric older than the latest one is marked historical and leaves `latest` as it is; one that
    no birth has named is left out. A revision of the latest row is what the next birth tells.
    """
    match record:
        case Aligned():
            fresh = [_value_metric(record)]
        case Estimate():
            fresh = _estimate_metrics(record)
        case Verdict():
            fresh = _verdict_metrics(record)
        case _:
            fresh = time_metrics(record, latest)
    marked: list[Metric] = []
    for metric in fresh:
        known = latest.get(metric.name or "")
        if known is None or metric.timestamp_ms is None:
            continue
        if metric.is_historical:
            if revised(metric, latest):
                latest[metric.name or ""] = replace(metric, is_historical=False)
            marked.append(metric)
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
            Property(key="TimeBoundNs", datatype=DataType.UINT64, value=value.bound_ns),
            Property(
                key="TimeUncertaintyK2Ns", datatype=DataType.UINT64, value=value.uncertainty_ns
            ),
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
        "Estimate/CoherenceK2Ns": estimate.coherence_ns,
        "Estimate/TimeBoundNs": estimate.bound_ns,
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
        number(f"{folder}/{name}", value, code)
        for name, (value, code) in zip(_SIGNAL_ESTIMATES, numbers, strict=True)
    ]


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
