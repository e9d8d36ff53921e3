"""The datasheet pairs of a part as evidence: read, replayed to the driver, held against the map.

A row of datasheet.csv is `register,raw_hex,quantity,value,unit,source`: the address, the bytes in
bus order, and what the datasheet says they mean. `quantity` is one of

    reset            the register's value after power-up
    running          what it shows instead once the chip has been started
    reserved         bits that belong to no field
    ready            bits that a running chip shows set (a flag the driver waits for)
    self_clearing    bits that read 0 again soon after 1 was written
    a reading        of the driver, as `parts.read` names it, with `@option=value` where it depends
    a register       its value, in `unit`
    a field          its setting, or its code where there are no settings
    a command        its longest duration; `register` is its byte
    serial_number    what the driver has found after `start()`

Nothing here asks a register map what an address or a bit is: the buses of replay.py know only the
rows.
"""

import csv
from pathlib import Path
from typing import NamedTuple

import drivers
from tests.drivers.parts import Rig, make_driver, make_emulator, module, read, with_registers
from tests.drivers.replay import LITTLE_ENDIAN_BYTE_ADDRESSED, make_replay

FOLDER = Path(drivers.__file__).parent
BEHAVIOURS = ("reset", "running", "reserved", "ready", "self_clearing")
TO_SI = {"g_n": 9.80665, "mg": 9.80665e-3, "mV": 1e-3, "uV": 1e-6, "G": 1e-4}
# Raw results of these depend on further quantities and on trimming words.
COMPENSATED = {"bme280"}
DEFAULT_SCALES = {"full_scale_g": 2, "full_scale_volt": 2.048, "full_scale_gauss": 1.3}
# Bits below the count of a number that stands in the upper bits of its bytes.
LEFT_JUSTIFIED_BITS = {"adxl355": 4, "lsm303dlhc": 4, "max31865": 1, "tmp105": 4}


class Row(NamedTuple):
    """One line of a datasheet.csv; `options` are those of the driver."""

    address: int
    raw: bytes
    quantity: str
    options: dict
    value: str
    unit: str
    source: str


def load(part):
    with (FOLDER / part / "datasheet.csv").open(newline="", encoding="utf-8") as lines:
        return [_row(fields) for fields in csv.DictReader(lines)]


def _row(fields):
    quantity, *settings = fields["quantity"].split("@")
    options = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        options[name] = _number_or_text(value)
    return Row(
        address=int(fields["register"], 16),
        raw=bytes.fromhex(fields["raw_hex"]),
        quantity=quantity,
        options=options,
        value=fields["value"],
        unit=fields["unit"],
        source=fields["source"],
    )


def _number_or_text(value):
    try:
        return float(value)
    except ValueError:
        return value


def is_reading(part, row):
    """Say whether the driver gives the row's quantity."""
    driver_class = module(part, "driver").DRIVER
    name, _, argument = row.quantity.rpartition("_")
    is_indexed = argument.isdigit() or argument in ("x", "y", "z")
    return hasattr(driver_class, row.quantity) or (is_indexed and hasattr(driver_class, name))


def failures(part):
    """Return a sentence for each row that the map or the driver contradicts."""
    rows = load(part)
    found = []
    for row in rows:
        if row.quantity == "serial_number":
            found += _against_serial_number(part, row, rows)
        elif module(part, "registers").MAP.at(row.address) is None and not is_reading(part, row):
            found.append(f"{_where(part, row)}: the map has nothing there")
        elif row.quantity in BEHAVIOURS or not is_reading(part, row):
            found += _against_map(part, row)
        else:
            found += _against_driver(part, row, rows)
    return found


def _against_driver(part, row, rows):
    bus = make_replay(part, rows, row.options)
    driver = make_driver(part, bus, lambda _us: None, **row.options)
    driver.start()
    bus.hold(row.address, row.raw)
    reading = read(driver, row.quantity)
    if abs(reading - _si(row)) <= 0.75 * _count(part, row):
        return []
    return [f"{_where(part, row)} is read as {reading}"]


def _against_serial_number(part, row, rows):
    driver = make_driver(part, make_replay(part, rows, row.options), lambda _us: None)
    driver.start()
    if driver.serial_number == int(row.value):
        return []
    return [f"{_where(part, row)} is read as {driver.serial_number}"]


def _against_map(part, row):
    register = module(part, "registers").MAP.at(row.address)
    if not module(part, "registers").MAP.registers:
        is_true = (register.name, register.duration_us) == (row.quantity, int(row.value))
        return [] if is_true else [f"{_where(part, row)} contradicts the map"]
    if register is None or len(row.raw) != register.width_bytes:
        return [f"{_where(part, row)}: the map has another width, or nothing"]
    word = register.unpack(row.raw) & register.mask()
    if row.quantity == "reset":
        is_true = register.reset == word
    elif row.quantity == "reserved":
        fielded = sum(field.mask() for field in register.fields)
        is_true = word == register.mask() - fielded
    elif row.quantity in BEHAVIOURS:
        is_true = True
    elif row.quantity == register.name and not register.fields:
        number = register.unpack(row.raw) * (register.lsb or 1)
        is_true = abs(number - _si(row)) <= 0.75 * (register.lsb or 1)
    else:
        fields = {field.name: field for field in register.fields}
        is_true = row.quantity in fields and _means(fields[row.quantity], word, row.value)
    return [] if is_true else [f"{_where(part, row)} contradicts the map"]


def _means(field, word, value):
    if field.settings is None:
        return field.get(word) == int(value)
    setting = field.setting(word)
    return setting == value if isinstance(setting, str) else setting == float(value)


def emulator_failures(part):
    """Return a sentence for each reading that the emulator does not turn into the row's bytes."""
    found = []
    if part in COMPENSATED or part not in with_registers():
        return []
    for row in load(part):
        if row.quantity in BEHAVIOURS or not is_reading(part, row) or "shunt_ohm" in row.options:
            continue
        rig = Rig(part, **row.options)
        rig.driver.start()
        read(rig.driver, row.quantity)
        low, high, _ = rig.emulator.RANGES[row.quantity]
        if not low <= _si(row) <= high:
            continue
        rig.emulator.drive(row.quantity, _si(row))
        rig.settle()
        read(rig.driver, row.quantity)
        raw = rig.read_raw(row.address, len(row.raw))
        count = 1 << LEFT_JUSTIFIED_BITS.get(part, 0)
        if abs(_signed(part, raw) - _signed(part, row.raw)) > count:
            found.append(f"{_where(part, row)} is emulated as {raw.hex()}")
    return found


def _signed(part, raw):
    order = "little" if part in LITTLE_ENDIAN_BYTE_ADDRESSED else "big"
    return int.from_bytes(raw, order, signed=True)


def _si(row):
    return float(row.value) * TO_SI.get(row.unit, 1)


def _count(part, row):
    """Return one count of the row's quantity, from the tolerance that RANGES states."""
    emulator = make_emulator(part, row.options)
    tolerance = emulator.RANGES[row.quantity][2]
    for name, default in DEFAULT_SCALES.items():
        tolerance *= row.options.get(name, default) / default
    return tolerance / 0.52


def _where(part, row):
    raw = row.raw.hex().upper()
    return f"{part} 0x{row.address:02X} {raw} {row.quantity} = {row.value} {row.unit}"
