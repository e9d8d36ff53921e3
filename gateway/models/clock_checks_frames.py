"""What numbers and ticks of sealed frames say of the counter behind them, and when data comes late.

Numbers and ticks of one boot rise together. A frame whose number is above all others and whose tick
is a second or more below that of the highest one shows that the counter went back:

    it goes on as if it had begun again at a modulus          wrapped, once or more often
    it shows no more than has passed since that frame         restarted, under the same boot id
    else                                                      ran backwards

Data is late if it is older than `LATE_NS` when it comes, once some has come in time. `RUN` late
frames in a row that came in less than a quarter of the time in which they were sent were held back
together: a batch. `RUN` that keep coming late, one by one, and older than a limit are stale.

Promises: pure, bounded, one verdict for each frame at most; a tick beyond 2^63 ns is absurd and
moves nothing. Left to others: a tick too far ahead (models/node_clock.py: sent after received),
repeated numbers (stages/replay_window.py).
"""

from enum import StrEnum
from typing import Final, NamedTuple, final

LATE_NS: Final = 1_000_000_000
"""Lines and brokers hold a frame back for so long in good order; stages/silence.py has the same."""
RUN: Final = 3
PANIC_NS: Final = 1_000_000_000_000
"""RFC 5905 gives up on a clock that is 1000 s off: nobody steps a working clock by that much."""
MODULI_US: Final = (
    ("2^30 us", 1 << 30),
    ("2^31 us", 1 << 31),
    ("2^32 us", 1 << 32),
    ("2^29 ms", (1 << 29) * 1000),
    ("2^30 ms", (1 << 30) * 1000),
    ("2^31 ms", (1 << 31) * 1000),
    ("2^32 ms", (1 << 32) * 1000),
)
"""Where counters begin again: 30 bits of MicroPython's ticks, 31 and 32 bits of machines."""
_SLACK_US: Final = 2_000_000
"""How differently arrivals and sealings may be apart, beside one part in a thousand."""
_BACK_US: Final = 1_000_000
"""Less is left to exchanges, which see it as a step and measure it better."""
_NS_PER_US: Final = 1_000
_TICK_END_US: Final = (1 << 63) // _NS_PER_US


class Counter(StrEnum):
    """What a frame says of its node's counter."""

    WRAPPED = "wrapped"
    RESTARTED = "restarted"
    BACKWARDS = "backwards"
    REORDERED = "reordered"
    ABSURD = "absurd"


class CounterFinding(NamedTuple):
    """A verdict about a frame."""

    counter: Counter
    size_us: int
    """How far the counter is behind where it should be; the modulus it wrapped at; 0 for a frame
    out of order; an absurd tick itself."""
    since_ns: int
    """Arrival of the frame it is held against."""
    modulus: str = ""
    """Where it wrapped, for a person."""


