"""What every part promises: one sweep, and the same refusals, over all of them."""

import math

import pytest

from drivers.errors import DriverError, EmulatorError
from tests.drivers.parts import (
    PARTS,
    PLACES,
    SPI_COMMANDS,
    Clock,
    Rig,
    bus_kind,
    make_bus,
    make_driver,
    make_emulator,
    module,
    read,
    sweep,
    with_registers,
)

IDENTITY = {
    "adxl355": (0x00, "devid_ad (0x00)", "expected 0xAD"),
    "bme280": (0xD0, "id (0xD0)", "expected 0x60"),
    "ina226": (0xFE, "manufacturer_id (0xFE)", "expected 0x5449"),
    "lsm303dlhc": (0x0A, "ira_reg (0x0A)", "expected 0x48"),
    "lsm6dsox": (0x0F, "who_am_i (0x0F)", "expected 0x6C"),
    "mcp9600": (0x20, "device_id (0x20)", "expected 0x4000"),
    "tmp117": (0x0F, "device_id (0x0F)", "expected 0x0117"),
}
READ_ONLY = {
    "ads1115": 0x00,
    "adxl355": 0x08,
    "bme280": 0xFA,
    "ina226": 0x02,
    "lsm303dlhc": 0x03,
    "lsm6dsox": 0x28,
    "max31865": 0x01,
    "mcp9600": 0x00,
    "tmp105": 0x00,
    "tmp117": 0x00,
}
# A register, and a word that changes one of its read-only or reserved bits.
READ_ONLY_BITS = {
    "adxl355": (0x2D, b"\x09"),
    "bme280": (0xF5, b"\x02"),
    "ina226": (0x06, b"\x00\x08"),
    "lsm303dlhc": (0x00, b"\x11"),
    "lsm6dsox": (0x12, b"\x06"),
    "mcp9600": (0x04, b"\x10"),
    "tmp117": (0x01, b"\x22\x20"),
}
CONFIGURATION = {
    "ads1115": 0x01,
    "adxl355": 0x2D,
    "bme280": 0xF4,
    "ina226": 0x00,
    "lsm303dlhc": 0x00,
    "lsm6dsox": 0x10,
    "max31865": 0x00,
    "mcp9600": 0x06,
    "tmp105": 0x01,
    "tmp117": 0x01,
}
# Write the config, read it once, read the conversion; a command and its reply; one burst for
# everybody else.
TRANSFERS = {"ads1115": 3, "sht4x": 2}
# No flag says that a first result is there: these wait for the longest time it may take.
TIMED = {"max31865", "modbus_transmitter", "tmp105"}


class Faulty:
    """A chip that answers `address` with other bytes than the `emulator` it wraps."""

    def __init__(self, emulator, replaced):
        self._emulator = emulator
        self._replaced = replaced
        self._pointer = None

    def transfer(self, write, read_count, now_us):
        self._pointer = write[0] if write else self._pointer
        data = self._emulator.transfer(write, read_count, now_us)
        return self._replaced.get(self._pointer, data)[:read_count] if read_count else data

    def exchange(self, data, now_us):
        answer = self._emulator.exchange(data, now_us)
        for address, raw in self._replaced.items():
            if data[0] == SPI_COMMANDS[self._emulator.part](address, True):
                return answer[:1] + raw[: len(answer) - 1]
        return answer


class DeafBus:
    """A bus on which every transfer fails with one error number."""

    def __init__(self, number):
        self._number = number

    def __str__(self):
        return "deaf"

    def _fail(self, *_arguments):
        raise OSError(self._number)

    readfrom_mem_into = writeto_mem = readfrom_into = writeto = _fail
    write_readinto = write = read = _fail


def started(part):
    rig = Rig(part)
    rig.driver.start()
    return rig


@pytest.mark.parametrize("part", PARTS)
def test_what_is_driven_is_read(part):
    assert sweep(part) == []


