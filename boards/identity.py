"""Who a board says it is: interpreter, chip, node and files.

Promises: `ask_identity` changes nothing; `check_board` raises IdentityError with both sides when
the board is not the one of its board.toml, or its interpreter cannot run our compiled files.
Of a key only its check is read, 8 bytes of a hash over 64 secret ones (`firmware/keyfile.py`).
"""

from dataclasses import dataclass
from typing import Final

from boards.catalog import Board
from boards.deploy_prompt import Prompt
from boards.errors import IdentityError

# sys.implementation._mpy >> 10 (MicroPython docs, "MicroPython .mpy files").
_ARCHITECTURES: Final = (
    *(None, "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp"),
    *("xtensa", "xtensawin", "rv32imc"),
)
_ASK: Final = """
import sys
def _tw_identity():
    what = sys.implementation
    answer = {
        "name": what[0],
        "version": ".".join([str(part) for part in what[1][:3]]),
        "machine": getattr(what, "_machine", ""),
        "mpy": getattr(what, "_mpy", 0),
        "unique_id": None,
        "node": None,
        "key_check": None,
        "free_bytes": None,
        "is_frozen": False,
    }
    try:
        from frozen_files import FILES
        answer["is_frozen"] = "firmware/main.py" in [name for name, _ in FILES]
    except ImportError:
        pass
    try:
        import machine
        answer["unique_id"] = "".join(["%02x" % byte for byte in machine.unique_id()])
    except (ImportError, AttributeError):
        pass
    epoch = -1
    for name in ("node.key", "node.key.b"):
        try:
            with open(name) as file:
                table = json.loads(file.read())
            if table["epoch"] > epoch:
                epoch = table["epoch"]
                answer["node"] = table["node"]
                answer["key_check"] = table["check"]
        except (OSError, ValueError, KeyError):
            pass
    try:
        status = os.statvfs(os.getcwd())
        if status[2]:
            answer["free_bytes"] = status[1] * status[4]
    except (OSError, AttributeError):
        pass
    return answer
"""

# Each of these runs native code of those before it (persistentcode.h, MPY_FEATURE_ARCH_TEST).
_THUMB: Final = ("armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a board says; None where it has nothing to say."""

    name: str
    version: str
    machine: str
    mpy: int
    unique_id: str | None
    node: str | None
    key_check: str | None
    free_bytes: int | None
    is_frozen: bool = False
    """Whether its image has the application in it."""

    @property
    def mpy_version(self) -> tuple[int, int]:
        """Version and sub-version of the .mpy files that it loads."""
        return self.mpy & 0xFF, self.mpy >> 8 & 3

    @property
    def mpy_arch(self) -> str | None:
        """The architecture of native code that it runs."""
        index = self.mpy >> 10
        return _ARCHITECTURES[index] if index < len(_ARCHITECTURES) else None

    def lines(self) -> list[str]:
        """What a person wants to read."""
        mpy = ".".join(str(part) for part in self.mpy_version)
        return [
            f"interpreter  {self.name} {self.version}, .mpy {mpy} {self.mpy_arch or 'bytecode'}",
            f"board        {self.machine or '?'}",
            f"chip id      {self.unique_id or '?'}",
            f"node         {self.node or 'not provisioned'}",
            f"key check    {self.key_check or '-'}",
            f"free         {'?' if self.free_bytes is None else self.free_bytes} bytes",
        ]


def ask_identity(prompt: Prompt) -> Identity:
    """Ask the board; DeployError when it does not answer as MicroPython does."""
    prompt.run(_ASK)
    return Identity(**prompt.ask("_tw_identity()"))


def check_board(board: Board, identity: Identity, mpy_version: tuple[int, int]) -> None:
    """Raise IdentityError unless this is `board` and its interpreter runs our compiled files."""
    if board.identity is not None and board.identity != identity.machine:
        raise IdentityError(
            f"the board says {identity.machine!r}, {board.name} says {board.identity!r}:"
            " name the right board, or flash its interpreter first"
        )
    if identity.mpy_version != mpy_version or not _runs(identity.mpy_arch, board.mpy_arch):
        wanted = ".".join(str(part) for part in mpy_version)
        has = ".".join(str(part) for part in identity.mpy_version)
        raise IdentityError(
            f"{identity.name} {identity.version} loads .mpy {has} for {identity.mpy_arch}, our"
            f" files are {wanted} for {board.mpy_arch}: flash the stock image of 1.25 first"
        )


def _runs(interpreter: str | None, files: str | None) -> bool:
    """Whether an interpreter for one architecture runs native code for another."""
    if interpreter in _THUMB and files in _THUMB:
        return _THUMB.index(files) <= _THUMB.index(interpreter)
    return interpreter == files
