"""LSM6DSOX: every sample through the FIFO, overruns, and the self-test of AN5272."""

import gc
from array import array

from drivers.bus import EmulatedI2C
from drivers.errors import DriverError, EmulatorError, RegisterError
from drivers.lsm6dsox.driver import Lsm6dsox, unpack_words
from drivers.lsm6dsox.emulator import Lsm6dsoxEmulator

G_M_S2 = 9.80665
LSB_M_S2 = 0.061e-3 * G_M_S2


class Bench:
    """The chip, a clock and a driver; x is driven with the time in steps of 100 us."""

    def __init__(self, **options):
        self.now_us = 0
        self.asked_us = []
        self.chip = Lsm6dsoxEmulator()
        self.i2c = EmulatedI2C({0x6A: self.chip}, self.ticks_us)
        self.driver = Lsm6dsox(self.i2c, 0x6A, self.sleep_us, **options)

    def ticks_us(self):
        return self.now_us

    def sleep_us(self, duration_us):
        self.now_us += duration_us

    def raw(self, register, count=1):
        data = bytearray(count)
        self.i2c.readfrom_mem_into(0x6A, register, data)
        return bytes(data)

    def begin(self, rate_hz):
        self.driver.start()
        self.chip.drive("acceleration_m_s2_x", self._time)
        self.chip.drive("acceleration_m_s2_z", -LSB_M_S2)
        self.driver.fifo_start(rate_hz)
        self.begun_us = self.now_us
        self.asked_us = []

    def _time(self, now_us):
        self.asked_us.append(now_us)
        return (now_us // 100 % 30000) * LSB_M_S2


class Canned:
    """A bus that answers with a FIFO of 40 words and makes no object."""

    def readfrom_mem_into(self, _address, register, into):
        if register == 0x3A:
            into[0] = 40
            into[1] = 0
        for index in range(0, len(into) if register == 0x78 else 0, 7):
            into[index] = 0x10


def _error_of(error_class, function, *arguments):
    try:
        function(*arguments)
    except error_class as error:
        return str(error)
    raise AssertionError("no error")


def test_kernel_takes_the_words_of_the_accelerometer():
    into = array("i", [7] * 9)
    words = b"\x10\x01\x00\xff\xff\x00\x80" + b"\x08" + bytes(6) + b"\x12\x02\x00\xfe\xff\xff\x7f"
    assert unpack_words(words, 3, into, 1) == 3
    assert list(into) == [7, 7, 7, 1, -1, -32768, 2, -2, 32767]


def test_every_sample_passes_the_fifo_at_its_own_time():
    bench = Bench()
    bench.begin(3332)
    samples = array("i", bytes(4 * 3 * 120))
    seen = []
    for pause_us in (1000, 33000, 12345, 20000):
        bench.sleep_us(pause_us)
        triples = bench.driver.fifo_read_into(samples)
        seen += [samples[3 * index] for index in range(triples)]
        assert [samples[3 * index + 2] for index in range(triples)] == [-1] * triples
    assert len(seen) == (bench.now_us - bench.begun_us) * 3332 // 1000000
    assert seen == [at_us // 100 % 30000 for at_us in bench.asked_us]
    for number, at_us in enumerate(bench.asked_us):
        exact_us = bench.begun_us + (number + 1) * 1000000 / 3332
        assert abs(at_us - exact_us) < 2
    assert bench.driver.fifo_overruns == 0
    assert abs(bench.driver.fifo_lsb_m_s2 - LSB_M_S2) < 1e-6 * LSB_M_S2


def test_an_overrun_is_counted():
    bench = Bench()
    bench.begin(6664)
    samples = array("i", bytes(4 * 3 * 40))
    bench.sleep_us(60000)
    assert bench.driver.fifo_read_into(samples) == 40
    assert bench.driver.fifo_overruns == 0
    bench.sleep_us(40000)
    bench.asked_us = []
    assert bench.driver.fifo_read_into(samples) == 40
    assert bench.driver.fifo_overruns == 1
    lost = 666 - 40 - 512
    assert bench.chip.fifo_lost == lost
    assert abs(bench.asked_us[0] - bench.begun_us - (41 + lost) * 1000000 // 6664) < 2
    assert bench.driver.fifo_read_into(samples) == 40
    assert bench.driver.fifo_overruns == 1


def test_tags_count_and_have_even_parity():
    bench = Bench()
    bench.begin(104)
    bench.sleep_us(50000)
    words = bench.raw(0x78, 35)
    tags = [words[index] for index in range(0, 35, 7)]
    assert [tag >> 3 for tag in tags] == [2] * 5
    assert [tag >> 1 & 3 for tag in tags] == [1, 2, 3, 0, 1]
    for tag in tags:
        assert sum([tag >> bit & 1 for bit in range(8)]) % 2 == 0
    assert bench.raw(0x78)[0] >> 3 == 0


def test_watermark_flag():
    bench = Bench()
    bench.driver.start()
    bench.i2c.writeto_mem(0x6A, 0x07, b"\x05\x00")
    bench.driver.fifo_start(104)
    bench.sleep_us(4 * 9616)
    assert bench.raw(0x3A, 2) == b"\x04\x00"
    bench.sleep_us(9616)
    assert bench.raw(0x3A, 2) == b"\x05\x80"


def test_rates_and_order_are_checked():
    bench = Bench()
    samples = array("i", bytes(12))
    assert "call start() first" in _error_of(DriverError, bench.driver.fifo_start, 3332)
    bench.driver.start()
    message = _error_of(DriverError, bench.driver.fifo_read_into, samples)
    assert "call fifo_start() first" in message
    message = _error_of(RegisterError, bench.driver.fifo_start, 4000)
    assert "bdr_xl: no setting 4000, use one of 0, 12.5, 26" in message


def test_a_restart_switches_the_fifo_off():
    bench = Bench()
    bench.begin(833)
    bench.driver.start()
    bench.sleep_us(100000)
    assert bench.raw(0x3A, 2) == b"\x00\x00"
    assert "fifo_start" in _error_of(
        DriverError, bench.driver.fifo_read_into, array("i", bytes(12))
    )


def test_what_is_not_modelled_is_refused():
    bench = Bench()
    write = bench.i2c.writeto_mem
    assert "gyroscope" in _error_of(EmulatorError, write, 0x6A, 0x09, b"\x10")
    assert "FIFO mode" in _error_of(EmulatorError, write, 0x6A, 0x0A, b"\x01")
    assert "watermark" in _error_of(EmulatorError, write, 0x6A, 0x07, b"\x00\x80")
    assert "self-test" in _error_of(EmulatorError, write, 0x6A, 0x14, b"\x04")


def test_reading_the_fifo_makes_no_object():
    driver = Lsm6dsox(Canned(), 0x6A, None)
    words = memoryview(bytearray(32 * 7))
    driver._chunks = tuple([words[: 7 * count] for count in range(33)])
    samples = array("i", bytes(4 * 120))
    assert driver.fifo_read_into(samples) == 40
    if hasattr(gc, "mem_alloc"):
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        driver.fifo_read_into(samples)
        after = gc.mem_alloc()
        gc.enable()
        assert after == before


def test_self_test_measures_the_push_and_starts_anew():
    bench = Bench()
    bench.chip.drive("acceleration_m_s2_z", G_M_S2)
    bench.driver.start()
    change = bench.driver.self_test()
    assert abs(change.y / G_M_S2 - 0.3) < 1e-3
    assert bench.raw(0x14) == b"\x00"
    assert bench.raw(0x10) == b"\x40"
    assert abs(bench.driver.acceleration_m_s2().z - G_M_S2) < 1e-3


def test_a_mass_that_sticks_fails_the_self_test():
    bench = Bench()
    bench.driver.start()
    bench.chip.self_test_g = (0.3, 0.3, 0.01)
    message = _error_of(DriverError, bench.driver.self_test)
    assert "register ctrl5_c (0x14)" in message
    assert "axis z changes by 10 mg in the self-test, expected 50 .. 1700" in message
