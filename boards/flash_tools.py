"""The programs that write an interpreter: esptool, dfu-util, pyOCD and our own UART loader client.

Promises: each function erases the chip, writes the pieces, reads back or hashes what the chip holds
and starts it, or raises FlashError or PortError with what to do.  Programs run as argument lists in
a folder of their own, with a deadline, and end when we do; esptool runs as a program, not as a
module of ours, because its licence is another one (docs/decisions/0014).
"""

import os
import re
import selectors
import shutil
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import serial

from boards import an3155
from boards.catalog import Board, Flash
from boards.deploy_prompt import Progress, port_error
from boards.emulate import END_WITH_US
from boards.errors import FlashError, MissingToolError, PortError
from boards.flash_image import Piece

_TIMEOUT_S: Final = 300.0
_PERCENT: Final = re.compile(r"(\d{1,3})(?:\.\d+)?\s*%")
_DFU_ID: Final = "0483:df11"
# What a tool says -> what it means and what to do about it.
_MEANINGS: Final = (
    (r"This chip is .*, not \S+", "nothing was changed; name the right board"),
    (r"MD5 of file does not match", "the chip holds something else than was sent; flash it again"),
    (r"Failed to connect", "hold BOOT while you press reset, and check the port"),
    (r"No DFU capable USB device", "connect BOOT0 to 3.3 V and press reset"),
    (r"No connected debug probes|No available debug probes", "plug the probe in"),
)
_GONE: Final = re.compile(r"serial exception|could not open port|disconnected", re.IGNORECASE)


def esptool(board: Board, image: Path, port: str, progress: Progress) -> None:
    """Erase, write and verify (MD5 by the chip) over the ROM loader of an ESP32."""
    flash = flash_table(board)
    if find_spec("esptool") is None:
        raise MissingToolError("esptool is not installed: pip install 'twinrig[board]'")
    check_port(port)
    run_tool(
        [
            *(sys.executable, "-m", "esptool", "--chip", flash.chip, "--port", port),
            *("--baud", str(flash.baud), "write-flash", "--erase-all", hex(flash.offset)),
            str(image.resolve()),
        ],
        f"{board.name} on {port}",
        progress,
    )


def uart_loader(board: Board, pieces: Sequence[Piece], port: str, progress: Progress) -> None:
    """Erase, write and verify over the UART loader of an STM32 (AN3155)."""
    flash = flash_table(board)
    try:
        line = serial.Serial(
            port, flash.baud, parity=serial.PARITY_EVEN, timeout=1, write_timeout=5, exclusive=True
        )
    except OSError as error:
        raise port_error(port, error) from error
    try:
        with line:
            an3155.flash(line, pieces, flash.chip_id, progress)
    except termios.error as error:
        # Some drivers take the parity bit at first and refuse it at the next setting.
        raise PortError(
            f"{port} cannot do 8 bits with even parity, which the loader speaks:"
            " use another USB adapter"
        ) from error
    except OSError as error:
        # A SerialException is one, and so is what a port says whose cable was pulled.
        raise _went_away(f"{board.name} on {port}") from error


def dfu_util(pieces: Sequence[Piece], serial_number: str, progress: Progress) -> None:
    """Erase, write and read back over the USB loader of an STM32 (ST AN3156)."""
    _need("dfu-util", "the Debian package dfu-util")
    device = ["dfu-util", "--alt", "0", "--device", _DFU_ID, "--serial", serial_number]
    with tempfile.TemporaryDirectory(prefix="twinrig-") as name:
        for index, piece in enumerate(pieces):
            path = Path(name) / f"{index}.bin"
            path.write_bytes(piece.content)
            # The first one erases the whole chip.
            where = f"{piece.address:#x}" + ("" if index else ":mass-erase:force")
            run_tool([*device, "--dfuse-address", where, "--download", str(path)], "dfu", progress)
        for index, piece in enumerate(pieces):
            path = Path(name) / f"{index}.back"
            leave = ":leave" if index == len(pieces) - 1 else ""
            where = f"{piece.address:#x}:{len(piece.content)}{leave}"
            run_tool([*device, "--dfuse-address", where, "--upload", str(path)], "dfu", progress)
            _compare(piece, path)


