"""Reads the magnetometer of an LSM303DLHC: three axes in one burst, and its temperature.

The accelerometer of the module is another device at another address and is left alone. The
temperature is good for changes: the datasheet gives its slope, 8 counts a degree, and no offset.
"""

from collections import namedtuple
from struct import unpack_from

from drivers.lsm303dlhc.registers import (
    COUNTS_PER_GAUSS,
    CRA_REG,
    CRB_REG,
    GAUSS_TESLA,
    IRA_REG,
    IRB_REG,
    IRC_REG,
    MR_REG,
    OUT_X,
    OUT_Y,
    OUT_Z,
    OVERFLOW,
    SR_REG,
    TEMP_OUT,
)
from drivers.port import RegisterPort

FluxDensity = namedtuple("FluxDensity", "x y z")

_IDENTITY = ((IRA_REG, 0x48), (IRB_REG, 0x34), (IRC_REG, 0x33))
_X, _Z, _Y = (register.address - OUT_X.address for register in (OUT_X, OUT_Z, OUT_Y))
_BURST_BYTES = OUT_X.width_bytes + OUT_Y.width_bytes + OUT_Z.width_bytes


class Lsm303dlhc:
    """The magnetometer at `address` (0x1E) of `i2c`, at plus or minus `full_scale_gauss`.

    Full scales: 1.3, 1.9, 2.5, 4.0, 4.7, 5.6, 8.1 gauss. Rates: 0.75, 1.5, 3, 7.5, 15, 30, 75,
    220 Hz.
    """

    PART = "lsm303dlhc"
    BUS = "i2c"

    def __init__(
        self,
        i2c,
        address: int,
        sleep_us,
        full_scale_gauss: float = 1.3,
        rate_hertz: float = 75,
    ):
        self._port = RegisterPort(self.PART, i2c, address)
        self._full_scale_gauss = full_scale_gauss
        self._rate_hertz = rate_hertz
        self._sleep_us = sleep_us
        self._lsb_xy_tesla = 0.0
        self._lsb_z_tesla = 0.0
        self._burst = bytearray(_BURST_BYTES)
        self._temperature = bytearray(TEMP_OUT.width_bytes)

    def start(self) -> None:
        """Check the three identity bytes, configure, wait for a first result."""
        port = self._port
        for register, expected in _IDENTITY:
            port.expect_identity(register, 0xFF, expected)
        rate = CRA_REG.field("do").code(self._rate_hertz)
        port.write(CRA_REG, CRA_REG.word(temp_en=1, do=rate))
        gain = CRB_REG.field("gn").code(self._full_scale_gauss)
        port.write(CRB_REG, CRB_REG.word(gn=gain))
        port.write(MR_REG, MR_REG.word(md=MR_REG.field("md").code("continuous")))
        xy, z = _counts_per_gauss(self._full_scale_gauss)
        self._lsb_xy_tesla = GAUSS_TESLA / xy
        self._lsb_z_tesla = GAUSS_TESLA / z
        ready = SR_REG.field("drdy").mask()
        pause_us = int(1000000 / self._rate_hertz) + 1
        port.await_bits(SR_REG, ready, ready, self._sleep_us, pause_us, polls_max=4)

    def magnetic_flux_density_tesla(self) -> FluxDensity:
        """Return the latest field along the chip's axes; `DriverError` where it is too large."""
        burst = self._burst
        self._port.read_into(OUT_X, burst)
        if not self._lsb_xy_tesla:
            self._port.fail(OUT_X, "asleep; call start() first")
        x = unpack_from(OUT_X.code, burst, _X)[0]
        y = unpack_from(OUT_Y.code, burst, _Y)[0]
        z = unpack_from(OUT_Z.code, burst, _Z)[0]
        if OVERFLOW in (x, y, z):
            self._port.fail(OUT_X, "the field is beyond the full scale; set full_scale_gauss")
        return FluxDensity(x * self._lsb_xy_tesla, y * self._lsb_xy_tesla, z * self._lsb_z_tesla)

    def temperature_celsius(self) -> float:
        """Return the chip's temperature, up to an unknown constant offset."""
        self._port.read_into(TEMP_OUT, self._temperature)
        if not self._lsb_xy_tesla:
            self._port.fail(TEMP_OUT, "switched off; call start() first")
        return unpack_from(TEMP_OUT.code, self._temperature)[0] * TEMP_OUT.lsb


def _counts_per_gauss(full_scale_gauss: float):
    """Return the counts of X and Y, and of Z; floats of 32 bits are told apart well enough."""
    for known, counts in COUNTS_PER_GAUSS.items():
        if abs(known - full_scale_gauss) < 0.01:
            return counts
    return 0, 0


DRIVER = Lsm303dlhc
