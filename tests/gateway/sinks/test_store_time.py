"""What is known about time, in the store: read back as another program would."""

import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import status
from gateway.records import Record
from gateway.records_time import SyncCause
from gateway.sinks.outbox import IMPLAUSIBLE
from gateway.sinks.store_schema import dropped_rows
from gateway.sinks.store_time import KPI_PERIOD_NS, KpiPace
from tests.gateway.plant import SECOND_NS, START_NS, aligned, estimate
from tests.gateway.sinks.test_store import opened, rows
from tests.gateway.sinks.time_records import (
    clock_estimate,
    link_kpi,
    one_way,
    revision,
    sync_check,
    timed_event,
)

SCHEMA_4 = Path(__file__).with_name("store_schema_4.sql")


async def stored(folder: Path, query: str, *records: Record) -> list[tuple]:
    """Return what a query finds in a store of some records."""
    async with opened(folder) as base:
        for record in records:
            base.sink.put(record)
        await base.sink.drain()
        assert base.ledger.sink_balance("store").delivered == len(records)
        return base.rows(query)


async def test_a_value_has_bound_and_uncertainty(tmp_path: Path) -> None:
    query = "SELECT bound_ns, uncertainty_ns FROM aligned"
    assert await stored(tmp_path, query, aligned()) == [(1_500_000, 900_000)]


async def test_a_row_says_how_far_apart_its_values_may_lie(tmp_path: Path) -> None:
    record = replace(estimate(), coherence_ns=1_250_000, bound_ns=3_000_000)
    query = "SELECT coherence_ns, bound_ns FROM estimates"
    assert await stored(tmp_path, query, record) == [(1_250_000, 3_000_000)]


async def test_findings_begin_and_end(tmp_path: Path) -> None:
    over = sync_check(9, is_active=False, size_uncertainty=None)
    lag = sync_check(10, cause=SyncCause.LAG, signal="a:flow", size=math.nan)
    query = """SELECT source, cause, signal, is_active, time_ns, since_ns, size, size_uncertainty,
        unit, sequence, text FROM sync_checks ORDER BY id"""
    text = sync_check().text
    assert await stored(tmp_path, query, sync_check(2), over, lag) == [
        ("a", "step", None, 1, START_NS + 2 * SECOND_NS, START_NS, 0.25, 0.002, "s", 2, text),
        ("a", "step", None, 0, START_NS + 9 * SECOND_NS, START_NS, 0.25, None, "s", 9, text),
        ("a", "lag", "a:flow", 1, START_NS + 10 * SECOND_NS, START_NS, None, 0.002, "s", 10, text),
    ]


async def test_what_a_clock_cannot_tell_is_null(tmp_path: Path) -> None:
    query = """SELECT source, time_ns, boot_id, is_two_way, offset_ns, bound_ns, uncertainty_ns,
        skew_ppm, skew_uncertainty_ppm, delay_ns, probes FROM clock_estimates ORDER BY id"""
    assert await stored(tmp_path, query, clock_estimate(1), one_way(2)) == [
        ("a", START_NS + SECOND_NS, 3, 1, START_NS - 5 * SECOND_NS, 1_500_000, 900_000, 12.5, 0.75,
         2_000_000, 7),
        ("plc", START_NS + 2 * SECOND_NS, None, 0, -250_000, None, 900_000, 12.5, 0.75, None, 0),
    ]  # fmt: skip


async def test_events_of_machines_are_rows(tmp_path: Path) -> None:
    query = """SELECT machine, time_ns, bound_ns, state_before, state_after, timing, elapsed_s,
        elapsed_bound_s, sequence, text FROM timed_events"""
    assert await stored(tmp_path, query, timed_event(4)) == [
        ("pump-run", START_NS + 4 * SECOND_NS, 500_000_000, "starting", "running", "too_late", 12.5,
         0.5, 4, timed_event().text)
    ]  # fmt: skip


async def test_the_last_revision_of_a_row_is_its_best_value(tmp_path: Path) -> None:
    again = revision(3, number=2, before=0.00185, after=0.0018, status=status.UNCERTAIN)
    query = """SELECT fused_before, fused, fused_deviation, number, late_ns, fused_status
        FROM revisions WHERE signal = 'a:flow' ORDER BY time_ns, number DESC LIMIT 1"""
    assert await stored(tmp_path, query, revision(3), again) == [
        (0.00185, 0.0018, 0.00004, 2, 2 * SECOND_NS, status.UNCERTAIN)
    ]


async def test_every_figure_of_a_link_is_a_row(tmp_path: Path) -> None:
    query = """SELECT source, link, time_ns, observed_s, is_up, name, value, low, high, unit,
        budget, is_met FROM link_kpis ORDER BY id"""
    link = ("a", "rig", START_NS + SECOND_NS, 3600.0, 1)
    assert await stored(tmp_path, query, link_kpi(1)) == [
        (*link, "communication_service_availability_ratio", 0.9995, 0.998, 0.99995, "/", 0.9999, 0),
        (*link, "end_to_end_latency_p99_s", None, None, None, "s", None, None),
    ]


