"""TMP105: driver against emulator, with the pairs of SLLS648D, table 5."""

from drivers.bus import EmulatedI2C
from drivers.errors import DriverError, EmulatorError, RegisterError
from drivers.tmp105.driver import Tmp105
from drivers.tmp105.emulator import Tmp105Emulator

PAIRS = (
    (127.9375, b"\x7f\xf0"),
    (100, b"\x64\x00"),
    (25, b"\x19\x00"),
    (0.25, b"\x00\x40"),
    (-0.25, b"\xff\xc0"),
    (-25, b"\xe7\x00"),
    (-55, b"\xc9\x00"),
)


class Bench:
    """The chip, a clock and a driver."""

    def __init__(self, **options):
        self.now_us = 0
        self.chip = Tmp105Emulator()
        self.i2c = EmulatedI2C({0x48: self.chip}, self.ticks_us)
        self.driver = Tmp105(self.i2c, 0x48, self.sleep_us, **options)

    def ticks_us(self):
        return self.now_us

    def sleep_us(self, duration_us):
        self.now_us += duration_us

    def raw(self, register, count):
        data = bytearray(count)
        self.i2c.readfrom_mem_into(0x48, register, data)
        return bytes(data)


def _error_of(error_class, function, *arguments):
    try:
        function(*arguments)
    except error_class as error:
        return str(error)
    raise AssertionError("no error")


def test_table_5_both_ways():
    bench = Bench()
    bench.driver.start()
    for celsius, raw in PAIRS:
        bench.chip.drive("temperature_celsius", celsius)
        bench.sleep_us(220000)
        assert bench.driver.temperature_celsius() == celsius
        assert bench.raw(0x00, 2) == raw


def test_reset_values():
    bench = Bench()
    assert bench.raw(0x00, 2) == b"\x00\x00"
    assert bench.raw(0x01, 1) == b"\x00"
    assert bench.raw(0x02, 2) == b"\x4b\x00"
    assert bench.raw(0x03, 2) == b"\x50\x00"


def test_resolution_sets_step_and_time():
    for bits, step, longest_us in ((9, 0.5, 37500), (10, 0.25, 75000), (12, 0.0625, 300000)):
        bench = Bench(resolution_bits=bits)
        bench.chip.drive("temperature_celsius", 20 + 0.9 * step)
        bench.driver.start()
        assert bench.now_us == longest_us
        assert bench.driver.temperature_celsius() == 20 + step


def test_the_largest_step_stays_below_128_degrees():
    bench = Bench(resolution_bits=9)
    bench.chip.drive("temperature_celsius", 127.9375)
    bench.driver.start()
    assert bench.driver.temperature_celsius() == 127.5


def test_a_value_appears_when_its_conversion_ends():
    bench = Bench()
    bench.driver.start()
    assert bench.driver.temperature_celsius() == 0
    bench.chip.drive("temperature_celsius", 90)
    bench.sleep_us(440000 - bench.now_us - 1)
    assert bench.driver.temperature_celsius() == 0
    bench.sleep_us(1)
    assert bench.driver.temperature_celsius() == 90


def test_a_chip_of_another_kind_is_refused():
    class Other:
        def transfer(self, _write, read_count, _now_us):
            return b"\x7f" * read_count

    driver = Tmp105(EmulatedI2C({0x48: Other()}, lambda: 0), 0x48, lambda _us: None)
    message = _error_of(DriverError, driver.start)
    assert "expected 0x60, got 0x7F; the chip at this address keeps other bits" in message


def test_options_and_order_are_checked():
    message = _error_of(RegisterError, Bench(resolution_bits=13).driver.start)
    assert "r: no setting 13, use one of 9, 10, 11, 12" in message
    assert "call start() first" in _error_of(DriverError, Bench().driver.temperature_celsius)


def test_what_is_not_modelled_is_refused():
    bench = Bench()
    for word, what in ((b"\x01", "shutdown"), (b"\x80", "one-shot"), (b"\x02", "interrupt")):
        assert what in _error_of(EmulatorError, bench.i2c.writeto_mem, 0x48, 0x01, word)
