"""How the tests make, drive and read any part: the parts, what they are wired with, a clock.

A new part needs one line in `PARTS`, and one in `SPI_COMMANDS` if it is on SPI; every test of this
folder then runs over it.
"""

import importlib
import inspect
import random
from typing import NamedTuple

from drivers.bus import EmulatedI2C, EmulatedRS485, EmulatedSPI


class Part(NamedTuple):
    """What a part is made with: arguments of the emulator, and of the driver."""

    wiring: dict
    options: dict


PARTS = {
    "ads1115": Part({}, {}),
    "adxl355": Part({}, {}),
    "bme280": Part({}, {}),
    "ina226": Part({"shunt_ohm": 0.02}, {"shunt_ohm": 0.02}),
    "lsm303dlhc": Part({}, {}),
    "lsm6dsox": Part({}, {}),
    "max31865": Part({}, {}),
    "mcp9600": Part({}, {}),
    "modbus_transmitter": Part({}, {}),
    "sht4x": Part({}, {}),
    "tmp105": Part({}, {}),
    "tmp117": Part({}, {}),
}
# The first byte of a transfer by address and direction, as each datasheet draws it. It stands here
# and not in the map of the part, since driver and emulator share that one.
SPI_COMMANDS = {
    "adxl355": lambda address, is_read: (address << 1) | is_read,
    "max31865": lambda address, is_read: address if is_read else address | 0x80,
}
ADDRESS = 0x48
PLACES = {"i2c": "I2C(1) address 0x48", "spi": "SPI(1)", "rs485": "RS485(1) unit 72"}
TRANSFER_US = 50
# Longer than any chip's conversion as the drivers configure it.
SETTLING_US = 2_000_000


class Clock:
    """A clock that only sleeping and transfers move."""

    def __init__(self):
        self.now_us = 0

    def ticks_us(self):
        self.now_us += TRANSFER_US
        return self.now_us

    def sleep_us(self, duration_us):
        self.now_us += duration_us


class Rig:
    """One emulated part on a bus of its own, with its driver, not started."""

    def __init__(self, part, **options):
        self.part = part
        self.clock = Clock()
        self.emulator = make_emulator(part, options)
        self.bus = make_bus(part, self.emulator, self.clock)
        self.driver = make_driver(part, self.bus, self.clock.sleep_us, **options)

    def settle(self):
        self.clock.sleep_us(SETTLING_US)

    def read_raw(self, address, count):
        data = bytearray(count)
        if isinstance(self.bus, EmulatedI2C):
            self.bus.readfrom_mem_into(ADDRESS, address, data)
            return bytes(data)
        command = SPI_COMMANDS[self.part](address, True)
        into = bytearray(1 + count)
        self.bus.write_readinto(bytes((command,)) + data, into)
        return bytes(into[1:])

    def write_raw(self, address, data):
        if isinstance(self.bus, EmulatedI2C):
            self.bus.writeto_mem(ADDRESS, address, data)
            return
        command = SPI_COMMANDS[self.part](address, False)
        self.bus.write_readinto(bytes((command,)) + data, bytearray(1 + len(data)))


def module(part, name):
    """Return the module drivers.<part>.<name>, as it is now (a test may have reloaded it)."""
    return importlib.import_module(f"drivers.{part}.{name}")


def bus_kind(part):
    return module(part, "driver").DRIVER.BUS


def with_registers():
    """Return the parts that have a register map."""
    return [part for part in PARTS if module(part, "registers").MAP.registers]


def make_emulator(part, options=None):
    """Return an emulator, wired as `PARTS` says and as those options say that are wiring."""
    emulator_class = module(part, "emulator").EMULATOR
    names = inspect.signature(emulator_class).parameters
    wired = {name: value for name, value in (options or {}).items() if name in names}
    return emulator_class(**{**PARTS[part].wiring, **wired})


def make_bus(part, device, clock):
    kind = bus_kind(part)
    if kind == "spi":
        return EmulatedSPI(device, clock.ticks_us, "SPI(1)")
    if kind == "rs485":
        return EmulatedRS485({ADDRESS: device}, clock.ticks_us, name="RS485(1)")
    return EmulatedI2C({ADDRESS: device}, clock.ticks_us, "I2C(1)")


def make_driver(part, bus, sleep_us, **options):
    chosen = {**PARTS[part].options, **options}
    address = None if bus_kind(part) == "spi" else ADDRESS
    return module(part, "driver").DRIVER(bus, address, sleep_us=sleep_us, **chosen)


def read(driver, quantity):
    """Return a reading by the emulator's name for it: `reading`, `reading_0` or `reading_x`."""
    if hasattr(driver, quantity):
        return getattr(driver, quantity)()
    name, _, argument = quantity.rpartition("_")
    if argument.isdigit():
        return getattr(driver, name)(int(argument))
    return getattr(getattr(driver, name)(), argument)


def sweep(part, seed=1):
    """Return a sentence for each driven value that comes back further off than RANGES says."""
    rig = Rig(part)
    rig.driver.start()
    chance = random.Random(seed)
    found = []
    for quantity, (low, high, tolerance) in rig.emulator.RANGES.items():
        steps = [low + (high - low) * step / 8 for step in range(9)]
        for value in [*steps, 0.0, *(chance.uniform(low, high) for _ in range(8))]:
            if not low <= value <= high:
                continue
            rig.emulator.drive(quantity, value)
            rig.settle()
            reading = read(rig.driver, quantity)
            if not abs(reading - value) <= tolerance:
                found.append(f"{part}: {quantity} = {value} is read as {reading}")
        rig.emulator.drive(quantity, max(low, 0.0))
    return found
