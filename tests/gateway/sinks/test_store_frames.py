"""Sealed frames in the store: bounded, counted, known by number, exported as they came."""

import io
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import NS_PER_S
from gateway.errors import OperatorError
from gateway.frame_export import export_frames
from gateway.links.replay import recorded_frames
from gateway.loss import LossLedger
from gateway.records import Provenance, ReportKind
from gateway.sinks.outbox import Outbox
from gateway.sinks.store_schema import dropped_rows
from gateway.stages.replay_window import BOOTS_MAX, WINDOW, Lane, ReplayMark, merged_marks
from tests.gateway.plant import START_NS, aligned, estimate, report, verdict, verified
from tests.gateway.sinks.test_store import opened, rows
from wire import content

DAY_NS = 86_400 * NS_PER_S


# --- what is kept --------------------------------------------------------------------------------


async def test_frames_are_kept_only_if_the_site_asks(tmp_path: Path) -> None:
    async with opened(tmp_path, frames=False) as base:
        base.sink.put(verified(7))
        base.sink.put(verified(8, content_type=content.TIME_ANSWER))
        await base.sink.drain()
        assert base.rows("SELECT count(*) FROM frames") == [(0,)]
        assert base.rows("SELECT node, boot_id, sequence FROM numbers") == [("a", 1, 7)]
        assert base.ledger.sink_balance("store").offered == 1


