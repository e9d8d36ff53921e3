"""Maps, drivers and emulators say what the datasheets say."""

import pytest

from tests.drivers.datasheet import BEHAVIOURS, emulator_failures, failures, is_reading, load
from tests.drivers.parts import PARTS, module, with_registers


@pytest.mark.parametrize("part", PARTS)
def test_driver_and_map_agree_with_the_datasheet(part):
    assert failures(part) == []


@pytest.mark.parametrize("part", PARTS)
def test_emulator_shows_the_bytes_of_the_datasheet(part):
    assert emulator_failures(part) == []


@pytest.mark.parametrize("part", PARTS)
def test_no_register_and_no_field_is_without_evidence(part):
    rows = load(part)
    register_map = module(part, "registers").MAP
    for register in register_map.registers:
        own = [row for row in rows if row.address == register.address]
        known = {row.quantity for row in own}
        assert "reset" in known, register.name
        assert "reserved" in known or not register.fields, register.name
        for field in register.fields:
            shown = [row for row in own if row.quantity == field.name]
            assert any(field.get(register.unpack(row.raw)) for row in shown), field.name
            for setting in field.settings or ():
                values = [row.value for row in shown]
                assert any(_is(setting, value) for value in values), (field.name, setting)


def _is(setting, value):
    return setting == value if isinstance(setting, str) else setting == float(value)


@pytest.mark.parametrize("part", sorted(set(PARTS) - set(with_registers())))
def test_no_command_is_without_evidence(part):
    shown = {row.quantity for row in load(part)}
    for command in getattr(module(part, "registers").MAP, "commands", ()):
        assert command.name in shown


@pytest.mark.parametrize("part", PARTS)
def test_every_reading_has_evidence(part):
    shown = {row.quantity for row in load(part) if is_reading(part, row)}
    for quantity in module(part, "emulator").EMULATOR.RANGES:
        family = quantity.rstrip("0123456789") if quantity[-1].isdigit() else quantity
        assert any(name.startswith(family) for name in shown), quantity


@pytest.mark.parametrize("part", PARTS)
def test_every_row_says_where_it_was_read(part):
    for row in load(part):
        assert len(row.source) > 10, row
        assert row.value or row.quantity in BEHAVIOURS, row


@pytest.mark.parametrize("part", PARTS)
def test_map_has_no_overlap_and_no_repetition(part):
    assert module(part, "registers").MAP.faults() == []
