"""What a subscription of OPC UA has told: values by node, each with the window it was taken in.

Promises: a notice keeps the time at which it came, however late it is looked at; what waits is
bounded, and the windows stay true when notices are left out; values under a handle that we never
gave are dropped and counted. A node that a notice does not mention has not changed, so its last
value is in every notice (OPC 10000-4, 5.14.1.2 and 7.25).
Left to others: subscribing (`opcua_session.py`), what a value is (`opcua_values.py`).

The window of response k begins when k-2 came, see `opcua_client.py`; when a response says that more
follows, the next one is of the same cycle and keeps its beginning.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, final

from asyncua import ua

from gateway.clock import NS_PER_S, Clock

_NOTICES_MAX: Final = 64
"""Responses that may wait to be looked at; the oldest go first, and later ones repeat them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One PublishResponse: what every node shows since then."""

    values: dict[int, ua.DataValue]
    """By client handle."""
    since_ns: int
    """The values that are new in it were not taken before."""
    received_ns: int


@final
class Notices:
    """Takes the responses as they come, from the library's own task.

    Args:
        clock: when they come.
        handles: the client handles that were given to the server.
    """

    def __init__(self, clock: Clock, handles: Iterable[int]) -> None:
        self._clock = clock
        self._handles = frozenset(handles)
        self._strangers = 0
        self._waiting: deque[Notice] = deque(maxlen=_NOTICES_MAX)
        self._has_come = asyncio.Event()
        self._values: dict[int, ua.DataValue] = {}
        begun_ns = clock.now_ns()
        self._arrivals = deque((begun_ns, begun_ns), maxlen=2)
        """When the last two responses came; before them, when the subscription was asked for."""
        self._since_ns: int | None = None
        """Beginning of a cycle of which more is to come."""

    def hear(self, result: ua.PublishResult) -> None:
        """Take a response; never raises, since the library would only log it."""
        now_ns = self._clock.now_ns()
        since_ns = self._arrivals[0] if self._since_ns is None else self._since_ns
        # The gateway's clock may have been set back meanwhile.
        since_ns = min(since_ns, now_ns)
        self._since_ns = since_ns if result.MoreNotifications else None
        self._arrivals.append(now_ns)
        for handle, value in _changes(result):
            if handle in self._handles:
                self._values[handle] = value
            else:
                self._strangers += 1
        self._waiting.append(
            Notice(values=dict(self._values), since_ns=since_ns, received_ns=now_ns)
        )
        self._has_come.set()

    def silent_ns(self, now_ns: int) -> int:
        """Return how long nothing has come."""
        return now_ns - self._arrivals[-1]

    def take(self) -> list[Notice]:
        """Return what has come since the last time, oldest first."""
        self._has_come.clear()
        said = list(self._waiting)
        self._waiting.clear()
        return said

    def take_strangers(self) -> int:
        """Return how many values have come since the last time under handles we never gave."""
        strangers, self._strangers = self._strangers, 0
        return strangers

    async def wait(self, until_ns: int) -> None:
        """Return when something has come that was not taken, at `until_ns` at the latest."""
        pause_s = max(0, until_ns - self._clock.now_ns()) / NS_PER_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._has_come.wait()


def _changes(result: ua.PublishResult) -> Iterator[tuple[int, ua.DataValue]]:
    """Return the changed values by client handle; notifications of other kinds are left out."""
    message = result.NotificationMessage
    for notification in (message.NotificationData if message is not None else None) or ():
        if not isinstance(notification, ua.DataChangeNotification):
            continue
        for item in notification.MonitoredItems or ():
            yield int(item.ClientHandle), item.Value
