"""The application as compiled files, for boards that keep it in a file system.

Promises: `application_files(board)` returns the device path and the content of every file that the
board needs beside its stock MicroPython, compiled by our own `mpy-cross` for the board's
architecture, natives included; what has not changed is not compiled again.  `main.py` is the loader
as source, because a board starts no other kind of file by itself.
Leaves to `deploy.py` how the files get there and into which of the two folders.

A board loads these files only when its MicroPython reads .mpy files of MPY_VERSION.
"""

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from boards.build import APPLICATION, Progress, cache_dir, cross_compiler, frozen_files
from boards.catalog import Board
from boards.errors import BuildError

MPY_VERSION: Final = (6, 3)
"""Version and sub-version of our .mpy files; native code needs both to match."""
LOADER: Final = "firmware/loader.py"
_TIMEOUT_S = 60.0
_MAGIC = ord("M")


def application_files(
    board: Board, *, progress: Progress = lambda step, count: None
) -> list[tuple[str, bytes]]:
    """(device path, content) of the loader and of every compiled file, in a defined order.

    Raises BuildError naming file and line of what does not compile, or when `board` has no
    architecture; MissingToolError as `build` does.
    """
    sources = frozen_files(board, APPLICATION)
    compiled = compile_files(board, sources, progress=progress)
    loader = [base / name for base, name in sources if name == LOADER]
    if not loader:
        raise BuildError(f"{LOADER} is not there: {board.name} would not know what to start")
    return [("main.py", loader[0].read_bytes()), *compiled]


def compile_files(
    board: Board,
    sources: Sequence[tuple[Path, str]],
    *,
    progress: Progress = lambda step, count: None,
) -> list[tuple[str, bytes]]:
    """Each of `sources`, (base folder, path below it), as (path ending in .mpy, content)."""
    if board.mpy_arch is None:
        raise BuildError(f"{board.directory / 'board.toml'}: no mpy_arch, so nothing is compiled")
    cross = cross_compiler(progress)
    folder = cache_dir() / "mpy" / board.mpy_arch
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for count, (base, name) in enumerate(sources, start=1):
        progress(f"compiling for {board.mpy_arch}", count)
        content = _compiled(cross, board.mpy_arch, base / name, name, folder)
        files.append((name.removesuffix(".py") + ".mpy", content))
    return files


def _compiled(cross: Path, architecture: str, source: Path, name: str, folder: Path) -> bytes:
    # The compiler's folder carries the hash of all it is made of.
    digest = hashlib.sha256(f"{cross.parent.name}\0{name}\0".encode() + source.read_bytes())
    kept = folder / f"{digest.hexdigest()[:32]}.mpy"
    if kept.is_file():
        return kept.read_bytes()
    partial = folder / f"{kept.stem}.{os.getpid()}"
    result = subprocess.run(
        # Tracebacks name the file as the board knows it, and no path of this machine.
        [str(cross), f"-march={architecture}", "-s", name, "-o", str(partial), str(source)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    if result.returncode:
        why = " / ".join(line.strip() for line in result.stderr.strip().splitlines()[-2:])
        raise BuildError(f"{name} does not compile for {architecture}: {why}")
    content = partial.read_bytes()
    _check_version(content, name)
    partial.replace(kept)
    return content


def _check_version(content: bytes, name: str) -> None:
    """Docs of MicroPython, .mpy files: 'M', version, sub-version in the low two bits, ..."""
    version = (content[1], content[2] & 3)
    if content[0] != _MAGIC or version not in (MPY_VERSION, (MPY_VERSION[0], 0)):
        raise BuildError(
            f"{name}: mpy-cross wrote version {version[0]}.{version[1]}, twinrig knows"
            f" {MPY_VERSION[0]}.{MPY_VERSION[1]}: use MicroPython 1.25 in MICROPYTHON_SRC"
        )
