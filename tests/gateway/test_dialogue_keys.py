"""A rotation of keys between node and gateway, whatever gets lost and whoever restarts."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.commands import RequestState
from gateway.errors import KeyFileError, OperatorError
from gateway.keyfile import load_key
from gateway.receipts import PATIENCE_NS
from gateway.records import Verified
from tests.gateway.plant import SECOND_NS
from tests.gateway.talk import KEY, Talk, talking
from wire import commands, content
from wire.errors import WireError
from wire.keys import rotated_root


def rotate(talk: Talk) -> commands.Command:
    """Have the gateway ask for a rotation; return what the node hears."""
    talk.gateway.rotate_key("a")
    (payload,) = talk.down(content.COMMAND)
    return commands.decode_command(payload)


def new_root(command: commands.Command) -> bytes:
    return rotated_root(KEY, b"a", 1, command.arguments[1])


def answer_rotation(talk: Talk, command: commands.Command, result: int) -> None:
    answer = commands.encode_command_answer(command.command_id, result)
    talk.hear(talk.node.received(content.COMMAND_ANSWER, answer, talk.now_ns))


def under(talk: Talk, *keys: bytes) -> list[set[int]]:
    """Return which types of messages are due now, under each of some root keys."""
    found: list[set[int]] = [set() for _ in keys]
    for _, frame in talk.gateway.downlink(talk.now_ns):
        for key, types in zip(keys, found, strict=True):
            with suppress(WireError):
                types.add(replace(talk.node, key=key).open_command(frame)[0].content_type)
    return found


async def test_keys_rotate_while_frames_of_the_old_key_are_under_way(tmp_path: Path) -> None:
    key_file = tmp_path / "a.key"
    key_file.write_text(KEY.hex())
    key_file.chmod(0o600)
    async with talking(tmp_path, keys={}) as talk:
        node = talk.node
        stored = [node.readings(talk.now_ns, ("flow", "m3/s", 0.001)) for _ in range(3)]
        request = talk.gateway.rotate_key("a")
        (payload,) = talk.down(content.COMMAND)
        command = commands.decode_command(payload)
        assert (command.verb, command.arguments[0]) == (commands.ROTATE_KEY, 1)
        answer = commands.encode_command_answer(command.command_id, commands.DONE)
        talk.hear(node.received(content.COMMAND_ANSWER, answer, talk.now_ns))
        assert request.was_obeyed
        assert load_key(key_file, "a") == KEY, "the node has not used the new key yet"
        new = rotated_root(KEY, b"a", 1, command.arguments[1])
        node.key = new
        assert isinstance(talk.say()[0], Verified)
        assert load_key(key_file, "a") == new
        assert [type(talk.hear(frame)[0]) for frame in stored] == [Verified] * 3
        talk.wait(20 * SECOND_NS)
        assert talk.down(content.TIME_PROBE), "the node hears us under its new key"
        node.key = KEY
        assert talk.say()[0].reason == "bad_mac", "nothing new under the old key"
        assert talk.gateway.ledger.adds_up()
    async with talking(tmp_path, keys={}, node=node) as talk:
        node.key = new
        assert isinstance(talk.say()[0], Verified)


async def test_a_lost_answer_to_a_rotation_harms_nobody(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        request = talk.gateway.rotate_key("a")
        (payload,) = talk.down(content.COMMAND)
        command = commands.decode_command(payload)
        talk.node.key = rotated_root(KEY, b"a", 1, command.arguments[1])
        talk.say()
        talk.wait(60 * SECOND_NS)
        (again,) = talk.down(content.COMMAND)
        assert again == payload, "sealed under the new key now"
        answer = commands.encode_command_answer(command.command_id, commands.DONE, "repeated")
        talk.hear(talk.node.received(content.COMMAND_ANSWER, answer, talk.now_ns))
        assert request.was_obeyed


async def test_a_refused_rotation_leaves_one_key(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.gateway.rotate_key("a")
        (payload,) = talk.down(content.COMMAND)
        command = commands.decode_command(payload)
        answer = commands.encode_command_answer(command.command_id, commands.REFUSED)
        talk.hear(talk.node.received(content.COMMAND_ANSWER, answer, talk.now_ns))
        talk.node.key = rotated_root(KEY, b"a", 1, command.arguments[1])
        assert talk.say()[0].reason == "bad_mac"


async def test_after_its_answer_a_node_hears_all_under_the_new_key(tmp_path: Path) -> None:
    """Frames that it stored come under the old key, and none of them may be waited for."""
    async with talking(tmp_path) as talk:
        talk.synchronise()
        talk.receipts()
        command = rotate(talk)
        stored = [talk.node.readings(talk.now_ns, ("flow", "m3/s", 0.001)) for _ in range(3)]
        answer_rotation(talk, command, commands.DONE)
        for frame in stored:
            assert isinstance(talk.hear(frame)[0], Verified)
        talk.wait(20 * SECOND_NS)
        keys = (new_root(command), KEY)
        assert under(talk, *keys) == [{content.TIME_PROBE, content.RECEIPT}, {content.RECEIPT}]


async def test_while_a_rotation_is_unanswered_receipts_go_under_both_keys(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.synchronise()
        talk.receipts()
        command = rotate(talk)
        talk.say()
        talk.wait(20 * SECOND_NS)
        keys = (KEY, new_root(command))
        assert under(talk, *keys) == [
            {content.TIME_PROBE, content.RECEIPT, content.COMMAND}, {content.RECEIPT},
        ]  # fmt: skip
        talk.node.key = new_root(command)
        talk.say()
        talk.wait(60 * SECOND_NS)
        assert under(talk, *keys) == [
            set(), {content.TIME_PROBE, content.RECEIPT, content.COMMAND},
        ]  # fmt: skip
        assert talk.gateway.ledger.adds_up()


async def test_a_gateway_that_starts_amid_a_rotation_goes_on_with_both_keys(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.synchronise()
        talk.receipts()
        command = rotate(talk)
        answer_rotation(talk, command, commands.DONE)
    async with talking(tmp_path, node=talk.node) as talk:
        talk.gateway.downlink(talk.now_ns)
        talk.wait(PATIENCE_NS)
        (_, of_new) = under(talk, KEY, new_root(command))
        assert of_new == {content.RECEIPT}


async def test_a_rotation_that_failed_leaves_both_keys_until_the_node_starts_anew(
    tmp_path: Path,
) -> None:
    """A flash may say that it did not take the key, and have it."""
    for has_new in (True, False):
        folder = tmp_path / str(has_new)
        folder.mkdir()
        async with talking(folder) as talk:
            command = rotate(talk)
            answer_rotation(talk, command, commands.FAILED)
            assert isinstance(talk.say()[0], Verified), "until it restarts it has the old one"
            talk.node.boot_id += 1
            talk.node.key = new_root(command) if has_new else KEY
            assert isinstance(talk.say()[0], Verified)
            talk.node.key = KEY if has_new else new_root(command)
            assert talk.say()[0].reason == "bad_mac", "a frame has told which one it is"


async def test_a_refusal_under_the_new_key_ends_the_doubt_about_it(tmp_path: Path) -> None:
    """The node had rotated, its answer got lost, and it was asked again as by another command."""
    async with talking(tmp_path) as talk:
        command = rotate(talk)
        talk.node.key = new_root(command)
        answer_rotation(talk, command, commands.REFUSED)
        assert isinstance(talk.say()[0], Verified)
        talk.wait(20 * SECOND_NS)
        assert under(talk, talk.node.key) == [{content.TIME_PROBE, content.RECEIPT}]


async def test_a_second_rotation_waits_for_the_first(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.node.key = new_root(rotate(talk))
        talk.say()
        with pytest.raises(OperatorError, match="the rotation before is not over"):
            talk.gateway.rotate_key("a")
        assert isinstance(talk.say()[0], Verified)


async def test_a_full_disk_stops_no_conversation(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_args, **_kwargs) -> None:
        raise OSError(28, "No space left on device")

    async with talking(tmp_path) as talk:
        command = rotate(talk)
        late = talk.gateway.request("a", commands.RESTART, {}, expires_s=5.0)
        for module in ("commands", "rotation"):
            monkeypatch.setattr(f"gateway.{module}.replace_file", refuse)
        answer_rotation(talk, command, commands.REFUSED)
        talk.wait(20 * SECOND_NS)
        assert talk.down(content.TIME_PROBE)
        assert late.state is RequestState.EXPIRED
        with pytest.raises(OperatorError, match="cannot be kept"):
            talk.gateway.request("a", commands.RESTART, {})
        talk.wait(20 * SECOND_NS)
        assert talk.down(content.COMMAND) == [], "who asked was told that nothing is sent"
        monkeypatch.undo()
        talk.wait(20 * SECOND_NS)
        talk.gateway.downlink(talk.now_ns)
        assert json.loads((tmp_path / "state" / "rotations.json").read_text())["a"]["salt"] == ""
        assert json.loads((tmp_path / "state" / "commands.json").read_text())["a"]["waiting"] == []


async def test_a_rotation_by_hand_is_refused(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        with pytest.raises(OperatorError, match="by rotating it"):
            talk.gateway.request("a", commands.ROTATE_KEY, {0: 1, 1: bytes(32)})
        with pytest.raises(OperatorError, match="no node 'x'"):
            talk.gateway.rotate_key("x")


async def test_a_key_the_disk_does_not_take_is_tried_again(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_args) -> None:
        raise KeyFileError("a.key", "cannot be replaced", "free some space")

    key_file = tmp_path / "a.key"
    key_file.write_text(KEY.hex())
    key_file.chmod(0o600)
    async with talking(tmp_path, keys={}) as talk:
        talk.gateway.rotate_key("a")
        (payload,) = talk.down(content.COMMAND)
        new = rotated_root(KEY, b"a", 1, commands.decode_command(payload).arguments[1])
        talk.node.key = new
        monkeypatch.setattr("gateway.rotation.replace_key", refuse)
        assert isinstance(talk.say()[0], Verified)
        assert load_key(key_file, "a") == KEY
        monkeypatch.undo()
        talk.wait(60 * SECOND_NS)
        talk.gateway.downlink(talk.now_ns)
        assert load_key(key_file, "a") == new
