"""Asks a running gateway over its control socket; `control.py` is the other end.

    control = ControlClient(Path("state"))
    ended = await control.perform("pump-a", commands.RESTART, {})

Promises: every question ends with an answer, or with an `OperatorError` that says what, where and
how to mend it, within a stated time. Left to others: what the answer means to a person
(`twinrig_gateway.py`).
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from gateway.clock import NS_PER_S, SystemClock
from gateway.commands import EXPIRES_S, Arguments, Ended
from gateway.control import ANSWER_BYTES_MAX, SOCKET, argument_names, socket_address
from gateway.errors import OperatorError
from wire import commands

_ANSWER_S: Final = 10.0
"""Longest a gateway may take beyond what the command itself may wait."""
_ROTATE_S: Final = 600.0
_POLL_NS: Final = NS_PER_S // 4
Facts = Mapping[str, int | float | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What a node last said of itself; the numbers of a boot are -1 before it said anything."""

    key_epoch: int
    """Of the root key that the gateway has of it."""
    heard_boot_id: int
    """Of its newest frame, of whatever kind."""
    boot_id: int
    boot: Facts
    """Its last boot record, by the names of `wire.messages`."""
    status_boot_id: int
    status: Facts
    """Its last status record, by the names of `wire.status`."""


@final
class ControlClient:
    """Asks the gateway that runs with `state_dir`."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    async def perform(
        self, node: str, verb: int, arguments: Arguments, *, expires_s: float = EXPIRES_S
    ) -> Ended:
        """Return what became of a command; raise `OperatorError` when it could not be queued."""
        names = [name for name, _ in argument_names(verb)]
        named = {
            names[key]: value.hex() if isinstance(value, bytes) else value
            for key, value in arguments.items()
        }
        asked = {"ask": "command", "node": node, "verb": commands.VERBS[verb], "arguments": named}
        answer = await self._ask(asked | {"expires_s": expires_s}, expires_s + _ANSWER_S)
        return _ended(verb, answer)

    async def rotate_key(self, node: str) -> Ended:
        """Return what became of a change of keys."""
        answer = await self._ask({"ask": "rotate_key", "node": node}, _ROTATE_S + _ANSWER_S)
        return _ended(commands.ROTATE_KEY, answer)

    async def newest_boot(self, node: str, wait_s: float) -> int:
        """Return the newest boot id of a node, of which something must come within `wait_s`."""
        try:
            async with asyncio.timeout(wait_s):
                while (boot_id := (await self.facts(node)).heard_boot_id) < 0:
                    await _pause()
        except TimeoutError as error:
            raise OperatorError(
                f"{node}: nothing was heard of it for {wait_s:g} s; see that it is on its link"
            ) from error
        return boot_id

    async def key_epoch_after(self, node: str, epoch: int) -> int:
        """Return the epoch of the gateway's key of a node, once it is above `epoch`."""
        while (now := (await self.facts(node)).key_epoch) <= epoch:
            await _pause()
        return now

    async def facts(self, node: str) -> NodeFacts:
        """Return what a node last said of itself."""
        match await self._ask({"ask": "node", "node": node}, _ANSWER_S):
            case {
                "key_epoch": int() as epoch,
                "heard_boot_id": int() as heard_boot_id,
                "boot_id": int() as boot_id,
                "boot": dict() as boot,
                "status_boot_id": int() as status_boot_id,
                "status": dict() as status,
            }:
                return NodeFacts(
                    key_epoch=epoch,
                    heard_boot_id=heard_boot_id,
                    boot_id=boot_id,
                    boot=boot,
                    status_boot_id=status_boot_id,
                    status=status,
                )
            case other:
                raise self._error(f"{other!r} is no answer", "run both ends in one version")

    async def kpi(self) -> Mapping[str, object]:
        """Return the figures of all links, for `time_answers.read_links`."""
        return await self._ask({"ask": "kpi"}, _ANSWER_S)

    async def clocks(self) -> Mapping[str, object]:
        """Return all clocks and findings, for `time_answers.read_clocks`."""
        return await self._ask({"ask": "clocks"}, _ANSWER_S)

    async def _ask(self, asked: Mapping[str, object], answer_s: float) -> Mapping[str, object]:
        """Return the gateway's answer; raise `OperatorError` for none and for a refusal."""
        try:
            async with asyncio.timeout(answer_s):
                line = await self._exchange(json.dumps(asked).encode() + b"\n")
        except TimeoutError as error:
            raise self._error(f"no answer within {answer_s:g} s", "look at its log") from error
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise self._error(
                "no gateway runs with this state folder",
                f"start it with `twinrig gateway run SITE --state {self._state_dir}`",
            ) from error
        except PermissionError as error:
            raise self._error(
                "the gateway belongs to another user", "run this as the user it runs as"
            ) from error
        except (OSError, ValueError) as error:
            raise self._error(f"cannot be asked ({error})", "look at its log") from error
        if not line:
            raise self._error(
                "the gateway ended before it answered; a command that it had taken is in its "
                "journal",
                "start it again",
            )
        answer = json.loads(line)
        if "error" in answer:
            raise OperatorError(str(answer["error"]))
        return dict(answer)

    async def _exchange(self, line: bytes) -> bytes:
        with socket_address(self._state_dir) as address:
            reader, writer = await asyncio.open_unix_connection(address, limit=ANSWER_BYTES_MAX)
        try:
            writer.write(line)
            await writer.drain()
            return await reader.readline()
        finally:
            writer.close()

    def _error(self, what: str, remedy: str) -> OperatorError:
        return OperatorError(f"{self._state_dir / SOCKET}: {what}; {remedy}")


async def _pause() -> None:
    clock = SystemClock()
    await clock.sleep_until(clock.now_ns() + _POLL_NS)


def _ended(verb: int, answer: Mapping[str, object]) -> Ended:
    return Ended(
        verb=verb, outcome=str(answer.get("outcome", "?")), detail=str(answer.get("detail", ""))
    )
