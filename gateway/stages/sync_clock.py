"""One node's clocks, boot by boot, and what its frames say about them.

A frame is looked at in this order: number against tick (the counter), then against arrival (the
clock, the line), then what an answer to a probe says (offset, rate, path). A counter that went back
or leapt, an arrival before the sending and an exchange that contradicts what was certain make the
clock of that boot unknown: it is never moved in silence, and a probe is due at once. After an
exchange that contradicts, two have to agree before it is known again (sync_agreed.py).

Promises: bounded (boots, probes, numbers that are remembered); nothing here raises, whatever the
stamps. Frames sealed before a break of their clock keep no time of it: they count as unplaced.
Left to others: whose clock stepped, the records (sync.py).
"""

from collections import Counter, OrderedDict, deque
from typing import Final, NamedTuple, final

from gateway.models.clock_checks_exchange import ExchangeChecks, Found
from gateway.models.clock_checks_frames import (
    PANIC_NS,
    Arrivals,
    CounterFinding,
    FrameOrder,
)
from gateway.models.clock_checks_frames import Counter as CounterVerdict
from gateway.models.node_clock import (
    ArrivalVerdict,
    Crystal,
    Exchange,
    ExchangeVerdict,
    NodeClock,
    PlacedTime,
)
from gateway.records import Rejected, Verified
from gateway.records_time import SyncCause
from gateway.stages import sync_words as words
from gateway.stages.sync_agreed import AgreedClock, Stamps
from gateway.stages.sync_findings import Claim, Findings
from wire import content, messages

PENDING_MAX: Final = 8
"""Probes of one node that may be on their way; the oldest is forgotten first."""
BOOTS_MAX: Final = 8
_BEFORE_BOOT_NS: Final = 5_000_000_000
"""A node that has restarted sends again what it does not know to be receipted, then says so."""
_OUT_OF_ORDER: Final = 5
_OUT_OF_ORDER_NS: Final = 20_000_000_000
"""A node that stores sends again what got lost, so its data is out of order now and then: at a
frame a second and a loss of one in a hundred so often within this time once in a hundred days."""
_ANSWERED_MAX: Final = 32
_NUMBERS_MAX: Final = 256
_TWICE_NS: Final = 10_000_000_000
"""A frame that comes again within this time took two paths, or a repeater sent it."""
_AGAIN_NS: Final = 50_000_000_000
"""A node that stores its frames sends one again when no receipt has come for 15 s."""
_STRANGER_NS: Final = 60_000_000_000
"""Answers to probes of an earlier run of the gateway may come for so long."""
OF_THE_CLOCK: Final = (SyncCause.ASYMMETRIC_DELAY, SyncCause.DRIFT_BEYOND_CLASS)
"""Lasting findings that are over with the clock they are about."""


class CheckSettings(NamedTuple):
    """What the checks of a clock need to know."""

    crystal: Crystal
    period_s: float
    false_alarms_per_day: float
    asymmetry_min_ns: float
    stale_ns: int

    def checks(self, crystal: Crystal | None = None) -> ExchangeChecks:
        """Return checks for the exchanges of one clock."""
        return ExchangeChecks(
            self.crystal if crystal is None else crystal,
            false_alarms_per_day=self.false_alarms_per_day,
            period_s=self.period_s,
            asymmetry_min_ns=self.asymmetry_min_ns,
        )


