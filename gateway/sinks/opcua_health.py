"""The health of the nodes in the address space: `Objects/Nodes/<node>/...`.

    Status, StatusTime, Problems     "ok", or how many problems and which, in the node's own words
    BootId, BootTime, BootReason     the last start; Firmware, FilesSha256 with it
    UptimeUs, Overruns, SpoolFrames  and the other counters of the last status record
    LastReport                       whatever it reported last, in one line

Promises: a status with problems has the code Uncertain, so no client takes it for health; what a
node never stated stays BadWaitingForInitialData. Nothing here is a value of the plant.
Left to others: which report is late (`opcua.py`), the variables themselves (`opcua_space.py`).
"""

from typing import Final

from asyncua import ua

from gateway import status
from gateway.records import Report, ReportKind
from gateway.sinks.opcua_space import HEALTH, Space, utc

_INT64_MAX: Final = (1 << 63) - 1
_KINDS: Final = frozenset((ReportKind.BOOT, ReportKind.STATUS))


async def show_report(space: Space, report: Report, now_ns: int) -> None:
    """Write a report to the variables of its node."""
    facts: dict[str, object] = {"LastReport": f"{report.kind.value}: {report.text}"}
    if report.kind in _KINDS:
        facts |= {
            name: value for known, value in report.facts if _fits(name := _variable(known), value)
        }
    if report.kind is ReportKind.BOOT:
        facts |= {"BootId": report.boot_id, "BootTime": utc(report.time_ns)}
    if report.kind is ReportKind.STATUS:
        facts |= {"Problems": list(report.problems), "StatusTime": utc(report.time_ns)}
        facts["Status"] = report.text
    code = status.GOOD if report.is_time_known and not report.problems else status.UNCERTAIN
    for name, fact in facts.items():
        await space.write(
            f"Nodes/{report.source}/{name}",
            fact,
            code=code,
            source_ns=report.time_ns,
            server_ns=now_ns,
        )


def _variable(name: str) -> str:
    """Return the variable of a field: "spool_frames" is SpoolFrames."""
    return "".join(word.capitalize() for word in name.split("_"))


def _fits(name: str, value: object) -> bool:
    """Tell whether there is such a variable, and whether it can hold what the node stated."""
    kind = HEALTH.get(name)
    if isinstance(value, str):
        return kind == ua.VariantType.String
    return isinstance(value, int) and kind == ua.VariantType.Int64 and value <= _INT64_MAX
