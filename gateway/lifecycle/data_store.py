"""Rows out of the store of a gateway: the values of a time range, on one raster.

Promises: the file is opened for reading alone, a running gateway is not held up; a value whose
status is bad is missing; the time between an alarm and the return to normal is marked suspect; a
row is verified only if seal or transport vouch for each of its values. Every problem is a
`TraceError`. Left to others: the tables (`sinks/store_schema.py`).
"""

import hashlib
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import numpy as np

from gateway import status
from gateway.clock import NS_PER_S
from gateway.errors import TraceError
from gateway.lifecycle.data import (
    CELLS_MAX,
    Flags,
    Integers,
    Selection,
    Table,
    place_of,
)
from gateway.records import Provenance, State

_BUSY_TIMEOUT_S: Final = 5.0
_INTEGER_MAX: Final = (1 << 63) - 1
_SIGNALS: Final = """SELECT signal, unit, count(*), min(time_ns), max(time_ns) FROM aligned
    WHERE time_ns >= ? AND time_ns < ? GROUP BY signal, unit ORDER BY signal, min(time_ns)"""
_VALUES: Final = """SELECT value, time_ns, status, provenance FROM aligned
    WHERE signal = ? AND time_ns >= ? AND time_ns < ? ORDER BY time_ns, id"""
_VERDICTS: Final = "SELECT asset, time_ns, since_ns, state FROM verdicts ORDER BY id"


class _Held(NamedTuple):
    """What a store holds of one signal in the wanted span."""

    signal: str
    unit: str
    values: int
    first_ns: int
    last_ns: int


def read(path: Path, selection: Selection) -> Table:
    """Read the values of a store; raise `TraceError` at the first problem."""
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S)) as database:
            return _table(str(path), database, selection)
    except sqlite3.Error as error:
        what = f"the store cannot be read ({error}); name the store.sqlite3 of a gateway's state"
        raise TraceError(str(path), what) from error


def _table(source: str, database: sqlite3.Connection, selection: Selection) -> Table:
    """Return the wanted signals, one row for every period in which one of them has a value."""
    bounds = _bounds(selection.span_ns)
    held = _held(source, database, bounds, selection.signals)
    period_ns = selection.period_ns or _period_ns(held)
    first = min(one.first_ns for one in held) // period_ns
    count = max(one.last_ns for one in held) // period_ns - first + 1
    if count * len(held) > CELLS_MAX:
        what = f"{count:,} periods of {period_ns / NS_PER_S:g} s and {len(held)} signals are more "
        what += f"than {CELLS_MAX:,} values; ask for less with --from, --to or --signals"
        raise TraceError(source, what)
    values = np.full((count, len(held)), np.nan)
    verified = np.ones(count, dtype=np.bool_)
    for place, one in enumerate(held):
        for value, time_ns, code, provenance in database.execute(_VALUES, (one.signal, *bounds)):
            row = time_ns // period_ns - first
            verified[row] &= provenance != Provenance.UNAUTHENTICATED
            if value is not None and math.isfinite(value) and not status.is_bad(code):
                values[row, place] = value
    kept = np.arange(count)[~np.isnan(values).all(axis=1)][slice(*selection.rows)]
    times_ns: Integers = (first + kept) * period_ns + period_ns // 2
    digest = hashlib.sha256(times_ns.tobytes() + np.ascontiguousarray(values[kept]).tobytes())
    return Table(
        source=source,
        sha256=digest.hexdigest(),
        signals=tuple(one.signal for one in held),
        units=tuple(one.unit for one in held),
        values=values[kept],
        times_ns=times_ns,
        lines=kept.astype(np.int64),
        suspect=_suspect(database, times_ns, selection.asset),
        verified=verified[kept],
        place="period",
    )


def _bounds(span_ns: tuple[int | None, int | None]) -> tuple[int, int]:
    """Return a span as two numbers that SQLite can compare."""
    first, end = span_ns
    return (-_INTEGER_MAX if first is None else first, _INTEGER_MAX if end is None else end)


def _held(
    source: str, database: sqlite3.Connection, bounds: tuple[int, int], wanted: tuple[str, ...]
) -> list[_Held]:
    """Return what there is of the wanted signals; raise `TraceError` for none or for two units."""
    found: dict[str, _Held] = {}
    for row in database.execute(_SIGNALS, bounds):
        one = _Held(*row)
        before = found.setdefault(one.signal, one)
        if before is not one and (not wanted or one.signal in wanted):
            what = f"signal {one.signal!r} changed its unit from {before.unit!r} to {one.unit!r}; "
            raise TraceError(source, what + "ask for one side of the change with --from or --to")
    if not found:
        raise TraceError(source, "no values in this time range; widen --from and --to")
    names = list(found)
    chosen = wanted or tuple(names)
    return [found[names[place_of(source, names, signal)]] for signal in chosen]


def _period_ns(held: list[_Held]) -> int:
    """Return the mean interval of the slowest signal to the whole millisecond.

    The raster of the slowest loses no row of any signal; faster ones give their last value.
    """
    intervals = [(one.last_ns - one.first_ns) / max(one.values - 1, 1) for one in held]
    return max(1_000_000, round(max(intervals) / 1e6) * 1_000_000)


def _suspect(database: sqlite3.Connection, times_ns: Integers, asset: str | None) -> Flags | None:
    """Return which rows lie in an alarm (rows,), None if the gateway never judged."""
    verdicts = [row for row in database.execute(_VERDICTS) if asset in (None, row[0])]
    if not any(state != State.LEARNING for *_, state in verdicts):
        return None
    suspect = np.zeros(len(times_ns), dtype=np.bool_)
    for first_ns, end_ns in _alarms(verdicts):
        suspect |= (times_ns >= first_ns) & (times_ns < end_ns)
    return suspect


def _alarms(verdicts: list[tuple[str, int, int, str]]) -> Iterator[tuple[int, int]]:
    """Yield when each alarm began, by the first row of the run that led to it, and ended."""
    began: dict[str, int] = {}
    for asset, time_ns, since_ns, state in verdicts:
        if state == State.ALARM:
            began.setdefault(asset, since_ns)
        elif asset in began:
            yield began.pop(asset), time_ns
    for since_ns in began.values():
        yield since_ns, _INTEGER_MAX
