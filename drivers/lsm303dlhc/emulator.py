"""The magnetometer of an LSM303DLHC: data rate, data-ready flag, gain, the burst that wraps.

Reading on after the Y axis begins again at X (section 5.1.3). Single conversions and the self-test
are not modelled. A field beyond the full scale is an error of the scenario, so the overflow code
is not shown.
"""

from drivers.emulation import Conversions, EmulatedChip
from drivers.lsm303dlhc.registers import (
    COUNTS_PER_GAUSS,
    CRA_REG,
    CRB_REG,
    GAUSS_TESLA,
    MAP,
    MR_REG,
    OUT_X,
    OUT_Y,
    SR_REG,
    TEMP_OUT,
)

_AXES = {"out_x": 0, "out_y": 0, "out_z": 1}
_QUANTITY = "magnetic_flux_density_tesla_"
_STEP_CELSIUS = 0.125


def _ranges(full_scale_gauss: float) -> dict:
    """Return what may be driven at this full scale; tolerances are half a count."""
    limit = full_scale_gauss * GAUSS_TESLA
    found: dict = {"temperature_celsius": (-40.0, 85.0, 0.52 * _STEP_CELSIUS)}
    for name, kind in _AXES.items():
        tolerance = 0.52 * GAUSS_TESLA / COUNTS_PER_GAUSS[full_scale_gauss][kind]
        found[_QUANTITY + name[-1]] = (-limit, limit, tolerance)
    return found


class Lsm303dlhcEmulator(EmulatedChip):
    """Quantities `magnetic_flux_density_tesla_x`, `_y`, `_z`, and `temperature_celsius`.

    The class states RANGES for the 1.3 gauss that chip and driver start with; those of an instance
    follow its CRB_REG.
    """

    RANGES = _ranges(1.3)

    def __init__(self):
        super().__init__(MAP)
        self._conversions = Conversions()
        self._full_scale_gauss = 1.3
        self._count = 0
        self._seen = 0

    def _convert(self, now_us: int) -> None:
        count = self._conversions.count(now_us)
        if count == self._count:
            return
        ended_us = self._conversions.ended_us(count)
        for name, kind in _AXES.items():
            lsb = GAUSS_TESLA / COUNTS_PER_GAUSS[self._full_scale_gauss][kind]
            self._words[name] = self._sample(_QUANTITY + name[-1], lsb, ended_us)
        self._words["temp_out"] = 0
        if CRA_REG.field("temp_en").get(self._words["cra_reg"]):
            self._words["temp_out"] = (
                self._sample("temperature_celsius", _STEP_CELSIUS, ended_us) << 4
            )
        self._count = count

    def _before_read(self, register, now_us: int) -> None:
        if register.name in _AXES or register is TEMP_OUT:
            self._convert(now_us)
        elif register is SR_REG:
            ended = self._conversions.count(now_us)
            self._words["sr_reg"] = SR_REG.word(drdy=int(ended > self._seen))

    def _after_read(self, register) -> None:
        if register.name in _AXES:
            self._seen = self._count

    def _following(self, register) -> int:
        return OUT_X.address if register is OUT_Y else super()._following(register)

    def _after_write(self, _register, _word: int, now_us: int) -> None:
        self._full_scale_gauss = CRB_REG.field("gn").setting(self._words["crb_reg"])
        self.RANGES = _ranges(self._full_scale_gauss)
        mode = MR_REG.field("md").setting(self._words["mr_reg"])
        if mode == "single":
            self._refuse("single conversions are not modelled; use continuous")
        self._count = self._seen = 0
        if mode == "continuous":
            rate_hertz = CRA_REG.field("do").setting(self._words["cra_reg"])
            period_us = int(1000000 / rate_hertz)
            self._conversions.run(now_us, period_us, period_us)
        else:
            self._conversions.halt()


EMULATOR = Lsm303dlhcEmulator
