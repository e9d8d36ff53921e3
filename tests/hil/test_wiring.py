"""Columns wired to chips: numbers, the way back through the driver, and what is refused."""

import dataclasses
import importlib
from pathlib import Path

import pytest

from drivers.bus import EmulatedI2C
from drivers.lsm6dsox.driver import Lsm6dsox
from gateway.site import Site, load_site
from hil.errors import ScenarioError, TraceError
from hil.plants.pump import COLUMNS, write_pump_trace
from hil.scenario import Scenario, load_scenario
from hil.traces import Trace, read_trace
from hil.wiring import (
    Drive,
    Place,
    bus_with,
    check_range,
    chip_quantity,
    current_loop,
    emulator_of,
    make_chips,
    place_of,
    plan_drives,
)

EXAMPLE = Path(__file__).parents[2] / "examples/pump"
S_US = 1_000_000


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load_scenario(EXAMPLE / "scenario.toml")


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(EXAMPLE / "site.toml")


@pytest.fixture(scope="module")
def trace(tmp_path_factory) -> Trace:
    path = tmp_path_factory.mktemp("wiring") / "pump.csv"
    write_pump_trace(path, seed=1, rows=60)
    return read_trace(path, dict(COLUMNS))


@pytest.fixture(scope="module")
def drives(scenario, site, trace) -> dict[str, Drive]:
    return {drive.wire.channel: drive for drive in plan_drives(scenario, site, trace)}


class BoardClock:
    """The clock of a board that does nothing but sleep."""

    def __init__(self) -> None:
        self.now_us = 0

    def ticks_us(self) -> int:
        return self.now_us

    def sleep_us(self, duration_us: int) -> None:
        self.now_us += duration_us


def with_wire(scenario: Scenario, index: int, **fields) -> Scenario:
    """Return the scenario with one wire changed."""
    wires = list(scenario.wires)
    wires[index] = wires[index].model_copy(update=fields)
    return scenario.model_copy(update={"wires": tuple(wires)})


def with_channel(site: Site, node: int, name: str, **fields) -> Site:
    """Return the site with one channel changed."""
    channels = tuple(
        each.model_copy(update=fields) if each.name == name else each
        for each in site.nodes[node].channels
    )
    nodes = list(site.nodes)
    nodes[node] = nodes[node].model_copy(update={"channels": channels})
    return site.model_copy(update={"nodes": tuple(nodes)})


def with_value(tmp_path: Path, column: str, row: int, value: float) -> Trace:
    """Return the pump trace with one cell changed."""
    path = tmp_path / "pump.csv"
    write_pump_trace(path, seed=1, rows=60)
    lines = path.read_text().splitlines()
    cells = lines[row + 1].split(";")
    cells[lines[0].split(";").index(column)] = repr(value)
    lines[row + 1] = ";".join(cells)
    path.write_text("\n".join(lines))
    return read_trace(path, dict(COLUMNS))


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "low", "high"), [("pressure", -100_000.0, 200_000.0), ("flow", 0.0, 0.0025)]
)
def test_gain_and_offset_in_the_site_are_those_of_the_transmitter(site, channel, low, high):
    found = next(each for each in site.nodes[1].channels if each.name == channel)
    gain, offset = current_loop(low, high, shunt_ohm=100.0)
    assert (found.gain, found.offset) == pytest.approx((gain, offset), rel=1e-12)
    assert found.valid == (low, high)


def test_four_milliampere_is_the_low_end_and_twenty_the_high_end():
    gain, offset = current_loop(-5.0, 15.0, shunt_ohm=250.0)
    assert gain * 0.004 * 250.0 + offset == pytest.approx(-5.0)
    assert gain * 0.020 * 250.0 + offset == pytest.approx(15.0)
    assert gain * 0.012 * 250.0 + offset == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("channel", "column_value", "chip_value"),
    [
        ("vibration-1", 0.5, 4.903325),
        ("temperature", 79.3, 79.3),
        ("voltage", 230.0, 23.0),
        ("pressure", 0.5, 1.2),  # 12 mA over 100 ohm
        ("flow", 75.0, 1.2),
    ],
)
def test_the_chip_feels_the_inverse_of_gain_and_offset(drives, channel, column_value, chip_value):
    assert drives[channel].chip_value(column_value) == pytest.approx(chip_value, rel=1e-12)


