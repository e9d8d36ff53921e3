"""From a column of the trace to a quantity at a chip: the scenario's wires on a site's channels.

Promises: `plan_drives` returns every wire resolved and every value of the trace within reach of
its chip, or raises before anything runs; `make_chips` makes every chip of a node once, whatever bus
it is on. Leaves to others: what the chip does with the quantity (drivers/*/emulator.py), the shape
between rows (waveform.py), how long a transfer takes (bus.py).

A channel reads signal = gain * reading + offset, so the rig drives the chip with the inverse:

    chip = (unit.to_si(column) - offset) / gain

Order of the checks: all wires against the site (together, ScenarioError), then every value against
its chip's range (TraceError at the first line).
"""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from drivers.bus import EmulatedI2C, EmulatedRS485, EmulatedSPI
from drivers.emulation import Inputs
from drivers.errors import DriverError, EmulatorError
from gateway.site import Channel, Node, Site, Waveform
from hil.errors import ScenarioError, TraceError, UnitError, did_you_mean
from hil.scenario import Scenario, Wire
from hil.traces import Trace, TraceChannel
from hil.units import Unit, unit_for
from hil.waveform import Hold, RmsSine, SampleGrid, Source, peak_factor

LOOP_LOW_AMPERE: Final = 0.004
LOOP_HIGH_AMPERE: Final = 0.020
"""Ends of the span of a current-loop transmitter, IEC 60381-1."""

Ranges = Mapping[str, tuple[float, float, float]]
"""Quantity -> (low, high, tolerance) in SI."""


class Place(NamedTuple):
    """Where a chip hangs on a node: no two chips share one.

    kind: "i2c", "spi" or "rs485"; bus: its number, which on SPI is the chip select; address: on
    I2C the chip's, on RS-485 the unit id, on SPI None.
    """

    kind: str
    bus: int
    address: int | None

    def __str__(self) -> str:
        """Return it as messages show it."""
        if self.address is None:
            return f"{self.kind} {self.bus}"
        number = f"0x{self.address:02X}" if self.kind == "i2c" else f"{self.address}"
        return f"{self.kind} {self.bus} address {number}"


class UnknownChipError(ValueError):
    """A part that drivers/ has no folder for."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drive:
    """One wire, resolved: a column of the trace drives one quantity of one chip."""

    wire: Wire
    part: str
    place: Place
    quantity: str
    """Name in the emulator's RANGES."""
    unit: Unit
    low: float
    """Least value of the quantity the chip can feel as the node configures it, in SI."""
    high: float
    gain: float
    offset: float
    grid: SampleGrid
    column: TraceChannel

    def signal(self, value: float) -> float:
        """Return what the channel should read for a value of the column, in the channel's unit."""
        return self.unit.to_si(value)

    def chip_value(self, value: float) -> float:
        """Return what the chip must feel for a value of the column, in SI."""
        return (self.unit.to_si(value) - self.offset) / self.gain

    def source(self) -> Source:
        """Return a fresh source for the chip; each call has its own cursor into the trace."""
        shape = RmsSine if self.wire.waveform == "rms_sine" else Hold
        return shape(self.column.held(), self.chip_value, self.grid)


def plan_drives(
    scenario: Scenario, site: Site, trace: Trace, origins_us: Mapping[str, int] | None = None
) -> tuple[Drive, ...]:
    """Resolve all wires and check all values.

    origins_us: node -> its own time of the first sample of its first block, 0 where absent.
    Errors: ScenarioError with everything that does not fit the site, TraceError for a value.
    """
    nodes = {node.name: node for node in site.nodes}
    problems = _absent_links(scenario, site)
    drives = []
    for index, wire in enumerate(scenario.wires):
        where = f"wires[{index}]"
        node = nodes.get(wire.node)
        if node is None:
            problems.append(
                f"{where}.node: the site has no node {wire.node!r}; {_of(wire.node, nodes)}"
            )
            continue
        channels = {channel.name: channel for channel in node.channels}
        channel = channels.get(wire.channel)
        if channel is None:
            what = f"node {wire.node!r} has no channel {wire.channel!r}"
            problems.append(f"{where}.channel: {what}; {_of(wire.channel, channels)}")
            continue
        found = _misfits(wire, node, channel)
        problems += [f"{where}.{each}" for each in found]
        if not found:
            origin_us = (origins_us or {}).get(wire.node, 0)
            drives.append(_resolved(wire, node, channel, trace, origin_us))
    if problems:
        raise ScenarioError(str(scenario.path), problems)
    for drive in drives:
        check_range(drive, trace)
    return tuple(drives)


