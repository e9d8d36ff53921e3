"""LSM6DSOX: driver against emulator, with the examples of ST's application notes at 2 g."""

from drivers.bus import EmulatedI2C
from drivers.errors import DriverError, EmulatorError, RegisterError
from drivers.lsm6dsox.driver import Lsm6dsox
from drivers.lsm6dsox.emulator import Lsm6dsoxEmulator

G_M_S2 = 9.80665
LSB_M_S2 = 0.061e-3 * G_M_S2
PERIOD_US = 9615


class Bench:
    """The chip, a clock and a driver."""

    def __init__(self, **options):
        self.now_us = 0
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

    def drive(self, x, y, z):
        for axis, value in (("x", x), ("y", y), ("z", z)):
            self.chip.drive("acceleration_m_s2_" + axis, value)
        self.sleep_us(PERIOD_US)


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


def test_examples_of_the_application_note():
    bench = _started()
    bench.drive(5737 * LSB_M_S2, 16393 * LSB_M_S2, -16393 * LSB_M_S2)
    assert bench.raw(0x28, 6) == b"\x69\x16\x09\x40\xf7\xbf"
    reading = bench.driver.acceleration_m_s2()
    assert abs(reading.x - 0.35 * G_M_S2) < LSB_M_S2
    assert abs(reading.y - G_M_S2) < LSB_M_S2
    assert abs(reading.z + G_M_S2) < LSB_M_S2


def test_reading_is_within_half_a_count():
    bench = _started()
    bench.drive(1.2345, -9.81, 0.0004)
    reading = bench.driver.acceleration_m_s2()
    for found, driven in ((reading.x, 1.2345), (reading.y, -9.81), (reading.z, 0.0004)):
        assert abs(found - driven) <= 0.52 * LSB_M_S2


def test_every_full_scale_scales():
    for full_scale_g, code, milli_g in (
        (2, 0, 0.061),
        (4, 8, 0.122),
        (8, 12, 0.244),
        (16, 4, 0.488),
    ):
        bench = _started(full_scale_g=full_scale_g)
        assert bench.raw(0x10)[0] & 0x0C == code
        bench.drive(1000 * milli_g / 1000 * G_M_S2, 0, 0)
        assert bench.raw(0x28, 2) == b"\xe8\x03"
        assert abs(bench.driver.acceleration_m_s2().x - milli_g * G_M_S2) < milli_g * G_M_S2 / 1000


def test_rates_have_the_codes_of_the_maker():
    for rate_hertz, code in ((12.5, 1), (26, 2), (104, 4), (1660, 8), (6660, 10)):
        bench = _started(rate_hertz=rate_hertz)
        assert bench.raw(0x10)[0] >> 4 == code
        assert bench.now_us <= 2 * 1000000 / rate_hertz + 200
    message = _error_of(RegisterError, Bench(rate_hertz=1.6).driver.start)
    assert "odr_xl: no setting 1.6, use one of 0, 12.5, 26" in message


def test_options_are_checked():
    message = _error_of(RegisterError, Bench(full_scale_g=3).driver.start)
    assert "fs_xl: no setting 3, use one of 2, 4, 8, 16" in message
    message = _error_of(DriverError, Bench().driver.acceleration_m_s2)
    assert "call start() first" in message


def test_reset_values():
    bench = Bench()
    assert bench.raw(0x0F) == b"\x6c"
    assert bench.raw(0x10) == b"\x00"
    assert bench.raw(0x12) == b"\x04"
    assert bench.raw(0x1E) == b"\x00"
    assert bench.raw(0x28, 6) == bytes(6)


def test_powered_down_until_a_rate_is_set():
    bench = Bench()
    bench.drive(5, 5, 5)
    bench.sleep_us(10**6)
    assert bench.raw(0x1E) == b"\x00"
    assert bench.raw(0x28, 6) == bytes(6)


def test_reset_bit_clears_itself_and_the_configuration():
    bench = _started(full_scale_g=8)
    bench.i2c.writeto_mem(0x6A, 0x12, b"\x05")
    assert bench.raw(0x12) == b"\x05"
    assert bench.raw(0x10) == b"\x00"
    bench.sleep_us(50)
    assert bench.raw(0x12) == b"\x04"


def test_driver_sets_block_update_and_increment():
    assert _started().raw(0x12) == b"\x44"


def test_without_increment_a_burst_repeats_one_byte():
    bench = _started()
    bench.drive(5737 * LSB_M_S2, 0, 0)
    bench.i2c.writeto_mem(0x6A, 0x12, b"\x40")
    assert bench.raw(0x28, 4) == b"\x69\x69\x69\x69"


def test_a_burst_may_start_within_an_axis():
    bench = _started()
    bench.drive(5737 * LSB_M_S2, 16393 * LSB_M_S2, 0)
    assert bench.raw(0x29, 2) == b"\x16\x09"
    assert bench.raw(0x29) == b"\x16"
    assert "0x2E is not declared" in _error_of(EmulatorError, bench.raw, 0x2C, 3)


def test_data_ready_is_cleared_by_reading():
    bench = _started()
    bench.sleep_us(PERIOD_US)
    assert bench.raw(0x1E) == b"\x01"
    bench.driver.acceleration_m_s2()
    assert bench.raw(0x1E) == b"\x00"
    bench.sleep_us(PERIOD_US)
    assert bench.raw(0x1E) == b"\x01"


def test_axes_are_sampled_together_when_a_conversion_ends():
    asked = []
    bench = _started()
    for axis in "xyz":
        bench.chip.drive("acceleration_m_s2_" + axis, lambda now_us: asked.append(now_us) or 0)
    bench.sleep_us(10 * PERIOD_US)
    bench.driver.acceleration_m_s2()
    bench.driver.acceleration_m_s2()
    assert len(asked) == 3
    assert asked[0] == asked[1] == asked[2] <= bench.now_us


def test_what_is_not_modelled_is_refused():
    bench = Bench()
    write = bench.i2c.writeto_mem
    assert "BOOT" in _error_of(EmulatorError, write, 0x6A, 0x12, b"\x84")
    assert "low-pass" in _error_of(EmulatorError, write, 0x6A, 0x10, b"\x42")
    bench = _started()
    bench.drive(20.0, 0, 0)
    assert "acceleration_m_s2_x = 20.0" in _error_of(EmulatorError, bench.driver.acceleration_m_s2)
