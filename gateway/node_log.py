"""What nodes report, in the log: every start and loss, a status only when its problems change.

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


@final
class NodeLog:
    """Logs the reports of all nodes."""

    def __init__(self) -> None:
        self._problems: dict[str, tuple[str, ...]] = {}

    def tell(self, report: Report) -> None:
        """Log a report if it is news."""
        if report.kind in _QUIET:
            return
        if report.kind is ReportKind.STATUS:
            if self._problems.get(report.source, ()) == report.problems:
                return
            self._problems[report.source] = report.problems
        level = logging.WARNING if report.problems else logging.INFO
        _LOG.log(level, "node_%s node=%s text=%r", report.kind.value, report.source, report.text)