@final
class FrameOrder:
    """Numbers and ticks of one boot of one node."""

    __slots__ = ("_data_high", "_high", "_received_ns", "_tick_us")

    def __init__(self) -> None:
        self._high = self._data_high = -1
        self._tick_us = self._received_ns = 0

    def frame(
        self, sequence: int, tick_us: int, received_ns: int, *, is_live: bool
    ) -> CounterFinding | None:
        """Take a frame in the order of arrival; return what is wrong with it, if anything is."""
        if not 0 <= tick_us < _TICK_END_US:
            return CounterFinding(Counter.ABSURD, tick_us, received_ns)
        if sequence <= self._high:
            return self._late(sequence, is_live=is_live)
        finding = None
        if self._high >= 0 and tick_us < self._tick_us - _BACK_US:
            finding = self._back(tick_us, received_ns)
        self._high, self._tick_us, self._received_ns = sequence, tick_us, received_ns
        if not is_live:
            self._data_high = sequence
        return finding

    def _late(self, sequence: int, *, is_live: bool) -> CounterFinding | None:
        """Answers overtake data, so only data behind data is out of order."""
        if is_live:
            return None
        if sequence < self._data_high:
            return CounterFinding(Counter.REORDERED, 0, self._received_ns)
        self._data_high = sequence
        return None

    def _back(self, tick_us: int, received_ns: int) -> CounterFinding:
        """Return why the counter is below where it was."""
        elapsed_us = max(received_ns - self._received_ns, 0) // _NS_PER_US
        slack_us = _SLACK_US + elapsed_us // 1000
        lost_us, since_ns = self._tick_us - tick_us, self._received_ns
        for words, modulus_us in MODULI_US:
            # How much further it would be had it not begun again, once or more often.
            short_us = self._tick_us + elapsed_us - tick_us
            times = (short_us + modulus_us // 2) // modulus_us
            is_near = times > 0 and abs(short_us - times * modulus_us) <= slack_us
            if is_near and max(self._tick_us, tick_us) < modulus_us:
                return CounterFinding(Counter.WRAPPED, modulus_us, since_ns, words)
        is_young = tick_us <= elapsed_us + slack_us
        if is_young and lost_us > slack_us:
            return CounterFinding(Counter.RESTARTED, lost_us + elapsed_us, since_ns)
        return CounterFinding(Counter.BACKWARDS, lost_us + elapsed_us, since_ns)


class Lateness(StrEnum):
    """How data comes late."""

    BATCH = "batch"
    STALE = "stale"


class LateData(NamedTuple):
    """Data that came late."""

    lateness: Lateness
    age_ns: int
    """Of the oldest frame of the run, when it came."""
    frames: int
    since_ns: int
    """Arrival of the first of them."""


@final
class Arrivals:
    """Ages of the data frames of one source, in the order of arrival."""

    __slots__ = ("_age_ns", "_count", "_first_ns", "_first_sent_ns", "_stale_ns", "_was_in_time",
                 "found")  # fmt: skip

    def __init__(self, stale_ns: int) -> None:
        self._stale_ns = stale_ns
        self._was_in_time = False
        self._count = self._age_ns = self._first_ns = self._first_sent_ns = 0
        self.found: LateData | None = None
        """The run of late frames that is going on."""

    @property
    def is_late(self) -> bool:
        """Tell whether the newest frame came late."""
        return self._count > 0

    def frame(self, sent_ns: int, received_ns: int, confirmed_ns: int) -> bool:
        """Take a frame; tell whether `found` has begun, changed its kind, or ended with it.

        confirmed_ns: last exchange that agreed with the clock by which `sent_ns` is stated. Before
        one is made, a run of frames all as late as each other may be a clock that stepped.
        """
        age_ns = received_ns - sent_ns
        if age_ns <= LATE_NS:
            was_late, self.found = self.found is not None, None
            self._was_in_time, self._count = True, 0
            return was_late
        if not self._was_in_time:
            return False
        if not self._count:
            self._first_ns, self._first_sent_ns, self._age_ns = received_ns, sent_ns, age_ns
        self._count += 1
        self._age_ns = max(self._age_ns, age_ns)
        lateness = self._lateness(sent_ns, received_ns, is_sure=confirmed_ns > self._first_ns)
        if lateness is None:
            return False
        before = self.found
        self.found = LateData(lateness, self._age_ns, self._count, self._first_ns)
        return before is None or before.lateness is not lateness

    def _lateness(self, sent_ns: int, received_ns: int, *, is_sure: bool) -> Lateness | None:
        if self._count < RUN:
            return None
        came_ns, sent_in_ns = received_ns - self._first_ns, sent_ns - self._first_sent_ns
        if 4 * came_ns < sent_in_ns:
            return Lateness.BATCH
        if is_sure and self._age_ns >= self._stale_ns and 2 * came_ns >= sent_in_ns:
            return Lateness.STALE
        return None if self.found is None else self.found.lateness
