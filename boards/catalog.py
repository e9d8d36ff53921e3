"""The boards we know: one folder with a `board.toml` each.

Promises: `load_board(name)` returns a frozen `Board` or raises with the path, the key and the
remedy.  A board is emulated (it has `firmware` and `emulator`) or real (it has `flash` and
`identity`), never both.  Leaves to `build.py` how firmware is made, to `emulate.py` how it is
started, and to `flash.py` how a real board gets its interpreter.
"""

import difflib
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from boards.errors import BoardFileError, UnknownBoardError

BOARDS_DIR = Path(__file__).resolve().parent


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Firmware(_Frozen):
    """How MicroPython is built for a board: its port, make options, and the file that results.

    `prebuilt`: it is not built here, and `image_variable` names the image.
    """

    port: Literal["qemu", "unix", "prebuilt"]
    compiler: Literal["arm-none-eabi-gcc", "riscv64-unknown-elf-gcc"] | None = None
    """The cross compiler; None: the machine's own."""
    options: dict[str, str] = {}
    product: str = ""
    image_variable: str | None = None
    """The environment variable with the path of an image that is brought along."""


class Emulator(_Frozen):
    """How the board is started: a QEMU machine, or the product itself as a process."""

    program: str | None = None
    machine: str | None = None
    icount_shift: int | None = None
    """An instruction takes 2**shift ns of virtual time; None: time is the machine's own."""
    heap_bytes: int | None = None
    arguments: tuple[str, ...] = ()
    """What else QEMU is told; `{image}` stands for the path of the image."""


FlashMethod = Literal["esptool", "dfu", "pyocd", "an3155"]


class Flash(_Frozen):
    """How a real board gets its interpreter: `method` unless the caller names an alternative."""

    method: FlashMethod
    alternatives: tuple[FlashMethod, ...] = ()
    chip: str
    """The name that esptool or pyOCD has for it."""
    chip_id: int | None = None
    """What the ROM loader of an STM32 answers to GET ID (AN2606, table of device identifiers)."""
    offset: int
    """Address of a raw image; .hex and .dfu files carry their own."""
    baud: int = 115200
    image: str
    """Name of the stock image file."""
    download: str
    """The page that has it."""
    port: Literal["esp32", "stm32"]
    """MicroPython's port and its name for the board, for an image of one's own."""
    port_board: str


class Bus(_Frozen):
    """One bus of the board with its nominal speed (Hz for I2C and SPI, baud for a UART).

    An `spi` bus is one chip select; an `rs485` bus is a UART with a transmitter to be switched.
    """

    name: str
    kind: Literal["i2c", "spi", "uart", "rs485"]
    number: int
    """What a site file and `hal.i2c(number)` call it."""
    controller: int | None = None
    """What `machine` calls it, on a real board."""
    frequency_hz: int | None = None
    baud: int | None = None
    mode: Literal[0, 1, 2, 3] | None = None
    """SPI: CPOL is bit 1, CPHA bit 0."""
    pins: dict[str, int | str] = {}
    """Signal -> pin, in the words of the board's own machine.Pin."""


class Part(_Frozen):
    """One chip soldered to the board."""

    part: str
    refdes: str | None = None
    """What the schematic calls it; None where we have not seen the schematic."""
    bus: str
    address: int | None = None


class Board(_Frozen):
    """A board as its folder describes it; sizes in bytes."""

    name: str
    title: str
    mcu: str
    architecture: str
    ram_bytes: int
    flash_bytes: int
    simulation: Literal["qemu", "process", "none"]
    features: tuple[str, ...]
    mpy_arch: str | None = None
    """What `mpy-cross -march=` is told; None: nothing is compiled for this board."""
    hal_modules: tuple[str, ...] = ()
    """Files of boards/ that the board's hal.py imports, such as `node_files.py`."""
    stubs: Literal["esp32", "stm32"] | None = None
    """The type stubs that its hal.py is checked against."""
    firmware: Firmware | None = None
    emulator: Emulator | None = None
    flash: Flash | None = None
    identity: str | None = None
    """What `sys.implementation._machine` says on this board."""
    usb: tuple[str, ...] = ()
    """USB ids (vendor:product) that such a board shows, in lower-case hexadecimal digits."""
    pins: dict[str, int] = {}
    """Pins with a name of their own -> the number that `hal.pin` takes."""
    buses: tuple[Bus, ...]
    parts: tuple[Part, ...] = ()

    @model_validator(mode="after")
    def _is_emulated_or_real(self) -> "Board":
        real = ("flash", "identity", "mpy_arch", "stubs")
        needed = real if self.simulation == "none" else ("firmware", "emulator")
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(f"simulation = {self.simulation!r} also needs {', '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _has_the_bus_of_every_part(self) -> "Board":
        names = {bus.name for bus in self.buses}
        for part in self.parts:
            if part.bus not in names:
                raise ValueError(f"part {part.part} is on bus {part.bus!r}, which is not there")
        return self

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
            f"  {'.'.join(str(part) for part in item['loc']) or 'the board'}: {item['msg']}"
            for item in error.errors()
        )
        raise BoardFileError(f"{path}:\n" + "\n".join(lines)) from error
    if board.name != name:
        raise BoardFileError(
            f"{path}: name is {board.name!r}, the folder is {name!r}; make them equal"
        )
    return board
