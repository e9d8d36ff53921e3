"""Faults of clocks and paths on the emulated bench: found how often, how soon, how large, as what.

    python -m benchmarks.clock_rig [--runs 20] [--hours 12] [--first-seed 100]

Two tables, both from `examples/clock`, played in lockstep on the `host` board with the whole
gateway behind it: every fault of `faults.toml` over so many runs, each with a seed of its own and
the faults at another phase of the probes; and `clean.toml` for so many hours, whose rate of false
alarms has the upper limit that the hours allow. A third tells whether the stated times are true.
Nothing here knows a threshold of the gateway.
"""

import argparse
import asyncio
import logging
import random
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from boards.build import PROJECT_DIR
from gateway.site import load_site
from hil.clock_report import false_alarm_line, truth_table
from hil.findings import Finding
from hil.repeat import south_only
from hil.result import RunResult
from hil.run import Run
from hil.scenario import OpenedTrace, Scenario, load_scenario, open_trace

EXAMPLES: Final = PROJECT_DIR / "examples" / "clock"
PROBE_PERIOD_S: Final = 10.0
"""Of the example's site; a fault may begin anywhere between two probes."""
_ROW_S: Final = 60


def varied(scenario: Scenario, seed: int) -> Scenario:
    """Return the scenario with another seed and each fault somewhat later, by chance."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    faults = tuple(
        fault.model_copy(update={"at_s": fault.at_s + draw.uniform(0.0, PROBE_PERIOD_S)})
        for fault in scenario.faults
    )
    about = scenario.scenario.model_copy(update={"seed": seed})
    return scenario.model_copy(update={"scenario": about, "faults": faults})


def long_trace(path: Path, hours: float) -> Path:
    """Write a recording of so many hours in which a temperature goes up and down by a degree."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    lines = ["datetime;Temperature"]
    for row in range(round(hours * 3600 / _ROW_S)):
        when = start + timedelta(seconds=row * _ROW_S)
        lines.append(f"{when:%Y-%m-%d %H:%M:%S};{60 + (row % 21) / 20:.2f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def played(scenario: Scenario, opened: OpenedTrace, folder: Path) -> RunResult:
    """Play a scenario once, without the north side."""

    async def once() -> RunResult:
        site = south_only(load_site(scenario.gateway.site))
        async with Run(scenario, opened, site, folder) as run:
            return await run.play()

    return asyncio.run(once())


def fault_table(results: Sequence[RunResult]) -> Table:
    """One row for each fault of the scenario, over all runs."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("fault", "of", "size", "expected"):
        table.add_column(heading, no_wrap=True)
    for heading in ("found", "cause right", "delay s: median", "largest", "error: median", "worst"):
        table.add_column(heading, justify="right")
    table.add_column("also named")
    for findings in zip(*(_in_order(result) for result in results), strict=True):
        table.add_row(*_cells(findings))
    return table


def _in_order(result: RunResult) -> list[Finding]:
    """Return the findings in an order that chance does not change: of a node, by time."""
    return sorted(result.checks.findings, key=lambda each: (each.truth.node, each.truth.begin_ns))


def _cells(findings: Sequence[Finding]) -> list[str]:
    first = findings[0].truth
    delays_s = [each.delay_s for each in findings if each.delay_s is not None]
    errors = [abs(each.size_error) for each in findings if each.size_error is not None]
    runs = len(findings)
    unit = next((each.found.check.unit for each in findings if each.found is not None), first.unit)
    others = sorted({name for each in findings for name in each.others})
    return [
        first.kind,
        first.node,
        "" if first.size is None else f"{first.size:g} {first.unit}",
        " or ".join(first.expect.cause),
        f"{len(delays_s)} of {runs}" if first.expect.within_s is not None else "-",
        f"{sum(each.is_cause_right for each in findings)} of {runs}",
        f"{statistics.median(delays_s):.1f}" if delays_s else "-",
        f"{max(delays_s):.1f}" if delays_s else "-",
        f"{statistics.median(errors):.2g} {unit}" if errors else "-",
        f"{max(errors):.2g} {unit}" if errors else "-",
        ", ".join(f"{name} {_named(findings, name)}" for name in others),
    ]


def _named(findings: Iterable[Finding], name: str) -> str:
    return f"in {sum(name in each.others for each in findings)}"


def _print_outside(console: Console, results: Sequence[RunResult]) -> int:
    """Print what was found where nothing was wrong; return how many hard bounds did not hold."""
    checks = sum(len(result.checks.false_checks) for result in results)
    hours = sum(result.checks.quiet_s for result in results) / 3600
    broken = sum(node.values.broken + node.estimates.broken for r in results for node in r.truth)
    claims = sum(node.values.claims + node.estimates.claims for r in results for node in r.truth)
    console.print(
        f"outside of every fault, {hours:.1f} hours of a source: {checks} checks,"
        f" {broken} of {claims:,} hard bounds false"
    )
    for result in results:
        _print_checks(console, result)
    return broken


def _print_checks(console: Console, result: RunResult) -> None:
    for item in result.checks.false_checks:
        at_s = item.emitted_ns / 1e9
        console.print(f"  {at_s:.0f} s {item.check.source} {item.check.cause}: {item.check.text}")


def main() -> int:
    """Play and print; 0 if every clean hour was quiet and every hard bound held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--hours", type=float, default=12.0)
    parser.add_argument("--first-seed", type=int, default=100)
    options = parser.parse_args()
    console = Console(width=160)
    # The table says what the gateway logs.
    logging.getLogger("twinrig").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        faults = load_scenario(EXAMPLES / "faults.toml")
        opened = open_trace(faults, folder)
        seeds = range(options.first_seed, options.first_seed + options.runs)
        results = [played(varied(faults, seed), opened, folder / "run") for seed in seeds]
        console.print(fault_table(results))
        broken = _print_outside(console, results)
        clean = load_scenario(EXAMPLES / "clean.toml")
        trace = open_trace(clean, folder, long_trace(folder / "long.csv", options.hours))
        quiet = played(clean, trace, folder / "run")
    console.print(false_alarm_line(quiet.checks))
    _print_checks(console, quiet)
    console.print(truth_table(quiet))
    clean_broken = sum(node.values.broken + node.estimates.broken for node in quiet.truth)
    return int(bool(broken or clean_broken or quiet.checks.false_checks))


if __name__ == "__main__":
    raise SystemExit(main())
