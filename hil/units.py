"""Units of trace columns: what a recorder writes, turned into what a SenML record carries.

Promises: a value is converted only when its unit has the dimension of the channel, by one affine
rule (si = value * factor + offset). Leaves to others: the SenML units themselves (wire/units.py).
The dimension of a unit is the SenML unit that it converts to, so `bar` and `Pa` agree and `bar`
and `V` do not. `g` is standard gravity (9.80665 m/s2): no chip here weighs anything.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hil.errors import UnitError, did_you_mean

STANDARD_GRAVITY_M_S2: Final = 9.80665
"""CGPM 1901, exact."""
PSI_PASCAL: Final = 6894.757293168
"""One pound-force per square inch, NIST SP 811 appendix B.8, rounded to 13 digits."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One spelling of a unit and its affine way to the SenML unit of its dimension."""

    name: str
    senml: str
    """SenML unit of the converted value, which also names the dimension."""
    factor: float
    offset: float

    def to_si(self, value: float) -> float:
        """Return the value in the SenML unit: value * factor + offset."""
        return value * self.factor + self.offset

    def from_si(self, value: float) -> float:
        """Return the value in this unit, the inverse of `to_si`."""
        return (value - self.offset) / self.factor


_TABLE: dict[str, tuple[tuple[str, float, float], ...]] = {
    "m/s2": (
        ("m/s2", 1.0, 0.0),
        ("m/s^2", 1.0, 0.0),
        ("g", STANDARD_GRAVITY_M_S2, 0.0),
        ("mg", STANDARD_GRAVITY_M_S2 / 1e3, 0.0),
    ),
    "A": (("A", 1.0, 0.0), ("mA", 1e-3, 0.0), ("uA", 1e-6, 0.0)),
    "V": (("V", 1.0, 0.0), ("mV", 1e-3, 0.0), ("kV", 1e3, 0.0)),
    "Pa": (
        ("Pa", 1.0, 0.0),
        ("hPa", 1e2, 0.0),
        ("kPa", 1e3, 0.0),
        ("MPa", 1e6, 0.0),
        ("mbar", 1e2, 0.0),
        ("bar", 1e5, 0.0),
        ("psi", PSI_PASCAL, 0.0),
    ),
    "Cel": (
        ("Cel", 1.0, 0.0),
        ("degC", 1.0, 0.0),
        ("\u00b0C", 1.0, 0.0),
        ("K", 1.0, -273.15),
        ("degF", 5.0 / 9.0, -160.0 / 9.0),
        ("\u00b0F", 5.0 / 9.0, -160.0 / 9.0),
    ),
    "m3/s": (
        ("m3/s", 1.0, 0.0),
        ("m3/h", 1.0 / 3600.0, 0.0),
        ("l/s", 1e-3, 0.0),
        ("l/min", 1e-3 / 60.0, 0.0),
        ("l/h", 1e-3 / 3600.0, 0.0),
    ),
    "%RH": (("%RH", 1.0, 0.0),),
    "T": (("T", 1.0, 0.0), ("mT", 1e-3, 0.0), ("uT", 1e-6, 0.0), ("G", 1e-4, 0.0)),
    "/": (("/", 1.0, 0.0), ("%", 1e-2, 0.0)),
    "count": (("count", 1.0, 0.0),),
}

UNITS: Final = MappingProxyType(
    {
        name: Unit(name, senml, factor, offset)
        for senml, rows in _TABLE.items()
        for name, factor, offset in rows
    }
)
"""Every spelling we accept, in the case it is written here: `mPa` is not `MPa`."""


def unit(name: str) -> Unit:
    """Return the unit of this spelling; UnitError lists the ones we know."""
    found = UNITS.get(name)
    if found is None:
        known = ", ".join(UNITS)
        raise UnitError(f"unknown unit {name!r}; {did_you_mean(name, UNITS)}known units: {known}")
    return found


def unit_for(name: str, senml: str) -> Unit:
    """Return the unit of this spelling when it converts to `senml`, else UnitError."""
    found = unit(name)
    if found.senml != senml:
        fitting = ", ".join(each.name for each in UNITS.values() if each.senml == senml)
        remedy = f"write one of {fitting}" if fitting else "no unit we know converts to it"
        raise UnitError(f"unit {name!r} converts to {found.senml!r}, not to {senml!r}; {remedy}")
    return found
