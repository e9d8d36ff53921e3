"""The loader on files: what it chooses, what it writes first, what becomes of a crash."""

import ast
import builtins
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from boards import node_files
from firmware import loader, update
from firmware.slots import Slots
from firmware.update import Update, UpdateError
from wire.cbor import encode

STABLE, READY, TRIAL, ROLLED_BACK = range(4)


@pytest.fixture(autouse=True)
def flash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A board's root folder as the working folder, with a set in a; sys.path as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    put_set("a")
    yield tmp_path
    sys.modules.pop("firmware.main", None)


def put_set(folder: str, name: str = "main.mpy") -> None:
    Path(folder, "firmware").mkdir(parents=True)
    Path(folder, "firmware", name).write_bytes(b"main of " + folder.encode())


def store(*numbers: int) -> None:
    slots = Slots(node_files, update.STATE_FILES)
    slots.read()
    slots.write(numbers)
    slots.write(numbers)


def stored() -> tuple[Any, bool]:
    return Slots(node_files, update.STATE_FILES).read()  # type: ignore[return-value]


def damage_newest_slot() -> None:
    Path(max(update.STATE_FILES, key=lambda name: Path(name).read_bytes()[4:12])).write_bytes(b"?")


def main(outcome: BaseException | None) -> tuple[list[str], list[str]]:
    """Run the loader with an application that ends with `outcome`; (folders started, resets)."""
    started: list[str] = []
    resets: list[str] = []
    application = ModuleType("firmware.main")

    def start(name: str, *arguments: Any) -> Any:
        if name != "firmware.main":
            return plain_import(name, *arguments)
        started.append(sys.path[0])
        if outcome is not None:
            raise outcome
        return application

    plain_import = builtins.__import__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "__import__", start)
        loader.main(lambda: resets.append("reset"))
    return started, resets


def test_it_has_the_names_and_numbers_of_the_update() -> None:
    for name in ("FOLDERS", "STATE_FILES", "STABLE", "READY", "TRIAL", "ROLLED_BACK"):
        assert getattr(loader, name) == getattr(update, name)


