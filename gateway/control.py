"""The way into a running gateway: a Unix socket in its state folder, for its own user alone.

    <state>/control.sock     one JSON object per line: one request, one answer, then the end

    {"ask": "command", "node": N, "verb": "set_rate", "arguments": {"sample_period_us": 100000,
     "block_samples": 10}, "expires_s": 120}           names of `wire.commands`, bytes in hex
    {"ask": "rotate_key", "node": N}
        -> {"outcome": "done", "detail": ""}           once the node has answered, or time is up
    {"ask": "node", "node": N}
        -> {"key_epoch": 0, "heard_boot_id": 3, "boot_id": 3, "boot": {...}, "status_boot_id": 3,
            "status": {...}}
    {"ask": "kpi"}      -> {"site": S, "time_ns": 0, "links": [{"source": N, "figures": [...]}]}
    {"ask": "clocks"}   -> {"site": S, "time_ns": 0, "clocks": [...], "active_checks": [...],
            "recent_checks": [...], "machines": [...]}           as in `records_time.py`
    anything that cannot be -> {"error": "what, where, how to mend it"}

Promises: only a process of the gateway's own user is heard (the file's mode, and the kernel's word
on who connects); a request is bounded in bytes and time, `TALKS_MAX` are served at once, and what
does not come to an end takes nobody's place for longer than its command may wait. A caller that
goes away takes nothing back: its command is in the journal. One gateway has a state folder.
Left to others: what commands do (`app.py`), asking in the right words (`control_client.py`).
Order: `with` it around the tasks that run `workers`.
"""

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol, Self, final

from gateway.clock import NS_PER_S, Clock
from gateway.commands import EXPIRES_S, Arguments, Request
from gateway.errors import OperatorError
from wire import commands

SOCKET: Final = "control.sock"
LINE_BYTES_MAX: Final = 16_384
"""Of a request."""
ANSWER_BYTES_MAX: Final = 16_777_216
"""Of an answer: the figures of two thousand links."""
EXPIRES_S_MAX: Final = 3600.0
TALKS_MAX: Final = 8
_LINE_S: Final = 5.0
"""Longest a line may take to come or to go."""
_BACKLOG: Final = 16
_CREDENTIALS: Final = struct.Struct("3i")
"""pid, user id, group id: `struct ucred`, unix(7)."""
_LOG: Final = logging.getLogger("twinrig.gateway.control")

Answer = Mapping[str, object]


class Desk(Protocol):
    """What can be asked of a gateway."""

    def request(
        self, node: str, verb: int, arguments: Arguments, *, expires_s: float = ...
    ) -> Request:
        """Queue a command; raise `OperatorError` for one that cannot be."""
        ...

    def rotate_key(self, node: str) -> Request:
        """Queue a change of keys; raise `OperatorError` for an unknown node."""
        ...

    def facts(self, node: str) -> Answer:
        """Return what a node last said of itself; raise `OperatorError` for an unknown node."""
        ...


class TimeDesk(Protocol):
    """What can be asked about time: `time_board.TimeBoard`."""

    def kpi_answer(self) -> Answer:
        """Return the figures of all links."""
        ...

    def clock_answer(self) -> Answer:
        """Return all clocks, findings and machines."""
        ...


@contextmanager
def socket_address(state_dir: Path) -> Iterator[str]:
    """Yield an address of the socket that fits the 107 bytes there are, however deep the folder.

    Raises OSError when the folder cannot be opened.
    """
    folder = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET}"
    finally:
        os.close(folder)


