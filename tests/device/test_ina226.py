"""INA226: driver against emulator, with the worked example of SBOS547 (June 2011), table 1."""

from drivers.bus import EmulatedI2C
from drivers.errors import DriverError, EmulatorError, RegisterError
from drivers.ina226.driver import Ina226
from drivers.ina226.emulator import Ina226Emulator

CYCLE_US = 2200


class Bench:
    """The chip across a shunt, a clock and a driver."""

    def __init__(self, shunt_ohm=0.002, **options):
        self.now_us = 0
        self.chip = Ina226Emulator(shunt_ohm)
        self.i2c = EmulatedI2C({0x40: self.chip}, self.ticks_us)
        self.driver = Ina226(self.i2c, 0x40, self.sleep_us, shunt_ohm=shunt_ohm, **options)

    def ticks_us(self):
        return self.now_us

    def sleep_us(self, duration_us):
        self.now_us += duration_us

    def raw(self, register):
        word = bytearray(2)
        self.i2c.readfrom_mem_into(0x40, register, word)
        return bytes(word)


def _error_of(error_class, function, *arguments):
    try:
        function(*arguments)
    except error_class as error:
        return str(error)
    raise AssertionError("no error")


def _worked_example():
    bench = Bench()
    bench.chip.drive("current_ampere", 10)
    bench.chip.drive("voltage_volt", 11.98)
    bench.driver.start()
    return bench


def test_worked_example_is_read():
    bench = _worked_example()
    assert abs(bench.driver.current_ampere() - 10) < 0.00001
    assert abs(bench.driver.voltage_volt() - 11.98) < 0.00001


def test_worked_example_is_emulated():
    bench = _worked_example()
    bench.i2c.writeto_mem(0x40, 0x05, b"\x0a\x00")
    bench.sleep_us(CYCLE_US)
    assert bench.raw(0x01) == b"\x1f\x40"
    assert bench.raw(0x02) == b"\x25\x70"
    assert bench.raw(0x04) == b"\x27\x10"
    assert bench.raw(0x03) == b"\x12\xb8"


def test_negative_current_is_two_s_complement():
    bench = _worked_example()
    bench.chip.drive("current_ampere", -40)
    bench.sleep_us(CYCLE_US)
    assert bench.raw(0x01) == b"\x83\x00"
    assert abs(bench.driver.current_ampere() + 40) < 0.0001


def test_reset_values():
    bench = Bench()
    assert bench.raw(0x00) == b"\x41\x27"
    assert bench.raw(0x01) == b"\x00\x00"
    assert bench.raw(0x06) == b"\x00\x00"
    assert bench.raw(0xFE) == b"\x54\x49"
    assert bench.raw(0xFF) == b"\x22\x60"


def test_start_waits_for_both_conversions():
    bench = Bench()
    bench.driver.start()
    assert CYCLE_US <= bench.now_us <= 3 * CYCLE_US


def test_averages_are_configured_and_slow_the_chip():
    bench = Bench(averages=16)
    bench.driver.start()
    assert bench.raw(0x00) == b"\x45\x27"
    assert bench.now_us >= 16 * CYCLE_US
    message = _error_of(RegisterError, Bench(averages=2).driver.start)
    assert "avg: no setting 2, use one of 1, 4, 16" in message


def test_a_value_appears_when_its_cycle_ends():
    bench = _worked_example()
    bench.sleep_us(10 * CYCLE_US - bench.now_us)
    bench.driver.voltage_volt()
    bench.chip.drive("voltage_volt", 24)
    assert abs(bench.driver.voltage_volt() - 11.98) < 0.001
    bench.sleep_us(CYCLE_US)
    assert abs(bench.driver.voltage_volt() - 24) < 0.001


def test_conversion_ready_is_cleared_by_reading():
    bench = _worked_example()
    bench.sleep_us(CYCLE_US)
    assert bench.raw(0x06) == b"\x00\x08"
    assert bench.raw(0x06) == b"\x00\x00"
    bench.sleep_us(CYCLE_US)
    assert bench.raw(0x06) == b"\x00\x08"


def test_reset_bit_restores_and_clears_itself():
    bench = _worked_example()
    bench.i2c.writeto_mem(0x40, 0x00, b"\xc1\x27")
    assert bench.raw(0x00) == b"\x41\x27"
    assert bench.raw(0x01) == b"\x00\x00"


def test_power_down_keeps_the_last_result():
    bench = _worked_example()
    bench.raw(0x01)
    bench.i2c.writeto_mem(0x40, 0x00, b"\x41\x20")
    bench.chip.drive("current_ampere", 1)
    bench.sleep_us(10**6)
    assert bench.raw(0x01) == b"\x1f\x40"


def test_the_shunt_sets_the_range():
    limit = Bench(shunt_ohm=0.02).chip.RANGES["current_ampere"][1]
    assert abs(limit - 4.096) < 0.001
    bench = Bench(shunt_ohm=0.02)
    bench.driver.start()
    bench.chip.drive("current_ampere", 4.2)
    bench.sleep_us(CYCLE_US)
    assert "current_ampere = 4.2" in _error_of(EmulatorError, bench.driver.current_ampere)


def test_what_is_not_modelled_is_refused():
    bench = Bench()
    message = _error_of(EmulatorError, bench.i2c.writeto_mem, 0x40, 0x00, b"\x41\x21")
    assert "mode 1 is not modelled" in message
    bench = _worked_example()
    bench.i2c.writeto_mem(0x40, 0x05, b"\x7f\xff")
    bench.sleep_us(CYCLE_US)
    assert "current register overflows" in _error_of(EmulatorError, bench.raw, 0x04)


def test_another_chip_is_not_taken_for_one():
    bench = Bench()
    foreign = Ina226(EmulatedI2C({}, bench.ticks_us), 0x41, bench.sleep_us, shunt_ohm=0.002)
    assert "manufacturer_id (0xFE)" in _error_of(DriverError, foreign.start)
