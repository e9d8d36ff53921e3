"""The tables of the store: their columns, what goes into them, what goes out again.

    frames     sealed frames as they came, if the site asks for them
    numbers    the last numbers of each node's data lane, for each of its root keys: what is in the
               store is never taken twice
    aligned    values; reports: what nodes said about themselves; verdicts; ledger: the accounts
    estimates  what the model said of each row of an asset; signal_estimates: of each signal in it
    sync_checks, clock_estimates, timed_events, revisions, link_kpis: see store_time.py
    dropped    rows that a bound has removed, by table and reason; kept: bytes of all frames

Promises: `write` is one transaction, wholly or not at all; every table is bounded, the oldest rows
go first and are counted; a file of an earlier schema is brought to this one, and keeps its frames.
Left to others: the file, threads and failures (`store.py`).
"""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.canonical import canonical
from gateway.clock import NS_PER_S
from gateway.records import Aligned, Cause, Estimate, Report, TimeRecord, Verdict, Verified
from gateway.sinks import store_time
from gateway.sinks.store_time import Row, TableRow, time_rows
from gateway.site import StoreSettings
from gateway.stages.replay_window import BOOTS_MAX, WINDOW, Lane, ReplayMark
from wire import content

SCHEMA_VERSION: Final = 5
Stored = Verified | Aligned | Report | Estimate | Verdict | TimeRecord
_NS_PER_DAY: Final = 86_400 * NS_PER_S
_INTEGERS: Final = range(-(1 << 63), 1 << 63)
"""What an SQLite integer can be."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS frames (
    id INTEGER PRIMARY KEY, node TEXT NOT NULL, boot_id INTEGER NOT NULL,
    sequence INTEGER NOT NULL, received_ns INTEGER NOT NULL, frame BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS numbers (
    node TEXT NOT NULL, root_id TEXT NOT NULL, boot_id INTEGER NOT NULL, sequence INTEGER NOT NULL,
    PRIMARY KEY (node, root_id, boot_id, sequence)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS aligned (
    id INTEGER PRIMARY KEY, signal TEXT NOT NULL, unit TEXT NOT NULL, value REAL,
    time_ns INTEGER NOT NULL, bound_ns INTEGER NOT NULL, status INTEGER NOT NULL,
    provenance TEXT NOT NULL, source TEXT NOT NULL, sequence INTEGER NOT NULL,
    uncertainty_ns INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS reports (
    id INTEGER PRIMARY KEY, node TEXT NOT NULL, kind TEXT NOT NULL, time_ns INTEGER NOT NULL,
    boot_id INTEGER NOT NULL, sequence INTEGER NOT NULL, text TEXT NOT NULL,
    canonical BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS verdicts (
    id INTEGER PRIMARY KEY, asset TEXT NOT NULL, time_ns INTEGER NOT NULL, state TEXT NOT NULL,
    probability REAL, since_ns INTEGER NOT NULL, sequence INTEGER NOT NULL,
    canonical BLOB NOT NULL, cause TEXT, cause_signal TEXT, cause_probability REAL) STRICT;
CREATE TABLE IF NOT EXISTS estimates (
    id INTEGER PRIMARY KEY, asset TEXT NOT NULL, time_ns INTEGER NOT NULL,
    status INTEGER NOT NULL, probability REAL, score REAL, log_density REAL, kind TEXT NOT NULL,
    scale_rows INTEGER NOT NULL, regime INTEGER NOT NULL, model_id TEXT NOT NULL,
    cause TEXT, cause_signal TEXT, cause_probability REAL, coherence_ns INTEGER,
    bound_ns INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS signal_estimates (
    id INTEGER PRIMARY KEY, asset TEXT NOT NULL, time_ns INTEGER NOT NULL, signal TEXT NOT NULL,
    value REAL, status INTEGER NOT NULL, expected REAL, standard_deviation REAL, fused REAL,
    fused_deviation REAL, interval_low REAL, interval_high REAL, fused_status INTEGER NOT NULL,
    contribution REAL, trust REAL) STRICT;
CREATE TABLE IF NOT EXISTS ledger (
    id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, account TEXT NOT NULL,
    canonical BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS dropped (
    name TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (name, reason)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (
    name TEXT PRIMARY KEY, bytes INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS aligned_by_signal ON aligned (signal, time_ns);
CREATE INDEX IF NOT EXISTS frames_by_number ON frames (node, sequence);
CREATE INDEX IF NOT EXISTS estimates_by_time ON estimates (asset, time_ns);
CREATE INDEX IF NOT EXISTS signal_estimates_by_signal ON signal_estimates (signal, time_ns);
"""
_FROM_1: Final = "ALTER TABLE frames RENAME TO frames_1;"
"""Version 1 kept whatever came in, unchecked, in columns of another meaning."""
_BEFORE_3: Final = "ALTER TABLE numbers RENAME TO numbers_2;"
_FROM_2: Final = """INSERT INTO numbers SELECT node, '', boot_id, sequence FROM numbers_2;
    DROP TABLE numbers_2;"""