@final
class BootClock:
    """The clock of one boot and what watches it."""

    __slots__ = ("_agreed", "checks", "first_sequence", "order", "used_ns")

    def __init__(self, settings: CheckSettings) -> None:
        self._agreed = AgreedClock(settings.crystal)
        self.checks = settings.checks()
        self.order = FrameOrder()
        self.first_sequence = 0
        """Frames with a lower number were sealed before the clock broke."""
        self.used_ns = 0
        """Arrival of the last answer that agreed."""

    @property
    def clock(self) -> NodeClock:
        """Return what is known of the clock."""
        return self._agreed.clock

    def may_become_known(self, sequence: int) -> bool:
        """Tell whether an answer may give a frame the time that it has not."""
        return not self.clock.is_known and sequence >= self.first_sequence

    def place(self, sequence: int, tick_us: int) -> PlacedTime | None:
        """Return when the clock stood at a tick of a frame; None if that is not known."""
        return self.clock.time_of(tick_us) if sequence >= self.first_sequence else None

    def exchange(self, stamps: Stamps, sequence: int) -> Exchange:
        """Take an answer with its number; one that contradicts makes the clock unknown."""
        exchange = self._agreed.exchange(stamps)
        if exchange.verdict is ExchangeVerdict.CONTRADICTION:
            self.first_sequence = sequence
        return exchange

    def renew(self, sequence: int, since_ns: int | None) -> None:
        """Follow the clock anew from its newest answer, which has this number.

        since_ns: it stepped after that moment; None: it did not, an answer before was false.
        """
        if self._agreed.renew(since_ns) and since_ns is not None:
            self.first_sequence = max(self.first_sequence, sequence)

    def break_off(self, sequence: int, *, with_checks: bool) -> None:
        """Forget the clock; from frame `sequence` on it is another one, or in doubt."""
        self._agreed.doubt()
        self.first_sequence = max(self.first_sequence, sequence)
        if with_checks:
            self.checks.restart()

    def withdraw(self) -> None:
        """Forget how the clock stands to the gateway's; the frames of the boot keep its own."""
        self._agreed.restart()
        self.checks.restart()


