"""Sensor nodes behind an MQTT broker: sealed frames up, sealed frames down.

    twinrig/<node>/up      COSE bytes from the node (docs/wire-format.md, 2), QoS 1
    twinrig/<node>/down    COSE bytes to the node, QoS 1, never retained

One session of MQTT 5 for all nodes of the site, kept by the broker while the gateway restarts.
Promises: the broker sends no packet longer than `PACKET_BYTES_MAX`, and of those a message that is
longer than any seal, or on the topic of no node, is counted and dropped before anything looks into
it; a retained message is old news and dropped. What the broker cannot take now is not sent
("write_full"): probes, receipts and commands are all repeated by their senders.
Left to others: the session (`broker.py`), what a frame means (`stages/verify.py`: the broker is
trusted with nothing), when to reconnect (`supervisor.py`). Who may publish where is the broker's
access list, docs/own-plant.md.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, final

import aiomqtt

from gateway.clock import Clock
from gateway.links.broker import Broker, SessionTerms
from gateway.links.supervisor import honour_cancellation
from gateway.loss import LossLedger
from gateway.records import Received
from gateway.site import MqttSettings
from wire.cose import MESSAGE_BYTES_MAX

LINK: Final = "mqtt"
NAME: Final = "mqtt"
"""Name of this link in logs and in the ledger."""
TOO_LONG: Final = "too_long"
RETAINED: Final = "retained"
UNKNOWN_TOPIC: Final = "unknown_topic"
WRITE_FULL: Final = "write_full"
PACKET_BYTES_MAX: Final = 2 * MESSAGE_BYTES_MAX
_SESSION_EXPIRY_S: Final = 7 * 86_400
"""How long the broker keeps for us what nodes send; they send it again in any case."""
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
        self._sources = {f"twinrig/{node}/up": node for node in nodes}
        self._clock = clock
        self._ledger = ledger
        self._deliver = deliver
        self._broker = Broker(
            settings,
            SessionTerms(
                name=NAME,
                identifier=f"twinrig/{site}/gateway",
                expiry_s=_SESSION_EXPIRY_S,
                packet_bytes_max=PACKET_BYTES_MAX,
            ),
        )
        self._outgoing: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(_OUTGOING_MAX)

    async def connect(self) -> None:
        """Connect and subscribe to every node's topic."""
        await self._broker.open(self._sources)

    async def serve(self, proof_of_life: Callable[[], None]) -> None:
        """Deliver what comes and send what is queued, until the connection ends.

        Only a message proves it: two gateways with one client id are both let in, in turns.
        """
        async for message in self._broker.messages():
            proof_of_life()
            self._take(message)

    async def close(self) -> None:
        """Disconnect; the broker keeps the session."""
        await self._broker.close()

    def send(self, node: str, message: bytes) -> bool:
        """Queue a sealed message for a node without waiting; tell whether there was room."""
        if not self._broker.has_client:
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
            if not await self._broker.publish(topic, message):
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
