"""ADXL355: driver against emulator over SPI, its FIFO, its self-test."""

import gc
from array import array

from drivers.adxl355.driver import Adxl355, signed20, unpack_triples
from drivers.adxl355.emulator import Adxl355Emulator
from drivers.bus import EmulatedSPI
from drivers.errors import DriverError, EmulatorError, RegisterError

G_M_S2 = 9.80665
LSB_M_S2 = G_M_S2 / 256000


class Bench:
    """The chip, a clock and a driver."""

    def __init__(self, **options):
        self.now_us = 0
        self.chip = Adxl355Emulator()
        self.spi = EmulatedSPI(self.chip, self.ticks_us, "SPI(2)")
        self.driver = Adxl355(self.spi, None, self.sleep_us, **options)

    def ticks_us(self):
        return self.now_us

    def sleep_us(self, duration_us):
        self.now_us += duration_us

    def raw(self, register, count=1):
        into = bytearray(1 + count)
        self.spi.write_readinto(bytes((register << 1 | 1,)) + bytes(count), into)
        return bytes(into[1:])

    def write(self, register, value):
        self.spi.write_readinto(bytes((register << 1, value)), bytearray(2))

    def count_samples(self, rate_hz=4000):
        """Drive x with the number of its conversion, y with its negative; then start the FIFO."""
        self.driver.start()
        self.chip.drive("acceleration_m_s2_x", self.number)
        self.chip.drive("acceleration_m_s2_y", lambda now_us: -self.number(now_us))
        self.driver.fifo_start(rate_hz)

    def number(self, now_us):
        return (now_us // 250) * LSB_M_S2


class Canned:
    """A chip select that answers with a full FIFO and makes no object."""

    def write_readinto(self, _out, into):
        into[1] = 0xED
        if len(into) == 5:
            into[3] = 0
            into[4] = 96
        for index in range(3, len(into), 9):
            into[index] = 0x11 if len(into) > 5 else into[index]


def _error_of(error_class, function, *arguments):
    try:
        function(*arguments)
    except error_class as error:
        return str(error)
    raise AssertionError("no error")


def test_twenty_bits_left_justified():
    bench = Bench()
    bench.driver.start()
    for counts, raw in (
        (256000, b"\x3e\x80\x00"),
        (-256000, b"\xc1\x80\x00"),
        (-1, b"\xff\xff\xf0"),
    ):
        bench.chip.drive("acceleration_m_s2_x", counts * LSB_M_S2)
        bench.sleep_us(8000)
        assert abs(bench.driver.acceleration_m_s2().x - counts * LSB_M_S2) < 0.6 * LSB_M_S2
        assert bench.raw(0x08, 3) == raw


def test_kernels_know_the_sign():
    frame = b"\x00\x7f\xff\xff\x80\x00\x00\xff\xff\xf0"
    assert signed20(frame, 1) == 524287
    assert signed20(frame, 4) == -524288
    assert signed20(frame, 7) == -1
    into = array("i", [9] * 6)
    good = b"\x00\x00\x01\x00\x00\x20\xff\xff\xf0"
    assert unpack_triples(b"\x00" + good + good, into, 2) == 2
    assert list(into) == [0, 2, -1, 0, 2, -1]
    shifted = good[3:] + good[:3]
    assert unpack_triples(b"\x00" + good + shifted, into, 2) == 1
    empty = b"\x00\x00\x02" * 3
    assert unpack_triples(b"\x00" + empty, into, 1) == 0


def test_temperature_falls_as_its_counts_rise():
    bench = Bench()
    bench.chip.drive("temperature_celsius", 25)
    bench.driver.start()
    assert bench.driver.temperature_celsius() == 25
    assert bench.raw(0x06, 2) == b"\x07\x5d"
    bench.chip.drive("temperature_celsius", 85)
    bench.sleep_us(8000)
    assert abs(bench.driver.temperature_celsius() - 85) < 0.06


def test_range_and_rate_follow_the_options():
    bench = Bench(full_scale_g=8, rate_hertz=31.25)
    bench.driver.start()
    assert bench.raw(0x2C) == b"\x83"
    assert bench.raw(0x28) == b"\x07"
    message = _error_of(RegisterError, Bench(full_scale_g=16).driver.start)
    assert "range: no setting 16, use one of 2, 4, 8" in message


def test_settings_are_changed_in_standby_only():
    bench = Bench()
    bench.driver.start()
    assert "set STANDBY first" in _error_of(EmulatorError, bench.write, 0x28, 0x01)


def test_every_sample_passes_the_fifo_once():
    bench = Bench()
    bench.count_samples()
    samples = array("i", bytes(4 * 96))
    seen = []
    for pause_us in (100, 2000, 7900, 3333, 1, 7999):
        bench.sleep_us(pause_us)
        triples = bench.driver.fifo_read_into(samples)
        for index in range(triples):
            assert samples[3 * index + 1] == -samples[3 * index]
            assert samples[3 * index + 2] == 0
            seen.append(samples[3 * index])
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert len(seen) in (85, 86)
    assert bench.driver.fifo_overruns == 0
    assert abs(bench.driver.fifo_lsb_m_s2 - LSB_M_S2) < 1e-6 * LSB_M_S2


def test_an_overrun_is_counted_and_the_oldest_are_lost():
    bench = Bench()
    bench.count_samples()
    lost = bench.chip.fifo_lost
    bench.sleep_us(250 * 40)
    samples = array("i", bytes(4 * 96))
    assert bench.driver.fifo_read_into(samples) == 32
    assert bench.driver.fifo_overruns == 1
    assert bench.chip.fifo_lost - lost == 8
    assert samples[93] == bench.now_us // 250
    assert samples[0] == samples[93] - 31
    bench.sleep_us(250)
    assert bench.driver.fifo_read_into(samples) == 1
    assert bench.driver.fifo_overruns == 1


def test_a_small_array_takes_what_fits():
    bench = Bench()
    bench.count_samples()
    bench.sleep_us(250 * 10)
    few = array("i", bytes(4 * 14))
    assert bench.driver.fifo_read_into(few) == 4
    assert bench.driver.fifo_read_into(few) == 4
    assert bench.driver.fifo_read_into(few) == 2


def test_a_fifo_out_of_step_is_emptied_and_counted():
    bench = Bench()
    bench.count_samples()
    bench.sleep_us(250 * 10)
    bench.raw(0x11, 3)
    samples = array("i", bytes(4 * 96))
    assert bench.driver.fifo_read_into(samples) == 0
    assert bench.driver.fifo_overruns >= 9
    bench.sleep_us(250 * 3)
    assert bench.driver.fifo_read_into(samples) == 3
    assert samples[6] == samples[0] + 2


def test_watermark_and_entries():
    bench = Bench()
    bench.count_samples()
    bench.sleep_us(250 * 10)
    assert bench.raw(0x05) == b"\x1e"
    assert bench.raw(0x04)[0] & 2 == 0
    bench.sleep_us(250 * 22)
    assert bench.raw(0x04)[0] & 2 == 2


def test_rates_that_the_chip_has_not_are_refused():
    bench = Bench()
    assert "call start() first" in _error_of(DriverError, bench.driver.fifo_start, 4000)
    bench.driver.start()
    message = _error_of(RegisterError, bench.driver.fifo_start, 3000)
    assert "no setting 3000, use one of 3.9" in message


def test_reading_the_fifo_makes_no_object():
    driver = Adxl355(Canned(), None, None)
    driver.fifo_lsb_m_s2 = 1.0
    samples = array("i", bytes(4 * 96))
    assert driver.fifo_read_into(samples) == 32
    if hasattr(gc, "mem_alloc"):
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        driver.fifo_read_into(samples)
        after = gc.mem_alloc()
        gc.enable()
        assert after == before


def test_self_test_measures_the_push_and_starts_anew():
    bench = Bench(full_scale_g=4)
    bench.chip.drive("acceleration_m_s2_z", G_M_S2)
    bench.driver.start()
    change = bench.driver.self_test()
    assert abs(change.x / G_M_S2 - 0.3) < 1e-3
    assert abs(change.z / G_M_S2 - 1.5) < 1e-3
    assert bench.raw(0x2E) == b"\x00"
    assert abs(bench.driver.acceleration_m_s2().z - G_M_S2) < 1e-3


def test_a_mass_that_sticks_fails_the_self_test():
    bench = Bench()
    bench.driver.start()
    bench.chip.self_test_g = (0.3, 0.0, 1.5)
    message = _error_of(DriverError, bench.driver.self_test)
    assert "adxl355: register self_test (0x2E) on SPI(2): axis y changes by 0.000 g" in message
    bench.chip.self_test_g = (0.3, 0.3, 4.9)
    assert "axis z changes by 4.9" in _error_of(DriverError, bench.driver.self_test)
