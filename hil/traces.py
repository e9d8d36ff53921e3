"""Recorded runs in CSV files, read into channels with integer time.

Promises: `read_trace` returns a `Trace` or raises one TraceError that names file, line, column and
remedy; nothing is guessed, filled in or dropped. Leaves to others: what a column is wired to
(scenario.py), conversion to SI and to a chip (units.py, wiring.py).

Time is integer nanoseconds after the file's first row. The absolute start is kept beside it: an
ISO date without an offset is read as UTC, a seconds column counts from the Unix epoch.

Between rows the last row holds (zero-order hold), across a gap too, however long. Before the first
row the first value holds. After the last row the trace ends: `duration_ns` is one median row
interval past the last row, the run stops there, and a read that is still in flight gets the last
value.

Order of the checks: file, encoding, header, row lengths, columns, units, then per column from the
top: time, values, label.
"""

import csv
import hashlib
import io
import math
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from gateway.cells import NUMBER, instant_ns, not_a_number, shown
from hil.errors import TraceError, UnitError, did_you_mean
from hil.units import unit as unit_named

DELIMITERS: Final = (";", "\t", ",")
"""In this order: a file with decimal commas is separated by semicolons."""
BYTES_MAX: Final = 256 * 1024 * 1024
"""Largest file that is read whole into memory."""

_ALWAYS_NS: Final = 1 << 63
_HEADER_UNIT: Final = re.compile(r"(?P<name>.+?)\s*\[(?P<unit>[^\[\]]+)\]")
_Array = TypeVar("_Array", bound=NDArray[Any])


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TraceChannel:
    """One column: a value per row, in the column's own unit and on its own time base."""

    name: str
    unit: str
    times_ns: NDArray[np.int64]
    """Shape (rows,), strictly increasing, nanoseconds after the first row of the file."""
    values: NDArray[np.float64]
    """Shape (rows,), finite, in `unit`."""
    lines: NDArray[np.int64]
    """Shape (rows,), line of the file that each value stands on, the first line being 1."""

    def held(self) -> "HeldChannel":
        """Return a reader of this channel with its own cursor."""
        return HeldChannel(self)


@final
class HeldChannel:
    """Zero-order hold over one channel; cheap when asked in order of time, right in any order."""

    def __init__(self, channel: TraceChannel) -> None:
        # Python ints and floats: reading numpy scalars one by one costs ten times as much.
        self._times_ns: list[int] = channel.times_ns.tolist()
        self._values: list[float] = channel.values.tolist()
        self._row = 0
        self._from_ns = -_ALWAYS_NS
        self._until_ns = self._start_of(1)

    def value_at(self, now_ns: int) -> float:
        """Return the value in force at `now_ns`, in the channel's unit."""
        if not self._from_ns <= now_ns < self._until_ns:
            self._seek(now_ns)
        return self._values[self._row]

    def row_at(self, now_ns: int) -> int:
        """Return the index of the row in force at `now_ns`."""
        if not self._from_ns <= now_ns < self._until_ns:
            self._seek(now_ns)
        return self._row

    def _seek(self, now_ns: int) -> None:
        row = self._row + 1
        if not self._until_ns <= now_ns < self._start_of(row + 1):
            row = max(0, bisect_right(self._times_ns, now_ns) - 1)
        self._row = row
        self._from_ns = self._times_ns[row] if row else -_ALWAYS_NS
        self._until_ns = self._start_of(row + 1)

    def _start_of(self, row: int) -> int:
        return self._times_ns[row] if row < len(self._times_ns) else _ALWAYS_NS


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TraceLabels:
    """What the recorder knew: rows that were marked as faulty."""

    name: str
    times_ns: NDArray[np.int64]
    """Shape (rows,), as in TraceChannel."""
    is_fault: NDArray[np.bool_]
    """Shape (rows,); True where the label column is not zero."""

    def spans_ns(self) -> tuple[tuple[int, int], ...]:
        """Return (first faulty row, first good row after it or last row) of every fault."""
        edges = np.flatnonzero(np.diff(self.is_fault.astype(np.int8), prepend=0, append=0))
        last = len(self.times_ns) - 1
        return tuple(
            (int(self.times_ns[first]), int(self.times_ns[min(int(after), last)]))
            for first, after in zip(edges[::2], edges[1::2], strict=True)
        )

    def first_ns(self) -> int | None:
        """Return the time of the first faulty row, None when no row is marked."""
        spans = self.spans_ns()
        return spans[0][0] if spans else None


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """A recorded run: the columns that were asked for, in the order they were asked for."""

    channels: tuple[TraceChannel, ...]
    labels: TraceLabels | None
    """None when no label column was asked for."""
    sha256: str
    """Of the file's bytes, as hexadecimal digits."""
    path: Path
    start_utc_ns: int
    """Unix time of the first row."""
    duration_ns: int
    """Where the run stops: the last row plus one median row interval."""

    def channel(self, name: str) -> TraceChannel:
        """Return the channel of this column; KeyError when it was not asked for."""
        for channel in self.channels:
            if channel.name == name:
                return channel
        raise KeyError(name)


