"""Reads an ADXL355 over SPI: one result in one burst, or every result through its FIFO.

Every burst begins at the part's identity: SPI has no acknowledge, and a chip that is gone would
read as zeros or ones. Range and rate are changed in standby only, as the datasheet asks.

In the FIFO an x result carries a marker, so a lost byte is noticed; the driver then throws the
FIFO's content away and counts it in `fifo_overruns`. The chip says that it has lost results, not
how many: each such report counts 1.
"""

from collections import namedtuple

from drivers.adxl355.registers import (
    COUNTS_PER_G,
    DEVID_AD,
    DEVID_MST,
    DIALECT,
    FIFO_DATA,
    FIFO_ENTRIES,
    FIFO_TRIPLES,
    FILTER,
    PARTID,
    POWER_CTL,
    RANGE,
    RESET,
    RESET_CODE,
    SELF_TEST,
    SELF_TEST_G,
    STANDARD_GRAVITY_M_S2,
    STATUS,
    TEMP,
    TEMPERATURE_COUNTS_25_CELSIUS,
    TEMPERATURE_COUNTS_PER_CELSIUS,
    XDATA,
    YDATA,
    ZDATA,
)
from drivers.spi_port import SpiPort
from wire.kernel import micropython, ptr8, ptr32

Acceleration = namedtuple("Acceleration", "x y z")

_IDENTITY = ((DEVID_AD, 0xAD), (DEVID_MST, 0x1D), (PARTID, 0xED))
_PARTID = 0xED
# Where things stand in a burst from PARTID on; index 0 is the byte that the command shifted out.
_STATUS_AT = 1 + STATUS.address - PARTID.address
_ENTRIES_AT = 1 + FIFO_ENTRIES.address - PARTID.address
_TEMP_AT = 1 + TEMP.address - PARTID.address
_X_AT, _Y_AT, _Z_AT = (1 + each.address - PARTID.address for each in (XDATA, YDATA, ZDATA))
_HEAD_BYTES = _ENTRIES_AT
_BURST_BYTES = _Z_AT + ZDATA.width_bytes - 1
_OVERRUN = STATUS.field("fifo_ovr").mask()
_TEMPERATURE = TEMP.field("temperature").mask()
_ENTRIES = FIFO_ENTRIES.field("entries").mask()
_TRIPLE_BYTES = 9

_RESET_PAUSE_US = 1000
# Specifications, Turn-On Time: below 10 ms from standby to measuring.
_TURN_ON_US = 10000
_SELF_TEST_RATE_HERTZ = 1000
_SELF_TEST_SAMPLES = 16
# The datasheet gives the typical change only. A mass that sticks or a wire that is broken changes
# nothing, so a third to three times of it is held to be alive.
_SELF_TEST_FACTOR = 3


@micropython.viper
def signed20(frame: ptr8, at: int) -> int:
    """Return the 20-bit number in the upper bits of three bytes of `frame` from `at` on."""
    value = (frame[at] << 12) | (frame[at + 1] << 4) | (frame[at + 2] >> 4)
    return value - ((value & 0x80000) << 1)


@micropython.viper
def unpack_triples(frame: ptr8, into: ptr32, triples: int) -> int:
    """Unpack FIFO triples from `frame[1]` on; return how many came before one is out of step.

    A triple is in step when its x carries the marker, and no empty entry is in it.
    """
    at = 1
    to = 0
    end = 3 * triples
    while to < end:
        marker = 1
        for _ in range(3):
            low = frame[at + 2]
            if (low & 3) != marker:
                return to // 3
            value = (frame[at] << 12) | (frame[at + 1] << 4) | (low >> 4)
            into[to] = value - ((value & 0x80000) << 1)
            marker = 0
            to += 1
            at += 3
    return triples


