"""Firmware images from source, cached by a hash of everything that goes into them.

Promises: `build(board, contents)` returns the path of an image whose name carries the hash of its
inputs; an image that is already there is returned at once, and one that appears is complete and was
made of these inputs: they are hashed again before it is moved into place.  Object files are shared
only between builds of one recipe, and the caller's environment has no say.  Nothing is written into
the MicroPython source folder.
Leaves to `source.py` where MicroPython comes from, to `recipe.py` what else goes into an image.

What is frozen is a `Contents`: the application (`APPLICATION`: wire, drivers, firmware, the board's
hal) or the application plus its device tests and chip emulators (`DEVICE_TESTS`), each with the
generated module `frozen_files`, which names the hash of every source.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from boards.catalog import BOARDS_DIR, Board, board_names, load_board
from boards.errors import BuildError, MissingToolError
from boards.recipe import cross_hash, firmware_of, recipe_hash
from boards.source import micropython_source

PROJECT_DIR = BOARDS_DIR.parent
Progress = Callable[[str, int], None]
"""Called with the name of the present step and the number of files compiled in it."""

_PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi and libnewlib-arm-none-eabi",
    "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf and picolibc-riscv64-unknown-elf",
    "pkg-config": "pkg-config",
    "make": "make",
    "gcc": "build-essential",
    "python3": "python3",
}
FROZEN_LIST = "frozen_files.py"
"""The generated module that stands in every image beside what it lists."""
_COMMON_TOOLS = ("make", "gcc", "python3")
_ENVIRONMENT = ("PATH", "HOME", "TMPDIR")
_LOCK_TIMEOUT_S = 900.0
_LOCK_POLL_S = 0.2
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is frozen into an image: a name and globs relative to the project's folder."""

    name: str
    globs: tuple[str, ...]
    without: tuple[str, ...] = ()


APPLICATION = Contents(
    name="application",
    globs=("wire/*.py", "drivers/*.py", "drivers/*/*.py", "firmware/*.py"),
    without=("drivers/bus.py", "drivers/emulation.py", "drivers/*/emulator.py"),
)
DEVICE_TESTS = Contents(
    name="device-tests",
    globs=(
        "wire/*.py",
        "drivers/*.py",
        "drivers/*/*.py",
        "firmware/*.py",
        "tests/device/test_*.py",
        "tests/device/runner.py",
    ),
)


def cache_dir() -> Path:
    """The ignored folder for builds: `.build` of a checkout, else the user's cache.

    `TWINRIG_CACHE` overrides it.
    """
    chosen = os.environ.get("TWINRIG_CACHE")
    if chosen:
        return Path(chosen).expanduser().resolve()
    if (PROJECT_DIR / "pyproject.toml").is_file():
        return PROJECT_DIR / ".build"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "twinrig"


def frozen_files(board: Board, contents: Contents) -> list[tuple[Path, str]]:
    """(base folder, path below it) of every frozen file, in a defined order."""
    files = {
        path.relative_to(PROJECT_DIR).as_posix()
        for pattern in contents.globs
        for path in PROJECT_DIR.glob(pattern)
    }
    for pattern in contents.without:
        files -= {path.relative_to(PROJECT_DIR).as_posix() for path in PROJECT_DIR.glob(pattern)}
    listed = [(PROJECT_DIR, name) for name in sorted(files)]
    modules = [(BOARDS_DIR, name) for name in board.hal_modules]
    return [*listed, *modules, (board.directory, "hal.py")]


def frozen_list(files: Sequence[tuple[Path, str]]) -> str:
    """The source of the module `frozen_files`: FILES, (name, SHA-256) of every frozen source.

    With it a node can measure what it runs although its code stands in flash as bytecode; in order,
    since sorting there would take memory.
    """
    rows = (
        f"    ({name!r}, {hashlib.sha256((base / name).read_bytes()).digest()!r}),\n"
        for base, name in sorted(files, key=lambda file: file[1])
    )
    docstring = "Name and SHA-256 of every source that is frozen into this image; generated."
    return f'"""{docstring}"""\n\nFILES = (\n{"".join(rows)})\n'


