"""A run of raw samples of a fast chip, cut into pieces that fit a frame.

Promises: samples of a capture follow each other without a gap, or it ends and says so; a piece is
made when nothing more fits, or the capture is complete.  The buffer is made when a capture begins
and goes when it ends.  Rule of order: `begin`, then `feed` and `take` in turn.
"""

from array import array

from firmware.kernels import CHUNK, copy_kernel
from wire.kernel import const
from wire.raw_block import INT32, RawBlock, encode_raw_block

SAMPLES_MAX = 65536
_AXES = const(3)
_PIECE_SAMPLES = const(128)


class Capture:
    """Captures of one waveform, numbered from 1 since the start."""

    def __init__(self, name, unit, period_ns):
        self._name = name
        self._unit = unit
        self._period_ns = period_ns
        self._id = 0
        self._buffer = None
        self._total = self._first = self._held = 0
        self._first_us = 0

    def begin(self, samples: int):
        """Begin a capture of so many samples; None, or a text that says why not."""
        if self._buffer is not None:
            return "a capture is running"
        if not 1 <= samples <= SAMPLES_MAX:
            return "a capture has 1 to %d samples" % SAMPLES_MAX
        self._id += 1
        self._total = samples
        self._first = self._held = 0
        self._buffer = array("i", bytes(4 * _AXES * _PIECE_SAMPLES))
        return None

    def end(self) -> bool:
        """End the capture where it is; whether there was one."""
        was_running = self._buffer is not None
        self._buffer = None
        return was_running

    def feed(self, samples, triples: int, first_us: int) -> bool:
        """Take `triples` triples, the first of `first_us`; False when they had no room."""
        if self._buffer is None:
            return True
        if self._is_ready():
            return not self.end()
        if not self._held:
            self._first_us = first_us
        count = min(triples, self._total - self._first - self._held)
        copy_kernel(self._buffer, _AXES * self._held, _AXES * count, samples, 0)
        self._held += count
        return True

    def take(self, base_name: str, lsb: float, now_us: int):
        """(payload, tick that its time refers to) of a piece that is ready, or None."""
        if self._buffer is None or not self._is_ready():
            return None
        data = bytes(memoryview(self._buffer)[: _AXES * self._held])
        block = RawBlock(
            self._id, self._first, self._total, self._period_ns, lsb, _AXES, INT32, data
        )
        time_s = min(self._first_us - now_us, 0) / 1000000
        payload = encode_raw_block(base_name, self._name, self._unit, time_s, block)
        self._first += self._held
        self._held = 0
        if self._first == self._total:
            self.end()
        return payload, now_us

    def _is_ready(self) -> bool:
        is_complete = self._first + self._held == self._total
        return is_complete or self._held > _PIECE_SAMPLES - CHUNK
