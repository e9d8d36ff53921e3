"""MAX31865: driver against emulator over SPI, with the pairs of 19-6478, table 9."""

from drivers.bus import EmulatedSPI
from drivers.errors import DriverError, EmulatorError, RegisterError
from drivers.max31865.driver import Max31865, rtd_celsius, rtd_ratio
from drivers.max31865.emulator import Max31865Emulator

# Temperature, resistance of a Pt100 in ohm and RTD registers at a reference of 400 ohm.
TABLE_9 = (
    (-200, 18.52, b"\x0b\xda"),
    (-100, 60.26, b"\x26\x90"),
    (-40, 84.27, b"\x35\xee"),
    (0, 100.00, b"\x40\x00"),
    (100, 138.51, b"\x58\xa4"),
    (250, 194.10, b"\x7c\x3a"),
    (550, 297.49, b"\xbe\x64"),
)
CYCLE_US = 20000


class Bench:
    """The chip, a clock and a driver."""

    def __init__(self, nominal_ohm=100.0, reference_ohm=400.0, **options):
        self.now_us = 0
        self.chip = Max31865Emulator(nominal_ohm, reference_ohm)
        self.spi = EmulatedSPI(self.chip, self.ticks_us, "SPI(0)")
        options["nominal_ohm"] = nominal_ohm
        options["reference_ohm"] = reference_ohm
        self.driver = Max31865(self.spi, None, self.sleep_us, **options)

    def ticks_us(self):
        return self.now_us

    def sleep_us(self, duration_us):
        self.now_us += duration_us

    def raw(self, register, count=1):
        into = bytearray(1 + count)
        self.spi.write_readinto(bytes((register,)) + bytes(count), into)
        return bytes(into[1:])

    def write(self, register, data):
        self.spi.write_readinto(bytes((register | 0x80,)) + data, bytearray(1 + len(data)))


def _error_of(error_class, function, *arguments):
    try:
        function(*arguments)
    except error_class as error:
        return str(error)
    raise AssertionError("no error")


def test_callendar_van_dusen_both_ways():
    for celsius, ohm, _ in TABLE_9:
        assert abs(100 * rtd_ratio(celsius) - ohm) < 0.006
        assert abs(rtd_celsius(rtd_ratio(celsius)) - celsius) < 2e-3
    assert rtd_celsius(1.0) == 0
    assert abs(rtd_celsius(3.9048) - 850) < 0.02
    assert rtd_celsius(9.0) > 850


def test_table_9_both_ways():
    bench = Bench()
    bench.driver.start()
    for celsius, _, raw in TABLE_9:
        bench.chip.drive("temperature_celsius", celsius)
        bench.sleep_us(CYCLE_US)
        assert abs(bench.driver.temperature_celsius() - celsius) < 0.021
        found = bench.raw(0x01, 2)
        assert abs((found[0] << 8 | found[1]) - (raw[0] << 8 | raw[1])) <= 2


def test_a_pt1000_has_its_own_reference():
    bench = Bench(nominal_ohm=1000.0, reference_ohm=4300.0)
    bench.chip.drive("temperature_celsius", 21.5)
    bench.driver.start()
    assert abs(bench.driver.temperature_celsius() - 21.5) < 0.02


def test_configuration_by_options():
    for options, word in (
        ({}, b"\xc1"),
        ({"filter_hertz": 60}, b"\xc0"),
        ({"wires": 3}, b"\xd1"),
        ({"wires": 2, "is_one_shot": True}, b"\x81"),
    ):
        bench = Bench(**options)
        bench.driver.start()
        assert bench.raw(0x00) == word


def test_one_shot_converts_for_each_reading():
    bench = Bench(is_one_shot=True)
    bench.chip.drive("temperature_celsius", 30)
    bench.driver.start()
    bench.chip.drive("temperature_celsius", 60)
    bench.sleep_us(10**6)
    before_us = bench.now_us
    assert abs(bench.driver.temperature_celsius() - 60) < 0.02
    assert bench.now_us - before_us == 66000


def test_one_shot_bit_clears_itself():
    bench = Bench(is_one_shot=True)
    bench.driver.start()
    bench.write(0x00, b"\xa1")
    assert bench.raw(0x00) == b"\xa1"
    bench.sleep_us(62500)
    assert bench.raw(0x00) == b"\x81"


def test_a_conversion_that_never_ends_ends_the_wait():
    bench = Bench(is_one_shot=True)
    bench.driver.start()
    bench.driver._sleep_us = lambda _us: None
    message = _error_of(DriverError, bench.driver.temperature_celsius)
    assert "register configuration (0x00) on SPI(0): not ready after 4 polls" in message


def test_an_open_resistor_is_named_while_it_runs():
    bench = Bench()
    bench.driver.start()
    bench.chip.break_wires("rtd_high_threshold")
    bench.sleep_us(CYCLE_US)
    message = _error_of(DriverError, bench.driver.temperature_celsius)
    assert "fault_status (0x07) on SPI(0): rtd_high_threshold: a wire" in message
    assert bench.raw(0x01, 2) == b"\xff\xff"
    bench.chip.break_wires()
    bench.sleep_us(CYCLE_US)
    assert "rtd_high" in _error_of(DriverError, bench.driver.temperature_celsius)
    bench.driver.start()
    assert abs(bench.driver.temperature_celsius()) < 0.02


def test_broken_wires_are_named_before_a_first_reading():
    bench = Bench()
    bench.chip.break_wires("refin_low_force_open", "rtdin_low_force_open")
    message = _error_of(DriverError, bench.driver.start)
    assert "refin_low_force_open and rtdin_low_force_open" in message


def test_a_reset_while_running_is_noticed():
    bench = Bench()
    bench.driver.start()
    bench.write(0x00, b"\x00")
    message = _error_of(DriverError, bench.driver.temperature_celsius)
    assert "expected 0xC1, got 0x00: the chip was reset or is not there" in message


def test_an_impossible_ratio_is_no_temperature():
    bench = Bench()
    bench.driver.start()
    bench.chip._words["rtd"] = 0
    bench.chip._count = bench.chip._conversions.count(bench.now_us)
    assert "ratio 0 is no temperature" in _error_of(DriverError, bench.driver.temperature_celsius)


def test_reset_values():
    bench = Bench()
    assert bench.raw(0x00, 8) == b"\x00\x00\x00\xff\xff\x00\x00\x00"


def test_options_and_order_are_checked():
    assert "use 2, 3 or 4" in _error_of(RegisterError, Bench(wires=5).driver.start)
    message = _error_of(RegisterError, Bench(filter_hertz=55).driver.start)
    assert "filter: no setting 55, use one of 50, 60" in message
    assert "call start() first" in _error_of(DriverError, Bench().driver.temperature_celsius)


def test_what_is_not_modelled_is_refused():
    bench = Bench()
    assert "VBIAS" in _error_of(EmulatorError, bench.write, 0x00, b"\x41")
    assert "power-up" in _error_of(EmulatorError, bench.write, 0x03, b"\x10\x00")
    assert "code 2 is reserved" in _error_of(RegisterError, bench.write, 0x00, b"\x88")