def test_a_quantity_is_the_reading_and_its_argument(site):
    names = [chip_quantity(each) for node in site.nodes for each in node.channels]
    assert names == [
        "acceleration_m_s2_x",
        "acceleration_m_s2_x",
        "temperature_celsius",
        "temperature_celsius",
        "current_ampere",
        "voltage_volt",
        "voltage_volt_0",
        "voltage_volt_1",
    ]


def test_the_range_is_that_of_the_configured_chip_not_of_its_class(drives, site, scenario, trace):
    assert drives["current"].high == pytest.approx(32767 * 2.5e-6 / 0.02)
    wide = with_channel(site, 1, "pressure", options={"full_scale_volt": 4.096})
    planned = {each.wire.channel: each for each in plan_drives(scenario, wide, trace)}
    assert drives["pressure"].high == pytest.approx(2.048, rel=1e-4)
    assert planned["pressure"].high == pytest.approx(3.6)  # supply + 0.3 V is less than 4.096 V
    assert planned["flow"].high == pytest.approx(3.6)  # the same chip, so the same options


@pytest.mark.parametrize("node", [0, 1])
def test_the_nodes_driver_reads_the_trace_back_within_the_chips_tolerance(site, drives, node):
    """Every channel: trace -> inverse gain -> emulator -> registers -> driver -> gain."""
    for channel in site.nodes[node].channels:
        drive = drives[channel.name]
        chip = emulator_of(channel)
        chip.drive(drive.quantity, drive.source())
        clock = BoardClock()
        bus = EmulatedI2C({channel.address: chip}, clock.ticks_us)
        module = importlib.import_module(f"drivers.{channel.part}.driver")
        driver = module.DRIVER(bus, channel.address, sleep_us=clock.sleep_us, **channel.options)
        driver.start()
        clock.now_us = 30 * S_US + 900_000
        arguments = (channel.argument,) if isinstance(channel.argument, int) else ()
        reading = getattr(driver, channel.reading)(*arguments)
        if isinstance(channel.argument, str):
            reading = getattr(reading, channel.argument)
        tolerance = chip.RANGES[drive.quantity][2]
        assert abs(reading - drive.source()(30 * S_US + 900_000)) <= tolerance
        if drive.wire.waveform == "hold":
            expected = drive.signal(float(drive.column.values[30]))
            got = channel.gain * reading + channel.offset
            assert abs(got - expected) <= abs(channel.gain) * tolerance * 1.001


@pytest.mark.parametrize("late_us", [0, 2_000, 12_000])
def test_a_block_read_through_the_accelerometer_has_the_rms_of_its_row(site, drives, late_us):
    channel = site.nodes[0].channels[0]
    drive = drives["vibration-1"]
    chip = emulator_of(channel)
    chip.drive(drive.quantity, drive.source())
    clock = BoardClock()
    bus = EmulatedI2C({channel.address: chip}, clock.ticks_us)
    driver = Lsm6dsox(bus, channel.address, sleep_us=clock.sleep_us)
    driver.start()
    for row in (2, 3, 17):
        squares = 0.0
        for sample in range(10):
            clock.now_us = row * S_US + sample * 100_000 + late_us
            squares += driver.acceleration_m_s2().x ** 2
        expected = drive.signal(float(drive.column.values[row]))
        tolerance = chip.RANGES[drive.quantity][2]
        assert abs((squares / 10) ** 0.5 - expected) <= tolerance


# --- other buses ---------------------------------------------------------------------------------

