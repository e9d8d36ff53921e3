"""SKAB: how well fuse and judge find recorded pump faults, and how often they cry wolf.

    python -m benchmarks.skab --data DIR        DIR holds skab/<group>/<n>.csv

Protocol (fixed before the test part was looked at): per file rows 0-399 train a fresh model with
the product's defaults, labels unused; all later rows are test. A row counts as alarmed if the judge
is in ALARM after it: causal, no point adjustment. Counts are summed over files;
F1 = TP / (TP + (FN + FP) / 2), FAR = FP / (FP + TN), MAR = FN / (FN + TP).
Beside it: rules that read no sensor. The recording without faults is cut into overlapping pieces as
long as a file, and also taken in one run.
"""

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from gateway import status
from gateway.models.fit import Asset
from gateway.records import Aligned, Provenance, State
from gateway.stages.fuse import Fuse
from gateway.stages.judge import Judge

ASSET = "pump"
TRAINING_ROWS = 400
PIECE_ROWS = 1147
PERIOD_NS = 1_000_000_000


class Row(NamedTuple):
    """One row of a file."""

    time_ns: int
    values: tuple[float, ...]
    is_anomaly: bool


class Trace(NamedTuple):
    """One file."""

    name: str
    signals: tuple[str, ...]
    rows: list[Row]


