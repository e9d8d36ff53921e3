"""MQTT Sparkplug B 3.0 edge node: births, data and death of one asset as a device.

    spBv1.0/<group>/NBIRTH|NDEATH|NCMD/<edge node>       bdSeq, Node Control/Rebirth
    spBv1.0/<group>/DBIRTH|DDATA|DCMD/<edge node>/<asset>      signals, estimate, verdict, time

Promises: NDEATH with bdSeq is the will; NBIRTH has seq 0 and the same
bdSeq, then DBIRTH, then data, every message the next seq; a command that asks for a rebirth gets
one, however many of its metrics ask. While the broker is away records wait in the bounded outbox,
the oldest dropped and counted; nothing upstream notices. A record without an encoding is dropped
("not_encodable") and takes no other with it. A failed attempt to connect leaves no socket.
Left to others: what metrics say (`sparkplug_metrics.py`), their bytes (`sparkplug_payload.py`),
when to reconnect (`links/supervisor.py`).
"""

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Final, final

import aiomqtt

from gateway.clock import NS_PER_MS, Clock, SystemClock
from gateway.errors import SinkError
from gateway.keyfile import load_password
from gateway.links.supervisor import (
    Supervision,
    default_backoff,
    honour_cancellation,
    supervise,
)
from gateway.links.tls import client_context
from gateway.loss import LossLedger
from gateway.records import Record
from gateway.sinks.outbox import Outbox
from gateway.sinks.sparkplug_metrics import Published, births, metrics_of
from gateway.sinks.sparkplug_payload import (
    DataType,
    Metric,
    Payload,
    SparkplugPayloadError,
    decode,
    encode,
)
from gateway.site import Site, SparkplugSettings

_LOG: Final = logging.getLogger("twinrig.gateway.sinks.sparkplug")
REBIRTH: Final = "Node Control/Rebirth"
BD_SEQ: Final = "bdSeq"
_QUEUE_MAX: Final = 50_000
_RECORDS_MAX: Final = 200
"""Records in one DDATA message."""
_COMMANDS_MAX: Final = 100
_WAIT_S: Final = 5.0
"""Longest wait for any single answer of the broker."""
_CONNECT_S: Final = 4 * _WAIT_S
_KEEPALIVE_S: Final = 15


