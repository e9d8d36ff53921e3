"""Blind to position: normal rows of another run in front of the test rows must change no verdict.

    python -m benchmarks.shift --data DIR        DIR holds skab/valve1/<n>.csv and skab/anomaly-free

A detector that knows where in a file the fault is, or how long ago the file began, scores well on
records whose faults stand at the same row. So after the training rows of each file come 0, 50, 100
or 300 normal rows of another run, then the test rows; the verdicts on the test rows are compared
with those without, row by row. The rows in front are

    recorded   as the other run has them: other temperatures, another speed, so another level
    moved      standardised by the other run's training rows and put on this run's mean and spread:
               the same wandering, as if this run had been longer

taken from the recording without faults, or from just before the label of the next file. Only
`moved` is a question about position alone: `recorded` also shows what a foreign level leaves
behind. All rows count, those in whose windows the rows in front still are as well; `late` leaves
out the first 60 test rows, the longest of those windows.
F1, FAR and MAR beside it say whether the verdicts that changed were right before or are now.
Leaves to others: how our verdicts compare with those of others (truth.py).
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks import recordings
from benchmarks.engine import in_parallel, learn_alarms
from benchmarks.measures import Counts
from benchmarks.measures import count as count_rows
from benchmarks.recordings import SKAB_TRAINING_ROWS, MissingDataError, Recording

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Watch = Callable[[Floats], Bools]
Learn = Callable[[Floats, tuple[str, ...]], Watch]

COUNTS: Final = (50, 100, 300)
LATE_ROWS: Final = 60
DONOR_STEP_ROWS: Final = 500
"""Files take their rows from the recording without faults at places so far apart."""


class Front(NamedTuple):
    """Rows to put in front of the test rows of one file."""

    donor: str
    kind: str
    rows: Floats
    """(k, s)."""


class Comparison(NamedTuple):
    """Verdicts with rows in front against those without, one file or several."""

    donor: str
    kind: str
    in_front: int
    files: int
    files_same: int
    rows: int
    rows_same: int
    late: int
    late_same: int
    front_alarms: int
    """Rows among those in front that are alarmed."""
    true_alarms: int
    false_alarms: int
    missed: int
    quiet: int
    """Test rows by label and alarm, behind the rows in front."""

    @property
    def counts(self) -> Counts:
        """Return the last four as one."""
        return Counts(self.true_alarms, self.false_alarms, self.missed, self.quiet)

    def __add__(self, other: tuple[object, ...]) -> "Comparison":
        """Add the counts of another file."""
        sums = (int(a) + int(str(b)) for a, b in zip(self[3:], other[3:], strict=True))
        return Comparison(self.donor, self.kind, self.in_front, *sums)


def fronts(own: Floats, donors: Sequence[tuple[str, Floats, Floats]]) -> list[Front]:
    """Return what goes in front of a file whose training rows are `own` (t, s).

    A donor is a name, its own training rows, and at least max(COUNTS) normal rows; the last of
    these are taken.
    """
    found: list[Front] = []
    for name, training, normal in donors:
        for count in COUNTS:
            rows = normal[-count:]
            found.append(Front(name, "recorded", rows))
            found.append(Front(name, "moved", _moved(rows, training, own)))
    return found


def compare(
    watch: Watch, rows: Floats, anomalies: Bools, given: Sequence[Front]
) -> list[Comparison]:
    """Judge test rows (n, s) with their labels (n,) alone and behind each of the fronts."""
    alone = watch(rows)
    result: list[Comparison] = []
    for front in [Front("-", "alone", rows[:0]), *given]:
        count = len(front.rows)
        both = watch(np.vstack([front.rows, rows]))
        same = both[count:] == alone
        result.append(
            Comparison(
                front.donor,
                front.kind,
                count,
                1,
                int(same.all()),
                len(same),
                int(same.sum()),
                len(same[LATE_ROWS:]),
                int(same[LATE_ROWS:].sum()),
                int(both[:count].sum()),
                *count_rows(anomalies, both[count:]),
            )
        )
    return result


def of_file(number: int, files: list[Recording], normal: Recording) -> list[Comparison]:
    """Compare our verdicts on one file, with rows of the normal recording and of the next file."""
    file, following = files[number], files[(number + 1) % len(files)]
    training, rows = file.rows[:SKAB_TRAINING_ROWS], file.rows[SKAB_TRAINING_ROWS:]
    longest = max(COUNTS)
    start = (number * DONOR_STEP_ROWS) % (len(normal.rows) - SKAB_TRAINING_ROWS - longest)
    other = normal.rows[start : start + SKAB_TRAINING_ROWS + longest]
    label = int(np.argmax(following.anomalies))
    donors = [
        ("anomaly-free", other[:SKAB_TRAINING_ROWS], other[SKAB_TRAINING_ROWS:]),
        ("next file", following.rows[:SKAB_TRAINING_ROWS], following.rows[:label]),
    ]
    anomalies = file.anomalies[SKAB_TRAINING_ROWS:]
    watch = learn_alarms(training, file.signals)
    return compare(watch, rows, anomalies, fronts(training, donors))


def merged(found: Sequence[Sequence[Comparison]]) -> list[Comparison]:
    """Add up the files; every file has the same fronts in the same order."""
    sums = list(found[0])
    for each in found[1:]:
        sums = [one + other for one, other in zip(sums, each, strict=True)]
    return sums


def table(found: Sequence[Comparison]) -> Table:
    """Show shares of equal verdicts."""
    shown = Table("rows in front", "from", "as", title="Verdicts with rows of another run in front")
    for name in (
        "files all same",
        "rows same",
        "late rows same",
        "alarms in front",
        "F1",
        "FAR %",
        "MAR %",
    ):
        shown.add_column(name, justify="right")
    for each in sorted(found, key=lambda one: (one.kind, one.donor, one.in_front)):
        shown.add_row(
            str(each.in_front),
            each.donor,
            each.kind,
            f"{each.files_same} of {each.files}",
            f"{each.rows_same / each.rows:.2%}",
            f"{each.late_same / each.late:.2%}",
            f"{each.front_alarms / max(1, each.in_front * each.files):.1%}",
            f"{each.counts.f1:.3f}",
            f"{100 * each.counts.false_alarm_rate:.1f}",
            f"{100 * each.counts.missed_rate:.1f}",
        )
    return shown


def _moved(rows: Floats, theirs: Floats, own: Floats) -> Floats:
    """Put rows (k, s) on the mean and spread of `own` training rows, off those of `theirs`."""
    spread = theirs.std(axis=0)
    standard = (rows - theirs.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    moved: Floats = own.mean(axis=0) + standard * own.std(axis=0)
    return moved


def main() -> int:
    """Print the table; say plainly when the data is absent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    data = parser.parse_args().data
    console = Console()
    try:
        files, normal = recordings.read_skab(data), recordings.read_skab_normal(data)
    except MissingDataError as error:
        console.print(str(error), soft_wrap=True)
        return 1
    work = [(number, files, normal) for number in range(len(files))]
    found = in_parallel(of_file, work, "files with rows in front", console)
    sums = merged(found)
    console.print(table(sums))
    moved = [each for each in sums if each.kind == "moved"]
    same = sum(each.rows_same for each in moved) / sum(each.rows for each in moved)
    console.print(f"moved rows of another run: {same:.2%} of the verdicts are the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
