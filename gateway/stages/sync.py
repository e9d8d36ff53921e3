"""Node time becomes UTC with a hard bound: `Verified` readings become `Aligned` values.

Promises for every value: the true time at its source lies in `time_ns +- bound_ns`, given honest
stamps under the node's key and clocks within `drift_ppm`; `uncertainty_ns` is expanded with k = 2
and never above the bound. The maths is models/node_clock.py. A value whose time would lie outside
1970 to 2200 goes no further and is counted, `time_out_of_range`.
- A sealed value: node tick + offset, the offset bounded by two-way probes and by every arrival.
  Each boot has a clock of its own, and the clocks of the last `BOOTS_MAX` boots are kept, so what a
  node stored before it restarted keeps its time.
- Before the first answer of a boot, or after a sync fault: arrival time less the value's age at
  sending, `unsynchronised_bound_ns`, status UncertainSensorNotAccurate. A node that stores its
  frames may have kept it for years: then the bound says so, and is at least `UNPLACED_BOUND_NS`.
  So while the clock of its newest boot is unknown, values are held, for `hold_ns` at most.
- A polled value: the middle of its request/response window, plus or minus half of it; one that
  its source stamped: sync_dated.py.

Findings: what is wrong with the time of a source (sync_clock.py, sync_dated.py), with the gateway's
own clock, and how every clock stands after each exchange. A step is told when the other sources
have been asked whether they saw it too.

Probes: `due_probes` says whom to ask and `next_probe_ns` when (sync_probes.py), the caller seals
and sends and reports `probe_sent`; the answer arrives as a TIME_ANSWER frame. An answer nobody
asked for is counted and changes nothing.
"""

import math
from collections.abc import Iterable
from typing import Final, final

from gateway import status
from gateway.models.clock import relative_time_error_ns
from gateway.models.clock_checks_exchange import ExchangeFinding, Found
from gateway.models.clock_checks_host import HostState
from gateway.models.clock_checks_peers import Step
from gateway.models.node_clock import Crystal
from gateway.records import Aligned, Reading, Rejected, Verified
from gateway.records_time import SyncCause
from gateway.stages import sync_probes
from gateway.stages import sync_words as words
from gateway.stages.sync_clock import (
    BOOTS_MAX,
    OF_THE_CLOCK,
    BootClock,
    CheckSettings,
    SourceClock,
)
from gateway.stages.sync_dated import DatedClock
from gateway.stages.sync_findings import Finding, Findings
from gateway.stages.sync_gateway import GatewayClock
from gateway.stages.sync_held import HeldFrames
from gateway.stages.sync_options import SyncOptions
from gateway.stages.sync_placed import Placed, between
from gateway.stages.sync_views import (
    ClockState,
    ProbeRequest,
    dated_estimate,
    node_estimate,
    node_state,
)
from wire import content

__all__ = (
    "BOOTS_MAX",
    "UNPLACED_BOUND_NS",
    "ClockState",
    "Placed",
    "ProbeRequest",
    "Sync",
    "SyncOptions",
)

_TIME_END_NS: Final = 7_258_118_400_000_000_000
"""2200-01-01; every time and bound before it fits in 64 bits."""
UNPLACED_BOUND_NS: Final = 10 * 365 * 86_400 * 1_000_000_000
"""Ten years: the bound of a value that waited in a node for nobody knows how long."""
_SOURCES_MAX: Final = 4096
"""Sources whose clocks are followed; a site has far fewer."""

_OPTIONS: Final = SyncOptions()
_FOLLOW_ANEW: Final = (ExchangeFinding.STEP, ExchangeFinding.FALSE_STAMP)
"""What leaves a clock made from exchanges that do not belong together."""


