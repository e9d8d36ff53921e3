"""What a person reads of time after a run: faults and what was found, and the stated bounds.

Promises: every figure comes from the RunResult; a run without faults and without a false alarm says
what that is worth, as an upper limit.  Leaves to others: where it is printed.
"""

from collections.abc import Iterable

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from hil.clock_truth import Tally
from hil.findings import CheckResult, Finding
from hil.result import RunResult

_MS_NS = 1e6


def time_report(result: RunResult) -> list[RenderableType]:
    """Faults, false alarms and stated times of one run; ends with an empty line."""
    parts: list[RenderableType] = [Text("Time", style="bold")]
    if result.checks.findings:
        parts.append(findings_table(result.checks.findings))
    parts.append(Text("  " + false_alarm_line(result.checks)))
    parts += [
        Text(f"    {item.check.source} {item.check.cause}: {item.check.text}")
        for item in result.checks.false_checks
    ]
    parts.append(truth_table(result))
    return [*parts, Text()]


def findings_table(findings: Iterable[Finding]) -> Table:
    """One row for each fault: what it was, what it was called, how soon, how large."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("fault", "of", "size", "found as", "cause"):
        table.add_column(heading, no_wrap=True)
    for heading in ("delay", "error"):
        table.add_column(heading, justify="right", no_wrap=True)
    for finding in findings:
        table.add_row(*_cells(finding))
    return table


def false_alarm_line(checks: CheckResult) -> str:
    """The rate of false alarms, with what the length of the run allows to say."""
    count = len(checks.false_checks)
    return (
        f"false alarms: {count} in {checks.quiet_s / 3600:.2f} hours of a source without a fault,"
        f" {checks.false_per_day:.3g} a day and source, at most {checks.false_per_day_high:.3g}"
        " (95 %)"
    )


def _cells(finding: Finding) -> list[str | Text]:
    truth, check = finding.truth, None if finding.found is None else finding.found.check
    found = "nothing" if check is None else check.cause.value
    right = Text("right", style="green") if finding.is_cause_right else Text("WRONG", style="red")
    return [
        truth.kind,
        truth.node,
        "" if truth.size is None else f"{truth.size:.4g} {truth.unit}",
        Text(found, style="" if (check is None) == truth.expect.is_quiet else "bold red"),
        right,
        "" if finding.delay_s is None else f"{finding.delay_s:.1f} s",
        "" if finding.size_error is None else _error(finding.size_error, truth.unit),
    ]


def _error(size_error: float, unit: str) -> str:
    """An error of a size as far as it means anything: to 0.1 ms, to 1 ppm."""
    if unit == "s":
        return f"{size_error * 1e3:+.1f} ms"
    return f"{size_error:+.0f} {unit}"


def truth_table(result: RunResult) -> Table:
    """How many stated times were true, by node; apart what was stated while a clock lied."""
    table = Table(box=None, padding=(0, 1, 0, 1))
    table.add_column("stated times of", no_wrap=True)
    for heading in ("claims", "false bounds", "k = 2 holds", "worst error", "mean bound"):
        table.add_column(heading, justify="right")
    for node in result.truth:
        for what, tally in (
            ("values", node.values),
            ("in a fault", node.values_in_fault),
            ("offsets", node.estimates),
        ):
            if tally.claims:
                table.add_row(f"{node.node} {what}", *_tally(tally))
    return table


def _tally(tally: Tally) -> list[str]:
    return [
        f"{tally.claims:,}",
        f"{tally.broken:,}",
        f"{tally.covered / tally.claims:.1%}",
        f"{tally.error_max_ns / _MS_NS:.3f} ms",
        f"{tally.bound_sum_ns / tally.claims / _MS_NS:.3f} ms",
    ]
