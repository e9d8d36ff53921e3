"""All links of a site to its sources; what they bring goes to `deliver`.

Promises: a source that fails concerns itself alone; a message to a node that no link takes now is
not kept, for its sender repeats it; nothing is open before the workers run, but for polled devices,
which open when they are first asked.
Left to others: the tasks and what becomes of frames and polls (`app.py`), each connection
(`links/`).
"""

import logging
import random
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Final, final

from gateway.clock import Clock
from gateway.errors import LinkError
from gateway.links.modbus import ModbusLink
from gateway.links.mqtt_values import MqttValues
from gateway.links.node_mqtt import NodeMqtt
from gateway.links.node_serial import NodeSerial
from gateway.links.opcua_client import OpcUaLink
from gateway.links.supervisor import Supervision, default_backoff, supervise
from gateway.loss import LossLedger
from gateway.records import Input, Polled
from gateway.site import MqttSettings, Node, Site
from gateway.site_nodes import MqttLink
from gateway.site_opcua import OpcUaServer
from wire.framing import frame

_CONNECT_S: Final = 5.0
_MQTT_CONNECT_S: Final = 20.0

_LOG: Final = logging.getLogger("twinrig.gateway")


@final
class South:
    """The links of one site.

    Args:
        site: which links.
        clock, ledger: whose time it is, and who counts what a link loses.
        state_dir: where links keep certificates.
        rng: jitter between attempts to connect.
        deliver: takes every frame and poll, in the order of each link.
    """

    def __init__(
        self,
        site: Site,
        clock: Clock,
        ledger: LossLedger,
        state_dir: Path,
        rng: random.Random,
        deliver: Callable[[Input], None],
    ) -> None:
        self._site = site
        self._clock = clock
        self._ledger = ledger
        self._state_dir = state_dir
        self._rng = rng
        self._deliver = deliver
        self.polled = [
            ModbusLink(device, Supervision(device.name, default_backoff(rng)))
            for device in site.modbus
        ]
        self._serial: dict[str, NodeSerial] = {}
        self._mqtt: NodeMqtt | None = None

    def close(self) -> None:
        """Close what polling has opened; what workers opened ends with them."""
        for link in self.polled:
            link.close()

    def workers(self) -> Iterator[tuple[str, Coroutine[None, None, None]]]:
        """Yield (name, what must run until cancelled), one or two for each link."""
        nodes = self._site.nodes
        for node in nodes:
            if node.serial_port is not None:
                yield f"node {node.name}", self._serve_node(node)
        behind = [node.name for node in nodes if isinstance(node.link, MqttLink)]
        if behind and self._site.mqtt is not None:
            link = self._make_mqtt(behind, self._site.mqtt)
            yield "nodes on mqtt", self._serve_broker(link)
            yield "to nodes on mqtt", link.pump()
        for server in self._site.opcua_servers:
            yield f"opcua {server.name}", self._serve_opcua(server)
        if self._site.mqtt_sources and self._site.mqtt is not None:
            yield "plain values on mqtt", self._serve_values(self._site.mqtt)
        for polled in self.polled:
            yield f"modbus {polled.device.name}", self._keep_polling(polled)

    def send(self, node: str, sealed: bytes) -> None:
        """Hand a sealed message to the link of its node; what no link takes is repeated later."""
        line = self._serial.get(node)
        if line is not None:
            line.send(frame(sealed))
        elif self._mqtt is not None:
            self._mqtt.send(node, sealed)

    async def poll(self, link: ModbusLink, now_ns: int) -> Polled | None:
        """Poll one device; what fails concerns this device or tag alone."""
        name = link.device.name
        try:
            result = await link.poll(now_ns, self._clock)
        except LinkError as error:
            self._ledger.line_error(name, "poll_failed")
            _LOG.info("modbus_poll_failed device=%s error=%s", name, error.what)
            return None
        for failed in result.errors:
            self._ledger.line_error(name, "tag_failed")
            _LOG.info("modbus_tag_failed tag=%s:%s error=%s", name, failed.tag, failed.what)
        return result.polled

    def _make_mqtt(self, nodes: list[str], settings: MqttSettings) -> NodeMqtt:
        """Return the link of all nodes behind the broker."""
        self._mqtt = NodeMqtt(
            self._site.name, nodes, settings, self._clock, self._ledger, self._deliver
        )
        return self._mqtt

    async def _serve_node(self, node: Node) -> None:
        """Keep the serial line of a node open and take its frames."""
        port, baud = node.serial_port or "", node.serial_baud
        link = NodeSerial(node.name, port, baud, self._clock, self._ledger, self._deliver)
        self._serial[node.name] = link
        supervision = Supervision(node.name, default_backoff(self._rng))
        await supervise(
            link, supervision, self._clock, connect_s=_CONNECT_S, silence_s=node.silence_s
        )

    async def _serve_broker(self, link: NodeMqtt) -> None:
        """Keep the session with the broker of the nodes; it may rightly be quiet."""
        supervision = Supervision("mqtt", default_backoff(self._rng))
        await supervise(link, supervision, self._clock, connect_s=_MQTT_CONNECT_S, silence_s=None)

    async def _serve_opcua(self, server: OpcUaServer) -> None:
        """Keep reading a server of somebody else."""
        link = OpcUaLink(
            self._site.name, server, self._state_dir / "opcua_client", self._clock,
            self._ledger, self._deliver,
        )  # fmt: skip
        supervision = Supervision(server.name, default_backoff(self._rng))
        await supervise(
            link, supervision, self._clock, connect_s=link.connect_s, silence_s=link.silence_s
        )

    async def _serve_values(self, settings: MqttSettings) -> None:
        """Keep the subscription to devices that publish plain values; they may rightly be quiet."""
        site = self._site
        link = MqttValues(
            site.name, site.mqtt_sources, settings, self._clock, self._ledger, self._deliver
        )
        supervision = Supervision("mqtt values", default_backoff(self._rng))
        await supervise(link, supervision, self._clock, connect_s=_MQTT_CONNECT_S, silence_s=None)

    async def _keep_polling(self, link: ModbusLink) -> None:
        """Poll a device on its own grid."""
        while True:
            now_ns = self._clock.now_ns()
            if link.cadence.take(now_ns):
                polled = await self.poll(link, now_ns)
                if polled is not None:
                    self._deliver(polled)
            await self._clock.sleep_until(link.cadence.due_ns(self._clock.now_ns()))
