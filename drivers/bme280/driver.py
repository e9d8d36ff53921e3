"""Reads a BME280: all three raw results in one burst, compensated with the chip's trimming words.

The chip measures by itself; a reading is the latest result. The equations are those of the data
sheet in floating point (appendix 8.1 of BST-BMP280-DS001 and section 8.1 of BST-BME280-DS001),
written for their meaning: each is a polynomial in the fine temperature. Its filter stays off.
"""

from drivers.bme280.registers import (
    CONFIG,
    CTRL_HUM,
    CTRL_MEAS,
    DIG_H1,
    DIG_H2,
    DIG_H3,
    DIG_H4,
    DIG_H4_H5,
    DIG_H5,
    DIG_H6,
    DIG_T1,
    DIG_T2,
    DIG_T3,
    HUM,
    ID,
    PRESS,
    PRESSURE_WORDS,
    RESET,
    RESET_CODE,
    STATUS,
    TEMP,
    measurement_us,
)
from drivers.port import RegisterPort

_CHIP_ID = 0x60
_START_UP_US = 2000
_PAUSE_US = 1000
_TEMP_AT = TEMP.address - PRESS.address
_HUM_AT = HUM.address - PRESS.address
_BURST_BYTES = _HUM_AT + HUM.width_bytes
# What pressure and temperature read before a first measurement.
_NO_RESULT = PRESS.reset >> 4


class Bme280:
    """The BME280 at `address` of `i2c`, taking each of its results `oversampling` times.

    Oversampling: 1, 2, 4, 8, 16; one measurement takes up to 9.3, 16.2, 30, 57.6 or 112.8 ms.
    """

    PART = "bme280"
    BUS = "i2c"

    def __init__(self, i2c, address: int, sleep_us, oversampling: int = 1):
        self._port = RegisterPort(self.PART, i2c, address)
        self._oversampling = oversampling
        self._sleep_us = sleep_us
        self._burst = bytearray(_BURST_BYTES)
        self._temperature_words: tuple = ()
        self._pressure_words: tuple = ()
        self._humidity_words: tuple = ()

    def start(self) -> None:
        """Check the identity, reset, fetch the trimming words, configure, await a first result."""
        port = self._port
        self._temperature_words = ()
        port.expect_identity(ID, 0xFF, _CHIP_ID)
        port.write(RESET, RESET_CODE)
        self._sleep_us(_START_UP_US)
        copying = STATUS.field("im_update").mask()
        port.await_bits(STATUS, copying, 0, self._sleep_us, _PAUSE_US, polls_max=10)
        self._pressure_words = tuple([port.read(word) for word in PRESSURE_WORDS])
        self._humidity_words = self._read_humidity_words()
        times = CTRL_HUM.field("osrs_h").code(self._oversampling)
        port.write(CTRL_HUM, CTRL_HUM.word(osrs_h=times))
        port.write(CONFIG, CONFIG.word(t_sb=CONFIG.field("t_sb").code(0.5)))
        self._measure_once(times)
        mode = CTRL_MEAS.field("mode").code("normal")
        port.write(CTRL_MEAS, CTRL_MEAS.word(osrs_t=times, osrs_p=times, mode=mode))
        self._temperature_words = tuple([port.read(word) for word in (DIG_T1, DIG_T2, DIG_T3)])
        self.temperature_celsius()

    def temperature_celsius(self) -> float:
        """Return the latest temperature."""
        return self._fine() / 5120

    def pressure_pascal(self) -> float:
        """Return the latest pressure."""
        fine = self._fine()
        raw = _raw20(self._burst, 0)
        return pressure_pascal(raw, fine, self._pressure_words)

    def humidity_percent_rh(self) -> float:
        """Return the latest relative humidity, 0 .. 100."""
        fine = self._fine()
        raw = (self._burst[_HUM_AT] << 8) | self._burst[_HUM_AT + 1]
        return humidity_percent_rh(raw, fine, self._humidity_words)

    def _fine(self) -> float:
        """Fetch all results; return the fine temperature, 5120 a degree."""
        self._port.read_into(PRESS, self._burst)
        if not self._temperature_words:
            self._port.fail(TEMP, "asleep; call start() first")
        raw = _raw20(self._burst, _TEMP_AT)
        if raw == _NO_RESULT and _raw20(self._burst, 0) == _NO_RESULT:
            self._port.fail(TEMP, "not ready after the first measurement; check the supply")
        return fine_temperature(raw, self._temperature_words)

    def _measure_once(self, times: int) -> None:
        """Make a first result in forced mode: in normal mode MEASURING is hardly ever 0."""
        port = self._port
        mode = CTRL_MEAS.field("mode").code("forced")
        port.write(CTRL_MEAS, CTRL_MEAS.word(osrs_t=times, osrs_p=times, mode=mode))
        oversampling = int(self._oversampling)
        self._sleep_us(measurement_us(oversampling, oversampling, oversampling, is_slowest=True))
        measuring = STATUS.field("measuring").mask()
        port.await_bits(STATUS, measuring, 0, self._sleep_us, _PAUSE_US, polls_max=10)

    def _read_humidity_words(self) -> "tuple":
        read = self._port.read
        rests = read(DIG_H4_H5)
        h4 = (read(DIG_H4) << 4) | DIG_H4_H5.field("h4").get(rests)
        h5 = (read(DIG_H5) << 4) | DIG_H4_H5.field("h5").get(rests)
        return read(DIG_H1), read(DIG_H2), read(DIG_H3), h4, h5, read(DIG_H6)


def _raw20(burst, at: int) -> int:
    return (burst[at] << 12) | (burst[at + 1] << 4) | (burst[at + 2] >> 4)


def fine_temperature(raw: int, words) -> float:
    """Return the temperature in 1/5120 °C; `words` are T1, T2, T3 and `raw` has 20 bits."""
    t1, t2, t3 = words
    deviation = raw / 16384 - t1 / 1024
    return deviation * t2 + (deviation / 8) * (deviation / 8) * t3


def pressure_pascal(raw: int, fine: float, words) -> float:
    """Return the pressure; `words` are P1 .. P9 and `raw` has 20 bits."""
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = words
    x = fine / 2 - 64000
    offset = (x * x * p6 / 32768 + 2 * x * p5) / 4 + p4 * 65536
    slope = (1 + (p3 * x * x / 524288 + p2 * x) / 524288 / 32768) * p1
    pressure = (1048576 - raw - offset / 4096) * 6250 / slope
    return pressure + (p9 * pressure * pressure / 2147483648 + pressure * p8 / 32768 + p7) / 16


def humidity_percent_rh(raw: int, fine: float, words) -> float:
    """Return the relative humidity, cropped to 0 .. 100; `words` are H1 .. H6."""
    h1, h2, h3, h4, h5, h6 = words
    x = fine - 76800
    offset = h4 * 64 + h5 / 16384 * x
    slope = h2 / 65536 * (1 + h6 / 67108864 * x * (1 + h3 / 67108864 * x))
    humidity = (raw - offset) * slope
    return min(100.0, max(0.0, humidity * (1 - h1 * humidity / 524288)))


DRIVER = Bme280