@pytest.mark.parametrize("part", PARTS)
def test_quantities_are_swept_in_both_directions_from_their_limits(part):
    for low, high, tolerance in module(part, "emulator").EMULATOR.RANGES.values():
        assert low < high
        assert 0 < tolerance < (high - low) / 1000


@pytest.mark.parametrize("part", PARTS)
def test_a_reading_costs_one_transaction(part):
    rig = started(part)
    for quantity in rig.emulator.RANGES:
        rig.settle()
        before = rig.bus.transfers
        read(rig.driver, quantity)
        assert rig.bus.transfers - before == TRANSFERS.get(part, 1)


@pytest.mark.parametrize("part", PARTS)
def test_the_constructor_leaves_the_bus_alone(part):
    assert Rig(part).bus.transfers == 0


@pytest.mark.parametrize("part", IDENTITY)
def test_a_foreign_chip_is_named_with_what_came(part):
    address, label, expected = IDENTITY[part]
    clock = Clock()
    bus = make_bus(part, Faulty(make_emulator(part), {address: b"\x22\x22"}), clock)
    with pytest.raises(DriverError) as caught:
        make_driver(part, bus, clock.sleep_us).start()
    error = caught.value
    assert error.part == part
    assert error.register == label
    assert error.bus == PLACES[bus_kind(part)]
    assert error.what.startswith(f"{expected}, got 0x"), error.what
    assert "22" in error.what.split("got ")[1][:6]
    assert str(error) == f"{part}: register {label} on {error.bus}: {error.what}"


def test_a_chip_that_does_not_keep_the_configuration_is_no_ads1115():
    clock = Clock()
    bus = make_bus("ads1115", Faulty(make_emulator("ads1115"), {0x01: b"\x00\x00"}), clock)
    with pytest.raises(DriverError, match="keeps other bits"):
        make_driver("ads1115", bus, clock.sleep_us).start()


@pytest.mark.parametrize("found", [b"\x00", b"\xff", b"\x40"])
def test_a_chip_that_does_not_keep_the_configuration_is_no_tmp105(found):
    clock = Clock()
    bus = make_bus("tmp105", Faulty(make_emulator("tmp105"), {0x01: found}), clock)
    with pytest.raises(DriverError, match="keeps other bits"):
        make_driver("tmp105", bus, clock.sleep_us).start()


@pytest.mark.parametrize("number", [19, 110, 5])
@pytest.mark.parametrize("part", PARTS)
def test_a_bus_error_becomes_a_driver_error(part, number):
    words = {19: "no acknowledge", 110: "bus timeout", 5: "bus error 5"}
    place = PLACES[bus_kind(part)].partition(" ")[2]
    said = f"bus error {number}" if bus_kind(part) == "rs485" else words[number]
    driver = make_driver(part, DeafBus(number), lambda _us: None)
    with pytest.raises(DriverError, match=f"on deaf ?{place}: {said}"):
        driver.start()


@pytest.mark.parametrize("part", PARTS)
def test_a_chip_that_falls_silent_is_reported_by_the_reading(part):
    rig = started(part)
    quantity = next(iter(rig.emulator.RANGES))
    rig.driver._port._bus = DeafBus(19)
    with pytest.raises(DriverError, match=r"no acknowledge|bus error 19"):
        read(rig.driver, quantity)


@pytest.mark.parametrize("part", SPI_COMMANDS)
@pytest.mark.parametrize("line", [b"\x00", b"\xff"])
def test_a_chip_that_leaves_spi_is_noticed_by_every_reading(part, line):
    class Empty:
        def exchange(self, data, _now_us):
            return line * len(data)

    rig = started(part)
    quantities = list(rig.emulator.RANGES)
    rig.bus._device = Empty()
    for quantity in quantities:
        with pytest.raises(DriverError, match=f"expected 0x.*, got 0x{line.hex().upper()}"):
            read(rig.driver, quantity)
    with pytest.raises(DriverError, match=f"got 0x{line.hex().upper()}"):
        make_driver(part, rig.bus, rig.clock.sleep_us).start()


