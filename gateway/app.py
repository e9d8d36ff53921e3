"""The gateway put together, in reading order: links -> stages -> sinks.

Promises: one object for both lives of the gateway. In wall time `run` owns one task per link, all
named, in one task group. In virtual time the rig calls `receive`, `probes`, `poll_modbus`, `tick`
and `drain` itself, and nothing happens in between but the work of the sinks. South never waits for
north: `receive` only queues.
Left to others: checking and understanding (`stages/`), the connections (`links/`, `sinks/`).
Order: `start`, then any of the others, then `stop`, all in the same task.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Final, Protocol, final

from gateway.clock import NS_PER_MS, NS_PER_S, Cadence, Clock
from gateway.commands import Commands
from gateway.errors import InternalError, LinkError, OperatorError
from gateway.links.modbus import ModbusLink
from gateway.links.node_serial import NodeSerial
from gateway.links.supervisor import Supervision, default_backoff, supervise
from gateway.loss import LossLedger
from gateway.records import Input, Received, Record
from gateway.sinks.opcua import OpcUaSink
from gateway.sinks.sparkplug import SparkplugSink
from gateway.sinks.store import StoreSink
from gateway.site import ModbusDevice, Node, Site, load_keys
from gateway.stages.fuse import Fuse
from gateway.stages.judge import Judge, Persistence
from gateway.stages.pipeline import Pipeline
from gateway.stages.sync import Sync
from gateway.stages.verify import Verify
from gateway.state import load_marks, next_start, save_marks

_CONNECT_S: Final = 5.0
_HOUSEKEEPING_NS: Final = NS_PER_S // 4
"""How often `run` looks for due probes and rows."""
_MARKS_NS: Final = NS_PER_S

_LOG: Final = logging.getLogger("twinrig.gateway")


class Sink(Protocol):
    """What the gateway asks of a place where records go."""

    name: str

    async def start(self) -> None:
        """Open what must be open before the first record; raise `OperatorError` if it cannot."""
        ...

    def workers(self) -> tuple[Coroutine[None, None, None], ...]:
        """Return what must run until cancelled to deliver what is queued."""
        ...

    async def settle(self) -> None:
        """Return when it is known whether the sink works, at most a few seconds."""
        ...

    def put(self, record: Record) -> None:
        """Queue a record, or ignore a kind this sink does not publish. Never waits."""
        ...

    async def drain(self) -> None:
        """Return when everything queued is out, or cannot go out now."""
        ...

    async def stop(self) -> None:
        """Say goodbye and release everything; harmless when `start` failed."""
        ...

    def endpoints(self) -> dict[str, str]:
        """Return where a client finds this sink: name -> address."""
        ...


@final
class Gateway:
    """A gateway for one site.

    Args:
        site: what to run.
        clock: whose time it is.
        state_dir: where certificates, store and start counter live; made if missing.
        keys: root key by node name; None reads the key files of the site at `start`.
        seed: of the jitter between connection attempts.
    """

    def __init__(
        self,
        site: Site,
        clock: Clock,
        state_dir: Path,
        *,
        keys: Mapping[str, bytes] | None = None,
        seed: int = 0,
    ) -> None:
        self.site = site
        self.ledger = LossLedger()
        self._clock = clock
        self._state_dir = state_dir
        self._keys = keys
        self._rng = random.Random(seed)  # noqa: S311 - jitter, no secret
        self._pipeline: Pipeline | None = None
        self._commands: Commands | None = None
        self._sinks: list[Sink] = []
        self._polled: list[ModbusLink] = []
        self._serial: dict[str, NodeSerial] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._opened = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Load keys, open the sinks and their tasks; on any error close what was open already.

        Raises `OperatorError` when a person must act first (key file, port, folder).
        """
        keys = load_keys(self.site) if self._keys is None else self._keys
        start = next_start(self._state_dir)
        pipeline = self._make_pipeline(keys)
        polled = [self._make_modbus(device) for device in self.site.modbus]
        sinks = self._make_sinks()
        async with contextlib.AsyncExitStack() as opened:
            for link in polled:
                opened.callback(link.close)
            for sink in sinks:
                opened.push_async_callback(sink.stop)
                await sink.start()
            group = await opened.enter_async_context(asyncio.TaskGroup())
            opened.callback(self._cancel_tasks)
            for sink in sinks:
                for worker in sink.workers():
                    self._tasks.append(group.create_task(worker, name=f"sink {sink.name}"))
            for sink in sinks:
                await sink.settle()
            self._opened = opened.pop_all()
        self._commands = Commands(keys, start, self._clock.now_ns())
        self._pipeline, self._polled, self._sinks = pipeline, polled, sinks
        _LOG.info("gateway_started site=%s start=%d", self.site.name, start)

    async def stop(self) -> None:
        """Close everything in reverse order; what is queued is delivered if it can be.

        Everything is released even when a part of it fails; the failure is raised afterwards.
        """
        try:
            if self._pipeline is not None:
                # The marks first: nothing is received while the sinks drain.
                self._save_marks()
                await self.drain()
        finally:
            self._pipeline = None
            try:
                await self._opened.aclose()
            finally:
                self._sinks, self._polled = [], []

    def receive(self, item: Input, now_ns: int) -> list[Record]:
        """Take one frame or poll through all stages; queue and return every record it made."""
        if isinstance(item, Received):
            self._put(item)
        return self._publish(self._started().feed(item, now_ns))

    def tick(self, now_ns: int) -> list[Record]:
        """Judge the rows that have waited long enough for values that did not come."""
        return self._publish(self._started().tick(now_ns))

    def probes(self, now_ns: int) -> list[tuple[str, bytes]]:
        """Return (node, framed and sealed bytes) of every time probe that is due; send them now."""
        sync = self._started().sync
        commands = self._commands
        if commands is None:
            raise InternalError("a started gateway has commands")
        frames: list[tuple[str, bytes]] = []
        for request in sync.due_probes(now_ns):
            frames.append(
                (request.source, commands.probe(request.source, request.probe_id, now_ns))
            )
            sync.probe_sent(request.source, request.probe_id, now_ns)
        return frames

    async def poll_modbus(self, now_ns: int) -> list[Record]:
        """Poll every Modbus device that is due and take the answers through all stages."""
        records: list[Record] = []
        for link in self._polled:
            if link.cadence.take(now_ns):
                records += await self._poll(link, now_ns)
        return records

    async def drain(self) -> None:
        """Return when every sink has delivered what is queued, or cannot now."""
        for sink in self._sinks:
            await sink.drain()

    def endpoints(self) -> dict[str, str]:
        """Return what can be read where, for example {"opcua": "opc.tcp://127.0.0.1:4840/..."}."""
        found: dict[str, str] = {}
        for sink in self._sinks:
            found |= sink.endpoints()
        return found

    async def run(self) -> None:
        """Run the links in wall time until cancelled; between `start` and `stop`."""
        self._started()
        async with asyncio.TaskGroup() as group:
            for node in self.site.nodes:
                if node.serial_port is not None:
                    group.create_task(self._serve_node(node), name=f"node {node.name}")
            for link in self._polled:
                group.create_task(self._keep_polling(link), name=f"modbus {link.device.name}")
            group.create_task(self._keep_house(), name="probes, rows, replay marks")

    # --- putting it together ---------------------------------------------------------------------

    def _make_pipeline(self, keys: Mapping[str, bytes]) -> Pipeline:
        """Return the stages of this site."""
        site, time, judge = self.site, self.site.time, self.site.judge
        wait_ms = site.fuse.wait_ms
        fuse = Fuse(
            site.asset,
            site.fused_signals(),
            site.fuse.training_rows,
            period_ns=site.fuse.period_ms * NS_PER_MS,
            wait_ns=None if wait_ms is None else wait_ms * NS_PER_MS,
        )
        persistence = Persistence(
            alarm_on=judge.alarm_on,
            rows_on=judge.rows_on,
            alarm_off=judge.alarm_off,
            rows_off=judge.rows_off,
        )
        sync = Sync(
            keys,
            probe_period_ns=int(time.probe_period_s * NS_PER_S),
            drift_ppm=time.drift_ppm,
            bound_max_ns=int(time.bound_max_ms * NS_PER_MS),
            unsynchronised_bound_ns=int(time.unsynchronised_bound_ms * NS_PER_MS),
        )
        marks = load_marks(self._state_dir)
        verify = Verify(keys, self.ledger, marks, units=site.units())
        return Pipeline(verify, sync, [(fuse, Judge(site.asset, persistence))], self.ledger)

    def _make_sinks(self) -> list[Sink]:
        """Return the sinks the site file asks for, most local first."""
        site, ledger, clock = self.site, self.ledger, self._clock
        sinks: list[Sink] = []
        if site.store is not None:
            path = site.store.path or self._state_dir / "store.sqlite3"
            sinks.append(StoreSink(site.store, path, ledger, clock))
        if site.opcua is not None:
            wanted = {"store": site.store, "opcua": site.opcua, "sparkplug": site.sparkplug}
            names = tuple(name for name, settings in wanted.items() if settings is not None)
            folder = self._state_dir / "opcua"
            sinks.append(OpcUaSink(site, site.opcua, ledger, clock, folder, names))
        if site.sparkplug is not None:
            sinks.append(SparkplugSink(site, site.sparkplug, ledger, clock, self._rng))
        return sinks

    def _make_modbus(self, device: ModbusDevice) -> ModbusLink:
        """Return the link of a polled device."""
        return ModbusLink(device, Supervision(device.name, default_backoff(self._rng)))

    def _started(self) -> Pipeline:
        """Return the stages, or say what was forgotten."""
        if self._pipeline is None:
            raise InternalError("the gateway is not running; await start() first")
        return self._pipeline

    def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    # --- flow ------------------------------------------------------------------------------------

    def _publish(self, records: list[Record]) -> list[Record]:
        """Queue records on every sink."""
        for record in records:
            self._put(record)
        return records

    def _put(self, record: Record) -> None:
        for sink in self._sinks:
            sink.put(record)

    async def _poll(self, link: ModbusLink, now_ns: int) -> list[Record]:
        """Poll one device; what fails concerns this device or tag alone."""
        name = link.device.name
        try:
            result = await link.poll(now_ns, self._clock)
        except LinkError as error:
            self.ledger.line_error(name, "poll_failed")
            _LOG.info("modbus_poll_failed device=%s error=%s", name, error.what)
            return []
        for failed in result.errors:
            self.ledger.line_error(name, "tag_failed")
            _LOG.info("modbus_tag_failed tag=%s:%s error=%s", name, failed.tag, failed.what)
        if result.polled is None:
            return []
        return self.receive(result.polled, result.polled.received_ns)

    # --- wall time -------------------------------------------------------------------------------

    async def _serve_node(self, node: Node) -> None:
        """Keep the serial line of a node open and take its frames."""

        def deliver(frame: Received) -> None:
            self.receive(frame, frame.received_ns)

        link = NodeSerial(
            node.name,
            node.serial_port or "",
            node.serial_baud,
            self._clock,
            self.ledger,
            deliver,
        )
        self._serial[node.name] = link
        supervision = Supervision(node.name, default_backoff(self._rng))
        await supervise(
            link, supervision, self._clock, connect_s=_CONNECT_S, silence_s=node.silence_s
        )

    async def _keep_polling(self, link: ModbusLink) -> None:
        """Poll a device on its own grid."""
        while True:
            now_ns = self._clock.now_ns()
            if link.cadence.take(now_ns):
                await self._poll(link, now_ns)
            await self._clock.sleep_until(link.cadence.due_ns(self._clock.now_ns()))

    async def _keep_house(self) -> None:
        """Send due probes, judge rows that waited, keep the replay marks."""
        marks = Cadence(_MARKS_NS)
        while True:
            now_ns = self._clock.now_ns()
            self.tick(now_ns)
            for node, frame in self.probes(now_ns):
                link = self._serial.get(node)
                if link is not None:
                    link.send(frame)
            if marks.take(now_ns):
                self._save_marks()
            await self._clock.sleep_until(now_ns + _HOUSEKEEPING_NS)

    def _save_marks(self) -> None:
        """Write the replay windows down; a full disk must not stop the plant's gateway."""
        try:
            save_marks(self._state_dir, self._started().verify.marks())
        except OperatorError as error:
            _LOG.error("replay_marks_not_kept error=%s", error)
