"""A crash between any two writes of a rotation leaves keys with which the node is heard."""

import json
from pathlib import Path

import pytest

from gateway import rotation
from gateway.errors import KeyFileError, OperatorError
from gateway.keyfile import load_key
from gateway.rotation import KeyKeeper
from gateway.stages.keyring import NodeKeys, Retired
from wire.keys import rotated_root

OLD = bytes(range(32))


def make_key_file(folder: Path) -> Path:
    path = folder / "a.key"
    path.write_text(OLD.hex() + "\n")
    path.chmod(0o600)
    (folder / "state").mkdir(exist_ok=True)
    return path


def open_keeper(folder: Path) -> KeyKeeper:
    """Return a keeper as a start of the gateway makes it."""
    path = folder / "a.key"
    keeper = KeyKeeper({"a": load_key(path, "node a")}, {"a": path}, folder / "state")
    keeper.load()
    return keeper


def test_without_a_rotation_there_is_one_key(tmp_path: Path) -> None:
    make_key_file(tmp_path)
    assert open_keeper(tmp_path).load() == {"a": NodeKeys(root=OLD)}
    assert not (tmp_path / "state" / rotation.ROTATIONS).exists()


def test_a_whole_rotation(tmp_path: Path) -> None:
    path = make_key_file(tmp_path)
    keeper = open_keeper(tmp_path)
    epoch, salt, keys = keeper.begin("a")
    new = rotated_root(OLD, b"a", 1, salt)
    assert (epoch, keys) == (1, NodeKeys(root=OLD, following=new))
    assert keeper.begin("a")[:2] == (1, salt), "asked again, it is the same rotation"
    retired = Retired(root=OLD, before=20)
    keeper.keep("a", NodeKeys(root=new, retired=retired))
    assert keeper.epoch("a") == 1
    assert load_key(path, "node a") == new
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_keeper(tmp_path).load() == {"a": NodeKeys(root=new, retired=retired)}
    keeper.keep("a", NodeKeys(root=new))
    kept = (tmp_path / "state" / rotation.ROTATIONS).read_text()
    assert OLD.hex() not in kept, "the old key is forgotten"
    assert open_keeper(tmp_path).begin("a")[0] == 2


def test_the_state_is_private(tmp_path: Path) -> None:
    make_key_file(tmp_path)
    open_keeper(tmp_path).begin("a")
    assert (tmp_path / "state" / rotation.ROTATIONS).stat().st_mode & 0o777 == 0o600


class CrashError(Exception):
    """The power went."""


@pytest.mark.parametrize("writes", range(4))
def test_a_crash_after_any_write_leaves_the_key_of_the_node(
    tmp_path: Path, monkeypatch, writes: int
) -> None:
    """keep() writes the state, the key file, the state: the node has the new key in any case."""
    make_key_file(tmp_path)
    keeper = open_keeper(tmp_path)
    _, salt, _ = keeper.begin("a")
    new = rotated_root(OLD, b"a", 1, salt)
    left = [writes]
    state_write, key_write = rotation.replace_file, rotation.replace_key

    def counted(write):
        def wrapped(*args, **kwargs):
            if left[0] == 0:
                raise CrashError
            left[0] -= 1
            write(*args, **kwargs)

        return wrapped

    monkeypatch.setattr(rotation, "replace_file", counted(state_write))
    monkeypatch.setattr(rotation, "replace_key", counted(key_write))
    keys = NodeKeys(root=new, retired=Retired(root=OLD, before=20))
    if writes < 3:
        with pytest.raises(CrashError):
            keeper.keep("a", keys)
    else:
        keeper.keep("a", keys)
    monkeypatch.undo()
    found = open_keeper(tmp_path).load()["a"]
    roots = {found.root, found.following}
    if found.retired is not None:
        roots.add(found.retired.root)
    assert {OLD, new} <= roots
    later = open_keeper(tmp_path)
    later.keep("a", keys)
    assert later.load()["a"] == keys
    assert later.epoch("a") == 1


def test_a_rotation_that_the_node_refuses_is_over(tmp_path: Path) -> None:
    make_key_file(tmp_path)
    keeper = open_keeper(tmp_path)
    _, salt, _ = keeper.begin("a")
    given_up = keeper.give_up("a")
    assert given_up == NodeKeys(root=OLD)
    assert open_keeper(tmp_path).load()["a"].following is not None, "until it is kept"
    keeper.keep("a", given_up)
    assert open_keeper(tmp_path).load() == {"a": NodeKeys(root=OLD)}
    epoch, other_salt, _ = keeper.begin("a", epoch_heard=4)
    assert epoch == 5, "the node said where it stands"
    assert other_salt != salt


