"""Settings and keys over the cable of a node at work: its watchdog, its files, its former life."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from boards.deploy import HELD_FILE
from boards.deploy_prompt import open_prompt
from boards.errors import BoardError, DeployError, PortError, ProvisionError
from boards.provision import KeyStore, NodeSecrets, key_file
from boards.provision_board import provision
from boards.rotation import board_key, root_id, rotate
from firmware.counters import Counters
from tests.boards.prompts import host_prompt
from tests.boards.test_flash import ignore
from tests.boards.test_retired import OLD, SEED, Flash, store_frames
from tests.boards.test_rotation import nothing_waits

NODE = SimpleNamespace(name="pump-a", sample_period_ms=10, block=5, channels=())
LOADER = b"# the loader\n"
ROUNDS = 10
"""Of a prompt, until the watchdog of the application that was stopped resets the board."""


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A node at work, with a watchdog."""
    folder = tmp_path / "board"
    folder.mkdir()
    (folder / "main.py").write_bytes(LOADER)
    (folder / "watchdog").write_text(str(ROUNDS))
    (folder / "node.json").write_bytes(b"{}")
    (folder / "node.key").write_bytes(key_file("pump-a", NodeSecrets(OLD, SEED)))
    return folder


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    store = KeyStore(tmp_path / "pump-a.key")
    store.path.write_text(OLD.hex())
    return store


def is_started(board: Path) -> bool:
    """Whether the next start is that of the node."""
    return (board / "main.py").exists() and not (board / HELD_FILE).exists()


@pytest.mark.slow
def test_the_watchdog_of_what_was_stopped_does_not_bite(board: Path, store: KeyStore) -> None:
    with host_prompt(board) as console:
        prompt = open_prompt(console.port)
        for _ in range(ROUNDS - 1):
            prompt.run("")
        with pytest.raises(DeployError, match="stopped answering"):
            prompt.run("")
        prompt.close()
        plan, _ = provision(console.port, NODE, store, ignore, new_key=False)
        assert plan.public_key is None
        assert is_started(board)
        plan, identity = provision(console.port, NODE, store, ignore, new_key=True)
        assert identity.node == "pump-a"
        assert is_started(board)
    assert json.loads((board / "node.key").read_text())["root"] == store.path.read_text().strip()


@pytest.mark.slow
def test_new_keys_are_a_new_life(board: Path, store: KeyStore) -> None:
    store_frames(board, range(5), 2)
    Counters(Flash(board)).start()
    for name in ("node.command.a", "node.key.b"):
        (board / name).write_bytes(b"former")
    with host_prompt(board) as console:
        plan, _ = provision(console.port, NODE, store, ignore, new_key=False)
        assert (plan.given_up, any(board.glob("spool.*"))) == (0, True), "the same life"
        plan, _ = provision(console.port, NODE, store, ignore, new_key=True)
        assert plan.given_up == 2
    files = {path.name for path in board.iterdir()}
    assert files == {"main.py", "watchdog", "node.json", "node.key"}


def cut(act: Callable[[Callable[..., None]], object], pull: Callable[[], None], after: int) -> bool:
    """Do `act` with a progress that pulls the cable in its n-th step; whether it came to that."""
    steps: list[int] = []

    def step(*_: object) -> None:
        steps.append(1)
        if len(steps) == after:
            pull()

    try:
        act(step)
    except (PortError, DeployError):
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("new_key", [False, True])
def test_a_cable_pulled_in_any_step_leaves_whole_files(
    board: Path, store: KeyStore, new_key: bool
) -> None:
    was_cut, after = True, 0
    while was_cut:
        after += 1
        (board / "node.json").write_bytes(b"{}")
        with host_prompt(board) as console:
            was_cut = cut(
                lambda step: provision(console.port, NODE, store, step, new_key=new_key),
                console.pull_cable,
                after,
            )
        assert json.loads((board / "node.json").read_text()).get("node", "pump-a") == "pump-a"
        for path in board.glob("node.key*"):
            assert len(json.loads(path.read_text())["check"]) == 16
        with host_prompt(board) as console:
            provision(console.port, NODE, store, ignore, new_key=new_key)
            assert is_started(board)
            prompt = open_prompt(console.port)
            key = board_key(prompt)
            prompt.close()
        assert key is not None
        assert key.root_id == root_id(store.read())
    assert after > 2


@pytest.mark.slow
def test_what_is_refused_starts_again(board: Path, store: KeyStore) -> None:
    store.path.write_text(SEED.hex())
    with host_prompt(board) as console:
        with pytest.raises(ProvisionError, match="say so with --new-key"):
            provision(console.port, NODE, store, ignore, new_key=False)
        assert is_started(board)
        (board / "node.json").unlink()
        (board / "node.json").mkdir()
        with pytest.raises(BoardError, match="the board says: OSError"):
            provision(console.port, NODE, store, ignore, new_key=True)
        assert is_started(board)
    assert store.read() == SEED


@pytest.mark.slow
def test_a_rotated_key_is_whole_before_it_has_its_name(board: Path, store: KeyStore) -> None:
    (board / "watchdog").unlink()
    (board / "twinrig.partial").mkdir()
    with host_prompt(board) as console:
        prompt = open_prompt(console.port)
        with pytest.raises(DeployError, match="the board says: OSError"):
            rotate(prompt, "pump-a", store, nothing_waits)
        assert not (board / "node.key.b").exists()
        (board / "twinrig.partial").rmdir()
        assert rotate(prompt, "pump-a", store, nothing_waits).key.epoch == 1
        prompt.close()
    assert not (board / "twinrig.partial").exists()
