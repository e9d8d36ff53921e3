"""What is known about time as named facts, the same in OPC UA and in Sparkplug.

    Time/<source>/...                how its clock stands, and what is wrong with it now
    Time/<source>/LastCheck/...      the finding that came last
    Kpi/<source>/...                 how its link has served; a tag for each figure
    Machines/<machine>/...           the event that came last

Promises: a name tells hard bound and expanded uncertainty apart (`...BoundNs`, `...K2Ns`: coverage
factor k = 2); what cannot be known is None, never zero: a source that is heard one way has an
`OffsetChangeNs` and no `OffsetNs`. `ActiveCauses` are words for programs, `ActiveChecks` the same
findings for people.
Left to others: how a kind is written (`opcua_time.py`, `sparkplug_time.py`).
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from gateway.records_time import ClockEstimate, LinkKpi, SyncCheck, TimedEvent
from gateway.site import Site
from gateway.stages.kpi_figures import FIGURES

ACTIVE_MAX: Final = 32
"""Findings of one source that are shown at once; there are not so many causes."""


class Kind(Enum):
    """What sort of fact a tag holds."""

    FLAG = "flag"
    COUNT = "count"
    """A whole number of 64 bits, signed."""
    NUMBER = "number"
    TEXT = "text"
    TEXTS = "texts"
    TIME = "time"
    """Integer nanoseconds UTC."""


Facts = dict[str, object]

CLOCK: Final = {
    "IsTwoWay": Kind.FLAG,
    "BootId": Kind.COUNT,
    "OffsetNs": Kind.COUNT,
    "OffsetChangeNs": Kind.COUNT,
    "BoundNs": Kind.COUNT,
    "UncertaintyK2Ns": Kind.COUNT,
    "SkewPpm": Kind.NUMBER,
    "SkewUncertaintyK2Ppm": Kind.NUMBER,
    "DelayNs": Kind.COUNT,
    "Probes": Kind.COUNT,
    "Text": Kind.TEXT,
}
ACTIVE: Final = {"ActiveCauses": Kind.TEXTS, "ActiveChecks": Kind.TEXTS}
CHECK: Final = {
    "Cause": Kind.TEXT,
    "Signal": Kind.TEXT,
    "IsActive": Kind.FLAG,
    "Time": Kind.TIME,
    "Since": Kind.TIME,
    "Size": Kind.NUMBER,
    "SizeUncertaintyK2": Kind.NUMBER,
    "Unit": Kind.TEXT,
    "Text": Kind.TEXT,
    "Sequence": Kind.COUNT,
}
EVENT: Final = {
    "Before": Kind.TEXT,
    "After": Kind.TEXT,
    "Timing": Kind.TEXT,
    "Time": Kind.TIME,
    "TimeBoundNs": Kind.COUNT,
    "ElapsedS": Kind.NUMBER,
    "ElapsedBoundS": Kind.NUMBER,
    "Text": Kind.TEXT,
    "Sequence": Kind.COUNT,
}
LINK: Final = {"Link": Kind.TEXT, "ObservedS": Kind.NUMBER, "IsUp": Kind.FLAG}


def sources(site: Site) -> tuple[str, ...]:
    """Return every source of a site, in the order of its file."""
    stated = [node.name for node in site.nodes]
    stated += [device.name for device in site.modbus]
    stated += [server.name for server in site.opcua_servers]
    return tuple(dict.fromkeys((*stated, *(name.partition(":")[0] for name in site.units()))))


def clocks(site: Site) -> tuple[str, ...]:
    """Return whose time can be found wrong: every source, and the gateway under its site's name."""
    return tuple(dict.fromkeys((*sources(site), site.name)))


def figure_tags() -> dict[str, str]:
    """Return the SenML unit of every figure by its tag, such as "JitterS"."""
    return {figure_tag(name): unit for name, unit in FIGURES.items()}


def figure_tag(name: str) -> str:
    """Return the tag of a figure: `jitter_s` is JitterS."""
    return "".join(word.capitalize() for word in name.split("_"))


def clock_facts(clock: ClockEstimate) -> Facts:
    """Return how a clock stands."""
    return {
        "IsTwoWay": clock.is_two_way,
        "BootId": clock.boot_id,
        "OffsetNs": clock.offset_ns if clock.is_two_way else None,
        "OffsetChangeNs": None if clock.is_two_way else clock.offset_ns,
        "BoundNs": clock.bound_ns,
        "UncertaintyK2Ns": clock.uncertainty_ns,
        "SkewPpm": clock.skew_ppm,
        "SkewUncertaintyK2Ppm": clock.skew_uncertainty_ppm,
        "DelayNs": clock.delay_ns,
        "Probes": clock.probes,
        "Text": clock.text,
    }


def check_facts(check: SyncCheck) -> Facts:
    """Return a finding; IsActive comes last, so that whoever waits for it finds the rest."""
    return {
        "Cause": check.cause.value,
        "Signal": check.signal or "",
        "Time": check.time_ns,
        "Since": check.since_ns,
        "Size": check.size,
        "SizeUncertaintyK2": check.size_uncertainty,
        "Unit": check.unit,
        "Text": check.text,
        "Sequence": check.sequence,
        "IsActive": check.is_active,
    }


def event_facts(event: TimedEvent) -> Facts:
    """Return an event of a machine; Timing comes last."""
    return {
        "Before": event.before,
        "After": event.after,
        "Time": event.time_ns,
        "TimeBoundNs": event.bound_ns,
        "ElapsedS": event.elapsed_s,
        "ElapsedBoundS": event.elapsed_bound_s,
        "Text": event.text,
        "Sequence": event.sequence,
        "Timing": event.timing.value,
    }


def link_facts(kpi: LinkKpi) -> Facts:
    """Return what a link is, without its figures."""
    return {"Link": kpi.link, "ObservedS": kpi.observed_s, "IsUp": kpi.is_up}


def active_after(active: tuple[str, ...], check: SyncCheck) -> tuple[str, ...]:
    """Return the findings that hold after one more, oldest first: "step: the clock of ...".

    Taking the same finding twice changes nothing.
    """
    label = f"{_label(check)}: "
    others = tuple(line for line in active if not line.startswith(label))
    if not check.is_active:
        return others
    return (*others, label + " ".join(check.text.split()))[-ACTIVE_MAX:]


def active_facts(active: tuple[str, ...]) -> Facts:
    """Return the tags of the findings that hold."""
    causes = [line.split(": ", 1)[0] for line in active]
    return {"ActiveCauses": causes, "ActiveChecks": list(active)}


def _label(check: SyncCheck) -> str:
    """Return cause and signal of a finding as one word or three."""
    return check.cause.value if check.signal is None else f"{check.cause.value} of {check.signal}"


def prefixed(folder: str, kinds: Mapping[str, Kind]) -> dict[str, Kind]:
    """Return kinds by tag below a folder."""
    return {f"{folder}/{name}": kind for name, kind in kinds.items()}
