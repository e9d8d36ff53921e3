"""The control socket: who is heard, what is answered, and what a bad caller costs nobody."""

import asyncio
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import control
from gateway.clock import SystemClock
from gateway.commands import Request, RequestState
from gateway.control import LINE_BYTES_MAX, SOCKET, TALKS_MAX, Control
from gateway.control_client import ControlClient
from gateway.errors import OperatorError
from tests.gateway.plant import background
from wire import commands
from wire.commands import CommandAnswer

FACTS = {
    "key_epoch": 2,
    "heard_boot_id": 4,
    "boot_id": 4,
    "boot": {"firmware": "1"},
    "status_boot_id": -1,
    "status": {},
}


class Desk:
    """A gateway whose node obeys at once; `is_silent` leaves requests open."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, dict, float]] = []
        self.is_silent = False

    def request(self, node, verb, arguments, *, expires_s=120.0):
        if node != "a":
            raise OperatorError(f"no node {node!r} takes commands here; the site has a")
        payload = commands.encode_command(1, verb, dict(arguments))
        self.asked.append((node, verb, dict(arguments), expires_s))
        request = Request(node, 1, verb, payload, 0)
        if not self.is_silent:
            answer = CommandAnswer(1, commands.OUT_OF_LIMITS, "too fast", None)
            request.end(RequestState.ANSWERED, answer)
        return request

    def rotate_key(self, node):
        return self.request(node, commands.ROTATE_KEY, {0: 3, 1: bytes(32)})

    def facts(self, node):
        assert isinstance(node, str)
        return FACTS


@asynccontextmanager
async def serving(folder: Path, desk: Desk | None = None) -> AsyncIterator[ControlClient]:
    with Control(desk or Desk(), folder, SystemClock()) as opened:
        async with background(*opened.workers()):
            yield ControlClient(folder)


async def say(folder: Path, line: bytes) -> dict:
    """Return the answer to one line."""
    reader, writer = await asyncio.open_unix_connection(str(folder / SOCKET))
    writer.write(line)
    answer = await reader.readline()
    writer.close()
    return json.loads(answer) if answer else {}


async def test_a_command_comes_to_the_desk_and_its_answer_back(tmp_path: Path) -> None:
    desk = Desk()
    async with serving(tmp_path, desk) as client:
        data = {0: 1, 1: 0, 2: bytes(range(200, 256))}
        ended = await client.perform("a", commands.UPDATE_DATA, data, expires_s=7.5)
        assert desk.asked == [("a", commands.UPDATE_DATA, data, 7.5)]
        assert not ended.was_obeyed
        assert ended.text == "update_data: out of limits (too fast)"
        await client.perform("a", commands.ACTUATE, {0: "valve", 1: 0.5, 2: 100})
        assert desk.asked[-1][2] == {0: "valve", 1: 0.5, 2: 100}
        assert (await client.rotate_key("a")).verb == commands.ROTATE_KEY
        facts = await client.facts("a")
        assert (facts.key_epoch, facts.heard_boot_id, facts.boot) == (2, 4, {"firmware": "1"})
        with pytest.raises(OperatorError, match="no node 'b'"):
            await client.perform("b", commands.RESTART, {})


async def test_the_socket_is_the_users_alone_and_goes_with_the_gateway(tmp_path: Path) -> None:
    async with serving(tmp_path):
        assert (tmp_path / SOCKET).stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / SOCKET).exists()


async def test_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = struct.pack("3i", 1, os.geteuid() + 1, 1)
    real = socket.socket.getsockopt

    def getsockopt(self, level, option, *size):
        if option == socket.SO_PEERCRED:
            return other
        return real(self, level, option, *size)

    monkeypatch.setattr(socket.socket, "getsockopt", getsockopt)
    desk = Desk()
    async with serving(tmp_path, desk) as client:
        with pytest.raises(OperatorError, match=rf"user {os.geteuid() + 1} is not the user"):
            await client.perform("a", commands.RESTART, {})
    assert desk.asked == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"{}\n", "no request is known here"),
        (b"[]\n", "no request is known here"),
        (b"{\n", "Expecting property name"),
        (b"[" * 9000 + b"\n", "recursion"),
        (b"\xff\n", "codec can't decode"),
        (b'{"ask":"command","node":"a","verb":"reboot","arguments":{}}\n', "is none of set_rate"),
        (
            b'{"ask":"command","node":"a","verb":"capture","arguments":{"x":1}}\n',
            "takes source, sam",
        ),
        (b'{"ask":"command","node":"a","verb":"capture","arguments":{}}\n', "capture needs source"),
        (
            b'{"ask":"command","node":"a","verb":"restart","arguments":{},"expires_s":1e9}\n',
            "expires_s: more than 0",
        ),
        (
            b'{"ask":"command","node":"a","verb":"update_begin","arguments":{"manifest":"xy"}}\n',
            "hexadecimal",
        ),
    ],
)
async def test_what_cannot_be_is_answered_in_words(tmp_path: Path, line: bytes, what: str) -> None:
    desk = Desk()
    async with serving(tmp_path, desk):
        assert what in (await say(tmp_path, line))["error"]
    assert desk.asked == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
ASKED = st.fixed_dictionaries(
    {"ask": st.sampled_from(("command", "rotate_key", "node")) | VALUES, "node": st.just("a")},
    optional={
        "verb": st.sampled_from(sorted(commands.VERBS.values())) | VALUES,
        "arguments": st.dictionaries(
            st.sampled_from(("samples", "source", "filter", "data", "index")), VALUES
        ),
        "expires_s": VALUES,
    },
)


@given(st.one_of(ASKED, VALUES))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_whatever_is_asked_is_answered(asked: object) -> None:
    served = Control(Desk(), Path(), SystemClock())
    line = json.dumps(asked).encode() + b"\n"
    answer = asyncio.run(served._answer(line))
    assert "error" in answer or "outcome" in answer or answer == FACTS


async def test_a_caller_who_says_nothing_or_too_much_costs_nobody_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_LINE_S", 0.05)
    async with serving(tmp_path) as client:
        mute = [await asyncio.open_unix_connection(str(tmp_path / SOCKET)) for _ in range(20)]
        assert (await client.facts("a")).key_epoch == 2
        for reader, writer in mute:
            assert await reader.read() == b"", "let go of"
            writer.close()
        assert await say(tmp_path, b"x" * (2 * LINE_BYTES_MAX)) == {}
        assert (await client.facts("a")).key_epoch == 2


async def test_as_many_as_are_served_may_wait_for_their_node(tmp_path: Path) -> None:
    desk, outcomes = Desk(), []
    desk.is_silent = True

    async def wait(client: ControlClient) -> None:
        with pytest.raises(OperatorError) as ended:
            await client.perform("a", commands.RESTART, {})
        outcomes.append(str(ended.value))

    async with asyncio.TaskGroup() as group, serving(tmp_path, desk) as client:
        for _ in range(TALKS_MAX - 1):
            group.create_task(wait(client))
        while len(desk.asked) < TALKS_MAX - 1:
            await client.facts("a")
        assert (await client.facts("a")).key_epoch == 2, "one place is left"
        assert outcomes == []
    assert len(outcomes) == TALKS_MAX - 1
    assert all("ended before it answered" in outcome for outcome in outcomes)


async def test_a_folder_belongs_to_one_gateway_and_a_dead_ones_socket_is_replaced(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path):
        with (
            pytest.raises(OperatorError, match="a gateway runs with this state folder"),
            Control(Desk(), tmp_path, SystemClock()),
        ):
            pass
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / SOCKET))
    dead.close()
    assert (tmp_path / SOCKET).exists()
    async with serving(tmp_path) as client:
        assert (await client.facts("a")).boot_id == 4


async def test_a_deep_folder_has_a_socket_too(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    async with serving(deep) as client:
        assert (await client.facts("a")).boot_id == 4


async def test_what_is_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / SOCKET).mkdir()
    with (
        pytest.raises(OperatorError, match=r"control\.sock: cannot be opened"),
        Control(Desk(), tmp_path, SystemClock()),
    ):
        pass
