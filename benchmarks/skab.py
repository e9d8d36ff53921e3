"""SKAB file by file: what is found, how late, how long, and what each set-point costs.

    python -m benchmarks.skab --data DIR        DIR holds skab/valve1/<n>.csv and skab/anomaly-free

Protocol as in truth.py: a fresh model from rows 0-399 of each file, labels unused, verdicts on all
later rows, causal, no point adjustment; the recording without faults in pieces as long as a file.

Each recording is watched once. Another set-point moves every limit by the logarithm of the ratio
of the rates (gateway/models/calibration.py), so the other lines of the last table need no new run;
that no limit falls below zero is the one thing they leave out.

Leaves to others: what simple detectors get on the same rows (truth.py).
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks import engine, nab, recordings
from benchmarks.measures import Counts, count, delay_rows
from benchmarks.recordings import SKAB_TRAINING_ROWS, MissingDataError, Recording
from gateway.models.calibration import FALSE_ALARMS_PER_HOUR

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SET_POINTS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
"""False alarms per hour and evidence."""
_CERTAIN: Final = 1e-15
_SECONDS_PER_HOUR: Final = 3600.0


def probabilities(recording: Recording) -> Floats:
    """Return our probability of every row after the training rows."""
    rows = recording.rows
    model = engine.learn(rows[:SKAB_TRAINING_ROWS], recording.signals)
    return engine.say(model, rows[SKAB_TRAINING_ROWS:]).probability


def at_set_point(probability: Floats, false_alarms_per_hour: float) -> Bools:
    """Return the alarms (n,) had the set-point been another than the usual one."""
    odds = np.log(np.maximum(probability, _CERTAIN) / np.maximum(1.0 - probability, _CERTAIN))
    odds += math.log(false_alarms_per_hour / FALSE_ALARMS_PER_HOUR)
    return engine.lasting(1.0 / (1.0 + np.exp(-odds)))


def rates(files: list[Recording], alarmed: list[Bools]) -> Counts:
    """Add up rows by label and alarm."""
    total = Counts(0, 0, 0, 0)
    for file, alarms in zip(files, alarmed, strict=True):
        total += count(file.anomalies[SKAB_TRAINING_ROWS:], alarms)
    return total


def alarms_per_hour(alarmed: list[Bools]) -> float:
    """Return how often an alarm begins in recordings of one row a second."""
    begun = sum(int((alarms & ~np.concatenate([[False], alarms[:-1]])).sum()) for alarms in alarmed)
    return begun * _SECONDS_PER_HOUR / sum(map(len, alarmed))


def change_score(files: list[Recording], alarmed: list[Bools]) -> float:
    """Return the NAB score of the rows at which the verdict changes."""
    tallies = []
    for file, alarms in zip(files, alarmed, strict=True):
        tested = file.part(SKAB_TRAINING_ROWS, len(file.rows))
        changed = tested.times_s[nab.changes(alarms)]
        tallies.append(nab.tally(changed, tested.times_s[tested.change_points]))
    return nab.total(tallies).score


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


def by_set_point(files: list[Recording], said: list[Floats], normal: list[Floats]) -> Table:
    """Return what each set-point gives on files and on pieces without faults."""
    columns = ("set-point /h", "F1", "FAR %", "MAR %", "NAB", "normal %", "worst %", "alarms /h")
    table = Table(*columns, title="by set-point, per evidence; the last three without faults")
    for rate in SET_POINTS:
        alarmed = [at_set_point(each, rate) for each in said]
        quiet = [at_set_point(each, rate) for each in normal]
        found = rates(files, alarmed)
        shares = [100 * float(alarms.mean()) for alarms in quiet] or [math.nan]
        table.add_row(
            f"{rate:g}",
            f"{found.f1:.3f}",
            f"{100 * found.false_alarm_rate:.1f}",
            f"{100 * found.missed_rate:.1f}",
            f"{change_score(files, alarmed):.1f}",
            f"{np.mean(shares):.1f}",
            f"{max(shares):.1f}",
            f"{alarms_per_hour(quiet):.1f}" if quiet else "-",
        )
    return table


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
    said = engine.in_parallel(probabilities, work, "SKAB", console)
    ours, normal = said[: len(files)], said[len(files) :]
    console.print(by_file(files, [engine.lasting(each) for each in ours]))
    console.print(by_set_point(files, ours, normal))
    return 0


if __name__ == "__main__":
    sys.exit(main())
