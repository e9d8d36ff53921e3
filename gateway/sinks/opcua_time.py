"""What is known about time in the address space: clocks, findings, events, figures, revisions.

    Objects/Time/<source>/...                      OffsetNs, BoundNs, UncertaintyK2Ns, ActiveCauses
    Objects/Time/<source>/LastCheck/...            Cause, Size, Since, Text, ...
    Objects/Kpi/<source>/<figure>                  with Low, High, Budget, IsMet and its unit
    Objects/<asset>/Machines/<machine>/...         the last event: Before, After, Timing, ...
    Objects/<asset>/Estimate/<signal>/Revision/... the last revision: Value, Before, Number, ...

Promises: a fact that is not known is null with a bad status; a revision never touches `Fused`, on
which verdicts rest, but stands beside it with the time of the row that it revises, as the
specification of history wants it of late data. Left to others: what the facts are
(`time_tags.py`), what is late or unknown (`opcua.py`).
Source: OPC 10000-8 5.3.2 for units; OPC 10000-11 for late data.
"""

import math
from collections.abc import Mapping
from typing import Final

from asyncua import ua

from gateway import status
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
from gateway.sinks.opcua_space import OBJECTS, Space, utc
from gateway.sinks.time_tags import Facts, Kind
from gateway.site import Site

_TYPES: Final = {
    Kind.FLAG: ua.VariantType.Boolean,
    Kind.COUNT: ua.VariantType.Int64,
    Kind.NUMBER: ua.VariantType.Double,
    Kind.TEXT: ua.VariantType.String,
    Kind.TEXTS: ua.VariantType.String,
    Kind.TIME: ua.VariantType.DateTime,
}
_REVISION: Final = {
    "Value": Kind.NUMBER,
    "Before": Kind.NUMBER,
    "Deviation": Kind.NUMBER,
    "Time": Kind.TIME,
    "LateNs": Kind.COUNT,
    "Number": Kind.COUNT,
}
_IN_UNIT: Final = ("Value", "Before", "Deviation")
_LIMITS: Final = {
    "Low": Kind.NUMBER,
    "High": Kind.NUMBER,
    "Budget": Kind.NUMBER,
    "IsMet": Kind.FLAG,
}
"""Properties of a figure."""
_INT64: Final = range(-(1 << 63), 1 << 63)
"""A number beyond it would not fail here but at every client that reads it."""


async def build_time(space: Space, site: Site, now_ns: int) -> None:
    """Add the nodes; `space.build` was there before. Nothing has been found wrong yet: that holds.

    `now_ns` is the time of that statement.
    """
    await _build_clocks(space, site, now_ns)
    await _build_links(space, site)
    await space.add_object(space.node(site.asset), "Machines", f"{site.asset}/Machines")
    for machine in site.machines:
        path = f"{site.asset}/Machines/{machine.name}"
        await space.add_object(space.node(f"{site.asset}/Machines"), machine.name, path)
        await _add(space, path, time_tags.EVENT)
    units = site.units()
    for signal in site.fused_signals():
        path = f"{site.asset}/Estimate/{signal}"
        await space.add_object(space.node(path), "Revision", f"{path}/Revision")
        await _add(space, f"{path}/Revision", _REVISION)
        for name in _IN_UNIT:
            await space.add_units(f"{path}/Revision/{name}", units[signal])


def path_of(record: TimeRecord, asset: str) -> str:
    """Return the path of what a record replaces: nothing older may follow there."""
    match record:
        case ClockEstimate():
            return f"Time/{record.source}"
        case SyncCheck():
            return f"Time/{record.source}/{record.cause.value}/{record.signal or ''}"
        case TimedEvent():
            return f"{asset}/Machines/{record.machine}"
        case Revision():
            return f"{record.asset}/Estimate/{record.signal}/Revision"
        case LinkKpi():
            return f"Kpi/{record.source}"


def is_configured(space: Space, record: TimeRecord, asset: str) -> bool:
    """Tell whether the site file names what a record is about: whether it has nodes here."""
    match record:
        case ClockEstimate() | SyncCheck():
            return space.knows(f"Time/{record.source}/Text")
        case LinkKpi():
            return space.knows(f"Kpi/{record.source}/Link")
        case _:
            return space.knows(f"{path_of(record, asset)}/Time")


