"""Connections: every move is in the table, every wait ends, every failure leads to a new try."""

import asyncio
import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import ManualClock, give_way
from gateway.errors import InternalError, LinkError
from gateway.links.supervisor import (
    TRANSITIONS,
    Backoff,
    LinkEvent,
    LinkState,
    Supervision,
    default_backoff,
    honour_cancellation,
    supervise,
)
from tests.gateway.plant import background

NO_DEADLINES = {"connect_s": 1000, "silence_s": None}


def supervision(seed: int = 1) -> Supervision:
    return Supervision("test", default_backoff(random.Random(seed)))


def test_every_state_can_be_stopped_and_only_known_states_appear() -> None:
    for state in LinkState:
        assert TRANSITIONS[state, LinkEvent.STOP] is LinkState.STOPPED
    assert {state for state, _ in TRANSITIONS} <= set(LinkState)


def test_impossible_moves_are_our_bug() -> None:
    link = supervision()
    with pytest.raises(InternalError, match="data is impossible in idle"):
        link.data()
    link.attempt()
    with pytest.raises(InternalError, match="attempt is impossible in connecting"):
        link.attempt()


def test_the_life_of_a_link() -> None:
    link = supervision()
    assert link.may_attempt(0)
    link.attempt()
    assert not link.may_attempt(0)
    link.failed(1000, "refused")
    assert link.state is LinkState.BACKING_OFF
    assert not link.may_attempt(link.retry_at_ns - 1)
    assert link.may_attempt(link.retry_at_ns)
    link.attempt()
    link.accepted()
    assert link.state is LinkState.CONNECTED
    link.data()
    link.data()
    assert link.state is LinkState.ONLINE
    link.failed(2000, "silent")
    link.stop()
    assert (link.state, link.attempts, link.last_failure) == (LinkState.STOPPED, 2, "silent")


@settings(derandomize=True, deadline=None, max_examples=50)
@given(
    first_ns=st.integers(1, 10**9),
    factor=st.integers(1, 1000),
    seed=st.integers(0, 1000),
    failures=st.integers(1, 200),
)
def test_pauses_grow_but_never_beyond_their_limit(
    first_ns: int, factor: int, seed: int, failures: int
) -> None:
    longest_ns = first_ns * factor
    backoff = Backoff(first_ns, longest_ns, random.Random(seed))
    for failure in range(failures):
        ceiling_ns = min(first_ns * 2**failure, longest_ns)
        assert ceiling_ns // 2 <= backoff.pause_ns() <= ceiling_ns
    backoff.reset()
    assert backoff.pause_ns() <= first_ns


def test_the_same_seed_gives_the_same_pauses() -> None:
    pauses = [
        [default_backoff(random.Random(seed)).pause_ns() for _ in range(5)] for seed in (7, 7, 8)
    ]
    assert pauses[0] == pauses[1] != pauses[2]


class Scripted:
    """A connection whose lives follow a script; reports each life it begins."""

    def __init__(self, *lives: str) -> None:
        self.lives = list(lives)
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.open = False
        self.closed = 0

    async def connect(self) -> None:
        life = self.lives.pop(0) if self.lives else "never"
        self.begun.put_nowait(life)
        if life == "refused":
            raise ConnectionRefusedError("refused")
        if life == "hangs":
            await asyncio.Event().wait()
        self.life = life
        self.open = True

    async def serve(self, proof_of_life) -> None:
        if self.life == "bug":
            raise InternalError("a bug")
        if self.life == "ends":
            return
        if self.life == "breaks":
            proof_of_life()
            raise LinkError("n", "test", "cable out")
        if self.life == "silent after data":
            proof_of_life()
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.open = False
        self.closed += 1


async def run_lives(*lives: str) -> tuple[list[str], Supervision, Scripted]:
    """Run a script to its end in virtual time; return why each life ended."""
    connection, link, clock = Scripted(*lives), supervision(), ManualClock()
    reasons: list[str] = []
    async with background(supervise(connection, link, clock, connect_s=0.02, silence_s=0.02)):
        for life in lives:
            assert await connection.begun.get() == life
            while link.state is not LinkState.BACKING_OFF:
                await give_way()
            reasons.append(link.last_failure)
            clock.advance_to(link.retry_at_ns)
        assert await connection.begun.get() == "never"
    return reasons, link, connection


async def test_every_expected_end_of_a_connection_leads_to_the_next() -> None:
    lives = ("refused", "hangs", "silent", "silent after data", "breaks", "ends")
    reasons, link, connection = await run_lives(*lives)
    assert reasons == [
        "refused",
        "no connection within 0.02 s",
        "no data for 0.02 s",
        "no data for 0.02 s",
        "n over test: cable out",
        "closed by the peer",
    ]
    assert link.state is LinkState.STOPPED
    assert connection.closed == len(lives) + 1, "every life must be closed, the last one too"
    assert not connection.open


async def test_a_bug_is_not_swallowed_but_the_connection_is_closed() -> None:
    connection, link = Scripted("bug"), supervision()
    with pytest.raises(InternalError, match="a bug"):
        await supervise(connection, link, ManualClock(), connect_s=1, silence_s=1)
    assert connection.closed == 1
    assert link.state is LinkState.STOPPED


async def swallow_cancellation() -> None:
    """Wait as `asyncio.wait_for` of Python 3.11 can: a cancellation ends it, and is lost."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def test_a_cancellation_that_a_library_swallowed_is_honoured() -> None:
    turns = 0

    async def loop() -> None:
        nonlocal turns
        while True:
            turns += 1
            await swallow_cancellation()
            honour_cancellation()

    async with background(loop()):
        await give_way()
    assert turns == 1


async def test_a_connection_whose_library_swallows_cancellation_still_ends() -> None:
    class Swallowing(Scripted):
        async def connect(self) -> None:
            self.life = "serves"
            await swallow_cancellation()

    connection = Swallowing()
    async with background(supervise(connection, supervision(), ManualClock(), **NO_DEADLINES)):
        await give_way()
    assert connection.closed == 1


async def test_a_deadline_that_passes_is_no_cancellation() -> None:
    async def wait_too_long() -> None:
        async with asyncio.timeout(0):
            await swallow_cancellation()
            honour_cancellation()

    with pytest.raises(TimeoutError):
        await wait_too_long()
    honour_cancellation()
