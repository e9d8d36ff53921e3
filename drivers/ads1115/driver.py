"""Reads an ADS1115: one single-shot conversion a reading, of one input against ground.

A reading is four steps in a fixed order: write the config, sleep for the worst-case conversion
time, read the config until its OS bit says idle (a bounded number of times), read the conversion.
The chip sleeps in between, and an input never waits for another one's filter to settle.
"""

from struct import unpack_from

from drivers.ads1115.registers import CONFIG, CONVERSION, COUNTS, INPUTS
from drivers.errors import RegisterError
from drivers.port import RegisterPort

_RATE_HERTZ = 860
# Sections 9.4.2.1 and 7.5: some 30 us to wake up, then 1/860 s on a clock that is 10 % slow.
_CONVERSION_MAX_US = 30 + 1163 * 11 // 10 + 1
_POLLS_MAX = 4
_PAUSE_US = 200
_FORMAT = CONVERSION.code
_CONFIG_FORMAT = CONFIG.code
_IDLE = CONFIG.field("os").mask()


class Ads1115:
    """The ADS1115 at `address` of `i2c`, set to plus or minus `full_scale_volt`.

    Full scales: 6.144, 4.096, 2.048, 1.024, 0.512, 0.256 V. `sleep_us` waits, in microseconds.
    """

    PART = "ads1115"
    BUS = "i2c"

    def __init__(self, i2c, address: int, sleep_us, full_scale_volt: float = 2.048):
        self._port = RegisterPort(self.PART, i2c, address)
        self._sleep_us = sleep_us
        self._full_scale_volt = full_scale_volt
        self._lsb_volt = full_scale_volt / COUNTS
        self._requests: tuple = ()
        self._config = bytearray(CONFIG.width_bytes)
        self._conversion = bytearray(CONVERSION.width_bytes)

    def start(self) -> None:
        """Configure and read back: the chip has no identity register to check."""
        self._requests = tuple([self._request(channel) for channel in range(INPUTS)])
        idle = CONFIG.unpack(self._requests[0]) & ~_IDLE
        self._port.write(CONFIG, idle)
        remedy = f"the chip at this address keeps other bits than an {self.PART}"
        self._port.expect(CONFIG, 0xFFFF & ~_IDLE, idle, remedy)

    def voltage_volt(self, channel: int) -> float:
        """Return the voltage of input `channel` (0 .. 3) against ground, newly converted."""
        if not 0 <= channel < len(self._requests):
            self._refuse(channel)
        port = self._port
        port.write_from(CONFIG, self._requests[channel])
        self._sleep_us(_CONVERSION_MAX_US)
        self._await_idle()
        port.read_into(CONVERSION, self._conversion)
        return unpack_from(_FORMAT, self._conversion)[0] * self._lsb_volt

    def _await_idle(self) -> None:
        for _ in range(_POLLS_MAX):
            self._port.read_into(CONFIG, self._config)
            if unpack_from(_CONFIG_FORMAT, self._config)[0] & _IDLE:
                return
            self._sleep_us(_PAUSE_US)
        self._port.fail(CONFIG, f"still converting after {_POLLS_MAX} polls; check the supply")

    def _request(self, channel: int) -> bytes:
        field = CONFIG.field
        return CONFIG.pack(
            CONFIG.word(
                os=1,
                mux=field("mux").code(channel),
                pga=field("pga").code(self._full_scale_volt),
                mode=field("mode").code("single_shot"),
                dr=field("dr").code(_RATE_HERTZ),
                comp_que=field("comp_que").code("disabled"),
            )
        )

    def _refuse(self, channel: int) -> None:
        if not self._requests:
            self._port.fail(CONFIG, "not configured; call start() first")
        raise RegisterError(f"{self.PART}: no input {channel}, use 0 .. {INPUTS - 1}")


DRIVER = Ads1115