@final
class Sync:
    """Aligns values to UTC; `sources` are the nodes to probe, once in each `probe_period_ns`.

    `bound_max_ns` is the time budget: a value whose bound is wider gets an uncertain status.
    `storing` are the nodes that keep frames until they have a receipt; their values wait up to
    `options.hold_ns` while the clock of the newest boot is unknown.
    """

    def __init__(
        self,
        sources: Iterable[str],
        *,
        probe_period_ns: int,
        drift_ppm: float,
        bound_max_ns: int,
        unsynchronised_bound_ns: int = 1_000_000_000,
        storing: Iterable[str] = (),
        options: SyncOptions = _OPTIONS,
    ) -> None:
        self._probe_period_ns = probe_period_ns
        self._bound_max_ns = bound_max_ns
        self._unsynchronised_bound_ns = unsynchronised_bound_ns
        self._storing = frozenset(storing)
        self._settings = CheckSettings(
            crystal=Crystal(drift_ppm, options.wander_ppm_per_s),
            period_s=probe_period_ns * sync_probes.PERIOD_MEAN / 1e9,
            false_alarms_per_day=options.false_alarms_per_day,
            asymmetry_min_ns=options.asymmetry_min_ns,
            stale_ns=options.stale_ns,
        )
        self._clocks = {source: self._made(source) for source in sources}
        self._dated: dict[str, DatedClock] = {}
        self._findings = Findings()
        self._held = HeldFrames(options.hold_ns)
        self._gateway = GatewayClock(options.site, options.host_error_max_ns, 3 * probe_period_ns)

    # --- what comes in ---------------------------------------------------------------------------

    def feed(self, item: Verified, now_ns: int, /) -> list[Aligned]:
        """Return the values of a frame or poll on the common timeline (none for other frames).

        None come of a frame that is held (`is_holding`); `released` gives them later.
        """
        self._look_at_own_clock(now_ns)
        if item.tick_us is None:
            return self._polled(item)
        clock = self._clock(item.source)
        boot = clock.boot(item.boot_id, self._findings, item.received_ns)
        clock.frame(boot, item, item.tick_us, self._findings)
        if item.content_type == content.TIME_ANSWER:
            self._answer(clock, boot, item, item.tick_us)
        if not item.readings:
            return []
        may_wait = item.source in self._storing and self._may_become_known(clock, boot, item)
        if may_wait and self._held.hold(item, now_ns):
            return []
        return self._sealed(item)

    def refused(self, rejected: Rejected, now_ns: int, /) -> None:
        """Take note of a frame that verify refused: what was sent before, comes again."""
        if rejected.source in self._clocks:
            self._clocks[rejected.source].refused(rejected, now_ns, self._findings)

    def tick(self, now_ns: int, host: HostState | None = None, /) -> None:
        """Let time pass; `host` is what the machine says of its clock, None in virtual time."""
        self._look_at_own_clock(now_ns)
        if host is not None and self._gateway.machine(host, now_ns, self._findings):
            self._follow_anew(now_ns)
        self._decide(now_ns, is_tick=True)
        for clock in self._clocks.values():
            clock.tick(now_ns, self._findings)
        self._findings.tick(now_ns)

    def probe_sent(self, source: str, probe_id: int, sent_ns: int) -> None:
        """Take note of T1: a time not later than the probe's first byte on the wire."""
        self._clocks[source].sent(probe_id, sent_ns)

    # --- what goes out ---------------------------------------------------------------------------

    def findings(self) -> list[Finding]:
        """Return, and forget, what was found out about clocks since the last call."""
        return self._findings.take()

    def is_holding(self, item: Verified, /) -> bool:
        """Tell whether a frame that was fed waits for the clock of its boot."""
        return self._held.is_holding(item)

    def released(self, now_ns: int, /) -> list[tuple[Verified, list[Aligned]]]:
        """Return the frames whose wait is over with their values, of each source in their order."""
        freed = self._held.released(now_ns, self._is_decided)
        return [(item, self._sealed(item)) for item in freed]

    def due_probes(self, now_ns: int) -> list[ProbeRequest]:
        """Return the probes to send now; the first one of a node is due at once."""
        return sync_probes.due(self._clocks.values(), now_ns, self._probe_period_ns)

    def next_probe_ns(self) -> int | None:
        """Return when `due_probes` gives the next probe, 0: at once; None without a node.

        Whoever sends probes does so at this time and not on a grid: it has no period.
        """
        return sync_probes.next_due_ns(self._clocks.values())

    def place(self, item: Verified, tick_us: int) -> Placed:
        """Return when, on the common timeline, a node's clock stood at `tick_us` of a frame's boot.

        The frame was fed before, and the tick is not after its own.
        """
        boot = self._clock(item.source).boots.get(item.boot_id)
        placed = None if boot is None else boot.place(item.sequence, tick_us)
        if placed is not None:
            return Placed(
                time_ns=placed.time_ns,
                bound_ns=placed.bound_ns,
                is_known=True,
                uncertainty_ns=placed.uncertainty_ns,
            )
        age_us = 0 if item.tick_us is None else item.tick_us - tick_us
        bound_ns = self._unsynchronised_bound_ns
        if item.source in self._storing:
            bound_ns = max(bound_ns, UNPLACED_BOUND_NS)
        time_ns = item.received_ns - age_us * 1000
        return Placed(time_ns=time_ns, bound_ns=bound_ns, is_known=False, uncertainty_ns=bound_ns)

    def is_known(self, source: str) -> bool:
        """Tell whether the clock of the newest boot of a node is known."""
        boot = self._clock(source).newest
        return boot is not None and boot.clock.is_known

    def newest_boot(self, source: str) -> int:
        """Return the newest boot id heard of a node; -1 if none was."""
        boot_id = self._clock(source).boot_id
        return -1 if boot_id is None else boot_id

    def clocks(self, now_ns: int) -> list[ClockState]:
        """Return what is known of every node's clock at `now_ns`, sorted by name."""
        return [
            node_state(clock, now_ns, self._unsynchronised_bound_ns)
            for _, clock in sorted(self._clocks.items())
        ]

    # --- clocks ----------------------------------------------------------------------------------

    def _made(self, source: str) -> SourceClock:
        return SourceClock(source, self._settings, is_storing=source in self._storing)

    def _clock(self, source: str) -> SourceClock:
        clock = self._clocks.get(source)
        if clock is None:
            clock = self._clocks[source] = self._made(source)
        return clock

    def _calendar(self, source: str) -> DatedClock:
        clock = self._dated.get(source)
        if clock is None:
            clock = DatedClock(source, self._settings, self._unsynchronised_bound_ns)
            if len(self._dated) < _SOURCES_MAX:
                self._dated[source] = clock
        return clock

    def _answer(self, clock: SourceClock, boot: BootClock, item: Verified, tick_us: int) -> None:
        """Take the answer to a time probe, and tell how the clock stands with it."""
        answered = clock.answer(boot, item, tick_us, self._findings)
        if answered is None:
            return
        self._weigh(clock.source, answered, item.received_ns, is_suspect=boot.checks.is_suspect)
        for found in answered:
            if found.finding in _FOLLOW_ANEW:
                boot.renew(item.sequence, _stepped_since(found))
        sync_probes.hasten(clock, boot, item.received_ns, self._bound_max_ns)
        estimate = node_estimate(clock, item.received_ns)
        if estimate is not None:
            self._findings.estimate(estimate)

    def _weigh(self, source: str, found: list[Found], now_ns: int, *, is_suspect: bool) -> None:
        """Tell what an exchange brought to light; a step waits for the other sources."""
        self._gateway.heard(source, now_ns, is_sure=not is_suspect)
        for each in found:
            match each.finding:
                case ExchangeFinding.STEP:
                    self._gateway.peers.stepped(
                        Step(source, each.since_ns, now_ns, -each.size, each.deviation)
                    )
                    for other in self._clocks.values():
                        other.due_ns = None
                case ExchangeFinding.ASYMMETRY_OVER:
                    self._findings.over(source, SyncCause.ASYMMETRIC_DELAY, now_ns)
                case ExchangeFinding.WITHIN_CLASS:
                    self._findings.over(source, SyncCause.DRIFT_BEYOND_CLASS, now_ns)
                case ExchangeFinding.SKEW_CHANGE | ExchangeFinding.BEYOND_CLASS:
                    self._gateway.rated(source, each, now_ns, self._findings)
                case ExchangeFinding.ASYMMETRY:
                    self._findings.lasting(source, words.exchange(each), now_ns)
                case ExchangeFinding.FALSE_STAMP:
                    self._findings.happened(source, words.exchange(each), now_ns)
        self._decide(now_ns, is_tick=False)

    def _decide(self, now_ns: int, *, is_tick: bool) -> None:
        """Tell whose clock stepped, if that is clear by now."""
        self._gateway.decide(now_ns, self._findings, is_tick=is_tick)

    def _look_at_own_clock(self, now_ns: int) -> None:
        """Follow all clocks anew if the gateway's own was set back."""
        if self._gateway.is_back(now_ns, self._findings):
            self._follow_anew(now_ns)

    def _follow_anew(self, now_ns: int) -> None:
        for clock in self._clocks.values():
            clock.withdraw()
        for dated in self._dated.values():
            dated.restart()
        for source in (*self._clocks, *self._dated):
            self._findings.forget(source, now_ns, OF_THE_CLOCK)

    # --- values ----------------------------------------------------------------------------------

    def _may_become_known(self, clock: SourceClock, boot: BootClock, item: Verified) -> bool:
        """Tell whether waiting helps: only the newest boot can still be asked."""
        return item.boot_id == clock.boot_id and boot.may_become_known(item.sequence)

    def _is_decided(self, item: Verified) -> bool:
        """Tell whether a held frame has nothing to wait for any more."""
        clock = self._clock(item.source)
        boot = clock.boots.get(item.boot_id)
        return boot is None or not self._may_become_known(clock, boot, item)

    def _sealed(self, item: Verified) -> list[Aligned]:
        """Align the readings of a sealed frame; leave out those whose time cannot be."""
        sent_us = 0 if item.tick_us is None else item.tick_us
        aligned = []
        for reading in item.readings:
            tick_us = sent_us if reading.tick_us is None else reading.tick_us
            placed = self.place(item, tick_us)
            if placed.is_known and reading.tick_us is not None:
                placed = placed.less_sure(relative_time_error_ns(sent_us - tick_us))
            if not 0 <= placed.time_ns < _TIME_END_NS or placed.bound_ns >= _TIME_END_NS:
                self._clock(item.source).faults["time_out_of_range"] += 1
                continue
            is_accurate = placed.is_known and placed.bound_ns <= self._bound_max_ns
            aligned.append(_aligned(item, reading, placed, is_accurate=is_accurate))
        return aligned

    def _polled(self, item: Verified) -> list[Aligned]:
        """Align the values of a poll, and look at the clock of its source if it shows one."""
        is_dated = item.clock_ns is not None or any(
            reading.stamp_ns is not None for reading in item.readings
        )
        if not is_dated and item.source not in self._dated:
            return [_aligned(item, each, between(item), is_accurate=True) for each in item.readings]
        dated = self._calendar(item.source)
        found = dated.poll(item, self._findings)
        self._gateway.dated(item.source, dated.shown, item.received_ns, self._findings)
        if found is not None:
            self._weigh(item.source, found, item.received_ns, is_suspect=dated.is_suspect)
            for each in found:
                if each.finding in _FOLLOW_ANEW:
                    dated.renew(_stepped_since(each))
        estimate = dated_estimate(dated, item.received_ns, self._probe_period_ns)
        if estimate is not None:
            self._findings.estimate(estimate)
        return self._stamped(dated, item)

    def _stamped(self, dated: DatedClock, item: Verified) -> list[Aligned]:
        """Align values that their source may have stamped."""
        aligned = []
        for reading in item.readings:
            placed = dated.place(item, reading)
            if not 0 <= placed.time_ns < _TIME_END_NS or placed.bound_ns >= _TIME_END_NS:
                continue
            is_accurate = placed.is_known and placed.bound_ns <= self._bound_max_ns
            is_accurate |= reading.stamp_ns is None
            aligned.append(_aligned(item, reading, placed, is_accurate=is_accurate))
        return aligned


def _stepped_since(found: Found) -> int | None:
    """Return after which moment a clock stepped; None if it was a stamp that was false."""
    return found.since_ns if found.finding is ExchangeFinding.STEP else None


def _aligned(item: Verified, reading: Reading, placed: Placed, *, is_accurate: bool) -> Aligned:
    """Return a value whose time is known within the budget, or not."""
    code = status.GOOD if is_accurate else status.UNCERTAIN_SENSOR_NOT_ACCURATE
    if not math.isfinite(reading.value):
        code = status.BAD_SENSOR_FAILURE
    return Aligned(
        signal=reading.signal,
        unit=reading.unit,
        value=reading.value,
        time_ns=placed.time_ns,
        bound_ns=placed.bound_ns,
        uncertainty_ns=placed.uncertainty_ns,
        status=status.worst(code, reading.status),
        provenance=item.provenance,
        source=item.source,
        sequence=item.sequence,
    )