def test_it_imports_nothing_of_ours() -> None:
    tree = ast.parse(Path(loader.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    names = {alias.name for node in imports for alias in node.names}
    froms = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names == {"hashlib", "io", "os", "struct", "sys"}
    assert froms == {"machine"}


def test_a_new_board_starts_its_only_set_and_notes_which() -> None:
    assert loader.choose() == ("a", False)
    assert stored() == ((0, STABLE, 0, 0), True)


def test_a_board_with_its_set_in_b_starts_that() -> None:
    Path("a", "firmware", "main.mpy").unlink()
    put_set("b", "main.py")
    assert loader.choose() == ("b", False)
    assert stored() == ((1, STABLE, 0, 0), True)


@pytest.mark.parametrize("trusted", [0, 1])
def test_a_trial_starts_once(trusted: int) -> None:
    put_set("b")
    store(trusted, READY, 3, 4)
    assert loader.choose() == ("ba"[trusted], True)
    assert stored() == ((trusted, TRIAL, 3, 4), True)
    assert loader.choose() == ("ab"[trusted], False)
    assert stored() == ((trusted, ROLLED_BACK, 3, 0), True)
    assert loader.choose() == ("ab"[trusted], False)


def test_a_trial_that_cannot_be_noted_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    put_set("b")
    store(0, READY, 0, 1)

    def refuse(name: str, mode: str) -> Any:
        if "w" in mode:
            raise OSError(28, "full")
        return Path(name).open(mode)

    monkeypatch.setattr(loader, "open", refuse, raising=False)
    assert loader.choose() == ("a", False)


@pytest.mark.parametrize("cut_at", [1, 2])
def test_a_torn_slot_starts_the_trusted_set_or_the_trial(
    monkeypatch: pytest.MonkeyPatch, cut_at: int
) -> None:
    put_set("b")
    store(0, READY, 0, 1)
    opened = 0

    def tear(name: str, mode: str) -> Any:
        nonlocal opened
        file = Path(name).open(mode)  # noqa: SIM115 - the loader closes it
        if "w" in mode:
            opened += 1
            if opened >= cut_at:
                file.close()
                raise OSError(5, "cut")
        return file

    with monkeypatch.context() as patch:
        patch.setattr(loader, "open", tear, raising=False)
        loader.choose()
    # The first write is torn: the trial has not begun.  The second: it has, so it is over.
    assert loader.choose() == (("b", True) if cut_at == 1 else ("a", False))


@pytest.mark.parametrize("missing", [True, False])
def test_a_set_without_a_main_or_half_written_never_starts(missing: bool) -> None:
    put_set("b")
    if missing:
        Path("b", "firmware", "main.mpy").write_bytes(b"")
    else:
        Path("b.partial").write_bytes(b"1")
    store(0, READY, 0, 1)
    assert loader.choose() == ("a", False)
    Path("a", "firmware", "main.mpy").unlink()
    assert loader.choose() == ("a", False)


def test_a_trusted_set_that_is_gone_gives_way_to_the_other() -> None:
    put_set("b")
    store(0, TRIAL, 3, 4)
    Path("a", "firmware", "main.mpy").unlink()
    assert loader.choose() == ("b", False)
    assert stored() == ((1, STABLE, 3, 0), True)


@pytest.mark.parametrize("damage", [b"", b"x" * 52, b"TWS1" + bytes(48)])
def test_lost_slots_start_something_and_are_written_anew(damage: bytes) -> None:
    put_set("b")
    for name in update.STATE_FILES:
        Path(name).write_bytes(damage)
    assert loader.choose() == ("a", False)
    assert stored() == ((0, STABLE, 0, 0), True)


def test_a_slot_that_decays_takes_back_no_decision() -> None:
    content = b"new main"
    entry = ["firmware/main.mpy", len(content), hashlib.sha256(content).digest()]
    loader.choose()
    for sequence, folder in ((1, "b"), (2, "a"), (3, "b")):
        updating = Update(node_files, "vendor", "class")
        updating.begin(encode({0: 1, 1: sequence, 2: "vendor", 3: "class", 4: [entry]}))
        damage_newest_slot()
        assert loader.choose() == ("ba"[folder == "b"], False)
        updating.write(0, 0, content)
        updating.finish()
        damage_newest_slot()
        assert loader.choose() == (folder, True)
        sys.path[:] = [folder, *[path for path in sys.path if path not in loader.FOLDERS]]
        Update(node_files, "vendor", "class").confirm()
        damage_newest_slot()
        assert loader.choose() == (folder, False)


def test_a_crash_is_logged_once_and_resets() -> None:
    started, resets = main(ValueError("what" * 1000))
    assert (started, resets) == (["a"], ["reset"])
    log = Path(loader.LOG_FILE)
    assert len(log.read_bytes()) == loader.LOG_BYTES_MAX
    assert log.read_bytes().startswith(b"in folder a: ValueError: what")
    log.chmod(0o400)
    before = log.stat().st_mtime_ns
    main(ValueError("what" * 1000))
    assert log.stat().st_mtime_ns == before


def test_a_crash_on_trial_brings_the_trusted_set_back() -> None:
    put_set("b")
    store(0, READY, 0, 1)
    assert main(RuntimeError("no")) == (["b"], ["reset"])
    assert main(None) == (["a"], [])


def test_a_set_that_hung_is_not_confirmed_though_its_end_could_not_be_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_set("b")
    store(0, TRIAL, 0, 1)

    def refuse(name: str, mode: str) -> Any:
        if "w" in mode:
            raise OSError(28, "full")
        return Path(name).open(mode)

    monkeypatch.setattr(loader, "open", refuse, raising=False)
    assert main(None) == (["a"], [])
    updating = Update(node_files, "vendor", "class")
    assert (updating.state(), updating.running) == ("rolled back", "a")
    with pytest.raises(UpdateError, match="nothing is on trial"):
        updating.confirm()
    assert stored() == ((0, TRIAL, 0, 1), True)


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_a_person_or_an_orderly_end_is_no_crash(end: type[BaseException]) -> None:
    with pytest.raises(end):
        main(end())
    assert not Path(loader.LOG_FILE).exists()
