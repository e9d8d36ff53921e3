"""One life of a connection to an OPC UA server: found, trusted, opened, read from, closed.

Promises: unless the site says otherwise the channel is signed and encrypted, to exactly the
certificate that lies in `trusted/` (an unknown one is put into `rejected/`, and the message says
what to do); every wait has a deadline and every answer a limit (`opcua_guard.py`); every failure of
the library is a `LinkError`; when a server refuses us because the clocks disagree, the error says
by how much. The server's clock is the Timestamp of its response headers (OPC 10000-4, 7.33): the
time at which it answered.
Left to others: when to try again (`supervisor.py`), what is read (`opcua_client.py`).
"""

import asyncio
import logging
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, final

from asyncua import Client, ua
from asyncua.crypto import security_policies, uacrypto
from asyncua.ua.ua_binary import struct_from_binary
from cryptography.exceptions import InvalidSignature

from gateway.clock import NS_PER_S, Clock
from gateway.errors import LinkError, TwinrigError
from gateway.keyfile import load_password
from gateway.links.opcua_guard import Guards
from gateway.links.opcua_values import status_name, utc_ns
from gateway.links.supervisor import honour_cancellation
from gateway.sinks.opcua_identity import Identity, TrustList, thumbprint
from gateway.site_opcua import OpcUaServer