@pytest.mark.parametrize("part", sorted(set(PARTS) - TIMED))
def test_a_chip_that_is_never_ready_ends_the_wait(part, monkeypatch):
    # The ADS1115 converts on request only, so it is the reading that waits.
    monkeypatch.setattr(module("ads1115", "emulator"), "_WAKE_UP_US", 10**9)
    rig = Rig(part)
    sleeps = []
    driver = make_driver(part, rig.bus, sleeps.append)  # Only transfers take time.

    def begin():
        driver.start()
        read(driver, next(iter(rig.emulator.RANGES)))

    with pytest.raises(DriverError, match=r"not ready after|still converting after|no ackn"):
        begin()
    assert 0 < len(sleeps) <= 24
    assert rig.bus.transfers <= 48


@pytest.mark.parametrize("part", with_registers())
def test_an_undeclared_register_is_refused(part):
    rig = Rig(part)
    with pytest.raises(EmulatorError, match=f"{part} emulator: register 0x66 is not declared"):
        rig.read_raw(0x66, 1)
    with pytest.raises(EmulatorError, match="0x66 is not declared"):
        rig.write_raw(0x66, b"\x00")


@pytest.mark.parametrize("part", with_registers())
def test_a_read_only_register_refuses_a_write(part):
    rig = Rig(part)
    width = module(part, "registers").MAP.at(READ_ONLY[part]).width_bytes
    with pytest.raises(EmulatorError, match="which is read-only"):
        rig.write_raw(READ_ONLY[part], bytes(width))


@pytest.mark.parametrize("part", READ_ONLY_BITS)
def test_read_only_bits_refuse_a_write(part):
    address, data = READ_ONLY_BITS[part]
    rig = Rig(part)
    with pytest.raises(EmulatorError, match="read-only or reserved bits"):
        rig.write_raw(address, data)


@pytest.mark.parametrize("part", with_registers())
def test_a_write_of_the_wrong_length_is_refused(part):
    rig = Rig(part)
    with pytest.raises(EmulatorError, match="3 bytes written to"):
        rig.write_raw(CONFIGURATION[part], b"\x00\x00\x00")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("beyond", ["high", "low", "nan"])
def test_a_value_out_of_range_is_refused_with_the_limits(part, beyond):
    rig = started(part)
    for quantity, (low, high, tolerance) in dict(rig.emulator.RANGES).items():
        value = {"high": high + 2 * tolerance, "low": low - 2 * tolerance, "nan": math.nan}[beyond]
        rig.emulator.drive(quantity, value)
        rig.settle()
        with pytest.raises(EmulatorError) as caught:
            read(rig.driver, quantity)
        assert f"{quantity} = {value}" in str(caught.value)
        assert f"outside {low} .. {high}" in str(caught.value)
        with pytest.raises(EmulatorError):
            read(rig.driver, quantity)
        rig.emulator.drive(quantity, max(low, 0.0))


@pytest.mark.parametrize("part", PARTS)
def test_an_unknown_quantity_is_refused_with_the_known_ones(part):
    rig = Rig(part)
    with pytest.raises(EmulatorError, match="no quantity 'humour_percent', drive one of"):
        rig.emulator.drive("humour_percent", 1.0)


@pytest.mark.parametrize("part", PARTS)
def test_a_source_is_asked_for_the_end_of_a_conversion_that_has_ended(part):
    rig = started(part)
    asked = []

    def source(now_us):
        asked.append(now_us)
        return max(lowest, 0.0)

    for quantity, (lowest, _, _) in rig.emulator.RANGES.items():
        rig.emulator.drive(quantity, source)
        rig.settle()
        asked.clear()
        before_us = rig.clock.now_us
        read(rig.driver, quantity)
        assert len(asked) == 1
        assert before_us - 400_000 < asked[0] <= rig.clock.now_us
        rig.emulator.drive(quantity, max(lowest, 0.0))
