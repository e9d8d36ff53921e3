"""A fast chip: its FIFO is drained in chunks, and a block of samples becomes a few features.

Promises: `start` and `poll` never raise for a chip that fails: it is named in `problems`, tried
again after 1 s, 2 s, 4 s .. 64 s, and nothing is reported meanwhile.  A block is complete with all
its samples, or it is dropped and counted: after samples that the chip lost the filters start anew,
and the next block begins behind the gap, half a second behind it where velocities are asked for,
whose filters have settled by then.  A wrong table is a problem too.
Time of a block: what is read at once ends half a period before the read; `middle_us` is the mean of
first and last sample, so a chip whose rate is off by 1 % moves no value.

`poll` is short, and `work` does one step, at most a few milliseconds of it, so that polls stay in
time: samples through the sums, a slice of a transform, the features of an axis.  Neither makes any
object but integers (clock times beyond 2**30 us and a reading of the bus, as the board does it),
until a block is complete: its features are floats.

    {"name": "vibration", "part": "adxl355", "bus": 1, "address": null, "rate_hz": 4000,
     "block_samples": 4000, "options": {}, "features": [
        {"name": "x-rms", "axis": "x", "feature": "rms"},
        {"name": "x-band-1", "axis": "x", "feature": "band", "low_hz": 90, "high_hz": 110}]}

Rule of order: `poll` from `due_us` on and before `limit_us`; between polls `work` until it does
nothing, and when then `is_complete`, `middle_us` and `take`; then `take_captured`.
"""

from array import array

from drivers.errors import DriverError
from firmware.errors import ConfigError
from firmware.kernels import CHUNK, copy_kernel
from wire.kernel import const

NEVER_US = 1 << 62
# At most so many are read at once; more than so many go through the kernels together; and so many
# may wait, for the end of a block takes the time of some polls.
_READ_TRIPLES, _FEED_TRIPLES, _HELD_TRIPLES = const(32), const(44), const(128)
_BACKOFF_US = const(1000000)
_BACKOFF_US_MAX = const(64000000)


