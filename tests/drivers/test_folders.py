"""The shape of drivers/: one folder per part, the same five files in each, readings with units."""

import pytest

from tests.drivers.datasheet import FOLDER
from tests.drivers.parts import PARTS, bus_kind, make_driver, module

FILES = {"__init__.py", "registers.py", "driver.py", "emulator.py", "datasheet.csv"}
UNITS = (
    "_m_s2",
    "_ampere",
    "_volt",
    "_celsius",
    "_pascal",
    "_m3_s",
    "_percent_rh",
    "_tesla",
    "_count",
)
NO_READINGS = {
    "PART",
    "BUS",
    "FIFO_BITS",
    "FIFO_TRIPLES",
    "start",
    "self_test",
    "fifo_start",
    "fifo_read_into",
}


def folders():
    return sorted(path.name for path in FOLDER.iterdir() if (path / "__init__.py").exists())


def test_every_folder_is_a_tested_part():
    assert folders() == sorted(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_a_folder_has_exactly_the_five_files(part):
    assert {path.name for path in (FOLDER / part).iterdir() if path.name != "__pycache__"} == FILES


@pytest.mark.parametrize("part", PARTS)
def test_folder_map_and_driver_bear_the_same_name(part):
    assert module(part, "registers").MAP.part == part
    driver_class = module(part, "driver").DRIVER
    assert part == driver_class.PART


@pytest.mark.parametrize("part", PARTS)
def test_names_of_the_datasheet_are_lower_case(part):
    for register in module(part, "registers").MAP.registers:
        for name in [register.name, *(field.name for field in register.fields)]:
            assert name == name.lower()
            assert name.isidentifier()


@pytest.mark.parametrize("part", PARTS)
def test_public_readings_bear_their_unit(part):
    driver_class = module(part, "driver").DRIVER
    public = {name for name in vars(driver_class) if not name.startswith("_")}
    readings = public - NO_READINGS
    assert readings
    assert [name for name in readings if not name.endswith(UNITS)] == []


@pytest.mark.parametrize("part", PARTS)
def test_a_driver_names_its_bus(part):
    assert bus_kind(part) in ("i2c", "spi", "rs485")


@pytest.mark.parametrize("part", PARTS)
def test_fast_chips_offer_the_whole_fifo(part):
    driver_class = module(part, "driver").DRIVER
    driver = make_driver(part, None, None)
    names = ("fifo_start", "fifo_read_into", "fifo_lsb_m_s2", "fifo_overruns")
    offered = [name for name in names if hasattr(driver, name)]
    assert offered == (list(names) if hasattr(driver_class, "fifo_start") else [])


@pytest.mark.parametrize("part", PARTS)
def test_every_quantity_of_the_emulator_is_a_reading_of_the_driver(part):
    driver_class = module(part, "driver").DRIVER
    for quantity in module(part, "emulator").EMULATOR.RANGES:
        assert hasattr(driver_class, quantity) or hasattr(driver_class, quantity.rsplit("_", 1)[0])


@pytest.mark.parametrize("part", PARTS)
def test_a_driver_never_imports_an_emulator(part):
    for name in ("driver", "registers"):
        source = (FOLDER / part / f"{name}.py").read_text(encoding="utf-8")
        imports = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
        assert imports
        assert not [line for line in imports if "emulat" in line or "drivers.bus" in line]
