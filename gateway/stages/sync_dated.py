"""Sources that show a date: a polled device with a calendar, a server that stamps its values.

    asked for its clock     request and response are the four stamps of an exchange (T2 = T3): the
                            offset has a hard bound, and all checks of a node's clock apply
    stamps its values only  heard one way: rate and change of offset; a jump ahead can be seen,
                            a jump back looks like a delay, and the offset itself cannot be known

Promises for a value with a stamp: with a clock that is known, the stamp on the gateway's time scale
with that clock's bound, if the stamp is by that clock. A stamp that is new must lie between the
poll before and this one; where it does not, it is by another clock (a device behind the server),
and the value gets the time of its poll like one without a stamp. What cannot be seen is a clock
behind the server that is off by less than the time between two polls. Heard one way: inside the
window that the site states (sync_stamped.py). A date that no clock at work shows is a finding,
unless most calendars say that it is the gateway's that is wrong (sync_gateway.py). A poll that
contradicts makes the clock unknown until two agree (sync_agreed.py). A clock that is read off more
coarsely at times counts as that coarse. Bounded by the number of sources and signals.
Left to others: the clocks of nodes (sync_clock.py), whose clock stepped (sync.py).
"""

from collections import OrderedDict
from typing import Final, final

from gateway.models.clock_checks_calendars import Shown
from gateway.models.clock_checks_exchange import ExchangeChecks, Found
from gateway.models.clock_checks_stamps import wrong_date
from gateway.models.clock_one_way import OneWayBelief
from gateway.models.node_clock import ExchangeVerdict, NodeClock, PlacedTime
from gateway.records import Reading, Verified
from gateway.records_time import SyncCause
from gateway.stages import sync_words as words
from gateway.stages.sync_agreed import AgreedClock
from gateway.stages.sync_clock import OF_THE_CLOCK, CheckSettings
from gateway.stages.sync_findings import Findings
from gateway.stages.sync_placed import Placed, arrived, between
from gateway.stages.sync_stamped import StampedClock

_NS_PER_US: Final = 1_000
_SIGNALS_MAX: Final = 4096
"""Signals of one source whose stamps are remembered."""
_OF_THE_DATE: Final = (SyncCause.CLOCK_UNSET, SyncCause.ABSURD_STAMP)


