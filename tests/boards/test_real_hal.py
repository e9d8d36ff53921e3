"""The hals of real boards on a stand-in for `machine`: MicroPython and CPython run them alike.

No board was at hand.  What this shows: each hal asks `machine` for what its board.toml says, with
the documented signatures, and clock, lines, chip selects and files do what the contract says.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from boards.build import Contents, build
from boards.catalog import BOARDS_DIR, Board, board_names, load_board

REAL = [name for name in board_names() if load_board(name).simulation == "none"]
FUNCTIONS = (
    *("start", "stop", "ticks_us", "cycles_ns", "sleep_until_us", "sleep_us", "i2c", "spi"),
    *("uart", "rs485", "pin", "watchdog", "reset", "reset_cause", "unique_id", "identity", "log"),
    *("read_file", "read_file_at", "write_file", "append_file", "remove_file", "rename_file"),
    *("file_size", "make_folder"),
)
PROMPT = Contents(name="prompt", globs=())


@pytest.fixture(scope="module", params=["micropython", "cpython"])
def interpreter(request: pytest.FixtureRequest) -> str:
    """The program that runs the hal."""
    if request.param == "cpython":
        return sys.executable
    return str(build(load_board("host"), PROMPT))


@pytest.fixture(params=REAL)
def board(request: pytest.FixtureRequest) -> Board:
    return load_board(request.param)


def run(interpreter: str, board: Board, folder: Path, code: str) -> Any:
    """What `code` prints as JSON, in a folder with exactly the files that the board gets."""
    for module in board.hal_modules:
        shutil.copy(BOARDS_DIR / module, folder)
    shutil.copy(board.directory / "hal.py", folder)
    shutil.copy(Path(__file__).with_name("fake_board.py"), folder)
    program = folder / "program.py"
    program.write_text(
        "import json\nimport fake_board as fake\nfake.install()\nimport hal\n"
        f"CALLS = fake.CALLS\n{code}\n"
    )
    result = subprocess.run(
        [interpreter, str(program)],
        cwd=folder,
        env={"PATH": os.defpath, "MICROPYPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert result.returncode == 0, result.stderr + result.stdout
    return json.loads(result.stdout.splitlines()[-1])


def pin_number(pin: int | str) -> int:
    """`PB6` is 22 by the rule of node_stm32.py; a GPIO's number is itself."""
    return pin if isinstance(pin, int) else (ord(pin[1]) - ord("A")) * 16 + int(pin[2:])


def fake_name(pin: int | str) -> int | str:
    """What the stand-in calls a pin."""
    return pin if isinstance(pin, int) else pin[1:]


def test_it_has_every_function_and_needs_no_module_that_is_not_listed(
    interpreter: str, board: Board, tmp_path: Path
) -> None:
    code = f"print(json.dumps([name for name in {FUNCTIONS} if not callable(getattr(hal, name))]))"
    assert run(interpreter, board, tmp_path, code) == []
    has_wifi = run(interpreter, board, tmp_path, "print(json.dumps(hasattr(hal, 'network')))")
    assert has_wifi == ("wifi" in board.features)


def test_each_bus_is_the_one_of_board_toml(interpreter: str, board: Board, tmp_path: Path) -> None:
    for bus in board.buses:
        code = (
            f"hal.{bus.kind}({bus.number})\nfirst = len(CALLS)\n"
            f"assert hal.{bus.kind}({bus.number}) is hal.{bus.kind}({bus.number})\n"
            "assert len(CALLS) == first\nprint(json.dumps(CALLS))"
        )
        calls = run(interpreter, board, tmp_path, code)
        owns_pins = board.stubs == "esp32"
        if bus.kind == "i2c":
            pins = [bus.pins["scl"], bus.pins["sda"]] if owns_pins else []
            assert ["I2C", bus.controller, bus.frequency_hz, pins] in calls
        elif bus.kind == "spi":
            pins = [bus.pins[name] for name in ("sck", "mosi", "miso")] if owns_pins else []
            assert ["SPI", bus.controller, pins] in calls
            assert calls[-1] == ["level", fake_name(bus.pins["select"]), 1]
        else:
            pins = [bus.pins["tx"], bus.pins["rx"]] if owns_pins else []
            assert ["UART", bus.controller, bus.baud, pins] in calls
            if bus.kind == "rs485":
                assert calls[-1] == ["level", fake_name(bus.pins["driver_enable"]), 0]