@final
class SparkplugSink:
    """The edge node of a site; also the `Connection` its supervisor keeps alive.

    Args:
        site: the signals every birth must name.
        settings: its [sparkplug] table.
        ledger: counts this sink.
        clock: time of publishing.
        rng: jitter of the reconnection pauses.
    """

    name = "sparkplug"

    def __init__(
        self,
        site: Site,
        settings: SparkplugSettings,
        ledger: LossLedger,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._site = site
        self._settings = settings
        self._clock = clock
        self._outbox: Outbox[Published] = Outbox(self.name, _QUEUE_MAX, ledger)
        self.supervision = Supervision(self.name, default_backoff(rng))
        self._latest = births(site)
        self._client: aiomqtt.Client | None = None
        self._password: str | None = None
        self._bd_seq = -1
        self._seq = 0
        self._publishing = asyncio.Lock()
        self._born = asyncio.Event()
        self._settled = asyncio.Event()

    async def start(self) -> None:
        """Read the password, if any; the broker may be away."""
        if self._settings.password_file is not None:
            self._password = load_password(self._settings.password_file, "Sparkplug edge node")

    def workers(self) -> tuple[Coroutine[None, None, None], ...]:
        """Return the tasks of this sink: keep connected, and publish.

        Pauses between attempts are a matter of the real network: they run in wall time always.
        """
        connected = supervise(
            self, self.supervision, SystemClock(), connect_s=_CONNECT_S, silence_s=None
        )
        return connected, self._pump()

    async def settle(self) -> None:
        """Return after the first birth or the first failure, or when both take too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_S):
                await self._settled.wait()

    def put(self, record: Record) -> None:
        """Queue values, estimates, verdicts and what is known about time; nothing else."""
        if isinstance(record, Published):
            self._outbox.put(record)

    async def drain(self) -> None:
        """Publish everything queued; return at once when there is no broker."""
        while self._born.is_set() and len(self._outbox):
            await self._publish_batch()

    async def stop(self) -> None:
        """Drop, counted, what no broker took; the connection was closed with the task."""
        self._outbox.drop_all("broker_away")

    def endpoints(self) -> dict[str, str]:
        """Return broker and topics to subscribe to."""
        settings = self._settings
        return {
            self.name: f"mqtt://{settings.host}:{settings.port}",
            "sparkplug_topics": f"spBv1.0/{settings.group_id}/+/{settings.edge_node_id}/#",
        }

    # --- connection, for the supervisor ----------------------------------------------------------

    async def connect(self) -> None:
        """Connect with the death certificate as will, subscribe to commands, give birth."""
        self._bd_seq = (self._bd_seq + 1) % 256
        settings = self._settings
        client = aiomqtt.Client(
            settings.host,
            settings.port,
            username=settings.username,
            password=self._password,
            # Two clients of one id would end each other; "/" is in neither part.
            identifier=f"twinrig/{settings.group_id}/{settings.edge_node_id}",
            clean_session=True,
            will=aiomqtt.Will(self._topic("NDEATH"), self._death(), qos=1, retain=False),
            timeout=_WAIT_S,
            keepalive=_KEEPALIVE_S,
            tls_context=self._tls(),
            max_queued_incoming_messages=_COMMANDS_MAX,
        )
        self._client = client
        try:
            await client.__aenter__()
            await client.subscribe(self._topic("NCMD"), qos=1)
            await client.subscribe(f"{self._topic('DCMD')}/{self._site.asset}", qos=1)
            await self._give_birth(client)
        except (aiomqtt.MqttError, ValueError) as error:
            # The libraries raise ValueError for a host name or client id that cannot be one.
            raise SinkError(self.name, f"{settings.host}:{settings.port}: {error}") from error

    async def serve(self, proof_of_life: Callable[[], None]) -> None:
        """Obey commands until the connection ends."""
        if self._client is None:
            raise SinkError(self.name, "not connected")
        proof_of_life()
        self._settled.set()
        try:
            async for message in self._client.messages:
                proof_of_life()
                payload = message.payload if isinstance(message.payload, bytes) else b""
                await self._obey(self._client, message.topic.value, payload)
                honour_cancellation()
        except aiomqtt.MqttError as error:
            raise SinkError(self.name, str(error)) from error

    async def close(self) -> None:
        """Say goodbye with NDEATH (a plain disconnect would discard the will) and disconnect.

        A session without a finished birth is cut off, so that the broker publishes the will.
        """
        client, self._client = self._client, None
        was_born = self._born.is_set()
        self._born.clear()
        self._settled.set()
        if client is None:
            return
        try:
            if was_born:
                async with asyncio.timeout(_WAIT_S):
                    await client.publish(self._topic("NDEATH"), self._death(), qos=1)
                    await client.__aexit__(None, None, None)
        except (aiomqtt.MqttError, OSError) as error:
            _LOG.info("sparkplug_gone broker=%s error=%s", self._settings.host, error)
        finally:
            # aiomqtt leaves the socket of a failed attempt open, and offers nothing to close it.
            client._client._sock_close()

    async def _obey(self, client: aiomqtt.Client, topic: str, payload: bytes) -> None:
        """Give birth again when asked to; anything else is refused, aloud."""
        try:
            metrics = decode(payload).metrics
        except SparkplugPayloadError as error:
            _LOG.warning("sparkplug_command_malformed topic=%s error=%s", topic, error)
            return
        wanted = [
            topic == self._topic("NCMD") and metric.name == REBIRTH and metric.value is True
            for metric in metrics
        ]
        for metric, is_rebirth in zip(metrics, wanted, strict=True):
            if not is_rebirth:
                _LOG.warning("sparkplug_command_refused topic=%s metric=%s", topic, metric.name)
        if any(wanted):
            await self._give_birth(client)

    # --- messages --------------------------------------------------------------------------------

    async def _give_birth(self, client: aiomqtt.Client) -> None:
        """Publish NBIRTH with seq 0, then DBIRTH with every metric there will ever be."""
        async with self._publishing:
            self._born.clear()
            now_ms = self._clock.now_ns() // NS_PER_MS
            node = (
                Metric(
                    name=BD_SEQ, timestamp_ms=now_ms, datatype=DataType.INT64, value=self._bd_seq
                ),
                Metric(name=REBIRTH, timestamp_ms=now_ms, datatype=DataType.BOOLEAN, value=False),
            )
            device = tuple(
                metric if metric.timestamp_ms is not None else replace(metric, timestamp_ms=now_ms)
                for metric in self._latest.values()
            )
            self._seq = 0
            await client.publish(self._topic("NBIRTH"), self._payload(node, is_birth=True))
            await client.publish(self._device_topic("DBIRTH"), self._payload(device, is_birth=True))
            self._born.set()

    async def _pump(self) -> None:
        """Publish what is queued whenever there is a broker, until cancelled."""
        while True:
            await self._outbox.wait()
            await self._born.wait()
            await self.drain()
            honour_cancellation()

    async def _publish_batch(self) -> None:
        """Publish the oldest records as one DDATA; put them back if the broker is lost."""
        async with self._publishing:
            client = self._client
            if client is None or not self._born.is_set():
                return
            batch, payload, latest = self._data(self._outbox.take(_RECORDS_MAX))
            is_out = False
            try:
                if payload:
                    await client.publish(self._device_topic("DDATA"), payload)
                is_out = True
            except aiomqtt.MqttError as error:
                _LOG.info("sparkplug_publish_failed error=%s queued=%d", error, len(batch))
            finally:
                if is_out:
                    self._latest = latest
                    self._outbox.delivered(len(batch))
                else:
                    self._born.clear()
                    self._outbox.give_back(batch)

    def _data(self, records: list[Published]) -> tuple[list[Published], bytes, dict[str, Metric]]:
        """Return the records that have an encoding, their message, and what is latest after it.

        The message is empty when the records say nothing; the others are dropped, counted.
        """
        try:
            return self._data_of(records)
        except SparkplugPayloadError:
            good = [record for record in records if self._is_encodable(record)]
            self._outbox.drop("not_encodable", len(records) - len(good))
            return self._data_of(good)

    def _data_of(
        self, records: list[Published]
    ) -> tuple[list[Published], bytes, dict[str, Metric]]:
        """Return what `_data` returns, or raise `SparkplugPayloadError`."""
        latest = dict(self._latest)
        metrics = tuple(metric for record in records for metric in metrics_of(record, latest))
        return records, self._payload(metrics, is_birth=False) if metrics else b"", latest

    def _is_encodable(self, record: Published) -> bool:
        """Tell whether a record can be published; the sequence number stays as it is."""
        sequence = self._seq
        try:
            self._data_of([record])
        except SparkplugPayloadError as error:
            _LOG.warning("sparkplug_record_dropped error=%s", error)
            return False
        finally:
            self._seq = sequence
        return True

    def _payload(self, metrics: tuple[Metric, ...], *, is_birth: bool) -> bytes:
        """Return a message body with the next sequence number; an error uses none up."""
        now_ms = self._clock.now_ns() // NS_PER_MS
        payload = Payload(timestamp_ms=now_ms, sequence=self._seq, metrics=metrics)
        content = encode(payload, states_types=is_birth)
        self._seq = (self._seq + 1) % 256
        return content

    def _death(self) -> bytes:
        """Return the body of NDEATH: bdSeq and nothing else."""
        bd_seq = Metric(name=BD_SEQ, datatype=DataType.INT64, value=self._bd_seq)
        return encode(Payload(timestamp_ms=None, sequence=None, metrics=(bd_seq,)))

    def _topic(self, kind: str) -> str:
        settings = self._settings
        return f"spBv1.0/{settings.group_id}/{kind}/{settings.edge_node_id}"

    def _device_topic(self, kind: str) -> str:
        return f"{self._topic(kind)}/{self._site.asset}"

    def _tls(self) -> ssl.SSLContext | None:
        """Return a context that verifies the broker, or None for a plain connection."""
        if self._settings.ca_file is None:
            return None
        try:
            return client_context(self._settings.ca_file)
        except OSError as error:
            raise SinkError(self.name, f"{self._settings.ca_file}: {error}") from error
