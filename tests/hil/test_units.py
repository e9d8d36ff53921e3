"""Units of trace columns: the factors, the dimension check, and what a wrong name is told."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.errors import UnitError
from hil.units import UNITS, unit, unit_for
from wire import units as wire_units

# Written down from definitions, not from the table under test.
PAIRS = [
    ("g", 1.0, 9.80665, "m/s2"),
    ("mg", 500.0, 4.903325, "m/s2"),
    ("mA", 250.0, 0.25, "A"),
    ("kV", 0.4, 400.0, "V"),
    ("mV", 75.0, 0.075, "V"),
    ("bar", 0.71, 71_000.0, "Pa"),
    ("kPa", 101.325, 101_325.0, "Pa"),
    ("psi", 14.503773773, 100_000.0, "Pa"),
    ("degC", -40.0, -40.0, "Cel"),
    ("degF", -40.0, -40.0, "Cel"),
    ("degF", 212.0, 100.0, "Cel"),
    ("K", 273.15, 0.0, "Cel"),
    ("l/min", 150.0, 0.0025, "m3/s"),
    ("m3/h", 3.6, 0.001, "m3/s"),
    ("l/h", 3600.0, 0.001, "m3/s"),
    ("%", 45.0, 0.45, "/"),
]


@pytest.mark.parametrize(("name", "value", "expected", "senml"), PAIRS)
def test_a_value_converts_by_its_definition(name, value, expected, senml):
    found = unit_for(name, senml)
    assert math.isclose(found.to_si(value), expected, rel_tol=1e-9, abs_tol=1e-9)


def test_every_unit_converts_to_a_unit_of_the_wire():
    assert {each.senml for each in UNITS.values()} <= {each.senml for each in wire_units.UNITS}


def test_every_senml_unit_that_has_a_quantity_can_be_written_as_itself():
    for each in {each.senml for each in UNITS.values()}:
        assert unit_for(each, each).to_si(3.5) == 3.5


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.sampled_from(sorted(UNITS)), st.floats(-1e6, 1e6))
def test_from_si_undoes_to_si(name, value):
    found = unit(name)
    assert math.isclose(found.from_si(found.to_si(value)), value, rel_tol=1e-9, abs_tol=1e-6)


def test_another_dimension_is_refused_with_the_units_that_fit():
    with pytest.raises(UnitError, match=r"'bar' converts to 'Pa', not to 'V'.*V, mV, kV"):
        unit_for("bar", "V")


def test_an_unknown_senml_unit_is_refused():
    with pytest.raises(UnitError, match="no unit we know converts to it"):
        unit_for("bar", "lm")


@pytest.mark.parametrize(("written", "meant"), [("l/mim", "l/min"), ("degc", "degC")])
def test_a_misspelt_unit_is_told_the_nearest(written, meant):
    with pytest.raises(UnitError, match=f"did you mean '{meant}'"):
        unit(written)


def test_case_matters_because_milli_is_not_mega():
    assert unit("MPa").factor == 1e6
    with pytest.raises(UnitError):
        unit("mPa")
