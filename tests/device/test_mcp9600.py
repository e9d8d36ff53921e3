"""MCP9600: driver against emulator, with raw words of DS20005426, equation 5-1."""

from drivers.bus import EmulatedI2C
from drivers.errors import EmulatorError, RegisterError
from drivers.mcp9600.driver import Mcp9600
from drivers.mcp9600.emulator import Mcp9600Emulator

LSB_CELSIUS = 0.0625
CYCLE_US = 320000
PAIRS = (
    (25.25, b"\x01\x94"),
    (-1, b"\xff\xf0"),
    (-200, b"\xf3\x80"),
    (1, b"\x00\x10"),
    (1024, b"\x40\x00"),
)


class Bench:
    """The chip, a clock and a driver."""

    def __init__(self, **options):
        self.now_us = 0
        self.chip = Mcp9600Emulator()
        self.i2c = EmulatedI2C({0x60: self.chip}, self.ticks_us)
        self.driver = Mcp9600(self.i2c, 0x60, self.sleep_us, **options)

    def ticks_us(self):
        return self.now_us

    def sleep_us(self, duration_us):
        self.now_us += duration_us

    def raw(self, register, count=2):
        data = bytearray(count)
        self.i2c.readfrom_mem_into(0x60, register, data)
        return bytes(data)


def _error_of(error_class, function, *arguments):
    try:
        function(*arguments)
    except error_class as error:
        return str(error)
    raise AssertionError("no error")


def test_equation_5_1_both_ways():
    bench = Bench()
    bench.driver.start()
    for celsius, raw in PAIRS:
        bench.chip.drive("temperature_celsius", celsius)
        bench.sleep_us(CYCLE_US)
        assert bench.driver.temperature_celsius() == celsius
        assert bench.raw(0x00) == raw


def test_junctions_add_up():
    bench = Bench()
    bench.chip.drive("temperature_celsius", 80)
    bench.chip.drive("cold_junction_temperature_celsius", 25.5)
    bench.driver.start()
    assert bench.driver.cold_junction_temperature_celsius() == 25.5
    assert bench.driver.temperature_celsius() == 80
    assert bench.raw(0x01) == b"\x03\x68"
    assert bench.raw(0x02) == b"\x01\x98"


def test_quantised_to_the_nearest_count():
    bench = Bench()
    bench.driver.start()
    bench.chip.drive("temperature_celsius", 28.04)
    bench.sleep_us(CYCLE_US)
    assert bench.driver.temperature_celsius() == 28.0625
    bench.chip.drive("temperature_celsius", 28.02)
    bench.sleep_us(CYCLE_US)
    assert bench.driver.temperature_celsius() == 28.0


def test_reset_values():
    bench = Bench()
    assert bench.raw(0x00) == b"\x00\x00"
    assert bench.raw(0x04, 1) == b"\x00"
    assert bench.raw(0x06, 1) == b"\x00"
    assert bench.raw(0x20) == b"\x40\x10"


def test_start_waits_for_the_first_conversion():
    bench = Bench()
    bench.chip.drive("temperature_celsius", 30)
    bench.driver.start()
    assert CYCLE_US <= bench.now_us <= 2 * CYCLE_US
    assert bench.driver.temperature_celsius() == 30


def test_fewer_bits_are_faster():
    for adc_bits, conversion_us in ((16, 80000), (14, 20000), (12, 5000)):
        bench = Bench(adc_bits=adc_bits)
        bench.driver.start()
        assert conversion_us <= bench.now_us <= 2 * conversion_us


def test_update_flag_stays_until_it_is_cleared():
    bench = Bench()
    bench.driver.start()
    assert bench.raw(0x04, 1) == b"\x40"
    bench.i2c.writeto_mem(0x60, 0x04, b"\x40")
    assert bench.raw(0x04, 1) == b"\x40"
    bench.i2c.writeto_mem(0x60, 0x04, b"\x00")
    assert bench.raw(0x04, 1) == b"\x00"
    bench.sleep_us(CYCLE_US)
    assert bench.raw(0x04, 1) == b"\x40"


def test_a_value_appears_when_its_conversion_ends():
    bench = Bench()
    bench.driver.start()
    bench.chip.drive("temperature_celsius", 90)
    bench.sleep_us(CYCLE_US - 1000)
    assert bench.driver.temperature_celsius() == 0
    bench.sleep_us(1000)
    assert bench.driver.temperature_celsius() == 90


def test_coarse_cold_junction_has_quarter_degrees():
    bench = Bench()
    bench.chip.drive("cold_junction_temperature_celsius", 25.2)
    bench.i2c.writeto_mem(0x60, 0x06, b"\x80")
    bench.sleep_us(63000)
    assert bench.raw(0x02) == b"\x01\x90"


def test_shutdown_keeps_the_last_result():
    bench = Bench()
    bench.chip.drive("temperature_celsius", 25.25)
    bench.driver.start()
    bench.raw(0x00)
    bench.i2c.writeto_mem(0x60, 0x06, b"\x01")
    bench.chip.drive("temperature_celsius", 90)
    bench.sleep_us(10 * CYCLE_US)
    assert bench.raw(0x00) == b"\x01\x94"


def test_options_are_checked():
    message = _error_of(RegisterError, Bench(thermocouple_type="X").driver.start)
    assert "thermocouple_type: no setting 'X', use one of B, E, J, K, N, R, S, T" in message
    message = _error_of(RegisterError, Bench(adc_bits=15).driver.start)
    assert "adc_resolution: no setting 15, use one of 12, 14, 16, 18" in message


def test_what_is_not_modelled_is_refused():
    message = _error_of(EmulatorError, Bench(thermocouple_type="J").driver.start)
    assert "only type K without filter is modelled" in message
    bench = Bench()
    message = _error_of(EmulatorError, bench.i2c.writeto_mem, 0x60, 0x06, b"\x02")
    assert "burst mode is not modelled" in message
    bench.chip.drive("temperature_celsius", 1400)
    bench.sleep_us(CYCLE_US)
    assert "outside -200.0 .. 1372.0" in _error_of(EmulatorError, bench.raw, 0x00)