@final
class Control:
    """The socket of one gateway."""

    def __init__(
        self, desk: Desk, state_dir: Path, clock: Clock, time: TimeDesk | None = None
    ) -> None:
        self._desk = desk
        self._time = time
        self._state_dir = state_dir
        self._clock = clock
        self._listener: socket.socket | None = None
        self._accepting = asyncio.Lock()

    def __enter__(self) -> Self:
        """Open the socket; raise `OperatorError` when it cannot be, or another gateway has it."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            with socket_address(self._state_dir) as address:
                _remove_stale(address, self._state_dir)
                listener.bind(address)
                # Nobody can connect before `listen`, so there is no moment with another mode.
                Path(address).chmod(0o600)
                listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise OperatorError(
                f"{self._state_dir / SOCKET}: cannot be opened ({error.strerror}); make the folder "
                "writable and remove what is in the way"
            ) from error
        except OperatorError:
            listener.close()
            raise
        self._listener = listener
        return self

    def __exit__(self, *exception: object) -> None:
        """Close and remove the socket."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
            (self._state_dir / SOCKET).unlink(missing_ok=True)

    def workers(self) -> tuple[Coroutine[None, None, None], ...]:
        """Return what must run until cancelled; each serves one caller after the other."""
        return tuple(self._serve() for _ in range(TALKS_MAX))

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while self._listener is not None:
            async with self._accepting:
                try:
                    caller, _ = await loop.sock_accept(self._listener)
                except OSError as error:
                    _LOG.error("control_accept_failed error=%s", error)
                    await self._clock.sleep_until(self._clock.now_ns() + NS_PER_S)
                    continue
            await self._talk(caller)

    async def _talk(self, caller: socket.socket) -> None:
        """Take one request and answer it; whatever the caller does concerns this talk alone."""
        user = _user_of(caller)
        reader, writer = await asyncio.open_unix_connection(sock=caller, limit=LINE_BYTES_MAX)
        try:
            async with asyncio.timeout(_LINE_S):
                line = await reader.readline()
            answer = await self._answer(line) if user == os.geteuid() else _foreign(user)
            writer.write(json.dumps(answer).encode() + b"\n")
            async with asyncio.timeout(_LINE_S):
                await writer.drain()
        except (OSError, ValueError) as error:
            # TimeoutError is an OSError; a line that is too long is a ValueError.
            _LOG.info("control_talk_ended error=%r", str(error))
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, line: bytes) -> Answer:
        """Return the answer to a request, or what is wrong with it."""
        try:
            match json.loads(line):
                case {"ask": "node", "node": str() as node}:
                    return self._desk.facts(node)
                case {"ask": ("kpi" | "clocks") as what} if (time := self._time) is not None:
                    return time.kpi_answer() if what == "kpi" else time.clock_answer()
                case {"ask": "rotate_key", "node": str() as node}:
                    return await _ended(self._desk.rotate_key(node))
                case {
                    "ask": "command",
                    "node": str() as node,
                    "verb": str() as name,
                    "arguments": dict() as arguments,
                    **rest,
                }:
                    verb, expires_s = verb_of(name), _seconds(rest.get("expires_s", EXPIRES_S))
                    keyed = _by_key(verb, arguments)
                    return await _ended(self._desk.request(node, verb, keyed, expires_s=expires_s))
                case _:
                    return {"error": f"no request is known here that reads {line[:80]!r}"}
        except (OperatorError, ValueError, RecursionError) as error:
            return {"error": str(error)}


def verb_of(name: object) -> int:
    """Return the number of a verb of `wire.commands`; raise ValueError for another word."""
    for verb, known in commands.VERBS.items():
        if known == name:
            return verb
    raise ValueError(f"verb: {name!r} is none of {', '.join(commands.VERBS.values())}")


def argument_names(verb: int) -> tuple[tuple[str, type], ...]:
    """Return (name, kind) of the arguments of a verb; the place is the key on the wire."""
    return commands.ARGUMENTS[verb] + commands.OPTIONAL.get(verb, ())


def _seconds(value: object) -> float:
    """Return how long a command may wait, or raise ValueError."""
    if isinstance(value, int | float) and 0 < value <= EXPIRES_S_MAX:
        return float(value)
    raise ValueError(f"expires_s: more than 0 and at most {EXPIRES_S_MAX:g} is possible")


def _by_key(verb: int, arguments: Mapping[str, object]) -> Arguments:
    """Return arguments by their key on the wire; their kinds are checked when they are encoded."""
    known = {name: (key, kind) for key, (name, kind) in enumerate(argument_names(verb))}
    found: dict[int, int | float | str | bytes] = {}
    for name, value in arguments.items():
        if name not in known or not isinstance(value, int | float | str):
            raise ValueError(f"arguments.{name}: {commands.VERBS[verb]} takes {', '.join(known)}")
        key, kind = known[name]
        found[key] = bytes.fromhex(str(value)) if kind is bytes else value
    return found


async def _ended(request: Request) -> Answer:
    """Return what became of a command, when it is known."""
    await request.done()
    ended = request.ended()
    return {"outcome": ended.outcome, "detail": ended.detail}


def _user_of(caller: socket.socket) -> int:
    """Return the user id of the process that connected, as the kernel saw it then."""
    option = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(option)
    return int(user)


def _foreign(user: int) -> Answer:
    _LOG.warning("control_refused user=%d", user)
    return {"error": f"user {user} is not the user {os.geteuid()} that this gateway runs as"}


def _remove_stale(address: str, state_dir: Path) -> None:
    """Remove the socket of a gateway that was killed; refuse to take it from one that runs."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(address)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            Path(address).unlink()
            return
    raise OperatorError(
        f"{state_dir / SOCKET}: a gateway runs with this state folder; end it first, or give this "
        "one another with --state"
    )
