"""The physical check of clocks: what shift of a stream is found, how soon, and how often in health.

    python -m benchmarks.lag --data DIR          DIR holds skab/ and tep/

Three assets, as in benchmarks/faults.py: the SKAB recording without faults, Tennessee Eastman
without fault, our own pump skid. A model is learnt from the first rows, the monitor is taught by
healthy rows after them (Tennessee Eastman has too few: there the training rows teach as well). Then
one stream at a time (of 52 every fourth) stands some rows late or early, at several onsets, in rows
nobody has seen; where the recording itself has a finding there, the trials are left out.

    said      smallest shift that nine of ten healthy windows of one or four windows would show
    found     trials in which the monitor raises a finding within `TRIAL_ROWS` rows; median of them
    named     of those, how often it is the shifted stream, or one of those it cannot be told from

Also: findings in healthy rows, simulated and recorded, per day, with the upper 95 % limit (3.0/T
when there are none); findings in the 20 fault runs of Tennessee Eastman, where no clock is wrong.

Promises: one configuration for all, the one a site gets; every trial is counted.
Leaves to others: what is said of it (gateway/stages/lag.py), the exact bounds of clocks (clock.py).
"""

import argparse
import copy
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import chi2

from benchmarks.engine import PERIOD_NS
from benchmarks.faults import read_asset
from benchmarks.recordings import MissingDataError, read_skab_file, read_tep
from gateway.models import lag
from gateway.models.fit import fit
from gateway.models.lag_monitor import FALSE_ALARMS_PER_DAY, Group, Lag, LagMonitor
from gateway.models.scaling import scaled
from gateway.models.twin_model import TwinModel, sample
from hil.plants.pump import write_pump_trace

Floats = NDArray[np.float64]

ASSETS: Final = ("skab", "tep", "pump")
SHIFTS: Final = (1, 2, 4, 8)
ONSETS: Final = 3
TRIAL_ROWS: Final = 1_100
"""Four windows and a little: after that nothing new is to come."""
_PUMP_ROWS: Final = 20_000
_ROWS_PER_DAY: Final = 86_400
"""A row is a second here."""


class Subject(NamedTuple):
    """An asset to shift streams of."""

    name: str
    model: TwinModel
    rows: Floats
    """(n, u), scaled; those of training are not among them unless they teach."""
    taught_rows: int
    """Rows of them that teach; streams are shifted after."""
    streams: tuple[int, ...]
    """Places of the signals that are shifted."""


class Trial(NamedTuple):
    """One stream that was shifted."""

    signal: str
    shift: int
    found_rows: int | None
    """Rows until something was found; None: nothing."""
    is_named: bool
    error_rows: float
    """Of the size, where the shifted stream itself is named; else NaN."""
    is_disturbed: bool
    """Something is found around the onset without any shift: such a trial says nothing."""