def test_a_bus_that_is_not_there_is_named(interpreter: str, board: Board, tmp_path: Path) -> None:
    code = """
try:
    hal.i2c(7)
except ValueError as error:
    print(json.dumps(str(error)))
"""
    assert run(interpreter, board, tmp_path, code) == "no i2c 7 on this board, only [0, 1]"


def test_no_two_signals_share_a_pin(board: Board) -> None:
    used: dict[int, str] = {}
    for bus in board.buses:
        for signal, pin in bus.pins.items():
            shared = bus.kind == "spi" and signal != "select"
            name = f"spi {bus.controller} {signal}" if shared else f"{bus.name} {signal}"
            assert used.setdefault(pin_number(pin), name) == name
    for name, pin in board.pins.items():
        assert used.setdefault(pin, name) == name


def test_ticks_do_not_wrap_and_input_ends_a_sleep(
    interpreter: str, board: Board, tmp_path: Path
) -> None:
    code = """
line = hal.uart(0)
hal.start()
seen = [hal.ticks_us()]
seen.append(hal.sleep_until_us(10_000))
seen.append(hal.ticks_us())
seen.append(hal.sleep_until_us(7_200_000_000))
seen.append(hal.ticks_us())
hal.sleep_us(700_000_000)
seen.append(hal.ticks_us())
line.write(b"frame")
seen.append(hal.sleep_until_us(8_000_000_000))
seen.append(hal.ticks_us())
seen.append(hal.sleep_until_us(5))
seen.append(hal.cycles_ns())
print(json.dumps(seen + [max(fake.TIME.polled_ms), max(fake.TIME.slept_us)]))
"""
    hours_us = 7_200_000_000
    last = hours_us + 700_000_000
    *seen, polled_ms, slept_us = run(interpreter, board, tmp_path, code)
    assert seen[:5] == [0, False, 10_000, False, hours_us]
    assert seen[5:8] == [last, True, last]
    assert seen[8:] == [False, last * 1000 % 2**32]
    # Each slice has to be short enough for ticks_diff to know forwards from backwards.
    assert polled_ms * 1000 < 2**29
    assert slept_us < 2**29


def test_a_line_reads_what_is_there_and_says_when_it_cannot_write(
    interpreter: str, board: Board, tmp_path: Path
) -> None:
    code = """
line = hal.uart(0)
seen = [line.read().hex(), line.any()]
line.write(b"abc")
seen += [line.any(), line.read(2).decode(), line.read().decode()]
line._uart.full = True
try:
    line.write(b"abc")
except OSError as error:
    seen.append(error.args[0])
print(json.dumps(seen))
"""
    assert run(interpreter, board, tmp_path, code) == ["", False, True, "ab", "c", 110]


def test_the_transmitter_is_on_while_it_talks_and_off_when_that_fails(
    interpreter: str, board: Board, tmp_path: Path
) -> None:
    code = """
line = hal.rs485(1)
del CALLS[:]
line.write(b"query")
whole = CALLS[:]
del CALLS[:]
line._uart.full = True
try:
    line.write(b"query")
except OSError:
    pass
print(json.dumps([[call[0] + str(call[-1:]) for call in calls] for calls in (whole, CALLS)]))
"""
    whole, failed = run(interpreter, board, tmp_path, code)
    assert [call.split("(")[0] for call in whole] == ["level", "UART.write", "UART.flush", "level"]
    assert whole[0].endswith("(1,)")
    assert whole[-1].endswith("(0,)")
    assert failed == [whole[0], whole[-1]]