def build(
    board: Board,
    contents: Contents = APPLICATION,
    *,
    progress: Progress = lambda step, count: None,
    jobs: int | None = None,
    stop: threading.Event | None = None,
) -> Path:
    """The image of `board` with `contents` frozen in; built only when no input hash matches.

    While another build holds the cache, `stop` ends the wait: a thread hears no Ctrl-C.
    Raises MissingToolError (names the Debian package) or BuildError (names the log).
    """
    firmware = firmware_of(board)
    if firmware.image_variable:
        return _image_brought_along(board, firmware.image_variable)
    _check_tools(board.name, firmware.compiler or "pkg-config")
    cache = cache_dir()
    (cache / "micropython").mkdir(parents=True, exist_ok=True)
    with _lock(cache / "micropython" / "lock", progress, stop or threading.Event()):
        progress("looking at MicroPython", 0)
        source = micropython_source(cache / "micropython")
        for _ in range(_ATTEMPTS):
            digest = input_hash(board, contents, source)
            image = cache / "images" / f"{board.name}-{contents.name}-{digest[:16]}"
            if image.is_file():
                return image
            mpy_cross = _build_mpy_cross(source, cache, progress, jobs)
            product = _make_port(board, contents, source, mpy_cross, cache, progress, jobs)
            image.parent.mkdir(parents=True, exist_ok=True)
            partial = image.with_suffix(".partial")
            shutil.copy2(product, partial)
            if input_hash(board, contents, source) == digest:
                partial.replace(image)
                return image
            partial.unlink()
    raise BuildError(
        f"building {board.name} ({contents.name}): its files changed during each of {_ATTEMPTS}"
        " builds; build again when nothing edits wire/, drivers/, firmware/, boards/ or MicroPython"
    )


def boards_built_here() -> list[str]:
    """The names of all boards whose MicroPython `build` makes."""
    boards = [load_board(name) for name in board_names()]
    return [
        board.name
        for board in boards
        if board.firmware is not None and not board.firmware.image_variable
    ]


def _image_brought_along(board: Board, variable: str) -> Path:
    named = os.environ.get(variable)
    if not named:
        raise MissingToolError(
            f"board {board.name} runs a stock image that is not built here: name it in {variable}"
        )
    image = Path(named).expanduser().resolve()
    if not image.is_file():
        raise MissingToolError(f"{variable}={named}: no such file")
    return image


