"""How the tests make, drive and read any part: the parts, what they are wired with, a clock.

A new part needs one line in `PARTS`; every test of this folder then runs over it.
"""

import importlib
import random
from typing import NamedTuple

from drivers.bus import EmulatedI2C


class Part(NamedTuple):
    """What a part is made with: arguments of the emulator, and of the driver."""

    wiring: dict
    options: dict


PARTS = {
    "ads1115": Part({}, {}),
    "ina226": Part({"shunt_ohm": 0.02}, {"shunt_ohm": 0.02}),
    "lsm6dsox": Part({}, {}),
    "mcp9600": Part({}, {}),
    "tmp117": Part({}, {}),
}
ADDRESS = 0x48
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
    """One emulated chip on a bus of its own, with its driver, not started."""

    def __init__(self, part, **options):
        self.part = part
        self.clock = Clock()
        self.emulator = module(part, "emulator").EMULATOR(**PARTS[part].wiring)
        self.i2c = EmulatedI2C({ADDRESS: self.emulator}, self.clock.ticks_us)
        self.driver = make_driver(part, self.i2c, self.clock.sleep_us, **options)

    def settle(self):
        self.clock.sleep_us(SETTLING_US)

    def read_raw(self, address, count):
        data = bytearray(count)
        self.i2c.readfrom_mem_into(ADDRESS, address, data)
        return bytes(data)


def module(part, name):
    """Return the module drivers.<part>.<name>, as it is now (a test may have reloaded it)."""
    return importlib.import_module(f"drivers.{part}.{name}")


def make_driver(part, i2c, sleep_us, **options):
    chosen = {**PARTS[part].options, **options}
    return module(part, "driver").DRIVER(i2c, ADDRESS, sleep_us=sleep_us, **chosen)


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
