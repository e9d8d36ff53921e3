"""A fast chip: its FIFO is drained in chunks, and a block of samples becomes a few features.

Promises: `start` and `poll` never raise for a chip that fails: it is named in `problems`, tried
again after 1 s, 2 s, 4 s .. 64 s, and nothing is reported meanwhile.  A block is complete with all
its samples, or it is dropped and counted: after samples that the chip lost, the next block begins
with the first sample behind the gap, and the filters start anew.  A wrong table is a problem too.
Time of a block: what is read at once ends half a period before the read; `middle_us` is the mean of
first and last sample, so a chip whose rate is off by 1 % moves no value.

`poll` makes no object but integers (clock times beyond 2**30 us and a reading of the bus, as the
board does it); `take` makes the floats of a block.

    {"name": "vibration", "part": "adxl355", "bus": 1, "address": null, "rate_hz": 4000,
     "block_samples": 4000, "options": {}, "features": [
        {"name": "x-rms", "axis": "x", "feature": "rms"},
        {"name": "x-band-1", "axis": "x", "feature": "band", "low_hz": 90, "high_hz": 110}]}

Rule of order: when `due_us` has come, `poll`; when then `is_complete`, `middle_us` and `take`; then
`take_captured`.
"""

from array import array

from drivers.errors import DriverError
from firmware.errors import ConfigError
from firmware.features_capture import Capture
from firmware.features_table import axes_of, bands_of, channels_of, parse_features
from firmware.kernels import CHUNK, copy_kernel
from firmware.sampling import find_bus, find_driver
from wire.kernel import const

NEVER_US = 1 << 62
_READ_TRIPLES = const(32)
"""At most so many are read at once, and more than so many go through the kernels together."""
_BACKOFF_US = const(1000000)
_BACKOFF_US_MAX = const(64000000)
_FIFO_BITS, _FIFO_TRIPLES = 20, 32
"""Of a driver that does not say: width of a count, depth of the FIFO."""