@final
class SourceClock:
    """All that is known of one node's time; made once for each node."""

    def __init__(self, source: str, settings: CheckSettings, *, is_storing: bool) -> None:
        self.source = source
        self.is_storing = is_storing
        self.boots: dict[int | None, BootClock] = {}
        self.boot_id: int | None = None
        """The newest boot heard of."""
        self.due_ns: int | None = None
        self.probe_id = -1
        self.pending: dict[int, int] = {}
        self.answers = 0
        self.hasty = 0
        """Answers in a row after which a probe was due soon."""
        self.faults: Counter[str] = Counter()
        self._settings = settings
        self._gone: deque[int] = deque(maxlen=_ANSWERED_MAX)
        """Probes that were answered."""
        self._withdrawn: deque[int] = deque(maxlen=_ANSWERED_MAX)
        """Probes of which a restart of the node makes the answer worthless."""
        self._numbers: OrderedDict[int, int] = OrderedDict()
        self._arrivals = Arrivals(settings.stale_ns)
        self._first_ns: int | None = None
        self._boot_ns: int | None = None
        """When the newest boot was heard first."""
        self._doubtful: tuple[Claim, int] | None = None
        """A frame that came again, unless a restart explains it; and when it came."""
        self._out_of_order: deque[int] = deque(maxlen=_OUT_OF_ORDER)

    @property
    def newest(self) -> BootClock | None:
        """Return the clock of the newest boot."""
        return self.boots.get(self.boot_id)

    def boot(self, boot_id: int | None, findings: Findings, now_ns: int) -> BootClock:
        """Return the clock of a boot; one newer than all others is probed at once."""
        known = self.boots.get(boot_id)
        if known is not None:
            return known
        made = self.boots[boot_id] = BootClock(self._settings)
        if self.boot_id is None or (boot_id or 0) > self.boot_id:
            if self.boot_id is not None:
                self._withdrawn.extend(self.pending)
                self.pending.clear()
                self.due_ns = None
                findings.forget(self.source, now_ns, OF_THE_CLOCK)
                self._arrivals = Arrivals(self._settings.stale_ns)
            self.hasty = 0
            self.boot_id = boot_id
            self._boot_ns, self._doubtful = now_ns, None
        if len(self.boots) > BOOTS_MAX:
            del self.boots[min(self.boots, key=lambda known_id: known_id or 0)]
        return made

    def fault(self, what: str) -> None:
        """Count a fault of this clock and probe again at once."""
        self.faults[what] += 1
        self.due_ns = None

    def frame(self, boot: BootClock, item: Verified, tick_us: int, findings: Findings) -> None:
        """Hold number, tick and arrival of a frame against each other and against the clock."""
        if self._first_ns is None:
            self._first_ns = item.received_ns
        self._numbers[item.sequence] = item.received_ns
        if len(self._numbers) > _NUMBERS_MAX:
            self._numbers.popitem(last=False)
        is_live = content.is_live(item.content_type)
        counter = boot.order.frame(item.sequence, tick_us, item.received_ns, is_live=is_live)
        if counter is not None:
            self._counted(boot, item, counter, findings)
            if counter.counter is CounterVerdict.ABSURD:
                return
        if item.sequence >= boot.first_sequence:
            self._arrived(boot, item, tick_us, findings)
            if not is_live:
                self._aged(boot, item, tick_us, findings)

    def answer(
        self, boot: BootClock, item: Verified, tick_us: int, findings: Findings
    ) -> list[Found] | None:
        """Take the answer to a probe: T1 was noted, T2 is inside, T3 is the seal's tick.

        Return what it brings to light; None for one that is not used.
        """
        probe_id, probe_received_us = messages.decode_answer(item.payload)
        is_of_now = item.boot_id == self.boot_id
        sent_ns = self.pending.pop(probe_id, None) if is_of_now else None
        if sent_ns is None:
            self._unasked(probe_id, item.received_ns, findings)
            return None
        self._gone.append(probe_id)
        self.answers += 1
        if item.sequence < boot.first_sequence:
            self.fault("answer_of_before")
            return None
        stamps = sent_ns, probe_received_us, tick_us, item.received_ns
        exchange = boot.exchange(stamps, item.sequence)
        match exchange.verdict:
            case ExchangeVerdict.USED:
                if boot.clock.is_known:
                    boot.used_ns = item.received_ns
            case ExchangeVerdict.CONTRADICTION:
                self.fault("empty_intersection")
            case _:
                self._impossible(exchange, item.received_ns, findings)
                return None
        return boot.checks.exchange(item.received_ns, exchange.offset_ns, exchange.delay_ns)

    def sent(self, probe_id: int, sent_ns: int) -> None:
        """Take note of a probe on its way; of too many the oldest is forgotten."""
        if len(self.pending) >= PENDING_MAX:
            del self.pending[next(iter(self.pending))]
        self.pending[probe_id] = sent_ns

    def refused(self, rejected: Rejected, now_ns: int, findings: Findings) -> None:
        """Take note of a frame that verify knew already."""
        if rejected.sequence is None or rejected.reason not in _REPEATS:
            return
        first_ns = self._numbers.get(rejected.sequence)
        age_ns = None if first_ns is None else rejected.received_ns - first_ns
        if age_ns is not None and 0 <= age_ns <= _TWICE_NS:
            claim = words.repeated(rejected.sequence, now_ns, age_ns)
            findings.counted(self.source, claim, now_ns)
        elif self._is_sent_again(age_ns, now_ns):
            self.faults["sent_again"] += 1
        elif self.is_storing:
            claim = words.repeated(rejected.sequence, now_ns, None)
            self._doubtful = self._doubtful or (claim, now_ns)
            self.tick(now_ns, findings)
        else:
            claim = words.repeated(rejected.sequence, now_ns, None)
            findings.counted(self.source, claim, now_ns)

    def tick(self, now_ns: int, findings: Findings) -> None:
        """Tell of a frame that came again when no restart has explained it."""
        if self._doubtful is None:
            return
        claim, since_ns = self._doubtful
        if not 0 <= now_ns - since_ns < _BEFORE_BOOT_NS:
            findings.counted(self.source, claim, now_ns)
            self._doubtful = None

    def _is_sent_again(self, age_ns: int | None, now_ns: int) -> bool:
        """Tell whether it is a node that stores, and sends what it has no receipt for."""
        if not self.is_storing:
            return False
        is_young = self._boot_ns is not None and 0 <= now_ns - self._boot_ns < _STRANGER_NS
        return is_young or (age_ns is not None and 0 <= age_ns <= _AGAIN_NS)

    def withdraw(self) -> None:
        """Follow all clocks anew: the gateway's own clock was set."""
        for boot in self.boots.values():
            boot.withdraw()
        self._withdrawn.extend(self.pending)
        self.pending.clear()
        self.due_ns = None

    def _counted(
        self,
        boot: BootClock,
        item: Verified,
        counter: CounterFinding,
        findings: Findings,
    ) -> None:
        """Tell what the counter did; if it went back, its clock is another one from here on."""
        claim = words.counter(counter, item.received_ns)
        if counter.counter is CounterVerdict.REORDERED:
            self._out_of_order.append(item.received_ns)
            oldest_ns = item.received_ns - self._out_of_order[0]
            is_often = len(self._out_of_order) == _OUT_OF_ORDER and oldest_ns <= _OUT_OF_ORDER_NS
            if is_often or not self.is_storing:
                findings.counted(self.source, claim, item.received_ns)
            return
        self.fault(counter.counter.value)
        if counter.counter is CounterVerdict.ABSURD:
            findings.counted(self.source, claim, item.received_ns)
            return
        findings.forget(self.source, item.received_ns, OF_THE_CLOCK)
        findings.happened(self.source, claim, item.received_ns)
        boot.break_off(item.sequence, with_checks=True)

    def _arrived(self, boot: BootClock, item: Verified, tick_us: int, findings: Findings) -> None:
        """Hold a tick against its arrival: nothing comes before it was sent."""
        arrival = boot.clock.arrival(tick_us, item.received_ns)
        if arrival.verdict is not ArrivalVerdict.SENT_AFTER_RECEIVED:
            return
        self.fault("sent_after_received")
        is_leap = -arrival.contradiction_ns >= PANIC_NS
        if is_leap:
            claim = words.leap(-arrival.contradiction_ns, boot.used_ns)
            findings.forget(self.source, item.received_ns, OF_THE_CLOCK)
            findings.happened(self.source, claim, item.received_ns)
        boot.break_off(item.sequence, with_checks=is_leap)

    def _aged(self, boot: BootClock, item: Verified, tick_us: int, findings: Findings) -> None:
        """Tell of data that comes late, and when it comes in time again."""
        placed = boot.place(item.sequence, tick_us)
        if placed is None:
            return
        was_late = self._arrivals.is_late
        is_news = self._arrivals.frame(placed.time_ns, item.received_ns, boot.used_ns)
        if self._arrivals.is_late and not was_late:
            # Late data and a clock that stepped look alike until an answer has come.
            self.due_ns = None
        if not is_news:
            return
        late = self._arrivals.found
        for cause in (SyncCause.BATCH_DELAY, SyncCause.STALE):
            findings.over(self.source, cause, item.received_ns)
        if late is not None:
            findings.lasting(self.source, words.late(late), item.received_ns)

    def _impossible(self, exchange: Exchange, now_ns: int, findings: Findings) -> None:
        """Tell of an answer whose stamps cannot be true; it changes nothing."""
        self.fault(exchange.verdict.value)
        claim = words.absurd_stamp("an answer", now_ns)
        if exchange.verdict is ExchangeVerdict.NEGATIVE_DELAY:
            claim = words.negative_delay(exchange.delay_ns, now_ns)
        findings.counted(self.source, claim, now_ns)

    def _unasked(self, probe_id: int, now_ns: int, findings: Findings) -> None:
        """Tell of an answer that nobody waits for, unless a restart explains it."""
        self.faults["unsolicited_answer"] += 1
        was_answered = probe_id in self._gone
        first_ns = now_ns if self._first_ns is None else self._first_ns
        is_explained = probe_id in self._withdrawn or now_ns - first_ns < _STRANGER_NS
        if was_answered or not is_explained:
            claim = words.answer_repeated(probe_id, now_ns, was_answered=was_answered)
            findings.counted(self.source, claim, now_ns)


_REPEATS: Final = ("replayed", "too_old", "stale_boot")
"""Reasons of verify for a frame that was sealed by the node, and is not new."""
