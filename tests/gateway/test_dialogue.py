"""A node and a gateway in conversation: stored, receipted, commanded."""

import sqlite3
from pathlib import Path

from gateway.commands import RequestState
from gateway.receipts import PATIENCE_NS, SPACING_NS
from gateway.records import Rejected, Report, ReportKind, Verified
from gateway.sinks import store
from gateway.state import load_marks
from tests.gateway.nodes import FakeNode
from tests.gateway.plant import SECOND_NS, START_NS
from tests.gateway.talk import SOUTH, STORED, talking
from wire import commands, content, status

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
        rejected, *_ = talk.hear(frame)
        assert rejected.reason == "replayed"
        assert talk.receipts() == said


async def test_the_first_receipt_waits_for_the_clock_of_the_node(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.say()
        assert talk.receipts() == []
        talk.wait(PATIENCE_NS)
        assert talk.receipts() == [(1, 1)], "a node that never answers is not left waiting"


async def test_a_board_with_a_new_key_is_told_nothing_of_the_one_before(tmp_path: Path) -> None:
    """Store and marks know later boots and higher numbers, of another root key."""
    async with talking(tmp_path, STORED) as talk:
        talk.node.boot_id, talk.node.sequence = 4, 900
        talk.say()
    board = FakeNode(name="a", key=bytes(32), boot_ns=START_NS - SECOND_NS)
    async with talking(tmp_path, STORED, keys={"a": bytes(32)}, node=board) as talk:
        talk.synchronise()
        assert talk.receipts() == [(0, 0)]
        assert isinstance(talk.say()[0], Verified)
        await talk.gateway.drain()
        talk.wait(SPACING_NS)
        assert talk.receipts() == [(1, 1)]


async def test_a_frame_of_a_boot_that_is_over_makes_no_receipt(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.node.boot_id = 4
        talk.synchronise()
        talk.receipts()
        talk.say()
        talk.wait(SPACING_NS)
        assert talk.receipts() == [(2, 1)]
        talk.node.boot_id = 1
        assert [talk.say()[0].reason for _ in range(20)] == ["stale_boot"] * 20
        talk.wait(SPACING_NS)
        assert talk.receipts() == []


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


async def test_what_drives_an_output_expires_on_the_node_when_it_does_here(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        act = {0: "valve", 1: 1.0, 2: 500}
        talk.gateway.request("a", commands.ACTUATE, act)
        (payload,) = talk.down(content.COMMAND)
        assert commands.decode_command(payload).arguments == act, "the clock is not known"
        answer = commands.encode_command_answer(1, commands.DONE)
        talk.hear(talk.node.received(content.COMMAND_ANSWER, answer, talk.now_ns))
        talk.wait(20 * SECOND_NS)
        talk.synchronise()
        talk.wait(SECOND_NS)
        talk.gateway.request("a", commands.ACTUATE, act, expires_s=30.0)
        (payload,) = talk.down(content.COMMAND)
        arguments = commands.decode_command(payload).arguments
        end_us = talk.node.tick_us(talk.now_ns + 30 * SECOND_NS)
        assert end_us - 10_000 <= arguments.pop(4) <= end_us
        assert arguments == act | {3: talk.node.boot_id}


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
