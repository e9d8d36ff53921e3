"""The units we use: how a unit is spelled in SenML, in a name of ours, and in OPC UA.

    SenML symbol   RFC 8428, 12.1 and RFC 8798: what a pack carries; SI, except degrees Celsius
    suffix         the end of every name of a number that has this unit
    UNECE code     Recommendation 20, numbered in OPC UA's EUInformation (Part 8, 5.6.3)

A quantity is what a driver can read; its name ends in the suffix of its unit. Units of people and
of foreign protocols (bar, l/min, g) are converted where they enter and are not listed here.
"""

from collections import namedtuple

from wire.errors import WireError

Unit = namedtuple("Unit", ("senml", "suffix", "unece", "display"))

UNITS = (
    Unit("m/s2", "m_s2", "MSK", "m/s²"),
    Unit("A", "ampere", "AMP", "A"),
    Unit("V", "volt", "VLT", "V"),
    Unit("Pa", "pascal", "PAL", "Pa"),
    Unit("Cel", "celsius", "CEL", "°C"),
    Unit("m3/s", "m3_s", "MQS", "m³/s"),
    Unit("m/s", "m_s", "MTS", "m/s"),
    Unit("m", "m", "MTR", "m"),
    Unit("kg", "kg", "KGM", "kg"),
    Unit("rad", "rad", "C81", "rad"),
    Unit("Hz", "hertz", "HTZ", "Hz"),
    Unit("W", "watt", "WTT", "W"),
    Unit("J", "joule", "JOU", "J"),
    Unit("N", "newton", "NEW", "N"),
    Unit("T", "tesla", "D33", "T"),
    Unit("K", "kelvin", "KEL", "K"),
    Unit("Ohm", "ohm", "OHM", "Ω"),
    Unit("lx", "lux", "LUX", "lx"),
    Unit("s", "s", "SEC", "s"),
    Unit("%RH", "percent_rh", "P1", "% RH"),
    Unit("/", "ratio", "C62", ""),
    Unit("count", "count", "C62", ""),
)

QUANTITIES = {
    "acceleration_m_s2": "m/s2",
    "current_ampere": "A",
    "voltage_volt": "V",
    "pressure_pascal": "Pa",
    "temperature_celsius": "Cel",
    "flow_m3_s": "m3/s",
    "humidity_percent_rh": "%RH",
    "magnetic_flux_density_tesla": "T",
    "value_count": "count",
}

# Endings of our own numbers that never travel as a SenML unit: time and size inside a program.
INTERNAL_SUFFIXES = ("ns", "us", "ms", "bytes", "ppm", "g", "bit", "bits", "baud", "max", "min")

_BY_SENML = {unit.senml: unit for unit in UNITS}


def unit(senml: str) -> Unit:
    """Return the unit with this SenML symbol; WireError names those there are."""
    found = _BY_SENML.get(senml)
    if found is None:
        raise WireError("no unit %s here; there are %s" % (senml, " ".join(sorted(_BY_SENML))))
    return found


def quantity_unit(quantity: str) -> Unit:
    """Return the unit of a quantity such as "temperature_celsius"; WireError if there is none."""
    senml = QUANTITIES.get(quantity)
    if senml is None:
        raise WireError("no quantity %s; there are %s" % (quantity, ", ".join(sorted(QUANTITIES))))
    return _BY_SENML[senml]


def unece_id(code: str) -> int:
    """Return OPC UA's number for a UNECE code: its characters as one big-endian integer."""
    return int.from_bytes(code.encode(), "big")
