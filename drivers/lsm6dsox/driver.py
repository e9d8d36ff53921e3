"""Reads the accelerometer of an LSM6DSOX: one result in one burst, or every result by its FIFO.

Block data update keeps the two bytes of an axis from one conversion; the three axes are of one
conversion as long as the burst is shorter than a period of the output data rate. Gyroscope,
filters and interrupts are left at what the chip powers up with.

When the FIFO is full the oldest result is lost. The chip says that this has happened, not how
often: each such report counts 1 in `fifo_overruns`.
"""

from collections import namedtuple
from struct import unpack_from

from drivers.lsm6dsox.registers import (
    CTRL1_XL,
    CTRL3_C,
    CTRL5_C,
    FIFO_CTRL3,
    FIFO_CTRL4,
    FIFO_DATA_OUT_TAG,
    FIFO_STATUS1,
    FIFO_WORD_BYTES,
    FIFO_WORDS,
    OUTX_A,
    OUTY_A,
    OUTZ_A,
    SELF_TEST_MILLI_G,
    SENSITIVITY_MILLI_G,
    STANDARD_GRAVITY_M_S2,
    STATUS_REG,
    WHO_AM_I,
)
from drivers.port import RegisterPort
from wire.kernel import micropython, ptr8, ptr32

Acceleration = namedtuple("Acceleration", "x y z")

_WHO_AM_I = 0x6C
_FORMAT = OUTX_A.code[0] + 3 * OUTX_A.code[1:]
_BURST_BYTES = OUTX_A.width_bytes + OUTY_A.width_bytes + OUTZ_A.width_bytes
_RESET_PAUSE_US = 100
_OVERRUN = FIFO_STATUS1.field("over_run_latched").mask()
_LEVEL = FIFO_STATUS1.field("diff_fifo").mask()
_CHUNK_WORDS = 32
# AN5272, accelerometer self-test: 52 Hz at 4 g, 100 ms to settle, five results each.
_SELF_TEST_RATE_HERTZ = 52
_SELF_TEST_SCALE_G = 4
_SELF_TEST_SETTLING_US = 100000
_SELF_TEST_SAMPLES = 5


@micropython.viper
def unpack_words(words: ptr8, count: int, into: ptr32, triple: int) -> int:
    """Unpack the accelerometer's among `count` FIFO words into triples from `triple` on.

    Returns the number of the triple after the last; words of other sensors are passed over.
    """
    at = 0
    to = 3 * triple
    for _ in range(count):
        if (words[at] >> 3) == 2:
            for low in range(at + 1, at + 7, 2):
                value = words[low] | (words[low + 1] << 8)
                into[to] = value - ((value & 0x8000) << 1)
                to += 1
        at += 7
    return to // 3


