"""BME280: compensation against published results, driver against emulator."""

from drivers.bme280.driver import (
    Bme280,
    fine_temperature,
    humidity_percent_rh,
    pressure_pascal,
)
from drivers.bme280.emulator import Bme280Emulator
from drivers.bus import EmulatedI2C
from drivers.errors import DriverError, EmulatorError, RegisterError

# The specimen of drivers/bme280/datasheet.csv.
T_WORDS = (28009, 25654, 50)
P_WORDS = (39145, -10750, 3024, 5667, -120, -7, 15500, -14600, 6000)
H_WORDS = (75, 376, 0, 286, 50, 30)


class Bench:
    """The chip, a clock and a driver."""

    def __init__(self, **options):
        self.now_us = 0
        self.chip = Bme280Emulator()
        self.i2c = EmulatedI2C({0x76: self.chip}, self.ticks_us)
        self.driver = Bme280(self.i2c, 0x76, self.sleep_us, **options)

    def ticks_us(self):
        return self.now_us

    def sleep_us(self, duration_us):
        self.now_us += duration_us

    def raw(self, register, count=1):
        data = bytearray(count)
        self.i2c.readfrom_mem_into(0x76, register, data)
        return bytes(data)

    def drive(self, celsius, pascal, percent_rh):
        self.chip.drive("temperature_celsius", celsius)
        self.chip.drive("pressure_pascal", pascal)
        self.chip.drive("humidity_percent_rh", percent_rh)


def _error_of(error_class, function, *arguments):
    try:
        function(*arguments)
    except error_class as error:
        return str(error)
    raise AssertionError("no error")


def test_computation_example_of_the_bmp280_data_sheet():
    """BST-BMP280-DS001, section 3.12: the equations of temperature and pressure are the same."""
    fine = fine_temperature(519888, (27504, 26435, -1000))
    assert abs(fine - 128422) < 1
    assert abs(fine / 5120 - 25.08) < 0.005
    words = (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
    assert abs(pressure_pascal(415148, fine, words) - 100653.27) < 0.5


def test_results_of_a_published_specimen():
    fine = fine_temperature(529191, T_WORDS)
    assert abs(fine / 5120 - 24.7894877676) < 2e-4
    assert abs(pressure_pascal(326816, fine, P_WORDS) - 100661.517564) < 0.5
    assert abs(humidity_percent_rh(30281, fine, H_WORDS) - 68.66996648709039) < 2e-3


def test_humidity_is_cropped_at_both_ends():
    fine = fine_temperature(529191, T_WORDS)
    assert humidity_percent_rh(0, fine, H_WORDS) == 0
    assert humidity_percent_rh(65535, fine, H_WORDS) == 100


def test_all_three_come_back():
    bench = Bench()
    bench.drive(21.5, 98765, 45)
    bench.driver.start()
    for celsius, pascal, percent_rh in ((21.5, 98765, 45), (-39, 30100, 0), (84, 109900, 99.9)):
        bench.drive(celsius, pascal, percent_rh)
        bench.sleep_us(20000)
        assert abs(bench.driver.temperature_celsius() - celsius) < 0.006
        assert abs(bench.driver.pressure_pascal() - pascal) < 1
        assert abs(bench.driver.humidity_percent_rh() - percent_rh) < 0.02


def test_trimming_words_are_read_with_their_signs_and_halves():
    bench = Bench()
    bench.driver.start()
    assert bench.driver._temperature_words == T_WORDS
    assert bench.driver._pressure_words == P_WORDS
    assert bench.driver._humidity_words == H_WORDS


def test_raw_results_are_those_of_the_compensated_values():
    bench = Bench()
    bench.drive(24.7894877676, 100661.517564, 68.669966487)
    bench.driver.start()
    raw = bench.raw(0xF7, 8)
    assert abs((raw[3] << 12 | raw[4] << 4 | raw[5] >> 4) - 529191) <= 2
    assert abs((raw[0] << 12 | raw[1] << 4 | raw[2] >> 4) - 326816) <= 8
    assert abs((raw[6] << 8 | raw[7]) - 30281) <= 2


def test_reset_values_until_a_first_measurement():
    bench = Bench()
    assert bench.raw(0xF7, 8) == b"\x80\x00\x00\x80\x00\x00\x80\x00"
    assert bench.raw(0xD0) == b"\x60"
    assert "call start() first" in _error_of(DriverError, bench.driver.temperature_celsius)


def test_results_that_were_never_measured_are_refused():
    bench = Bench()
    bench.drive(20, 100000, 50)
    bench.driver.start()
    bench.i2c.writeto_mem(0x76, 0xE0, b"\xb6")
    message = _error_of(DriverError, bench.driver.pressure_pascal)
    assert "not ready after the first measurement" in message


def test_start_waits_for_the_first_measurement():
    for oversampling, typical_us in ((1, 8000), (4, 26000), (16, 98000)):
        bench = Bench(oversampling=oversampling)
        bench.drive(20, 100000, 50)
        bench.driver.start()
        assert typical_us < bench.now_us < 2 * typical_us + 10000


def test_measuring_flag_follows_the_cycle():
    bench = Bench()
    bench.driver.start()
    flags = []
    for _ in range(34):
        flags.append(bench.raw(0xF3)[0])
        bench.sleep_us(250)
    # 8 ms of measuring, half a millisecond of standby.
    assert flags.count(0) == 2
    assert flags.count(8) == 32


def test_forced_mode_measures_once_and_sleeps():
    bench = Bench()
    bench.chip.drive("temperature_celsius", 20)
    bench.i2c.writeto_mem(0x76, 0xF2, b"\x01")
    bench.i2c.writeto_mem(0x76, 0xF4, b"\x25")
    assert bench.raw(0xF4) == b"\x24"
    assert bench.raw(0xF3)[0] & 8 == 8
    bench.sleep_us(8000)
    assert bench.raw(0xF3)[0] & 8 == 0
    first = bench.raw(0xFA, 3)
    assert first != b"\x80\x00\x00"
    bench.chip.drive("temperature_celsius", 60)
    bench.sleep_us(100000)
    assert bench.raw(0xFA, 3) == first


def test_options_are_checked():
    message = _error_of(RegisterError, Bench(oversampling=3).driver.start)
    assert "osrs_h: no setting 3, use one of 0, 1, 2, 4, 8, 16" in message


def test_what_is_not_modelled_is_refused():
    bench = Bench()
    write = bench.i2c.writeto_mem
    assert "takes 0xB6" in _error_of(EmulatorError, write, 0x76, 0xE0, b"\x01")
    assert "filter" in _error_of(EmulatorError, write, 0x76, 0xF5, b"\x04")
    assert "skipped" in _error_of(EmulatorError, write, 0x76, 0xF4, b"\x27")
