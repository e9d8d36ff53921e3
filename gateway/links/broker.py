"""One session of MQTT 5 with a broker: opened, listened to, closed; for every link that needs one.

Promises: a certificate that does not vouch for the broker ends the attempt; the broker sends no
packet longer than it was told; every wait has a deadline; no socket of a failed attempt stays open;
password and certificates are read anew at every attempt, so that a changed file counts.
Left to others: topics and messages (`node_mqtt.py`, `mqtt_values.py`), when to connect again
(`supervisor.py`).
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final, final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.errors import LinkError
from gateway.keyfile import load_password
from gateway.links.supervisor import honour_cancellation
from gateway.links.tls import client_context
from gateway.site import MqttSettings

_LOG: Final = logging.getLogger("twinrig.links.broker")
_WAIT_S: Final = 5.0
_KEEPALIVE_S: Final = 15
_INCOMING_MAX: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTerms:
    """What a link asks of its session."""

    name: str
    """Name of the link in messages."""
    identifier: str
    """Client id, by which the broker knows the session again."""
    expiry_s: int
    """How long the broker keeps messages for us while we are away; 0 = not at all."""
    packet_bytes_max: int
    """The broker sends us nothing longer."""


@final
class Broker:
    """The session; made once, opened for every attempt.

    Args:
        settings: the [mqtt] table.
        terms: what the link asks for.
    """

    def __init__(self, settings: MqttSettings, terms: SessionTerms) -> None:
        self._settings = settings
        self._terms = terms
        self._client: aiomqtt.Client | None = None
        self._is_connected = False

    @property
    def has_client(self) -> bool:
        """Tell whether there is a connection, or an attempt at one."""
        return self._client is not None

    async def open(self, topics: Iterable[str]) -> None:
        """Connect and subscribe; raises `LinkError`, `KeyFileError` for a password file."""
        settings, terms = self._settings, self._terms
        client = aiomqtt.Client(
            settings.host,
            settings.port,
            username=settings.username,
            password=self._password(),
            identifier=terms.identifier,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=terms.expiry_s == 0,
            properties=_properties(terms),
            timeout=_WAIT_S,
            keepalive=_KEEPALIVE_S,
            tls_context=self._tls(),
            max_queued_incoming_messages=_INCOMING_MAX,
        )
        self._client = client
        try:
            await client.__aenter__()
            self._is_connected = True
            for topic in topics:
                await client.subscribe(topic, qos=1)
        except (aiomqtt.MqttError, ValueError) as error:
            # The libraries raise ValueError for a host name or client id that cannot be one.
            raise self._error(f"{settings.host}:{settings.port}: {error}") from error

    async def messages(self) -> AsyncIterator[aiomqtt.Message]:
        """Yield what comes until the connection ends; raises `LinkError`."""
        client = self._client
        if client is None:
            raise self._error("not connected")
        try:
            async for message in client.messages:
                yield message
                honour_cancellation()
        except aiomqtt.MqttError as error:
            raise self._error(str(error)) from error

    async def publish(self, topic: str, message: bytes) -> bool:
        """Publish one message, never retained; tell whether the broker has it."""
        if self._client is None:
            return False
        try:
            await self._client.publish(topic, message, qos=1, retain=False)
        except aiomqtt.MqttError as error:
            _LOG.info("mqtt_publish_failed topic=%s error=%s", topic, error)
            return False
        return True

    async def close(self) -> None:
        """Disconnect; what the broker keeps for us it keeps."""
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

    def _password(self) -> str | None:
        path = self._settings.password_file
        return None if path is None else load_password(path, f"MQTT session of {self._terms.name}")

    def _tls(self) -> ssl.SSLContext | None:
        """Return a context that verifies the broker, or None for a plain connection."""
        if self._settings.ca_file is None:
            return None
        try:
            return client_context(self._settings.ca_file)
        except OSError as error:
            raise self._error(f"{self._settings.ca_file}: {error}") from error

    def _error(self, what: str) -> LinkError:
        return LinkError(self._terms.name, "mqtt", what)


def _properties(terms: SessionTerms) -> Properties:
    """Return what the broker is told about the session (MQTT 5.0, 3.1.2.11)."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = terms.expiry_s
    properties.MaximumPacketSize = terms.packet_bytes_max
    return properties
