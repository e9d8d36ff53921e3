"""Building: the cache key covers the inputs, a miss is built, a failure names its log."""

import fcntl
import hashlib
import subprocess
import threading
from pathlib import Path

import pytest

from boards import build as building
from boards import source
from boards.build import (
    APPLICATION,
    DEVICE_TESTS,
    boards_built_here,
    build,
    frozen_files,
    frozen_list,
    input_hash,
)
from boards.catalog import Board, load_board
from boards.errors import BuildError, MissingToolError
from boards.recipe import tree_identity


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


MAKEFILE = """
# What make knows of: main.o is older or newer than main.c, and nothing of options.
all: $(BUILD)/micropython
$(BUILD)/main.o: main.c
	mkdir -p $(BUILD)
	echo "heap=$(MICROPY_HEAP_SIZE) flags=$(CFLAGS)$(DEBUG)$(USER_C_MODULES)" > $@
$(BUILD)/micropython: $(BUILD)/main.o ALWAYS
	cat $< PROJECT/firmware/app.py > $@
	EDIT
ALWAYS:
"""


@pytest.fixture
def project(tmp_path: Path, fake_source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one frozen file, and a source whose `make` copies it into the image."""
    project = tmp_path / "project"
    (project / "firmware").mkdir(parents=True)
    (project / "firmware" / "app.py").write_text("x = 1\n")
    monkeypatch.setattr(building, "PROJECT_DIR", project)
    monkeypatch.setenv("MICROPYTHON_SRC", str(fake_source))
    monkeypatch.setenv("TWINRIG_CACHE", str(tmp_path / "cache"))
    cross = "all:\n\tmkdir -p $(BUILD)\n\ttouch $(BUILD)/mpy-cross\n"
    (fake_source / "mpy-cross" / "Makefile").write_text(cross)
    write_makefile(fake_source, project, "true")
    return project


def write_makefile(source: Path, project: Path, edit: str) -> None:
    """The port's makefile; `edit` is what happens to the project during the build."""
    text = MAKEFILE.replace("PROJECT", str(project)).replace("EDIT", edit)
    (source / "ports" / "unix" / "Makefile").write_text(text)


def with_heap(heap_bytes: int) -> Board:
    board = load_board("host")
    options = {**board.firmware.options, "MICROPY_HEAP_SIZE": str(heap_bytes)}
    firmware = board.firmware.model_copy(update={"options": options, "product": "micropython"})
    return board.model_copy(update={"firmware": firmware})


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


def test_a_real_board_is_not_built() -> None:
    with pytest.raises(BuildError, match="stock image, see `twinrig board flash pybv11`"):
        build(load_board("pybv11"))
    assert {"host", "qemu_stm32f2", "qemu_rv32", "qemu_mps2"} == set(boards_built_here())


def test_the_list_of_frozen_files_is_a_module_with_their_hashes(
    tmp_path: Path,
) -> None:
    (tmp_path / "one.py").write_bytes(b"x = 1\n")
    namespace: dict[str, object] = {}
    exec(frozen_list([(tmp_path, "one.py")]), namespace)  # noqa: S102  what the board imports
    assert namespace["FILES"] == (("one.py", hashlib.sha256(b"x = 1\n").digest()),)


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
    assert "building mpy-cross" in steps
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


@pytest.mark.usefixtures("project")
def test_other_make_options_link_no_old_object_file(tmp_path: Path) -> None:
    for heap_bytes in (90000, 70000, 90000):
        assert f"heap={heap_bytes} " in build(with_heap(heap_bytes)).read_text()
    folders = [path.name for path in (tmp_path / "cache" / "micropython").glob("host-*")]
    assert len(folders) == 1


@pytest.mark.usefixtures("project")
def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CFLAGS", "DEBUG", "USER_C_MODULES", "MICROPY_HEAP_SIZE"):
        monkeypatch.setenv(name, "1")
    assert "flags=\n" in build(with_heap(90000)).read_text()


def test_a_file_that_changes_during_the_build_is_built_again(
    project: Path, fake_source: Path
) -> None:
    app = project / "firmware" / "app.py"
    write_makefile(fake_source, project, f"grep -q 2 {app} || echo 'x = 2' >> {app}")
    image = build(with_heap(90000))
    assert "x = 2" in image.read_text()
    digest = input_hash(with_heap(90000), APPLICATION, fake_source)
    assert image.name.endswith(digest[:16])
    assert list(image.parent.iterdir()) == [image]


def test_files_that_never_rest_are_said(project: Path, fake_source: Path, tmp_path: Path) -> None:
    write_makefile(fake_source, project, f"echo 'x = 2' >> {project / 'firmware' / 'app.py'}")
    with pytest.raises(BuildError, match="changed during each of 3 builds"):
        build(with_heap(90000))
    assert not list((tmp_path / "cache" / "images").iterdir())


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("end", ["stop", "deadline"])
def test_waiting_for_another_build_is_said_and_ends(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "cache" / "micropython" / "lock"
    lock.parent.mkdir(parents=True)
    steps: list[str] = []
    stop = threading.Event()

    def progress(step: str, _count: int) -> None:
        steps.append(step)
        if end == "stop":
            stop.set()

    if end == "deadline":
        monkeypatch.setattr(building, "_LOCK_TIMEOUT_S", 0.0)
        monkeypatch.setattr(building, "_LOCK_POLL_S", 0.001)
    message = {"stop": "stopped while waiting", "deadline": "end it, or set TWINRIG_CACHE"}[end]
    with lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BuildError, match=message):
            build(with_heap(90000), progress=progress, stop=stop)
    assert set(steps) == {"waiting for another build"}
    assert build(with_heap(90000)).is_file()


@pytest.mark.parametrize("name", ["py.mk", "deep/er/memory.ld", "Makefile", "tool.py"])
def test_every_kind_of_file_counts_wherever_the_checkout_stands(name: str, tmp_path: Path) -> None:
    top = tmp_path / "build" / "build-farm" / "py"
    path = top / name
    path.parent.mkdir(parents=True)
    path.write_text("one")
    before = tree_identity(top)
    path.write_text("other")
    assert tree_identity(top) != before


def test_what_a_build_leaves_in_a_checkout_does_not_count(tmp_path: Path) -> None:
    before = tree_identity(tmp_path)
    for name in ("build/main.o", "build-NETDUINO2/deep/er/main.o", "deep/__pycache__/tool.pyc"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    (tmp_path / "gone").symlink_to("nowhere")
    assert tree_identity(tmp_path) == before


@pytest.mark.parametrize("name", ["host", "qemu_stm32f2"])
def test_an_image_holds_what_was_asked_for_whatever_was_built_before(name: str) -> None:
    board = load_board(name)
    images = {contents.name: build(board, contents) for contents in (APPLICATION, DEVICE_TESTS)}
    runner = b"tests/device/runner.py"
    assert b"firmware/app.py" in images["application"].read_bytes()
    assert runner not in images["application"].read_bytes()
    assert runner in images["device-tests"].read_bytes()