def current_loop(low: float, high: float, shunt_ohm: float) -> tuple[float, float]:
    """Return (gain, offset) of a 4-20 mA transmitter read as the voltage over a shunt.

    low, high: what 4 mA and 20 mA stand for, in SI; signal = gain * volt + offset.
    """
    gain = (high - low) / ((LOOP_HIGH_AMPERE - LOOP_LOW_AMPERE) * shunt_ohm)
    return gain, low - gain * LOOP_LOW_AMPERE * shunt_ohm


def chip_quantity(channel: Channel) -> str:
    """Return the emulator's name for what a channel reads: `reading` or `reading_argument`."""
    return channel.reading if channel.argument is None else f"{channel.reading}_{channel.argument}"


def place_of(chip: Channel | Waveform) -> Place:
    """Return where the chip of a channel or waveform hangs; its driver knows the kind of bus.

    Errors: UnknownChipError; ValueError when the address does not suit the bus.
    """
    kind = _part_module(chip.part, "driver").DRIVER.BUS
    if kind == "spi" and chip.address is not None:
        raise ValueError(f"{chip.part} is on SPI: leave out address, bus is its chip select")
    if kind != "spi" and chip.address is None:
        what = "7-bit address" if kind == "i2c" else "unit id"
        raise ValueError(f"{chip.part} is on {kind}: give its {what} as address")
    return Place(kind, chip.bus, chip.address)


def make_chips(node: Node) -> dict[Place, Inputs]:
    """Return a fresh emulator for every chip of a node; one may carry several channels.

    Errors: ValueError with everything that is described twice, differently, or badly placed.
    """
    chips: dict[Place, Inputs] = {}
    first: dict[Place, Channel | Waveform] = {}
    problems = []
    carriers: list[Channel | Waveform] = [*node.channels, *node.waveforms]
    for carrier in carriers:
        where = f"node {node.name}, {carrier.name!r}"
        try:
            place = place_of(carrier)
            other = first.setdefault(place, carrier)
            if other is carrier:
                chips[place] = emulator_of(carrier)
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"{where}: {error}")
            continue
        if (other.part, other.options) != (carrier.part, carrier.options):
            what = f"{place} is described twice, differently"
            problems.append(f"{where}: {what}; give it part and options of {other.name!r}")
    if problems:
        raise ValueError("; ".join(problems))
    return chips


def emulator_of(channel: Channel | Waveform) -> Inputs:
    """Return a fresh emulator of a channel's chip; what nothing drives stays 0, or next to it.

    It takes those of the channel's options that are wiring (a shunt), by name; the other options
    are the driver's. Errors: UnknownChipError.
    """
    emulator = _part_module(channel.part, "emulator").EMULATOR
    wiring = inspect.signature(emulator).parameters
    chip: Inputs = emulator(**{k: v for k, v in channel.options.items() if k in wiring})
    return chip


def configured_ranges(node: Node, channel: Channel) -> Ranges:
    """Return what a channel's chip can feel once the node's own driver has configured it.

    Runs the driver on a spare emulator, so that options such as the full scale count. As on the
    node, the first channel of a chip states its options.
    Errors: UnknownChipError; ValueError when the options do not suit the driver.
    """
    place = place_of(channel)
    same = (channel.part, channel.bus, channel.address)
    first = next(each for each in node.channels if (each.part, each.bus, each.address) == same)
    try:
        chip = emulator_of(first)
    except (KeyError, TypeError) as error:
        raise ValueError(f"options of {first.name!r} do not suit {first.part}: {error}") from error
    clock_us = [0]

    def sleep_us(duration_us: int) -> None:
        clock_us[0] += duration_us

    bus = bus_with(place, chip, lambda: clock_us[0])
    driver = _part_module(first.part, "driver").DRIVER
    try:
        started = driver(bus, channel.address, sleep_us=sleep_us, **first.options)
        started.start()
        # Some chips take their setting with the reading, not before.
        if hasattr(started, channel.reading):
            argument = (channel.argument,) if isinstance(channel.argument, int) else ()
            getattr(started, channel.reading)(*argument)
    except (TypeError, ValueError, DriverError, EmulatorError) as error:
        raise ValueError(f"options of {first.name!r} do not start {first.part}: {error}") from error
    return chip.RANGES


def bus_with(place: Place, chip: Any, clock: Callable[[], int]) -> Any:
    """Return an emulated bus of the kind of `place` with nothing but `chip` there."""
    if place.kind == "spi":
        return EmulatedSPI(chip, clock)
    kind = EmulatedRS485 if place.kind == "rs485" else EmulatedI2C
    return kind({place.address: chip}, clock)