@final
class DatedClock:
    """The calendar of one source; made once for each."""

    def __init__(self, source: str, settings: CheckSettings, unknown_bound_ns: int) -> None:
        self.source = source
        self.answers = 0
        self.told_ns: int | None = None
        """When an estimate of it was made."""
        self.shown: Shown | None = None
        """What the newest poll says of its date; None: nothing, or that nobody has set it."""
        self._settings = settings
        self._unknown_bound_ns = unknown_bound_ns
        self._is_right = True
        self._two_way: tuple[AgreedClock, ExchangeChecks] | None = None
        self._stamped = StampedClock(
            source, settings.crystal.drift_ppm, unknown_bound_ns, settings.stale_ns
        )
        self._asked_ns: int | None = None
        self._asked_before_ns: int | None = None
        """When the poll before this one was asked for."""
        self._believed: OrderedDict[str, tuple[int, bool]] = OrderedDict()
        """By signal: its newest stamp, and whether that was by the clock the source shows."""

    @property
    def clock(self) -> NodeClock | None:
        """Return the clock of a source that was asked for it and whose date may be right."""
        return self._two_way[0].clock if self._two_way is not None and self._is_right else None

    @property
    def is_one_way(self) -> bool:
        """Tell whether the source was never asked for its clock, and stamps its values."""
        return self._two_way is None and self._stamped.is_heard

    def change(self, now_ns: int) -> OneWayBelief | None:
        """Return what is known of a clock that is heard one way."""
        return self._stamped.change(now_ns)

    @property
    def is_suspect(self) -> bool:
        """Tell whether something has changed and it is not clear yet what."""
        return self._two_way is not None and self._two_way[1].is_suspect

    def poll(self, item: Verified, findings: Findings) -> list[Found] | None:
        """Take what a poll says of the source's clock; return what its exchange brought to light.

        None when there was no exchange, or none that could be used.
        """
        self.shown = None
        self._asked_before_ns = self._asked_ns
        self._asked_ns = item.received_ns if item.requested_ns is None else item.requested_ns
        if item.clock_ns is not None:
            return self._exchange(item, item.clock_ns, findings)
        if self._two_way is None:
            stamp_ns = self._stamped.news(item, findings)
            if stamp_ns is not None:
                from_ns = item.received_ns - self._stamped.window_ns(item)
                self._show(stamp_ns, from_ns, item.received_ns)
            if stamp_ns is not None and self._is_date(stamp_ns, item.received_ns, findings):
                self._stamped.take(stamp_ns, item, findings)
        return None

    def renew(self, since_ns: int | None) -> None:
        """Follow the clock anew: it stepped after a moment; None: an exchange before was false."""
        if self._two_way is not None:
            self._two_way[0].renew(since_ns)

    def restart(self) -> None:
        """Forget how the clock stands: it is another one, or the gateway's own was set."""
        if self._two_way is not None:
            clock, checks = self._two_way
            clock.restart()
            checks.restart()
        self._stamped.restart()

    def place(self, item: Verified, reading: Reading) -> Placed:
        """Return when the value of a poll was taken."""
        stamp_ns = reading.stamp_ns
        if stamp_ns is None:
            return between(item)
        if wrong_date(stamp_ns, item.received_ns) is not None:
            return arrived(item, self._unknown_bound_ns)
        clock = self.clock
        placed = None if clock is None else clock.time_of(stamp_ns // _NS_PER_US)
        if placed is not None:
            if not self._believes(reading.signal, stamp_ns, placed, item.received_ns):
                return between(item)
            time_ns = min(placed.time_ns, item.received_ns)
            bound_ns = placed.bound_ns + placed.time_ns - time_ns
            uncertainty_ns = min(placed.uncertainty_ns + placed.time_ns - time_ns, bound_ns)
            return Placed(
                time_ns=time_ns, bound_ns=bound_ns, is_known=True, uncertainty_ns=uncertainty_ns
            )
        if self._two_way is not None:
            return arrived(item, self._stamped.window_ns(item))
        return self._stamped.place(stamp_ns, item)

    def _believes(self, signal: str, stamp_ns: int, placed: PlacedTime, received_ns: int) -> bool:
        """Tell whether a stamp is by the clock that the source shows; one stamp has one answer.

        A value that was not there in the poll before was taken after that was asked for.
        """
        before = self._believed.get(signal)
        if before is not None and before[0] == stamp_ns:
            return before[1]
        is_possible = (
            self._asked_before_ns is not None
            and placed.time_ns + placed.bound_ns >= self._asked_before_ns
            and placed.time_ns - placed.bound_ns <= received_ns
        )
        self._believed[signal] = stamp_ns, is_possible
        self._believed.move_to_end(signal)
        if len(self._believed) > _SIGNALS_MAX:
            self._believed.popitem(last=False)
        return is_possible

    def _exchange(self, item: Verified, clock_ns: int, findings: Findings) -> list[Found] | None:
        sent_ns = item.received_ns if item.requested_ns is None else item.requested_ns
        self._show(clock_ns, sent_ns - item.clock_resolution_ns, item.received_ns)
        if not self._is_date(clock_ns, item.received_ns, findings):
            return None
        clock, checks = self._of_resolution(item.clock_resolution_ns)
        shown_us = clock_ns // _NS_PER_US
        exchange = clock.exchange((sent_ns, shown_us, shown_us, item.received_ns))
        if exchange.verdict not in {ExchangeVerdict.USED, ExchangeVerdict.CONTRADICTION}:
            claim = words.absurd_stamp("a poll", item.received_ns)
            findings.counted(self.source, claim, item.received_ns)
            return None
        self.answers += 1
        return checks.exchange(item.received_ns, exchange.offset_ns, exchange.delay_ns)

    def _of_resolution(self, resolution_ns: int) -> tuple[AgreedClock, ExchangeChecks]:
        """Return the clock for a resolution; of several that it showed, the coarsest holds."""
        two_way = self._two_way
        tick_ns = max(resolution_ns, self._settings.crystal.tick_ns)
        if two_way is None or two_way[0].clock.crystal.tick_ns < tick_ns:
            crystal = self._settings.crystal._replace(tick_ns=tick_ns)
            two_way = self._two_way = AgreedClock(crystal), self._settings.checks(crystal)
        return two_way

    def _show(self, clock_ns: int, from_ns: int, till_ns: int) -> None:
        """Take note of what the source showed; it was its date between two of the gateway's."""
        error_ns = (till_ns - from_ns + 1) // 2
        self.shown = Shown(from_ns + error_ns - clock_ns, error_ns)

    def _is_date(self, stamp_ns: int, now_ns: int, findings: Findings) -> bool:
        """Tell whether a date may be right; a wrong one is a finding until a right one comes."""
        found = wrong_date(stamp_ns, now_ns)
        if found is not None:
            if self._is_right:
                findings.forget(self.source, now_ns, OF_THE_CLOCK)
            self._is_right = False
            claim = words.date(found, now_ns)
            if found.is_unset:
                self.shown = None
                findings.lasting(self.source, claim, now_ns)
            else:
                # Whether it is the gateway's date that is wrong, the others tell.
                findings.defer(self.source, claim, lasts=True)
            return False
        if not self._is_right:
            self._is_right = True
            findings.forget(self.source, now_ns, _OF_THE_DATE)
            self.restart()
        return True
