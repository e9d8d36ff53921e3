"""The `board` commands as their user meets them, on ptys instead of hardware."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import twinrig
from boards.deploy import Deployment
from boards.lock import board_lock, port_key
from boards.mpy import MPY_VERSION
from tests.boards.fake_esp32_loader import FakeEsp32Loader
from tests.boards.prompts import Console, host_prompt
from tests.boards.test_retired import store_frames

Cli = Callable[..., tuple[int, str, str]]
SITE = """
[site]
name = "bench"

[[nodes]]
name = "pump-a"
link = "serial"
port = "/dev/ttyUSB9"
key_file = "keys/pump-a.key"

[[nodes.channels]]
name = "temperature"
quantity = "temperature_celsius"
unit = "Cel"
part = "tmp117"
address = 0x48
reading = "temperature_celsius"
"""


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """Run `twinrig board ARGUMENTS` in this process; exit status, standard output and error."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    locks = tmp_path / "locks"
    locks.mkdir()
    locks.chmod(0o1777)
    monkeypatch.setattr("boards.lock.SHARED_FOLDERS", (locks,))

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["twinrig", "board", *map(str, arguments)])
        status = 0
        try:
            twinrig.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


def refused(outcome: tuple[int, str, str], message: str) -> None:
    """A refusal is exit status 1 and one `error:` without a traceback."""
    status, _, err = outcome
    assert status == 1, outcome
    assert err.count("error: ") == 1
    assert re.search(message, err), err
    assert "Traceback" not in err


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    source = (Path(__file__).parents[1] / "examples/pump/site.toml").read_text()
    head = source.split("[[nodes]]", maxsplit=1)[0]
    path.write_text(head + SITE.split("\n\n", maxsplit=1)[1])
    return path


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    folder = tmp_path / "board"
    folder.mkdir()
    with host_prompt(folder) as found:
        yield found


