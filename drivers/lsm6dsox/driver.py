"""Reads the accelerometer of an LSM6DSOX: three axes in one burst, one bus transaction a reading.

Block data update keeps the two bytes of an axis from one conversion; the three axes are of one
conversion as long as the burst is shorter than a period of the output data rate. Gyroscope, FIFO,
filters and interrupts are left at what the chip powers up with.
"""

from collections import namedtuple
from struct import unpack_from

from drivers.lsm6dsox.registers import (
    CTRL1_XL,
    CTRL3_C,
    OUTX_A,
    OUTY_A,
    OUTZ_A,
    SENSITIVITY_MILLI_G,
    STANDARD_GRAVITY_M_S2,
    STATUS_REG,
    WHO_AM_I,
)
from drivers.port import RegisterPort

Acceleration = namedtuple("Acceleration", "x y z")

_WHO_AM_I = 0x6C
_FORMAT = OUTX_A.code[0] + 3 * OUTX_A.code[1:]
_BURST_BYTES = OUTX_A.width_bytes + OUTY_A.width_bytes + OUTZ_A.width_bytes
_RESET_PAUSE_US = 100


class Lsm6dsox:
    """The LSM6DSOX at `address` of `i2c`, at plus or minus `full_scale_g`, `rate_hertz`.

    Full scales: 2, 4, 8, 16 g. Rates: 12.5, 26, 52, 104, 208, 416, 833, 1660, 3330, 6660 Hz.
    """

    PART = "lsm6dsox"
    BUS = "i2c"

    def __init__(self, i2c, address: int, sleep_us, full_scale_g: int = 2, rate_hertz: float = 104):
        self._port = RegisterPort(self.PART, i2c, address)
        self._full_scale_g = full_scale_g
        self._rate_hertz = rate_hertz
        self._sleep_us = sleep_us
        self._lsb_m_s2 = 0.0
        self._burst = bytearray(_BURST_BYTES)

    def start(self) -> None:
        """Check the identity, reset, configure, wait for a first result."""
        port = self._port
        port.expect_identity(WHO_AM_I, 0xFF, _WHO_AM_I)
        reset = CTRL3_C.field("sw_reset").mask()
        port.write(CTRL3_C, CTRL3_C.word(sw_reset=1))
        port.await_bits(CTRL3_C, reset, 0, self._sleep_us, _RESET_PAUSE_US, polls_max=10)
        port.write(CTRL3_C, CTRL3_C.word(bdu=1, if_inc=1))
        rate = CTRL1_XL.field("odr_xl").code(self._rate_hertz)
        scale = CTRL1_XL.field("fs_xl").code(self._full_scale_g)
        port.write(CTRL1_XL, CTRL1_XL.word(odr_xl=rate, fs_xl=scale))
        milli_g = SENSITIVITY_MILLI_G[int(self._full_scale_g)]
        self._lsb_m_s2 = milli_g * STANDARD_GRAVITY_M_S2 / 1000
        ready = STATUS_REG.field("xlda").mask()
        pause_us = int(1000000 / self._rate_hertz) + 1
        port.await_bits(STATUS_REG, ready, ready, self._sleep_us, pause_us, polls_max=4)

    def acceleration_m_s2(self) -> Acceleration:
        """Return the latest acceleration along the chip's x, y and z axes."""
        self._port.read_into(OUTX_A, self._burst)
        x, y, z = unpack_from(_FORMAT, self._burst)
        lsb = self._lsb_m_s2
        if not lsb:
            self._port.fail(OUTX_A, "powered down; call start() first")
        return Acceleration(x * lsb, y * lsb, z * lsb)


DRIVER = Lsm6dsox
