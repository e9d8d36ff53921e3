"""Units and quantities on any interpreter."""

from wire.errors import WireError
from wire.units import QUANTITIES, UNITS, quantity_unit, unece_id, unit


def test_a_quantity_ends_in_the_suffix_of_its_unit():
    for quantity in QUANTITIES:
        assert quantity.endswith("_" + quantity_unit(quantity).suffix), quantity


def test_symbols_and_suffixes_are_unique():
    assert len({each.senml for each in UNITS}) == len(UNITS)
    assert len({each.suffix for each in UNITS}) == len(UNITS)


def test_the_number_in_opc_ua_is_made_of_the_letters():
    assert unece_id(unit("Cel").unece) == 4408652
    assert unece_id(unit("m/s2").unece) == 5067595


def test_unknown_ones_are_named_with_those_there_are():
    for function, name, there in ((unit, "bar", "Pa"), (quantity_unit, "speed", "voltage_volt")):
        try:
            function(name)
        except WireError as error:
            assert name in str(error) and there in str(error)
            continue
        raise AssertionError(name)
