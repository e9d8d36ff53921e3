"""The application for an image of one's own, for boards whose RAM cannot hold it.

A stock image runs our compiled files from RAM, which takes some 200 kB; frozen into an image they
run from flash.  Promises: `write_frozen` leaves a folder with a manifest for MicroPython's own
build of its ESP32 or STM32 port, and says the command.  Leaves that build to its owner: it needs
MicroPython's repository with its submodules, and for an ESP32 Espressif's tools.
"""

import shutil
from pathlib import Path
from typing import Final

from boards.build import APPLICATION, frozen_files, frozen_list
from boards.catalog import Board
from boards.errors import BoardError
from boards.flash_tools import flash_table

_MANIFEST: Final = '''"""The stock image of {board} and twinrig; made by `twinrig board freeze`."""

include("$(PORT_DIR)/boards/manifest.py")
freeze("application")
'''
STARTER: Final = b"import firmware.main\n"
"""main.py of a board that has the application frozen in."""


def write_frozen(board: Board, folder: Path) -> list[str]:
    """Fill `folder`, which must be new or empty; the lines that tell how to build the image."""
    flash = flash_table(board)
    if folder.exists() and any(folder.iterdir()):
        raise BoardError(f"{folder} is not empty: name a new folder")
    files = frozen_files(board, APPLICATION)
    for base, name in files:
        target = folder / "application" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(base / name, target)
    (folder / "application" / "frozen_files.py").write_text(frozen_list(files), encoding="utf-8")
    manifest = folder.resolve() / "manifest.py"
    manifest.write_text(_MANIFEST.format(board=board.name), encoding="utf-8")
    make = f"make -C ports/{flash.port} BOARD={flash.port_board}"
    product = "firmware.bin" if flash.method == "esptool" else "firmware.hex"
    image = f"ports/{flash.port}/build-{flash.port_board}/{product}"
    return [
        f"in a checkout of MicroPython 1.25, once: {make} submodules",
        f"  {make} FROZEN_MANIFEST={manifest}",
        f"  twinrig board flash {board.name} --image {image} ...",
    ]
