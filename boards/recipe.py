"""What an image is made with, as hashes: MicroPython's source, the compilers, the make options.

Promises: two equal `recipe_hash` mean that object files of one build may be linked in the other;
whatever is not frozen and yet changes an image is in it.  Leaves to `build.py` the frozen files.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from boards.catalog import Board, Firmware
from boards.errors import BuildError

_CROSS_PARTS = ("py", "extmod", "shared", "lib", "tools", "mpy-cross")
# Debian keeps the C library and libgcc in packages of their own, which a compiler's version leaves
# out; the options choose among the variants of each.
_LIBRARIES = {
    "arm-none-eabi-gcc": ("-mthumb", "-mcpu=cortex-m3"),
    "riscv64-unknown-elf-gcc": ("-march=rv32imac", "-mabi=ilp32", "--specs=picolibc.specs"),
}
_LIBRARY_FILES = ("libm.a", "libc.a", "libgcc.a", "picolibc.specs")
_BUILDER = ("build.py", "recipe.py")


def cross_hash(source: Path) -> str:
    """SHA-256 (hex) over what `mpy-cross` is made of: this recipe, source and compiler."""
    digest = hashlib.sha256()
    for name in _BUILDER:
        digest.update((Path(__file__).parent / name).read_bytes())
    digest.update(_tool_identity("gcc").encode())
    for part in _CROSS_PARTS:
        digest.update(tree_identity(source / part).encode())
    return digest.hexdigest()


def recipe_hash(board: Board, source: Path) -> str:
    """SHA-256 (hex) over everything that goes into an image of `board` and is not frozen."""
    firmware = firmware_of(board)
    digest = hashlib.sha256(cross_hash(source).encode())
    digest.update(firmware.model_dump_json().encode())
    digest.update(tree_identity(source / "ports" / firmware.port).encode())
    if firmware.compiler:
        digest.update(_tool_identity(firmware.compiler).encode())
    return digest.hexdigest()


def firmware_of(board: Board) -> Firmware:
    """How the board's MicroPython is built; BuildError for a board that brings its own."""
    if board.firmware is None:
        raise BuildError(
            f"no MicroPython is built for {board.name}: it runs a stock image,"
            f" see `twinrig board flash {board.name}`"
        )
    return board.firmware


def tree_identity(top: Path) -> str:
    """SHA-256 (hex) over path, size and time of every file; reading 20 MB each time is too slow.

    A checkout may have been built in: `build` and `build-*` at its top are no input of ours, and
    neither is Python's own cache.
    """
    digest = hashlib.sha256(str(top).encode())
    for line in sorted(_files(top)):
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(top: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(top):
        folders[:] = [
            name
            for name in folders
            if name != "__pycache__"
            and not (Path(folder) == top and (name == "build" or name.startswith("build-")))
        ]
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118  a Path each costs more than the stat
            try:
                status = os.stat(path)  # noqa: PTH116
            except FileNotFoundError:
                # A dangling link, or a file that has just gone.
                continue
            yield f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n"


def _tool_identity(compiler: str) -> str:
    """Which program that is, its version, and size and time of the libraries it would link."""
    words = [str(shutil.which(compiler)), _first_line(compiler, "--version")]
    for library in _LIBRARY_FILES if compiler in _LIBRARIES else ():
        path = Path(_first_line(compiler, *_LIBRARIES[compiler], f"-print-file-name={library}"))
        if path.is_file():
            status = path.stat()
            words.append(f"{path} {status.st_size} {status.st_mtime_ns}")
    return "\n".join(words)


def _first_line(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return result.stdout.splitlines()[0] if result.stdout else ""
