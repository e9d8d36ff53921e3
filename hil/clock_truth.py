"""Whether the times that the gateway states are true: the rig knows when each tick was.

A value taken at a node's tick T was taken at a true moment t with reading(t) = T. Stated is t' with
the hard bound b, so the claim is |t' - t| <= b. The clock being monotone around t', that is

    reading(t' - b) <= T + 1 us   and   T <= reading(t' + b),

which needs no inverse. The error of t' is reading(t') - T, but for the rate, a part in 10^4.
An estimate states the offset o at t', true is t' - reading(t').
All of it is stated in the gateway's time, which may itself be wrong: t' is taken back to virtual
time by the error that the gateway's clock has when it states it.

Promises: counts, by node and apart for quiet times and for times with a fault in force, in which a
clock that lies breaks every bound until it is found out. Nothing is judged in between.
Leaves to others: what is printed (`clock_report.py`).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, final

from gateway.records import Aligned, Record, Verified
from gateway.records_time import ClockEstimate
from gateway.stages.sync import UNPLACED_BOUND_NS
from hil.board_clock import NOMINAL, BoardClock

_TICK_NS: Final = 1_000
_FRAMES_MAX: Final = 256
"""Frames of which values may still come; the oldest is forgotten first."""


@final
@dataclass(slots=True)
class Tally:
    """Claims of one kind about one node."""

    claims: int = 0
    broken: int = 0
    """Claims whose hard bound does not hold the truth."""
    covered: int = 0
    """Claims whose expanded uncertainty (k = 2) does."""
    error_max_ns: int = 0
    bound_sum_ns: int = 0
    uncertainty_sum_ns: int = 0

    def add(self, error_ns: int, bound_ns: int, uncertainty_ns: int, slack_ns: int) -> None:
        """Count a claim; `slack_ns`: how much the counter hides by showing whole steps."""
        self.claims += 1
        self.broken += not -bound_ns <= error_ns <= bound_ns + slack_ns
        self.covered += -uncertainty_ns <= error_ns <= uncertainty_ns + slack_ns
        self.error_max_ns = max(self.error_max_ns, abs(error_ns))
        self.bound_sum_ns += bound_ns
        self.uncertainty_sum_ns += uncertainty_ns


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTruth:
    """What came out for one node."""

    node: str
    values: Tally = field(default_factory=Tally)
    """Values in quiet times."""
    values_in_fault: Tally = field(default_factory=Tally)
    estimates: Tally = field(default_factory=Tally)
    """Offsets told in quiet times."""


@final
class ClockTruth:
    """The witness; `see` every record with the virtual time at which it was made.

    clocks: by node, as the boards have them; started_ns(node): when its present boot began;
    epoch_ns: UTC of virtual time 0; gateway: its clock, which shows virtual time if it is right;
    is_in_fault(node, virtual ns): whether a fault may show then.
    """

    def __init__(
        self,
        clocks: Mapping[str, BoardClock],
        started_ns: Callable[[str], int],
        epoch_ns: int,
        is_in_fault: Callable[[str, int], bool],
        gateway: BoardClock = NOMINAL,
    ) -> None:
        self._clocks = clocks
        self._started_ns = started_ns
        self._epoch_ns = epoch_ns
        self._is_in_fault = is_in_fault
        self._gateway = gateway
        self._now_ns = 0
        self._ticks: OrderedDict[tuple[str, int], Mapping[str, int]] = OrderedDict()
        self._boots: dict[str, tuple[int, int]] = {}
        self._found = {node: NodeTruth(node=node) for node in clocks}

    @property
    def nodes(self) -> tuple[NodeTruth, ...]:
        """What has been counted, in the order of the scenario."""
        return tuple(self._found.values())

    def see(self, records: Iterable[Record], now_ns: int) -> None:
        """Take the records that were made at a virtual time."""
        self._now_ns = now_ns
        for record in records:
            match record:
                case Verified() if record.source in self._clocks:
                    self._note(record)
                case Aligned() if record.source in self._clocks:
                    self._value(record)
                case ClockEstimate() if record.source in self._clocks:
                    self._estimate(record)
                case _:
                    pass

    def _note(self, record: Verified) -> None:
        boot_id = record.boot_id or 0
        if boot_id > self._boots.get(record.source, (-1, 0))[0]:
            self._boots[record.source] = boot_id, self._started_ns(record.source)
        if boot_id != self._boots[record.source][0]:
            return
        sent_us = record.tick_us or 0
        self._ticks[record.source, record.sequence] = {
            reading.signal: sent_us if reading.tick_us is None else reading.tick_us
            for reading in record.readings
        }
        if len(self._ticks) > _FRAMES_MAX:
            self._ticks.popitem(last=False)

    def _value(self, record: Aligned) -> None:
        ticks = self._ticks.get((record.source, record.sequence))
        # What is stated so wide states nothing: it waited in a node for nobody knows how long.
        if ticks is None or record.signal not in ticks or record.bound_ns >= UNPLACED_BOUND_NS:
            return
        virtual_ns = self._virtual_ns(record.time_ns)
        shown_ns = self._reading_ns(record.source, virtual_ns)
        in_fault = self._may_lie(record.source, virtual_ns)
        found = self._found[record.source]
        tally = found.values_in_fault if in_fault else found.values
        error_ns = shown_ns - ticks[record.signal] * 1000
        tally.add(error_ns, record.bound_ns, record.uncertainty_ns, _TICK_NS)

    def _estimate(self, record: ClockEstimate) -> None:
        if record.offset_ns is None or record.bound_ns is None or not record.is_two_way:
            return
        virtual_ns = self._virtual_ns(record.time_ns)
        if self._may_lie(record.source, virtual_ns):
            return
        true_ns = record.time_ns - self._reading_ns(record.source, virtual_ns)
        uncertainty_ns = record.bound_ns if record.uncertainty_ns is None else record.uncertainty_ns
        tally = self._found[record.source].estimates
        tally.add(record.offset_ns - true_ns, record.bound_ns, uncertainty_ns, _TICK_NS)

    def _virtual_ns(self, stated_ns: int) -> int:
        """Return when the gateway's clock showed a time, if it had no leap since."""
        shown_ns = stated_ns - self._epoch_ns
        error_ns = self._gateway.reading_ns(self._now_ns) - self._now_ns
        virtual_ns = max(0, shown_ns - error_ns)
        return virtual_ns + shown_ns - self._gateway.reading_ns(virtual_ns)

    def _may_lie(self, node: str, stated_ns: int) -> bool:
        """Tell whether a fault may show in a time that is stated now."""
        return self._is_in_fault(node, stated_ns) or self._is_in_fault(node, self._now_ns)

    def _reading_ns(self, node: str, virtual_ns: int) -> int:
        started_ns = self._boots.get(node, (0, 0))[1]
        return self._clocks[node].reading_ns(virtual_ns, started_ns)
