"""What waits on a board when its keys change: believed under the old one, or given up aloud."""

import json
import socket
import stat
from pathlib import Path

import pytest

from boards import node_files
from boards.deploy_prompt import Prompt, open_prompt
from boards.errors import ProvisionError
from boards.new_life import forget
from boards.provision import KeyStore, NodeSecrets, key_file
from boards.retired import CONTROL_SOCKET, ROTATIONS_FILE, retiring
from boards.rotation import rotate
from boards.stored_frames import Waiting, drop, waiting
from firmware.spool import Spool
from gateway.control import SOCKET
from gateway.rotation import ROTATIONS, KeyKeeper
from gateway.stages.keyring import NodeKeys, Retired
from tests.boards.prompts import host_prompt

OLD = bytes(range(32))
SEED = bytes(range(32, 64))
THREE = Waiting(3, 42)


class Flash:
    """The file functions of a real board, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getattr__(self, name: str):
        act = getattr(node_files, name)
        return lambda file, *rest: act(str(self._folder / file), *rest)


def no_loss(*loss: int) -> tuple[int, bytes]:
    raise AssertionError(loss)


def store_frames(folder: Path, numbers: range, receipted: int) -> None:
    """Frames in segments of a few; the last two note the receipt up to `receipted`."""
    spool = Spool(Flash(folder), 16, 512, no_loss)
    spool.start()
    for number in numbers:
        if number == numbers[-2]:
            spool.forget(receipted)
        spool.put(number, bytes(100))


@pytest.fixture
def board(tmp_path: Path) -> Path:
    folder = tmp_path / "board"
    folder.mkdir()
    (folder / "node.key").write_bytes(key_file("pump-a", NodeSecrets(OLD, SEED)))
    return folder


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    store = KeyStore(tmp_path / "pump-a.key")
    store.path.write_text(OLD.hex())
    return store


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_frames_are_counted_as_the_firmware_counts_them(board: Path) -> None:
    with host_prompt(board) as console:
        prompt = open_prompt(console.port)
        assert waiting(prompt) == Waiting(0, -1)
        store_frames(board, range(20, 40), 27)
        again = Spool(Flash(board), 16, 512, no_loss)
        again.start()
        assert waiting(prompt) == Waiting(again.frames, again.newest) == Waiting(12, 39)
        # A torn tail is no frame; nor is what lies behind it.
        last = max(board.glob("spool.*"), key=lambda path: path.stat().st_mtime_ns)
        last.write_bytes(last.read_bytes()[:-1])
        assert waiting(prompt) == Waiting(11, 38)
        assert drop(prompt) == 11
        assert list(board.glob("spool.*")) == []
        prompt.close()


@pytest.mark.slow
def test_the_gateway_believes_the_old_key_for_what_waits(
    board: Path, store: KeyStore, state: Path
) -> None:
    store_frames(board, range(20, 40), 27)
    with host_prompt(board) as console:
        prompt = open_prompt(console.port)
        done = rotate(prompt, "pump-a", store, retiring("pump-a", state))
        prompt.close()
    assert (done.key.epoch, done.waiting, done.given_up) == (1, 12, 0)
    keeper = KeyKeeper({"pump-a": store.read()}, {"pump-a": store.path}, state)
    expected = NodeKeys(root=store.read(), retired=Retired(root=OLD, before=40))
    assert keeper.load() == {"pump-a": expected}
    assert stat.S_IMODE((state / ROTATIONS_FILE).stat().st_mode) == 0o600
    assert len(list(board.glob("spool.*"))) > 1


@pytest.mark.slow
def test_frames_are_given_up_only_when_that_is_said(
    board: Path, store: KeyStore, tmp_path: Path
) -> None:
    store_frames(board, range(20, 40), 27)
    with host_prompt(board) as console:
        prompt = open_prompt(console.port)
        retire = retiring("pump-a", tmp_path / "nowhere")
        with pytest.raises(ProvisionError, match=r"12 frames wait .* --drop-stored-frames"):
            rotate(prompt, "pump-a", store, retire)
        assert store.read() == OLD
        assert not (board / "node.key.b").exists()
        done = rotate(prompt, "pump-a", store, retire, drops_stored=True)
        prompt.close()
    assert (done.key.epoch, done.waiting, done.given_up) == (1, 0, 12)
    assert list(board.glob("spool.*")) == []


def test_the_names_are_the_gateways() -> None:
    assert (ROTATIONS_FILE, CONTROL_SOCKET) == (ROTATIONS, SOCKET)


def test_before_the_key_file_has_the_new_key_the_entry_means_nothing(state: Path) -> None:
    retiring("pump-a", state)(OLD, THREE)
    assert KeyKeeper({"pump-a": OLD}, {}, state).load() == {"pump-a": NodeKeys(root=OLD)}
    # The rotation that is completed says it again.
    retiring("pump-a", state)(OLD, Waiting(4, 43))
    keys = KeyKeeper({"pump-a": SEED}, {}, state).load()["pump-a"]
    assert keys.retired == Retired(root=OLD, before=44)


def test_other_nodes_keep_what_they_have(state: Path) -> None:
    keeper = KeyKeeper({"pump-a": OLD, "pump-b": OLD}, {}, state)
    keeper.load()
    _, _, asked = keeper.begin("pump-b")
    retiring("pump-a", state)(OLD, THREE)
    keys = KeyKeeper({"pump-a": SEED, "pump-b": OLD}, {}, state).load()
    assert keys["pump-b"] == asked
    assert keys["pump-a"].retired == Retired(root=OLD, before=43)


def test_a_rotation_that_is_not_over_is_in_the_way(state: Path) -> None:
    keeper = KeyKeeper({"pump-a": OLD}, {}, state)
    keeper.load()
    keeper.begin("pump-a")
    with pytest.raises(ProvisionError, match="has a rotation of it that is not over"):
        retiring("pump-a", state)(OLD, THREE)
    keeper.give_up("pump-a")
    keeper.keep("pump-a", NodeKeys(root=OLD, retired=Retired(root=SEED, before=7)))
    before = (state / ROTATIONS).read_text()
    with pytest.raises(ProvisionError, match="has a rotation of it that is not over"):
        retiring("pump-a", state)(OLD, THREE)
    assert (state / ROTATIONS).read_text() == before


def test_a_gateway_that_runs_would_overwrite_it(state: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gateway:
        gateway.bind(str(state / SOCKET))
        gateway.listen()
        with pytest.raises(ProvisionError, match=r"the gateway of .* runs; stop it"):
            retiring("pump-a", state)(OLD, THREE)
    # The socket of one that died is no gateway.
    retiring("pump-a", state)(OLD, THREE)
    assert json.loads((state / ROTATIONS).read_text())["pump-a"]["retired"]["before"] == 43


@pytest.mark.parametrize("text", ["", "[]", '{"pump-a": 1}', "\\x00"])
def test_a_state_that_cannot_be_read_is_left_as_it_is(state: Path, text: str) -> None:
    (state / ROTATIONS).write_text(text)
    with pytest.raises(ProvisionError, match="the rotations cannot be read"):
        retiring("pump-a", state)(OLD, THREE)
    assert (state / ROTATIONS).read_text() == text


class Ordered(Prompt):
    """Notes what is removed, in order."""

    def __init__(self, prompt: Prompt) -> None:
        super().__init__(prompt._transport)
        self.removed: list[str] = []

    def remove(self, name: str) -> None:
        self.removed.append(name)
        super().remove(name)


@pytest.mark.slow
def test_keys_go_before_what_was_counted_under_them(board: Path) -> None:
    store_frames(board, range(3), 0)
    names = ("node.key.b", "node.state.a", "node.state.b", "node.command.a", "node.command.b")
    for name in names:
        (board / name).write_bytes(b"former")
    (board / "node.json").write_bytes(b"{}")
    with host_prompt(board) as console:
        prompt = Ordered(open_prompt(console.port))
        assert forget(prompt) == 2, "frames 1 and 2"
        prompt.close()
    assert [path.name for path in board.iterdir()] == ["node.json"]
    assert prompt.removed[:2] == ["node.key", "node.key.b"], "a key would outlive its counters"