def check_range(drive: Drive, trace: Trace) -> None:
    """Raise TraceError at the first value that the chip cannot feel.

    A sine is checked at its peaks, which lie at sqrt(2) times the RMS or just below.
    """
    column = drive.column
    with np.errstate(over="ignore"):  # an infinity is outside every range
        chip = (column.values * drive.unit.factor + drive.unit.offset - drive.offset) / drive.gain
    low, high = drive.low, drive.high
    of_what = ""
    if drive.wire.waveform == "rms_sine":
        _refuse_first(drive, trace, column.values < 0.0, "is negative and cannot be an RMS")
        chip = np.abs(chip) * peak_factor(drive.grid.block_samples)
        high = min(high, -low)
        of_what = " at the peak of its wave"
    is_outside = (chip < low) | (chip > high)
    row = int(np.argmax(is_outside))
    what = (
        f"needs {chip[row]:.6g} of {drive.quantity}{of_what}, outside {drive.low:g} .. "
        f"{drive.high:g} of the {drive.part}; check the column's unit and the channel's gain"
    )
    _refuse_first(drive, trace, is_outside, what)


def _refuse_first(drive: Drive, trace: Trace, is_wrong: NDArray[np.bool_], what: str) -> None:
    if is_wrong.any():
        row = int(np.argmax(is_wrong))
        column = drive.column
        value = f"{column.values[row]:g} {drive.unit.name}"
        raise TraceError(str(trace.path), f"{value} {what}", int(column.lines[row]), column.name)


def _part_module(part: str, what: str) -> Any:
    """Import a module of a chip's folder."""
    name = f"drivers.{part}.{what}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise UnknownChipError(f"no emulator for part {part!r}; add drivers/{part}/") from None
        raise


def _resolved(wire: Wire, node: Node, channel: Channel, trace: Trace, origin_us: int) -> Drive:
    quantity = chip_quantity(channel)
    low, high, _ = configured_ranges(node, channel)[quantity]
    return Drive(
        wire=wire,
        part=channel.part,
        place=place_of(channel),
        quantity=quantity,
        low=low,
        high=high,
        unit=unit_for(wire.unit, channel.unit),
        gain=channel.gain,
        offset=channel.offset,
        grid=SampleGrid(
            sample_period_us=node.sample_period_ms * 1000,
            block_samples=node.block,
            origin_us=origin_us,
        ),
        column=trace.channel(wire.column),
    )


def _misfits(wire: Wire, node: Node, channel: Channel) -> list[str]:
    """Return what is wrong between a wire and its channel, each with its key."""
    found = []
    try:
        unit_for(wire.unit, channel.unit)
    except UnitError as error:
        found.append(f"unit: column {wire.column!r}, channel {wire.channel!r}: {error}")
    if channel.gain == 0.0:
        found.append(
            f"channel: gain of {wire.channel!r} is 0 in the site file; nothing can drive it"
        )
    quantity = chip_quantity(channel)
    try:
        ranges = configured_ranges(node, channel)
    except ValueError as error:
        found.append(f"channel: {error}")
    else:
        if quantity not in ranges:
            what = f"{channel.part} has no quantity {quantity!r}"
            remedy = "mend reading or argument in the site file"
            found.append(f"channel: {what}; {remedy}, {_of(quantity, ranges)}")
    if wire.waveform == "rms_sine":
        found += [f"waveform: {each}" for each in _sine_misfits(wire, node, channel)]
    return found


def _sine_misfits(wire: Wire, node: Node, channel: Channel) -> list[str]:
    found = []
    if channel.filter != "rms":
        found.append(f"a sine averages to 0, and filter of {wire.channel!r} is {channel.filter!r}")
    if channel.offset != 0.0:
        found.append(f"an RMS has no offset, and {wire.channel!r} has {channel.offset:g}; use hold")
    if node.block < 3:
        found.append(f"a sine needs 3 samples in a block, node {node.name!r} has {node.block}")
    return found


def _absent_links(scenario: Scenario, site: Site) -> list[str]:
    """Return what boards and PLC name but the site does not have."""
    nodes = [node.name for node in site.nodes]
    found = [
        f"boards[{index}].node: the site has no node {board.node!r}; {_of(board.node, nodes)}"
        for index, board in enumerate(scenario.boards)
        if board.node not in nodes
    ]
    devices = [device.name for device in site.modbus]
    if scenario.plc is not None and scenario.plc.link not in devices:
        link = scenario.plc.link
        found.append(f"plc.link: the site has no [[modbus]] {link!r}; {_of(link, devices)}")
    return found


def _of(name: str, known: Mapping[str, object] | Sequence[str]) -> str:
    listed = ", ".join(map(repr, known)) or "none"
    return f"{did_you_mean(name, known)}it has {listed}"