_LOG: Final = logging.getLogger("twinrig.links.opcua")
LINK: Final = "opcua"
_GRACE_S: Final = 0.5
"""Our deadline after the library's own, in case that one fails."""
_CLOSE_S: Final = 1.0
_SESSION_MS: Final = 600_000
"""How long a server keeps a session whose client has gone without a word."""
_HEALTH_S: Final = 3600.0
"""The library's own look at the connection: rare, since ours is every reading."""
_POLICIES: Final[dict[str, type[security_policies.SecurityPolicy]]] = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
FAILURES: Final = (
    ua.UaError, OSError, TimeoutError, InvalidSignature, struct.error, ValueError, TypeError,
    LookupError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip
"""What the library raises when a server is away, refuses, or sends what cannot be read."""
_ABOUT_TIME: Final = frozenset(
    {
        ua.StatusCodes.BadCertificateTimeInvalid, ua.StatusCodes.BadCertificateIssuerTimeInvalid,
        ua.StatusCodes.BadInvalidTimestamp,
    }
)  # fmt: skip
"""With these a server says that our clock and its own disagree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The answer to one Read request."""

    values: tuple[ua.DataValue, ...]
    """Same order as asked."""
    requested_ns: int
    received_ns: int
    clock_ns: int | None
    """UTC by the server's clock when it answered."""


@final
class OpcUaSession:
    """A session with one server; made anew for every attempt.

    Args:
        server: which one, and how.
        identity: our own key and certificate; None if no server needs them.
        trust: the certificates of this server that a person has accepted.
        application_uri: ours, as in the certificate.
        clock: when requests leave and answers come.
    """

    def __init__(
        self,
        server: OpcUaServer,
        identity: Identity | None,
        trust: TrustList,
        application_uri: str,
        clock: Clock,
    ) -> None:
        self._server = server
        self._identity = identity
        self._trust = trust
        self._application_uri = application_uri
        self._clock = clock
        self._timeout_s = server.timeout_ms / 1000
        self._clock_hint = ""
        self._guards: dict[Client, Guards] = {}
        self.client = self._new_client()

    async def open(self) -> None:
        """Connect; raises `LinkError`."""
        if not self._server.allow_unencrypted:
            await self._secure()
        with self._told("connecting"):
            await self.client.connect()
            honour_cancellation()

    async def namespaces(self) -> list[str]:
        """Return the server's NamespaceArray; raises `LinkError`."""
        read = await self.read([ua.NodeId(ua.Int32(ua.ObjectIds.Server_NamespaceArray))])
        variant = read.values[0].Value
        found = None if variant is None else variant.Value
        return [str(uri) for uri in found] if isinstance(found, list) else []

    async def read(self, nodes: Sequence[ua.NodeId]) -> Read:
        """Read the values of nodes with both time stamps, as new as the server can have them."""
        request = ua.ReadRequest()
        request.Parameters.MaxAge = 0
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.NodesToRead = [
            ua.ReadValueId(node, ua.AttributeIds.Value) for node in nodes
        ]
        requested_ns = self._clock.now_ns()
        with self._told("reading"):
            response = await self._ask(self.client, request, ua.ReadResponse)
        values = tuple(response.Results or ())
        if len(values) != len(nodes):
            raise self._error(f"{len(values)} values instead of {len(nodes)}")
        return Read(
            values=values,
            requested_ns=requested_ns,
            received_ns=max(requested_ns, self._clock.now_ns()),
            clock_ns=utc_ns(response.ResponseHeader.Timestamp),
        )

    async def subscribe(
        self,
        nodes: Mapping[int, ua.NodeId],
        period_ms: int,
        heard: Callable[[ua.PublishResult], None],
    ) -> tuple[ua.StatusCode, ...]:
        """Have the server sample nodes, by client handle; return how it took each, in order.

        `heard` gets every PublishResult, one per period even if nothing has changed.
        """
        parameters = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=float(period_ms),
            RequestedLifetimeCount=1000,
            RequestedMaxKeepAliveCount=1,
            MaxNotificationsPerPublish=0,
            PublishingEnabled=True,
        )
        with self._told("subscribing"):
            async with asyncio.timeout(2 * self._timeout_s + _GRACE_S):
                made = await self.client.uaclient.create_subscription(parameters, heard)
                results = await self.client.uaclient.create_monitored_items(
                    ua.CreateMonitoredItemsParameters(
                        SubscriptionId=made.SubscriptionId,
                        TimestampsToReturn=ua.TimestampsToReturn.Both,
                        ItemsToCreate=[
                            _monitored(handle, node, period_ms) for handle, node in nodes.items()
                        ],
                    )
                )
                honour_cancellation()
            statuses = tuple(result.StatusCode for result in results or ())
        if len(statuses) != len(nodes):
            raise self._error(f"took {len(statuses)} nodes of {len(nodes)} into the subscription")
        return statuses

    async def close(self, *, is_broken: bool) -> None:
        """Release everything; a server that still answers is told that the session is over."""
        protocol = self.client.uaclient.protocol
        if is_broken and protocol is not None and protocol.transport is not None:
            # A polite end would wait for answers that do not come.
            protocol.transport.abort()
        try:
            with self._told("closing"):
                async with asyncio.timeout(_CLOSE_S):
                    await self.client.disconnect()
        except LinkError as error:
            _LOG.info("opcua_gone server=%s error=%r", self._server.name, error.what)
        finally:
            self.client.disconnect_socket()

    # --- finding and trusting --------------------------------------------------------------------

    async def _secure(self) -> None:
        """Find the endpoint that the site asks for, and use it if its certificate is trusted."""
        if self._identity is None:
            raise self._error("no certificate of our own")
        policy = _POLICIES[self._server.policy]
        with self._told("connecting"):
            offered = await self._endpoints()
        fitting = [
            endpoint
            for endpoint in offered
            if endpoint.SecurityMode == ua.MessageSecurityMode.SignAndEncrypt
            and endpoint.SecurityPolicyUri == policy.URI
            and endpoint.ServerCertificate
        ]
        if not fitting:
            known = sorted({str(endpoint.SecurityPolicyUri) for endpoint in offered})
            raise self._error(
                f"offers no endpoint with {self._server.policy} and SignAndEncrypt, only "
                f"{', '.join(known) or 'none'}; change `policy`, or the server"
            )
        certificate = _first_certificate(bytes(fitting[0].ServerCertificate))
        self._check_trust(certificate)
        with self._told("connecting"):
            await self.client.set_security(
                policy,
                certificate=self._identity.certificate_path,
                private_key=self._identity.key_path,
                server_certificate=uacrypto.CertProperties(certificate, extension="der"),
                mode=ua.MessageSecurityMode.SignAndEncrypt,
            )

    async def _endpoints(self) -> list[ua.EndpointDescription]:
        """Ask for the endpoints over a channel without security, and note the server's clock."""
        client = self._new_client()
        request = ua.GetEndpointsRequest()
        request.Parameters.EndpointUrl = self._server.endpoint
        try:
            await client.connect_socket()
            await client.send_hello()
            await client.open_secure_channel()
            response = await self._ask(client, request, ua.GetEndpointsResponse)
            self._clock_hint = self._hint(utc_ns(response.ResponseHeader.Timestamp))
            await client.close_secure_channel()
        finally:
            client.disconnect_socket()
        return list(response.Endpoints or ())

    def _check_trust(self, certificate: bytes) -> None:
        """Raise `LinkError` unless a person has accepted exactly this certificate."""
        try:
            is_trusted = self._trust.is_trusted(certificate)
        except ValueError as error:
            raise self._error(f"its certificate cannot be read ({error})") from error
        if is_trusted:
            return
        path = self._trust.reject(certificate)
        where = "rejected/ (which is full)" if path is None else str(path)
        raise self._error(
            f"its certificate {thumbprint(certificate)} is not trusted, or not valid today; compare"
            f" it with the server's own, then move it from {where} to trusted/ beside it"
        )

    def _hint(self, clock_ns: int | None) -> str:
        """Say how far the server's clock is from ours."""
        if clock_ns is None:
            return "; it states no time of its own"
        ahead_s = (clock_ns - self._clock.now_ns()) / NS_PER_S
        side = "ahead of" if ahead_s > 0 else "behind"
        return f"; its clock is {abs(ahead_s):.1f} s {side} ours: set the one that is wrong"

    # --- the library -----------------------------------------------------------------------------

    def _new_client(self) -> Client:
        """Return a client that has not connected."""
        server = self._server
        client = Client(server.endpoint, timeout=self._timeout_s, watchdog_intervall=_HEALTH_S)
        client.session_timeout = _SESSION_MS
        client.application_uri = self._application_uri
        client.name = "Twinrig"
        client.description = "Twinrig"
        self._guards[client] = Guards(client)
        if server.username is not None:
            client.set_user(server.username)
        if server.password_file is not None:
            client.set_password(load_password(server.password_file, f"server {server.name}"))
        return client

    async def _ask(self, client: Client, request: Any, answer: type[Any]) -> Any:
        """Send a request and return the whole response, its header included."""
        protocol = client.uaclient.protocol
        if protocol is None:
            raise ConnectionError("connection is closed")
        self._guards[client].asked()
        async with asyncio.timeout(self._timeout_s + _GRACE_S):
            body = await protocol.send_request(request)
            honour_cancellation()
        response = struct_from_binary(answer, body)
        response.ResponseHeader.ServiceResult.check()
        return response

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Turn whatever the library raises into a `LinkError` that says what was tried.

        Only calls into the library belong under it. What a server sends goes through thousands of
        lines that are not ours, so no list of what they raise is ever whole; an error that is on
        none is logged with the place it came from, and ends this connection, not the gateway.
        """
        try:
            yield
        except TwinrigError:
            raise
        except FAILURES as error:
            hint = self._clock_hint if getattr(error, "code", None) in _ABOUT_TIME else ""
            raise self._error(f"{doing}: {_words(error)}{hint}") from error
        except Exception as error:
            _LOG.warning("opcua_library server=%s", self._server.name, exc_info=error)
            raise self._error(f"{doing}: the library failed with {error!r}") from error

    def _error(self, what: str) -> LinkError:
        return LinkError(self._server.name, LINK, what)


def _monitored(handle: int, node: ua.NodeId, period_ms: int) -> ua.MonitoredItemCreateRequest:
    """Return the request to watch one node; the newest value of a period is kept."""
    return ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(node, ua.AttributeIds.Value),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=ua.MonitoringParameters(
            ClientHandle=handle, SamplingInterval=float(period_ms), QueueSize=1, DiscardOldest=True
        ),
    )


def _first_certificate(chain: bytes) -> bytes:
    """Return the first DER certificate of a chain: an outer SEQUENCE with two bytes of length."""
    return chain[: 4 + int.from_bytes(chain[2:4], "big")]


def _words(error: Exception) -> str:
    """Say an error of the library in a few words."""
    if isinstance(error, ua.UaStatusCodeError):
        return status_name(int(error.code))
    if isinstance(error, TimeoutError):
        return "no answer"
    return str(error) or type(error).__name__
