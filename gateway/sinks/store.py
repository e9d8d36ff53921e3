"""The embedded store: values, estimates, verdicts, time, reports, frames in one SQLite file.

Promises: records are committed in batches, each batch wholly or not at all, whatever kills the
process (WAL); with `survives = "power_cut"` also what cuts the power. A damaged file, found by the
check of every start or by a commit, is set aside (`<name>.damaged-<ns>`), never repaired by
guessing and never a reason not to start. Only the gateway's own user can read the file. Tables are
bounded, the oldest rows go first. Writing happens in a thread: the disk never holds up the plant.
`settled` is told of every sealed frame all records of which are in the file, or counted as dropped;
`marks` are the replay windows of what the file holds, from the same transaction.
Left to others: the tables (`store_schema.py`), exports (`frame_export.py`), a plant's database.
"""

import asyncio
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Final, final

from gateway.clock import NS_PER_S, Clock
from gateway.errors import OperatorError
from gateway.loss import LossLedger, SinkBalance, SourceBalance
from gateway.records import (
    Aligned,
    Estimate,
    Provenance,
    Record,
    Report,
    TimeRecord,
    Verdict,
    Verified,
)
from gateway.records_time import LinkKpi
from gateway.sinks.outbox import Outbox
from gateway.sinks.store_schema import (
    Stored,
    is_storable,
    prepare,
    rows_of,
    stored_marks,
    write,
)
from gateway.sinks.store_time import KpiPace, TableRow
from gateway.site import StoreSettings
from gateway.stages.replay_window import ReplayMark
from gateway.stages.silence import is_repeat
from wire import content

_LOG: Final = logging.getLogger("twinrig.gateway.sinks.store")
_QUEUE_MAX: Final = 100_000
_BATCH_MAX: Final = 5_000
_RETRY_NS: Final = NS_PER_S
_BUSY_TIMEOUT_S: Final = 5.0
_FILES: Final = ("", "-wal", "-shm")
"""Ends of the names of the files that make a database."""
Accounts = dict[str, SourceBalance | SinkBalance]


