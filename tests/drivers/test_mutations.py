"""The checks are worth something: each small mistake in a register map is caught by one of them.

Driver and emulator share the map, so the sweep alone cannot see a wrong address; the datasheet
pairs must. A mutant is one declaration with one thing wrong: sign, width, byte order, address,
scale, reset value, bit, field width, code.
"""

import importlib
import struct
from typing import NamedTuple

import pytest

from drivers.errors import DriverError, EmulatorError
from drivers.registers import Register
from tests.drivers.datasheet import emulator_failures, failures
from tests.drivers.parts import PARTS, module, sweep


class Mutant(NamedTuple):
    """A mistake: the declaration to change and the attributes it gets."""

    name: str
    target: object
    changed: dict


# Mistakes that no datasheet value can show: the top bit of these is never set.
EQUIVALENT = {
    "bus_voltage sign",  # D15 is always zero.
    "manufacturer_id sign",  # A constant, 0x5449.
    "who_am_i sign",  # A constant, 0x6C.
}


def mutants_of(part):
    """Return all mutants of a part's map, in a fixed order."""
    found = []
    for register in module(part, "registers").MAP.registers:
        found += _mutants_of_register(register)
        for field in register.fields:
            found += _mutants_of_field(register, field)
    return [mutant for mutant in found if mutant.name not in EQUIVALENT]


def _mutants_of_register(register):
    changes = {
        "address up": {"address": register.address + 1},
        "address bit": {"address": register.address ^ 0x10},
        "reset": {"reset": register.reset ^ 0x10},
        "width": {"code": {1: ">H", 2: "b"}[register.width_bytes]},
    }
    if not register.fields:
        changes["sign"] = {"code": register.code.swapcase()}
    if register.width_bytes == 2:
        changes["order"] = {"code": register.code.translate({ord(">"): "<", ord("<"): ">"})}
    if register.lsb:
        changes["scale"] = {"lsb": register.lsb * 1.02}
        changes["decade"] = {"lsb": register.lsb / 10}
    for name, change in changes.items():
        yield Mutant(f"{register.name} {name}", register, _declared(register, change))


def _declared(register, change):
    """Return the attributes of the same declaration with `change` in it."""
    names = ("name", "address", "code", "access", "reset", "fields", "lsb")
    same = {name: getattr(register, name) for name in names}
    return vars(Register(**{**same, **change}))


def _mutants_of_field(register, field):
    changes = {
        "bit up": {"low": field.low + 1},
        "bit down": {"low": field.low - 1},
        "wider": {"width": field.width + 1},
    }
    if field.width > 1:
        changes["narrower"] = {"width": field.width - 1}
    if field.settings and len(field.settings) > 1:
        (one, code), (other, code_of_other), *rest = field.settings.items()
        changes["codes"] = {"settings": {one: code_of_other, other: code, **dict(rest)}}
    for name, change in changes.items():
        yield Mutant(f"{register.name}.{field.name} {name}", field, change)


def is_caught(part):
    """Say whether any of the checks objects to the map as it is now."""
    try:
        importlib.reload(module(part, "driver"))
        importlib.reload(module(part, "emulator"))
        return bool(
            module(part, "registers").MAP.faults()
            or failures(part)
            or emulator_failures(part)
            or sweep(part)
        )
    except (AssertionError, DriverError, EmulatorError, ValueError, IndexError, struct.error):
        return True


@pytest.fixture
def pristine():
    """Put driver and emulator back to the true map afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch
    for part in PARTS:
        importlib.reload(module(part, "driver"))
        importlib.reload(module(part, "emulator"))


@pytest.mark.usefixtures("pristine")
@pytest.mark.parametrize("part", PARTS)
def test_the_true_map_passes(part):
    assert not is_caught(part)


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_mistake_in_a_map_is_caught(part, pristine):
    mutants = mutants_of(part)
    assert len(mutants) > 40
    survivors = []
    for mutant in mutants:
        with pristine.context() as patch:
            for name, value in mutant.changed.items():
                patch.setattr(mutant.target, name, value)
            if not is_caught(part):
                survivors.append(mutant.name)
    assert survivors == []


@pytest.mark.parametrize(
    ("part", "name", "table"),
    [
        ("lsm6dsox", "SENSITIVITY_MILLI_G", {2: 0.061, 4: 0.122, 8: 0.24, 16: 0.488}),
        ("lsm6dsox", "STANDARD_GRAVITY_M_S2", 9.81 * 1.02),
        ("ads1115", "COUNTS", 32767 * 2),
    ],
)
def test_a_mistake_in_a_scale_beside_the_map_is_caught(part, name, table, pristine):
    pristine.setattr(module(part, "registers"), name, table)
    assert is_caught(part)


def test_one_chip_two_truths_is_caught(pristine):
    """The mistake of a published driver: 1.6 Hz under the code of 1.66 kHz."""
    odr = module("lsm6dsox", "registers").CTRL1_XL.field("odr_xl")
    pristine.setattr(odr, "settings", {**odr.settings, 1660: 11, 1.6: 8})
    assert is_caught("lsm6dsox")
