"""ADS1115: driver against emulator, with the codes of SBAS444D, section 9.5.4."""

from drivers.ads1115.driver import Ads1115
from drivers.ads1115.emulator import Ads1115Emulator
from drivers.bus import EmulatedI2C
from drivers.errors import DriverError, EmulatorError, RegisterError

CONVERSION_US = 25 + 1162


class Bench:
    """The chip, a clock and a driver."""

    def __init__(self, **options):
        self.now_us = 0
        self.chip = Ads1115Emulator()
        self.i2c = EmulatedI2C({0x48: self.chip}, self.ticks_us)
        self.driver = Ads1115(self.i2c, 0x48, self.sleep_us, **options)

    def ticks_us(self):
        return self.now_us

    def sleep_us(self, duration_us):
        self.now_us += duration_us

    def raw(self, register):
        word = bytearray(2)
        self.i2c.readfrom_mem_into(0x48, register, word)
        return bytes(word)

    def configure(self, word):
        self.i2c.writeto_mem(0x48, 0x01, word)


def _error_of(error_class, function, *arguments):
    try:
        function(*arguments)
    except error_class as error:
        return str(error)
    raise AssertionError("no error")


def _started(**options):
    bench = Bench(**options)
    bench.driver.start()
    return bench


def test_ideal_codes_both_ways():
    bench = _started()
    for volt, raw in (
        (2.0479375, b"\x7f\xff"),
        (62.5e-6, b"\x00\x01"),
        (0, b"\x00\x00"),
        (-0.25, b"\xf0\x60"),
    ):
        bench.chip.drive("voltage_volt_0", volt)
        assert abs(bench.driver.voltage_volt(0) - volt) < 1e-6
        assert bench.raw(0x00) == raw


def test_each_input_is_itself():
    bench = _started()
    for channel in range(4):
        bench.chip.drive("voltage_volt_%d" % channel, 0.25 * (channel + 1))
    for channel in (2, 0, 3, 1):
        assert abs(bench.driver.voltage_volt(channel) - 0.25 * (channel + 1)) < 1e-6


def test_every_full_scale_scales():
    for full_scale_volt in (6.144, 4.096, 2.048, 1.024, 0.512, 0.256):
        bench = _started(full_scale_volt=full_scale_volt)
        bench.chip.drive("voltage_volt_1", full_scale_volt / 2)
        assert abs(bench.driver.voltage_volt(1) - full_scale_volt / 2) < 1e-6
        assert bench.raw(0x00) == b"\x40\x00"


def test_full_scale_bounds_the_range():
    bench = _started(full_scale_volt=0.512)
    bench.chip.drive("voltage_volt_0", 0.6)
    message = _error_of(EmulatorError, bench.driver.voltage_volt, 0)
    assert "voltage_volt_0 = 0.6" in message
    assert abs(bench.chip.RANGES["voltage_volt_0"][1] - 0.512) < 0.0001
    bench = _started(full_scale_volt=6.144)
    bench.chip.drive("voltage_volt_0", 3.7)
    assert "voltage_volt_0 = 3.7" in _error_of(EmulatorError, bench.driver.voltage_volt, 0)


def test_options_are_checked():
    message = _error_of(RegisterError, Bench(full_scale_volt=3.3).driver.start)
    assert "pga: no setting 3.3" in message
    driver = _started().driver
    assert "no input 4, use 0 .. 3" in _error_of(RegisterError, driver.voltage_volt, 4)
    assert "no input -1" in _error_of(RegisterError, driver.voltage_volt, -1)
    assert "call start() first" in _error_of(DriverError, Bench().driver.voltage_volt, 0)


def test_reset_values():
    bench = Bench()
    assert bench.raw(0x00) == b"\x00\x00"
    assert bench.raw(0x01) == b"\x85\x83"
    assert bench.raw(0x02) == b"\x80\x00"
    assert bench.raw(0x03) == b"\x7f\xff"


def test_busy_until_the_conversion_ends():
    bench = _started()
    bench.chip.drive("voltage_volt_0", 1.024)
    bench.configure(b"\xc5\xe3")
    assert bench.raw(0x01) == b"\x45\xe3"
    assert bench.raw(0x00) == b"\x00\x00"
    bench.sleep_us(CONVERSION_US - 1)
    assert bench.raw(0x01) == b"\x45\xe3"
    bench.sleep_us(1)
    assert bench.raw(0x01) == b"\xc5\xe3"
    assert bench.raw(0x00) == b"\x40\x00"


def test_a_single_shot_stays():
    bench = _started()
    bench.chip.drive("voltage_volt_0", 1.024)
    bench.driver.voltage_volt(0)
    bench.chip.drive("voltage_volt_0", 0.1)
    bench.sleep_us(10**6)
    assert bench.raw(0x00) == b"\x40\x00"


def test_a_request_while_busy_is_ignored():
    bench = _started()
    bench.configure(b"\xc5\xe3")
    bench.sleep_us(CONVERSION_US - 10)
    bench.configure(b"\xc5\xe3")
    bench.sleep_us(10)
    assert bench.raw(0x01) == b"\xc5\xe3"


def test_an_unread_result_does_not_block_the_next():
    bench = _started()
    bench.configure(b"\xc5\xe3")
    bench.sleep_us(CONVERSION_US)
    bench.configure(b"\xd5\xe3")
    assert bench.raw(0x01) == b"\x55\xe3"


def test_continuous_conversion_runs_and_stops():
    bench = _started()
    bench.configure(b"\x44\xe3")
    bench.chip.drive("voltage_volt_0", lambda now_us: now_us / 1000000)
    bench.sleep_us(500000)
    assert bench.raw(0x01) == b"\x44\xe3"
    assert 7900 < int.from_bytes(bench.raw(0x00), "big") <= 8000
    bench.configure(b"\x45\xe3")
    bench.sleep_us(500000)
    assert int.from_bytes(bench.raw(0x00), "big") <= 8000
    assert bench.raw(0x01) == b"\xc5\xe3"


def test_a_reading_waits_once_and_reads_twice():
    bench = _started()
    transfers, now_us = bench.i2c.transfers, bench.now_us
    bench.driver.voltage_volt(0)
    assert bench.i2c.transfers - transfers == 3
    assert CONVERSION_US < bench.now_us - now_us < 1400


def test_what_is_not_modelled_is_refused():
    bench = Bench()
    assert "differential inputs" in _error_of(EmulatorError, bench.configure, b"\x85\xe3")
    assert "comparator" in _error_of(EmulatorError, bench.configure, b"\xc5\xe0")