class Waveform:
    """One fast chip of the configuration `table` on the board `hal`."""

    def __init__(self, table, hal):
        self._table = table
        self._hal = hal
        self.name = table["name"]
        self.channels = channels_of(table)
        """[(name, unit)] of what `take` returns."""
        self.base_name = ""
        """Goes in front of the name in a captured piece; set by whoever knows the node."""
        self.due_us = NEVER_US
        """When the next `poll` is due."""
        self.is_complete = False
        self.start_us = self.middle_us = 0
        """First sample and middle of the block that `is_complete`."""
        self.blocks_dropped = 0
        self._features = []
        self._axes = []
        self._bands = None
        self._chip = None
        self._problem = None
        self._backoff_us = _BACKOFF_US
        self._period_ns = 1000000000 // table["rate_hz"]
        self._interval_us = 0
        self._narrow_bits = 0
        self._read = array("i", bytes(12 * _READ_TRIPLES))
        self._samples = array("i", bytes(12 * (CHUNK + _READ_TRIPLES)))
        self._held = 0
        self._capture = Capture(self.name, "m/s2", self._period_ns)
        self._overruns = 0
        self._count = 0
        self._is_running = self._has_reference = False
        self._first_us = 0

    def start(self) -> "list":
        """Find and start the chip; the problems, as `problems` has them."""
        try:
            self._prepare()
        except ConfigError as error:
            self._problem = "waveform %s: %s" % (self.name, error)
            return self.problems()
        self._run(self._hal.ticks_us())
        return self.problems()

    def problems(self) -> "list":
        """What is wrong now, in words."""
        found = [] if self._problem is None else [self._problem]
        if self.blocks_dropped:
            found.append("waveform %s: blocks dropped: %d" % (self.name, self.blocks_dropped))
        return found

    def poll(self) -> None:
        """Drain the FIFO, at most _READ_TRIPLES, and do the work that has become due."""
        now_us = self._hal.ticks_us()
        if not self._is_running:
            self._run(now_us)
            return
        if self.is_complete:
            # Nobody took it; its sums are needed for the next block.
            self.blocks_dropped += 1
            self.take()
        try:
            triples = self._chip.fifo_read_into(self._read)
        except DriverError as error:
            self._fail(error, now_us)
            return
        self.due_us = now_us if triples == _READ_TRIPLES else now_us + self._interval_us
        if self._chip.fifo_overruns != self._overruns:
            self._overruns = self._chip.fifo_overruns
            self._lose()
        if not self._capture.feed(self._read, triples, self._before_us(now_us, triples)):
            self._problem = "waveform %s: a capture was not taken in time" % self.name
        copy_kernel(self._samples, 3 * self._held, 3 * triples, self._read, 0)
        self._held += triples
        if self._bands is not None:
            self._bands.advance(triples)
        if self._held > _READ_TRIPLES:
            self._feed(min(self._held, CHUNK), self._before_us(now_us, self._held))

    def take(self) -> "list":
        """The features of the complete block, None for what cannot be told; the next one begins."""
        lsb = self._chip.fifo_lsb_m_s2
        found = [axis.finish(lsb) if axis is not None else None for axis in self._axes]
        values = []
        for axis, feature, band in self._features:
            if feature == "band":
                values.append(self._bands.value(axis, band, lsb * (1 << self._narrow_bits)))
            else:
                values.append(found[axis][feature])
        self._begin()
        return values

    def capture(self, samples: int):
        """Keep the next `samples` raw samples; None, or a text that says why not."""
        if not self._is_running:
            return "waveform %s is not running" % self.name
        return self._capture.begin(samples)

    def take_captured(self):
        """(payload of a raw block, tick that its time refers to), or None."""
        if self._chip is None:
            return None
        lsb = self._chip.fifo_lsb_m_s2
        return self._capture.take(self.base_name, lsb, self._hal.ticks_us())

    def _prepare(self) -> None:
        table = self._table
        driver = find_driver(table["part"])
        triples = min(getattr(driver, "FIFO_TRIPLES", _FIFO_TRIPLES) // 2, _READ_TRIPLES)
        self._interval_us = triples * self._period_ns // 1000
        # Differences of two counts need a bit more than a count.
        self._narrow_bits = max(getattr(driver, "FIFO_BITS", _FIFO_BITS) - 15, 0)
        self._features = parse_features(table)
        self._bands = bands_of(self._features, table)
        self._features = [(axis, feature, band) for axis, feature, band, _ in self._features]
        self._axes = axes_of(self._features, table["rate_hz"], self._narrow_bits, self._bands)
        bus = find_bus(self._hal, driver, table["bus"])
        try:
            self._chip = driver(
                bus, table["address"], sleep_us=self._hal.sleep_us, **table["options"]
            )
        except (TypeError, ValueError) as error:
            raise ConfigError("options of %s: %s" % (table["part"], error)) from None

    def _run(self, now_us: int) -> None:
        """Start the chip, or say when to try again."""
        try:
            self._chip.start()
            self._chip.fifo_start(self._table["rate_hz"])
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
        self.due_us = self._hal.ticks_us() + self._interval_us

    def _fail(self, error, now_us: int) -> None:
        if self._is_running and (self._count or self._held):
            self.blocks_dropped += 1
        self._capture.end()
        self._is_running = self.is_complete = False
        self._problem = "waveform %s: %s" % (self.name, error)
        self.due_us = now_us + self._backoff_us
        self._backoff_us = min(2 * self._backoff_us, _BACKOFF_US_MAX)

    def _lose(self) -> None:
        """Samples are missing: drop the block, and start the filters anew."""
        if self._count or self._held:
            self.blocks_dropped += 1
        self._held = 0
        if self._capture.end():
            self._problem = "waveform %s: a capture ended at lost samples" % self.name
        self._has_reference = False
        self._begin()

    def _before_us(self, now_us: int, triples: int) -> int:
        """When the first of `triples` was taken, the last of which was read at `now_us`."""
        return now_us - ((2 * triples - 1) * self._period_ns // 2) // 1000

    def _begin(self) -> None:
        self.is_complete = False
        self._count = 0
        for axis in self._axes:
            if axis is not None:
                axis.clear()
        if self._bands is not None:
            self._bands.begin()

    def _feed(self, count: int, first_us: int) -> None:
        """Take `count` of the samples that are held, or what the block still needs."""
        left = self._table["block_samples"] - self._count
        count = min(count, left)
        if not self._count:
            self._first_us = first_us
        for axis in self._axes:
            if axis is not None:
                if not self._has_reference:
                    axis.start(self._samples, 0, count)
                axis.feed(self._samples, 0, count)
        self._has_reference = True
        self._count += count
        self._held -= count
        copy_kernel(self._samples, 0, 3 * self._held, self._samples, 3 * count)
        if count == left:
            last_us = first_us + (count - 1) * self._period_ns // 1000
            self.start_us = self._first_us
            self.middle_us = (self._first_us + last_us) // 2
            self.is_complete = True