class Adxl355:
    """The ADXL355 on chip select `spi`, at plus or minus `full_scale_g`; it has no address.

    Full scales: 2, 4, 8 g. Rates: 4000, 2000, 1000, 500, 250, 125, 62.5, 31.25, 15.625, 7.813,
    3.906 Hz.
    """

    PART = "adxl355"
    BUS = "spi"
    FIFO_BITS = 20
    FIFO_TRIPLES = FIFO_TRIPLES

    def __init__(self, spi, address, sleep_us, full_scale_g: int = 2, rate_hertz: float = 125):
        self._port = SpiPort(self.PART, spi, address, DIALECT, _TRIPLE_BYTES * FIFO_TRIPLES)
        self._full_scale_g = full_scale_g
        self._rate_hertz = rate_hertz
        self._sleep_us = sleep_us
        self.fifo_lsb_m_s2 = 0.0
        self.fifo_overruns = 0

    def start(self) -> None:
        """Check the three identity bytes, reset, configure, wait for a first result."""
        port = self._port
        self.fifo_lsb_m_s2 = 0.0
        for register, expected in _IDENTITY:
            port.expect_identity(register, 0xFF, expected)
        port.write(RESET, RESET_CODE)
        self._sleep_us(_RESET_PAUSE_US)
        busy = STATUS.field("nvm_busy").mask()
        port.await_bits(STATUS, busy, 0, self._sleep_us, _RESET_PAUSE_US, polls_max=10)
        self._measure(self._full_scale_g, self._rate_hertz)

    def acceleration_m_s2(self) -> Acceleration:
        """Return the latest acceleration along the chip's x, y and z axes."""
        burst = self._burst(_BURST_BYTES, XDATA)
        lsb = self.fifo_lsb_m_s2
        return Acceleration(
            signed20(burst, _X_AT) * lsb, signed20(burst, _Y_AT) * lsb, signed20(burst, _Z_AT) * lsb
        )

    def temperature_celsius(self) -> float:
        """Return the chip's own temperature; its two bytes may be of different results."""
        burst = self._burst(_TEMP_AT + 1, TEMP)
        counts = ((burst[_TEMP_AT] << 8) | burst[_TEMP_AT + 1]) & _TEMPERATURE
        above = counts - TEMPERATURE_COUNTS_25_CELSIUS
        return 25 + above / TEMPERATURE_COUNTS_PER_CELSIUS

    def self_test(self) -> Acceleration:
        """Push the mass electrically; return the change it makes, or `DriverError`.

        Takes about 0.1 s with the sensor at rest; measuring starts anew afterwards.
        """
        self._measure(8, _SELF_TEST_RATE_HERTZ)
        self._port.write(SELF_TEST, SELF_TEST.word(st1=1))
        before = self._mean()
        self._port.write(SELF_TEST, SELF_TEST.word(st1=1, st2=1))
        after = self._mean()
        self._port.write(SELF_TEST, SELF_TEST.word())
        change = Acceleration(*[after[axis] - before[axis] for axis in range(3)])
        for axis in range(3):
            g = abs(change[axis]) / STANDARD_GRAVITY_M_S2
            low = SELF_TEST_G[axis] / _SELF_TEST_FACTOR
            high = SELF_TEST_G[axis] * _SELF_TEST_FACTOR
            if not low <= g <= high:
                what = f"axis {'xyz'[axis]} changes by {g:.3f} g in the self-test, expected"
                self._port.fail(SELF_TEST, f"{what} {low:.2f} .. {high:.2f}; replace the part")
        self._measure(self._full_scale_g, self._rate_hertz)
        return change

    def fifo_start(self, rate_hz: int) -> None:
        """Collect in the FIFO at `rate_hz` from now on; `RegisterError` lists the rates."""
        if not self.fifo_lsb_m_s2:
            self._port.fail(FILTER, "not identified yet; call start() first")
        FILTER.field("odr_lpf").code(rate_hz)
        self._measure(self._full_scale_g, rate_hz)
        self._empty()
        self.fifo_overruns = 0

    def fifo_read_into(self, samples) -> int:
        """Move what the FIFO has into `samples`, an array("i") of x, y, z counts; return triples.

        At most `len(samples) // 3` triples. Allocates nothing once every length has been read.
        """
        head = self._burst(_HEAD_BYTES, FIFO_ENTRIES)
        if head[_STATUS_AT] & _OVERRUN:
            self.fifo_overruns += 1
        triples = min((head[_ENTRIES_AT] & _ENTRIES) // 3, len(samples) // 3)
        if not triples:
            return 0
        frame = self._port.receive(FIFO_DATA, _TRIPLE_BYTES * triples)
        unpacked = unpack_triples(frame, samples, triples)
        if unpacked < triples:
            self._empty()
            self.fifo_overruns += triples - unpacked
        return unpacked

    def _burst(self, count: int, register):
        """Return `count` bytes from PARTID on, checked to be of this part and of a started one."""
        burst = self._port.receive(PARTID, count)
        if burst[1] != _PARTID:
            self._port.fail(
                PARTID, f"expected 0x{_PARTID:02X}, got 0x{burst[1]:02X}: the chip is gone"
            )
        if not self.fifo_lsb_m_s2:
            self._port.fail(register, "in standby; call start() first")
        return burst

    def _measure(self, full_scale_g: int, rate_hertz: float) -> None:
        """Set range and rate in standby, then measure and wait for a first result."""
        port = self._port
        port.write(POWER_CTL, POWER_CTL.word(standby=1))
        port.write(RANGE, RANGE.word(range=RANGE.field("range").code(full_scale_g)))
        port.write(FILTER, FILTER.word(odr_lpf=FILTER.field("odr_lpf").code(rate_hertz)))
        port.write(POWER_CTL, POWER_CTL.word(standby=0))
        self.fifo_lsb_m_s2 = STANDARD_GRAVITY_M_S2 / COUNTS_PER_G[int(full_scale_g)]
        ready = STATUS.field("data_rdy").mask()
        pause_us = int(1000000 / rate_hertz) + _TURN_ON_US // 4
        port.await_bits(STATUS, ready, ready, self._sleep_us, pause_us, polls_max=6)

    def _mean(self) -> Acceleration:
        pause_us = 1000000 // _SELF_TEST_RATE_HERTZ
        self._sleep_us(_TURN_ON_US)
        x = y = z = 0.0
        for _ in range(_SELF_TEST_SAMPLES):
            self._sleep_us(pause_us)
            reading = self.acceleration_m_s2()
            x, y, z = x + reading.x, y + reading.y, z + reading.z
        return Acceleration(*[each / _SELF_TEST_SAMPLES for each in (x, y, z)])

    def _empty(self) -> None:
        """Throw away what the FIFO has and what STATUS remembers of it."""
        self._port.receive(FIFO_DATA, _TRIPLE_BYTES * FIFO_TRIPLES)
        self._port.receive(PARTID, _HEAD_BYTES)


DRIVER = Adxl355
