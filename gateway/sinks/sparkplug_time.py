"""What is known about time as Sparkplug metrics: clocks, findings, figures, events, revisions.

    Time/<source>/..., Time/<source>/LastCheck/..., Kpi/<source>/<figure>, Machines/<machine>/...

Promises: every metric is named in the births; what is not known is null; a figure is sent when it
has changed (tck-id-principles-rbe-recommended) and has limits, budget and unit as properties; a
revision is the fused value of its row once more, marked historical, with its number as the property
"Revision", so that a host corrects its archive and never takes it for the present.
Left to others: what the facts are (`time_tags.py`), what is late (`sparkplug_metrics.py`).
Source: Sparkplug 3.0.0 chapter 6.4.6 (is_historical).
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gateway import status
from gateway.clock import NS_PER_MS
from gateway.records import TimeRecord
from gateway.records_time import (
    ClockEstimate,
    KpiFigure,
    LinkKpi,
    Revision,
    SyncCheck,
    TimedEvent,
)
from gateway.sinks import time_tags
from gateway.sinks.sparkplug_payload import DataType, Metric, Property, Value
from gateway.sinks.sparkplug_quality import metric_name, number, qualified
from gateway.sinks.time_tags import Facts, Kind
from gateway.site import Site

_TYPES: Final = {
    Kind.FLAG: DataType.BOOLEAN,
    Kind.COUNT: DataType.INT64,
    Kind.NUMBER: DataType.DOUBLE,
    Kind.TEXT: DataType.STRING,
    Kind.TEXTS: DataType.STRING,
    Kind.TIME: DataType.DATETIME,
}
_NOTHING: Final = KpiFigure(name="", value=None, unit="")


def time_births(site: Site) -> dict[str, Metric]:
    """Return every metric about time there will ever be, before its first value."""
    kinds: dict[str, Kind] = {}
    for source in time_tags.clocks(site):
        kinds |= time_tags.prefixed(f"Time/{source}", time_tags.CLOCK | time_tags.ACTIVE)
        kinds |= time_tags.prefixed(f"Time/{source}/LastCheck", time_tags.CHECK)
    for source in time_tags.sources(site):
        kinds |= time_tags.prefixed(f"Kpi/{source}", time_tags.LINK)
    for machine in site.machines:
        kinds |= time_tags.prefixed(f"Machines/{machine.name}", time_tags.EVENT)
    # A list of findings is empty at first; everything else is not known.
    metrics = {
        name: Metric(name=name, datatype=_TYPES[kind], value="" if kind is Kind.TEXTS else None)
        for name, kind in kinds.items()
    }
    for source in time_tags.sources(site):
        for tag, unit in time_tags.figure_tags().items():
            name = f"Kpi/{source}/{tag}"
            metrics[name] = _figure_metric(name, replace(_NOTHING, unit=unit))
    return metrics


def time_metrics(record: TimeRecord, latest: Mapping[str, Metric]) -> list[Metric]:
    """Return the metrics of a record; `latest` are those sent last, by name."""
    match record:
        case ClockEstimate():
            path = f"Time/{record.source}"
            return _metrics(path, time_tags.CLOCK, time_tags.clock_facts(record), record.time_ns)
        case SyncCheck():
            return _check_metrics(record, latest)
        case TimedEvent():
            path, facts = f"Machines/{record.machine}", time_tags.event_facts(record)
            return _metrics(path, time_tags.EVENT, facts, record.time_ns)
        case LinkKpi():
            return _kpi_metrics(record, latest)
        case Revision():
            return _revision_metrics(record)


def revised(metric: Metric, latest: Mapping[str, Metric]) -> bool:
    """Tell whether a historical metric is about the very moment that is the latest one."""
    known = latest.get(metric.name or "")
    return known is not None and known.timestamp_ms == metric.timestamp_ms


def _metrics(path: str, kinds: Mapping[str, Kind], facts: Facts, time_ns: int) -> list[Metric]:
    """Return facts as metrics of one moment."""
    return [
        Metric(
            name=f"{path}/{name}",
            timestamp_ms=time_ns // NS_PER_MS,
            datatype=_TYPES[kinds[name]],
            value=_value(kinds[name], fact),
        )
        for name, fact in facts.items()
    ]


def _value(kind: Kind, fact: object) -> Value | None:
    """Return a fact as its metric has it; None for what is not known."""
    match kind, fact:
        case Kind.TIME, int():
            return fact // NS_PER_MS
        case Kind.TEXTS, list():
            return "\n".join(fact)
        case _, float():
            return fact if math.isfinite(fact) else None
        case _, bool() | int() | str():
            return fact
    return None


def _check_metrics(check: SyncCheck, latest: Mapping[str, Metric]) -> list[Metric]:
    """Return a finding, and those that hold after it: these are never older than the latest."""
    path = f"Time/{check.source}"
    last = _metrics(
        f"{path}/LastCheck", time_tags.CHECK, time_tags.check_facts(check), check.time_ns
    )
    known = latest.get(f"{path}/ActiveChecks")
    if known is None:
        return last
    before = tuple(known.value.split("\n")) if isinstance(known.value, str) and known.value else ()
    facts = time_tags.active_facts(time_tags.active_after(before, check))
    time_ns = max(check.time_ns, (known.timestamp_ms or 0) * NS_PER_MS)
    return last + _metrics(path, time_tags.ACTIVE, facts, time_ns)


def _kpi_metrics(kpi: LinkKpi, latest: Mapping[str, Metric]) -> list[Metric]:
    """Return what has changed of a link since it was sent last."""
    path, time_ms = f"Kpi/{kpi.source}", kpi.time_ns // NS_PER_MS
    metrics = _metrics(path, time_tags.LINK, time_tags.link_facts(kpi), kpi.time_ns)
    for figure in kpi.figures:
        name = f"{path}/{time_tags.figure_tag(figure.name)}"
        metrics.append(replace(_figure_metric(name, figure), timestamp_ms=time_ms))
    return [
        metric
        for metric in metrics
        if (known := latest.get(metric.name or "")) is None
        or known.timestamp_ms is None
        or (known.value, known.properties) != (metric.value, metric.properties)
    ]


def _figure_metric(name: str, figure: KpiFigure) -> Metric:
    """Return a figure with what qualifies it, without a time."""
    is_known = figure.value is not None and math.isfinite(figure.value)
    code = status.GOOD if is_known else status.BAD_NO_DATA
    limits = (("Low", figure.low), ("High", figure.high), ("Budget", figure.budget))
    return Metric(
        name=name,
        datatype=DataType.DOUBLE,
        value=figure.value if is_known else None,
        properties=(
            *qualified(code),
            Property(key="engUnit", datatype=DataType.STRING, value=figure.unit),
            *(
                Property(key=key, datatype=DataType.DOUBLE, value=_value(Kind.NUMBER, limit))
                for key, limit in limits
            ),
            Property(key="IsMet", datatype=DataType.BOOLEAN, value=figure.is_met),
        ),
    )


def _revision_metrics(revision: Revision) -> list[Metric]:
    """Return the fused value of an earlier row as it is now."""
    folder = f"Estimate/{metric_name(revision.signal)}"
    mark = Property(key="Revision", datatype=DataType.INT64, value=revision.number)
    return [
        replace(
            metric,
            timestamp_ms=revision.time_ns // NS_PER_MS,
            is_historical=True,
            properties=(*metric.properties, mark),
        )
        for metric in (
            number(f"{folder}/Fused", revision.after, revision.status),
            number(f"{folder}/FusedDeviation", revision.deviation, revision.status),
        )
    ]
