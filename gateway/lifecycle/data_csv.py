"""Rows out of a CSV file with one header line, plain or packed with gzip.

Promises: every problem is a `TraceError` with line and column and how to mend it; a size is checked
before memory is taken, unpacked size included; cells that say "nothing" (empty, nan, na, n/a, null,
none, -) are NaN; times are exact integers, an ISO date without an offset is UTC, a number counts
seconds from 1970. Rows without a time are counted from 0, which `data.dated` knows is no date, and
a note says so. Left to others: the raster (`data.py`).
"""

import csv
import gzip
import hashlib
import io
import math
import re
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from gateway.cells import ISO, NUMBER, instant_ns, shown
from gateway.errors import TraceError
from gateway.lifecycle.data import (
    BYTES_MAX,
    TIME_NAMES,
    Integers,
    Selection,
    Table,
    place_of,
    signal_places,
    split_header,
)

_DELIMITERS: Final = (";", "\t", ",")
"""In this order: a file with decimal commas is separated by semicolons."""
_NOTHING: Final = frozenset({"", "nan", "na", "n/a", "null", "none", "-"})
_NO_TIME: Final = "the rows have no time: they are counted, and nobody knows how old they are"
_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of a file, every row as long as the header."""

    source: str
    names: list[str]
    units: list[str]
    header_line: int
    lines: list[int]
    rows: list[list[str]]


def read(path: Path, selection: Selection) -> Table:
    """Read a CSV file; raise `TraceError` at the first problem."""
    data = _bytes(path)
    cells = _sliced(_cells(str(path), data), selection.rows)
    time_place = _time_place(cells, selection)
    signals, labels, notes = signal_places(cells.source, cells.names, time_place, selection.signals)
    times_ns = _times_ns(cells, time_place, selection.period_ns)
    if time_place < 0:
        notes += (_NO_TIME,)
    values = np.array([_numbers(cells, place) for place in signals], dtype=np.float64).T
    suspect = None
    if labels:
        marked = np.array([_numbers(cells, place) for place in labels], dtype=np.float64)
        suspect = (np.nan_to_num(marked) != 0.0).any(axis=0)
    table = Table(
        source=cells.source,
        sha256=hashlib.sha256(data).hexdigest(),
        signals=tuple(cells.names[place] for place in signals),
        units=tuple(cells.units[place] for place in signals),
        values=values.reshape(len(cells.rows), len(signals)),
        times_ns=times_ns,
        lines=np.array(cells.lines, dtype=np.int64),
        suspect=suspect,
        verified=np.zeros(len(cells.rows), dtype=np.bool_),
        notes=notes,
    )
    return within(table, selection.span_ns)


def within(table: Table, span_ns: tuple[int | None, int | None]) -> Table:
    """Return the rows of a table from a time on and before another."""
    first, end = span_ns
    chosen = np.ones(len(table.times_ns), dtype=np.bool_)
    if first is not None:
        chosen &= table.times_ns >= first
    if end is not None:
        chosen &= table.times_ns < end
    if chosen.all():
        return table
    return replace(
        table,
        values=table.values[chosen],
        times_ns=table.times_ns[chosen],
        lines=table.lines[chosen],
        suspect=None if table.suspect is None else table.suspect[chosen],
        verified=table.verified[chosen],
    )


def _bytes(path: Path) -> bytes:
    """Return the text of a file as bytes, unpacked, at most `BYTES_MAX` of them."""
    try:
        with path.open("rb") as file:
            is_packed = file.read(2) == _GZIP
            file.seek(0)
            if is_packed:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    data = unpacked.read(BYTES_MAX + 1)
            else:
                data = file.read(BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(str(path), f"cannot be read ({error}); copy the file anew") from error
    if len(data) > BYTES_MAX:
        what = f"larger than {BYTES_MAX >> 20} MiB; cut it, or make it a Parquet file"
        raise TraceError(str(path), what)
    return data


def _cells(source: str, data: bytes) -> _Cells:
    """Take a file apart; raise `TraceError` unless every row is as long as the header."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TraceError(source, "not UTF-8 text; save the file as UTF-8", line) from None
    lines: list[int] = []
    rows: list[list[str]] = []
    for line, row in _records(source, text):
        if rows and len(row) != len(rows[0]):
            what = f"{len(row)} cells where the header has {len(rows[0])}; mend the row"
            raise TraceError(source, what, line)
        lines.append(line)
        rows.append(row)
    if len(rows) < 2:
        found = "the file is empty" if not rows else "there is a header and nothing else"
        raise TraceError(source, f"{found}; a header line and rows are needed")
    named = [split_header(name) for name in rows[0]]
    for place, (name, _) in enumerate(named):
        if not name:
            what = f"column {place + 1} has no name; write one into the header"
            raise TraceError(source, what, lines[0])
    if NUMBER.fullmatch(rows[0][0].strip()) or ISO.fullmatch(rows[0][0].strip()):
        what = f"the first line begins with {rows[0][0]!r}; put a line of column names above it"
        raise TraceError(source, what, lines[0])
    names, units = [name for name, _ in named], [unit for _, unit in named]
    return _Cells(source, names, units, lines[0], lines[1:], rows[1:])