class Lsm6dsox:
    """The LSM6DSOX at `address` of `i2c`, at plus or minus `full_scale_g`, `rate_hertz`.

    Full scales: 2, 4, 8, 16 g. Rates: 12.5, 26, 52, 104, 208, 416, 833, 1660, 3330, 6660 Hz.
    """

    PART = "lsm6dsox"
    BUS = "i2c"
    FIFO_BITS = 16
    FIFO_TRIPLES = FIFO_WORDS

    def __init__(self, i2c, address: int, sleep_us, full_scale_g: int = 2, rate_hertz: float = 104):
        self._port = RegisterPort(self.PART, i2c, address)
        self._full_scale_g = full_scale_g
        self._rate_hertz = rate_hertz
        self._sleep_us = sleep_us
        self._burst = bytearray(_BURST_BYTES)
        self._level = bytearray(FIFO_STATUS1.width_bytes)
        self._chunks: tuple = ()
        self.fifo_lsb_m_s2 = 0.0
        self.fifo_overruns = 0

    def start(self) -> None:
        """Check the identity, reset, configure, wait for a first result."""
        port = self._port
        self._chunks = ()
        port.expect_identity(WHO_AM_I, 0xFF, _WHO_AM_I)
        reset = CTRL3_C.field("sw_reset").mask()
        port.write(CTRL3_C, CTRL3_C.word(sw_reset=1))
        port.await_bits(CTRL3_C, reset, 0, self._sleep_us, _RESET_PAUSE_US, polls_max=10)
        port.write(CTRL3_C, CTRL3_C.word(bdu=1, if_inc=1))
        rate = CTRL1_XL.field("odr_xl").code(self._rate_hertz)
        self._measure(self._full_scale_g, rate)
        self._await_result(self._rate_hertz)

    def acceleration_m_s2(self) -> Acceleration:
        """Return the latest acceleration along the chip's x, y and z axes."""
        self._port.read_into(OUTX_A, self._burst)
        x, y, z = unpack_from(_FORMAT, self._burst)
        lsb = self.fifo_lsb_m_s2
        if not lsb:
            self._port.fail(OUTX_A, "powered down; call start() first")
        return Acceleration(x * lsb, y * lsb, z * lsb)

    def self_test(self) -> Acceleration:
        """Push the mass electrically; return the change it makes, or `DriverError`.

        Takes about 0.5 s with the sensor at rest; measuring starts anew afterwards.
        """
        port = self._port
        self._measure(_SELF_TEST_SCALE_G, CTRL1_XL.field("odr_xl").code(_SELF_TEST_RATE_HERTZ))
        before = self._settled_mean()
        port.write(CTRL5_C, CTRL5_C.word(st_xl=CTRL5_C.field("st_xl").code("positive")))
        after = self._settled_mean()
        port.write(CTRL5_C, CTRL5_C.word())
        low, high = SELF_TEST_MILLI_G
        change = Acceleration(*[after[axis] - before[axis] for axis in range(3)])
        for axis in range(3):
            milli_g = abs(change[axis]) * 1000 / STANDARD_GRAVITY_M_S2
            if not low <= milli_g <= high:
                what = f"axis {'xyz'[axis]} changes by {milli_g:.0f} mg in the self-test, expected"
                port.fail(CTRL5_C, f"{what} {low} .. {high}; replace the part")
        self._measure(self._full_scale_g, CTRL1_XL.field("odr_xl").code(self._rate_hertz))
        self._await_result(self._rate_hertz)
        return change

    def fifo_start(self, rate_hz: int) -> None:
        """Collect in the FIFO at `rate_hz` from now on; `RegisterError` lists the rates."""
        port = self._port
        if not self.fifo_lsb_m_s2:
            port.fail(FIFO_CTRL4, "not identified yet; call start() first")
        code = FIFO_CTRL3.field("bdr_xl").code(rate_hz)
        words = memoryview(bytearray(_CHUNK_WORDS * FIFO_WORD_BYTES))
        self._chunks = tuple([words[: FIFO_WORD_BYTES * n] for n in range(_CHUNK_WORDS + 1)])
        mode = FIFO_CTRL4.field("fifo_mode").code
        port.write(FIFO_CTRL4, FIFO_CTRL4.word(fifo_mode=mode("bypass")))
        # The output data rate has the same code as the batch rate of that speed.
        self._measure(self._full_scale_g, code)
        port.write(FIFO_CTRL3, FIFO_CTRL3.word(bdr_xl=code))
        port.write(FIFO_CTRL4, FIFO_CTRL4.word(fifo_mode=mode("continuous")))
        self.fifo_overruns = 0

    def fifo_read_into(self, samples) -> int:
        """Move what the FIFO has into `samples`, an array("i") of x, y, z counts; return triples.

        At most `len(samples) // 3` triples, 32 in a transaction. Allocates nothing.
        """
        if not self._chunks:
            self._port.fail(FIFO_CTRL4, "the FIFO is off; call fifo_start() first")
        self._port.read_into(FIFO_STATUS1, self._level)
        level = self._level[0] | (self._level[1] << 8)
        if level & _OVERRUN:
            self.fifo_overruns += 1
        left = min(level & _LEVEL, len(samples) // 3)
        triples = 0
        while left:
            count = min(left, _CHUNK_WORDS)
            chunk = self._chunks[count]
            self._port.read_into(FIFO_DATA_OUT_TAG, chunk)
            triples = unpack_words(chunk, count, samples, triples)
            left -= count
        return triples

    def _measure(self, full_scale_g: int, rate_code: int) -> None:
        scale = CTRL1_XL.field("fs_xl").code(full_scale_g)
        self._port.write(CTRL1_XL, CTRL1_XL.word(odr_xl=rate_code, fs_xl=scale))
        milli_g = SENSITIVITY_MILLI_G[int(full_scale_g)]
        self.fifo_lsb_m_s2 = milli_g * STANDARD_GRAVITY_M_S2 / 1000

    def _await_result(self, rate_hertz: float) -> None:
        ready = STATUS_REG.field("xlda").mask()
        pause_us = int(1000000 / rate_hertz) + 1
        self._port.await_bits(STATUS_REG, ready, ready, self._sleep_us, pause_us, polls_max=4)

    def _settled_mean(self) -> Acceleration:
        self._sleep_us(_SELF_TEST_SETTLING_US)
        self.acceleration_m_s2()
        x = y = z = 0.0
        for _ in range(_SELF_TEST_SAMPLES):
            self._await_result(_SELF_TEST_RATE_HERTZ)
            reading = self.acceleration_m_s2()
            x, y, z = x + reading.x, y + reading.y, z + reading.z
        return Acceleration(*[each / _SELF_TEST_SAMPLES for each in (x, y, z)])


DRIVER = Lsm6dsox
