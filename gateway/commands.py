"""Commands for the nodes: in order, one at a time, each obeyed at most once, none forgotten.

Rules: ids of a node only grow, and an id is on the disk with its command before it is ever sent. A
command is sent again, newly sealed and with the same id, until the node answers or its time is up;
the next one waits. What the node keeps of ids (`firmware/commands.py`) makes a repetition harmless.
An answer to another id than the one under way changes nothing. "out of order" means that the node
knows higher ids, because this journal was lost: the command was not obeyed and goes out under the
next id. A command that expires may have been obeyed: nobody knows, and that is what its state says.
A command that the disk does not take is refused and never sent, and its id is used up.

Promises: after a kill or a power cut the journal is old or new, never half-written. The write waits
for the disk, a few milliseconds for each command. Only `load` and `request` raise: what else a disk
does not take is written again with the next change, or after `_KEEP_AGAIN_NS`. Left to others:
sealing and sending (`dialogue.py`), what an answer means to who asked.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, final

from gateway.clock import NS_PER_S
from gateway.errors import OperatorError
from gateway.state import replace_file
from wire import commands
from wire.commands import CommandAnswer
from wire.errors import WireError

JOURNAL: Final = "commands.json"
WAITING_MAX: Final = 64
EXPIRES_S: Final = 120.0
_RETRY_FIRST_NS: Final = 2 * NS_PER_S
_RETRY_LONGEST_NS: Final = 30 * NS_PER_S
_KEEP_AGAIN_NS: Final = 10 * NS_PER_S
_LOG: Final = logging.getLogger("twinrig.gateway.commands")

Arguments = Mapping[int, int | float | str | bytes]


class RequestState(StrEnum):
    """Where a command stands."""

    WAITING = "waiting"
    SENT = "sent"
    ANSWERED = "answered"
    EXPIRED = "expired"
    """Not answered in time: whether the node obeyed is unknown."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a command: `outcome` is the node's result, or "expired", in one word."""

    verb: int
    outcome: str
    detail: str
    """In the node's own words; may be empty."""

    @property
    def is_answered(self) -> bool:
        """Tell whether the node said anything."""
        return self.outcome != RequestState.EXPIRED

    @property
    def was_obeyed(self) -> bool:
        """Tell whether the node says that it did what was asked."""
        return self.outcome == commands.RESULTS[commands.DONE]

    @property
    def text(self) -> str:
        """All of it in words."""
        verb = commands.VERBS[self.verb]
        if not self.is_answered:
            return (
                f"{verb}: no answer in time, so it may have been obeyed; is the node on its link?"
            )
        detail = f" ({self.detail})" if self.detail else ""
        return f"{verb}: {self.outcome.replace('_', ' ')}{detail}"


@final
@dataclass(slots=True, eq=False)
class Request:
    """One command and what became of it."""

    node: str
    command_id: int
    verb: int
    payload: bytes
    expires_ns: int
    state: RequestState = RequestState.WAITING
    answer: CommandAnswer | None = None
    due_ns: int = 0
    pause_ns: int = _RETRY_FIRST_NS
    is_kept: bool = False
    """Its id is on the disk, so it may be sent."""
    _done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_done(self) -> bool:
        """Tell whether nothing more will happen to it."""
        return self.state in (RequestState.ANSWERED, RequestState.EXPIRED)

    @property
    def outcome(self) -> str:
        """Return the node's result, or the state without one, in one word."""
        if self.answer is None:
            return self.state.value
        return commands.RESULTS.get(self.answer.result, str(self.answer.result))

    @property
    def was_obeyed(self) -> bool:
        """Tell whether the node says that it did what was asked."""
        return self.answer is not None and self.answer.result == commands.DONE

    def ended(self) -> Ended:
        """Return what became of it; meant for when it is done."""
        detail = "" if self.answer is None else self.answer.detail
        return Ended(verb=self.verb, outcome=self.outcome, detail=detail)

    async def done(self) -> None:
        """Return when it is answered or expired."""
        await self._done.wait()

    def end(self, state: RequestState, answer: CommandAnswer | None = None) -> None:
        """Note how it ended."""
        self.state, self.answer = state, answer
        self._done.set()


class DueCommand(NamedTuple):
    """A command to send now."""

    node: str
    payload: bytes