def _records(source: str, text: str) -> list[tuple[int, list[str]]]:
    """Return (line, cells) of every record that is not blank."""
    head = text.lstrip().split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    found: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for row in reader:
            if len(row) > 1 or (row and row[0].strip()):
                found.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:
        raise TraceError(source, f"not CSV ({error}); check quotes and bytes", line) from None
    return found


def _sliced(cells: _Cells, rows: tuple[int | None, int | None]) -> _Cells:
    """Return the wanted rows; raise `TraceError` when there are none."""
    wanted = slice(*rows)
    if not cells.rows[wanted]:
        first, end = ("" if bound is None else str(bound) for bound in rows)
        what = f"no rows in {first}:{end}; the file has rows 0:{len(cells.rows)}"
        raise TraceError(cells.source, what)
    return _Cells(
        cells.source,
        cells.names,
        cells.units,
        cells.header_line,
        cells.lines[wanted],
        cells.rows[wanted],
    )


# --- time ---------------------------------------------------------------------------------------


def _time_place(cells: _Cells, selection: Selection) -> int:
    """Return the place of the time column; -1 if rows are to be counted by a stated period."""
    if selection.time_column is not None:
        return place_of(cells.source, cells.names, selection.time_column, cells.header_line)
    for place, name in enumerate(cells.names):
        if name.lower() in TIME_NAMES and name not in selection.signals:
            return place
    if ISO.fullmatch(cells.rows[0][0].strip()):
        return 0
    if selection.period_ns is not None:
        return -1
    what = "no column is called time or holds dates; name it with --time COLUMN, or say the "
    what += "interval of even rows with --period SECONDS"
    raise TraceError(cells.source, what, cells.header_line)


def _times_ns(cells: _Cells, place: int, period_ns: int | None) -> Integers:
    """Return Unix nanoseconds of every row (rows,)."""
    if place < 0:
        assert period_ns is not None  # noqa: S101 - `_time_place` asks for it
        return np.arange(len(cells.rows), dtype=np.int64) * period_ns
    instants = []
    for line, row in zip(cells.lines, cells.rows, strict=True):
        try:
            instants.append(instant_ns(row[place]))
        except ValueError as error:
            what = f"column {cells.names[place]!r}: {error}"
            raise TraceError(cells.source, what, line) from error
    return np.array(instants, dtype=np.int64)


# --- numbers ------------------------------------------------------------------------------------


def _numbers(cells: _Cells, place: int) -> list[float]:
    """Return a column, NaN for a cell that says nothing; raise `TraceError` for any other text."""
    values = []
    for line, row in zip(cells.lines, cells.rows, strict=True):
        text = row[place].strip()
        try:
            value = float(text)
        except ValueError:
            value = math.nan
            if text.lower() not in _NOTHING:
                raise TraceError(cells.source, _no_number(cells, place, text), line) from None
        if math.isinf(value) or "_" in text:
            raise TraceError(cells.source, _no_number(cells, place, text), line)
        values.append(value)
    return values


def _no_number(cells: _Cells, place: int, text: str) -> str:
    """Return what is wrong with a cell, and how to mend it."""
    remedy = "mend the cell, empty it if there was no value, or leave the column out (--signals)"
    if re.fullmatch(r"[+-]?[0-9]*,[0-9]+", text):
        remedy = "write a decimal point"
    elif re.fullmatch(r"[+-]?(inf|infinity|[0-9.]+[eE]\+?[0-9]+)", text, re.IGNORECASE):
        remedy = "it is not finite: empty the cell if there was no value"
    return f"column {cells.names[place]!r}: {shown(text)} is not a number; {remedy}"
