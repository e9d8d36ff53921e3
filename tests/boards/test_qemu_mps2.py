"""Our bus code and our drivers against chips that QEMU models: a second opinion.

What a chip shall measure is set over QMP; what the board reads is held against the value that was
set and against the datasheet's own arithmetic, with none of our emulators in between.
"""

import random
from collections.abc import Iterator

import pytest

from boards.build import build
from boards.catalog import load_board
from boards.emulate import Emulated, start
from boards.errors import QmpError
from boards.qmp import SOCKET, Qmp

PROMPT = b">>> "
TIMEOUT_S = 30.0
TMP105 = "/machine/peripheral/t0"
LSM303DLHC = "/machine/peripheral/m0"
DEVICES = (
    *("-device", "tmp105,bus=i2c,address=0x48,id=t0"),
    *("-device", "lsm303dlhc_mag,bus=i2c,address=0x1e,id=m0"),
)


class Console:
    """The board's prompt and the emulator's control channel."""

    def __init__(self, emulated: Emulated, qmp: Qmp) -> None:
        self._emulated = emulated
        self.qmp = qmp

    def run(self, line: str) -> str:
        """Type one line; what the board printed for it, or its exception."""
        self._emulated.type_bytes(line.encode() + b"\r")
        answer = self._emulated.wait_for(PROMPT, TIMEOUT_S).decode()
        return answer.replace("\r\n", "\n").partition("\n")[2].strip()


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    board = load_board("qemu_mps2")
    folder = tmp_path_factory.mktemp("mps2")
    emulated = start(board, build(board), folder, code="import hal", files={}, arguments=DEVICES)
    try:
        emulated.wait_for(PROMPT, TIMEOUT_S)
        with Qmp.connect(folder / SOCKET) as qmp:
            yield Console(emulated, qmp)
    finally:
        emulated.close()


def test_the_tmp105_driver_reads_what_was_set(console: Console) -> None:
    console.run("from drivers.tmp105.driver import Tmp105")
    console.run("chip = Tmp105(hal.i2c(3), 0x48, lambda duration_us: None)")
    assert console.run("chip.start()") == ""
    values = random.Random(105)
    # SBOS249, table 5: a count is 0.0625 degrees; a multiple of 0.125 is also a whole millikelvin.
    settings = [values.randrange(-55_000, 127_001, 125) for _ in range(46)]
    for milli_celsius in (-55_000, -125, 0, 125_000, *settings):
        console.qmp.set_property(TMP105, "temperature", milli_celsius)
        assert float(console.run("chip.temperature_celsius()")) == milli_celsius / 1000


def test_twelve_bits_round_as_the_register_does(console: Console) -> None:
    console.run("from drivers.tmp105.driver import Tmp105")
    console.run("chip = Tmp105(hal.i2c(3), 0x48, lambda duration_us: None)")
    console.run("chip.start()")
    for milli_celsius in (36_537, 36_562, 36_563, 20_001):
        console.qmp.set_property(TMP105, "temperature", milli_celsius)
        count = milli_celsius * 16 // 1000
        assert float(console.run("chip.temperature_celsius()")) == count / 16


@pytest.mark.parametrize(("bus", "address"), [(3, 0x49), (0, 0x48), (1, 0x48), (2, 0x48)])
def test_an_absent_chip_is_enodev(console: Console, bus: int, address: int) -> None:
    for act in ("readfrom_into(%d, bytearray(1))", "writeto(%d, b'1')", "writeto_mem(%d, 0, b'1')"):
        answer = console.run(f"hal.i2c({bus}).{act % address}")
        assert answer.endswith("OSError: [Errno 19] ENODEV")
    # The bus is free again: another chip answers at once.
    console.run("register = bytearray(2)")
    assert console.run("hal.i2c(3).readfrom_mem_into(0x48, 0, register)") == ""


def test_a_clock_that_is_held_down_is_a_timeout(console: Console) -> None:
    # The GPIO block is not modelled: it reads as zeros, so its "SCL" never rises.
    console.run("import rig_i2c")
    answer = console.run("rig_i2c.HandI2C(0x40010000).writeto(0x48, b'1')")
    assert answer.endswith("OSError: 110")


def test_the_lsm303dlhc_driver_gives_each_axis(console: Console) -> None:
    console.run("from drivers.lsm303dlhc.driver import Lsm303dlhc")
    console.run("magnet = Lsm303dlhc(hal.i2c(3), 0x1e, lambda duration_us: None)")
    assert console.run("magnet.start()") == ""
    values = random.Random(303)
    for _ in range(10):
        # This QEMU takes no negative field; the sign is tmp105's to show.
        nanotesla = [values.randrange(0, 125_001) for _ in range(3)]
        for axis, value in zip("xyz", nanotesla, strict=True):
            console.qmp.set_property(LSM303DLHC, f"mag-{axis}", value)
        line = console.run("'%.9f %.9f %.9f' % tuple(magnet.magnetic_flux_density_tesla())").strip(
            "'"
        )
        # DocID018771, table 75: 1100 counts a gauss in the plane, 980 across it; 1 G is 100 uT.
        for tesla, value, counts_per_gauss in zip(
            line.split(), nanotesla, (1100, 1100, 980), strict=True
        ):
            count_nanotesla = 100_000 / counts_per_gauss
            assert abs(float(tesla) * 1e9 - value) <= count_nanotesla + 2


def test_what_qemu_refuses_comes_in_its_words(console: Console) -> None:
    with pytest.raises(QmpError, match=r"qom-set: GenericError: .*out of range"):
        console.qmp.set_property(TMP105, "temperature", 200_000)
    with pytest.raises(QmpError, match=r"qom-get: .*nothing"):
        console.qmp.get_property(TMP105, "nothing")
    assert console.qmp.get_property(TMP105, "temperature") is not None


def test_time_is_that_of_the_instructions(console: Console) -> None:
    console.run("hal.start_counter()")
    line = "a = hal.cycles_ns(); x = hal.i2c(3); b = hal.cycles_ns(); print((b - a) % 2**32)"
    first = int(console.run(line))
    assert first > 0
    assert first % 40 == 0