async def test_answers_are_frames_too_but_no_numbers_of_the_data_lane(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        base.sink.put(verified(8, content_type=content.TIME_ANSWER))
        await base.sink.drain()
        assert base.rows("SELECT sequence FROM frames") == [(8,)]
        assert base.rows("SELECT * FROM numbers") == []


async def test_a_polled_value_has_no_frame(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        base.sink.put(verified(boot_id=None, provenance=Provenance.UNAUTHENTICATED))
        assert base.ledger.sink_balance("store").offered == 0


async def test_reports_are_rows_of_their_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        base.sink.put(report(ReportKind.STATUS, problems=("hot",), text="1 problem: hot"))
        await base.sink.drain()
        found = base.rows("SELECT node, kind, time_ns, boot_id, sequence, text FROM reports")
        assert found == [("a", "status", START_NS, 3, 0, "1 problem: hot")]
        assert base.rows("SELECT count(*) FROM aligned") == [(0,)]


async def test_the_store_says_when_it_is_done_with_a_frame(tmp_path: Path) -> None:
    settled: list[int] = []
    async with opened(tmp_path, settled=lambda record: settled.append(record.sequence)) as base:
        base.sink.put(aligned())
        base.sink.put(verified(1))
        assert settled == []
        await base.sink.drain()
        assert settled == [1]
        base.sink.put(verified(2, boot_id=1 << 80))
        await base.sink.drain()
        assert settled == [1, 2], "what no row can hold is done with, and counted"
        assert base.ledger.sink_balance("store").dropped == {"not_storable": 1}
        base.sink.put(verified(3))
        base.sink._is_running = False
    assert settled == [1, 2], "what a stop leaves behind is not"


def test_a_full_queue_tells_what_it_drops() -> None:
    gone: list[int] = []
    outbox: Outbox = Outbox("s", 2, LossLedger(), dropped=lambda r: gone.append(r.sequence))
    for number in range(3):
        outbox.put(verified(number))
    assert gone == [0]
    batch = outbox.take(2)
    outbox.put(verified(3))
    outbox.give_back(batch)
    assert gone == [0, 1]
    outbox.put(verified(4, received_ns=-1))
    assert gone == [0, 1, 4]


# --- numbers -------------------------------------------------------------------------------------


async def test_numbers_of_the_store_make_the_windows_of_the_next_start(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        for number in (1, 2, 5):
            base.sink.put(verified(number))
        base.sink.put(verified(300, boot_id=2))
    async with opened(tmp_path) as base:
        facts = {"source": "a", "lane": Lane.DATA}
        assert await base.sink.marks() == [
            ReplayMark(boot_id=1, highest=5, seen=0b11001, **facts),
            ReplayMark(boot_id=2, highest=300, seen=1, **facts),
        ]


async def test_numbers_of_a_new_key_push_no_others_out_and_are_not_pushed_out(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as base:
        for boot_id in range(3, 3 + BOOTS_MAX):
            base.sink.put(verified(100 * boot_id, boot_id=boot_id, root_id="aa"))
        base.sink.put(verified(0, boot_id=1, root_id="bb"))
        await base.sink.drain()
        found = await base.sink.marks()
    assert [mark.root_id for mark in found] == ["aa"] * BOOTS_MAX + ["bb"]


async def test_only_the_last_numbers_and_boots_are_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        for boot_id in range(1, BOOTS_MAX + 3):
            for number in range(0, 4 * WINDOW, 2):
                base.sink.put(verified(1000 * boot_id + number, boot_id=boot_id))
            await base.sink.drain()
        found = base.rows("SELECT boot_id, count(*), max(sequence) FROM numbers GROUP BY boot_id")
        assert [boot_id for boot_id, *_ in found] == list(range(3, BOOTS_MAX + 3))
        assert {count for _, count, _ in found} == {WINDOW // 2}
        assert found[-1][2] == 1000 * (BOOTS_MAX + 2) + 4 * WINDOW - 2


def test_windows_of_two_sources_are_joined() -> None:
    facts = {"source": "a", "lane": Lane.DATA, "boot_id": 1}
    low = ReplayMark(highest=4, seen=0b101, **facts)
    high = ReplayMark(highest=6, seen=0b11, **facts)
    far = ReplayMark(highest=4 + WINDOW, seen=1, **facts)
    other = ReplayMark(source="a", lane=Lane.LIVE, boot_id=1, highest=9, seen=1)
    (joined,) = merged_marks([low], [high])
    assert (joined.highest, joined.seen) == (6, 0b10111)
    assert merged_marks([high], [low]) == [joined]
    assert merged_marks([low], [far]) == [far]
    of_key = replace(high, root_id="0f")
    assert merged_marks([low], [of_key]) == [low, of_key], "numbers of another key"
    assert merged_marks([low, other], []) == [low, other]


# --- bounds --------------------------------------------------------------------------------------


async def test_old_frames_go_first_and_are_counted(tmp_path: Path) -> None:
    async with opened(tmp_path, frames_age_days=2) as base:
        for day in range(5):
            base.sink.put(verified(day, received_ns=START_NS + day * DAY_NS))
        base.clock.advance_to(START_NS + 4 * DAY_NS)
        await base.sink.drain()
        assert base.rows("SELECT sequence FROM frames") == [(2,), (3,), (4,)]
        with closing(sqlite3.connect(base.path)) as database:
            assert dropped_rows(database) == {("frames", "frames_age_days"): 2}
            assert database.execute("SELECT bytes FROM kept").fetchone() == (12,)


async def test_large_frames_go_first_and_are_counted(tmp_path: Path) -> None:
    async with opened(tmp_path, frames_bytes_max=1_000_000) as base:
        for number in range(4):
            base.sink.put(verified(number, frame=bytes(400_000)))
            await base.sink.drain()
        assert base.rows("SELECT sequence FROM frames") == [(2,), (3,)]
        assert base.rows("SELECT * FROM dropped") == [("frames", "frames_bytes_max", 2)]
        assert base.rows("SELECT bytes FROM kept") == [(800_000,)]
        assert base.ledger.adds_up()


# --- an earlier schema ---------------------------------------------------------------------------


async def test_a_store_of_the_first_schema_keeps_its_frames_aside(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with closing(sqlite3.connect(tmp_path / "state" / "store.sqlite3")) as database:
        database.executescript(
            "CREATE TABLE frames (id INTEGER PRIMARY KEY, source TEXT NOT NULL, link TEXT NOT NULL,"
            " received_ns INTEGER NOT NULL, data BLOB NOT NULL) STRICT;"
            "INSERT INTO frames (source, link, received_ns, data) VALUES ('a', 'rig', 1, x'00');"
            "PRAGMA user_version = 1;"
        )
    for _ in range(2):
        async with opened(tmp_path) as base:
            base.sink.put(verified(1))
    assert rows(base.path, "SELECT source, data FROM frames_1") == [("a", b"\0")]
    assert rows(base.path, "SELECT sequence FROM frames") == [(1,), (1,)]
    assert rows(base.path, "PRAGMA user_version") == [(5,)]


async def test_numbers_of_the_second_schema_are_of_the_key_that_is_heard(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with closing(sqlite3.connect(tmp_path / "state" / "store.sqlite3")) as database:
        database.executescript(
            "CREATE TABLE numbers (node TEXT NOT NULL, boot_id INTEGER NOT NULL, sequence INTEGER "
            "NOT NULL, PRIMARY KEY (node, boot_id, sequence)) STRICT, WITHOUT ROWID;"
            "INSERT INTO numbers VALUES ('a', 1, 7);"
            "PRAGMA user_version = 2;"
        )
    async with opened(tmp_path) as base:
        (mark,) = await base.sink.marks()
        assert (mark.highest, mark.root_id) == (7, "")
        base.sink.put(verified(8, root_id="0f"))
    async with opened(tmp_path) as base:
        (mark,) = await base.sink.marks()
        assert (mark.highest, mark.seen, mark.root_id) == (8, 0b11, "0f")


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_verdicts_of_an_earlier_schema_have_no_cause_and_new_ones_have(
    tmp_path: Path, version: int
) -> None:
    (tmp_path / "state").mkdir()
    with closing(sqlite3.connect(tmp_path / "state" / "store.sqlite3")) as database:
        database.executescript(
            "CREATE TABLE verdicts (id INTEGER PRIMARY KEY, asset TEXT NOT NULL,"
            " time_ns INTEGER NOT NULL, state TEXT NOT NULL, probability REAL,"
            " since_ns INTEGER NOT NULL, sequence INTEGER NOT NULL, canonical BLOB NOT NULL)"
            " STRICT;"
            "CREATE TABLE frames (id INTEGER PRIMARY KEY, node TEXT, boot_id INTEGER,"
            " sequence INTEGER, received_ns INTEGER, frame BLOB);"
            "CREATE TABLE numbers (node TEXT NOT NULL, boot_id INTEGER NOT NULL, sequence INTEGER "
            "NOT NULL, PRIMARY KEY (node, boot_id, sequence)) STRICT, WITHOUT ROWID;"
            "INSERT INTO verdicts VALUES (1, 'pump', 5, 'alarm', 0.9, 4, 0, x'7b7d');"
        )
        database.execute(f"PRAGMA user_version = {version}")
        if version == 3:
            database.execute("DROP TABLE numbers")
    for _ in range(2):
        async with opened(tmp_path) as base:
            base.sink.put(verdict())
            base.sink.put(estimate())
    query = "SELECT time_ns, cause, cause_signal FROM verdicts ORDER BY id"
    assert rows(base.path, query) == [(5, None, None)] + [(START_NS, "bias", "a:flow")] * 2
    assert rows(base.path, "SELECT count(*) FROM estimates") == [(2,)]
    assert rows(base.path, "PRAGMA user_version") == [(5,)]


# --- export --------------------------------------------------------------------------------------


async def test_an_export_is_what_came_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        for number in (3, 1, 2, 6, 6):
            base.sink.put(verified(number))
        base.sink.put(verified(4, source="b"))
        await base.sink.drain()
        out = io.StringIO()
        exported = export_frames(base.path, "a", None, None, out)
        assert (exported.frames, exported.first, exported.last) == (4, 1, 6)
        assert (exported.missing, exported.dropped) == (2, 0)
        path = tmp_path / "export.jsonl"
        path.write_text(out.getvalue())
        found = list(recorded_frames(path))
        assert [frame.data for frame in found] == [verified(n).frame for n in (1, 2, 3, 6)]
        assert {frame.source for frame in found} == {"a"}
        assert [frame.received_ns - START_NS for frame in found] == [1, 2, 3, 6]
        part = io.StringIO()
        assert export_frames(base.path, "a", 2, 3, part).frames == 2
        assert part.getvalue().splitlines() == out.getvalue().splitlines()[1:3]


async def test_what_cannot_be_exported_says_why(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"is no file; name the store of a gateway"):
        export_frames(tmp_path / "absent", "a", None, None, io.StringIO())
    assert not (tmp_path / "absent").exists()
    (tmp_path / "text").write_text("no database at all, " * 100)
    with pytest.raises(OperatorError, match="no frames can be read"):
        export_frames(tmp_path / "text", "a", None, None, io.StringIO())
    async with opened(tmp_path) as base:
        with pytest.raises(OperatorError, match=r"no frames of node 'x'.*frames = true"):
            export_frames(base.path, "x", None, None, io.StringIO())
