"""Rows out of a Parquet file; pyarrow is needed for these files alone.

Promises: only the wanted columns are read, in bounded number; a null is NaN; a time column may be a
timestamp of any resolution, a date in text, or seconds; units come from `name[unit]` or from the
field's metadata under "unit". Every problem is a `TraceError`. Left to others: the raster.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gateway.cells import instant_ns
from gateway.clock import NS_PER_S
from gateway.errors import TraceError
from gateway.lifecycle.data import (
    CELLS_MAX,
    TIME_NAMES,
    Floats,
    Integers,
    Selection,
    Table,
    place_of,
    signal_places,
    split_header,
)
from gateway.lifecycle.data_csv import within

if TYPE_CHECKING:
    Arrow = Any

_CHUNK: Final = 1 << 20


def read(path: Path, selection: Selection) -> Table:
    """Read a Parquet file; raise `TraceError` at the first problem."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - only these files need it
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        what = f"pyarrow is needed for Parquet ({error}); install twinrig[model], or save as CSV"
        raise TraceError(str(path), what) from error
    try:
        with parquet.ParquetFile(path) as file:
            return within(_table(path, file, selection), selection.span_ns)
    except (pa.ArrowException, OSError) as error:
        raise TraceError(str(path), f"no readable Parquet ({error}); copy it anew") from error


def _table(path: Path, file: "Arrow", selection: Selection) -> Table:
    """Return the wanted columns of an open file."""
    source = str(path)
    fields = list(file.schema_arrow)
    named = [split_header(field.name) for field in fields]
    names = [name for name, _ in named]
    time_place = _time_place(source, names, fields, selection)
    signals, labels, notes = signal_places(source, names, time_place, selection.signals)
    count = file.metadata.num_rows * (len(signals) + len(labels) + 1)
    if count > CELLS_MAX:
        what = f"{count:,} values, at most {CELLS_MAX:,} are taken; name fewer --signals, or cut it"
        raise TraceError(source, what)
    columns = [fields[p].name for p in {*signals, *labels, *([time_place] * (time_place >= 0))}]
    first, end, _ = slice(*selection.rows).indices(file.metadata.num_rows)
    body = file.read(columns=columns).slice(first, max(end - first, 0))
    lines = np.arange(first, first + len(body), dtype=np.int64)
    values = [_numbers(source, body.column(fields[p].name), names[p], first) for p in signals]
    marked = [_numbers(source, body.column(fields[p].name), names[p], first) for p in labels]
    return Table(
        source=source,
        sha256=_sha256(path),
        signals=tuple(names[place] for place in signals),
        units=tuple(named[place][1] or _unit(fields[place]) for place in signals),
        values=np.array(values, dtype=np.float64).T.reshape(len(body), len(signals)),
        times_ns=_times_ns(source, body, fields, time_place, selection),
        lines=lines,
        suspect=(np.nan_to_num(np.array(marked)) != 0.0).any(axis=0) if marked else None,
        verified=np.zeros(len(body), dtype=np.bool_),
        place="row",
        notes=notes,
    )


def _unit(field: "Arrow") -> str:
    """Return the unit in the metadata of a field, empty if there is none."""
    return bytes((field.metadata or {}).get(b"unit", b"")).decode(errors="replace")


def _time_place(source: str, names: list[str], fields: list["Arrow"], selection: Selection) -> int:
    """Return the place of the time column; -1 if rows are to be counted by a stated period."""
    if selection.time_column is not None:
        return place_of(source, names, selection.time_column)
    for place, field in enumerate(fields):
        if str(field.type).startswith(("timestamp", "date")):
            return place
    for place, name in enumerate(names):
        if name.lower() in TIME_NAMES and name not in selection.signals:
            return place
    if selection.period_ns is not None:
        return -1
    what = "no column is a timestamp or called time; name it with --time COLUMN, or say the "
    raise TraceError(source, what + "interval of even rows with --period SECONDS")


def _times_ns(
    source: str, body: "Arrow", fields: list["Arrow"], place: int, selection: Selection
) -> Integers:
    """Return Unix nanoseconds of every row (rows,)."""
    if place < 0:
        return np.arange(len(body), dtype=np.int64) * (selection.period_ns or 0)
    column = body.column(fields[place].name)
    if column.null_count:
        missing = int(np.flatnonzero(np.asarray(column.is_null()))[0])
        what = f"column {fields[place].name!r}: row {missing} has no time; cut the row"
        raise TraceError(source, what)
    kind = str(fields[place].type)
    if kind.startswith("timestamp"):
        return np.asarray(column.to_numpy(), dtype="datetime64[ns]").astype(np.int64)
    if kind.startswith("date"):
        return np.asarray(column.to_numpy(), dtype="datetime64[ns]").astype(np.int64)
    if kind in {"string", "large_string"}:
        return _texts_ns(source, fields[place].name, column.to_pylist())
    if kind.startswith(("int", "uint")):
        return _whole_ns(source, fields[place].name, column.to_numpy())
    seconds = _numbers(source, column, fields[place].name, 0)
    return np.asarray(np.round(seconds * NS_PER_S), dtype=np.int64)


def _texts_ns(source: str, name: str, texts: list[str]) -> Integers:
    """Return Unix nanoseconds of times in words."""
    instants = []
    for row, text in enumerate(texts):
        try:
            instants.append(instant_ns(text))
        except ValueError as error:
            raise TraceError(source, f"column {name!r}, row {row}: {error}") from error
    return np.array(instants, dtype=np.int64)


def _whole_ns(source: str, name: str, seconds: Integers) -> Integers:
    """Return Unix nanoseconds of whole seconds."""
    bound = np.iinfo(np.int64).max // NS_PER_S
    if len(seconds) and int(np.abs(seconds).max()) >= bound:
        what = f"column {name!r}: times are in seconds, not ms or ns; store it as a timestamp"
        raise TraceError(source, what)
    return seconds.astype(np.int64) * NS_PER_S


def _numbers(source: str, column: "Arrow", name: str, first: int) -> Floats:
    """Return a column as numbers (rows,), null as NaN; raise `TraceError` for anything else."""
    kind = str(column.type)
    if not kind.startswith(("int", "uint", "float", "double", "halffloat", "bool", "decimal")):
        what = f"column {name!r} holds {kind}, not numbers; leave it out with --signals"
        raise TraceError(source, what)
    values: Floats = np.asarray(column.cast("float64").to_numpy(), dtype=np.float64)
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        what = f"column {name!r}, row {first + int(infinite[0])}: not finite; make it null if there"
        raise TraceError(source, f"{what} was no value")
    return values


def _sha256(path: Path) -> str:
    """Return the hash of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