def input_hash(board: Board, contents: Contents, source: Path) -> str:
    """SHA-256 (hex) over the recipe (recipe.py) and every frozen file."""
    digest = hashlib.sha256(recipe_hash(board, source).encode())
    for base, name in frozen_files(board, contents):
        content = (base / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _own_folder(cache: Path, name: str, digest: str) -> Path:
    """The build folder of one recipe; those of `name`'s earlier recipes go, so disk use is bounded.

    make looks at file times and not at options: object files of another recipe would be linked.
    """
    folder = cache / "micropython" / f"{name}-{digest[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.parent.iterdir():
        if path != folder and re.fullmatch(re.escape(name) + "-[0-9a-f]{16}", path.name):
            shutil.rmtree(path)
    return folder


def cross_compiler(progress: Progress = lambda step, count: None) -> Path:
    """Our `mpy-cross`, built when its source or the compiler has changed.

    Raises MissingToolError or BuildError as `build` does.
    """
    _check_tools("mpy-cross")
    cache = cache_dir()
    (cache / "micropython").mkdir(parents=True, exist_ok=True)
    with _lock(cache / "micropython" / "lock", progress, threading.Event()):
        progress("looking at MicroPython", 0)
        source = micropython_source(cache / "micropython")
        return _build_mpy_cross(source, cache, progress, None)


def _check_tools(what: str, *tools: str) -> None:
    for tool in (*_COMMON_TOOLS, *tools):
        if shutil.which(tool) is None:
            raise MissingToolError(
                f"building {what} needs {tool}: install the Debian package {_PACKAGES[tool]}"
                " (`make demo` and `make test` do it for root and sudo users)"
            )


def _build_mpy_cross(source: Path, cache: Path, progress: Progress, jobs: int | None) -> Path:
    folder = _own_folder(cache, "mpy-cross", cross_hash(source))
    _make(
        ["-C", str(source / "mpy-cross"), f"BUILD={folder}", "USER_C_MODULES="],
        step="mpy-cross",
        log=cache / "micropython" / "mpy-cross.log",
        progress=progress,
        jobs=jobs,
    )
    return folder / "mpy-cross"


def _make_port(
    board: Board,
    contents: Contents,
    source: Path,
    mpy_cross: Path,
    cache: Path,
    progress: Progress,
    jobs: int | None,
) -> Path:
    folder = _own_folder(cache, board.name, recipe_hash(board, source))
    manifest = folder / "manifest.py"
    files = frozen_files(board, contents)
    (folder / FROZEN_LIST).write_text(frozen_list(files))
    manifest.write_text(
        "".join(
            f"freeze({str(base)!r}, {name!r}, opt=0)\n"
            for base, name in [*files, (folder, FROZEN_LIST)]
        )
    )
    # MicroPython's build looks at file times, which do not tell one list of frozen files from
    # another; what it froze last time must not stand in for what is asked for now.
    shutil.rmtree(folder / "build" / "frozen_mpy", ignore_errors=True)
    (folder / "build" / "frozen_content.c").unlink(missing_ok=True)
    firmware = firmware_of(board)
    options = [f"{key}={value}" for key, value in firmware.options.items()]
    _make(
        [
            "-C",
            str(source / "ports" / firmware.port),
            f"BUILD={folder / 'build'}",
            f"FROZEN_MANIFEST={manifest}",
            f"MICROPY_MPYCROSS={mpy_cross}",
            f"MICROPY_MPYCROSS_DEPENDENCY={mpy_cross}",
            *options,
        ],
        step=f"{board.name} ({contents.name})",
        log=folder / "build.log",
        progress=progress,
        jobs=jobs,
    )
    return folder / "build" / firmware.product


def _make(
    arguments: list[str], *, step: str, log: Path, progress: Progress, jobs: int | None
) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    progress(f"building {step}", 0)
    compiled = 0
    # CFLAGS, DEBUG or USER_C_MODULES of a caller would change an image and not its name.
    environment = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
    environment |= {"LANG": "C", "PYTHONDONTWRITEBYTECODE": "1"}
    with (
        log.open("w") as sink,
        subprocess.Popen(
            ["make", f"-j{jobs or os.cpu_count() or 1}", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        ) as process,
    ):
        for line in process.stdout or ():
            sink.write(line)
            if line.startswith(("CC ", "AS ", "MPY ")):
                compiled += 1
                progress(f"building {step}", compiled)
    if process.returncode:
        tail = [line for line in log.read_text().splitlines() if "rror" in line][-3:]
        raise BuildError(f"building {step} failed: {' / '.join(tail)}; the whole log is {log}")


@contextmanager
def _lock(path: Path, progress: Progress, stop: threading.Event) -> Iterator[None]:
    """One build at a time in a cache folder; a second one waits for the first, and says so.

    Raises BuildError after 15 minutes, or when `stop` is set.
    """
    deadline_s = time.monotonic() + _LOCK_TIMEOUT_S
    with path.open("w") as handle:
        while not _is_taken(handle):
            progress("waiting for another build", 0)
            if stop.wait(_LOCK_POLL_S):
                raise BuildError("stopped while waiting for another build")
            if time.monotonic() > deadline_s:
                raise BuildError(
                    f"another build has held {path} for {_LOCK_TIMEOUT_S / 60:g} minutes:"
                    " end it, or set TWINRIG_CACHE to a folder of your own"
                )
        yield


def _is_taken(handle: IO[str]) -> bool:
    """Whether the lock is ours now; it ends with the file handle."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
