"""TMP117: driver against emulator, with raw words of SNOSD82D table 7-1."""

from drivers.bus import EmulatedI2C
from drivers.errors import DriverError, EmulatorError, RegisterError
from drivers.tmp117.driver import Tmp117
from drivers.tmp117.emulator import Tmp117Emulator

LSB_CELSIUS = 0.0078125
PAIRS = (
    (-25, b"\xf3\x80"),
    (-0.125, b"\xff\xf0"),
    (0, b"\x00\x00"),
    (25, b"\x0c\x80"),
    (100, b"\x32\x00"),
)


class Bench:
    """The chip, a clock and a driver."""

    def __init__(self, **options):
        self.now_us = 0
        self.chip = Tmp117Emulator()
        self.i2c = EmulatedI2C({0x48: self.chip}, self.ticks_us)
        self.driver = Tmp117(self.i2c, 0x48, self.sleep_us, **options)

    def ticks_us(self):
        return self.now_us

    def sleep_us(self, duration_us):
        self.now_us += duration_us

    def raw(self, register):
        word = bytearray(2)
        self.i2c.readfrom_mem_into(0x48, register, word)
        return bytes(word)


def _error_of(error_class, function, *arguments):
    try:
        function(*arguments)
    except error_class as error:
        return str(error)
    raise AssertionError("no error")


def test_table_7_1_both_ways():
    bench = Bench()
    bench.driver.start()
    for celsius, raw in PAIRS:
        bench.chip.drive("temperature_celsius", celsius)
        bench.sleep_us(16000)
        assert abs(bench.driver.temperature_celsius() - celsius) < LSB_CELSIUS / 100
        assert bench.raw(0x00) == raw


def test_reset_values():
    bench = Bench()
    assert bench.raw(0x00) == b"\x80\x00"
    assert bench.raw(0x01) == b"\x02\x20"
    assert bench.raw(0x02) == b"\x60\x00"
    assert bench.raw(0x03) == b"\x80\x00"
    assert bench.raw(0x0F) == b"\x01\x17"


def test_no_reading_before_the_first_conversion():
    message = _error_of(DriverError, Bench().driver.temperature_celsius)
    assert "no conversion has ended since power-up; call start() first" in message


def test_start_waits_for_the_first_conversion():
    bench = Bench()
    bench.chip.drive("temperature_celsius", 25)
    bench.driver.start()
    assert 15500 <= bench.now_us <= 31000
    assert bench.driver.temperature_celsius() == 25


def test_a_value_appears_when_its_conversion_ends():
    bench = Bench()
    bench.driver.start()
    bench.chip.drive("temperature_celsius", 50)
    assert bench.driver.temperature_celsius() == 0
    bench.sleep_us(15500)
    assert bench.driver.temperature_celsius() == 50


def test_data_ready_is_cleared_by_reading():
    bench = Bench()
    bench.driver.start()
    bench.sleep_us(15500)
    assert bench.raw(0x01) == b"\x20\x00"
    assert bench.raw(0x01) == b"\x00\x00"
    bench.sleep_us(15500)
    bench.raw(0x00)
    assert bench.raw(0x01) == b"\x00\x00"


def test_averages_are_configured_and_slow_the_chip():
    bench = Bench(averages=8)
    bench.driver.start()
    assert bench.raw(0x01)[1] & 0x60 == 0x20
    assert bench.now_us >= 124000
    message = _error_of(RegisterError, Bench(averages=7).driver.start)
    assert "avg: no setting 7, use one of 1, 8, 32, 64" in message


def test_quantised_to_the_nearest_count():
    bench = Bench()
    bench.driver.start()
    bench.chip.drive("temperature_celsius", 20.003)
    bench.sleep_us(16000)
    assert abs(bench.driver.temperature_celsius() - 20.003) <= 0.52 * LSB_CELSIUS


def test_reset_and_shutdown():
    bench = Bench()
    bench.driver.start()
    bench.i2c.writeto_mem(0x48, 0x01, b"\x00\x02")
    assert bench.raw(0x00) == b"\x80\x00"
    bench.i2c.writeto_mem(0x48, 0x01, b"\x04\x00")
    bench.sleep_us(10**6)
    assert bench.raw(0x00) == b"\x80\x00"


def test_what_is_not_modelled_is_refused():
    bench = Bench()
    message = _error_of(EmulatorError, bench.i2c.writeto_mem, 0x48, 0x01, b"\x0c\x00")
    assert "one-shot mode is not modelled" in message
    bench.chip.drive("temperature_celsius", 151.0)
    bench.sleep_us(10**6)
    assert "outside -55.0 .. 150.0" in _error_of(EmulatorError, bench.raw, 0x00)
