"""SHT4x: commands, waits and CRC; driver against emulator."""

from drivers.bus import EmulatedI2C
from drivers.commands import Command, CommandMap, crc8
from drivers.errors import DriverError, EmulatorError, RegisterError
from drivers.sht4x.driver import Sht4x
from drivers.sht4x.emulator import Sht4xEmulator


class Bench:
    """The chip, a clock and a driver."""

    def __init__(self, **options):
        self.now_us = 1000
        self.sleeps = []
        self.chip = Sht4xEmulator()
        self.i2c = EmulatedI2C({0x44: self.chip}, self.ticks_us, "I2C(0)")
        self.driver = Sht4x(self.i2c, 0x44, self.sleep_us, **options)

    def ticks_us(self):
        return self.now_us

    def sleep_us(self, duration_us):
        self.sleeps.append(duration_us)
        self.now_us += duration_us


def _error_of(error_class, function, *arguments):
    try:
        function(*arguments)
    except error_class as error:
        return str(error)
    raise AssertionError("no error")


def test_crc_example_of_the_data_sheet():
    assert crc8(b"\xbe\xef", 0, 2) == 0x92
    assert crc8(b"\xff\xbe\xef", 1, 2) == 0x92
    assert crc8(b"\x00\x00", 0, 2) == 0x81


def test_both_quantities_come_back():
    bench = Bench()
    bench.driver.start()
    for celsius, percent_rh in ((25, 44), (-40, 0), (125, 100), (0.01, 99.99)):
        bench.chip.drive("temperature_celsius", celsius)
        bench.chip.drive("humidity_percent_rh", percent_rh)
        assert abs(bench.driver.temperature_celsius() - celsius) < 0.0015
        assert abs(bench.driver.humidity_percent_rh() - percent_rh) < 0.0011


def test_serial_number_is_the_identity():
    bench = Bench()
    assert bench.driver.serial_number is None
    bench.driver.start()
    assert bench.driver.serial_number == 0x0F1E2D3C


def test_a_reading_waits_as_long_as_its_precision_needs():
    for precision, duration_us in (("high", 8300), ("medium", 4500), ("low", 1600)):
        bench = Bench(precision=precision)
        bench.driver.start()
        bench.sleeps.clear()
        bench.driver.temperature_celsius()
        assert bench.sleeps == [duration_us]


def test_a_wrong_crc_is_refused_with_both_values():
    bench = Bench()
    bench.driver.start()
    bench.chip.spoil_crc = True
    message = _error_of(DriverError, bench.driver.humidity_percent_rh)
    assert "register measure_high (0xFD) on I2C(0) address 0x44: CRC of word 0: expected" in message
    bench.chip.spoil_crc = False
    bench.driver.humidity_percent_rh()


def test_a_foreign_chip_has_no_such_crc():
    bench = Bench()
    bench.chip.spoil_crc = True
    assert "read_serial" in _error_of(DriverError, bench.driver.start)


def test_a_chip_that_stays_busy_ends_the_wait():
    bench = Bench()
    bench.driver.start()
    ends_us = []

    def slowly(duration_us):
        ends_us.append(duration_us)
        bench.now_us += duration_us // 100

    bench.driver._sleep_us = slowly
    message = _error_of(DriverError, bench.driver.temperature_celsius)
    assert "not ready after 6 polls, 500 us apart" in message
    assert len(ends_us) == 7


def test_an_absent_chip_is_named():
    driver = Sht4x(EmulatedI2C({}, lambda: 0, "I2C(0)"), 0x44, lambda _us: None)
    message = _error_of(DriverError, driver.start)
    assert "sht4x: register soft_reset (0x94) on I2C(0) address 0x44: no acknowledge" in message


def test_options_and_order_are_checked():
    message = _error_of(RegisterError, Bench(precision="highest").driver.start)
    assert "no precision 'highest', use one of high, low, medium" in message
    assert "call start() first" in _error_of(DriverError, Bench().driver.temperature_celsius)


def test_what_is_not_declared_is_refused():
    bench = Bench()
    assert "command 39" in _error_of(EmulatorError, bench.i2c.writeto, 0x44, b"\x39")
    bench.i2c.writeto(0x44, b"\x89")
    assert "9 bytes read" in _error_of(EmulatorError, bench.i2c.readfrom_into, 0x44, bytearray(9))


def test_a_reply_is_given_once():
    bench = Bench()
    bench.i2c.writeto(0x44, b"\x89")
    bench.i2c.readfrom_into(0x44, bytearray(6))
    try:
        bench.i2c.readfrom_into(0x44, bytearray(6))
    except OSError as error:
        assert error.args[0] == 19
    else:
        raise AssertionError("a second reply")


def test_faults_of_a_command_map():
    one, two = Command("one", 0xFD, 2, 0), Command("one", 0xFD, 2, 0)
    assert CommandMap("chip", "none", (one, two)).faults() == [
        "chip: command name one is used twice",
        "chip: command byte 253 is used twice",
    ]
    broken = CommandMap("chip", "none", (Command("far", 0x100, 2, 0),))
    assert "far has a byte" in broken.faults()[0]