@final
class CommandJournal:
    """The commands of `nodes`, kept in `path`; `load` first."""

    def __init__(self, path: Path, nodes: Iterable[str]) -> None:
        self._path = path
        self._queues: dict[str, deque[Request]] = {node: deque() for node in nodes}
        self._next_ids = dict.fromkeys(self._queues, 1)
        self._is_unkept = False
        """The file does not say what this object does."""
        self._keep_again_ns = 0

    def load(self) -> None:
        """Read what an earlier run left; raise `OperatorError` when the file is damaged."""
        if not self._path.exists():
            return
        try:
            rows = json.loads(self._path.read_text())
            for node, row in rows.items():
                self._next_ids[node] = _count(row["next_id"])
                self._queues[node] = deque(_request(node, entry) for entry in row["waiting"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise OperatorError(
                f"{self._path}: the commands cannot be read ({error}); remove the file to forget "
                "those that wait: the nodes know which they have obeyed"
            ) from error

    def request(
        self, node: str, verb: int, arguments: Arguments, now_ns: int, expires_s: float = EXPIRES_S
    ) -> Request:
        """Queue a command and have it on the disk.

        Raises `OperatorError` for an unknown node, a command that cannot be, or a full queue.
        """
        queue = self._queues.get(node)
        if queue is None:
            known = ", ".join(sorted(self._queues))
            raise OperatorError(f"no node {node!r} takes commands here; the site has {known}")
        if len(queue) >= WAITING_MAX:
            raise OperatorError(f"node {node}: {WAITING_MAX} commands wait already; let them end")
        command_id = self._next_ids[node]
        try:
            payload = commands.encode_command(command_id, verb, dict(arguments))
        except WireError as error:
            raise OperatorError(f"node {node}: {error}") from error
        request = Request(node, command_id, verb, payload, now_ns + int(expires_s * NS_PER_S))
        queue.append(request)
        self._next_ids[node] = command_id + 1
        try:
            self._save()
        except OperatorError:
            queue.remove(request)
            raise
        return request

    def due(self, now_ns: int) -> list[DueCommand]:
        """Return the commands to send now, at most one for each node; end those whose time is up.

        Whoever sends them has the answer matched by `answered`.
        """
        found = []
        is_late = self._is_unkept and not now_ns < self._keep_again_ns <= now_ns + _KEEP_AGAIN_NS
        expired = [self._expire(queue, now_ns) for queue in self._queues.values()]
        if is_late or any(expired):
            self._keep_again_ns = now_ns + _KEEP_AGAIN_NS
            self._try_save()
        for node, queue in self._queues.items():
            if not queue or not queue[0].is_kept:
                continue
            request = queue[0]
            # A time beyond the longest pause was planned before the clock was set back.
            if now_ns < request.due_ns <= now_ns + _RETRY_LONGEST_NS:
                continue
            request.state = RequestState.SENT
            request.due_ns = now_ns + request.pause_ns
            request.pause_ns = min(2 * request.pause_ns, _RETRY_LONGEST_NS)
            found.append(DueCommand(node, request.payload))
        return found

    def answered(self, node: str, answer: CommandAnswer) -> Request | None:
        """Take a node's answer; return the command it ends, None if it ends none."""
        queue = self._queues.get(node)
        if not queue or queue[0].command_id != answer.command_id:
            return None
        if queue[0].state is RequestState.WAITING:
            return None
        if answer.result == commands.OUT_OF_ORDER and answer.last_id is not None:
            known_id = max(answer.last_id, self._next_ids[node] - 1)
            if known_id + len(queue) <= commands.COMMAND_ID_MAX:
                self._renumber(node, queue, known_id)
                self._try_save()
                return None
        request = queue.popleft()
        request.end(RequestState.ANSWERED, answer)
        self._try_save()
        return request

    def obeyed_last(self, node: str, command_id: int) -> None:
        """Take note of the id a node says it obeyed last: new ids are above it."""
        if node in self._next_ids and command_id >= self._next_ids[node]:
            self._next_ids[node] = command_id + 1

    def waiting(self, node: str) -> tuple[Request, ...]:
        """Return what is under way or waits, in order."""
        return tuple(self._queues.get(node, ()))

    def _expire(self, queue: deque[Request], now_ns: int) -> bool:
        """End the commands whose time is up; tell whether there were any."""
        late = [request for request in queue if now_ns >= request.expires_ns]
        for request in late:
            queue.remove(request)
            request.end(RequestState.EXPIRED)
        return bool(late)

    def _renumber(self, node: str, queue: deque[Request], known_id: int) -> None:
        """Give everything that waits ids above those in use; none of it was obeyed."""
        next_id = known_id + 1
        for request in queue:
            command = commands.decode_command(request.payload)
            request.command_id, request.due_ns, request.is_kept = next_id, 0, False
            request.pause_ns = _RETRY_FIRST_NS
            request.payload = commands.encode_command(next_id, command.verb, command.arguments)
            next_id += 1
        self._next_ids[node] = next_id

    def _try_save(self) -> None:
        """Write the journal down; what the disk does not take is tried again by `due`."""
        try:
            self._save()
        except OperatorError as error:
            _LOG.error("commands_not_kept error=%s", error)

    def _save(self) -> None:
        """Write the journal down and wait for the disk; raise `OperatorError` if it cannot be."""
        self._is_unkept = True
        rows = {
            node: {
                "next_id": self._next_ids[node],
                "waiting": [
                    {"payload": request.payload.hex(), "expires_ns": request.expires_ns}
                    for request in queue
                ],
            }
            for node, queue in self._queues.items()
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, json.dumps(rows) + "\n", is_synced=True, is_private=True)
        except OSError as error:
            raise OperatorError(
                f"{self._path}: the commands cannot be kept ({error}); make the folder writable "
                "and free some space"
            ) from error
        self._is_unkept = False
        for queue in self._queues.values():
            for request in queue:
                request.is_kept = True


def _count(value: object) -> int:
    """Return a command id, or raise ValueError."""
    if type(value) is not int or not 1 <= value <= commands.COMMAND_ID_MAX + 1:
        raise ValueError(f"{value!r} is no command id")
    return value


def _request(node: str, entry: Mapping[str, object]) -> Request:
    """Return a command as it was kept, or raise ValueError, KeyError or TypeError."""
    payload, expires_ns = bytes.fromhex(str(entry["payload"])), entry["expires_ns"]
    if type(expires_ns) is not int:
        raise ValueError(f"{expires_ns!r} is no time")
    command = commands.decode_command(payload)
    request = Request(node, command.command_id, command.verb, payload, expires_ns)
    # It may have been sent by the run before, so an answer to it counts.
    request.state, request.is_kept = RequestState.SENT, True
    return request