def test_no_rotation_begins_while_the_key_before_is_needed(tmp_path: Path) -> None:
    make_key_file(tmp_path)
    keeper = open_keeper(tmp_path)
    _, salt, _ = keeper.begin("a")
    new = rotated_root(OLD, b"a", 1, salt)
    keeper.keep("a", NodeKeys(root=new, retired=Retired(root=OLD, before=20)))
    for same in (keeper, open_keeper(tmp_path)):
        with pytest.raises(OperatorError, match="up to number 84 have come"):
            same.begin("a")
    keeper.keep("a", NodeKeys(root=new))
    assert keeper.begin("a")[0] == 2


def test_a_salt_that_the_disk_does_not_take_begins_nothing(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    make_key_file(tmp_path)
    keeper = open_keeper(tmp_path)
    monkeypatch.setattr(rotation, "replace_file", refuse)
    with pytest.raises(OperatorError):
        keeper.begin("a")
    assert keeper.load() == {"a": NodeKeys(root=OLD)}
    monkeypatch.undo()
    _, salt, keys = keeper.begin("a")
    assert open_keeper(tmp_path).load()["a"] == keys, "what is asked for is on the disk"
    assert keys.following == rotated_root(OLD, b"a", 1, salt)


def test_no_words_show_a_key(tmp_path: Path) -> None:
    keys = NodeKeys(root=OLD, following=OLD, retired=Retired(root=OLD, before=3))
    assert "before=3" in repr(keys)
    make_key_file(tmp_path)
    keeper = open_keeper(tmp_path)
    keeper.begin("a")
    shown = [repr(keys), str(keys), f"{keys.retired}", repr(keeper), repr(keeper._rotations)]
    row = {"epoch": OLD.hex(), "salt": "", "mark": "", "retired": None}
    for damaged in (row, row | {"epoch": 0, "retired": {"root": OLD.hex(), "before": "x"}}):
        (tmp_path / "state" / rotation.ROTATIONS).write_text(json.dumps({"a": damaged}))
        with pytest.raises(OperatorError) as caught:
            open_keeper(tmp_path)
        shown += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    for text in shown:
        assert OLD.hex() not in text
        assert repr(OLD)[2:-1] not in text


def test_given_keys_are_written_nowhere(tmp_path: Path) -> None:
    keeper = KeyKeeper({"a": OLD}, {}, tmp_path)
    keeper.load()
    _, salt, _ = keeper.begin("a")
    new = rotated_root(OLD, b"a", 1, salt)
    keeper.keep("a", NodeKeys(root=new))
    assert keeper.load()["a"].root == new
    assert [file.name for file in tmp_path.iterdir()] == [rotation.ROTATIONS]
    assert new.hex() not in (tmp_path / rotation.ROTATIONS).read_text()


def test_a_key_file_that_cannot_be_replaced_keeps_both_keys(tmp_path: Path, monkeypatch) -> None:
    make_key_file(tmp_path)
    keeper = open_keeper(tmp_path)
    _, salt, _ = keeper.begin("a")
    new = rotated_root(OLD, b"a", 1, salt)

    def refuse(*_args, **_kwargs):
        raise KeyFileError("a.key", "cannot be replaced", "make its folder writable")

    monkeypatch.setattr(rotation, "replace_key", refuse)
    with pytest.raises(KeyFileError):
        keeper.keep("a", NodeKeys(root=new))
    monkeypatch.undo()
    assert open_keeper(tmp_path).load()["a"] == NodeKeys(root=OLD, following=new)
    keeper.keep("a", NodeKeys(root=new))
    assert open_keeper(tmp_path).load()["a"] == NodeKeys(root=new)


def test_nodes_without_keys_cannot_rotate(tmp_path: Path) -> None:
    make_key_file(tmp_path)
    with pytest.raises(OperatorError, match="no node 'x' has keys here"):
        open_keeper(tmp_path).begin("x")


@pytest.mark.parametrize(
    "row",
    [
        3, {}, {"epoch": -1, "salt": "", "mark": "", "retired": None},
        {"epoch": 0, "salt": "00", "mark": "", "retired": None},
        {"epoch": 0, "salt": "zz", "mark": "", "retired": None},
        {"epoch": 0, "salt": "", "mark": "", "retired": {"root": "00", "before": 1}},
        {"epoch": 0, "salt": "", "mark": "", "retired": []},
    ],
)  # fmt: skip
def test_damaged_state_stops_the_start_with_a_remedy(tmp_path: Path, row: object) -> None:
    make_key_file(tmp_path)
    (tmp_path / "state" / rotation.ROTATIONS).write_text(json.dumps({"a": row}))
    with pytest.raises(OperatorError, match="provision the nodes that were being rotated"):
        open_keeper(tmp_path)