@pytest.fixture
def small_application(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application of two files, so that a test sends no hundred kilobytes."""
    files = {"main.py": b"# loader", "hal.mpy": b"hal"}

    def deployment(board, settings):
        return Deployment(
            board=board, application=files, settings=settings, mpy_version=MPY_VERSION
        )

    monkeypatch.setattr("twinrig_board._deployment", deployment)


@pytest.mark.slow
def test_provision_identify_and_rotate(
    cli: Cli, site: Path, console: Console, tmp_path: Path
) -> None:
    where = ("--port", console.port, "--node", "pump-a", "--site", site)
    status, out, err = cli("provision", *where)
    assert status == 0, err
    key_file = tmp_path / "keys" / "pump-a.key"
    root = key_file.read_text().strip()
    assert re.search(r'public_key = "[0-9a-f]{64}"', out)
    assert root not in out
    assert root in (tmp_path / "board" / "node.key").read_text()

    status, out, _ = cli("identify", "--port", console.port)
    assert status == 0
    assert "node         pump-a" in out

    # Settings again: the keys stay what they are.
    status, out, _ = cli("provision", *where)
    assert status == 0
    assert "public_key" not in out
    assert key_file.read_text().strip() == root

    status, out, _ = cli("rotate-key", *where)
    assert status == 0
    assert "rotation 1" in out
    assert key_file.read_text().strip() != root
    assert key_file.read_text().strip() in (tmp_path / "board" / "node.key.b").read_text()


@pytest.mark.slow
def test_frames_that_wait_while_the_key_changes(
    cli: Cli, site: Path, console: Console, tmp_path: Path
) -> None:
    where = ("--port", console.port, "--node", "pump-a", "--site", site)
    board, state = tmp_path / "board", tmp_path / "state"
    assert cli("provision", *where)[0] == 0
    store_frames(board, range(5), 2)
    rotate = ("rotate-key", *where, "--state", state)
    refused(cli(*rotate), r"2 frames wait on the board.*name the gateway's state folder with --sta")
    state.mkdir()
    status, out, err = cli(*rotate)
    assert status == 0, err
    assert "2 stored frames keep the old key, which the gateway believes for them" in out
    assert '"before": 5' in (state / "rotations.json").read_text()
    # The first rotation is not over: its frames still wait.
    refused(cli(*rotate), "has a rotation of it that is not over")
    status, out, err = cli(*rotate, "--drop-stored-frames")
    assert status == 0, err
    assert "2 stored frames are given up" in out
    assert "rotation 2" in out
    store_frames(board, range(7, 12), 9)
    status, out, _ = cli("provision", *where, "--new-key")
    assert status == 0
    assert "what the board had counted, accepted and stored is gone" in out
    assert "2 stored frames are given up" in out


@pytest.mark.slow
def test_a_board_that_is_to_take_the_place_of_another_needs_a_word(
    cli: Cli, site: Path, console: Console, tmp_path: Path
) -> None:
    where = ("--port", console.port, "--node", "pump-a", "--site", site)
    key_file = tmp_path / "keys" / "pump-a.key"
    key_file.parent.mkdir()
    key_file.write_text("12" * 32)
    refused(cli("provision", *where), "is there already, and the board does not have that key")
    refused(cli("rotate-key", *where), "the board is no node")
    assert key_file.read_text() == "12" * 32
    status, out, err = cli("provision", *where, "--new-key")
    assert status == 0, err
    assert "public_key" in out
    assert key_file.read_text() != "12" * 32


@pytest.mark.slow
@pytest.mark.usefixtures("small_application")
def test_flash_says_done_only_after_the_board_has_answered(
    cli: Cli, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(bytes([0xE9, 1, 2, 0x20]) + bytes(10) + b"interpreter" * 999)
    with FakeEsp32Loader("esp32") as device:
        status, out, err = cli("flash", "esp32_devkit", "--port", device.port, "--image", image)
        assert status == 0, err
        assert "done: esp32_devkit has its interpreter and nothing else" in out
    # The loader is followed by no prompt here: the port that has one says which board it is.
    monkeypatch.setattr("boards.flash.flash_interpreter", lambda *arguments: "00" * 32)
    (tmp_path / "board").mkdir()
    with host_prompt(tmp_path / "board") as console:
        refused(
            cli(
                *("flash", "esp32_devkit", "--port", console.port, "--image", image),
                *("--node", "pump-a", "--site", site),
            ),
            "the board says 'linux .*', esp32_devkit says 'Generic ESP32 module with ESP32'",
        )
    assert not (tmp_path / "keys" / "pump-a.key").exists()


def test_what_flash_needs_is_said(cli: Cli, site: Path, tmp_path: Path) -> None:
    image = tmp_path / "image.bin"
    refused(cli("flash", "esp32_devkit"), r"say where it is with --port PORT \(esptool\); for")
    refused(
        cli("flash", "nucleo_f446re"),
        r"with --probe ID \(pyocd, dfu\) or with --port PORT \(an3155\); for the image, download "
        r"NUCLEO_F446RE.*\.hex from https://.* and put it into .*interpreters, or name one with",
    )
    refused(cli("flash", "host", "--port", "/dev/null"), "host is emulated")
    refused(
        cli("flash", "esp32_devkit", "--port", "/dev/ttyNONE", "--image", image),
        "cannot be read",
    )
    status, _, err = cli("flash", "esp32_devkit", "--port", "/dev/null", "--method", "magic")
    assert (status, "none of esptool" in err) == (2, True)
    status, _, err = cli("flash", "pybv11", "--probe", "1", "--node", "a", "--site", site)
    assert (status, "--node needs --port" in err) == (2, True)
    status, _, err = cli("flash", "pybv11", "--node", "pump-a")
    assert (status, "go together" in err) == (2, True)


def test_a_node_that_the_site_does_not_have(cli: Cli, site: Path) -> None:
    refused(
        cli("provision", "--port", "/dev/ttyNONE", "--node", "pump-z", "--site", site),
        "has no node 'pump-z': it has pump-a",
    )


def test_ports_that_are_held_or_not_there(cli: Cli, tmp_path: Path) -> None:
    port = tmp_path / "port"
    port.touch()
    with board_lock(port_key(str(port), None), "flash pybv11"):
        refused(cli("identify", "--port", port), r"is in use by process \d+ of .* \(flash pybv11")
    refused(cli("identify", "--port", "/dev/ttyNONE"), "is not there: `twinrig board scan`")
    refused(cli("console", "pybv11"), "is a real board: say where it is with --port")


def test_scan_lists_what_there_is(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    assert cli("scan") == (0, "no serial ports\n", "")


def test_build_all_leaves_out_what_is_not_built(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    monkeypatch.setattr(
        "boards.build.build", lambda board, content, progress: built.append(board.name)
    )
    status, _, _ = cli("build", "--all")
    assert status == 0
    assert {"host", "qemu_stm32f2"} <= set(built)
    assert not {"esp32_devkit", "pybv11"} & set(built)
