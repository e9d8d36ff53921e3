"""Node time becomes UTC with a hard bound: `Verified` readings become `Aligned` values.

Promises for every value: the true time at its source lies in `time_ns +- bound_ns`, given honest
stamps under the node's key and clocks within `drift_ppm`. The maths is models/clock.py. A value
whose time would lie outside 1970 to 2200 goes no further and is counted, `time_out_of_range`.
- A sealed value: node tick + offset, the offset bounded by two-way probes and by every arrival.
  Each boot has a clock of its own, and the clocks of the last `BOOTS_MAX` boots are kept, so what a
  node stored before it restarted keeps its time.
- Before the first answer of a boot, or after a sync fault: arrival time less the value's age at
  sending, `unsynchronised_bound_ns`, status UncertainSensorNotAccurate. A node that stores its
  frames may have kept it for years: then the bound says so, and is at least `UNPLACED_BOUND_NS`.
- A polled value: the middle of its request/response window, plus or minus half of it.

Probes: `due_probes` says whom to ask, the caller seals and sends and reports `probe_sent`; the
answer arrives as a TIME_ANSWER frame. An answer nobody asked for is counted and changes nothing.
A probe due later than one period from now was planned before the gateway's clock was set back: it
is due at once, and counted, `clock_set_back`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, final

from gateway import status
from gateway.models.clock import OffsetInterval, relative_time_error_ns
from gateway.models.clock_checks_host import HostState
from gateway.records import Aligned, ClockEstimate, Rejected, SyncCheck, Verified
from wire import content, messages

_PENDING_MAX: Final = 8
"""Probes of one node that may be on their way; the oldest is forgotten first."""
_PROBE_IDS: Final = 1 << 30
"""Probe ids wrap here, so that they stay small integers on a 32-bit node."""
_TIME_END_NS: Final = 7_258_118_400_000_000_000
"""2200-01-01; every time and bound before it fits in 64 bits."""
BOOTS_MAX: Final = 8
UNPLACED_BOUND_NS: Final = 10 * 365 * 86_400 * 1_000_000_000
"""Ten years: the bound of a value that waited in a node for nobody knows how long."""

_HASTY_NS: Final = 500_000_000
_HASTY_MAX: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """A time probe that is due now."""

    source: str
    probe_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """What is known of one node's clock, for display."""

    source: str
    boot_id: int | None
    is_known: bool
    offset_ns: int
    bound_ns: int
    answers: int
    faults: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A node time on the common timeline."""

    time_ns: int
    bound_ns: int
    is_known: bool
    """False if the clock of that boot is not known: the time is that of arrival."""


@final
class _Clock:
    """The clocks of one node: an interval for each boot, probes on their way, counts."""

    __slots__ = (
        "answers", "boot_id", "due_ns", "faults", "hasty", "intervals", "pending", "probe_id",
    )  # fmt: skip

    def __init__(self) -> None:
        self.intervals: dict[int | None, OffsetInterval] = {}
        self.boot_id: int | None = None
        """The newest boot heard of."""
        self.due_ns: int | None = None
        self.probe_id = -1
        self.pending: dict[int, int] = {}
        self.answers = 0
        self.hasty = 0
        """Answers in a row after which the bound was still beyond the budget."""
        self.faults: Counter[str] = Counter()


@final
class Sync:
    """Aligns values to UTC; `sources` are the nodes to probe, one probe per `probe_period_ns`.

    `bound_max_ns` is the time budget: a value whose bound is wider gets an uncertain status.
    `storing` are the nodes that keep frames until they have a receipt.
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
    ) -> None:
        self._probe_period_ns = probe_period_ns
        self._drift_ppm = drift_ppm
        self._bound_max_ns = bound_max_ns
        self._unsynchronised_bound_ns = unsynchronised_bound_ns
        self._storing = frozenset(storing)
        self._findings: list[SyncCheck | ClockEstimate] = []
        self._held: list[tuple[Verified, int]] = []
        self._clocks = {source: _Clock() for source in sources}

    def tick(self, now_ns: int, host: HostState | None = None, /) -> None:
        """Let time pass; `host` is what the machine says of its clock, None in virtual time."""

    def refused(self, rejected: Rejected, now_ns: int, /) -> None:
        """Take note of a frame that verify refused: what was sent before, comes again."""

    def findings(self) -> list[SyncCheck | ClockEstimate]:
        """Return, and forget, what was found out about clocks since the last call."""
        found, self._findings = self._findings, []
        return found

    def is_holding(self, item: Verified, /) -> bool:
        """Tell whether a frame that was fed waits for the clock of its boot."""
        return any(held is item for held, _ in self._held)

    def released(self, _now_ns: int, /) -> list[tuple[Verified, list[Aligned]]]:
        """Return the frames whose wait is over, in the order they came, with their values."""
        return []

    def due_probes(self, now_ns: int) -> list[ProbeRequest]:
        """Return the probes to send now; each is due once per period, the first one at once."""
        due = []
        for source, clock in self._clocks.items():
            if clock.due_ns is not None and clock.due_ns - now_ns > self._probe_period_ns:
                self._fault(clock, "clock_set_back")
            if clock.due_ns is not None and now_ns < clock.due_ns:
                continue
            clock.due_ns = now_ns + self._probe_period_ns
            # Milliseconds make an id differ from those of an earlier run of the gateway.
            clock.probe_id = max(clock.probe_id + 1, now_ns // 1_000_000 % _PROBE_IDS) % _PROBE_IDS
            due.append(ProbeRequest(source=source, probe_id=clock.probe_id))
        return due

    def probe_sent(self, source: str, probe_id: int, sent_ns: int) -> None:
        """Take note of T1: a time not later than the probe's first byte on the wire."""
        pending = self._clocks[source].pending
        if len(pending) >= _PENDING_MAX:
            del pending[next(iter(pending))]
        pending[probe_id] = sent_ns

    def feed(self, item: Verified, _now_ns: int, /) -> list[Aligned]:
        """Return the values of a frame or poll on the common timeline (none for other frames)."""
        if item.tick_us is None:
            return _polled(item)
        clock = self._clock(item.source)
        interval = self._interval(clock, item.boot_id)
        if not interval.arrival(item.tick_us, item.received_ns):
            self._fault(clock, "sent_after_received")
        if item.content_type == content.TIME_ANSWER:
            self._answer(clock, interval, item, item.tick_us)
        return self._sealed(clock, item) if item.readings else []

    def place(self, item: Verified, tick_us: int) -> Placed:
        """Return when, on the common timeline, a node's clock stood at `tick_us` of a frame's boot.

        The frame was fed before, and the tick is not after its own.
        """
        clock = self._clock(item.source)
        interval = clock.intervals.get(item.boot_id)
        placed = None if interval is None else interval.time_of(tick_us)
        if placed is not None:
            return Placed(time_ns=placed[0], bound_ns=placed[1], is_known=True)
        age_us = 0 if item.tick_us is None else item.tick_us - tick_us
        bound_ns = self._unsynchronised_bound_ns
        if item.source in self._storing:
            bound_ns = max(bound_ns, UNPLACED_BOUND_NS)
        time_ns = item.received_ns - age_us * 1000
        return Placed(time_ns=time_ns, bound_ns=bound_ns, is_known=False)

    def is_known(self, source: str) -> bool:
        """Tell whether the clock of the newest boot of a node is known."""
        clock = self._clock(source)
        interval = clock.intervals.get(clock.boot_id)
        return interval is not None and interval.is_known

    def newest_boot(self, source: str) -> int:
        """Return the newest boot id heard of a node; -1 if none was."""
        boot_id = self._clock(source).boot_id
        return -1 if boot_id is None else boot_id

    def clocks(self, now_ns: int) -> list[ClockState]:
        """Return what is known of every node's clock at `now_ns`, sorted by name."""
        states = []
        for source, clock in sorted(self._clocks.items()):
            interval = clock.intervals.get(clock.boot_id)
            offset = None if interval is None else interval.at(now_ns)
            states.append(
                ClockState(
                    source=source,
                    boot_id=clock.boot_id,
                    is_known=offset is not None,
                    offset_ns=0 if offset is None else offset.offset_ns,
                    bound_ns=self._unsynchronised_bound_ns if offset is None else offset.bound_ns,
                    answers=clock.answers,
                    faults=dict(clock.faults),
                )
            )
        return states

    def _clock(self, source: str) -> _Clock:
        clock = self._clocks.get(source)
        if clock is None:
            clock = self._clocks[source] = _Clock()
        return clock

    def _interval(self, clock: _Clock, boot_id: int | None) -> OffsetInterval:
        """Return the clock of a boot; one newer than all others is probed at once."""
        interval = clock.intervals.get(boot_id)
        if interval is not None:
            return interval
        interval = clock.intervals[boot_id] = OffsetInterval(self._drift_ppm)
        if clock.boot_id is None or (boot_id or 0) > clock.boot_id:
            if clock.boot_id is not None:
                clock.pending.clear()
                clock.due_ns = None
            clock.hasty = 0
            clock.boot_id = boot_id
        if len(clock.intervals) > BOOTS_MAX:
            del clock.intervals[min(clock.intervals, key=lambda known: known or 0)]
        return interval

    def _fault(self, clock: _Clock, what: str) -> None:
        """Count a fault of this clock and probe again at once."""
        clock.faults[what] += 1
        clock.due_ns = None

    def _answer(
        self, clock: _Clock, interval: OffsetInterval, item: Verified, tick_us: int
    ) -> None:
        """Take the answer to a time probe: T1 was noted, T2 is inside, T3 is the seal's tick."""
        probe_id, probe_received_us = messages.decode_answer(item.payload)
        is_of_now = item.boot_id == clock.boot_id
        sent_ns = clock.pending.pop(probe_id, None) if is_of_now else None
        if sent_ns is None:
            clock.faults["unsolicited_answer"] += 1
            return
        clock.answers += 1
        if not interval.exchange(sent_ns, probe_received_us, tick_us, item.received_ns):
            self._fault(clock, "empty_intersection")
            return
        self._hasten(clock, interval, item.received_ns)

    def _hasten(self, clock: _Clock, interval: OffsetInterval, now_ns: int) -> None:
        """Probe again soon, but not for ever, while the bound is beyond the budget.

        A node that has just started has much to say, and its first answers wait for the line.
        """
        offset = interval.at(now_ns)
        if offset is not None and offset.bound_ns <= self._bound_max_ns:
            clock.hasty = 0
        elif clock.hasty < _HASTY_MAX and clock.due_ns is not None:
            clock.hasty += 1
            clock.due_ns = min(clock.due_ns, now_ns + _HASTY_NS)

    def _sealed(self, clock: _Clock, item: Verified) -> list[Aligned]:
        """Align the readings of a sealed frame; leave out those whose time cannot be."""
        sent_us = 0 if item.tick_us is None else item.tick_us
        aligned = []
        for reading in item.readings:
            tick_us = sent_us if reading.tick_us is None else reading.tick_us
            placed = self.place(item, tick_us)
            time_ns, bound_ns = placed.time_ns, placed.bound_ns
            if placed.is_known and reading.tick_us is not None:
                bound_ns += relative_time_error_ns(sent_us - tick_us)
            if not 0 <= time_ns < _TIME_END_NS or bound_ns >= _TIME_END_NS:
                clock.faults["time_out_of_range"] += 1
                continue
            is_accurate = placed.is_known and bound_ns <= self._bound_max_ns
            aligned.append(
                Aligned(
                    signal=reading.signal,
                    unit=reading.unit,
                    value=reading.value,
                    time_ns=time_ns,
                    bound_ns=bound_ns,
                    uncertainty_ns=bound_ns,
                    status=_status(reading.value, is_accurate=is_accurate),
                    provenance=item.provenance,
                    source=item.source,
                    sequence=item.sequence,
                )
            )
        return aligned


def _status(value: float, *, is_accurate: bool) -> int:
    """Return the status of a value whose time is known within the budget, or not."""
    if not math.isfinite(value):
        return status.BAD_SENSOR_FAILURE
    return status.GOOD if is_accurate else status.UNCERTAIN_SENSOR_NOT_ACCURATE


def _polled(item: Verified) -> list[Aligned]:
    """Align the values of a poll: taken somewhere between request and response."""
    requested_ns = item.received_ns if item.requested_ns is None else item.requested_ns
    time_ns = (requested_ns + item.received_ns) // 2
    return [
        Aligned(
            signal=reading.signal,
            unit=reading.unit,
            value=reading.value,
            time_ns=time_ns,
            bound_ns=item.received_ns - time_ns,
            uncertainty_ns=item.received_ns - time_ns,
            status=_status(reading.value, is_accurate=True),
            provenance=item.provenance,
            source=item.source,
            sequence=item.sequence,
        )
        for reading in item.readings
    ]
