"""SKAB file by file: what is found, how late, how long, and what each set-point costs.

    python -m benchmarks.skab --data DIR        DIR holds skab/valve1/<n>.csv and skab/anomaly-free

Protocol as in truth.py: a fresh model from rows 0-399 of each file, labels unused, verdicts on all
later rows, causal, no point adjustment; the recording without faults in pieces as long as a file.

Each recording is learnt once and watched once for each set-point, with the limits that the same
calibration gives at that rate (gateway/models/calibration.py). NAB is of the change points that the
engine says; beside it, of the rows at which its verdict changes.

Leaves to others: what simple detectors get on the same rows (truth.py).
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks import engine, nab, recordings
from benchmarks.engine import Said
from benchmarks.measures import Counts, count, delay_rows
from benchmarks.recordings import SKAB_TRAINING_ROWS, MissingDataError, Recording
from gateway.models.calibration import FALSE_ALARMS_PER_HOUR, Calibration, at_set_point

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SET_POINTS: Final = (0.1, FALSE_ALARMS_PER_HOUR, 5.0)
"""False alarms per hour, and again false change points."""
_SECONDS_PER_HOUR: Final = 3600.0


def watch(recording: Recording) -> dict[float, Said]:
    """Return what our engine says about the rows after training, by set-point."""
    rows = recording.rows
    model = engine.learn(rows[:SKAB_TRAINING_ROWS], recording.signals)
    limits = model.calibration
    if not isinstance(limits, Calibration):
        raise TypeError("a model that was calibrated has no calibration")
    return {
        rate: engine.say(
            replace(model, calibration=at_set_point(limits, rate)), rows[SKAB_TRAINING_ROWS:]
        )
        for rate in SET_POINTS
    }


def rates(files: list[Recording], alarmed: list[Bools]) -> Counts:
    """Add up rows by label and alarm."""
    total = Counts(0, 0, 0, 0)
    for file, alarms in zip(files, alarmed, strict=True):
        total += count(file.anomalies[SKAB_TRAINING_ROWS:], alarms)
    return total


def begun(alarms: Bools) -> Bools:
    """Return the rows (n,) at which an alarm begins."""
    before: Bools = np.concatenate([[False], alarms[:-1]]).astype(np.bool_)
    return alarms & ~before


def per_hour(events: list[Bools]) -> float:
    """Return how often something happens in recordings of one row a second."""
    return sum(int(each.sum()) for each in events) * _SECONDS_PER_HOUR / sum(map(len, events))


def change_score(files: list[Recording], changed: list[Bools]) -> float:
    """Return the NAB score of change points said at rows (n,) of each file."""
    tallies = []
    for file, rows in zip(files, changed, strict=True):
        tested = file.part(SKAB_TRAINING_ROWS, len(file.rows))
        tallies.append(nab.tally(tested.times_s[rows], tested.times_s[tested.change_points]))
    return nab.total(tallies).score


def edges(alarms: Bools) -> Bools:
    """Return the rows (n,) at which the verdict changes."""
    rows = np.zeros(len(alarms), dtype=np.bool_)
    rows[nab.changes(alarms)] = True
    return rows


def by_file(files: list[Recording], alarmed: list[Bools]) -> Table:
    """Return the table of the labelled files."""
    table = Table("file", "F1", "FAR %", "MAR %", "delay rows", title="SKAB valve1, file by file")
    for file, alarms in zip(files, alarmed, strict=True):
        found = rates([file], [alarms])
        delay = delay_rows(file.anomalies[SKAB_TRAINING_ROWS:], alarms)
        table.add_row(
            file.name,
            f"{found.f1:.3f}",
            f"{100 * found.false_alarm_rate:.1f}",
            f"{100 * found.missed_rate:.1f}",
            "missed" if delay is None else str(delay),
        )
    return table


def by_set_point(
    files: list[Recording], said: list[dict[float, Said]], normal: list[dict[float, Said]]
) -> Table:
    """Return what each set-point gives on files and on pieces without faults."""
    shown = Table("set-point /h", title="by set-point; the last four without faults")
    for name in ("F1", "FAR %", "MAR %", "NAB", "of verdicts"):
        shown.add_column(name)
    for name in ("rows %", "worst %", "alarms /h", "changes /h"):
        shown.add_column(name)
    for rate in SET_POINTS:
        alarmed = [each[rate].alarmed for each in said]
        found = rates(files, alarmed)
        shown.add_row(
            f"{rate:g}",
            f"{found.f1:.3f}",
            f"{100 * found.false_alarm_rate:.1f}",
            f"{100 * found.missed_rate:.1f}",
            f"{change_score(files, [each[rate].changed for each in said]):.1f}",
            f"{change_score(files, [edges(each) for each in alarmed]):.1f}",
            *_without_faults([each[rate] for each in normal]),
        )
    return shown


def _without_faults(normal: list[Said]) -> list[str]:
    """Return mean and largest share of rows in alarm, and alarms and changes an hour."""
    if not normal:
        return ["-"] * 4
    shares = [100 * float(each.alarmed.mean()) for each in normal]
    return [
        f"{np.mean(shares):.1f}",
        f"{max(shares):.1f}",
        f"{per_hour([begun(each.alarmed) for each in normal]):.1f}",
        f"{per_hour([each.changed for each in normal]):.1f}",
    ]


def main() -> int:
    """Print the tables; say plainly when the data is absent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    console = Console()
    folder = parser.parse_args().data
    try:
        files = recordings.read_skab(folder)
        pieces = recordings.pieces(recordings.read_skab_normal(folder))
    except MissingDataError as error:
        console.print(str(error), soft_wrap=True)
        return 1
    work: list[tuple[object, ...]] = [(each,) for each in (*files, *pieces)]
    said = engine.in_parallel(watch, work, "SKAB", console)
    ours, normal = said[: len(files)], said[len(files) :]
    console.print(by_file(files, [each[FALSE_ALARMS_PER_HOUR].alarmed for each in ours]))
    console.print(by_set_point(files, ours, normal))
    return 0


if __name__ == "__main__":
    sys.exit(main())
