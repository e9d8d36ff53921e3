"""A limit on what an OPC UA server may say at once, which asyncua's client does not have.

asyncua keeps a chunk of any claimed length and chunks in any number until an answer is whole, also
before anybody has looked at the server's certificate. The guard stands between socket and library,
counts the bytes since our last request, and ends a connection that goes beyond `ANSWER_BYTES_MAX`.
"""

import asyncio
import logging
from typing import Final, final

from asyncua import Client
from asyncua.client.ua_client import UASocketProtocol

_LOG: Final = logging.getLogger("twinrig.links.opcua")
ANSWER_BYTES_MAX: Final = 4 << 20
"""Ample for a few hundred numbers, or for endpoints with their certificates."""


@final
class Guard(asyncio.Protocol):
    """Hands everything on to the library's own protocol, as long as it is not too much."""

    def __init__(self, inner: UASocketProtocol) -> None:
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._heard_bytes = 0

    def asked(self) -> None:
        """Begin to count anew: something was asked."""
        self._heard_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the socket."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand bytes on, or end the connection."""
        self._heard_bytes += len(data)
        if self._heard_bytes <= ANSWER_BYTES_MAX:
            self._inner.data_received(data)
        elif self._transport is not None and not self._transport.is_closing():
            _LOG.warning("opcua_too_much bytes=%d", self._heard_bytes)
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the library that the connection has ended."""
        self._inner.connection_lost(exc)


@final
class Guards:
    """The guards of one client: a new one for each of its connections."""

    def __init__(self, client: Client) -> None:
        self._make = client.uaclient._make_protocol
        self._newest: Guard | None = None
        # The library offers no place for a protocol of one's own; this is where it makes its own.
        client.uaclient._make_protocol = self._guarded  # type: ignore[method-assign, assignment]

    def asked(self) -> None:
        """Take note that something was asked over the newest connection."""
        if self._newest is not None:
            self._newest.asked()

    def _guarded(self) -> Guard:
        self._newest = Guard(self._make())
        return self._newest