def read_trace(
    path: Path,
    columns: Mapping[str, str | None],
    *,
    delimiter: str | None = None,
    time_column: str | None = None,
    label_column: str | None = None,
    label_is_optional: bool = False,
    bytes_max: int = BYTES_MAX,
) -> Trace:
    """Read a CSV file with one header line.

    columns: column name -> unit; None takes the unit from a header of the form `name[unit]`.
    delimiter: None looks at the header line for `;`, tab or `,`.
    time_column: None is the first column. Its cells are ISO dates or seconds.
    label_column: numbers, where anything but zero marks a faulty row.
    label_is_optional: a file without that column is read as one without labels.
    Errors: TraceError, the first one found.
    """
    data = _file_bytes(path, bytes_max)
    table = _table(path, data, delimiter)
    if label_is_optional and label_column not in table.names:
        label_column = None
    time_index = 0 if time_column is None else table.index_of(time_column)
    wanted = [(name, table.index_of(name), table.unit_of(name, columns[name])) for name in columns]
    label_index = None if label_column is None else table.index_of(label_column)
    instants_ns = table.instants_ns(time_index)
    times_ns = _frozen(np.array([each - instants_ns[0] for each in instants_ns], dtype=np.int64))
    lines = _frozen(np.array(table.lines, dtype=np.int64))
    channels = []
    for name, index, unit in wanted:
        values = _frozen(np.array(table.numbers(index), dtype=np.float64))
        channels.append(
            TraceChannel(name=name, unit=unit, times_ns=times_ns, values=values, lines=lines)
        )
    labels = None
    if label_column is not None and label_index is not None:
        is_fault = _frozen(np.array(table.numbers(label_index)) != 0.0)
        labels = TraceLabels(name=label_column, times_ns=times_ns, is_fault=is_fault)
    intervals_ns = np.sort(np.diff(times_ns))
    return Trace(
        channels=tuple(channels),
        labels=labels,
        sha256=hashlib.sha256(data).hexdigest(),
        path=path,
        start_utc_ns=instants_ns[0],
        duration_ns=int(times_ns[-1]) + int(intervals_ns[len(intervals_ns) // 2]),
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """The cells of a file, every row as long as the header."""

    path: Path
    names: tuple[str, ...]
    header_units: tuple[str | None, ...]
    header_line: int
    lines: tuple[int, ...]
    rows: tuple[tuple[str, ...], ...]

    def refuse(self, what: str, line: int, index: int | None = None) -> NoReturn:
        """Raise a TraceError at this line and column."""
        column = None if index is None else self.names[index]
        raise TraceError(str(self.path), what, line, column)

    def index_of(self, name: str) -> int:
        """Return the position of a column by its name, with or without the unit in brackets."""
        found = [
            index
            for index, (own, unit) in enumerate(zip(self.names, self.header_units, strict=True))
            if name in (own, f"{own}[{unit}]")
        ]
        if not found:
            known = ", ".join(map(repr, self.names))
            hint = did_you_mean(name, self.names)
            self.refuse(f"no column {name!r}; {hint}the file has {known}", self.header_line)
        if len(found) > 1:
            what = f"{len(found)} columns have this name; rename all but one"
            self.refuse(what, self.header_line, found[0])
        return found[0]

    def unit_of(self, name: str, given: str | None) -> str:
        """Return the unit of a column, from the scenario or from the header."""
        index = self.index_of(name)
        written = self.header_units[index]
        chosen = written if given is None else given
        if chosen is None:
            remedy = "write it in the scenario, or as name[unit] in the header"
            self.refuse(f"has no unit; {remedy}", self.header_line, index)
        if written not in (None, chosen):
            what = f"the header says {written!r}, the scenario says {chosen!r}; mend one of them"
            self.refuse(what, self.header_line, index)
        try:
            return unit_named(chosen).name
        except UnitError as error:
            self.refuse(str(error), self.header_line, index)

    def numbers(self, index: int) -> list[float]:
        """Return a column as finite numbers, or raise TraceError at the first that is not."""
        values = []
        for line, row in zip(self.lines, self.rows, strict=True):
            text = row[index].strip()
            if not NUMBER.fullmatch(text):
                self.refuse(not_a_number(text), line, index)
            value = float(text)
            if math.isinf(value):
                self.refuse(f"{shown(text)} is not finite as a 64-bit float", line, index)
            values.append(value)
        return values

    def instants_ns(self, index: int) -> list[int]:
        """Return the time of every row in Unix nanoseconds, strictly increasing."""
        instants: list[int] = []
        for line, row in zip(self.lines, self.rows, strict=True):
            text = row[index].strip()
            try:
                at_ns = instant_ns(text)
            except ValueError as error:
                self.refuse(str(error), line, index)
            if instants and at_ns <= instants[-1]:
                verb = "repeats" if at_ns == instants[-1] else "lies before"
                what = f"time {shown(text)} {verb} the time of the row above"
                remedy = "sort the rows by time and keep one row per instant"
                self.refuse(f"{what}; {remedy}", line, index)
            instants.append(at_ns)
        return instants


def _file_bytes(path: Path, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except FileNotFoundError:
        raise TraceError(str(path), "no such file; give the trace with --trace FILE") from None
    except (OSError, ValueError) as error:
        raise TraceError(str(path), f"cannot be read ({error}); check path and rights") from error
    if len(data) > bytes_max:
        raise TraceError(str(path), f"larger than {bytes_max} bytes; cut the recording into parts")
    return data


def _table(path: Path, data: bytes, delimiter: str | None) -> _Table:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TraceError(str(path), "not UTF-8 text; save the file as UTF-8", line) from None
    if not text.strip():
        raise TraceError(str(path), "the file is empty; expected a header line and rows")
    cells = _cells(path, text, _checked_delimiter(path, text, delimiter))
    header_line, header = cells[0]
    if len(cells) < 3:
        found = "only a header" if len(cells) == 1 else "only one row"
        raise TraceError(str(path), f"{found}; at least two rows are needed", header_line)
    for line, row in cells[1:]:
        if len(row) != len(header):
            what = f"{len(row)} cells where the header has {len(header)}"
            raise TraceError(str(path), f"{what}; mend the row or state the delimiter", line)
    named = [_split_header(name.strip()) for name in header]
    return _Table(
        path=path,
        names=tuple(name for name, _ in named),
        header_units=tuple(unit for _, unit in named),
        header_line=header_line,
        lines=tuple(line for line, _ in cells[1:]),
        rows=tuple(tuple(row) for _, row in cells[1:]),
    )


def _checked_delimiter(path: Path, text: str, given: str | None) -> str:
    if given is not None and given not in DELIMITERS:
        raise TraceError(str(path), f"delimiter {given!r} is none of ';', tab and ','")
    header = text.strip().splitlines()[0]
    best = given if given is not None else max(DELIMITERS, key=header.count)
    if best not in header:
        looked_for = "';', tab or ','" if given is None else repr(given)
        what = f"no {looked_for} in the header; expected a time column and a value column"
        raise TraceError(str(path), what)
    return best


def _cells(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Return (first line, cells) of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for row in reader:
            if len(row) > 1 or (row and row[0].strip()):
                rows.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:
        raise TraceError(str(path), f"not CSV ({error}); check quotes and bytes", line) from None
    return rows


def _split_header(text: str) -> tuple[str, str | None]:
    match = _HEADER_UNIT.fullmatch(text)
    return (match["name"], match["unit"].strip()) if match else (text, None)


def _frozen(array: _Array) -> _Array:
    array.setflags(write=False)
    return array
