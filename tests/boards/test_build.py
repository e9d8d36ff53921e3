"""Building: the cache key covers the inputs, a miss is built, a failure names its log."""

import subprocess
from pathlib import Path

import pytest

from boards import build as building
from boards import source
from boards.build import APPLICATION, DEVICE_TESTS, build, frozen_files, input_hash
from boards.catalog import load_board
from boards.errors import BuildError, MissingToolError


@pytest.fixture
def fake_source(tmp_path: Path) -> Path:
    """The outline of a MicroPython checkout."""
    top = tmp_path / "micropython"
    for port in ("qemu", "unix"):
        (top / "ports" / port).mkdir(parents=True)
        (top / "ports" / port / "Makefile").write_text("all:\n\tfalse\n")
        (top / "ports" / port / "main.c").write_text("int main;\n")
    (top / "py").mkdir()
    (top / "py" / "obj.c").write_text("int obj;\n")
    (top / "tools").mkdir()
    (top / "tools" / "mpy-tool.py").write_text("")
    (top / "mpy-cross").mkdir()
    (top / "mpy-cross" / "Makefile").write_text("all:\n\tfalse\n")
    return top


def test_the_application_has_no_emulators_and_the_test_image_has() -> None:
    board = load_board("qemu_stm32f2")
    application = {name for _, name in frozen_files(board, APPLICATION)}
    tests = {name for _, name in frozen_files(board, DEVICE_TESTS)}
    assert "drivers/tmp117/driver.py" in application
    assert "hal.py" in application
    assert not [name for name in application if "emulator" in name or name.startswith("tests")]
    assert "drivers/tmp117/emulator.py" in tests
    assert "tests/device/runner.py" in tests


def test_the_hash_follows_the_board_the_contents_and_the_source(fake_source: Path) -> None:
    board = load_board("qemu_stm32f2")
    first = input_hash(board, APPLICATION, fake_source)
    assert first == input_hash(board, APPLICATION, fake_source)
    assert first != input_hash(board, DEVICE_TESTS, fake_source)
    assert first != input_hash(load_board("host"), APPLICATION, fake_source)
    (fake_source / "py" / "obj.c").write_text("int other_obj;\n")
    assert first != input_hash(board, APPLICATION, fake_source)


def test_the_hash_follows_every_frozen_file(
    fake_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = load_board("host")
    project = tmp_path / "project"
    (project / "firmware").mkdir(parents=True)
    (project / "firmware" / "app.py").write_text("x = 1\n")
    monkeypatch.setattr(building, "PROJECT_DIR", project)
    before = input_hash(board, APPLICATION, fake_source)
    (project / "firmware" / "app.py").write_text("x = 2\n")
    changed = input_hash(board, APPLICATION, fake_source)
    (project / "firmware" / "link.py").write_text("")
    assert len({before, changed, input_hash(board, APPLICATION, fake_source)}) == 3


def test_an_image_that_is_there_is_not_built_again(
    fake_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICROPYTHON_SRC", str(fake_source))
    monkeypatch.setenv("TWINRIG_CACHE", str(tmp_path / "cache"))
    board = load_board("host")
    digest = input_hash(board, APPLICATION, fake_source)
    image = tmp_path / "cache" / "images" / f"host-application-{digest[:16]}"
    image.parent.mkdir(parents=True)
    image.write_text("an image")
    assert build(board) == image


def test_a_failed_build_names_its_log_and_leaves_no_image(
    fake_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICROPYTHON_SRC", str(fake_source))
    monkeypatch.setenv("TWINRIG_CACHE", str(tmp_path / "cache"))
    steps: list[str] = []
    with pytest.raises(BuildError, match=r"mpy-cross failed: .*the whole log is .*mpy-cross\.log"):
        build(load_board("host"), progress=lambda step, count: steps.append(step))
    assert "mpy-cross" in steps
    assert not list((tmp_path / "cache").glob("images/*"))


def test_a_missing_compiler_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="Debian package"):
        build(load_board("qemu_stm32f2"))


def test_a_wrong_source_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROPYTHON_SRC", str(tmp_path))
    with pytest.raises(MissingToolError, match=r"no ports/qemu/Makefile there"):
        source.micropython_source(tmp_path)


def test_without_a_mirror_the_remedy_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MICROPYTHON_SRC", raising=False)
    monkeypatch.setattr(source.shutil, "which", lambda name: f"/usr/bin/{name}")

    def no_index(*_: object, **__: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.CompletedProcess([], 0, stdout="Other|Other|file:/x\n", stderr="")

    monkeypatch.setattr(source.subprocess, "run", no_index)
    with pytest.raises(MissingToolError, match=r"apt-get update, or set MICROPYTHON_SRC"):
        source.micropython_source(tmp_path)


@pytest.mark.parametrize("name", ["host", "qemu_stm32f2"])
def test_an_image_holds_what_was_asked_for_whatever_was_built_before(name: str) -> None:
    board = load_board(name)
    images = {contents.name: build(board, contents) for contents in (APPLICATION, DEVICE_TESTS)}
    runner = b"tests/device/runner.py"
    assert b"firmware/app.py" in images["application"].read_bytes()
    assert runner not in images["application"].read_bytes()
    assert runner in images["device-tests"].read_bytes()
