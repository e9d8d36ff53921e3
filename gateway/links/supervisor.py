"""One way to keep any connection alive: connect, prove life by data, back off, try again.

Promises: state is an enum and every move is a row of `TRANSITIONS`; every wait has a deadline; a
connection that is open but brings no data within `silence_s` is torn down and built from scratch;
pauses grow exponentially with jitter up to a limit. Expected failures (`LinkError`, `SinkError`,
`OSError`, time-outs) end one attempt and never leave `supervise`; anything else is our bug and
does. Left to others: what a connection is (`Connection`), and where its data go.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol, final

from gateway.clock import NS_PER_S, Clock
from gateway.errors import InternalError, PeerError

_LOG: Final = logging.getLogger("twinrig.links")


class LinkState(StrEnum):
    """Where a connection stands."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    """The peer accepted us; no data yet."""
    ONLINE = "online"
    """Data arrive."""
    BACKING_OFF = "backing_off"
    STOPPED = "stopped"


class LinkEvent(StrEnum):
    """What can happen to a connection."""

    ATTEMPT = "attempt"
    ACCEPTED = "accepted"
    DATA = "data"
    FAILED = "failed"
    STOP = "stop"


TRANSITIONS: Final[dict[tuple[LinkState, LinkEvent], LinkState]] = {
    (LinkState.IDLE, LinkEvent.ATTEMPT): LinkState.CONNECTING,
    (LinkState.BACKING_OFF, LinkEvent.ATTEMPT): LinkState.CONNECTING,
    (LinkState.CONNECTING, LinkEvent.ACCEPTED): LinkState.CONNECTED,
    (LinkState.CONNECTING, LinkEvent.FAILED): LinkState.BACKING_OFF,
    (LinkState.CONNECTED, LinkEvent.DATA): LinkState.ONLINE,
    (LinkState.CONNECTED, LinkEvent.FAILED): LinkState.BACKING_OFF,
    (LinkState.ONLINE, LinkEvent.DATA): LinkState.ONLINE,
    (LinkState.ONLINE, LinkEvent.FAILED): LinkState.BACKING_OFF,
    **{(state, LinkEvent.STOP): LinkState.STOPPED for state in LinkState},
}


@final
class Backoff:
    """Pauses between attempts: first, first x 2, ... up to the limit, each times 0.5 .. 1.

    Args:
        first_ns: longest first pause in nanoseconds.
        longest_ns: no pause is longer.
        rng: source of the jitter; seed it to repeat a run.
    """

    def __init__(self, first_ns: int, longest_ns: int, rng: random.Random) -> None:
        self._first_ns = first_ns
        self._longest_ns = longest_ns
        self._rng = rng
        self._failures = 0

    def pause_ns(self) -> int:
        """Return how long to wait after one more failure."""
        doublings = min(self._failures, 62)
        self._failures += 1
        ceiling_ns = min(self._first_ns << doublings, self._longest_ns)
        return int(ceiling_ns * self._rng.uniform(0.5, 1.0))

    def reset(self) -> None:
        """Start over: the connection has proved itself."""
        self._failures = 0


@final
class Supervision:
    """The state of one connection; no I/O, the time is an argument."""

    def __init__(self, name: str, backoff: Backoff) -> None:
        self.name = name
        self.state = LinkState.IDLE
        self.attempts = 0
        self.last_failure = ""
        self.retry_at_ns = 0
        self._backoff = backoff

    def may_attempt(self, now_ns: int) -> bool:
        """Tell whether a new attempt is allowed now."""
        if self.state is LinkState.BACKING_OFF:
            return now_ns >= self.retry_at_ns
        return self.state is LinkState.IDLE

    def attempt(self) -> None:
        """Note that connecting begins."""
        self._move(LinkEvent.ATTEMPT)
        self.attempts += 1

    def accepted(self) -> None:
        """Note that the peer accepted the connection."""
        self._move(LinkEvent.ACCEPTED)

    def data(self) -> None:
        """Note that data arrived: only this proves that the link works."""
        if self.state is LinkState.CONNECTED:
            _LOG.info("link_online name=%s attempts=%d", self.name, self.attempts)
        self._move(LinkEvent.DATA)
        self.last_failure = ""
        self._backoff.reset()

    def failed(self, now_ns: int, why: str) -> None:
        """Note that the attempt or the connection ended, and when the next may begin."""
        self._move(LinkEvent.FAILED)
        if why != self.last_failure:
            # Once per cause: a device that is off for a night is one line, not thousands.
            _LOG.warning("link_failed name=%s why=%r", self.name, why)
        self.last_failure = why
        self.retry_at_ns = now_ns + self._backoff.pause_ns()

    def stop(self) -> None:
        """Note that nobody wants the connection any more."""
        self._move(LinkEvent.STOP)

    def _move(self, event: LinkEvent) -> None:
        """Follow the table."""
        after = TRANSITIONS.get((self.state, event))
        if after is None:
            raise InternalError(f"{self.name}: {event.value} is impossible in {self.state.value}")
        self.state = after


class Connection(Protocol):
    """What `supervise` keeps alive."""

    async def connect(self) -> None:
        """Connect from scratch, or raise `PeerError` or `OSError`."""
        ...

    async def serve(self, proof_of_life: Callable[[], None]) -> None:
        """Move data until the connection ends; call `proof_of_life` for every piece of data."""
        ...

    async def close(self) -> None:
        """Release everything; must be harmless in every state."""
        ...


def honour_cancellation() -> None:
    """Raise `CancelledError` if this task was asked to end and a library swallowed that.

    `asyncio.wait_for` of Python 3.11 does so when its result and the cancellation arrive together,
    and libraries wait with it. Call this after awaiting one in a loop; never while cleaning up.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def supervise(
    connection: Connection,
    supervision: Supervision,
    clock: Clock,
    *,
    connect_s: float,
    silence_s: float | None,
) -> None:
    """Keep a connection alive until cancelled.

    `connect_s` is the deadline of one attempt; `silence_s` the longest time without data, or None
    for a connection that may rightly be quiet and is proved alive by its own protocol.
    """
    try:
        while True:
            supervision.attempt()
            why = await _one_life(connection, supervision, connect_s, silence_s)
            supervision.failed(clock.now_ns(), why)
            await clock.sleep_until(supervision.retry_at_ns)
    finally:
        supervision.stop()


async def _one_life(
    connection: Connection, supervision: Supervision, connect_s: float, silence_s: float | None
) -> str:
    """Connect and serve once; return why it ended."""
    loop = asyncio.get_running_loop()
    phase = f"no connection within {connect_s} s"
    try:
        async with asyncio.timeout(connect_s) as watchdog:
            await connection.connect()
            honour_cancellation()
            supervision.accepted()
            phase = f"no data for {silence_s} s"

            def proof_of_life() -> None:
                supervision.data()
                watchdog.reschedule(None if silence_s is None else loop.time() + silence_s)

            watchdog.reschedule(None if silence_s is None else loop.time() + silence_s)
            await connection.serve(proof_of_life)
    except TimeoutError:
        return phase
    except (PeerError, OSError) as error:
        return str(error)
    finally:
        await connection.close()
    return "closed by the peer"


def default_backoff(rng: random.Random) -> Backoff:
    """Return the pauses used for every connection: half a second first, half a minute at most."""
    return Backoff(NS_PER_S // 2, 30 * NS_PER_S, rng)
