"""An update over the cable, with the firmware's own transaction and loader on MicroPython."""

import subprocess
from pathlib import Path

import pytest

from boards.build import build
from boards.catalog import load_board
from boards.deploy import Deployment, deploy
from boards.deploy_update import VENDOR_ID, manifest, update
from boards.errors import DeployError, PortError
from boards.mpy import MPY_VERSION, compile_files
from firmware.manifest import parse
from tests.boards.prompts import PROMPT, host_prompt
from tests.boards.test_flash import ignore

ROOT = Path(__file__).parents[2]
HOST = load_board("host")
MODULES = (
    *("wire/__init__.py", "wire/errors.py", "wire/kernel.py"),
    *(path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("wire/cbor*.py"))),
    *("firmware/__init__.py", "firmware/errors.py", "firmware/manifest.py", "firmware/slots.py"),
    "firmware/update.py",
)


def application(version: str) -> dict[str, bytes]:
    """A small application whose main says its version, with what an update needs."""
    files = dict(compile_files(HOST, [(ROOT, name) for name in MODULES]))
    hal = (ROOT / "boards/node_files.py").read_bytes() + b'\nBOARD = "host"\n'
    return {
        "main.py": (ROOT / "firmware/loader.py").read_bytes(),
        **files,
        "hal.py": hal,
        "firmware/main.py": f"print('version', {version!r})\n".encode(),
    }


def start(folder: Path) -> str:
    """What the board prints when it starts: the loader as main.py, no prompt."""
    result = subprocess.run(
        [str(build(HOST, PROMPT)), "main.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return result.stdout + result.stderr


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A board with version one deployed."""
    monkeypatch.setattr("boards.deploy.START_S", 0.0)
    with host_prompt(tmp_path) as console:
        first = Deployment(
            board=HOST, application=application("one"), settings={}, mpy_version=MPY_VERSION
        )
        deploy(console.port, first, ignore)
    assert start(tmp_path) == "version one\n"
    return tmp_path


@pytest.mark.slow
def test_a_new_version_is_tried_once_and_taken_back_unless_confirmed(node: Path) -> None:
    with host_prompt(node) as console:
        target = update(console.port, HOST, application("two"), MPY_VERSION, ignore)
    assert target == "b"
    assert not (node / "twinrig_loader.py").exists()
    assert start(node) == "version two\n"
    # Nobody confirmed it: whatever the reason, the next start is the old one.
    assert start(node) == "version one\n"
    with host_prompt(node) as console:
        update(console.port, HOST, application("three"), MPY_VERSION, ignore)
    assert start(node) == "version three\n"
    assert parse((node / "b.manifest").read_bytes()).sequence == 2


@pytest.mark.slow
def test_a_cable_pulled_half_way_leaves_what_ran(node: Path) -> None:
    with host_prompt(node) as console, pytest.raises((PortError, DeployError)):
        update(
            *(console.port, HOST, application("two"), MPY_VERSION),
            lambda step, done, total: console.pull_cable() if done > total // 2 else None,
        )
    with host_prompt(node) as console:
        update(console.port, HOST, application("two"), MPY_VERSION, ignore)
    assert start(node) == "version two\n"


@pytest.mark.slow
def test_a_refusal_of_the_node_is_passed_on_and_the_node_starts_again(node: Path) -> None:
    other = HOST.model_copy(update={"name": "another"})
    with (
        host_prompt(node) as console,
        pytest.raises(DeployError, match="class 'another', this node is 'host'"),
    ):
        update(console.port, other, application("two"), MPY_VERSION, ignore)
    assert start(node) == "version one\n"


def test_the_manifest_is_what_the_firmware_reads() -> None:
    files = {"firmware/main.mpy": b"main", "hal.mpy": b"hal"}
    parsed = parse(manifest(7, "pybv11", files))
    assert (parsed.sequence, parsed.vendor_id, parsed.class_id) == (7, VENDOR_ID, "pybv11")
    assert [entry[:2] for entry in parsed.entries] == [["firmware/main.mpy", 4], ["hal.mpy", 3]]
    source = (ROOT / "firmware/app.py").read_text()
    assert f'VENDOR_ID = "{VENDOR_ID}"' in source
