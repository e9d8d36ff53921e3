"""A node and a gateway in conversation: stored, receipted, commanded, rotated."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.clock import ManualClock
from gateway.commands import RequestState
from gateway.errors import KeyFileError, OperatorError
from gateway.keyfile import load_key
from gateway.receipts import PATIENCE_NS, SPACING_NS
from gateway.records import Rejected, Report, ReportKind, Verified
from gateway.sinks import store
from gateway.state import load_marks
from tests.gateway.nodes import FakeNode
from tests.gateway.plant import SECOND_NS, SITE, START_NS, make_site
from wire import commands, content, messages, status
from wire.keys import rotated_root

KEY = bytes(range(32))
SOUTH = SITE.partition("[opcua]")[0]
STORED = SOUTH + "[store]\n"


class Talk:
    """A started gateway, its node, and the time."""

    def __init__(self, gateway: Gateway, node: FakeNode, clock: ManualClock) -> None:
        self.gateway, self.node, self.clock = gateway, node, clock

    @property
    def now_ns(self) -> int:
        return self.clock.now_ns()

    def wait(self, later_ns: int) -> None:
        self.clock.advance_to(self.now_ns + later_ns)

    def say(self, value: float = 0.001) -> list:
        """Let the node send one reading; return what it leads to."""
        return self.hear(self.node.readings(self.now_ns, ("flow", "m3/s", value)))

    def hear(self, frame) -> list:
        return self.gateway.receive(frame, self.now_ns)

    def down(self, content_type: int) -> list[bytes]:
        """Return what is due of a type, as payloads."""
        frames = self.gateway.downlink(self.now_ns)
        return [
            self.node.open_command(frame)[1]
            for frame in self.node.commands_in(frames, content_type)
        ]

    def synchronise(self) -> None:
        """Let the node answer the time probe."""
        frames = self.gateway.downlink(self.now_ns)
        (probe,) = self.node.commands_in(frames, content.TIME_PROBE)
        self.hear(self.node.answer(probe, self.now_ns))

    def receipts(self) -> list[tuple[int, int]]:
        return [tuple(messages.decode_receipt(data)) for data in self.down(content.RECEIPT)]


@asynccontextmanager
async def talking(folder: Path, text: str = SOUTH, *, keys=None, node=None) -> AsyncIterator[Talk]:
    clock = ManualClock(START_NS)
    if node is None:
        node = FakeNode(name="a", key=KEY, boot_ns=START_NS - 5 * SECOND_NS, sequence=1)
    keys = {"a": KEY} if keys is None else keys
    gateway = Gateway(make_site(folder, text), clock, folder / "state", keys=keys or None)
    await gateway.start()
    try:
        yield Talk(gateway, node, clock)
    finally:
        await gateway.stop()


# --- receipts ------------------------------------------------------------------------------------


async def test_without_a_store_a_frame_is_receipted_when_it_is_in_the_outboxes(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as talk:
        talk.synchronise()
        assert talk.receipts() == [(0, 0)]
        for _ in range(3):
            talk.say()
        talk.wait(SPACING_NS)
        assert talk.receipts() == [(4, 0b111)], "the answer had number 1"


async def test_with_a_store_a_frame_is_receipted_when_it_is_committed(tmp_path: Path) -> None:
    async with talking(tmp_path, STORED) as talk:
        talk.synchronise()
        talk.receipts()
        talk.say()
        talk.wait(SPACING_NS)
        assert talk.receipts() == []
        await talk.gateway.drain()
        assert talk.receipts() == [(2, 1)]


async def test_a_store_that_fails_is_not_receipted_until_it_works_again(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(store, "_BUSY_TIMEOUT_S", 0.01)
    async with talking(tmp_path, STORED) as talk:
        talk.synchronise()
        talk.receipts()
        path = tmp_path / "state" / "store.sqlite3"
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        talk.say()
        await talk.gateway.drain()
        talk.wait(SPACING_NS)
        assert talk.receipts() == []
        other.close()
        await talk.gateway.drain()
        assert talk.receipts() == [(2, 1)]


async def test_what_a_crash_kept_out_of_the_store_may_come_again_and_nothing_else(
    tmp_path: Path,
) -> None:
    """No mark is written for what is not stored; what is stored is known by the store itself."""
    async with talking(tmp_path, STORED) as talk:
        first = talk.node.readings(START_NS, ("flow", "m3/s", 0.001))
        second = talk.node.readings(START_NS, ("flow", "m3/s", 0.002))
        talk.hear(first)
        await talk.gateway.drain()
        talk.hear(second)
        talk.gateway._save_marks()
        (mark,) = load_marks(tmp_path / "state")
        assert (mark.highest, mark.seen) == (1, 1)
        crashed = tmp_path / "crashed"
        (crashed / "state").mkdir(parents=True)
        for name in ("store.sqlite3", "store.sqlite3-wal", "replay-marks.json", "starts"):
            (crashed / "state" / name).write_bytes((tmp_path / "state" / name).read_bytes())
    # A second cut: even the marks of the first frame are gone.
    (crashed / "state" / "replay-marks.json").unlink()
    async with talking(crashed, STORED, node=talk.node) as talk:
        assert [type(talk.hear(frame)[0]) for frame in (first, second)] == [Rejected, Verified]


async def test_a_frame_sent_again_is_receipted_soon(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.synchronise()
        frame = talk.node.readings(talk.now_ns, ("flow", "m3/s", 0.001))
        talk.hear(frame)
        talk.wait(SPACING_NS)
        said = talk.receipts()
        talk.wait(SECOND_NS)
        assert talk.receipts() == []
        (rejected,) = talk.hear(frame)
        assert rejected.reason == "replayed"
        assert talk.receipts() == said


async def test_the_first_receipt_waits_for_the_clock_of_the_node(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.say()
        assert talk.receipts() == []
        talk.wait(PATIENCE_NS)
        assert talk.receipts() == [(1, 1)], "a node that never answers is not left waiting"


async def test_an_old_node_is_asked_the_time_and_nothing_else(tmp_path: Path) -> None:
    text = SOUTH.replace('key_file = "a.key"', 'key_file = "a.key"\nreceipts = false')
    async with talking(tmp_path, text) as talk:
        talk.synchronise()
        for _ in range(40):
            talk.say()
            talk.wait(SECOND_NS)
            frames = talk.gateway.downlink(talk.now_ns)
            types = {talk.node.open_command(frame)[0].content_type for _, frame in frames}
            assert types <= {content.TIME_PROBE}
        assert talk.gateway.ledger.adds_up()


# --- commands ------------------------------------------------------------------------------------


async def test_a_command_reaches_the_node_and_its_answer_who_asked(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        request = talk.gateway.request("a", commands.SET_RATE, {0: 50_000, 1: 20})
        (payload,) = talk.down(content.COMMAND)
        command = commands.decode_command(payload)
        assert command == (1, commands.SET_RATE, {0: 50_000, 1: 20})
        answer = commands.encode_command_answer(1, commands.DONE)
        _, report = talk.hear(talk.node.received(content.COMMAND_ANSWER, answer, talk.now_ns))
        assert report.kind is ReportKind.COMMAND_ANSWER
        assert request.was_obeyed
        talk.wait(60 * SECOND_NS)
        assert talk.down(content.COMMAND) == []


async def test_a_forged_answer_ends_no_command(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        request = talk.gateway.request("a", commands.RESTART, {})
        talk.down(content.COMMAND)
        forger = FakeNode(name="a", key=bytes(32), boot_ns=START_NS)
        answer = commands.encode_command_answer(1, commands.DONE)
        (rejected,) = talk.hear(forger.received(content.COMMAND_ANSWER, answer, talk.now_ns))
        assert rejected.reason == "bad_mac"
        assert request.state is RequestState.SENT


async def test_ids_follow_what_the_node_reports(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        payload = status.encode_status({"command_id": 9, "problems": ["x"]})
        records = talk.hear(talk.node.received(content.STATUS_RECORD, payload, talk.now_ns))
        assert [type(record) for record in records] == [Verified, Report]
        assert talk.gateway.request("a", commands.RESTART, {}).command_id == 10


# --- keys ----------------------------------------------------------------------------------------


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