ELSEWHERE = [
    {"part": "max31865", "bus": 2, "address": None},
    {"part": "adxl355", "bus": 0, "address": None},
    {"part": "modbus_transmitter", "bus": 1, "address": 200, "reading": "value_count",
     "argument": 40, "options": {"first_register": 40, "word_order": "little"}},
    {"part": "sht4x", "bus": 0, "address": 0x44, "options": {"precision": "low"}},
]  # fmt: skip


@pytest.mark.parametrize("fields", ELSEWHERE, ids=lambda fields: fields["part"])
def test_a_chip_on_any_bus_is_driven_and_read_back(scenario, site, trace, fields):
    moved = with_channel(site, 0, "temperature", **fields)
    planned = plan_drives(scenario, moved, trace)
    drive = next(each for each in planned if each.wire.channel == "temperature")
    channel = next(each for each in moved.nodes[0].channels if each.name == "temperature")
    chips = make_chips(moved.nodes[0])
    chip = chips[drive.place]
    chip.drive(drive.quantity, drive.source())
    clock = BoardClock()
    module = importlib.import_module(f"drivers.{channel.part}.driver")
    bus = bus_with(drive.place, chip, clock.ticks_us)
    driver = module.DRIVER(bus, channel.address, sleep_us=clock.sleep_us, **channel.options)
    clock.now_us = 30 * S_US
    driver.start()
    arguments = (channel.argument,) if isinstance(channel.argument, int) else ()
    reading = getattr(driver, channel.reading)(*arguments)
    expected = drive.signal(float(drive.column.values[30]))
    assert abs(reading - expected) <= chip.RANGES[drive.quantity][2]


def test_places_are_told_apart_by_their_kind(site):
    on_spi = with_channel(site, 0, "temperature", part="max31865", bus=0, address=None)
    places = list(make_chips(on_spi.nodes[0]))
    assert Place("spi", 0, None) in places
    assert len({place.kind for place in places}) == 2
    assert [str(Place("i2c", 0, 0x6A)), str(Place("spi", 2, None)), str(Place("rs485", 1, 17))] == [
        "i2c 0 address 0x6A",
        "spi 2",
        "rs485 1 address 17",
    ]


def test_one_chip_carries_all_its_channels(site):
    chips = make_chips(site.nodes[1])
    assert len(chips) < len(site.nodes[1].channels)
    assert {place_of(channel) for channel in site.nodes[1].channels} == set(chips)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"part": "max31865", "address": 0x10}, "max31865 is on SPI: leave out address"),
        ({"part": "tmp117", "address": None}, "tmp117 is on i2c: give its 7-bit address"),
        ({"part": "modbus_transmitter", "address": None}, "is on rs485: give its unit id"),
        ({"part": "nothing"}, "no emulator for part 'nothing'"),
    ],
)
def test_a_chip_that_is_badly_placed_is_refused(site, fields, message):
    moved = with_channel(site, 0, "temperature", **fields)
    with pytest.raises(ValueError, match=r"node pump-a, 'temperature': .*"):
        make_chips(moved.nodes[0])
    with pytest.raises(ValueError, match=message):
        make_chips(moved.nodes[0])


def test_a_chip_described_twice_is_refused(site):
    moved = with_channel(site, 1, "flow", options={"full_scale_volt": 4.096})
    with pytest.raises(ValueError, match="described twice, differently; give it part and options"):
        make_chips(moved.nodes[1])


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "fields", "message"),
    [
        (4, {"node": "pump-c"}, "wires[4].node: the site has no node 'pump-c'; did you mean"),
        (4, {"channel": "curent"}, "wires[4].channel: node 'pump-b' has no channel 'curent'; did"),
        (6, {"unit": "A"}, "wires[6].unit: column 'Pressure', channel 'pressure': unit 'A' conv"),
        (6, {"waveform": "rms_sine"}, "wires[6].waveform: a sine averages to 0, and filter of"),
    ],
)
def test_a_wire_that_does_not_fit_the_site_is_refused(
    scenario, site, trace, index, fields, message
):
    with pytest.raises(ScenarioError) as caught:
        plan_drives(with_wire(scenario, index, **fields), site, trace)
    assert caught.value.problems[0].startswith(message)
    assert str(caught.value).startswith(str(EXAMPLE / "scenario.toml"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"reading": "voltage_volts"}, "ads1115 has no quantity 'voltage_volts_0'"),
        ({"part": "ads1015"}, "no emulator for part 'ads1015'; add drivers/ads1015/"),
        ({"gain": 0.0}, "gain of 'pressure' is 0"),
        ({"options": {"shunt_ohm": 1.0}}, "options of 'pressure' do not start ads1115"),
        ({"options": {"full_scale_volt": 7.0}}, "options of 'pressure' do not start ads1115"),
    ],
)
def test_a_channel_that_nothing_can_drive_is_refused(scenario, site, trace, fields, message):
    with pytest.raises(ScenarioError) as caught:
        plan_drives(scenario, with_channel(site, 1, "pressure", **fields), trace)
    assert any(message in each for each in caught.value.problems), caught.value.problems


