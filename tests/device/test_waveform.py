"""A waveform over a chip made of numbers: features in single precision, blocks, losses."""

import gc
import sys
from array import array

from drivers.errors import DriverError
from firmware.features_axis import Axis
from firmware.kernels import CHUNK
from firmware.waveform import Waveform
from wire.kernel import IS_MICROPYTHON

_LSB = 3.75e-5
_SINE = (0, 4142, 5858, 4142, 0, -4142, -5858, -4142)
"""A period of eight samples; its squares have the mean 8192 * 8192 * 0.3837 = 25735446."""
_BLOCK = 512


class _Chip:
    """2 kHz; x is a sine of 250 Hz on an offset, y silence, z a square wave of 1 kHz."""

    PART = "devicechip"
    BUS = "spi"
    FIFO_BITS = 16
    FIFO_TRIPLES = 32
    silent = False
    lost = 0

    def __init__(self, bus, *_, **__):
        self.fifo_lsb_m_s2 = _LSB
        self.fifo_overruns = 0
        self._clock = bus
        self._next = 0
        self._start_us = 0

    def start(self):
        if _Chip.silent:
            raise DriverError(self.PART, "devid", "spi 0", "silent")

    def fifo_start(self, _):
        self._start_us = self._clock.now_us
        self._next = 0

    def fifo_read_into(self, samples):
        if _Chip.silent:
            raise DriverError(self.PART, "fifo", "spi 0", "silent")
        self.fifo_overruns = _Chip.lost
        there = (self._clock.now_us - self._start_us) // 500
        triples = min(there - self._next, len(samples) // 3)
        at = 0
        for n in range(self._next, self._next + triples):
            samples[at] = 9000 + _SINE[n & 7]
            samples[at + 1] = 77
            samples[at + 2] = 1000 if n & 1 else -1000
            at += 3
        self._next += triples
        return triples


class _Module:
    DRIVER = _Chip


class _Clock:
    def __init__(self):
        self.now_us = 0
        _Chip.silent = False
        _Chip.lost = 0
        sys.modules["drivers.devicechip"] = _Module
        sys.modules["drivers.devicechip.driver"] = _Module
        _Module.driver = _Module

    def ticks_us(self):
        return self.now_us

    def sleep_us(self, duration_us):
        self.now_us += duration_us

    def spi(self, _):
        return self


def _waveform(clock, features):
    return Waveform(
        {
            "name": "vibration",
            "part": "devicechip",
            "bus": 0,
            "address": None,
            "rate_hz": 2000,
            "block_samples": _BLOCK,
            "options": {},
            "features": [
                {"name": "f%d" % index, "axis": feature[0], "feature": feature[1]}
                if len(feature) == 2
                else {
                    "name": "f%d" % index,
                    "axis": feature[0],
                    "feature": "band",
                    "low_hz": feature[1],
                    "high_hz": feature[2],
                }
                for index, feature in enumerate(features)
            ],
        },
        clock,
    )


def _poll(waveform):
    waveform.poll()
    while waveform.work():
        pass


def _block(waveform, clock):
    for _ in range(200):
        clock.now_us = max(clock.now_us, waveform.due_us)
        _poll(waveform)
        if waveform.is_complete:
            return waveform.take()
    raise AssertionError(waveform.problems())


def _close(found, expected, tolerance=1e-5):
    assert abs(found - expected) <= tolerance * abs(expected), (found, expected)


def test_features_of_a_block():
    clock = _Clock()
    names = ("rms", "peak", "crest", "kurtosis")
    features = [("x", name) for name in names] + [("y", name) for name in names]
    waveform = _waveform(clock, features + [("z", "rms"), ("z", "kurtosis")])
    assert waveform.start() == []
    for _ in range(3):
        values = _block(waveform, clock)
        second = (2 * 4142**2 + 5858**2) / 4
        fourth = (2 * 4142**4 + 5858**4) / 4
        _close(values[0], second**0.5 * _LSB)
        _close(values[1], 5858 * _LSB)
        _close(values[2], 5858 / second**0.5)
        _close(values[3], fourth / second / second, 2e-3)
        assert values[4:8] == [0.0, 0.0, None, None]
        _close(values[8], 1000 * _LSB)
        _close(values[9], 1.0, 1e-3)


def test_bands_of_a_block():
    clock = _Clock()
    waveform = _waveform(clock, [("x", 200, 300), ("x", 500, 600), ("z", 200, 300)])
    assert waveform.start() == []
    for _ in range(2):
        inside, outside, other = _block(waveform, clock)
        # All of the sine's energy: the list is a sine of 5858 to a count.
        _close(inside, 5858 * _LSB / 2**0.5, 1e-3)
        assert outside < inside / 1000
        assert other < inside / 1000


def test_lost_samples_drop_the_block_and_restart_the_filters():
    clock = _Clock()
    waveform = _waveform(clock, [("x", "rms")])
    waveform.start()
    _block(waveform, clock)
    clock.now_us = waveform.due_us
    _poll(waveform)
    _Chip.lost = 7
    before_us = waveform.middle_us
    _close(_block(waveform, clock)[0], 5071.6 * _LSB, 0.3)
    assert waveform.blocks_dropped == 1
    assert waveform.middle_us > before_us + _BLOCK * 500


def test_a_silent_chip_is_tried_again():
    clock = _Clock()
    waveform = _waveform(clock, [("x", "rms")])
    waveform.start()
    _Chip.silent = True
    clock.now_us = waveform.due_us
    _poll(waveform)
    assert "silent" in waveform.problems()[0]
    assert waveform.due_us == clock.now_us + 1000000
    _Chip.silent = False
    assert len(_block(waveform, clock)) == 1


def test_polling_makes_no_object():
    if not IS_MICROPYTHON:
        return
    clock = _Clock()
    features = [("x", "rms"), ("x", "kurtosis"), ("x", 200, 300), ("y", 200, 300), ("z", "peak")]
    waveform = _waveform(clock, features)
    waveform.start()
    _block(waveform, clock)
    clock.now_us = waveform.due_us
    _poll(waveform)
    gc.collect()
    before = gc.mem_alloc()
    for _ in range(8):
        clock.now_us = waveform.due_us
        _poll(waveform)
    assert gc.mem_alloc() - before == 0, gc.mem_alloc() - before


def test_an_axis_that_drifts_far_from_its_reference_stays_exact():
    axis = Axis(0, 5, None, None, True)
    samples = array("i", bytes(12 * CHUNK))
    axis.start(samples, 0, 1)
    found = {}
    for offset in (0, 500000, -524288):
        for index in range(CHUNK):
            samples[3 * index] = offset + (300 if index & 1 else -100)
        for _ in range(4):
            axis.feed(samples, 0, CHUNK)
        found = axis.finish(1.0)
        assert (found["rms"], found["peak"]) == (200.0, 200.0), (offset, found)
    for _ in range(4):
        axis.feed(samples, 0, CHUNK)
    _close(axis.finish(1.0)["kurtosis"], 1.0, 2e-3)
