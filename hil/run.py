"""One scenario from trace to verdicts: boards in lockstep, the gateway in virtual time.

Promises: `Run.play` gives the gateway what the boards sent, at the virtual time at which it
arrived, and nothing depends on how long anything took; the result therefore holds two hashes that
are the same every time.  `async with Run(...)` ends every process and closes every port it opened.
Leaves to others: the order of events (lockstep.py), what the gateway concludes (gateway/), what a
person reads (report.py).

Virtual UTC is the trace's own time: trace row 0 stands at `origin_us` on every board's clock.
"""

import asyncio
import hashlib
import itertools
import shutil
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self

from gateway.app import Gateway
from gateway.canonical import canonical
from gateway.clock import ManualClock, give_way
from gateway.records import Received, Record, Verdict
from gateway.records_time import SyncCheck
from gateway.site import Site
from hil.affinity import one_cpu
from hil.clock_truth import ClockTruth
from hil.errors import RigError
from hil.fault_plan import FaultPlan, Frame, plan_faults
from hil.findings import TimedCheck, judge_checks
from hil.folder_lock import FolderLock
from hil.lockstep import TimerDue, UplinkBytes
from hil.plc import PumpPlc
from hil.result import BoardResult, RunResult, TimedVerdict, judge_alarms, with_failures
from hil.rig import Progress, Rig
from hil.scenario import OpenedTrace, Scenario
from hil.scenario_faults import GATEWAY
from wire.framing import Deframer

_TICK_NS = 1_000_000_000
_TICK_PHASE_NS = 250_000_000
_TAIL_NS = 500_000_000
_DRAIN_EVERY_TICKS = 5
"""Stored frames are receipted at this pace; a node waits 15 s for a receipt."""

Line = Callable[[str, int, bytes, bool], bytes]
"""(node, virtual ns, bytes, whether they come from the node) -> what of them arrives."""


def whole_line(_node: str, _time_ns: int, data: bytes, _is_up: bool, /) -> bytes:
    """Return all of it: nothing happens to a good line."""
    return data


_TICK = "tick"
_PROBE = "probe"
_END = "end"


