"""The store: batches whole or not at all, whatever happens to process, disk or file."""

import asyncio
import json
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway import status
from gateway.canonical import canonical
from gateway.clock import ManualClock, give_way
from gateway.errors import OperatorError
from gateway.loss import LossLedger
from gateway.records import State
from gateway.sinks import store
from gateway.sinks.store import StoreSink
from gateway.site import StoreSettings
from gateway.stages.silence import REPEATED
from tests.gateway.plant import (
    SECOND_NS,
    START_NS,
    aligned,
    background,
    estimate,
    verdict,
    verified,
)


@dataclass
class Open:
    """A running store."""

    sink: StoreSink
    ledger: LossLedger
    clock: ManualClock
    path: Path

    def rows(self, query: str) -> list[tuple]:
        return rows(self.path, query)


def rows(path: Path, query: str) -> list[tuple]:
    """Query the file as another program would."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


@asynccontextmanager
async def opened(folder: Path, *, settled=lambda record: None, **changes) -> AsyncIterator[Open]:
    path, ledger, clock = folder / "state" / "store.sqlite3", LossLedger(), ManualClock(START_NS)
    settings = StoreSettings(**({"frames": True} | changes))
    sink = StoreSink(settings, path, ledger, clock, settled=settled)
    await sink.start()
    try:
        yield Open(sink, ledger, clock, path)
    finally:
        await sink.stop()


async def test_records_are_in_the_file_as_they_were(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        for record in (verified(7), aligned(second=3), verdict(State.ALARM), estimate()):
            base.sink.put(record)
        await base.sink.drain()
        assert base.rows("SELECT node, boot_id, sequence, received_ns, frame FROM frames") == [
            ("a", 1, 7, START_NS + 7, b"\0\0\0\x07")
        ]
        value = aligned(second=3)
        assert base.rows(
            "SELECT signal, unit, value, time_ns, bound_ns, status, provenance, source, sequence "
            "FROM aligned"
        ) == [
            (value.signal, value.unit, value.value, value.time_ns, value.bound_ns, 0, "sealed",
             "a", 3)
        ]  # fmt: skip
        assert base.rows("SELECT state, sequence, canonical FROM verdicts") == [
            ("alarm", 1, canonical(verdict(State.ALARM)))
        ]
        balance = base.ledger.sink_balance("store")
        assert (balance.offered, balance.delivered, balance.queued) == (4, 4, 0)


async def test_estimates_and_the_causes_of_verdicts_are_columns(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        learning = replace(estimate(second=1), is_trained=False, values=(), causes=())
        for record in (learning, estimate(second=2), verdict(), verdict(State.NORMAL)):
            base.sink.put(record)
        await base.sink.drain()
        time_ns = START_NS + 2 * SECOND_NS
        assert base.rows(
            "SELECT asset, time_ns, status, probability, score, log_density, kind, scale_rows, "
            "regime, model_id, cause, cause_signal, cause_probability FROM estimates"
        ) == [
            ("pump", time_ns, 0, 0.97, 12.5, -50.0, "level", 20, 0, "00c0ffee", "bias", "a:flow",
             0.875)
        ]  # fmt: skip
        assert base.rows(
            "SELECT time_ns, signal, value, status, expected, standard_deviation, fused, "
            "fused_deviation, interval_low, interval_high, fused_status, contribution, trust "
            "FROM signal_estimates"
        ) == [
            (time_ns, "a:flow", 0.001, 0, 0.002, 0.0001, 0.0019, 0.00005, 0.0018, 0.002,
             status.UNCERTAIN_SUBSTITUTE_VALUE, 12.5, 0.125)
        ]  # fmt: skip
        assert base.rows("SELECT cause, cause_signal, cause_probability FROM verdicts") == [
            ("bias", "a:flow", 0.875),
            (None, None, None),
        ]


async def test_what_is_only_repeated_is_not_stored_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        for record in (aligned(), estimate()):
            base.sink.put(record)
            base.sink.put(replace(record, status=REPEATED))
        await base.sink.drain()
        assert base.rows("SELECT status FROM aligned") == [(0,)]
        assert base.rows("SELECT status FROM estimates") == [(0,)]


async def test_a_value_that_is_no_number_is_null(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        bad = replace(aligned(value=float("nan")), status=status.BAD_SENSOR_FAILURE)
        base.sink.put(bad)
        await base.sink.drain()
        assert base.rows("SELECT value, status FROM aligned") == [(None, status.BAD_SENSOR_FAILURE)]


async def test_the_worker_writes_by_itself_and_stop_writes_the_rest(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        async with background(*base.sink.workers()):
            base.sink.put(verified(1))
            while base.ledger.sink_balance("store").delivered < 1:
                await give_way()
        base.sink.put(verified(2))
    assert rows(base.path, "SELECT count(*) FROM frames") == [(2,)]
    assert not base.path.with_name(base.path.name + "-wal").exists()


async def test_the_accounts_are_written_when_they_change(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        base.ledger.account("a").received = 3
        base.ledger.account("a").rejected["bad_mac"] = 3
        base.sink.put(verified(1))
        await base.sink.drain()
        base.sink.put(verified(2))
        await base.sink.drain()
    written = rows(base.path, "SELECT at_ns, canonical FROM ledger WHERE account = 'a'")
    assert [at_ns for at_ns, _ in written] == [START_NS], "written once, it did not change"
    assert json.loads(written[0][1])["rejected"] == {"bad_mac": 3}
    last = rows(base.path, "SELECT canonical FROM ledger WHERE account = 'store' ORDER BY id")[-1]
    assert json.loads(last[0])["delivered"] == 2


async def test_tables_are_bounded_and_the_oldest_rows_go_first(tmp_path: Path) -> None:
    async with opened(tmp_path, rows_max=1000) as base:
        for batch in range(3):
            for number in range(600):
                base.sink.put(verified(batch * 600 + number))
            await base.sink.drain()
        kept = base.rows("SELECT min(received_ns), max(received_ns), count(*) FROM frames")
        assert kept == [(START_NS + 800, START_NS + 1799, 1000)]


@pytest.mark.parametrize(("survives", "level"), [("kill", 1), ("power_cut", 2)])
async def test_what_a_batch_survives_is_a_setting(
    tmp_path: Path, survives: str, level: int
) -> None:
    async with opened(tmp_path, survives=survives) as base:
        database = base.sink._database
        assert database.execute("PRAGMA synchronous").fetchone() == (level,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# --- failures ------------------------------------------------------------------------------------


async def test_a_full_disk_keeps_records_queued_until_there_is_room(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        base.sink.put(verified(0))
        await base.sink.drain()
        pages = base.sink._database.execute("PRAGMA page_count").fetchone()[0]
        base.sink._database.execute(f"PRAGMA max_page_count = {pages}")
        for number in range(3):
            base.sink.put(verified(number + 1, frame=bytes(100_000)))
        await base.sink.drain()
        assert "full" in base.sink.last_failure
        assert base.rows("SELECT count(*) FROM frames") == [(1,)], "no half-written batch"
        assert base.ledger.sink_balance("store").queued == 3
        base.sink._database.execute("PRAGMA max_page_count = 1000000")
        await base.sink.drain()
        assert base.sink.last_failure == ""
        assert base.rows("SELECT count(*) FROM frames") == [(4,)]
        assert base.ledger.sink_balance("store").dropped == {}


async def test_a_locked_file_is_waited_for_and_tried_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(store, "_BUSY_TIMEOUT_S", 0.01)
    async with opened(tmp_path) as base:
        with closing(sqlite3.connect(base.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            base.sink.put(verified(1))
            await base.sink.drain()
            assert "locked" in base.sink.last_failure
        await base.sink.drain()
        assert base.rows("SELECT count(*) FROM frames") == [(1,)]


async def test_a_damaged_file_is_set_aside_and_does_not_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    path = tmp_path / "state" / "store.sqlite3"
    path.write_bytes(b"this is no database, but long enough to look like one" * 100)
    async with opened(tmp_path) as base:
        base.sink.put(verified(1))
        await base.sink.drain()
    kept = [file.name for file in path.parent.iterdir() if "damaged" in file.name]
    assert kept == [f"store.sqlite3.damaged-{START_NS}"]
    assert rows(path, "SELECT count(*) FROM frames") == [(1,)]


async def test_accounts_of_a_batch_that_failed_are_written_later(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(store, "_BUSY_TIMEOUT_S", 0.01)
    async with opened(tmp_path) as base:
        base.ledger.account("a").received = 3
        with closing(sqlite3.connect(base.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            base.sink.put(verified(1))
            await base.sink.drain()
        await base.sink.drain()
        accounts = base.rows("SELECT account FROM ledger")
        assert accounts == [("a",), ("store",)]


def damage(path: Path) -> None:
    """Overwrite every page after the first."""
    with path.open("r+b") as file:
        page = int.from_bytes(file.read(18)[16:], "big")
        size = file.seek(0, 2)
        file.seek(page)
        file.write(b"\xa5" * (size - page))


async def test_damage_beyond_the_first_page_is_found_at_the_start(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        base.sink.put(verified(1))
    damage(base.path)
    async with opened(tmp_path) as base:
        base.sink.put(verified(2))
        await base.sink.drain()
        assert base.rows("SELECT frame FROM frames") == [(verified(2).frame,)]
    assert len(list(base.path.parent.glob("*.damaged-*"))) == 1


async def test_damage_while_running_starts_a_new_file_and_loses_nothing_queued(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as base:
        base.ledger.account("a").received = 3
        base.sink.put(verified(1))
        await base.sink.drain()
        base.sink._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.sink._database.execute("PRAGMA cache_size = 0")
        damage(base.path)
        base.sink._database.execute("PRAGMA shrink_memory")
        base.sink.put(verified(2))
        await base.sink.drain()
        assert base.rows("SELECT frame FROM frames") == [(verified(2).frame,)]
        assert base.rows("SELECT account FROM ledger") == [("a",), ("store",)], "all of them anew"
        assert base.ledger.sink_balance("store").queued == 0
        assert base.sink.last_failure == ""
    assert len(list(base.path.parent.glob("store.sqlite3.damaged-*"))) == 1


async def test_nobody_else_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state" / "store.sqlite3"
    path.parent.mkdir()
    path.touch()
    path.chmod(0o664)
    async with opened(tmp_path) as base:
        base.sink.put(verified(1))
        await base.sink.drain()
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert modes == {0o600}


async def test_a_worker_that_is_cancelled_accounts_for_its_batch(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        base.sink.put(verified(1))
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(base.sink.drain())
            while len(base.sink._outbox):
                await give_way()
            draining.cancel()
        balance = base.ledger.sink_balance("store")
        assert balance.delivered + len(base.sink._outbox) == 1
    assert rows(base.path, "SELECT count(*) FROM frames") == [(1,)]


async def test_a_store_of_a_newer_gateway_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    path = tmp_path / "state" / "store.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(OperatorError, match="schema version 99, this gateway writes 5"):
        async with opened(tmp_path):
            pass
    assert rows(path, "PRAGMA user_version") == [(99,)]


async def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(OperatorError, match="set another path under"):
        async with opened(tmp_path):
            pass


# --- kill -9 -------------------------------------------------------------------------------------

WRITER = """
import asyncio, sys
from pathlib import Path
from gateway.clock import ManualClock, give_way
from gateway.loss import LossLedger
from gateway.sinks.store import StoreSink
from gateway.site import StoreSettings
from gateway.stages.silence import REPEATED
from tests.gateway.plant import aligned, verified

async def main():
    sink = StoreSink(StoreSettings(frames=True), Path(sys.argv[1]), LossLedger(), ManualClock())
    await sink.start()
    number = 0
    while True:
        for _ in range(50):
            sink.put(verified(number))
            sink.put(aligned(second=number))
            number += 1
        await sink.drain()
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("batches", [1, 7, 20])
def test_kill_9_loses_nothing_committed_and_leaves_nothing_half_written(
    root: Path, tmp_path: Path, batches: int
) -> None:
    path = tmp_path / "store.sqlite3"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    for _ in range(batches):
        committed = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    rest = writer.stdout.read().split()
    writer.stdout.close()
    assert writer.wait(10) == -signal.SIGKILL
    committed = max([committed, *map(int, rest)])
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    frames = rows(path, "SELECT received_ns, frame FROM frames ORDER BY id")
    values = rows(path, "SELECT sequence FROM aligned ORDER BY id")
    assert len(frames) >= committed
    assert len(frames) % 50 == 0, "a batch is there wholly or not at all"
    assert len(values) == len(frames)
    expected = [verified(number) for number in range(len(frames))]
    assert frames == [(frame.received_ns, frame.frame) for frame in expected]
    assert [number for (number,) in values] == list(range(len(frames)))
