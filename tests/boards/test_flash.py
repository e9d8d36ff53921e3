"""Flashing without hardware: the real esptool and our UART loader against loaders on ptys.

No board was at hand.  The ESP32 and the STM32 here answer as Espressif's and ST's documents say;
dfu-util and pyOCD are programs that keep what they are given, so only our arguments are tested.
"""

import random
from pathlib import Path

import pytest
import serial

from boards import flash_tools
from boards.catalog import load_board
from boards.errors import FlashError, ImageError, MissingToolError, PortError
from boards.flash import Reach, choose_method, find_image, flash_board, flash_interpreter
from boards.flash_image import Piece
from tests.boards.fake_esp32_loader import FakeEsp32Loader
from tests.boards.fake_stm32_loader import FLASH_START, FakeStm32Loader

ESP32 = load_board("esp32_devkit")
S3 = load_board("esp32_s3_devkitc")
NUCLEO = load_board("nucleo_f446re")
PYBOARD = load_board("pybv11")
SIZE = 120_000


def ignore(step: str, done: int, total: int) -> None:
    """A bar that nobody sees."""


def image_for(chip_id: int, folder: Path) -> Path:
    """An ESP image: a header that names the chip, then noise, which does not compress."""
    header = bytes([0xE9, 1, 2, 0x20]) + bytes(8) + chip_id.to_bytes(2, "little")
    path = folder / f"image-{chip_id}.bin"
    path.write_bytes(header + random.Random(chip_id).randbytes(SIZE))
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("board", "chip", "chip_id"), [(ESP32, "esp32", 0), (S3, "esp32s3", 9)], ids=["esp32", "s3"]
)
def test_esptool_erases_writes_and_verifies(board, chip, chip_id, tmp_path: Path) -> None:
    image = image_for(chip_id, tmp_path)
    seen: list[tuple[str, int, int]] = []
    with FakeEsp32Loader(chip) as device:
        digest = flash_interpreter(
            *(board, image, "esptool", Reach(port=device.port)),
            lambda *report: seen.append(report),
        )
        offset = board.flash.offset
        assert device.flash[offset : offset + SIZE] == image.read_bytes()[:SIZE]
        assert set(device.flash[0x200000:]) == {0xFF}
    assert len(digest) == 64
    assert seen[-1] == ("esptool", 100, 100)
    assert len(seen) > 4


@pytest.mark.slow
def test_the_wrong_chip_is_left_as_it_was(tmp_path: Path) -> None:
    with FakeEsp32Loader("esp32s3") as device:
        with pytest.raises(FlashError, match=r"This chip is ESP32-S3, not ESP32.*name the right"):
            flash_interpreter(
                ESP32, image_for(0, tmp_path), "esptool", Reach(port=device.port), ignore
            )
        assert set(device.flash) == {0}


@pytest.mark.slow
def test_a_byte_that_does_not_stick_is_found(tmp_path: Path) -> None:
    with (
        FakeEsp32Loader("esp32", damaged=0x5000) as device,
        pytest.raises(FlashError, match=r"MD5 of file does not match.*flash it again"),
    ):
        flash_interpreter(ESP32, image_for(0, tmp_path), "esptool", Reach(port=device.port), ignore)


