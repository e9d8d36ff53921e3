"""mpremote's own transport against two prompts: the unix port's and that of an emulated STM32.

No board was at hand.  `host` is real MicroPython with a real file system behind a raw prompt of our
own (raw_prompt.py); `qemu_stm32f2` is MicroPython's own raw REPL, with files in its RAM.
"""

import hashlib
import json
from pathlib import Path

import pytest

from boards.catalog import load_board
from boards.deploy import Deployment, check_start, deploy, needed_files, send
from boards.deploy_prompt import open_prompt
from boards.errors import DeployError, IdentityError, PortError
from boards.flash import check_keys
from boards.identity import Identity, ask_identity, check_board
from boards.mpy import MPY_VERSION, compile_files
from boards.provision import NodeSecrets, key_file
from tests.boards.fake_stm32_loader import FakeStm32Loader
from tests.boards.prompts import host_prompt, qemu_prompt
from tests.boards.test_flash import ignore

HOST = load_board("host")
SECRETS = NodeSecrets(bytes(range(32)), bytes(range(32, 64)))
APPLICATION = {
    "main.py": b"# the loader\n",
    "hal.mpy": b"hal" * 99,
    "wire/cose.mpy": bytes(range(256)) * 12,
    "drivers/__init__.mpy": b"package",
    "drivers/tmp117/driver.mpy": b"temperature" * 50,
    "drivers/ina226/driver.mpy": b"current" * 50,
}
NODE = {"node": "pump-a", "channels": [{"part": "tmp117"}], "waveforms": []}
SETTINGS = {
    "node.json": json.dumps(NODE).encode(),
    "node.key": key_file("pump-a", SECRETS),
}
CHOSEN = set(APPLICATION) - {"main.py", "drivers/ina226/driver.mpy"}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here takes seconds to start."""
    monkeypatch.setattr("boards.deploy.START_S", 0.0)


def deployment(board=HOST, settings=SETTINGS) -> Deployment:
    return Deployment(
        board=board, application=APPLICATION, settings=settings, mpy_version=MPY_VERSION
    )


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_a_whole_node_and_then_only_what_has_changed(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    with host_prompt(tmp_path) as console:
        identity = deploy(console.port, deployment(), lambda *step: steps.append(step))
        check_keys(identity, SETTINGS)
        expected = {f"a/{name}": APPLICATION[name] for name in CHOSEN}
        expected |= SETTINGS | {"main.py": APPLICATION["main.py"]}
        assert files_in(tmp_path) == expected
        names = list(dict.fromkeys(step for step, _, _ in steps))
        assert names[-3:] == ["sending main.py", "files compared", "waiting for its first seconds"]
        # Left from an older version, from an update and from a rotation: gone.
        for name in ("a/wire/old.mpy", "update.state.a", "node.key.b"):
            (tmp_path / name).write_bytes(b"x")
        (tmp_path / "node.state.a").write_bytes(b"counters")
        steps.clear()
        deploy(console.port, deployment(), lambda *step: steps.append(step))
        assert files_in(tmp_path) == expected | {"node.state.a": b"counters"}
        names = list(dict.fromkeys(step for step, _, _ in steps))
        assert names == ["sending main.py", "files compared", "waiting for its first seconds"]


@pytest.mark.slow
def test_another_key_is_another_life(tmp_path: Path) -> None:
    (tmp_path / "node.key").write_bytes(key_file("pump-a", NodeSecrets(bytes(32), bytes(32))))
    for name in ("node.state.a", "node.command.b", "spool.00"):
        (tmp_path / name).write_bytes(b"former")
    with host_prompt(tmp_path) as console:
        deploy(console.port, deployment(), ignore)
    expected = {f"a/{name}": APPLICATION[name] for name in CHOSEN}
    assert files_in(tmp_path) == expected | SETTINGS | {"main.py": APPLICATION["main.py"]}


@pytest.mark.slow
def test_a_cable_pulled_half_way_and_then_a_second_try(tmp_path: Path) -> None:
    with (
        host_prompt(tmp_path) as console,
        pytest.raises((PortError, DeployError), match=r"went away|stopped answering"),
    ):
        deploy(
            console.port,
            deployment(),
            lambda step, done, total: console.pull_cable() if done > total // 2 else None,
        )
    assert "main.py" not in files_in(tmp_path), "a part of an application would start"
    with host_prompt(tmp_path) as console:
        deploy(console.port, deployment(), ignore)
    assert files_in(tmp_path)["main.py"] == APPLICATION["main.py"]


@pytest.mark.slow
def test_a_node_that_dies_at_its_start_is_not_done(tmp_path: Path) -> None:
    with host_prompt(tmp_path) as console:
        deploy(console.port, deployment(), ignore)
        (tmp_path / "crash.log").write_text("in folder a: Traceback\nMemoryError: 3371 bytes\n")
        with pytest.raises(DeployError, match="does not start: MemoryError: 3371 bytes"):
            check_start(console.port)


@pytest.mark.slow
def test_a_board_with_the_application_in_its_image_gets_its_settings(tmp_path: Path) -> None:
    (tmp_path / "frozen_files.py").write_text("FILES = (('firmware/main.py', b''),)\n")
    with host_prompt(tmp_path) as console:
        deploy(console.port, deployment(), ignore)
    written = files_in(tmp_path)
    del written["frozen_files.py"]
    assert written == SETTINGS | {"main.py": b"import firmware.main\n"}


@pytest.mark.slow
def test_the_wrong_board_and_the_wrong_interpreter_are_left_as_they_were(tmp_path: Path) -> None:
    with host_prompt(tmp_path) as console:
        with pytest.raises(IdentityError, match="esp32_devkit says 'Generic ESP32 module"):
            deploy(console.port, deployment(load_board("esp32_devkit")), ignore)
        other = HOST.model_copy(update={"mpy_arch": "xtensawin"})
        with pytest.raises(IdentityError, match=r"for x64, our files are 6\.3 for xtensawin"):
            deploy(console.port, deployment(other), ignore)
    assert files_in(tmp_path) == {}


@pytest.mark.slow
def test_files_that_do_not_fit_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Identity(
        **dict.fromkeys(("name", "version", "machine"), "x"),
        **dict.fromkeys(("unique_id", "node", "key_check")),
        mpy=0,
        free_bytes=16_999,
    )
    monkeypatch.setattr("boards.deploy.ask_identity", lambda prompt: full)
    with host_prompt(tmp_path) as console:
        prompt = open_prompt(console.port)
        with pytest.raises(DeployError, match="1000 bytes of files and 16384 to work with do not"):
            send(prompt, {"a/big": bytes(1000)}, ignore)
        prompt.close()
    assert files_in(tmp_path) == {}


@pytest.mark.slow
def test_what_the_board_says_is_passed_on_without_what_was_sent(tmp_path: Path) -> None:
    with host_prompt(tmp_path) as console:
        prompt = open_prompt(console.port)
        with pytest.raises(DeployError, match="the board says: ZeroDivisionError") as refusal:
            prompt.run("secret = 1\nsecret / 0")
        assert "secret" not in str(refusal.value)
        prompt.run("class json: dumps = str")
        with pytest.raises(DeployError, match="the answer is no JSON"):
            prompt.ask("'text'")
        with pytest.raises(DeployError, match="no/such/folder was not written"):
            prompt.put("no/such/folder", b"x", lambda done: None)
        prompt.close()


@pytest.mark.slow
def test_a_port_without_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boards.deploy_prompt._PROMPT_S", 0.1)
    monkeypatch.setattr("boards.deploy_prompt._READ_S", 0.1)
    with (
        FakeStm32Loader(is_mute=True) as device,
        pytest.raises(DeployError, match="no MicroPython prompt answers"),
    ):
        open_prompt(device.port)
    with pytest.raises(PortError, match="is not there"):
        open_prompt("/dev/ttyNONE")


def test_only_the_drivers_of_the_nodes_chips_are_sent() -> None:
    assert set(needed_files(APPLICATION, SETTINGS)) == CHOSEN | {"main.py"}
    assert needed_files(APPLICATION, {}) == APPLICATION


@pytest.mark.parametrize(
    ("interpreter", "files", "runs"),
    [(7, "armv7emsp", True), (7, "armv6m", True), (5, "armv7emsp", False), (10, "armv7m", False)],
)
def test_which_native_code_runs_where(interpreter: int, files: str, runs: bool) -> None:
    board = HOST.model_copy(update={"mpy_arch": files})
    identity = Identity(
        **dict.fromkeys(("name", "version", "machine"), "x"),
        **dict.fromkeys(("unique_id", "node", "key_check", "free_bytes")),
        mpy=interpreter << 10 | 3 << 8 | 6,
    )
    if runs:
        check_board(board, identity, (6, 3))
    else:
        with pytest.raises(IdentityError, match="flash the stock image"):
            check_board(board, identity, (6, 3))


@pytest.mark.slow
def test_an_emulated_stm32_takes_files_and_runs_them(tmp_path: Path) -> None:
    board = load_board("qemu_stm32f2")
    source = Path(__file__).parents[2]
    names = ("wire/__init__.py", "wire/cobs.py", "wire/errors.py", "wire/kernel.py")
    compiled = dict(compile_files(board, [(source, name) for name in names]))
    contents = {f"a/{name}": content for name, content in compiled.items()}
    with qemu_prompt("qemu_stm32f2", tmp_path) as port:
        prompt = open_prompt(port)
        prompt.run(Path(__file__).with_name("ram_files.py").read_text())
        identity = ask_identity(prompt)
        check_board(board, identity, MPY_VERSION)
        assert identity.machine == "netduino2 with STM32"
        assert identity.node is None
        send(prompt, contents, ignore)
        assert set(prompt.list_files("a")) == set(contents)
        for name, content in contents.items():
            assert prompt.hash_of(name) == hashlib.sha256(content).hexdigest()
        prompt.run("import sys\nsys.path.insert(0, '/a')\nfrom wire import cobs")
        assert prompt.ask("cobs.__file__") == "/a/wire/cobs.mpy"
        prompt.close()
