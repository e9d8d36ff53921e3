"""The gateway put together, in reading order: links -> stages -> sinks, and the dialogue back.

Promises: one object for both lives of the gateway. In wall time `run` owns one task per link, all
named, in one task group. In virtual time the rig calls `receive`, `downlink`, `poll_modbus`, `tick`
and `drain` itself, and nothing happens in between but the work of the sinks. South never waits for
north: `receive` only queues.
Left to others: the parts (`assembly.py`), checking and understanding (`stages/`), what is said to
the nodes (`dialogue.py`), the connections (`links/`, `sinks/`).
Order: `start`, then any of the others, then `stop`, all in the same task.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, final

from gateway.assembly import make_assets, make_pipeline, make_publishers, make_store
from gateway.clock import NS_PER_S, Cadence, Clock
from gateway.commands import EXPIRES_S, Arguments, Ended, Request
from gateway.control import Control
from gateway.dialogue import Dialogue
from gateway.downlink import Downlink
from gateway.errors import InternalError, OperatorError
from gateway.host_clock import HostClock
from gateway.kpi_state import load_kpis, save_kpis
from gateway.loss import LossLedger
from gateway.node_log import NodeLog
from gateway.records import Input, Provenance, Record, Report, Verified
from gateway.records_time import SyncCheck, TimedEvent
from gateway.rotation import KeyKeeper
from gateway.sinks.finding_log import FindingLog
from gateway.sinks.sink import Sink
from gateway.site import Site, load_keys
from gateway.south import South
from gateway.stages.pipeline import Pipeline
from gateway.stages.replay_window import merged_marks
from gateway.stages.work import Begin, at_once
from gateway.state import load_marks, next_start, save_marks
from gateway.time_board import TimeBoard
from wire.framing import frame

_HOUSEKEEPING_NS: Final = NS_PER_S // 4
"""How often `run` looks for due messages and rows."""
_MARKS_NS: Final = NS_PER_S
_KPIS_NS: Final = 60 * NS_PER_S

_LOG: Final = logging.getLogger("twinrig.gateway")


@final
class Gateway:
    """A gateway for one site.

    Args:
        site: what to run.
        clock: whose time it is.
        state_dir: where certificates, store and start counter live; made if missing.
        keys: root key by node name; None reads the key files of the site at `start`.
        seed: of the jitter between connection attempts.
        begin: where a model is learnt; `work.aside` keeps the links served meanwhile.
        host: what the machine says of its own clock; there is none in virtual time.
    """

    def __init__(
        self,
        site: Site,
        clock: Clock,
        state_dir: Path,
        *,
        keys: Mapping[str, bytes] | None = None,
        seed: int = 0,
        begin: Begin = at_once,
        host: HostClock | None = None,
    ) -> None:
        self.site = site
        self.ledger = LossLedger()
        self._clock = clock
        self._state_dir = state_dir
        self._keys = keys
        self._begin = begin
        self._host = host
        self._rng = random.Random(seed)  # noqa: S311 - jitter, no secret
        self._pipeline: Pipeline | None = None
        self._dialogue: Dialogue | None = None
        self._node_log = NodeLog()
        self._finding_log = FindingLog()
        self._board = TimeBoard(site.name, clock)
        self._sinks: list[Sink] = []
        self._south = South(site, clock, self.ledger, state_dir, self._rng, self._deliver)
        self._is_running = False
        """Whether `run` has links that take what is sent."""
        self._stored: list[Verified] = []
        """Frames that the store is done with, until their nodes are told."""
        self._tasks: list[asyncio.Task[None]] = []
        self._opened = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Load keys, open the sinks and their tasks; on any error close what was open already.

        Raises `OperatorError` when a person must act first (key file, port, folder).
        """
        site, state_dir = self.site, self._state_dir
        keeper = self._make_keeper()
        start = next_start(state_dir, self._clock.now_ns())
        keys, marks = keeper.load(), load_marks(state_dir)
        assets = make_assets(site, state_dir, self._clock, self._begin)
        store = make_store(site, self.ledger, self._clock, state_dir, self._stored.append)
        sinks: list[Sink] = [] if store is None else [store]
        sinks += make_publishers(site, self.ledger, self._clock, state_dir, self._rng, self._board)
        async with contextlib.AsyncExitStack() as opened:
            opened.callback(self._south.close)
            for sink in sinks:
                opened.push_async_callback(sink.stop)
                await sink.start()
            if store is not None:
                marks = merged_marks(marks, await store.marks())
            pipeline = make_pipeline(site, assets, keys, marks, self.ledger)
            self._go_on_measuring(pipeline)
            downlink = Downlink(
                {node: kept.root for node, kept in keys.items()}, start, self._clock.now_ns()
            )
            stages = (pipeline.verify, pipeline.sync)
            dialogue = Dialogue(site.nodes, keeper, downlink, stages, state_dir)
            dialogue.start()
            group = await opened.enter_async_context(asyncio.TaskGroup())
            opened.callback(self._cancel_tasks)
            for sink in sinks:
                for worker in sink.workers():
                    self._tasks.append(group.create_task(worker, name=f"sink {sink.name}"))
            for sink in sinks:
                await sink.settle()
            self._opened = opened.pop_all()
        self._dialogue = dialogue
        self._pipeline, self._sinks = pipeline, sinks
        _LOG.info("gateway_started site=%s start=%d", site.name, start)

    async def stop(self) -> None:
        """Close everything in reverse order; what is queued is delivered if it can be.

        Everything is released even when a part of it fails; the failure is raised afterwards.
        """
        try:
            if self._pipeline is not None:
                try:
                    await self.drain()
                finally:
                    # Nothing is received meanwhile; the marks of what the sinks took go last.
                    self._save_marks()
                    self._save_kpis()
        finally:
            self._pipeline = None
            try:
                await self._opened.aclose()
            finally:
                self._sinks = []

    def receive(self, item: Input, now_ns: int) -> list[Record]:
        """Take one frame or poll through all stages; queue and return every record it made."""
        pipeline = self._started()
        records = pipeline.feed(item, now_ns)
        self._talk().heard([*records, *pipeline.take_held()])
        return self._publish(records)

    def tick(self, now_ns: int) -> list[Record]:
        """Judge the rows that have waited long enough for values that did not come."""
        host = None if self._host is None else self._host.read()
        return self._publish(self._started().tick(now_ns, host))

    def downlink(self, now_ns: int) -> list[tuple[str, bytes]]:
        """Return (node, framed and sealed bytes) of every message that is due; send them now.

        Time probes, receipts and commands, framed for a serial line.
        """
        return [(node, frame(sealed)) for node, sealed in self._talk().due(now_ns)]

    def next_probe_ns(self) -> int | None:
        """Return when to call `downlink` for the next time probe, 0: now; None without a node.

        Probes keep no period, so that they beat with nothing a node does; a grid would give one.
        """
        return self._talk().next_probe_ns()

    def request(
        self, node: str, verb: int, arguments: Arguments, *, expires_s: float = EXPIRES_S
    ) -> Request:
        """Command a node (`wire.commands`); what becomes of it can be awaited or looked up.

        Commands of a node are obeyed in this order, each at most once. Raises `OperatorError`.
        """
        now_ns = self._clock.now_ns()
        request = self._talk().request(node, verb, arguments, now_ns, expires_s)
        if self._is_running:
            self._send_due(now_ns)
        return request

    def rotate_key(self, node: str) -> Request:
        """Have a node and this gateway change to a new root key. Raises `OperatorError`."""
        return self._talk().rotate(node, self._clock.now_ns())

    async def perform(
        self, node: str, verb: int, arguments: Arguments, *, expires_s: float = EXPIRES_S
    ) -> Ended:
        """Command a node and return what became of it; see `request`."""
        request = self.request(node, verb, arguments, expires_s=expires_s)
        await request.done()
        return request.ended()

    def facts(self, node: str) -> dict[str, object]:
        """Return what a node last said of itself, as `control.py` has it."""
        return self._talk().facts(node) | self._node_log.facts(node)

    async def poll_modbus(self, now_ns: int) -> list[Record]:
        """Poll every Modbus device that is due and take the answers through all stages."""
        records: list[Record] = []
        for link in self._south.polled:
            if link.cadence.take(now_ns):
                polled = await self._south.poll(link, now_ns)
                if polled is not None:
                    records += self.receive(polled, polled.received_ns)
        return records

    async def drain(self) -> None:
        """Return when every sink has delivered what is queued, or cannot now.

        In virtual time receipts follow from here alone, so no disk's pace is in them.
        """
        for sink in self._sinks:
            await sink.drain()
        self._settle()

    def endpoints(self) -> dict[str, str]:
        """Return what can be read where, for example {"opcua": "opc.tcp://127.0.0.1:4840/..."}."""
        found: dict[str, str] = {}
        for sink in self._sinks:
            found |= sink.endpoints()
        return found

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Run the links in wall time until cancelled; between `start` and `stop`.

        `ready` is called when the gateway can be asked. Raises `OperatorError` if it cannot be.
        """
        self._started()
        with Control(self, self._state_dir, self._clock, self._board) as control:
            self._is_running = True
            ready()
            try:
                async with asyncio.TaskGroup() as group:
                    for worker in control.workers():
                        group.create_task(worker, name="control")
                    for name, worker in self._south.workers():
                        group.create_task(worker, name=name)
                    group.create_task(self._keep_house(), name="downlink, rows, replay marks")
            finally:
                self._is_running = False

    # --- putting it together ---------------------------------------------------------------------

    def _make_keeper(self) -> KeyKeeper:
        """Return who keeps the root keys: in the site's key files, or in memory if given."""
        if self._keys is not None:
            return KeyKeeper(self._keys, {}, self._state_dir)
        files = {node.name: node.key_file for node in self.site.nodes}
        return KeyKeeper(load_keys(self.site), files, self._state_dir)

    def _go_on_measuring(self, pipeline: Pipeline) -> None:
        """Go on with the figures of the links from where they were kept."""
        kpis = pipeline.kpis
        if kpis is None:
            return
        kept, problem = load_kpis(self._state_dir)
        if problem:
            _LOG.warning("kpis_not_kept problem=%r", problem)
        for source in kpis.restore(kept):
            _LOG.info("kpis_begin_afresh source=%s reason='its budget has changed'", source)
        self._board.distributions = kpis.distributions

    def _started(self) -> Pipeline:
        """Return the stages, or say what was forgotten."""
        if self._pipeline is None:
            raise InternalError("the gateway is not running; await start() first")
        return self._pipeline

    def _talk(self) -> Dialogue:
        """Return the dialogue with the nodes, or say what was forgotten."""
        self._started()
        if self._dialogue is None:
            raise InternalError("a started gateway talks to its nodes")
        return self._dialogue

    def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    # --- flow ------------------------------------------------------------------------------------

    def _publish(self, records: list[Record]) -> list[Record]:
        """Queue records on every sink, a frame after all that it has led to."""
        frames = [record for record in records if isinstance(record, Verified)]
        for record in records:
            if isinstance(record, Report):
                self._node_log.tell(record)
            elif isinstance(record, SyncCheck | TimedEvent):
                self._finding_log.tell(record)
            self._board.tell(record)
            if not isinstance(record, Verified):
                self._put(record)
        for record in frames:
            self._put(record)
            if self.site.store is None and record.provenance is Provenance.SEALED:
                self._talk().settled(record)
        kpis = self._started().kpis
        if kpis is not None:
            # The clock now, not at arrival: the way through our own stages is part of the latency.
            kpis.observe(records, self._clock.now_ns())
        return records

    def _put(self, record: Record) -> None:
        for sink in self._sinks:
            sink.put(record)

    def _settle(self) -> None:
        """Have the frames receipted that the store is done with."""
        while self._stored and self._dialogue is not None:
            self._dialogue.settled(self._stored.pop())

    def _deliver(self, item: Input) -> None:
        self.receive(item, item.received_ns)

    # --- wall time -------------------------------------------------------------------------------

    async def _keep_house(self) -> None:
        """Send what is due, judge rows that waited, keep the replay marks."""
        marks, kpis = Cadence(_MARKS_NS), Cadence(_KPIS_NS)
        while True:
            now_ns = self._clock.now_ns()
            self.tick(now_ns)
            self._settle()
            self._send_due(now_ns)
            if marks.take(now_ns):
                self._save_marks()
            if kpis.take(now_ns):
                self._save_kpis()
            await self._clock.sleep_until(self._next_look_ns(now_ns + _HOUSEKEEPING_NS))

    def _next_look_ns(self, latest_ns: int) -> int:
        """Return when to keep house again: as usual, or for a probe before that."""
        probe_ns = self.next_probe_ns()
        return latest_ns if not probe_ns else min(latest_ns, probe_ns)

    def _send_due(self, now_ns: int) -> None:
        """Send what is to be said to the nodes now."""
        for node, sealed in self._talk().due(now_ns):
            self._south.send(node, sealed)

    def _save_kpis(self) -> None:
        """Write the figures of the links down; a full disk must not stop the plant's gateway."""
        kpis = self._started().kpis
        try:
            if kpis is not None:
                save_kpis(self._state_dir, kpis.state())
        except OperatorError as error:
            _LOG.error("kpis_not_kept error=%s", error)

    def _save_marks(self) -> None:
        """Write the replay windows down; a full disk must not stop the plant's gateway."""
        try:
            marks = self._talk().settled_marks(self._started().verify.marks())
            save_marks(self._state_dir, marks)
        except OperatorError as error:
            _LOG.error("replay_marks_not_kept error=%s", error)