def test_an_rms_has_no_offset(scenario, site, trace):
    shifted = with_channel(site, 0, "vibration-1", offset=0.5)
    with pytest.raises(ScenarioError, match=r"wires\[0\]\.waveform: an RMS has no offset"):
        plan_drives(scenario, shifted, trace)


def test_all_misfits_come_together(scenario, site, trace):
    twice = with_wire(with_wire(scenario, 2, channel="nothing"), 6, unit="A")
    other_plc = twice.model_copy(update={"plc": twice.plc.model_copy(update={"link": "plcs"})})
    with pytest.raises(ScenarioError) as caught:
        plan_drives(other_plc, site, trace)
    assert [each.split(":")[0] for each in caught.value.problems] == [
        "plc.link",
        "wires[2].channel",
        "wires[6].unit",
    ]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("Pressure", 40.0, "40 bar needs 22.2667 of voltage_volt_0, outside -0.3 .. 2.04794"),
        ("Voltage", 500.0, "500 V needs 50 of voltage_volt, outside 0 .. 36 of the ina226"),
        ("Current", -5.0, "-5 A needs -5 of current_ampere, outside -4.09588 .. 4.09588"),
        ("Accelerometer1RMS", 1.5, "at the peak of its wave, outside -19.6014 .. 19.6014"),
        ("Accelerometer2RMS", -0.1, "-0.1 g is negative and cannot be an RMS"),
        ("Temperature", 1e308, "of temperature_celsius, outside -55 .. 150 of the tmp117"),
    ],
)
def test_a_value_beyond_the_chip_is_refused_with_its_place(
    scenario, site, tmp_path, column, value, message
):
    trace = with_value(tmp_path, column, row=7, value=value)
    with pytest.raises(TraceError) as caught:
        plan_drives(scenario, site, trace)
    text = str(caught.value)
    assert text.startswith(f"{trace.path}:9: column {column!r}: ")
    assert message in text


def test_a_sine_is_held_against_both_ends_of_the_range(drives, trace):
    lopsided = dataclasses.replace(drives["vibration-1"], low=-0.1)
    with pytest.raises(TraceError, match=r"at the peak of its wave, outside -0\.1 \.\. 19\.6014"):
        check_range(lopsided, trace)


def test_a_sine_that_just_fits_is_let_through(scenario, site, tmp_path):
    peak_g = 2.0 * 0x7FFF / 0x8000
    trace = with_value(tmp_path, "Accelerometer1RMS", row=7, value=0.99 * peak_g / 2**0.5)
    assert plan_drives(scenario, site, trace)


def test_an_origin_moves_the_trace_on_the_nodes_own_clock(scenario, site, trace):
    moved = plan_drives(scenario, site, trace, {"pump-a": 2 * S_US})
    temperature = next(each for each in moved if each.wire.channel == "temperature")
    current = next(each for each in moved if each.wire.channel == "current")
    assert temperature.source()(12 * S_US) == temperature.column.values[10]
    assert current.source()(12 * S_US) == current.column.values[12]