@pytest.mark.slow
def test_a_cable_pulled_half_way_and_then_a_second_try(tmp_path: Path) -> None:
    image = image_for(0, tmp_path)
    with (
        FakeEsp32Loader("esp32", cut_after_bytes=SIZE // 2) as device,
        pytest.raises(PortError, match="went away: plug the cable in and run the same"),
    ):
        flash_interpreter(ESP32, image, "esptool", Reach(port=device.port), ignore)
    with FakeEsp32Loader("esp32") as device:
        flash_interpreter(ESP32, image, "esptool", Reach(port=device.port), ignore)
        assert device.flash[0x1000 : 0x1000 + SIZE] == image.read_bytes()[:SIZE]


@pytest.mark.slow
def test_a_port_where_nothing_answers(tmp_path: Path) -> None:
    with (
        FakeEsp32Loader("esp32", is_mute=True) as device,
        pytest.raises(FlashError, match=r"Failed to connect: hold BOOT"),
    ):
        flash_interpreter(ESP32, image_for(0, tmp_path), "esptool", Reach(port=device.port), ignore)


@pytest.mark.parametrize(("board", "method"), [(ESP32, "esptool"), (NUCLEO, "an3155")])
def test_a_port_that_is_busy_or_not_there(board, method, tmp_path: Path) -> None:
    image = image_for(0, tmp_path)
    with (
        FakeStm32Loader() as device,
        serial.Serial(device.port, exclusive=True),
        pytest.raises(PortError, match="is busy: close the program"),
    ):
        flash_interpreter(board, image, method, Reach(port=device.port), ignore)
    with pytest.raises(PortError, match="is not there: `twinrig board scan`"):
        flash_interpreter(board, image, method, Reach(port="/dev/ttyNONE"), ignore)


def test_an_stm32_over_its_uart_loader(tmp_path: Path, monkeypatch) -> None:
    _without_parity(monkeypatch)
    image = tmp_path / "firmware.bin"
    image.write_bytes(b"vectors and text" * 99)
    with FakeStm32Loader() as device:
        done = flash_board(NUCLEO, image, "an3155", Reach(port=device.port), None, ignore)
        assert device.flash[: len(image.read_bytes())] == image.read_bytes()
        assert done.identity is None
    with (
        FakeStm32Loader(cut_after_writes=2) as device,
        pytest.raises((PortError, FlashError), match=r"went away|no answer"),
    ):
        flash_interpreter(NUCLEO, image, "an3155", Reach(port=device.port), ignore)


def _without_parity(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pseudo-terminal has no parity bit: see that one is asked for, and do without."""
    original = serial.Serial

    def opened(port: str, baud: int, *, parity: str, **options: object) -> serial.Serial:
        assert parity == serial.PARITY_EVEN
        return original(port, baud, **options)

    monkeypatch.setattr(flash_tools.serial, "Serial", opened)


def test_an_adapter_without_parity_is_named(tmp_path: Path) -> None:
    image = tmp_path / "firmware.bin"
    image.write_bytes(b"text")
    with FakeStm32Loader() as device, pytest.raises(PortError, match="even parity"):
        flash_interpreter(NUCLEO, image, "an3155", Reach(port=device.port), ignore)


def test_an_image_that_is_too_large_or_not_there(tmp_path: Path, monkeypatch) -> None:
    image = tmp_path / "firmware.bin"
    image.write_bytes(bytes(NUCLEO.flash_bytes + 1))
    with pytest.raises(ImageError, match="524289 bytes do not fit into 524288"):
        flash_interpreter(NUCLEO, image, "an3155", Reach(port="/dev/null"), ignore)
    monkeypatch.setenv("TWINRIG_CACHE", str(tmp_path))
    with pytest.raises(ImageError, match=r"download ESP32_GENERIC-.*\.bin from https://micro"):
        find_image(ESP32, None)
    assert find_image(ESP32, image) == image
    stock = tmp_path / "interpreters" / ESP32.flash.image
    stock.parent.mkdir()
    stock.touch()
    assert find_image(ESP32, None) == stock


def test_the_method_follows_from_how_the_board_is_reached() -> None:
    assert choose_method(NUCLEO, None, Reach(probe="066A")) == "pyocd"
    assert choose_method(NUCLEO, None, Reach(port="/dev/ttyACM0")) == "an3155"
    assert choose_method(PYBOARD, None, Reach(probe="3362", port="/dev/ttyACM0")) == "dfu"
    assert choose_method(NUCLEO, "dfu", Reach(probe="066A")) == "dfu"
    with pytest.raises(FlashError, match="flashed by esptool, not by pyocd"):
        choose_method(ESP32, "pyocd", Reach(probe="1"))
    with pytest.raises(
        FlashError, match=r"f446re: say where it is with --probe ID \(pyocd, dfu\) or with --port"
    ):
        choose_method(NUCLEO, None, Reach())
    with pytest.raises(FlashError, match=r"say where it is with --port PORT \(esptool\); for the"):
        choose_method(ESP32, None, Reach(probe="1"))
    with pytest.raises(FlashError, match="is emulated"):
        choose_method(load_board("host"), None, Reach(port="/dev/ttyACM0"))


FAKE_TOOL = """#!/usr/bin/env python3
import json, sys
from pathlib import Path
here = Path(sys.argv[0]).parent
words = sys.argv[1:]
with (here / "log").open("a") as log:
    log.write(json.dumps(words) + "\\n")
print("Download [====] 50%")
def number(text):
    return int(text, 0)
flash = here / "flash.bin"
if not flash.exists():
    flash.write_bytes(bytes(0x30000))
content = bytearray(flash.read_bytes())
def put(address, data):
    start = address - 0x08000000
    content[start : start + len(data)] = data
def get(address, size):
    start = address - 0x08000000
    return bytes(content[start : start + size])
if "--download" in words:
    where = words[words.index("--dfuse-address") + 1].split(":")
    put(number(where[0]), Path(words[-1]).read_bytes())
elif "--upload" in words:
    where = words[words.index("--dfuse-address") + 1].split(":")
    Path(words[-1]).write_bytes(get(number(where[0]), number(where[1])))
elif words[0] == "load":
    for word in words:
        if "@" in word:
            path, address = word.split("@")
            put(number(address), Path(path).read_bytes())
elif words[0] == "commander":
    _, address, size, path = words[-1].split()
    Path(path).write_bytes(get(number(address), number(size)))
if (here / "damage").exists():
    content[7] |= 0x80
flash.write_bytes(content)
if (here / "fail").exists():
    print((here / "fail").read_text())
    sys.exit(74)
"""
PIECES = (Piece(FLASH_START, b"vectors" * 9), Piece(FLASH_START + 0x20000, b"text" * 50))


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with stand-ins for dfu-util and pyocd that share one chip."""
    for name in ("dfu-util", "pyocd"):
        path = tmp_path / name
        path.write_text(FAKE_TOOL)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


@pytest.mark.slow
def test_dfu_util_erases_once_and_everything_is_read_back(tools: Path) -> None:
    flash_tools.dfu_util(PIECES, "3362", ignore)
    log = (tools / "log").read_text()
    assert log.count("mass-erase:force") == 1
    assert log.splitlines()[0].startswith('["--alt", "0", "--device", "0483:df11", "--serial", "33')
    assert '"0x8020000:200:leave", "--upload"' in log.splitlines()[-1]


@pytest.mark.slow
def test_pyocd_goes_to_the_probe_that_was_named(tools: Path) -> None:
    flash_tools.pyocd(NUCLEO, PIECES, "066A", ignore)
    lines = (tools / "log").read_text().splitlines()
    assert all('"--probe", "066A", "--target", "stm32f446retx"' in line for line in lines)
    assert '"--erase", "chip"' in lines[0]
    assert lines[-1].startswith('["reset"')


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["dfu", "pyocd"])
def test_what_reads_back_otherwise_is_named(tools: Path, tool: str) -> None:
    (tools / "damage").touch()
    board = NUCLEO if tool == "pyocd" else PYBOARD
    image = tools / "image.bin"
    image.write_bytes(PIECES[0].content)
    with pytest.raises(FlashError, match="0x08000007 holds something else"):
        flash_interpreter(board, image, tool, Reach(probe="066A"), ignore)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("dfu-util: No DFU capable USB device available", "BOOT0 to 3.3 V"),
        ("Error: claim interface", "ended with status 74: Error: claim interface"),
    ],
)
def test_what_a_tool_says_is_passed_on(tools: Path, said: str, message: str) -> None:
    (tools / "fail").write_text(said)
    with pytest.raises(FlashError, match=message):
        flash_tools.dfu_util(PIECES, "3362", ignore)


def test_a_tool_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="the Debian package dfu-util"):
        flash_tools.dfu_util(PIECES, "3362", ignore)
    with pytest.raises(MissingToolError, match="the PyPI package pyocd"):
        flash_tools.pyocd(NUCLEO, PIECES, "066A", ignore)


def test_a_tool_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash_tools, "_TIMEOUT_S", 0.1)
    with pytest.raises(FlashError, match=r"cat: not done within 0\.1 s"):
        flash_tools.run_tool(["cat", "/dev/zero"], "board", ignore)
