"""Mistakes to seed into a part's declarations: each mutant is one thing wrong in one place.

`kind` is what is wrong: sign, bit, width, scale, address, byte order, reset value, code, or the
time or length of a command.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from drivers.commands import Command
from drivers.registers import Field, Register
from tests.drivers.parts import module


class Mutant(NamedTuple):
    """A mistake: what to change (an object's attributes, or a module's names) and to what."""

    kind: str
    name: str
    target: object
    changed: dict


# Mistakes that no datasheet value can show, since the top bit of these is never set, or that make
# no difference: a write-only register has no sign.
EQUIVALENT = {
    "ina226": {"bus_voltage sign", "manufacturer_id sign"},
    "lsm6dsox": {"who_am_i sign"},
    "adxl355": {"reset sign"},
    "bme280": {"id sign", "reset sign"},
    "lsm303dlhc": {"ira_reg sign", "irb_reg sign", "irc_reg sign"},
}
_KINDS = {
    "address up": "address",
    "address bit": "address",
    "reset": "reset",
    "width": "width",
    "sign": "sign",
    "order": "order",
    "scale": "scale",
    "decade": "scale",
    "bit up": "bit",
    "bit down": "bit",
    "wider": "width",
    "narrower": "width",
    "codes": "code",
}
# Scales that stand beside a map: part -> (name in registers.py, what it becomes).
_SCALES = {
    "lsm6dsox": (
        ("SENSITIVITY_MILLI_G", {2: 0.061, 4: 0.122, 8: 0.24, 16: 0.488}),
        ("STANDARD_GRAVITY_M_S2", 9.81 * 1.02),
    ),
    "ads1115": (("COUNTS", 32767 * 2),),
    "adxl355": (
        ("COUNTS_PER_G", {2: 256000, 4: 128000, 8: 62500}),
        ("STANDARD_GRAVITY_M_S2", 9.81),
        ("TEMPERATURE_COUNTS_25_CELSIUS", 1852),
        ("TEMPERATURE_COUNTS_PER_CELSIUS", 9.05),
    ),
    "lsm303dlhc": (("GAUSS_TESLA", 1e-3),),
    "max31865": (
        ("RATIO_COUNTS", 32767 // 2),
        ("CVD_A", 3.9692e-3),
        ("CVD_B", 5.775e-7),
        ("CVD_C", 4.183e-12),
    ),
    "sht4x": (
        ("TEMPERATURE_OFFSET_CELSIUS", -40),
        ("TEMPERATURE_SPAN_CELSIUS", 165),
        ("HUMIDITY_OFFSET_PERCENT_RH", 0),
        ("HUMIDITY_SPAN_PERCENT_RH", 100),
        ("COUNTS", 65536 * 2),
    ),
}


def mutants_of(part: str) -> list[Mutant]:
    """Return all mutants of a part's declarations, in a fixed order."""
    register_map = module(part, "registers").MAP
    found: list[Mutant] = []
    for register in register_map.registers:
        found += _mutants_of_register(register)
        for field in register.fields:
            found += _mutants_of_field(register, field)
    for command in getattr(register_map, "commands", ()):
        found += _mutants_of_command(command)
    if part == "modbus_transmitter":
        found += _mutants_of_modbus()
    for name, value in _SCALES.get(part, ()):
        kind = "sign" if name in ("CVD_B", "CVD_C") or value == 9.05 else "scale"
        found.append(Mutant(kind, name, module(part, "registers"), {name: value}))
    return [mutant for mutant in found if mutant.name not in EQUIVALENT.get(part, ())]


def _mutants_of_register(register: Register) -> Iterator[Mutant]:
    changes: dict[str, dict] = {
        "address up": {"address": register.address + 1},
        "address bit": {"address": register.address ^ 0x10},
        "reset": {"reset": register.reset ^ 0x10},
        "width": {"code": {1: ">H", 2: "b", 3: ">H"}[register.width_bytes]},
    }
    if not register.fields:
        changes["sign"] = {"code": register.code.swapcase()}
    if register.width_bytes == 2:
        changes["order"] = {"code": register.code.translate({ord(">"): "<", ord("<"): ">"})}
    if register.lsb:
        changes["scale"] = {"lsb": register.lsb * 1.02}
        changes["decade"] = {"lsb": register.lsb / 10}
    for name, change in changes.items():
        yield Mutant(_KINDS[name], f"{register.name} {name}", register, change)


def _mutants_of_field(register: Register, field: Field) -> Iterator[Mutant]:
    changes: dict[str, dict] = {
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
        yield Mutant(_KINDS[name], f"{register.name}.{field.name} {name}", field, change)


def _mutants_of_command(command: Command) -> Iterator[Mutant]:
    changes: tuple[tuple[str, dict], ...] = (
        ("address", {"address": command.address + 1}),
        ("address", {"address": command.address ^ 0x10}),
        ("time", {"duration_us": command.duration_us // 2}),
    )
    for number, (kind, change) in enumerate(changes):
        yield Mutant(kind, f"{command.name} {kind} {number}", command, change)


def _mutants_of_modbus() -> Iterator[Mutant]:
    registers = module("modbus_transmitter", "registers")
    numbers = registers.NUMBERS
    for name, code in numbers.items():
        for kind, other in (
            ("order", code.replace(">", "<")),
            ("sign", code.swapcase() if code != ">f" else ">i"),
        ):
            yield Mutant(kind, f"{name} {kind}", registers, {"NUMBERS": {**numbers, name: other}})
    swapped = {"holding": 4, "input": 3}
    yield Mutant("code", "table codes", registers, {"FUNCTIONS": swapped})
    wrong = {"holding": 1, "input": 2}
    yield Mutant("address", "table addresses", registers, {"FUNCTIONS": wrong})
    for name, count in (("registers_of 1", 1), ("registers_of 2", 2)):
        change = {"registers_of": lambda _number, count=count: count}
        yield Mutant("width", name, registers, change)
    yield Mutant("order", "word order", registers, {"swapped": bytes})


ERRORS = (AssertionError, IndexError, KeyError, OverflowError, ValueError, struct.error)
"""What a check may raise over a map that is wrong, besides the errors of the drivers."""
