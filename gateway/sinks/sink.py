"""What every sink is to the gateway: started, fed without waiting, drained, stopped.

Left to others: where records go and what becomes of them there (the sinks).
"""

from collections.abc import Coroutine
from typing import Protocol

from gateway.records import Record


class Sink(Protocol):
    """What the gateway asks of a place where records go."""

    name: str

    async def start(self) -> None:
        """Open what must be open before the first record; raise `OperatorError` if it cannot."""
        ...

    def workers(self) -> tuple[Coroutine[None, None, None], ...]:
        """Return what must run until cancelled to deliver what is queued."""
        ...

    async def settle(self) -> None:
        """Return when it is known whether the sink works, at most a few seconds."""
        ...

    def put(self, record: Record) -> None:
        """Queue a record, or ignore a kind this sink does not publish. Never waits."""
        ...

    async def drain(self) -> None:
        """Return when everything queued is out, or cannot go out now."""
        ...

    async def stop(self) -> None:
        """Say goodbye and release everything; harmless when `start` failed."""
        ...

    def endpoints(self) -> dict[str, str]:
        """Return where a client finds this sink: name -> address."""
        ...
