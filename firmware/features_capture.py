"""A run of raw samples of a fast chip, cut into pieces that fit a frame.

Promises: samples of a capture follow each other without a gap, or it ends and says so; a piece is
made when nothing more fits, or the capture is complete.  A capture is an object of its own, which
takes 2 KiB while it runs.  Rule of order: `feed` and `take` in turn until it `is_done`.
"""

from array import array

from firmware.kernels import CHUNK, copy_kernel
from wire.kernel import const
from wire.raw_block import INT32, RawBlock, encode_raw_block

SAMPLES_MAX = 65536
_AXES = const(3)
_PIECE_SAMPLES = const(128)


class Capture:
    """Capture number `capture_id` of a waveform: its next `samples` samples."""

    def __init__(self, capture_id: int, samples: int, name: str, unit: str, period_ns: int) -> None:
        self._id = capture_id
        self._total = samples
        self._name = name
        self._unit = unit
        self._period_ns = period_ns
        self._buffer = array("i", bytes(4 * _AXES * _PIECE_SAMPLES))
        self._first = self._held = 0
        self._first_us = 0

    @property
    def is_done(self) -> bool:
        """Whether every piece was taken."""
        return self._first == self._total

    def feed(self, samples, triples: int, first_us: int) -> bool:
        """Take `triples` triples, the first of `first_us`; False when they had no room."""
        count = min(triples, self._total - self._first - self._held)
        if self._held + count > _PIECE_SAMPLES:
            return False
        if not self._held:
            self._first_us = first_us
        copy_kernel(self._buffer, _AXES * self._held, _AXES * count, samples, 0)
        self._held += count
        return True

    def take(self, base_name: str, lsb: float, now_us: int):
        """(payload, tick that its time refers to) of a piece that is ready, or None."""
        if not self._is_ready():
            return None
        data = memoryview(self._buffer)[: _AXES * self._held]
        block = RawBlock(
            self._id, self._first, self._total, self._period_ns, lsb, _AXES, INT32, bytes(data)
        )
        time_s = min(self._first_us - now_us, 0) / 1000000
        payload = encode_raw_block(base_name, self._name, self._unit, time_s, block)
        self._first += self._held
        self._held = 0
        return payload, now_us

    def _is_ready(self) -> bool:
        is_complete = self._first + self._held == self._total
        return is_complete or self._held > _PIECE_SAMPLES - CHUNK
