"""What nodes report, in the log: every start and loss, a status only when its problems change.

The last start and the last status of each node can be asked for.

Promises: the words of a node are quoted, so that they cannot forge a line of the log; a node that
reports a hundred times a minute makes no hundred lines of "ok". Left to others: showing and keeping
all of it (sinks).
"""

import logging
from typing import Final, final

from gateway.records import Report, ReportKind

_LOG: Final = logging.getLogger("twinrig.gateway.nodes")
_QUIET: Final = frozenset(
    (ReportKind.CHECKPOINT, ReportKind.RAW_BLOCK, ReportKind.MEASUREMENT, ReportKind.COMMAND_ANSWER)
)
"""Kinds that say nothing an operator must read, or that somebody else logs."""
_BOOT_ID: Final = {ReportKind.BOOT: "boot_id", ReportKind.STATUS: "status_boot_id"}
"""Kinds of which the last one is kept, and the name of its boot id."""


@final
class NodeLog:
    """Logs the reports of all nodes."""

    def __init__(self) -> None:
        self._problems: dict[str, tuple[str, ...]] = {}
        self._last: dict[tuple[str, ReportKind], Report] = {}

    def facts(self, node: str) -> dict[str, object]:
        """Return the last boot and status records of a node, by name; boot id -1 for none."""
        found: dict[str, object] = {}
        for name, kind in (("boot", ReportKind.BOOT), ("status", ReportKind.STATUS)):
            report = self._last.get((node, kind))
            found[_BOOT_ID[kind]] = -1 if report is None else report.boot_id
            found[name] = {} if report is None else dict(report.facts)
        return found

    def tell(self, report: Report) -> None:
        """Log a report if it is news."""
        last = self._last.get((report.source, report.kind))
        if report.kind in _BOOT_ID and (last is None or report.sequence > last.sequence):
            self._last[report.source, report.kind] = report
        if report.kind in _QUIET:
            return
        if report.kind is ReportKind.STATUS:
            if self._problems.get(report.source, ()) == report.problems:
                return
            self._problems[report.source] = report.problems
        level = logging.WARNING if report.problems else logging.INFO
        _LOG.log(level, "node_%s node=%s text=%r", report.kind.value, report.source, report.text)
