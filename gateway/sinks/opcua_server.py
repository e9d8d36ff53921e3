"""asyncua's server, held to what this gateway promises of it.

Promises: no door nobody asked for; a stop ends the sessions of clients that stay; a taken port is
found before anything listens. Left to others: what is served (`opcua_space.py`), to whom
(`opcua_identity.py`).
"""

import asyncio
import contextlib
import errno
import socket
from typing import Final, final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_server import InternalServer

from gateway.clock import give_way
from gateway.errors import PortInUseError

_CLOSE_S: Final = 1.0
"""Longest wait for clients to take what was sent to them, at a stop."""


@final
class QuietServer(InternalServer):
    """asyncua's internal server without two doors nobody asked for: discovery and take-over."""

    def lookup_external_session(self, auth_token: ua.NodeId) -> None:  # noqa: ARG002
        """Find no session for a fresh channel to take over; its client makes a new one.

        asyncua attaches the channel before it checks who asks, and keeps it attached when the check
        fails; its tokens are consecutive numbers, so anybody could read as the session's owner.
        """
        return

    def register_server(self, server: object, conf: object = None) -> None:  # noqa: ARG002
        """Refuse: strangers could register any number of servers without a session."""
        raise ServiceError(ua.StatusCodes.BadServiceUnsupported)

    def register_server2(self, params: object) -> None:  # noqa: ARG002
        """Refuse, as `register_server`."""
        raise ServiceError(ua.StatusCodes.BadServiceUnsupported)

    async def end_sessions(self) -> None:
        """Close every session and connection, within `_CLOSE_S`; before `Server.stop`.

        asyncua's own `stop` keeps the sessions of clients that have subscriptions, for these to
        come back, and waits for tasks of those connections only that were lost before it began.
        """
        transports = tuple(self.asyncio_transports)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                for session in tuple(self._external_sessions.values()):
                    await session.close_session()
                for transport in transports:
                    transport.close()
                while self.asyncio_transports:
                    await give_way()
        for transport in transports:
            transport.abort()
        await give_way()


def in_url(host: str) -> str:
    """Return a host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def free_port(host: str, port: int) -> int:
    """Return the port itself if it can be bound, or any free one for 0.

    asyncua writes the port into its endpoint descriptions, so it must be known before it listens.
    Raises `PortInUseError`.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As asyncio does when it listens: a port that only waits for old packets counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(host, port, "OPC UA server") from error
            raise
        found: int = probe.getsockname()[1]
        return found
