"""The public records as arrays: SKAB (a recorded pump rig) and Tennessee Eastman (simulated).

Promises: every number of a file, in its own units, in its own order; nothing is resampled, filled
in or left out. File names and row numbers stay here: no detector is told them.
Leaves to others: protocols (baselines.py, truth.py) and every judgement about the data.

Sources: I. Katser, V. Kozitsin, Skoltech Anomaly Benchmark (2020); J. Downs, E. Vogel, A
plant-wide industrial process control problem (1993), in the 960-row test runs of L. Chiang,
E. Russell, R. Braatz (2001).
"""

import csv
import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SKAB_TRAINING_ROWS: Final = 400
SKAB_PIECE_ROWS: Final = 1147
"""Length of the pieces of the recording without faults: that of a usual labelled file."""
TEP_TRAINING: Final = "train.csv.gz"
TEP_TESTS: Final = "test*.csv.gz"
SKAB_NORMAL: Final = "anomaly-free"
_NO_SIGNAL: Final = ("datetime", "anomaly", "changepoint")


class MissingDataError(Exception):
    """A record is not where it was looked for; the message says where and how to name another."""


class Recording(NamedTuple):
    """One SKAB file of n rows and s signals."""

    name: str
    signals: tuple[str, ...]
    times_s: Floats
    """(n,): seconds, as the file has them (UTC assumed)."""
    rows: Floats
    """(n, s): in the units of the file."""
    anomalies: Bools
    """(n,): label; all False in the recording without faults."""
    change_points: Bools
    """(n,)."""

    def part(self, first: int, last: int) -> "Recording":
        """Return rows `first` (counted) to `last` (not counted) as a recording of their own."""
        return self._replace(
            times_s=self.times_s[first:last],
            rows=self.rows[first:last],
            anomalies=self.anomalies[first:last],
            change_points=self.change_points[first:last],
        )


class Process(NamedTuple):
    """Tennessee Eastman: one run without fault to learn from, one test run for each fault."""

    signals: tuple[str, ...]
    training: Floats
    """(n, s)."""
    tests: dict[int, Floats]
    """Number of the fault -> (960, s); 0 is a run without fault; a fault begins at row 160."""


def read_skab_file(path: Path) -> Recording:
    """Read one SKAB file; a file without labels has none."""
    with path.open(newline="") as file:
        reader = csv.reader(file, delimiter=";")
        header = next(reader)
        lines = list(reader)
    places = [place for place, name in enumerate(header) if name not in _NO_SIGNAL]
    return Recording(
        name=path.stem,
        signals=tuple(header[place] for place in places),
        times_s=np.array(
            [datetime.fromisoformat(line[0]).replace(tzinfo=UTC).timestamp() for line in lines]
        ),
        rows=np.array([[float(line[place]) for place in places] for line in lines]),
        anomalies=_flags(header, lines, "anomaly"),
        change_points=_flags(header, lines, "changepoint"),
    )


def skab_groups(data: Path) -> list[str]:
    """Return the names of the folders with labelled files, sorted."""
    folder = data / "skab"
    found = {path.parent.name for path in folder.glob("*/*.csv")} - {SKAB_NORMAL}
    if not found:
        raise MissingDataError(_message(folder / "*" / "*.csv"))
    return sorted(found)


def read_skab(data: Path, group: str = "valve1") -> list[Recording]:
    """Read the labelled files of one group in the order of their numbers."""
    folder = data / "skab" / group
    paths = sorted(folder.glob("*.csv"), key=lambda path: (len(path.stem), path.stem))
    if not paths:
        raise MissingDataError(_message(folder / "*.csv"))
    return [read_skab_file(path) for path in paths]


def read_skab_normal(data: Path) -> Recording:
    """Read the recording without faults."""
    path = data / "skab" / SKAB_NORMAL / f"{SKAB_NORMAL}.csv"
    if not path.is_file():
        raise MissingDataError(_message(path))
    return read_skab_file(path)


def pieces(recording: Recording, rows: int = SKAB_PIECE_ROWS) -> list[Recording]:
    """Cut a recording into pieces of `rows` rows, each half over the one before."""
    starts = range(0, len(recording.rows) - rows + 1, rows // 2)
    return [recording.part(start, start + rows) for start in starts]


def read_tep(data: Path) -> Process:
    """Read the run without fault to learn from, and all test runs of all test files."""
    folder = data / "tep"
    header, training = _tep_rows(folder / TEP_TRAINING)
    paths = sorted(folder.glob(TEP_TESTS))
    if not paths:
        raise MissingDataError(_message(folder / TEP_TESTS))
    tests = np.vstack([_tep_rows(path)[1] for path in paths])
    return Process(
        tuple(header[2:]),
        training[training[:, 0] == 0][:, 2:],
        {int(fault): tests[tests[:, 0] == fault][:, 2:] for fault in np.unique(tests[:, 0])},
    )


def _tep_rows(path: Path) -> tuple[list[str], Floats]:
    """Return header and rows (n, 2 + s): fault, sample, signals."""
    if not path.is_file():
        raise MissingDataError(_message(path))
    with gzip.open(path, "rt") as file:
        header = file.readline().strip().split(",")
        return header, np.loadtxt(file, delimiter=",", ndmin=2)


def _flags(header: list[str], lines: list[list[str]], name: str) -> Bools:
    """Return one column of 0 and 1 as (n,) booleans; all False if there is no such column."""
    if name not in header:
        return np.zeros(len(lines), dtype=np.bool_)
    place = header.index(name)
    return np.array([float(line[place]) > 0.5 for line in lines])


def _message(path: Path) -> str:
    return f"{path}: no such record, nothing measured; give the folder above with --data DIR"
