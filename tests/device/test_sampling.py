"""The sampler on the board: shared readings, a chip that fails, what memory it takes."""

import gc
import sys
from collections import namedtuple

from drivers.errors import DriverError
from firmware.sampling import Sampler
from wire.kernel import IS_MICROPYTHON

_Channel = namedtuple(
    "_Channel",
    (
        "name",
        "part",
        "bus",
        "address",
        "reading",
        "argument",
        "unit",
        "filter",
        "gain",
        "offset",
        "options",
    ),
)
_Axes = namedtuple("_Axes", "x y")


class _Chip:
    PART = "samplechip"
    silent = ()
    reads = 0

    def __init__(self, _bus, address, **_):
        self._address = address

    def start(self):
        self._answer()

    def acceleration_m_s2(self):
        _Chip.reads += 1
        self._answer()
        return _Axes(1.5, -2.0)

    def _answer(self):
        if self._address in _Chip.silent:
            raise DriverError(self.PART, "who_am_i", "i2c 0", "no acknowledge")


class _Module:
    DRIVER = _Chip


class _Hal:
    def i2c(self, number):
        return number

    def sleep_us(self, duration_us):
        pass


def _sampler(*places):
    sys.modules["drivers.samplechip"] = _Module
    sys.modules["drivers.samplechip.driver"] = _Module
    _Module.driver = _Module
    _Chip.silent = ()
    _Chip.reads = 0
    channels = [
        _Channel(
            *("c%d" % index, "samplechip", 0, address, "acceleration_m_s2", part, "m/s2"),
            *("mean", 2.0, 1.0, {}),
        )
        for index, (address, part) in enumerate(places)
    ]
    return Sampler(channels, _Hal())


def _block(sampler, samples=4):
    for _ in range(samples):
        sampler.sample()
    return sampler.take()


def test_axes_of_one_reading_are_read_once():
    sampler = _sampler((0x6A, "x"), (0x6A, "y"))
    assert sampler.start() == []
    assert _block(sampler) == [4.0, -3.0]
    assert _Chip.reads == 4


def test_a_chip_that_fails_has_no_value_until_it_is_back():
    sampler = _sampler((0x6A, "x"), (0x6B, "x"))
    sampler.start()
    _Chip.silent = (0x6B,)
    assert _block(sampler) == [4.0, None]
    assert "samplechip" in sampler.problems()[0]
    _Chip.silent = ()
    assert _block(sampler) == [4.0, None]
    assert sampler.retry()
    assert not sampler.retry()
    assert sampler.problems() == []
    assert _block(sampler) == [4.0, 4.0]


def test_a_chip_that_is_absent_at_the_start_can_come_later():
    sampler = _sampler((0x6A, "x"), (0x6B, "x"))
    _Chip.silent = (0x6A, 0x6B)
    assert len(sampler.start()) == 2
    _Chip.silent = ()
    _block(sampler)
    assert sampler.retry()
    assert sampler.retry()
    assert _block(sampler) == [4.0, 4.0]


def test_samples_leave_no_memory_behind_after_a_collection():
    if not IS_MICROPYTHON:
        return
    sampler = _sampler((0x6A, "x"), (0x6A, "y"))
    sampler.start()
    _block(sampler)
    gc.collect()
    before = gc.mem_alloc()
    for _ in range(200):
        sampler.sample()
    gc.collect()
    assert gc.mem_alloc() - before <= 64, gc.mem_alloc() - before
