"""A new root key over the cable: pulled at whatever moment, running it again is enough."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from boards.deploy_prompt import Prompt, open_prompt
from boards.errors import BoardError, ProvisionError
from boards.provision import KeyStore, NodeSecrets, key_file
from boards.rotation import board_key, root_id, rotate
from boards.stored_frames import Waiting
from firmware import keyfile
from tests.boards.prompts import host_prompt

SEED = bytes(range(32, 64))
EXCHANGES = 8


def nothing_waits(_root: bytes, found: Waiting) -> None:
    """The `retire` of boards without stored frames."""
    pytest.fail(f"there is nothing to believe an old key for: {found}")


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    """The gateway's key of a node that the folder `board` is provisioned with."""
    store = KeyStore(tmp_path / "pump-a.key")
    root = store.prepare()
    store.commit(replaces=False)
    board = tmp_path / "board"
    board.mkdir()
    (board / "node.key").write_bytes(key_file("pump-a", NodeSecrets(root, SEED)))
    return store


def on_board(store: KeyStore) -> keyfile.Identity:
    """What the firmware would start with."""
    folder = store.path.parent / "board"

    def read_file(name: str) -> bytes:
        if not (folder / name).exists():
            raise OSError(2)
        return (folder / name).read_bytes()

    return keyfile.load(SimpleNamespace(read_file=read_file))


@pytest.mark.slow
def test_three_rotations_one_after_the_other(store: KeyStore) -> None:
    roots = {store.read()}
    with host_prompt(store.path.parent / "board") as console:
        prompt = open_prompt(console.port)
        for epoch in (1, 2, 3):
            after = rotate(prompt, "pump-a", store, nothing_waits).key
            assert (after.epoch, after.root_id) == (epoch, root_id(store.read()))
            assert on_board(store) == ("pump-a", store.read(), SEED, epoch)
            roots.add(store.read())
        prompt.close()
    assert len(roots) == 4
    assert not store.pending.exists()


class Interrupted(BoardError):  # noqa: N818
    """The cable was pulled."""


class Cable:
    """A prompt whose cable is pulled before (or just after) its n-th exchange."""

    def __init__(self, prompt: Prompt, exchanges: int, *, is_done: bool) -> None:
        self._prompt = prompt
        self._left = exchanges
        self._is_done = is_done
        self.port = prompt.port

    def run(self, code: str, timeout_s: float = 15.0) -> str:
        return self._count(self._prompt.run, code, timeout_s)

    def ask(self, expression: str, timeout_s: float = 15.0) -> object:
        return self._count(self._prompt.ask, expression, timeout_s)

    def _count(self, act, *arguments):
        self._left -= 1
        if self._left == 0:
            if self._is_done:
                act(*arguments)
            raise Interrupted("pulled")
        return act(*arguments)


@pytest.mark.slow
def test_a_cable_pulled_at_any_exchange(store: KeyStore) -> None:
    with host_prompt(store.path.parent / "board") as console:
        prompt = open_prompt(console.port)
        epoch = 0
        for exchanges in range(1, EXCHANGES):
            for is_done in (False, True):
                with pytest.raises(Interrupted):
                    rotate(
                        Cable(prompt, exchanges, is_done=is_done), "pump-a", store, nothing_waits
                    )
                # The gateway always knows the key that the board has.
                known = {store.read()}
                if store.pending.exists():
                    known.add(bytes.fromhex(store.pending.read_text()))
                assert on_board(store).root in known
                epoch += 1
                after = rotate(prompt, "pump-a", store, nothing_waits).key
                assert after.epoch == epoch
                assert on_board(store).root == store.read()
                assert not store.pending.exists()
        prompt.close()


@pytest.mark.slow
def test_a_write_that_was_cut_leaves_the_old_key(store: KeyStore) -> None:
    board = store.path.parent / "board"
    with host_prompt(board) as console:
        prompt = open_prompt(console.port)
        (board / "node.key.b").write_bytes(key_file("pump-a", NodeSecrets(SEED, SEED, 9))[:50])
        key = board_key(prompt)
        assert key is not None
        assert (key.epoch, key.root_id) == (0, root_id(store.read()))
        assert rotate(prompt, "pump-a", store, nothing_waits).key.epoch == 1
        prompt.close()


@pytest.mark.slow
def test_the_wrong_node_and_a_key_that_nobody_knows(store: KeyStore) -> None:
    board = store.path.parent / "board"
    with host_prompt(board) as console:
        prompt = open_prompt(console.port)
        with pytest.raises(ProvisionError, match="the board is 'pump-a', not 'pump-b'"):
            rotate(prompt, "pump-b", store, nothing_waits)
        (board / "node.key").write_bytes(key_file("pump-a", NodeSecrets(SEED, SEED)))
        with pytest.raises(ProvisionError, match=r"neither .* nor the next one"):
            rotate(prompt, "pump-a", store, nothing_waits)
        table = json.loads((board / "node.key").read_text())
        (board / "node.key").write_text(json.dumps(table | {"epoch": 7}))
        with pytest.raises(ProvisionError, match="the board is no node"):
            rotate(prompt, "pump-a", store, nothing_waits)
        prompt.close()


def test_an_id_tells_keys_apart_and_nothing_else() -> None:
    first, second = bytes(32), bytes(31) + b"\1"
    assert root_id(first) != root_id(second)
    assert len(root_id(first)) == 16
    assert first.hex()[:16] not in root_id(first)
