"""Rows for a model out of a file or a store: what was recorded, on one even raster of time.

    y[i] is the row of period `numbers[i]`;  time of a period = start + number * period

Promises: `read_rows` returns `Rows` or raises one `TraceError` that names file, line, column and
how to mend it; a missing cell is NaN and stays NaN, a missing row is a step in `numbers`, nothing
is filled in or guessed. A column that looks like a label is never a signal unless it is asked for:
a model that reads the answer has learnt nothing. What was left out or merged is in `notes`.
Left to others: the formats (`data_csv.py`, `data_parquet.py`, `data_store.py`),
whether a channel can carry a model (`models/scaling.py`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from gateway.clock import NS_PER_S
from gateway.errors import TraceError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

BYTES_MAX: Final = 256 * 1024 * 1024
"""Largest file, unpacked, that is read into memory."""
CELLS_MAX: Final = 50_000_000
"""Most values that are taken from a Parquet file or a store: 400 MB of floats."""
LABELS: Final = frozenset({"anomaly", "attack", "changepoint", "fault", "is_anomaly", "label"})
"""Columns of these names are what somebody knew afterwards; any number but 0 marks the row."""
TIME_NAMES: Final = frozenset({"date", "datetime", "time", "time_s", "timestamp", "ts", "utc"})
GAP_ROWS_MAX: Final = 100
"""A longer silence ends a segment of a fit; a shorter one is missing rows inside it."""
DATED_FROM_NS: Final = 946_684_800 * NS_PER_S
"""2000-01-01. A time before it counts from the start of a recording (`--period`, a column that
begins at 0), or comes from a clock that was never set: it dates nothing."""
_UNEVEN: Final = 0.25
"""Part of a period by which an interval may differ from a whole number of periods ..."""
_UNEVEN_SHARE_MAX: Final = 0.2
"""... and the share of intervals that may do so before no period is believed."""
_HEADER_UNIT: Final = re.compile(r"(?P<name>.+?)\s*\[(?P<unit>[^\[\]]*)\]")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which part of a source is wanted; the default is all of it."""

    rows: tuple[int | None, int | None] = (None, None)
    """First row and the row after the last, as in a Python slice: 0 is the first row of data."""
    signals: tuple[str, ...] = ()
    """Columns in the wanted order; empty: all but time and labels."""
    time_column: str | None = None
    period_ns: int | None = None
    """Of the raster; None: the median interval."""
    span_ns: tuple[int | None, int | None] = (None, None)
    """Unix time from and before which rows are wanted."""
    asset: str | None = None
    """Whose verdicts mark suspect rows of a store; None: those of all assets."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """What a reader found: rows in the order of the source, with the times they were given."""

    source: str
    sha256: str
    signals: tuple[str, ...]
    units: tuple[str, ...]
    """Empty where the source does not say."""
    values: Floats
    """Shape (rows, signals), NaN where there is none, finite elsewhere."""
    times_ns: Integers
    """Shape (rows,), Unix nanoseconds."""
    lines: Integers
    """Shape (rows,), where each row stands in the source, counted as its readers count."""
    suspect: Flags | None
    """Shape (rows,), what a label or a verdict says; None if nobody says anything."""
    verified: Flags
    """Shape (rows,), True where seal or transport vouch for every value of the row."""
    place: str = "line"
    """What `lines` counts."""
    notes: tuple[str, ...] = field(default=())


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """A table on its raster; the fields of the same name mean what they mean in `Table`."""

    source: str
    sha256: str
    signals: tuple[str, ...]
    units: tuple[str, ...]
    values: Floats
    numbers: Integers
    """Shape (rows,), strictly increasing: the period each row belongs to."""
    times_ns: Integers
    lines: Integers
    suspect: Flags | None
    verified: Flags
    period_ns: int
    notes: tuple[str, ...]

    def segments(self) -> list[Floats]:
        """Return the rows as unbroken pieces (rows, signals), short silences as rows of NaN."""
        breaks = np.flatnonzero(np.diff(self.numbers) > GAP_ROWS_MAX) + 1
        pieces = []
        for part in np.split(np.arange(len(self.numbers)), breaks):
            numbers = self.numbers[part]
            piece = np.full((int(numbers[-1] - numbers[0]) + 1, len(self.signals)), np.nan)
            piece[numbers - numbers[0]] = self.values[part]
            pieces.append(piece)
        return pieces

    def select(self, signals: Sequence[str]) -> "Rows":
        """Return these signals in this order; raise `TraceError` naming the one that is missing."""
        places = [place_of(self.source, self.signals, signal) for signal in signals]
        units = tuple(self.units[place] for place in places)
        return replace(self, signals=tuple(signals), units=units, values=self.values[:, places])

    def where(self, chosen: Flags) -> "Rows":
        """Return the rows (rows,) that are chosen; the others are missing from the raster."""
        return replace(
            self,
            values=self.values[chosen],
            numbers=self.numbers[chosen],
            times_ns=self.times_ns[chosen],
            lines=self.lines[chosen],
            suspect=None if self.suspect is None else self.suspect[chosen],
            verified=self.verified[chosen],
        )


def read_rows(path: Path, selection: Selection | None = None) -> Rows:
    """Read CSV (also .gz), Parquet or the store of a gateway; the first bytes tell which.

    Raises `TraceError`, the first problem found; see the module docstring.
    """
    from gateway.lifecycle import data_csv, data_parquet, data_store  # noqa: PLC0415

    wanted = Selection() if selection is None else selection
    readers = {
        b"SQLite format 3\0": data_store.read,
        b"PAR1": data_parquet.read,
    }
    head = _head(path)
    for magic, read in readers.items():
        if head.startswith(magic):
            return raster(read(path, wanted), wanted.period_ns)
    return raster(data_csv.read(path, wanted), wanted.period_ns)


def raster(table: Table, period_ns: int | None) -> Rows:
    """Put a table on an even raster; `period_ns` None takes the median interval.

    Two rows of one period become one, in which a later value replaces an earlier one.
    Raises `TraceError` for rows out of order, too few rows, or intervals without a period.
    """
    if len(table.times_ns) < 2:
        what = f"{len(table.times_ns)} rows are in the range that was asked for; widen it"
        raise TraceError(table.source, what)
    steps = np.diff(table.times_ns)
    backwards = np.flatnonzero(steps < 0)
    if len(backwards):
        where = int(table.lines[backwards[0] + 1])
        what = "the time lies before that of the row above; sort the rows by time"
        raise TraceError(_at(table, where), what, where if table.place == "line" else None)
    period = _period_ns(table, steps) if period_ns is None else period_ns
    numbers = (table.times_ns - table.times_ns[0] + period // 2) // period
    firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
    values, notes = table.values, table.notes
    if len(firsts) < len(numbers):
        values = _merged(values, firsts)
        doubled = len(numbers) - len(firsts)
        notes += (f"{doubled:,} rows fell into the period of the row before them: merged",)
    missing = int(numbers[-1]) + 1 - len(firsts)
    if missing:
        notes += (f"{missing:,} periods of {period / NS_PER_S:g} s have no row: taken as missing",)
    return Rows(
        source=table.source,
        sha256=table.sha256,
        signals=table.signals,
        units=table.units,
        values=values,
        numbers=numbers[firsts],
        times_ns=table.times_ns[firsts],
        lines=table.lines[firsts],
        suspect=None if table.suspect is None else np.logical_or.reduceat(table.suspect, firsts),
        verified=np.logical_and.reduceat(table.verified, firsts),
        period_ns=period,
        notes=notes,
    )


def dated(time_ns: int) -> int | None:
    """Return a Unix time if it is a date, None if it only counts."""
    return time_ns if time_ns >= DATED_FROM_NS else None


def _period_ns(table: Table, steps: Integers) -> int:
    """Return the median interval, or raise `TraceError` if it says nothing about the others."""
    moving = steps[steps > 0]
    period = int(np.median(moving)) if len(moving) else 0
    if period == 0:
        raise TraceError(table.source, "all rows have the same time; name another --time column")
    ratio = moving / period
    uneven = np.abs(ratio - np.maximum(np.round(ratio), 1.0)) > _UNEVEN
    if uneven.mean() > _UNEVEN_SHARE_MAX:
        low, high = np.quantile(moving, (0.05, 0.95)) / NS_PER_S
        what = f"the rows are not evenly spaced (intervals of {low:.3g} to {high:.3g} s)"
        raise TraceError(table.source, f"{what}; say the raster with --period SECONDS")
    return period


def _merged(values: Floats, firsts: Integers) -> Floats:
    """Return one row for each group of rows; the last value that is there counts."""
    merged = values[firsts].copy()
    ends = np.append(firsts[1:], len(values))
    for place in np.flatnonzero(ends - firsts > 1):
        for row in values[firsts[place] + 1 : ends[place]]:
            merged[place] = np.where(np.isnan(row), merged[place], row)
    return merged


def _at(table: Table, where: int) -> str:
    """Return the source, with the place of a row when it is not a line of text."""
    return table.source if table.place == "line" else f"{table.source}, {table.place} {where}"


def _head(path: Path) -> bytes:
    """Return the first bytes of a file that can be read."""
    try:
        with path.open("rb") as file:
            return file.read(16)
    except IsADirectoryError:
        raise TraceError(str(path), "is a folder; name a CSV, Parquet or store file") from None
    except FileNotFoundError:
        raise TraceError(str(path), "no such file; check the path") from None
    except (OSError, ValueError) as error:
        raise TraceError(str(path), f"cannot be read ({error}); check path and rights") from error


# --- columns ------------------------------------------------------------------------------------


def split_header(text: str) -> tuple[str, str]:
    """Return name and unit of a column called `name[unit]`; the unit is empty without brackets."""
    match = _HEADER_UNIT.fullmatch(text.strip())
    return (match["name"], match["unit"].strip()) if match else (text.strip(), "")


def place_of(source: str, names: Sequence[str], wanted: str, line: int | None = None) -> int:
    """Return the place of a column; raise `TraceError` if there is none or more than one."""
    places = [place for place, name in enumerate(names) if name == wanted]
    if len(places) == 1:
        return places[0]
    if places:
        raise TraceError(source, f"{len(places)} columns are called {wanted!r}; rename one", line)
    close = get_close_matches(wanted, names, 1, 0.6)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise TraceError(source, f"no column {wanted!r}; {hint}there are {listed(names)}", line)


def listed(names: Sequence[str], count_max: int = 12) -> str:
    """Return names for a message, cut where they are many."""
    shown = ", ".join(repr(name) for name in names[:count_max])
    rest = len(names) - count_max
    return f"{shown} and {rest} more" if rest > 0 else shown or "none"


def signal_places(
    source: str, names: Sequence[str], time_place: int, wanted: Sequence[str]
) -> tuple[list[int], list[int], tuple[str, ...]]:
    """Return the places of signals, the places of labels, and what there is to say about it."""
    labels = [place for place, name in enumerate(names) if name.lower() in LABELS]
    if wanted:
        places = [place_of(source, names, name) for name in wanted]
        return places, [place for place in labels if place not in places], ()
    places = [p for p in range(len(names)) if p not in labels and p != time_place]
    if not places:
        what = f"no column for a model beside time and labels; there are {listed(names)}"
        raise TraceError(source, what)
    doubled = sorted({names[place] for place in places if names.count(names[place]) > 1})
    if doubled:
        raise TraceError(source, f"two columns are called {doubled[0]!r}; rename one")
    if not labels:
        return places, labels, ()
    named = listed([names[place] for place in labels])
    return places, labels, (f"taken as labels, not as signals: {named}",)