class Waveform:
    """One fast chip of the configuration `table` on the board `hal`."""

    base_name = ""
    """Goes in front of the name in a captured piece; set by whoever knows the node."""
    due_us = limit_us = NEVER_US
    """When the next `poll` is due, and from when on it would find samples lost."""
    is_full = is_complete = False
    """Whether a block has all its samples, and all its features for `take`."""
    middle_us = blocks_dropped = 0
    _chip = _block = _capture = _problem = None
    _backoff_us = _BACKOFF_US
    _interval_us = _depth_us = 0
    _overruns = _held = _count = _first_us = _last_us = _captures = 0
    _is_running = _has_reference = False

    def __init__(self, table, hal):
        from firmware.features_table import build, channels_of

        self._hal = hal
        self.name = table["name"]
        self.channels = channels_of(table)
        self._rate_hz = table["rate_hz"]
        self._block_samples = table["block_samples"]
        self._period_ns = 1000000000 // self._rate_hz
        try:
            self._chip, self._block, triples = build(table, hal)
        except ConfigError as error:
            self._problem = "waveform %s: %s" % (self.name, error)
            return
        self._settle_samples = self._rate_hz // 2 if self._block.has_filters else 0
        # An eighth is kept for what comes between a poll and its reading.
        self._depth_us = triples * 7 // 8 * self._period_ns // 1000
        self._interval_us = min(triples * 11 // 16, _READ_TRIPLES) * self._period_ns // 1000
        self._read = array("i", bytes(12 * _READ_TRIPLES))
        self._samples = array("i", bytes(12 * _HELD_TRIPLES))

    def start(self) -> "list":
        """Find and start the chip; the problems, as `problems` has them."""
        if self._chip is not None:
            self._run(self._hal.ticks_us())
        return self.problems()

    def problems(self) -> "list":
        """What is wrong now, in words."""
        found = [] if self._problem is None else [self._problem]
        if self.blocks_dropped:
            found.append("waveform %s: blocks dropped: %d" % (self.name, self.blocks_dropped))
        return found

    def poll(self) -> bool:
        """Drain the FIFO, at most _READ_TRIPLES; whether that gives `work` or a take something."""
        now_us = self._hal.ticks_us()
        if not self._is_running:
            self._run(now_us)
            return False
        if self._held > _HELD_TRIPLES - _READ_TRIPLES:
            self._make_room()
        try:
            triples = self._chip.fifo_read_into(self._read)
        except DriverError as error:
            self._fail(error, now_us)
            return False
        self.due_us = now_us if triples == _READ_TRIPLES else now_us + self._interval_us
        self.limit_us = now_us + self._depth_us
        if self._chip.fifo_overruns != self._overruns:
            self._overruns = self._chip.fifo_overruns
            self._lose()
        capture = self._capture
        if capture and not capture.feed(self._read, triples, self._before_us(now_us, triples)):
            self._capture = None
            self._problem = "waveform %s: a capture was not taken in time" % self.name
        copy_kernel(self._samples, 3 * self._held, 3 * triples, self._read, 0)
        self._held += triples
        self._last_us = now_us
        if not self.is_full:
            self._block.credit(triples)
            return self._is_due() or self._capture is not None or self._block.has_work
        return True

    def work(self) -> bool:
        """Do one step of what the samples so far ask for; whether there was one."""
        if self.is_full:
            if self.is_complete:
                return False
            self.is_complete = self._block.finish(self._chip.fifo_lsb_m_s2)
            return True
        if not self._is_due():
            return self._is_running and self._block.work()
        self._feed()
        return True

    def _is_due(self) -> bool:
        """Whether the samples that are held should go through the sums."""
        return self._held > _FEED_TRIPLES or self._held >= self._block_samples - self._count

    def take(self) -> "list":
        """The features of the complete block, None for what cannot be told; the next one begins."""
        values = self._block.values
        self._begin()
        return values

    def capture(self, samples: int):
        """Keep the next `samples` raw samples; None, or a text that says why not."""
        if not self._is_running:
            return "waveform %s is not running" % self.name
        if self._capture is not None:
            return "a capture is running"
        from firmware.features_capture import SAMPLES_MAX, Capture

        if not 1 <= samples <= SAMPLES_MAX:
            return "a capture has 1 to %d samples" % SAMPLES_MAX
        self._captures += 1
        self._capture = Capture(self._captures, samples, self.name, "m/s2", self._period_ns)
        return None

    def take_captured(self):
        """(payload of a raw block, tick that its time refers to), or None."""
        if self._capture is None:
            return None
        lsb = self._chip.fifo_lsb_m_s2
        piece = self._capture.take(self.base_name, lsb, self._hal.ticks_us())
        if self._capture.is_done:
            self._capture = None
        return piece

    def _run(self, now_us: int) -> None:
        """Start the chip, or say when to try again."""
        try:
            self._chip.start()
            self._chip.fifo_start(self._rate_hz)
        except DriverError as error:
            self._fail(error, now_us)
            return
        except ValueError as error:
            self._problem = "waveform %s: %s" % (self.name, error)
            self.due_us = NEVER_US
            return
        self._problem = None
        self._backoff_us = _BACKOFF_US
        self._is_running = True
        self._overruns = self._chip.fifo_overruns
        self._has_reference = False
        self._held = 0
        self._begin()
        now_us = self._hal.ticks_us()
        self.due_us = now_us + self._interval_us
        self.limit_us = now_us + self._depth_us

    def _fail(self, error, now_us: int) -> None:
        if self._is_running:
            self._drop()
        self._capture = None
        self._is_running = self.is_full = self.is_complete = False
        self._problem = "waveform %s: %s" % (self.name, error)
        self.due_us = now_us + self._backoff_us
        self.limit_us = NEVER_US
        self._backoff_us = min(2 * self._backoff_us, _BACKOFF_US_MAX)

    def _lose(self) -> None:
        """Samples are missing: drop the block, and start the filters anew."""
        self._drop()
        if self._capture is not None:
            self._capture = None
            self._problem = "waveform %s: a capture ended at lost samples" % self.name
        self._has_reference = False
        self._begin()

    def _drop(self) -> None:
        """Count the block that has begun, if any: while the filters settle there is none."""
        if self._count > 0 or (self._count == 0 and self._held):
            self.blocks_dropped += 1
        self._held = 0

    def _make_room(self) -> None:
        """Nobody has worked for so long that what the FIFO has would find no room."""
        if self.is_full:
            # Nobody took it; its sums are needed for the next block.
            self.blocks_dropped += 1
            self._begin()
        self._feed()

    def _before_us(self, now_us: int, triples: int) -> int:
        """When the first of `triples` was taken, the last of which was read at `now_us`."""
        return now_us - ((2 * triples - 1) * self._period_ns // 2) // 1000

    def _begin(self) -> None:
        self.is_complete = self.is_full = False
        # Below zero the filters settle.
        self._count = 0 if self._has_reference else -self._settle_samples
        self._block.begin()

    def _feed(self) -> None:
        """Take the oldest CHUNK of the samples that are held, or what the block still needs."""
        left = self._block_samples - self._count if self._count >= 0 else -self._count
        count = min(self._held, CHUNK, left)
        first_us = self._before_us(self._last_us, self._held)
        if not self._count:
            self._first_us = first_us
        self._block.feed(self._samples, count, not self._has_reference)
        self._has_reference = True
        self._count += count
        self._held -= count
        copy_kernel(self._samples, 0, 3 * self._held, self._samples, 3 * count)
        if count == left and not self._count:
            self._block.begin()
            self._block.settle()
        elif count == left:
            last_us = first_us + (count - 1) * self._period_ns // 1000
            self.middle_us = (self._first_us + last_us) // 2
            self.is_full = True
