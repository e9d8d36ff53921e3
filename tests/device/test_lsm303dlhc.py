"""LSM303DLHC magnetometer: driver against emulator, gains of Doc ID 018771, table 75."""

from drivers.bus import EmulatedI2C
from drivers.errors import DriverError, EmulatorError, RegisterError
from drivers.lsm303dlhc.driver import Lsm303dlhc
from drivers.lsm303dlhc.emulator import Lsm303dlhcEmulator

GAUSS = 1e-4
PERIOD_US = 13334


class Bench:
    """The chip, a clock and a driver."""

    def __init__(self, **options):
        self.now_us = 0
        self.chip = Lsm303dlhcEmulator()
        self.i2c = EmulatedI2C({0x1E: self.chip}, self.ticks_us)
        self.driver = Lsm303dlhc(self.i2c, 0x1E, self.sleep_us, **options)

    def ticks_us(self):
        return self.now_us

    def sleep_us(self, duration_us):
        self.now_us += duration_us

    def raw(self, register, count=1):
        data = bytearray(count)
        self.i2c.readfrom_mem_into(0x1E, register, data)
        return bytes(data)

    def drive(self, x, y, z):
        for axis, value in (("x", x), ("y", y), ("z", z)):
            self.chip.drive("magnetic_flux_density_tesla_" + axis, value)
        self.sleep_us(PERIOD_US)


class Saturated:
    """A chip whose z axis is beyond its full scale."""

    def readfrom_mem_into(self, _address, register, into):
        into[:] = b"\x00\x00\xf0\x00\x00\x00" if register == 3 else bytes(len(into))


def _error_of(error_class, function, *arguments):
    try:
        function(*arguments)
    except error_class as error:
        return str(error)
    raise AssertionError("no error")


def test_order_on_the_bus_is_x_z_y():
    bench = Bench()
    bench.driver.start()
    bench.drive(1 * GAUSS, -1 * GAUSS, 0.5 * GAUSS)
    assert bench.raw(0x03, 6) == b"\x04\x4c\x01\xea\xfb\xb4"
    field = bench.driver.magnetic_flux_density_tesla()
    assert abs(field.x - 1 * GAUSS) < 1e-8
    assert abs(field.y + 1 * GAUSS) < 1e-8
    assert abs(field.z - 0.5 * GAUSS) < 1e-8


def test_gain_follows_the_full_scale():
    for full_scale_gauss, raw in ((1.9, b"\x03\x57"), (4.0, b"\x01\xc2"), (8.1, b"\x00\xe6")):
        bench = Bench(full_scale_gauss=full_scale_gauss)
        bench.driver.start()
        bench.drive(1 * GAUSS, 0, full_scale_gauss * GAUSS)
        assert bench.raw(0x03, 2) == raw
        field = bench.driver.magnetic_flux_density_tesla()
        assert abs(field.x - 1 * GAUSS) < 1e-7
        assert abs(field.z - full_scale_gauss * GAUSS) < 3e-7


def test_temperature_has_eight_counts_a_degree():
    bench = Bench()
    bench.chip.drive("temperature_celsius", 2.5)
    bench.driver.start()
    assert bench.driver.temperature_celsius() == 2.5
    assert bench.raw(0x31, 2) == b"\x01\x40"
    bench.chip.drive("temperature_celsius", -30)
    bench.sleep_us(PERIOD_US)
    assert bench.driver.temperature_celsius() == -30


def test_reset_values_and_identity():
    bench = Bench()
    assert bench.raw(0x00, 3) == b"\x10\x20\x03"
    assert bench.raw(0x0A, 3) == b"H43"
    assert bench.raw(0x03, 6) == bytes(6)
    assert bench.raw(0x31, 2) == bytes(2)


def test_a_burst_wraps_behind_the_y_axis():
    bench = Bench()
    bench.driver.start()
    bench.drive(1 * GAUSS, 0, 0)
    assert bench.raw(0x03, 8)[6:] == b"\x04\x4c"


def test_data_ready_is_cleared_by_reading():
    bench = Bench()
    bench.driver.start()
    bench.sleep_us(PERIOD_US)
    assert bench.raw(0x09) == b"\x01"
    bench.driver.magnetic_flux_density_tesla()
    assert bench.raw(0x09) == b"\x00"


def test_a_field_beyond_the_full_scale_is_refused():
    driver = Lsm303dlhc(Saturated(), 0x1E, None)
    driver._lsb_xy_tesla = driver._lsb_z_tesla = 1e-7
    message = _error_of(DriverError, driver.magnetic_flux_density_tesla)
    assert "beyond the full scale; set full_scale_gauss" in message


def test_options_and_order_are_checked():
    message = _error_of(RegisterError, Bench(full_scale_gauss=2).driver.start)
    assert "gn: no setting 2, use one of 1.3, 1.9" in message
    message = _error_of(RegisterError, Bench(rate_hertz=100).driver.start)
    assert "do: no setting 100, use one of 0.75" in message
    driver = Bench().driver
    assert "call start() first" in _error_of(DriverError, driver.magnetic_flux_density_tesla)
    assert "call start() first" in _error_of(DriverError, driver.temperature_celsius)


def test_what_is_not_modelled_is_refused():
    bench = Bench()
    assert "single" in _error_of(EmulatorError, bench.i2c.writeto_mem, 0x1E, 0x02, b"\x01")
