"""An ESP32 on Espressif's QEMU, where somebody has brought both the emulator and an image."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from boards.build import build
from boards.catalog import load_board
from boards.emulate import execute, start
from boards.errors import MissingToolError

BOARD = load_board("qemu_esp32")
BOOT_TIMEOUT_S = 60.0


def why_not() -> str | None:
    """What is missing here; None when the board can run."""
    program = str(BOARD.emulator.program if BOARD.emulator else None)
    if shutil.which(program) is None:
        return f"no {program} on PATH; the machine esp32 is in Espressif's fork of QEMU"
    machines = subprocess.run(
        [program, "-machine", "help"], capture_output=True, text=True, check=False, timeout=30
    )
    if not any(line.startswith("esp32 ") for line in machines.stdout.splitlines()):
        return f"{program} has no machine esp32: it is not Espressif's fork of QEMU"
    if not os.environ.get("TWINRIG_ESP32_IMAGE"):
        return "TWINRIG_ESP32_IMAGE names no image of MicroPython for the ESP32"
    return None


@pytest.fixture
def image() -> Path:
    """The image, or a skip that says what is missing."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    return build(BOARD)


def test_the_console_answers(image: Path, tmp_path: Path) -> None:
    code = "import sys; print(sys.platform)"
    assert execute(BOARD, image, tmp_path, code, timeout_s=BOOT_TIMEOUT_S).strip() == "esp32"


def test_the_link_carries_bytes_both_ways(image: Path, tmp_path: Path) -> None:
    code = "import machine; u = machine.UART(1, 115200, tx=17, rx=16); u.write(b'up')"
    emulated = start(BOARD, image, tmp_path, code=code, files={}, timeout_s=BOOT_TIMEOUT_S)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(BOOT_TIMEOUT_S)
            link.connect(str(tmp_path / "uart1.sock"))
            emulated.type_bytes(b"u.write(b'up')\r")
            assert link.recv(2) == b"up"
            link.sendall(b"down")
            emulated.type_bytes(b"while u.any() < 4: pass\r\rprint(u.read(4))\r")
            emulated.wait_for(b"b'down'", BOOT_TIMEOUT_S)
    finally:
        emulated.close()


def test_an_image_that_is_not_named_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TWINRIG_ESP32_IMAGE", raising=False)
    with pytest.raises(MissingToolError, match="name it in TWINRIG_ESP32_IMAGE"):
        build(BOARD)
    monkeypatch.setenv("TWINRIG_ESP32_IMAGE", str(tmp_path / "gone.bin"))
    with pytest.raises(MissingToolError, match=r"gone\.bin: no such file"):
        build(BOARD)


def test_an_image_that_is_named_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flash.bin").write_bytes(b"image")
    monkeypatch.setenv("TWINRIG_ESP32_IMAGE", str(tmp_path / "flash.bin"))
    assert build(BOARD) == tmp_path / "flash.bin"
