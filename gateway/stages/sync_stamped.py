"""A source that stamps its values and is never asked: its clock heard one way, held to the window.

    time = stamp + shift,   shift = lateness of the first stamp + change of offset since

as if the fastest message took no time. A value was taken after `received - window`, by the longest
delay that the site states, and not after it was received. That alone makes the bound hard, so a
stamp that leads out of the window gives no time: the value then gets the middle of its window.

    a stamp is far too early                       the clock jumped ahead: found at once
    `OUTSIDE` of `_LOOKED_AT` lead out of it       it was set back, or the first one was false
    none is new for `stale_ns`                     the device repeats itself, or its clock stands

After the first two the clock is heard anew. Promises: whatever the stamps, the value was taken
within bound of its time, if the longest delay is true; each finding once until it is quiet. Not
seen: a clock set back by less than the window, which looks like a delay. Left to others: dates that
no clock shows (sync_dated.py).
"""

from collections import OrderedDict, deque
from typing import Final, final

from gateway.models.clock_one_way import HeardVerdict, OneWayBelief, OneWayClock
from gateway.records import Verified
from gateway.records_time import SyncCause
from gateway.stages import sync_words as words
from gateway.stages.sync_findings import Findings
from gateway.stages.sync_placed import Placed, arrived, between

OUTSIDE: Final = 3
"""Messages in a row are no luck; one that came late, or was sent again, is."""
_LOOKED_AT: Final = 8
_SIGNALS_MAX: Final = 4096
"""Signals of one source whose stamps are remembered."""
_KNOWN_AFTER: Final = 16
"""Stamps after which the shortest delay is known; till then one as long as the window is likely."""


@final
class StampedClock:
    """What the stamps of one source say of its clock."""

    def __init__(self, source: str, drift_ppm: float, unknown_bound_ns: int, stale_ns: int) -> None:
        self._source = source
        self._unknown_bound_ns = unknown_bound_ns
        self._stale_ns = stale_ns
        self._heard = OneWayClock(drift_ppm=drift_ppm)
        self._newest_ns = -1
        self._shown: OrderedDict[str, int] = OrderedDict()
        """By signal: its newest stamp."""
        self._moved_ns = 0
        """Arrival of the last message with news."""
        self._repeats = 0
        self._first_lateness_ns = 0
        self._gained_ns = 0.0
        """By how much stamps have come sooner than any before, beyond what was told of it."""
        self._were_outside: deque[bool] = deque(maxlen=_LOOKED_AT)

    @property
    def is_heard(self) -> bool:
        """Tell whether there is a stamp to begin from."""
        return self._heard.heard > 0

    def change(self, now_ns: int) -> OneWayBelief | None:
        """Return what is known of rate and change of offset."""
        return self._heard.at(now_ns)

    def restart(self) -> None:
        """Begin anew: the clock was set, or the gateway's own was."""
        self._heard.restart()
        self._newest_ns = -1
        self._gained_ns = 0.0
        self._were_outside.clear()

    def news(self, item: Verified, findings: Findings) -> int | None:
        """Return the newest stamp of a message that its signal did not show before.

        A value that did not change keeps its stamp. None if all did; told if that is so for long.
        """
        stamps = [
            each.stamp_ns
            for each in item.readings
            if each.stamp_ns is not None and self._is_new(each.signal, each.stamp_ns)
        ]
        if stamps:
            if self._repeats:
                findings.over(self._source, SyncCause.STALE, item.received_ns)
            self._moved_ns, self._repeats = item.received_ns, 0
            return max(stamps)
        if any(each.stamp_ns is not None for each in item.readings):
            self._repeated(item.received_ns, findings)
        return None

    def take(self, stamp_ns: int, item: Verified, findings: Findings) -> None:
        """Take a stamp that is news and whose date may be right."""
        received_ns = item.received_ns
        behind_ns = received_ns - self._shifted_ns(stamp_ns, received_ns)
        window_ns = self.window_ns(item)
        is_outside = self.is_heard and behind_ns > window_ns
        self._were_outside.append(is_outside)
        if sum(self._were_outside) >= OUTSIDE:
            is_backwards = stamp_ns < self._newest_ns
            claim = words.set_back(behind_ns, window_ns, received_ns, is_backwards=is_backwards)
            findings.counted(self._source, claim, received_ns)
            self.restart()
            is_outside = False
        if stamp_ns > self._newest_ns and not is_outside:
            self._hear(stamp_ns, item, findings)

    def place(self, stamp_ns: int, item: Verified) -> Placed:
        """Return when a value was taken; its bound is the whole window in which it may have been.

        The window is known as surely as the site's longest delay, its middle no better than that.
        """
        window_ns = self.window_ns(item)
        received_ns = item.received_ns
        time_ns = min(self._shifted_ns(stamp_ns, received_ns), received_ns)
        if not self.is_heard or time_ns < received_ns - window_ns:
            return between(item) if item.requested_ns is not None else arrived(item, window_ns)
        return Placed(time_ns=time_ns, bound_ns=window_ns, is_known=False, uncertainty_ns=window_ns)

    def window_ns(self, item: Verified) -> int:
        """Return how long before its arrival a value may have been taken."""
        requested_ns = item.received_ns if item.requested_ns is None else item.requested_ns
        return max(self._unknown_bound_ns, item.received_ns - requested_ns)

    def _shifted_ns(self, stamp_ns: int, received_ns: int) -> int:
        belief = self._heard.at(received_ns)
        change_ns = 0 if belief is None else belief.change_ns
        return stamp_ns + self._first_lateness_ns + change_ns

    def _hear(self, stamp_ns: int, item: Verified, findings: Findings) -> None:
        self._newest_ns = stamp_ns
        received_ns, window_ns = item.received_ns, self.window_ns(item)
        is_first = not self.is_heard
        heard = self._heard.hear(stamp_ns, received_ns)
        if heard.verdict is HeardVerdict.EARLY:
            self._gained_ns += -heard.excess_ns
            if self._heard.heard >= _KNOWN_AFTER or self._gained_ns > window_ns:
                claim = words.ahead(self._gained_ns, heard.deviation_ns, received_ns)
                findings.counted(self._source, claim, received_ns)
                self._gained_ns = 0.0
            self._heard.restart()
            self._were_outside.clear()
            heard = self._heard.hear(stamp_ns, received_ns)
            is_first = True
        if is_first:
            self._first_lateness_ns = heard.lateness_ns

    def _is_new(self, signal: str, stamp_ns: int) -> bool:
        before_ns = self._shown.pop(signal, None)
        self._shown[signal] = stamp_ns
        if len(self._shown) > _SIGNALS_MAX:
            self._shown.popitem(last=False)
        return before_ns != stamp_ns

    def _repeated(self, received_ns: int, findings: Findings) -> None:
        """Take note of a message without news; tell when it has been so for long."""
        self._repeats += 1
        age_ns = received_ns - self._moved_ns
        if self._repeats >= OUTSIDE and age_ns >= self._stale_ns:
            claim = words.stands_still(age_ns, self._moved_ns)
            findings.lasting(self._source, claim, received_ns)