class Run:
    """One run of one scenario; an asynchronous context manager.

    scenario, opened: as read by scenario.py; site: the gateway's site, with the ports it is to use;
    observer: sees every record with the virtual UTC at which it was made; line: what becomes of the
    bytes between boards and gateway; images: by board, for those that are built already, and for
    what this run builds.
    """

    def __init__(
        self,
        scenario: Scenario,
        opened: OpenedTrace,
        site: Site,
        folder: Path,
        *,
        observer: Callable[[Record, int], None] = lambda record, now_ns: None,
        line: Line = whole_line,
        images: dict[str, Path] | None = None,
    ) -> None:
        self.scenario = scenario
        self.opened = opened
        self.folder = folder
        self.rig = Rig(scenario, site, opened.trace, folder, images)
        self._site = site
        self._observer = observer
        self._line = line
        self._acts: dict[str, Callable[[], None]] = {}
        self._late: dict[str, Callable[[], None]] = {}
        """What is on its way to the gateway and still counts when the boards have ended."""
        self._tags = itertools.count()
        self._epoch_ns = opened.trace.start_utc_ns - self.rig.origin_us * 1000
        self._clock = ManualClock(self._epoch_ns)
        self._virtual_ns = 0
        self.plan = self._plan()
        self.plc = None if scenario.plc is None else PumpPlc(utc_ns=self.plan.plc.reading_ns)
        self._truth = self._witness()
        self._checks: list[TimedCheck] = []
        self._checks_digest = hashlib.sha256()
        self._frames = hashlib.sha256()
        self._verdicts_digest = hashlib.sha256()
        self._verdicts: list[TimedVerdict] = []
        self._deframers = {board.node: Deframer() for board in scenario.boards}
        self._ticks = 0
        self._in_use = FolderLock(folder)
        self.gateway: Gateway | None = None

    async def __aenter__(self) -> Self:
        """Check everything, then start the PLC, the gateway and the boards."""
        self.rig.plan()
        self._in_use.take()
        try:
            site = self._site
            if self.plc is not None and self.scenario.plc is not None:
                await self.plc.start()
                site = site.at_ports({self.scenario.plc.link: self.plc.port})
            state_dir = self.folder / "gateway"
            # Counters of an earlier run would change the bytes that go down to the nodes.
            shutil.rmtree(state_dir, ignore_errors=True)
            gateway = Gateway(site, self._clock, state_dir, keys=self.rig.keys)
            await gateway.start()
            self.gateway = gateway
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        """End everything that was started."""
        await self.close()

    async def close(self) -> None:
        """End the boards, the gateway and the PLC, whatever fails; safe to call twice."""
        gateway, self.gateway = self.gateway, None
        try:
            self.rig.close()
            if gateway is not None:
                await gateway.stop()
        finally:
            if self.plc is not None:
                await self.plc.stop()
            self._in_use.release()

    def endpoints(self) -> dict[str, str]:
        """What can be read where while the run is open; the Modbus PLC included."""
        found = self._gateway().endpoints()
        if self.plc is not None:
            found["modbus"] = f"tcp://127.0.0.1:{self.plc.port}"
        return found

    def at(self, time_ns: int, act: Callable[[], None]) -> None:
        """Have something done at a virtual time; to be called before `play`."""
        tag = f"act {next(self._tags)}"
        self._acts[tag] = act
        self.rig.lockstep.set_timer(time_ns, tag)

    async def play(
        self,
        *,
        building: Progress = lambda step, count: None,
        playing: Callable[[float, float], None] = lambda now_s, end_s: None,
    ) -> RunResult:
        """Run the whole scenario; `playing` is told virtual seconds and how many there will be."""
        stop = threading.Event()
        try:
            await asyncio.to_thread(self.rig.build, building, stop)
        finally:
            stop.set()
        with one_cpu():
            return await self._play(playing)

    async def _play(self, playing: Callable[[float, float], None]) -> RunResult:
        self.rig.start()
        lockstep = self.rig.lockstep
        end_ns = self._end_ns()
        lockstep.set_timer(end_ns, _END)
        lockstep.set_timer(_TICK_PHASE_NS, _TICK)
        started_s = time.perf_counter()
        while (event := lockstep.next_event()) is not None:
            if isinstance(event, UplinkBytes):
                self._receive(event)
            elif event.tag == _TICK:
                await self._tick(event)
                playing(event.time_ns / 1e9, end_ns / 1e9)
            elif event.tag == _PROBE:
                self._talk(event.time_ns, self._advance(event.time_ns))
            elif event.tag in self._acts:
                self._acts.pop(event.tag)()
            elif event.tag in self._late:
                self._late.pop(event.tag)()
            else:
                break
        self._check_boards()
        lockstep.stop()
        while (event := lockstep.next_event()) is not None:
            if isinstance(event, UplinkBytes):
                self._receive(event)
            elif event.tag in self._late:
                self._late.pop(event.tag)()
        real_s = time.perf_counter() - started_s
        await self._gateway().drain()
        return self._result(end_ns / 1e9, real_s)

    def _end_ns(self) -> int:
        played_ns = self.scenario.duration_ns(self.opened.trace)
        return self.rig.origin_us * 1000 + played_ns + _TAIL_NS

    def _plan(self) -> FaultPlan:
        """Plan what goes wrong; raises ScenarioError before anything is started."""
        frame = Frame(
            origin_ns=self.rig.origin_us * 1000,
            epoch_ns=self._epoch_ns,
            end_ns=self._end_ns(),
            site_name=self._site.name,
            drift_ppm=self._site.time.drift_ppm,
        )
        plan = plan_faults(self.scenario, frame)
        self.rig.clocks = plan.clocks
        for time_ns, node in plan.reboots:
            self.at(time_ns, partial(self.rig.restart, node))
        return plan

    def _sources(self) -> list[str]:
        """Return whose time is watched."""
        plc = [] if self.scenario.plc is None else [self.scenario.plc.link]
        return [*(board.node for board in self.scenario.boards), *plc]

    def _witness(self) -> ClockTruth:
        """Return who holds the times that the gateway states against the boards' own."""
        return ClockTruth(
            {board.node: self.plan.clock(board.node) for board in self.scenario.boards},
            lambda node: next(p.started_ns for p in self.rig.ports if p.node == node),
            self._epoch_ns,
            self.plan.is_in_fault,
            self.plan.clock(GATEWAY),
        )

    def _gateway(self) -> Gateway:
        if self.gateway is None:
            raise RigError("the run has not been entered; use `async with Run(...)`")
        return self.gateway

    def _receive(self, event: UplinkBytes) -> None:
        """Bytes have left a node's line: on their path to the gateway."""
        node, data = event.node, self._line(event.node, event.time_ns, event.data, True)
        path = self.plan.paths.get(node)
        if path is None:
            self._take(node, event.time_ns, data)
            return
        for arrival in path.up(event.time_ns, data):
            if arrival.at_ns == event.time_ns:
                self._take(node, event.time_ns, arrival.data)
                continue
            tag = f"late {next(self._tags)}"
            self._late[tag] = partial(self._take, node, arrival.at_ns, arrival.data)
            self.rig.lockstep.set_timer(arrival.at_ns, tag)

    def _take(self, node: str, time_ns: int, data: bytes) -> None:
        """Bytes from a node have arrived: out of the frame, into the gateway."""
        now_ns = self._advance(time_ns)
        gateway = self._gateway()
        for message, reason in self._deframers[node].feed(data):
            self._frames.update(f"{node} {time_ns} {reason} {len(message)} ".encode())
            self._frames.update(message)
            if reason is not None:
                gateway.ledger.line_error(node, reason)
                continue
            received = Received(source=node, link="rig", data=message, received_ns=now_ns)
            self._observe(gateway.receive(received, now_ns), now_ns)

    def _send(self, node: str, time_ns: int, data: bytes) -> None:
        """Bytes for a node leave the gateway: on their path to its line."""
        path = self.plan.paths.get(node)
        if path is None:
            self.rig.lockstep.send(node, data)
            return
        for arrival in path.down(time_ns, data):
            if arrival.at_ns == time_ns:
                self.rig.lockstep.send(node, arrival.data)
            else:
                self.at(arrival.at_ns, partial(self.rig.lockstep.send, node, arrival.data))

    def _talk(self, time_ns: int, now_ns: int) -> None:
        """What is due goes down to the nodes; a probe that is due before the next tick is timed."""
        gateway = self._gateway()
        for node, data in gateway.downlink(now_ns):
            self._send(node, time_ns, self._line(node, time_ns, data, False))
        wait_ns = (gateway.next_probe_ns() or now_ns) - now_ns
        if 0 < wait_ns < _TICK_NS - (time_ns - _TICK_PHASE_NS) % _TICK_NS:
            self.rig.lockstep.set_timer(time_ns + wait_ns, _PROBE)

    async def _tick(self, event: TimerDue) -> None:
        """What the gateway does by itself once a second: talk to its nodes, poll Modbus."""
        self._check_boards()
        now_ns = self._advance(event.time_ns)
        gateway = self._gateway()
        self.rig.lockstep.set_timer(event.time_ns + _TICK_NS, _TICK)
        self._talk(event.time_ns, now_ns)
        if self.plc is not None:
            self.plc.advance(event.time_ns)
        self._observe(await gateway.poll_modbus(now_ns), now_ns)
        self._observe(gateway.tick(now_ns), now_ns)
        # Everything above may have gone without a pause: here a Ctrl-C gets its turn, and clients.
        await give_way()
        self._ticks += 1
        if self._ticks % _DRAIN_EVERY_TICKS == 0:
            await gateway.drain()

    def _check_boards(self) -> None:
        """A node that has stopped by itself would otherwise just be silent."""
        self.rig.restart_those_that_ask()
        for port in self.rig.ports:
            if port.has_ended_by_itself:
                said = "; ".join(port.log_lines) or "it said nothing"
                raise RigError(
                    f"node {port.node}: its application ended by itself at"
                    f" t = {port.now_ns / 1e9:.3f} s: {said}"
                )

    def _advance(self, time_ns: int) -> int:
        self._virtual_ns = time_ns
        now_ns = self._epoch_ns + self.plan.clock(GATEWAY).reading_ns(time_ns)
        self._clock.advance_to(now_ns)
        return now_ns

    def _observe(self, records: list[Record], now_ns: int) -> None:
        self._truth.see(records, self._virtual_ns)
        for record in records:
            self._observer(record, now_ns)
            if isinstance(record, SyncCheck):
                self._checks.append(TimedCheck(check=record, emitted_ns=self._virtual_ns))
                self._checks_digest.update(repr(record).encode())
            if isinstance(record, Verdict):
                self._verdicts.append(TimedVerdict(verdict=record, emitted_ns=now_ns))
                self._verdicts_digest.update(canonical(record))

    def _result(self, virtual_s: float, real_s: float) -> RunResult:
        ledger = self._gateway().ledger
        labels = self.opened.trace.labels
        first_ns = None if labels is None else labels.first_ns()
        start_ns = self.opened.trace.start_utc_ns
        played_ns = self.scenario.duration_ns(self.opened.trace)
        is_played = first_ns is not None and first_ns < played_ns
        label_ns = start_ns + first_ns if first_ns is not None and is_played else None
        spans = None
        if labels is not None:
            spans = [(start_ns + first, start_ns + last) for first, last in labels.spans_ns()]
        alarm, false_alarms = judge_alarms(self._verdicts, spans)
        delay_s = None if alarm is None or label_ns is None else (alarm.emitted_ns - label_ns) / 1e9
        result = RunResult(
            scenario=self.scenario.scenario.name,
            trace_sha256=self.opened.trace.sha256,
            origin=self.opened.origin,
            is_simulated=self.opened.is_simulated,
            frames_sha256=self._frames.hexdigest(),
            verdicts_sha256=self._verdicts_digest.hexdigest(),
            checks_sha256=self._checks_digest.hexdigest(),
            boards=self._boards(),
            ledger=tuple(ledger.rows()),
            ledger_adds_up=ledger.adds_up(),
            verdicts=tuple(self._verdicts),
            label_start_ns=label_ns,
            alarm=alarm,
            alarm_delay_s=delay_s,
            false_alarms=false_alarms,
            checks=judge_checks(self._checks, self.plan.truths, self._end_ns(), self._sources()),
            truth=self._truth.nodes,
            virtual_s=virtual_s,
            real_s=real_s,
            failures=(),
            unjudged=(),
        )
        return with_failures(result, self.scenario)

    def _boards(self) -> tuple[BoardResult, ...]:
        boards = {board.node: board.board for board in self.scenario.boards}
        return tuple(
            BoardResult(
                node=port.node,
                board=boards[port.node],
                identity=port.identity,
                sent_frames=port.sent_frames,
                transactions=port.transactions,
                transactions_sha256=port.transactions_sha256,
                computed_ns=port.computed_ns,
                log=tuple(port.log_lines),
            )
            for port in self.rig.ports
        )