@final
class StoreSink:
    """The store of a site.

    Args:
        settings: the [store] table.
        path: the database file; its folder is made if missing.
        ledger: counts this sink, and is written down with every batch.
        clock: time of ledger rows and of retries.
        settled: told of each sealed frame that the store is done with; must not wait.
    """

    name = "store"

    def __init__(
        self,
        settings: StoreSettings,
        path: Path,
        ledger: LossLedger,
        clock: Clock,
        *,
        settled: Callable[[Verified], None] = lambda record: None,
    ) -> None:
        self._settings = settings
        self._path = path
        self._ledger = ledger
        self._clock = clock
        self._settled = settled
        self._outbox: Outbox[Stored] = Outbox(
            self.name, _QUEUE_MAX, ledger, dropped=self._is_settled
        )
        self._kpi_pace = KpiPace()
        self._written_rows: Accounts = {}
        self._database: sqlite3.Connection | None = None
        self._is_running = False
        self._draining = asyncio.Lock()
        self.last_failure = ""

    async def start(self) -> None:
        """Open or make the database; raise `OperatorError` when that is impossible."""
        self._database = await asyncio.to_thread(self._open)
        self._is_running = True

    def workers(self) -> tuple[Coroutine[None, None, None], ...]:
        """Return the one task of this sink."""
        return (self._pump(),)

    async def settle(self) -> None:
        """Return at once: an open database works."""

    async def marks(self) -> list[ReplayMark]:
        """Return the replay windows of what the file holds; between `start` and the first record.

        Raises `OperatorError` when they cannot be read.
        """
        if self._database is None:
            return []
        try:
            return await asyncio.to_thread(stored_marks, self._database)
        except sqlite3.Error as error:
            raise OperatorError(f"{self._path}: {error}; move the file away") from error

    def put(self, record: Record) -> None:
        """Queue sealed frames, values, reports, verdicts, findings and estimates once trained.

        The frame goes last of all records it has led to, so that it settles them.
        """
        match record:
            case Verified(provenance=Provenance.SEALED):
                if self._settings.frames or not content.is_live(record.content_type):
                    self._outbox.put(record)
            case Aligned() | Estimate(is_trained=True):
                if not is_repeat(record):
                    self._outbox.put(record)
            case LinkKpi() if not self._kpi_pace.is_due(record):
                pass
            case _:
                if isinstance(record, Report | Verdict | TimeRecord):
                    self._outbox.put(record)

    async def drain(self) -> None:
        """Commit everything queued; on a failure (disk full) keep it queued and say so."""
        async with self._draining:
            while self._is_running and len(self._outbox):
                # After damage there is no database any more, and the next commit makes a new one.
                if not await self._commit() and (self._database or not await self._commit()):
                    return

    async def stop(self) -> None:
        """Commit what is queued and the last accounts; drop, counted, what cannot be committed."""
        try:
            await self.drain()
            if self._is_running:
                await self._commit()
        finally:
            self._is_running = False
            database, self._database = self._database, None
            if database is not None:
                await asyncio.to_thread(self._close, database)
            self._outbox.drop_all("stopped")

    def endpoints(self) -> dict[str, str]:
        """Return the file."""
        return {self.name: str(self._path)}

    async def _pump(self) -> None:
        """Commit queued records until cancelled; after a failure wait a second and try again."""
        while True:
            await self._outbox.wait()
            await self.drain()
            if self.last_failure:
                await self._clock.sleep_until(self._clock.now_ns() + _RETRY_NS)

    async def _commit(self) -> bool:
        """Write one batch and the accounts in one transaction; tell whether it is in the file."""
        batch: list[Stored] = []
        rows: list[TableRow] = []
        for record in self._outbox.take(_BATCH_MAX):
            its_rows = rows_of(record, keeps_frames=self._settings.frames)
            if is_storable(its_rows):
                batch.append(record)
                rows += its_rows
            else:
                self._outbox.drop("not_storable")
                self._is_settled(record)
        accounts = self._changed_accounts()
        now_ns = self._clock.now_ns()
        rows += [
            ("ledger", (now_ns, name, _balance_json(balance))) for name, balance in accounts.items()
        ]
        writing = asyncio.get_running_loop().run_in_executor(None, self._write, rows, now_ns)
        try:
            await asyncio.wait((writing,))
        except asyncio.CancelledError:
            # The thread cannot be called back: its batch is accounted for before we go.
            await asyncio.wait((writing,))
            raise
        finally:
            is_in = self._account_for(batch, accounts, writing)
        return is_in

    def _account_for(
        self,
        batch: list[Stored],
        accounts: Accounts,
        writing: asyncio.Future[None],
    ) -> bool:
        """Count a batch as delivered, or put it back; tell which."""
        try:
            writing.result()
        except (sqlite3.Error, OSError, OperatorError) as error:
            self._outbox.give_back(batch)
            if not self.last_failure:
                _LOG.warning("store_failed path=%s error=%s", self._path, error)
            self.last_failure = str(error)
            return False
        self.last_failure = ""
        self._written_rows |= accounts
        self._outbox.delivered(len(batch))
        for record in batch:
            self._is_settled(record)
        return True

    def _is_settled(self, record: Stored) -> None:
        """Say that a frame is done with."""
        if isinstance(record, Verified):
            self._settled(record)

    def _changed_accounts(self) -> Accounts:
        """Return the accounts that changed since they were last written."""
        balances: Accounts = {
            **{row.source: row for row in self._ledger.rows()},
            **{row.sink: row for row in self._ledger.sink_rows()},
        }
        return {
            name: balance
            for name, balance in balances.items()
            if self._written_rows.get(name) != balance
        }

    def _write(self, rows: list[TableRow], now_ns: int) -> None:
        """Write rows; give a file that turns out to be damaged up, for the next call to renew."""
        if self._database is None:
            self._database = self._open()
        try:
            write(self._database, rows, self._settings, now_ns)
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                # Closed first: SQLite removes the journal by name, which is the new file's later.
                self._database.close()
                self._database = None
                self._written_rows = {}
                self._set_aside(error)
            raise

    def _open(self) -> sqlite3.Connection:
        """Open the file; set a damaged one aside once."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return self._connect()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._set_aside(error)
                return self._connect()
        except (OSError, sqlite3.Error) as error:
            raise OperatorError(
                f"{self._path}: the store cannot be opened ({error}); make its folder writable, "
                "or set another path under [store]"
            ) from error

    def _connect(self) -> sqlite3.Connection:
        """Return a connection to a file of our schema that nobody else can read."""
        for end in _FILES:
            _make_private(self._path.with_name(self._path.name + end), is_made=not end)
        database = sqlite3.connect(
            self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            prepare(database, self._settings.survives)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        """Rename a damaged database and its journal."""
        suffix = f".damaged-{self._clock.now_ns()}"
        _LOG.error("store_damaged path=%s error=%s kept_as=%s", self._path, error, suffix)
        for end in _FILES:
            file = self._path.with_name(self._path.name + end)
            if file.exists():
                file.rename(file.with_name(file.name + suffix))

    def _close(self, database: sqlite3.Connection) -> None:
        """Close the database; the journal is merged into the file."""
        try:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            _LOG.warning("store_checkpoint_failed path=%s error=%s", self._path, error)
        database.close()


def _make_private(path: Path, *, is_made: bool) -> None:
    """Take the file's access away from everybody else; make it first if asked to."""
    if not is_made and not path.exists():
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if is_made else 0), 0o600)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Tell whether SQLite says "malformed" or "not a database"; everything else has a subclass."""
    return type(error) is sqlite3.DatabaseError


def _balance_json(balance: SourceBalance | SinkBalance) -> bytes:
    """Return an account as JSON with sorted keys."""
    facts = {
        name: dict(value) if isinstance(value := getattr(balance, name), Mapping) else value
        for name in balance.__dataclass_fields__
    }
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