class Counts(NamedTuple):
    """Rows of the test part by label and alarm."""

    true_alarms: int
    false_alarms: int
    missed: int
    quiet: int

    def __add__(self, other: tuple[int, ...]) -> "Counts":  # type: ignore[override]
        """Add row by row."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))

    def figures(self) -> str:
        """Return F1, FAR and MAR as text; a rate without rows is a dash."""
        f1 = _share(self.true_alarms, (self.missed + self.false_alarms) / 2)
        far = _share(self.false_alarms, self.quiet, 100)
        mar = _share(self.missed, self.true_alarms, 100)
        return f"F1 {f1}  FAR {far} %  MAR {mar} %"


def read(path: Path) -> Trace:
    """Read one SKAB file; times are taken as UTC."""
    with path.open(newline="") as file:
        reader = csv.reader(file, delimiter=";")
        header = next(reader)
        places = [
            place
            for place, name in enumerate(header)
            if name not in ("datetime", "anomaly", "changepoint")
        ]
        label = header.index("anomaly") if "anomaly" in header else None
        rows = [
            Row(
                int(datetime.fromisoformat(line[0]).replace(tzinfo=UTC).timestamp()) * PERIOD_NS,
                tuple(float(line[place]) for place in places),
                label is not None and float(line[label]) > 0.5,
            )
            for line in reader
        ]
    return Trace(path.name, tuple(f"{ASSET}:{header[place]}" for place in places), rows)


def alarms(trace: Trace) -> list[bool]:
    """Run the stages over a trace; tell for each test row whether it leaves the judge in ALARM."""
    units = ("",) * len(trace.signals)
    fuse = Fuse(Asset(ASSET, trace.signals, units, PERIOD_NS), TRAINING_ROWS)
    judge = Judge(ASSET)
    states: list[bool] = []
    for number, row in enumerate(trace.rows):
        for aligned in _aligned(trace.signals, row, number):
            for estimate in fuse.feed(aligned, row.time_ns):
                judge.feed(estimate, row.time_ns)
                states.append(judge.state is State.ALARM)
    if len(states) != len(trace.rows):
        raise SystemExit(f"{trace.name}: {len(trace.rows)} rows in, {len(states)} estimates out")
    return states[TRAINING_ROWS:]


def count(rows: Iterable[Row], alarmed: Iterable[bool]) -> Counts:
    """Count test rows by label and alarm."""
    total = Counts(0, 0, 0, 0)
    for row, is_alarm in zip(rows, alarmed, strict=True):
        total += (
            row.is_anomaly and is_alarm,
            not row.is_anomaly and is_alarm,
            row.is_anomaly and not is_alarm,
            not row.is_anomaly and not is_alarm,
        )
    return total


def report_group(folder: Path) -> None:
    """Print the figures of one group of labelled files, and of rules that read no sensor."""
    traces = [read(path) for path in sorted(folder.glob("*.csv"), key=_natural)]
    ours = ones = none = watch = Counts(0, 0, 0, 0)
    print(f"{folder.name}: {len(traces)} files")
    for trace in traces:
        rows = trace.rows[TRAINING_ROWS:]
        alarmed = alarms(trace)
        ours += count(rows, alarmed)
        ones += count(rows, [True] * len(rows))
        none += count(rows, [False] * len(rows))
        watch += count(rows, [170 <= number < 570 for number in range(len(rows))])
        print(f"  {trace.name:8s} {count(rows, alarmed).figures()}  {_first_alarm(rows, alarmed)}")
    for name, counts in (
        ("twinrig, causal", ours),
        ("always alarm", ones),
        ("never alarm", none),
        ("stopwatch 170-569", watch),
    ):
        print(f"  {name:18s} {counts.figures()}")


def report_normal(path: Path) -> None:
    """Print the false-alarm rate on a recording without faults."""
    trace = read(path)
    rates = []
    for start in range(0, len(trace.rows) - PIECE_ROWS + 1, PIECE_ROWS // 2):
        piece = trace._replace(rows=trace.rows[start : start + PIECE_ROWS])
        alarmed = alarms(piece)
        rates.append(sum(alarmed) / len(alarmed))
    print(
        f"{path.stem}: {len(rates)} pieces of {PIECE_ROWS} rows, alarm on "
        f"{sum(rates) / len(rates):.1%} of normal rows, worst piece {max(rates):.1%}"
    )
    alarmed = alarms(trace)
    print(
        f"{path.stem}: one run of {len(alarmed)} rows, alarm on {sum(alarmed) / len(alarmed):.1%}"
    )


def _aligned(signals: tuple[str, ...], row: Row, number: int) -> Iterator[Aligned]:
    """Yield the values of a row as sync would give them."""
    for signal, value in zip(signals, row.values, strict=True):
        yield Aligned(
            signal=signal,
            unit="",
            value=value,
            time_ns=row.time_ns,
            bound_ns=0,
            status=status.GOOD,
            provenance=Provenance.UNAUTHENTICATED,
            source=ASSET,
            sequence=number,
        )


def _first_alarm(rows: list[Row], alarmed: list[bool]) -> str:
    """Return where the label starts, where the first alarm after it is, and false alarms before."""
    start = next((number for number, row in enumerate(rows) if row.is_anomaly), None)
    if start is None:
        return "no label"
    before = sum(alarmed[:start])
    first = next((number for number in range(start, len(rows)) if alarmed[number]), None)
    said = "no alarm" if first is None else f"alarm at {first + TRAINING_ROWS} (+{first - start})"
    return f"label at {start + TRAINING_ROWS}, {said}, alarmed rows before {before}"


def _share(part: float, rest: float, factor: float = 1) -> str:
    """Return part / (part + rest) times factor as text."""
    return f"{factor * part / (part + rest):.{3 if factor == 1 else 1}f}" if part + rest else "-"


def _natural(path: Path) -> tuple[int, str]:
    """Sort 2.csv before 10.csv."""
    return (int(path.stem) if path.stem.isdigit() else 0, path.stem)


def main() -> int:
    """Print the report; say plainly when the data is absent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    folder = parser.parse_args().data / "skab"
    groups = sorted({path.parent for path in folder.glob("*/*.csv")})
    if not groups:
        print(f"{folder}: no SKAB files there, nothing measured; give the folder with --data DIR")
        return 1
    for group in groups:
        if group.name == "anomaly-free":
            for path in sorted(group.glob("*.csv")):
                report_normal(path)
        else:
            report_group(group)
    return 0


if __name__ == "__main__":
    sys.exit(main())
