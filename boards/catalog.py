"""The boards we know: one folder with a `board.toml` each.

Promises: `load_board(name)` returns a frozen `Board` or raises with the path, the key and the
remedy.  Leaves to `build.py` how the firmware is made and to `emulate.py` how it is started.
"""

import difflib
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from boards.errors import BoardFileError, UnknownBoardError

BOARDS_DIR = Path(__file__).resolve().parent


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Firmware(_Frozen):
    """How MicroPython is built for a board: its port, make options, and the file that results."""

    port: Literal["qemu", "unix"]
    options: dict[str, str]
    product: str


class Emulator(_Frozen):
    """How the board is started: a QEMU machine, or the product itself as a process."""

    program: str | None = None
    machine: str | None = None
    icount_shift: int | None = None
    heap_bytes: int | None = None


class Bus(_Frozen):
    """One bus of the board with its nominal speed (Hz for I2C, baud for a UART)."""

    name: str
    kind: Literal["i2c", "spi", "uart"]
    number: int
    frequency_hz: int | None = None
    baud: int | None = None


class Board(_Frozen):
    """A board as its folder describes it; sizes in bytes."""

    name: str
    title: str
    mcu: str
    architecture: str
    ram_bytes: int
    flash_bytes: int
    simulation: Literal["qemu", "process"]
    features: tuple[str, ...]
    firmware: Firmware
    emulator: Emulator
    buses: tuple[Bus, ...]

    @property
    def directory(self) -> Path:
        """The board's folder, with its `hal.py`."""
        return BOARDS_DIR / self.name

    def bus(self, kind: str, number: int) -> Bus:
        """The bus of that kind and number; BoardFileError when the board has none."""
        for bus in self.buses:
            if bus.kind == kind and bus.number == number:
                return bus
        raise BoardFileError(
            f"{self.directory / 'board.toml'}: no {kind} bus {number}; add a [[buses]] table for it"
        )


def board_names() -> list[str]:
    """Every folder of boards/ that holds a board.toml, sorted."""
    return sorted(path.parent.name for path in BOARDS_DIR.glob("*/board.toml"))


def load_board(name: str) -> Board:
    """Read one board.

    Raises UnknownBoardError when there is no such folder, BoardFileError when its file is wrong.
    """
    names = board_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownBoardError(f"no board {name!r}: {hint}known boards are {', '.join(names)}")
    path = BOARDS_DIR / name / "board.toml"
    try:
        board = Board.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise BoardFileError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        lines = (
            f"  {'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors()
        )
        raise BoardFileError(f"{path}:\n" + "\n".join(lines)) from error
    if board.name != name:
        raise BoardFileError(
            f"{path}: name is {board.name!r}, the folder is {name!r}; make them equal"
        )
    return board
