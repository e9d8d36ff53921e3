"""What MicroPython's own build is given: our sources, their hashes and a manifest."""

import hashlib
import runpy
from pathlib import Path

import pytest

from boards.catalog import load_board
from boards.errors import BoardError, FlashError
from boards.frozen import write_frozen


def test_the_folder_holds_what_the_manifest_names(tmp_path: Path) -> None:
    folder = tmp_path / "image"
    lines = write_frozen(load_board("pybv11"), folder)
    assert f"make -C ports/stm32 BOARD=PYBV11 FROZEN_MANIFEST={folder}/manifest.py" in lines[1]
    assert "build-PYBV11/firmware.hex" in lines[2]
    seen: list[str] = []
    runpy.run_path(
        str(folder / "manifest.py"),
        {"include": seen.append, "freeze": lambda name: seen.append(str(folder / name))},
    )
    application = folder / "application"
    assert seen == ["$(PORT_DIR)/boards/manifest.py", str(application)]
    listed = dict(runpy.run_path(str(application / "frozen_files.py"))["FILES"])
    found = {path.relative_to(application).as_posix() for path in application.rglob("*.py")}
    assert found == set(listed) | {"frozen_files.py"}
    assert {"hal.py", "node_board.py", "firmware/main.py", "wire/cose.py"} <= found
    for name, digest in listed.items():
        assert hashlib.sha256((application / name).read_bytes()).digest() == digest


def test_a_folder_with_something_in_it_and_an_emulated_board_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(BoardError, match="is not empty: name a new folder"):
        write_frozen(load_board("esp32_devkit"), tmp_path)
    with pytest.raises(FlashError, match="host is emulated"):
        write_frozen(load_board("host"), tmp_path / "new")