def read_subject(name: str, data: Path) -> Subject:
    """Learn a model of an asset and return the rows that follow."""
    rows, signals, split = read_asset(name, data)
    if name == "pump":
        rows = _pump_rows()
    blank = ("",) * len(signals)
    model = fit(rows[:split], tuple(signals), blank, period_ns=PERIOD_NS, asset=name)
    values = scaled(model.scaling, rows)
    if name == "tep":
        taught_rows = 4 * lag.WINDOW_ROWS + 64
        return Subject(name, model, values, taught_rows, tuple(range(0, len(signals), 4)))
    streams = tuple(range(values.shape[1]))
    return Subject(name, model, values[split:], min(3_000, (len(values) - split) // 2), streams)


def _pump_rows() -> Floats:
    """Return healthy rows of the pump skid: those before its fault begins."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pump.csv"
        write_pump_trace(path, rows=_PUMP_ROWS, seed=1)
        return read_skab_file(path).rows[: _PUMP_ROWS // 3]


def monitor_of(model: TwinModel) -> LagMonitor:
    """Return a monitor of every signal alone."""
    names = enumerate(model.names)
    return LagMonitor(model, [Group(name, np.array([place])) for place, name in names])


def run(monitor: LagMonitor, rows: Floats) -> list[tuple[int, Lag]]:
    """Return what begins, and after how many rows."""
    return [
        (number, found)
        for number, row in enumerate(rows, 1)
        for found in monitor.step(row)
        if found.is_active
    ]


def shifted(rows: Floats, place: int, shift: int, first: int) -> Floats:
    """Return `TRIAL_ROWS` rows from `first` on with one stream `shift` rows late."""
    last = min(first + TRIAL_ROWS, len(rows) - max(0, -shift))
    moved = rows[first:last].copy()
    moved[:, place] = rows[first - shift : last - shift, place]
    return moved


def trials_of(subject: Subject) -> tuple[LagMonitor, list[Trial]]:
    """Shift every stream by every size at every onset; return the taught monitor too."""
    last = max(subject.taught_rows, len(subject.rows) - TRIAL_ROWS - max(SHIFTS))
    onsets = np.unique(np.linspace(subject.taught_rows, last, ONSETS).astype(int))
    monitor, at, taught = monitor_of(subject.model), 0, None
    trials: list[Trial] = []
    for onset in onsets:
        run(monitor, subject.rows[at:onset])
        at = onset
        taught = copy.deepcopy(monitor) if taught is None else taught
        as_it_is = subject.rows[onset : onset + TRIAL_ROWS]
        is_disturbed = bool(monitor.active or run(copy.deepcopy(monitor), as_it_is))
        for place in subject.streams:
            for shift in [sign * size for size in SHIFTS for sign in (1, -1)]:
                rows = shifted(subject.rows, place, shift, onset)
                name = subject.model.names[place]
                trials.append(_trial(copy.deepcopy(monitor), rows, name, shift, is_disturbed))
    return monitor if taught is None else taught, trials


def _trial(monitor: LagMonitor, rows: Floats, name: str, shift: int, is_disturbed: bool) -> Trial:
    """Let a monitor see one shifted stream."""
    found = run(monitor, rows)
    if not found:
        return Trial(name, shift, None, False, math.nan, is_disturbed)
    row, first = found[0]
    is_named = first.group == name or name in first.rivals
    last = found[-1][1]
    error = last.lag_rows - shift if last.group == name else math.nan
    return Trial(name, shift, row, is_named, error, is_disturbed)


def table(subject: Subject, monitor: LagMonitor, trials: Sequence[Trial]) -> Table:
    """Show what is said of every signal and what was found."""
    title = f"{subject.name}: rows, found of trials (late and early), median rows until found"
    shown = Table("signal", "reference", "said, 256 rows", "said, 1024 rows", title=title)
    for size in SHIFTS:
        shown.add_column(f"{size} off", justify="right")
    for name in [subject.model.names[place] for place in subject.streams]:
        learnt = monitor.references.get(name)
        said = ("-",) * 3
        if learnt is not None:
            said = (f"{learnt.lag_rows:+.2f}", *(_said(rows) for rows in learnt.detectable_rows))
        cells = [
            _cell([t for t in trials if (t.signal, abs(t.shift)) == (name, s)]) for s in SHIFTS
        ]
        shown.add_row(name, *said, *cells)
    return shown


def _said(rows: float | None) -> str:
    return "none" if rows is None else f"{rows:g}"


def _cell(trials: Sequence[Trial]) -> str:
    fresh = [trial for trial in trials if not trial.is_disturbed]
    rows = [trial.found_rows for trial in fresh if trial.found_rows is not None]
    if not fresh:
        return "-"
    return f"{len(rows)}/{len(fresh)}" + (f" {np.median(rows):.0f}" if rows else "")


def summary(subject: Subject, monitor: LagMonitor, trials: Sequence[Trial]) -> str:
    """Say in words what was found of what was said to be detectable."""
    said = {
        name: min((rows for rows in learnt.detectable_rows if rows is not None), default=math.inf)
        for name, learnt in monitor.references.items()
    }
    fresh = [trial for trial in trials if not trial.is_disturbed]
    able = [t for t in fresh if abs(t.shift) >= said.get(t.signal, math.inf)]
    found = [t for t in able if t.found_rows is not None]
    named = [t for t in found if t.is_named]
    errors = [abs(t.error_rows) for t in found if not math.isnan(t.error_rows)]
    weak = [t for t in fresh if t not in able]
    by_chance = [t for t in weak if t.found_rows is not None]
    two = [t for t in able if abs(t.shift) == 2]
    found_two = [t for t in two if t.found_rows is not None]
    middle = np.median(errors) if errors else math.nan
    return (
        f"{subject.name}: of shifts said to be detectable {len(found)} of {len(able)} were found, "
        f"of two rows {len(found_two)} of {len(two)}; {len(named)} of {len(found)} named, median "
        f"size error {middle:.2f} rows; of smaller ones {len(by_chance)} of {len(weak)}"
    )


def healthy_line(name: str, findings: int, rows: int) -> str:
    """Say how often there was a finding without a shift, with the exact upper 95 % limit."""
    days = rows / _ROWS_PER_DAY
    upper = float(chi2.ppf(0.95, 2 * findings + 2)) / 2.0 / days
    return (
        f"{name}: {findings} findings in {rows:,} healthy rows = {days:.2f} days, "
        f"{findings / days:.2f} a day, at most {upper:.2f} (95 %); "
        f"set-point {FALSE_ALARMS_PER_DAY:g}"
    )


def simulated(subject: Subject, days: float) -> str:
    """Run a taught monitor over rows drawn from the model."""
    rng = np.random.default_rng(7)
    rows_left, findings, seconds = round(days * _ROWS_PER_DAY), 0, 0.0
    monitor, total = monitor_of(subject.model), rows_left
    while rows_left > 0:
        count = min(rows_left, 20_000)
        rows = scaled(subject.model.scaling, sample(subject.model, count, rng))
        began = time.perf_counter()
        # Two draws do not belong together, so no window lies across their seam.
        monitor.skip(lag.WINDOW_ROWS)
        findings += len(run(monitor, rows))
        seconds += time.perf_counter() - began
        rows_left -= count
    cost = f"{1e6 * seconds / total:.0f} us a row for {len(subject.model.names)} signals"
    return f"{healthy_line(f'{subject.name}, drawn from its model', findings, total)}; {cost}"


def recorded(subject: Subject) -> str:
    """Run a monitor over the rows as they are."""
    findings = run(monitor_of(subject.model), subject.rows)
    rows = len(subject.rows)
    line = healthy_line(f"{subject.name}, as it is", len(findings), rows)
    return line + "".join(
        f"\n    row {row}: {found.group} {found.lag_rows:+.2f} rows, {found.gain:.0f} nats over "
        f"{found.window_rows} rows, limit {found.limit:.0f}"
        for row, found in findings
    )


def faults_of(subject: Subject, data: Path) -> str:
    """Run a taught monitor over every fault run: no clock is wrong in any of them."""
    process, hits = read_tep(data), []
    taught = monitor_of(subject.model)
    run(taught, subject.rows)
    for fault, rows in process.tests.items():
        if fault and run(copy.deepcopy(taught), scaled(subject.model.scaling, rows)):
            hits.append(fault)
    shown = ", ".join(map(str, hits)) or "none"
    return f"tep: a lag is found in {len(hits)} of {len(process.tests) - 1} fault runs: {shown}"


def main() -> int:
    """Print all tables; say plainly when the data is absent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    parser.add_argument("--days", type=float, default=2.0, help="simulated healthy days an asset")
    chosen = parser.parse_args()
    console = Console()
    for name in ASSETS:
        try:
            subject = read_subject(name, chosen.data)
        except MissingDataError as error:
            console.print(str(error), soft_wrap=True)
            continue
        monitor, trials = trials_of(subject)
        console.print(table(subject, monitor, trials))
        console.print(summary(subject, monitor, trials), soft_wrap=True)
        console.print(recorded(subject), soft_wrap=True)
        console.print(simulated(subject, chosen.days), soft_wrap=True)
        if name == "tep":
            console.print(faults_of(subject, chosen.data), soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