async def show_time(
    space: Space, record: ClockEstimate | TimedEvent | Revision, asset: str, now_ns: int
) -> None:
    """Write what stands for itself to its variables."""
    code = status.GOOD
    match record:
        case ClockEstimate():
            kinds, facts = time_tags.CLOCK, time_tags.clock_facts(record)
        case TimedEvent():
            kinds, facts = time_tags.EVENT, time_tags.event_facts(record)
        case Revision():
            kinds, facts, code = _REVISION, _revision_facts(record), record.status
    await _write(space, path_of(record, asset), kinds, facts, (record.time_ns, now_ns), code)


async def show_check(space: Space, check: SyncCheck, active: tuple[str, ...], now_ns: int) -> None:
    """Write a finding, and those that hold after it."""
    path, times = f"Time/{check.source}", (check.time_ns, now_ns)
    await _write(space, f"{path}/LastCheck", time_tags.CHECK, time_tags.check_facts(check), times)
    await _write(space, path, time_tags.ACTIVE, time_tags.active_facts(active), times)


async def show_kpi(space: Space, kpi: LinkKpi, now_ns: int) -> None:
    """Write the figures of a link; one that the site does not have is left out."""
    path, times = f"Kpi/{kpi.source}", (kpi.time_ns, now_ns)
    await _write(space, path, time_tags.LINK, time_tags.link_facts(kpi), times)
    for figure in kpi.figures:
        tag = f"{path}/{time_tags.figure_tag(figure.name)}"
        if space.knows(tag):
            await _write(space, tag, _LIMITS, _limit_facts(figure), times)
            name = time_tags.figure_tag(figure.name)
            await _write(space, path, {name: Kind.NUMBER}, {name: figure.value}, times)


async def _build_clocks(space: Space, site: Site, now_ns: int) -> None:
    """Add how the clock of every source stands, and what is wrong with it."""
    await space.add_object(OBJECTS, "Time")
    for source in time_tags.clocks(site):
        path = f"Time/{source}"
        await space.add_object(space.node("Time"), source, path)
        await _add(space, path, time_tags.CLOCK | time_tags.ACTIVE)
        nothing = time_tags.active_facts(())
        await _write(space, path, time_tags.ACTIVE, nothing, (now_ns, now_ns))
        await space.add_object(space.node(path), "LastCheck", f"{path}/LastCheck")
        await _add(space, f"{path}/LastCheck", time_tags.CHECK)


async def _build_links(space: Space, site: Site) -> None:
    """Add the figures of every link."""
    await space.add_object(OBJECTS, "Kpi")
    for source in time_tags.sources(site):
        path = f"Kpi/{source}"
        await space.add_object(space.node("Kpi"), source, path)
        await _add(space, path, time_tags.LINK)
        for name, unit in time_tags.figure_tags().items():
            await _add(space, path, {name: Kind.NUMBER})
            await space.add_units(f"{path}/{name}", unit)
            await _add(space, f"{path}/{name}", _LIMITS, is_property=True)


async def _add(
    space: Space, parent: str, kinds: Mapping[str, Kind], *, is_property: bool = False
) -> None:
    """Add variables of some kinds."""
    for name, kind in kinds.items():
        await space.add_variable(
            parent, name, _TYPES[kind], is_array=kind is Kind.TEXTS, is_property=is_property
        )


async def _write(
    space: Space,
    path: str,
    kinds: Mapping[str, Kind],
    facts: Facts,
    times: tuple[int, int],
    code: int = status.GOOD,
) -> None:
    """Write facts; `times` are those of source and server. What is not known is bad and null."""
    source_ns, server_ns = times
    for name, fact in facts.items():
        is_known = _is_known(fact)
        value = utc(fact) if kinds[name] is Kind.TIME and isinstance(fact, int) else fact
        await space.write(
            f"{path}/{name}",
            value if is_known else None,
            code=code if is_known or status.is_bad(code) else status.BAD_NO_DATA,
            source_ns=source_ns,
            server_ns=server_ns,
        )


def _is_known(fact: object) -> bool:
    """Tell whether a fact can be written: None, NaN and what 64 bits cannot hold are no facts."""
    match fact:
        case bool() | str() | list():
            return True
        case int():
            return fact in _INT64
        case float():
            return math.isfinite(fact)
    return False


def _revision_facts(revision: Revision) -> Facts:
    """Return a revised value; Number comes last."""
    return {
        "Value": revision.after,
        "Before": revision.before,
        "Deviation": revision.deviation,
        "Time": revision.time_ns,
        "LateNs": revision.late_ns,
        "Number": revision.number,
    }


def _limit_facts(figure: KpiFigure) -> Facts:
    """Return what qualifies a figure."""
    return {
        "Low": figure.low,
        "High": figure.high,
        "Budget": figure.budget,
        "IsMet": figure.is_met,
    }