def test_a_chip_select_is_low_only_during_its_transfer(
    interpreter: str, board: Board, tmp_path: Path
) -> None:
    code = """
chips = (hal.spi(0), hal.spi(1))
del CALLS[:]
into = bytearray(2)
chips[0].write_readinto(b"ab", into)
first = CALLS[:]
del CALLS[:]
chips[0].write_readinto(b"ab", into)
second = CALLS[:]
del CALLS[:]
try:
    chips[0].write_readinto(b"fail", into)
except OSError:
    pass
names = lambda calls: [call[0] if call[0] != "level" else call[2] for call in calls]
print(json.dumps([into.decode(), names(first), names(second), names(CALLS)]))
"""
    into, first, second, failed = run(interpreter, board, tmp_path, code)
    assert into == "ba"
    assert first == [0, "SPI.init", "SPI.write_readinto", 1]
    assert second == [0, "SPI.write_readinto", 1]
    assert failed == [0, 1]


def test_pins_watchdog_reset_and_identity(interpreter: str, board: Board, tmp_path: Path) -> None:
    pin = next(iter(board.pins.values()))
    code = f"""
hal.pin({pin}, True)
calls = CALLS[:]
dog = hal.watchdog(8000)
dog.feed()
hal.reset()
causes = []
for fake.MACHINE.cause in (1, 3, 5, 99):
    causes.append(hal.reset_cause())
print(json.dumps([calls[-1][1:], CALLS[-3:], causes, hal.unique_id().hex(), hal.identity()]))
"""
    level, calls, causes, unique_id, identity = run(interpreter, board, tmp_path, code)
    assert pin_number(level[0] if isinstance(level[0], int) else "P" + level[0]) == pin
    assert level[1] == 1
    assert calls == [["WDT", 8000], ["WDT.feed"], ["reset"]]
    assert causes == ["power_on", "watchdog", "soft", "unknown"]
    assert unique_id == "010203040506"
    assert "python " in identity


def test_files(interpreter: str, board: Board, tmp_path: Path) -> None:
    code = """
def refused(call):
    try:
        call()
    except OSError as error:
        return error.args[0]
hal.make_folder("b")
hal.make_folder("b")
hal.append_file("b/log", b"0123")
hal.append_file("b/log", b"456")
into = bytearray(4)
seen = [hal.file_size("b/log"), hal.read_file_at("b/log", 5, into), into[:2].decode()]
seen += [hal.read_file_at("b/log", 7, into), hal.file_size("b/none")]
hal.write_file("new", b"new")
hal.rename_file("new", "b/log")
seen += [hal.read_file("b/log").decode(), hal.file_size("new")]
hal.remove_file("b/log")
hal.remove_file("b/log")
seen += [refused(lambda: hal.read_file("b/log")), refused(lambda: hal.read_file_at("x", 0, into))]
seen.append(refused(lambda: hal.make_folder("no/such")))
print(json.dumps(seen))
"""
    expected = [7, 2, "56", 0, -1, "new", -1, 2, 2, 2]
    assert run(interpreter, board, tmp_path, code) == expected


@pytest.mark.parametrize("name", [n for n in REAL if "wifi" in load_board(n).features])
def test_wifi_joins_or_says_that_it_has_not_yet(
    interpreter: str, name: str, tmp_path: Path
) -> None:
    code = """
hal.write_file("wifi.password", b"secret\\n")
hal.start()
settings = {"ssid": "plant", "password_file": "wifi.password", "timeout_s": 2}
fake.WLAN.JOIN_AFTER = -1
late = []
for _ in range(2):
    start_us = hal.ticks_us()
    try:
        hal.network(settings)
    except OSError as error:
        late.append([error.args[0], (hal.ticks_us() - start_us) // 100000])
fake.WLAN.JOIN_AFTER = 3
hal.network(settings)
print(json.dumps([late, [call for call in CALLS if call[0].startswith("WLAN")]]))
"""
    late, calls = run(interpreter, load_board(name), tmp_path, code)
    assert late == [[110, 20], [110, 20]]
    assert calls == [["WLAN.active", True], ["WLAN.connect", "plant", "secret"]]
