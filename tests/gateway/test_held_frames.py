"""Frames that wait for the clock of their boot, seen by store and node: none lost, none named."""

import sqlite3
from pathlib import Path

from gateway.records import Aligned, Rejected, Verified
from gateway.state import load_marks
from tests.gateway.plant import SECOND_NS
from tests.gateway.talk import STORED, Talk, talking

HOLDING = STORED.replace("hold_s = 0 ", "hold_s = 5 ")
PATIENCE_NS = 11 * SECOND_NS
"""Longer than a node without a clock waits for its first receipt."""


def stored_values(folder: Path) -> int:
    """Return how many values the store holds."""
    with sqlite3.connect(folder / "state" / "store.sqlite3") as store:
        return store.execute("SELECT count(*) FROM aligned").fetchone()[0]


def named(receipts: list[tuple[int, int]]) -> set[int]:
    """Return the numbers of frames that receipts say are stored."""
    return {
        highest - place for highest, seen in receipts for place in range(64) if seen >> place & 1
    }


def say_and_hold(talk: Talk):
    """Let the node send a frame that is held; return it."""
    frame = talk.node.readings(talk.now_ns, ("flow", "m3/s", 0.001))
    assert talk.hear(frame) == []
    return frame


async def test_no_receipt_names_a_frame_that_is_held(tmp_path: Path) -> None:
    async with talking(tmp_path, HOLDING) as talk:
        talk.receipts()
        say_and_hold(talk)
        talk.wait(4 * SECOND_NS)
        say_and_hold(talk)
        talk.wait(2 * SECOND_NS)
        (frame, _) = talk.gateway.tick(talk.now_ns)[:2]
        assert isinstance(frame, Verified), "the first one has waited long enough"
        await talk.gateway.drain()
        talk.wait(PATIENCE_NS - 6 * SECOND_NS)
        assert named(talk.receipts()) <= {frame.sequence}
    assert stored_values(tmp_path) == 1


async def test_a_frame_released_by_time_is_named_once_it_is_stored(tmp_path: Path) -> None:
    async with talking(tmp_path, HOLDING) as talk:
        talk.receipts()
        say_and_hold(talk)
        talk.wait(6 * SECOND_NS)
        frame, value = talk.gateway.tick(talk.now_ns)[:2]
        assert isinstance(value, Aligned)
        talk.wait(PATIENCE_NS)
        assert named(talk.receipts()) == set(), "the store has not committed it"
        await talk.gateway.drain()
        talk.wait(PATIENCE_NS)
        assert named(talk.receipts()) == {frame.sequence}
        assert stored_values(tmp_path) == 1


async def test_what_was_held_at_a_stop_is_taken_when_it_comes_again(tmp_path: Path) -> None:
    async with talking(tmp_path, HOLDING) as talk:
        frame = say_and_hold(talk)
    assert load_marks(tmp_path / "state") == []
    async with talking(tmp_path, HOLDING, node=talk.node) as talk:
        assert not any(isinstance(record, Rejected) for record in talk.hear(frame))
        talk.synchronise()
        await talk.gateway.drain()
        assert stored_values(tmp_path) == 1
        talk.wait(SECOND_NS)
        assert named(talk.receipts()) == {1}