async def test_figures_are_kept_now_and_then_and_when_something_happens(tmp_path: Path) -> None:
    good = (replace(link_kpi().figures[0], is_met=True),)
    told = [
        link_kpi(0),
        link_kpi(10),
        link_kpi(20, is_up=False),
        link_kpi(30, is_up=False),
        link_kpi(40, figures=good),
        link_kpi(40, source="plc"),
        link_kpi(639, figures=good),
        link_kpi(640, figures=good),
        link_kpi(5, figures=good),
    ]
    async with opened(tmp_path) as base:
        for record in told:
            base.sink.put(record)
        await base.sink.drain()
        kept = base.rows("SELECT DISTINCT source, time_ns FROM link_kpis ORDER BY id")
    seconds = [(source, (time_ns - START_NS) // SECOND_NS) for source, time_ns in kept]
    assert seconds == [("a", 0), ("a", 20), ("a", 40), ("plc", 40), ("a", 640), ("a", 5)]


def test_links_without_end_take_no_memory() -> None:
    pace = KpiPace()
    for number in range(2_500):
        assert pace.is_due(link_kpi(source=f"source-{number}"))
    assert len(pace._kept) == 1_000


async def test_tables_of_time_are_bounded_and_what_goes_is_counted(tmp_path: Path) -> None:
    async with opened(tmp_path, rows_max=1000) as base:
        for number in range(600):
            for record in (sync_check(number), link_kpi(600 * number)):
                base.sink.put(record)
        await base.sink.drain()
        assert base.rows("SELECT count(*) FROM sync_checks") == [(600,)]
        assert base.rows("SELECT count(*), min(time_ns) FROM link_kpis") == [
            (1000, START_NS + 100 * KPI_PERIOD_NS)
        ]
        with closing(sqlite3.connect(base.path)) as database:
            assert dropped_rows(database) == {("link_kpis", "rows_max"): 200}


@pytest.mark.parametrize("nonsense", [-1, 7_258_118_400 * SECOND_NS, 1 << 63, 1 << 200])
async def test_an_absurd_time_is_dropped_and_takes_nothing_with_it(
    tmp_path: Path, nonsense: int
) -> None:
    absurd = [
        aligned(uncertainty_ns=nonsense),
        replace(estimate(), coherence_ns=nonsense),
        sync_check(since_ns=nonsense),
        sync_check(time_ns=nonsense),
        clock_estimate(time_ns=nonsense),
        clock_estimate(bound_ns=nonsense),
        timed_event(bound_ns=nonsense),
        revision(late_ns=nonsense),
        link_kpi(time_ns=nonsense),
    ]
    async with opened(tmp_path) as base:
        for record in (*absurd, sync_check(5)):
            base.sink.put(record)
        await base.sink.drain()
        assert base.rows("SELECT time_ns FROM sync_checks") == [(START_NS + 5 * SECOND_NS,)]
        assert base.ledger.sink_balance("store").dropped == {IMPLAUSIBLE: len(absurd)}


async def test_numbers_of_any_size_leave_the_store_alive(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        base.sink.put(clock_estimate(offset_ns=-(1 << 64)))
        base.sink.put(clock_estimate(probes=1 << 63))
        base.sink.put(clock_estimate(offset_ns=-START_NS))
        await base.sink.drain()
        assert base.rows("SELECT offset_ns FROM clock_estimates") == [(-START_NS,)]
        dropped = base.ledger.sink_balance("store").dropped
        assert dropped == {IMPLAUSIBLE: 1, "not_storable": 1}


# --- a store of schema 4 -------------------------------------------------------------------------


def columns(path: Path) -> list[tuple]:
    """Return every column of every table, with its type."""
    query = """SELECT t.name, c.name, c.type, c."notnull", c.pk FROM sqlite_schema t
        JOIN pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY t.name, c.cid"""
    return rows(path, query)


def whole(path: Path, table: str) -> list[tuple]:
    """Return all rows of a table."""
    return rows(path, f"SELECT * FROM {table}")  # noqa: S608 - one of the names below


async def test_a_store_of_schema_4_keeps_all_it_has_and_takes_the_new(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    path = tmp_path / "state" / "store.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA_4.read_text())
    tables = (
        "aligned",
        "estimates",
        "frames",
        "numbers",
        "reports",
        "signal_estimates",
        "verdicts",
    )
    before = {table: whole(path, table) for table in tables}
    assert all(before.values()), "the file has a row of each kind"
    async with opened(tmp_path) as base:
        found = {table: whole(path, table) for table in tables}
        (value,), (row,) = before["aligned"], before["estimates"]
        assert found == before | {"aligned": [(*value, None)], "estimates": [(*row, None, None)]}
        (mark,) = await base.sink.marks()
        assert (mark.source, mark.highest, mark.root_id) == ("a", 7, "0f")
        for record in (aligned(second=4), sync_check(), replace(clock_estimate(), boot_id=None)):
            base.sink.put(record)
    query = "SELECT uncertainty_ns FROM aligned ORDER BY id"
    assert rows(path, query) == [(None,), (900_000,)]
    assert rows(path, "SELECT count(*) FROM sync_checks") == [(1,)]
    assert rows(path, "PRAGMA user_version") == [(5,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    async with opened(tmp_path / "new") as fresh:
        assert columns(fresh.path) == columns(path), "a migrated file is like a new one"


async def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA_4.read_text())
        # A view where a table has to go stops the script in its middle.
        database.execute("CREATE VIEW timed_events AS SELECT 1 AS id")
        database.commit()
        before = list(database.iterdump())
    (tmp_path / "state").mkdir()
    path.rename(tmp_path / "state" / "store.sqlite3")
    with pytest.raises(Exception, match="the store cannot be opened"):
        async with opened(tmp_path):
            pass
    with closing(sqlite3.connect(tmp_path / "state" / "store.sqlite3")) as database:
        assert list(database.iterdump()) == before
        assert database.execute("PRAGMA user_version").fetchone() == (4,)