"""Version 2 did not say under which root key a number was used: any."""
_BEFORE_4: Final = """ALTER TABLE verdicts ADD COLUMN cause TEXT;
    ALTER TABLE verdicts ADD COLUMN cause_signal TEXT;
    ALTER TABLE verdicts ADD COLUMN cause_probability REAL;"""
"""Until version 3 a verdict had no cause: theirs is null."""
_BEFORE_5: Final = {
    "aligned": "ALTER TABLE aligned ADD COLUMN uncertainty_ns INTEGER;",
    "estimates": """ALTER TABLE estimates ADD COLUMN coherence_ns INTEGER;
    ALTER TABLE estimates ADD COLUMN bound_ns INTEGER;""",
}
"""Until version 4 a value had a hard bound alone, and a row no time but its own: null."""
TABLES: Final = (
    "aligned", "reports", "verdicts", "estimates", "signal_estimates", "ledger",
    *store_time.TABLES,
)  # fmt: skip
"""Bounded by `rows_max`."""
_INSERTS: Final = {
    "frames": "INSERT INTO frames (node, boot_id, sequence, received_ns, frame) VALUES (?,?,?,?,?)",
    "numbers": "INSERT OR IGNORE INTO numbers VALUES (?,?,?,?)",
    "aligned": "INSERT INTO aligned (signal, unit, value, time_ns, bound_ns, status, provenance, "
    "source, sequence, uncertainty_ns) VALUES (?,?,?,?,?,?,?,?,?,?)",
    "reports": "INSERT INTO reports (node, kind, time_ns, boot_id, sequence, text, canonical) "
    "VALUES (?,?,?,?,?,?,?)",
    "verdicts": "INSERT INTO verdicts (asset, time_ns, state, probability, since_ns, sequence, "
    "canonical, cause, cause_signal, cause_probability) VALUES (?,?,?,?,?,?,?,?,?,?)",
    "estimates": "INSERT INTO estimates (asset, time_ns, status, probability, score, log_density, "
    "kind, scale_rows, regime, model_id, cause, cause_signal, cause_probability, coherence_ns, "
    "bound_ns) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    "signal_estimates": "INSERT INTO signal_estimates (asset, time_ns, signal, value, status, "
    "expected, standard_deviation, fused, fused_deviation, interval_low, interval_high, "
    "fused_status, contribution, trust) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    "ledger": "INSERT INTO ledger (at_ns, account, canonical) VALUES (?,?,?)",
    **store_time.INSERTS,
}
_TRIMS: Final = {
    table: f"DELETE FROM {table} WHERE id <= (SELECT max(id) FROM {table}) - ?"  # noqa: S608
    for table in TABLES
}
_CLAIM: Final = "UPDATE OR REPLACE numbers SET root_id = ?2 WHERE node = ?1 AND root_id = ''"
"""Numbers of any root key become those of the one that is heard first."""
_TRIM_BOOTS: Final = """DELETE FROM numbers WHERE node = ?1 AND root_id = ?2 AND boot_id NOT IN (
    SELECT DISTINCT boot_id FROM numbers WHERE node = ?1 AND root_id = ?2
    ORDER BY boot_id DESC LIMIT ?3)"""
_TRIM_NUMBERS: Final = """DELETE FROM numbers
    WHERE node = ?1 AND root_id = ?2 AND boot_id = ?3 AND sequence <= (
    SELECT max(sequence) FROM numbers WHERE node = ?1 AND root_id = ?2 AND boot_id = ?3) - ?4"""
_ADD_BYTES: Final = """INSERT INTO kept (name, bytes) VALUES ('frames', ?)
    ON CONFLICT (name) DO UPDATE SET bytes = bytes + excluded.bytes"""
_COUNT_DROPPED: Final = """INSERT INTO dropped (name, reason, count) VALUES (?,?,?)
    ON CONFLICT (name, reason) DO UPDATE SET count = count + excluded.count"""


def prepare(database: sqlite3.Connection, survives: str) -> None:
    """Set up journal and tables; raise `sqlite3.Error` for an unknown schema or for damage."""
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if not 0 <= version <= SCHEMA_VERSION:
        raise sqlite3.OperationalError(
            f"schema version {version}, this gateway writes {SCHEMA_VERSION}"
        )
    (finding,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise sqlite3.DatabaseError(f"quick_check: {finding}")
    synchronous = "FULL" if survives == "power_cut" else "NORMAL"
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.executescript(
        f"BEGIN; {_before(database, version)} {_SCHEMA} {store_time.SCHEMA} "
        f"{_FROM_2 if version == 2 else ''} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )


def _before(database: sqlite3.Connection, version: int) -> str:
    """Return what brings the tables of an earlier schema to where this one's can be made."""
    steps = {1: _FROM_1, 2: _BEFORE_3}.get(version, "")
    if version < 4 and _has_table(database, "verdicts"):
        steps += _BEFORE_4
    if version < 5:
        steps += "".join(step for name, step in _BEFORE_5.items() if _has_table(database, name))
    return steps


def rows_of(record: Stored, *, keeps_frames: bool) -> list[TableRow]:
    """Return the rows of a record: none if nothing of it is kept."""
    match record:
        case Verified():
            return _frame_rows(record, keeps_frames=keeps_frames)
        case Aligned():
            return [("aligned", (
                record.signal, record.unit, record.value, record.time_ns, record.bound_ns,
                record.status, record.provenance.value, record.source, record.sequence,
                record.uncertainty_ns,
            ))]  # fmt: skip
        case Report():
            return [("reports", (
                record.source, record.kind.value, record.time_ns, record.boot_id, record.sequence,
                record.text, canonical(record),
            ))]  # fmt: skip
        case Verdict():
            return [("verdicts", (
                record.asset, record.time_ns, record.state.value, record.probability,
                record.since_ns, record.sequence, canonical(record), *_top(record.causes),
            ))]  # fmt: skip
        case Estimate():
            return _estimate_rows(record)
        case _:
            return time_rows(record)


def _has_table(database: sqlite3.Connection, name: str) -> bool:
    found = database.execute(
        "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", (name,)
    )
    return found.fetchone() is not None


def _top(causes: Sequence[Cause]) -> Row:
    """Return cause, signal and probability of the first; nulls if there is none."""
    return (causes[0].cause, causes[0].signal, causes[0].probability) if causes else (None,) * 3


def _estimate_rows(record: Estimate) -> list[TableRow]:
    """Return the rows of an estimate: none while the model is learning."""
    if not record.is_trained:
        return []
    whole = (
        record.asset, record.time_ns, record.status, record.anomaly_probability, record.score,
        record.log_density, record.kind, record.scale_rows, record.regime, record.model_id,
        *_top(record.causes), record.coherence_ns, record.bound_ns,
    )  # fmt: skip
    rows: list[TableRow] = [("estimates", whole)]
    for each in record.values:
        facts = (
            each.signal, each.value, each.status, each.expected, each.standard_deviation,
            each.fused, each.fused_deviation, *each.interval, each.fused_status,
            each.contribution, each.trust,
        )  # fmt: skip
        rows.append(("signal_estimates", (record.asset, record.time_ns, *facts)))
    return rows


def _frame_rows(record: Verified, *, keeps_frames: bool) -> list[TableRow]:
    """Return the rows of a sealed frame."""
    rows: list[TableRow] = []
    if not content.is_live(record.content_type):
        numbers = (record.source, record.root_id, record.boot_id, record.sequence)
        rows.append(("numbers", numbers))
    if keeps_frames:
        facts = (record.boot_id, record.sequence, record.received_ns, record.frame)
        rows.append(("frames", (record.source, *facts)))
    return rows


def is_storable(rows: Sequence[TableRow]) -> bool:
    """Tell whether SQLite can hold every number of some rows."""
    return all(value in _INTEGERS for _, row in rows for value in row if isinstance(value, int))


def write(
    database: sqlite3.Connection, rows: Sequence[TableRow], settings: StoreSettings, now_ns: int
) -> None:
    """Insert rows and trim the tables they went to, all in one transaction."""
    by_table: dict[str, list[Row]] = {}
    for table, row in rows:
        by_table.setdefault(table, []).append(row)
    database.execute("BEGIN IMMEDIATE")
    try:
        for table, group in by_table.items():
            database.executemany(_INSERTS[table], group)
            if table in _TRIMS:
                gone = database.execute(_TRIMS[table], (settings.rows_max,)).rowcount
                _count(database, table, "rows_max", gone)
        for node, root_id, boot_id in {row[:3] for row in by_table.get("numbers", [])}:
            database.execute(_CLAIM, (node, root_id))
            database.execute(_TRIM_BOOTS, (node, root_id, BOOTS_MAX))
            database.execute(_TRIM_NUMBERS, (node, root_id, boot_id, WINDOW))
        if "frames" in by_table:
            added = sum(len(frame) for *_, frame in by_table["frames"] if isinstance(frame, bytes))
            database.execute(_ADD_BYTES, (added,))
            _trim_frames(database, settings, now_ns)
        database.execute("COMMIT")
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")


def _trim_frames(database: sqlite3.Connection, settings: StoreSettings, now_ns: int) -> None:
    """Remove the oldest frames while they are too old, too many or too large together."""
    before_ns = now_ns - settings.frames_age_days * _NS_PER_DAY
    (count,) = database.execute("SELECT coalesce(max(id) - min(id) + 1, 0) FROM frames").fetchone()
    (total,) = database.execute("SELECT bytes FROM kept WHERE name = 'frames'").fetchone()
    gone: Counter[str] = Counter()
    removed, last_id = 0, None
    for frame_id, received_ns, size in database.execute(
        "SELECT id, received_ns, length(frame) FROM frames ORDER BY id"
    ):
        if received_ns < before_ns:
            reason = "frames_age_days"
        elif total - removed > settings.frames_bytes_max:
            reason = "frames_bytes_max"
        elif count - gone.total() > settings.rows_max:
            reason = "rows_max"
        else:
            break
        gone[reason] += 1
        removed, last_id = removed + size, frame_id
    if last_id is None:
        return
    database.execute("DELETE FROM frames WHERE id <= ?", (last_id,))
    database.execute(_ADD_BYTES, (-removed,))
    for reason, number in gone.items():
        _count(database, "frames", reason, number)


def _count(database: sqlite3.Connection, table: str, reason: str, gone: int) -> None:
    if gone > 0:
        database.execute(_COUNT_DROPPED, (table, reason, gone))


def stored_marks(database: sqlite3.Connection) -> list[ReplayMark]:
    """Return the replay windows of what is in the store, oldest boot of each node first."""
    windows: dict[tuple[str, str, int], list[int]] = {}
    for node, root_id, boot_id, sequence in database.execute(
        "SELECT node, root_id, boot_id, sequence FROM numbers "
        "ORDER BY node, root_id, boot_id, sequence"
    ):
        windows.setdefault((node, root_id, boot_id), []).append(sequence)
    return [
        ReplayMark(
            source=node,
            lane=Lane.DATA,
            boot_id=boot_id,
            highest=numbers[-1],
            seen=sum(1 << numbers[-1] - n for n in numbers if numbers[-1] - n < WINDOW),
            root_id=root_id,
        )
        for (node, root_id, boot_id), numbers in windows.items()
    ]


def dropped_rows(database: sqlite3.Connection) -> Mapping[tuple[str, str], int]:
    """Return how many rows bounds have removed, by table and reason."""
    return {
        (name, reason): count
        for name, reason, count in database.execute("SELECT name, reason, count FROM dropped")
    }
