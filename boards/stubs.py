"""Device code against the type stubs of the ports that real boards run.

Promises: `findings(board)` says where `wire/`, `drivers/`, `firmware/` or the board's own files ask
MicroPython for a module, a function or an argument that the board's port has not.  The stubs of two
ports cannot stand in one environment, because both own `machine.pyi`; each set is installed once,
pinned, into a folder of its own through pip as the user has configured it.
Leaves to `mypy` as pyproject.toml configures it everything that is no question of the port; what is
reported there is left out here.

Code behind `IS_MICROPYTHON` is taken as a board takes it, and a module that not every board has may
be asked for (OPTIONAL_MODULES): whoever imports it does so in a `try`.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from boards.build import APPLICATION, PROJECT_DIR, cache_dir, frozen_files
from boards.catalog import BOARDS_DIR, Board
from boards.errors import BuildError, MissingToolError

STUBS: Final = {
    "esp32": ("micropython-esp32-stubs==1.25.0.post5", "micropython-stdlib-stubs==1.25.0"),
    "stm32": ("micropython-stm32-stubs==1.25.0.post3", "micropython-stdlib-stubs==1.25.0"),
}
"""Port -> what is installed for it; of the oldest MicroPython that we promise to run on."""
OPTIONAL_MODULES: Final = ("frozen_files", "ulab")
_STUB_GAPS = ('argument "timeout" for overloaded function "I2C"', 'No overload variant of "I2C"')
"""What the stubs lack and the ports have: `timeout` of machine.I2C, in microseconds."""
_OWN_TYPES = ('argument type "object"', '| None"')
"""Arguments of which our own annotations say too little: no question of the port."""

_INSTALL_TIMEOUT_S = 300.0
_CHECK_TIMEOUT_S = 300.0
_ERROR = re.compile(r"(?P<path>[^:]+):(?P<line>\d+): error: (?P<text>.*)  \[(?P<code>[a-z-]+)\]")
_CODES = ("arg-type", "call-arg", "call-overload", "import-not-found", "name-defined")
"""What a port that lacks something is reported as, beside a module's missing attribute."""


def findings(board: Board) -> list[str]:
    """`path:line: what is wrong` wherever the board's port does not offer what it is asked for.

    Raises MissingToolError when the stubs cannot be installed, BuildError when mypy itself fails.
    """
    if board.stubs is None:
        raise BuildError(f"{board.directory / 'board.toml'}: no stubs, so nothing to check against")
    folder = stubs_folder(board.stubs)
    sources = [
        (base / name).relative_to(PROJECT_DIR).as_posix()
        for base, name in frozen_files(board, APPLICATION)
        # Its types stand in kernel.pyi, which mypy overlooks when it is shown the source.
        if name != "wire/kernel.py"
    ]
    result = _run_mypy(board, folder, sources)
    found = [match for line in result.splitlines() if (match := _ERROR.fullmatch(line))]
    return [
        f"{match['path']}:{match['line']}: {match['text']}"
        for match in found
        if match["path"] in sources and _concerns_the_port(match["code"], match["text"])
    ]


def stubs_folder(port: str) -> Path:
    """The folder with the stubs of `port`, installed there the first time."""
    pins = STUBS[port]
    digest = hashlib.sha256(" ".join(pins).encode()).hexdigest()
    folder = cache_dir() / "stubs" / f"{port}-{digest[:12]}"
    if folder.is_dir():
        return folder
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"),
            *("--quiet", "--no-deps", "--no-compile", "--target", str(partial), *pins),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=_INSTALL_TIMEOUT_S,
    )
    if result.returncode:
        last = " / ".join(result.stderr.strip().splitlines()[-2:])
        raise MissingToolError(f"pip could not install {' '.join(pins)}: {last}")
    try:
        partial.replace(folder)
    except OSError:
        # Another process was first.
        shutil.rmtree(partial)
    return folder


def _run_mypy(board: Board, folder: Path, sources: list[str]) -> str:
    # The board's own modules are top-level ones there, hence the folders of boards/.
    search = (folder, PROJECT_DIR, BOARDS_DIR, board.directory)
    result = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file=", "--python-version=3.11"),
            *("--cache-dir", str(cache_dir() / "mypy-stubs" / board.name)),
            *("--custom-typeshed-dir", str(folder), "--follow-imports=silent"),
            *("--explicit-package-bases", "--check-untyped-defs", "--no-error-summary"),
            *("--always-true=IS_MICROPYTHON", "--hide-error-context", *sources),
        ],
        cwd=PROJECT_DIR,
        env={**os.environ, "MYPYPATH": os.pathsep.join(map(str, search))},
        capture_output=True,
        text=True,
        check=False,
        timeout=_CHECK_TIMEOUT_S,
    )
    if result.returncode not in (0, 1):
        raise BuildError(f"mypy failed on {board.name}: {(result.stderr or result.stdout)[-500:]}")
    return result.stdout


def _concerns_the_port(code: str, text: str) -> bool:
    if any(words in text for words in (*_STUB_GAPS, *_OWN_TYPES)):
        return False
    if code == "import-not-found":
        return not any(f'"{module}"' in text for module in OPTIONAL_MODULES)
    return code in _CODES or (code == "attr-defined" and text.startswith("Module "))