def pyocd(board: Board, pieces: Sequence[Piece], probe: str, progress: Progress) -> None:
    """Erase, write and read back over a debug probe such as the ST-LINK of a Nucleo."""
    _need("pyocd", "the PyPI package pyocd")
    with tempfile.TemporaryDirectory(prefix="twinrig-") as name:
        options = ["--probe", probe, "--target", flash_table(board).chip]
        words = []
        for index, piece in enumerate(pieces):
            path = Path(name) / f"{index}.bin"
            path.write_bytes(piece.content)
            words.append(f"{path}@{piece.address:#x}")
        run_tool(["pyocd", "load", *options, "--erase", "chip", *words], "pyocd", progress)
        for index, piece in enumerate(pieces):
            path = Path(name) / f"{index}.back"
            command = f"savemem {piece.address:#x} {len(piece.content)} {path}"
            run_tool(["pyocd", "commander", *options, "--command", command], "pyocd", progress)
            _compare(piece, path)
        run_tool(["pyocd", "reset", *options], "pyocd", progress)


def flash_table(board: Board) -> Flash:
    """The [flash] table; FlashError for an emulated board."""
    if board.flash is None:
        raise FlashError(f"{board.name} is emulated, nothing is flashed: `twinrig board emulate`")
    return board.flash


def check_port(port: str) -> None:
    """Raise PortError when the port is not there, busy or not ours to use."""
    try:
        serial.Serial(port, exclusive=True).close()
    except serial.SerialException as error:
        raise port_error(port, error) from error


def run_tool(command: Sequence[str], what: str, progress: Progress) -> None:
    """Run a program to its end and report the percentages that it prints."""
    tool = command[2] if command[0] == sys.executable else command[0]
    environment = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    with (
        tempfile.TemporaryDirectory(prefix="twinrig-") as folder,
        subprocess.Popen(
            [*END_WITH_US, *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**environment, "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1"},
        ) as process,
    ):
        try:
            output = _listen(process, tool, progress)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise _meaning(tool, what, output, process.returncode)


def _listen(process: "subprocess.Popen[bytes]", tool: str, progress: Progress) -> str:
    """The whole output; FlashError at the deadline."""
    output = ""
    deadline_s = time.monotonic() + _TIMEOUT_S
    assert process.stdout is not None  # noqa: S101  Popen was given PIPE
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline_s - time.monotonic())):
            data = os.read(process.stdout.fileno(), 4096)
            if not data:
                return output
            output += data.decode(errors="replace")
            found = _PERCENT.findall(output[-400:])
            if found:
                progress(tool, int(found[-1]), 100)
    raise FlashError(f"{tool}: not done within {_TIMEOUT_S:g} s; unplug the board and try again")


def _meaning(tool: str, what: str, output: str, status: int) -> FlashError | PortError:
    lines = [line.strip() for line in re.split(r"[\r\n]+", output) if line.strip()]
    for pattern, remedy in _MEANINGS:
        for line in lines:
            found = re.search(pattern, line)
            if found:
                return FlashError(f"{what}: {tool}: {found[0]}: {remedy}")
    if any(_GONE.search(line) for line in lines):
        return _went_away(what)
    last = next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else "")
    return FlashError(f"{what}: {tool} ended with status {status}: {last}")


def _went_away(what: str) -> PortError:
    return PortError(f"{what} went away: plug the cable in and run the same command again")


def _need(program: str, where: str) -> None:
    if shutil.which(program) is None:
        raise MissingToolError(f"{program} is not installed: it is in {where}")


def _compare(piece: Piece, path: Path) -> None:
    stored = path.read_bytes()[: len(piece.content)]
    if stored != piece.content:
        pairs = enumerate(zip(stored, piece.content, strict=False))
        wrong = next((index for index, (a, b) in pairs if a != b), len(stored))
        raise FlashError(
            f"0x{piece.address + wrong:08x} holds something else than was written:"
            " flash it again; if it stays, the chip's flash is worn out"
        )
