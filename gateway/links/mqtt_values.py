"""Plain MQTT: values of foreign devices, each with the time that its device gave it.

One session of MQTT 5 for all [[mqtt_sources]] of the site, which the broker forgets while we are
away: what was published meanwhile is not measured now.
Promises: only stated topics are heard; a retained message is old news, and one that is longer than
`MESSAGE_BYTES_MAX` is none; both are counted, like every value or stamp that cannot be read.
What is known of the time of a value: it came when it came, and was measured before that, at most
`delay_max_ms` before, which is the site's word and nobody's proof. Its own stamp goes with it.
Left to others: the session (`broker.py`), JSON (`mqtt_json.py`), the clock behind the stamps
(`stages/sync.py`: of one way only its rate and its changes can be known).
"""

from collections.abc import Callable, Iterable
from typing import Final, final

import aiomqtt

from gateway.clock import NS_PER_MS, Clock
from gateway.links.broker import Broker, SessionTerms
from gateway.links.mqtt_json import MESSAGE_BYTES_MAX, read_message
from gateway.loss import LossLedger
from gateway.records import Polled
from gateway.site import MqttSettings
from gateway.site_mqtt import MqttSource, MqttValue

LINK: Final = "mqtt_json"
NAME: Final = "mqtt"
TOO_LONG: Final = "too_long"
RETAINED: Final = "retained"
UNKNOWN_TOPIC: Final = "unknown_topic"
_HEADER_BYTES: Final = 1024
"""Room for topic and properties of a packet."""


@final
class MqttValues:
    """The gateway's session for all plain sources; a `Connection` for the supervisor.

    Args:
        site: name of the site, for the session's client id.
        sources: the [[mqtt_sources]] tables.
        settings: the [mqtt] table.
        clock: when a message arrived.
        ledger: what could not be read, by source.
        deliver: takes the values of each message, in order.
    """

    def __init__(
        self,
        site: str,
        sources: Iterable[MqttSource],
        settings: MqttSettings,
        clock: Clock,
        ledger: LossLedger,
        deliver: Callable[[Polled], None],
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._deliver = deliver
        self._heard: dict[str, list[tuple[MqttSource, list[MqttValue]]]] = {}
        for source in sources:
            topics: dict[str, list[MqttValue]] = {}
            for value in source.values:
                topics.setdefault(value.topic, []).append(value)
            for topic, values in topics.items():
                self._heard.setdefault(topic, []).append((source, values))
        self._broker = Broker(
            settings,
            SessionTerms(
                name=NAME,
                identifier=f"twinrig/{site}/values",
                expiry_s=0,
                packet_bytes_max=MESSAGE_BYTES_MAX + _HEADER_BYTES,
            ),
        )

    async def connect(self) -> None:
        """Connect and subscribe to every stated topic."""
        await self._broker.open(self._heard)

    async def serve(self, proof_of_life: Callable[[], None]) -> None:
        """Deliver what comes until the connection ends.

        Only a message proves it: two gateways with one client id are both let in, in turns.
        """
        async for message in self._broker.messages():
            proof_of_life()
            self._take(message)

    async def close(self) -> None:
        """Disconnect."""
        await self._broker.close()

    def _take(self, message: aiomqtt.Message) -> None:
        """Deliver the values of one message, and count what it did not say."""
        now_ns = self._clock.now_ns()
        heard = self._heard.get(message.topic.value)
        if heard is None:
            self._ledger.line_error(NAME, UNKNOWN_TOPIC)
            return
        for source, values in heard:
            payload = message.payload
            if message.retain:
                self._ledger.line_error(source.name, RETAINED)
            elif not isinstance(payload, bytes) or len(payload) > MESSAGE_BYTES_MAX:
                self._ledger.line_error(source.name, TOO_LONG)
            else:
                self._understand(source, values, payload, now_ns)

    def _understand(
        self, source: MqttSource, values: list[MqttValue], payload: bytes, now_ns: int
    ) -> None:
        """Deliver what a message says about one source."""
        readings, reasons = read_message(source.name, values, payload)
        for reason in reasons:
            self._ledger.line_error(source.name, reason)
        if readings:
            self._deliver(
                Polled(
                    source=source.name,
                    link=LINK,
                    readings=readings,
                    requested_ns=now_ns - source.delay_max_ms * NS_PER_MS,
                    received_ns=now_ns,
                )
            )
