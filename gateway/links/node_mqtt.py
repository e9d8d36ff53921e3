"""Sensor nodes behind an MQTT broker: sealed frames up, sealed frames down.

    twinrig/<node>/up      COSE bytes from the node (docs/wire-format.md, 2), QoS 1
    twinrig/<node>/down    COSE bytes to the node, QoS 1, never retained

One session of MQTT 5 for all nodes of the site, kept by the broker while the gateway restarts.
Promises: the broker sends no packet longer than `PACKET_BYTES_MAX`, and of those a message that is
longer than any seal, or on the topic of no node, is counted and dropped before anything looks into
it; a retained message is old news and dropped. What the broker cannot take now is not sent
("write_full"): probes, receipts and commands are all repeated by their senders. A certificate that
does not vouch for the broker ends the attempt.
Left to others: what a frame means (`stages/verify.py`: the broker is trusted with nothing), when to
reconnect (`supervisor.py`). Who may publish where is the broker's access list, docs/own-plant.md.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from typing import Final, final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.clock import Clock
from gateway.errors import LinkError
from gateway.keyfile import load_password
from gateway.links.supervisor import honour_cancellation
from gateway.links.tls import client_context
from gateway.loss import LossLedger
from gateway.records import Received
from gateway.site import MqttSettings
from wire.cose import MESSAGE_BYTES_MAX

_LOG: Final = logging.getLogger("twinrig.links.node_mqtt")
LINK: Final = "mqtt"
NAME: Final = "mqtt"
"""Name of this link in logs and in the ledger."""
TOO_LONG: Final = "too_long"
RETAINED: Final = "retained"
UNKNOWN_TOPIC: Final = "unknown_topic"
WRITE_FULL: Final = "write_full"
_WAIT_S: Final = 5.0
_KEEPALIVE_S: Final = 15
PACKET_BYTES_MAX: Final = 2 * MESSAGE_BYTES_MAX
_SESSION_EXPIRY_S: Final = 7 * 86_400
"""How long the broker keeps for us what nodes send; they send it again in any case."""
_INCOMING_MAX: Final = 1024
_OUTGOING_MAX: Final = 256


@final
class NodeMqtt:
    """The gateway's session with the broker of its nodes; a `Connection` for the supervisor.

    Args:
        site: name of the site, for the session's client id.
        nodes: names of the nodes behind the broker.
        settings: the [mqtt] table.
        clock: when a frame arrived.
        ledger: line errors, by node.
        deliver: takes each frame, in order.
    """

    def __init__(
        self,
        site: str,
        nodes: Iterable[str],
        settings: MqttSettings,
        clock: Clock,
        ledger: LossLedger,
        deliver: Callable[[Received], None],
    ) -> None:
        self._site = site
        self._sources = {f"twinrig/{node}/up": node for node in nodes}
        self._settings = settings
        self._clock = clock
        self._ledger = ledger
        self._deliver = deliver
        self._client: aiomqtt.Client | None = None
        self._is_connected = False
        self._outgoing: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(_OUTGOING_MAX)

    async def connect(self) -> None:
        """Connect and subscribe to every node's topic."""
        settings = self._settings
        client = aiomqtt.Client(
            settings.host,
            settings.port,
            username=settings.username,
            password=self._password(),
            identifier=f"twinrig/{self._site}/gateway",
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=_session(),
            timeout=_WAIT_S,
            keepalive=_KEEPALIVE_S,
            tls_context=self._tls(),
            max_queued_incoming_messages=_INCOMING_MAX,
        )
        self._client = client
        try:
            await client.__aenter__()
            self._is_connected = True
            for topic in self._sources:
                await client.subscribe(topic, qos=1)
        except (aiomqtt.MqttError, ValueError) as error:
            # The libraries raise ValueError for a host name or client id that cannot be one.
            raise self._error(f"{settings.host}:{settings.port}: {error}") from error

    async def serve(self, proof_of_life: Callable[[], None]) -> None:
        """Deliver what comes and send what is queued, until the connection ends."""
        client = self._client
        if client is None:
            raise self._error("not connected")
        proof_of_life()
        try:
            async for message in client.messages:
                proof_of_life()
                self._take(message)
                honour_cancellation()
        except aiomqtt.MqttError as error:
            raise self._error(str(error)) from error

    async def close(self) -> None:
        """Disconnect; the broker keeps the session."""
        client, self._client = self._client, None
        was_connected, self._is_connected = self._is_connected, False
        if client is None:
            return
        try:
            if was_connected:
                async with asyncio.timeout(_WAIT_S):
                    await client.__aexit__(None, None, None)
        except (aiomqtt.MqttError, OSError) as error:
            _LOG.info("mqtt_gone broker=%s error=%s", self._settings.host, error)
        finally:
            # aiomqtt leaves the socket of a failed attempt open, and offers nothing to close it.
            client._client._sock_close()

    def send(self, node: str, message: bytes) -> bool:
        """Queue a sealed message for a node without waiting; tell whether there was room."""
        if self._client is None:
            return False
        try:
            self._outgoing.put_nowait((f"twinrig/{node}/down", message))
        except asyncio.QueueFull:
            self._ledger.line_error(node, WRITE_FULL)
            return False
        return True

    async def pump(self) -> None:
        """Publish what is queued, until cancelled; what no broker takes is dropped, counted."""
        while True:
            topic, message = await self._outgoing.get()
            client = self._client
            if client is None or not await _publish(client, topic, message):
                self._ledger.line_error(topic.split("/")[1], WRITE_FULL)
            honour_cancellation()

    def _take(self, message: aiomqtt.Message) -> None:
        """Deliver one message, or count why not."""
        node = self._sources.get(message.topic.value)
        payload = message.payload
        if node is None:
            self._ledger.line_error(NAME, UNKNOWN_TOPIC)
            return
        reason = None
        if not isinstance(payload, bytes) or len(payload) > MESSAGE_BYTES_MAX:
            reason = TOO_LONG
        elif message.retain:
            reason = RETAINED
        if reason is not None or not isinstance(payload, bytes):
            self._ledger.line_error(node, reason or TOO_LONG)
            return
        now_ns = self._clock.now_ns()
        self._deliver(Received(source=node, link=LINK, data=payload, received_ns=now_ns))

    def _password(self) -> str | None:
        """Return the password of the session, read anew so that a changed file counts."""
        path = self._settings.password_file
        return None if path is None else load_password(path, "MQTT session of the gateway")

    def _tls(self) -> ssl.SSLContext | None:
        """Return a context that verifies the broker, or None for a plain connection."""
        if self._settings.ca_file is None:
            return None
        try:
            return client_context(self._settings.ca_file)
        except OSError as error:
            raise self._error(f"{self._settings.ca_file}: {error}") from error

    def _error(self, what: str) -> LinkError:
        return LinkError(NAME, LINK, what)


def _session() -> Properties:
    """Return what the broker is told about the session (MQTT 5.0, 3.1.2.11)."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = _SESSION_EXPIRY_S
    properties.MaximumPacketSize = PACKET_BYTES_MAX
    return properties


async def _publish(client: aiomqtt.Client, topic: str, message: bytes) -> bool:
    """Publish one message; tell whether the broker has it."""
    try:
        await client.publish(topic, message, qos=1, retain=False)
    except aiomqtt.MqttError as error:
        _LOG.info("mqtt_publish_failed topic=%s error=%s", topic, error)
        return False
    return True
