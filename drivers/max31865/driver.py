"""Reads a MAX31865: a platinum resistor's temperature by the Callendar-Van Dusen equation.

The chip converts by itself, or once for each reading (`is_one_shot`), which warms the resistor
less and takes up to 66 ms a reading. Its DRDY is a pin, so both ways wait for the longest time a
conversion may take. One burst fetches configuration, result and faults: a chip that has lost its
supply, or is not there, shows another configuration than the one it was given.
"""

from math import sqrt

from drivers.errors import RegisterError
from drivers.max31865.registers import (
    CELSIUS_MAX,
    CELSIUS_MIN,
    CONFIGURATION,
    CVD_A,
    CVD_B,
    CVD_C,
    DIALECT,
    FAULT_STATUS,
    RATIO_COUNTS,
    RTD,
    SINGLE_MAX_US,
)
from drivers.spi_port import SpiPort

_BURST_BYTES = FAULT_STATUS.address + 1
_RTD_AT = 1 + RTD.address
_FAULTS_AT = 1 + FAULT_STATUS.address
_FAULT = RTD.field("fault").mask()
_RATIO_LOW = RTD.field("ratio").low
# Section Fault Detection Cycle: automatic timing takes three settling times of 100 us.
_FAULT_CYCLE_US = 1000
# At least 10.5 time constants of the input filter and 1 ms: 10 kohm and 100 nF would make 10.5 ms.
_BIAS_SETTLES_US = 12000
_PAUSE_US = 500
_POLLS_MAX = 4


class Max31865:
    """The MAX31865 on chip select `spi`; it has no address.

    `nominal_ohm` is the resistor's at 0 °C (100 or 1000), `reference_ohm` the board's reference,
    `wires` 2, 3 or 4, `filter_hertz` the mains (50 or 60).
    """

    PART = "max31865"
    BUS = "spi"

    def __init__(
        self,
        spi,
        address,
        sleep_us,
        nominal_ohm: float = 100.0,
        reference_ohm: float = 430.0,
        wires: int = 4,
        filter_hertz: int = 50,
        is_one_shot: bool = False,
    ):
        self._port = SpiPort(self.PART, spi, address, DIALECT, _BURST_BYTES)
        self._sleep_us = sleep_us
        self._scale = reference_ohm / (nominal_ohm * RATIO_COUNTS)
        self._wires = wires
        self._filter_hertz = filter_hertz
        self._is_one_shot = is_one_shot
        self._kept = -1

    def start(self) -> None:
        """Look for broken wires, configure, read back, wait for a first result."""
        if self._wires not in (2, 3, 4):
            raise RegisterError(f"{self.PART}: no wiring with {self._wires} wires, use 2, 3 or 4")
        port = self._port
        field = CONFIGURATION.field
        idle = CONFIGURATION.word(
            vbias=1,
            three_wire=int(self._wires == 3),
            filter=field("filter").code(self._filter_hertz),
        )
        port.write(CONFIGURATION, field("fault_status_clear").put(idle, 1))
        self._sleep_us(_BIAS_SETTLES_US)
        port.write(CONFIGURATION, field("fault_detection").put(idle, 1))
        self._sleep_us(_FAULT_CYCLE_US)
        remedy = "check wiring, SPI mode (1 or 3) and supply"
        port.expect(CONFIGURATION, CONFIGURATION.mask(), idle, remedy)
        self._refuse_faults(port.read(FAULT_STATUS))
        self._kept = idle
        if not self._is_one_shot:
            self._kept = field("conversion_mode").put(idle, 1)
            port.write(CONFIGURATION, self._kept)
            self._sleep_us(SINGLE_MAX_US[int(self._filter_hertz)])
        self.temperature_celsius()

    def temperature_celsius(self) -> float:
        """Return the latest temperature; `DriverError` names a broken wire or resistor."""
        if self._is_one_shot and self._kept >= 0:
            self._convert()
        burst = self._port.receive(CONFIGURATION, _BURST_BYTES)
        if burst[1] != self._kept:
            self._refuse_configuration(burst[1])
        word = (burst[_RTD_AT] << 8) | burst[_RTD_AT + 1]
        if word & _FAULT:
            self._refuse_faults(burst[_FAULTS_AT])
            self._port.fail(RTD, "the fault bit is set and no fault latched; check the wiring")
        celsius = rtd_celsius((word >> _RATIO_LOW) * self._scale)
        if not CELSIUS_MIN - 1 <= celsius <= CELSIUS_MAX + 1:
            self._port.fail(
                RTD, f"ratio {word >> _RATIO_LOW} is no temperature; check nominal_ohm, wiring"
            )
        return celsius

    def _convert(self) -> None:
        field = CONFIGURATION.field("one_shot")
        self._port.write(CONFIGURATION, field.put(self._kept, 1))
        self._sleep_us(SINGLE_MAX_US[int(self._filter_hertz)])
        self._port.await_bits(CONFIGURATION, field.mask(), 0, self._sleep_us, _PAUSE_US, _POLLS_MAX)

    def _refuse_configuration(self, found: int) -> None:
        if self._kept < 0:
            self._port.fail(CONFIGURATION, "not configured; call start() first")
        self._port.fail(
            CONFIGURATION,
            f"expected 0x{self._kept:02X}, got 0x{found:02X}: the chip was reset or is not there;"
            " check supply and wiring, then start() again",
        )

    def _refuse_faults(self, word: int) -> None:
        names = [field.name for field in FAULT_STATUS.fields if field.get(word)]
        if names:
            what = " and ".join(names)
            self._port.fail(FAULT_STATUS, f"{what}: a wire or the resistor is open or shorted")


def rtd_celsius(ratio: float) -> float:
    """Return the temperature at which a platinum resistor has `ratio` times its value at 0 °C.

    Above 0 °C the quadratic equation, in the form that loses no digits near 0; below it three
    steps of Newton's method, enough for 1e-6 °C down to -200 °C.
    """
    excess = ratio - 1.0
    root = CVD_A * CVD_A + 4 * CVD_B * excess
    if root < 0:
        return CELSIUS_MAX + 1e3
    celsius = 2 * excess / (CVD_A + sqrt(root))
    if excess >= 0:
        return celsius
    for _ in range(3):
        cube = CVD_C * celsius * celsius * celsius
        error = celsius * (CVD_A + CVD_B * celsius) + cube * (celsius - 100) - excess
        slope = CVD_A + 2 * CVD_B * celsius + CVD_C * celsius * celsius * (4 * celsius - 300)
        celsius -= error / slope
    return celsius


def rtd_ratio(celsius: float) -> float:
    """Return R(t) / R0 of IEC 60751."""
    ratio = 1 + celsius * (CVD_A + CVD_B * celsius)
    if celsius < 0:
        ratio += CVD_C * (celsius - 100) * celsius * celsius * celsius
    return ratio


DRIVER = Max31865
