"""The node over MQTT: each sealed message is a payload; TLS and Wi-Fi underneath.

Promises: joining, calling, sending and hearing never wait; only the greeting (TLS and MQTT) and the
subscription may take WAIT_US each, and not in the same call.  A connection that fails is tried
again after a pause that doubles up to PAUSE_US_MAX and differs from node to node; it starts small
again when a connection has stood for STEADY_US.  A broker that says nothing for SILENCE_US, or
takes nothing for STALL_US, is left.

Messages go with QoS 0 in a clean session: that one has arrived, and is stored, only a receipt of
the gateway can say (`delivery.py`), and what the gateway wants it repeats.  MQTT's acknowledgement
would speak for the broker alone.  Topics: `twinrig/<node>/up` and `.../down`.

MQTT itself is `umqtt.simple` of the stock firmware, over a stream of our own (`mqtt_stream.py`),
since it has no deadlines and no bounds.  With `tls_ca` the broker must prove its name by that
authority; no `tls_ca` is refused unless `"allow_unencrypted": true` says so.
"""

import binascii
import errno

from firmware import fields as check
from firmware.errors import ConfigError
from firmware.mqtt_client import errors, make_client, reason
from firmware.mqtt_stream import MqttStream

WAIT_US = 4000000
KEEPALIVE_S = 60
SILENCE_US = KEEPALIVE_S * 1000000
STALL_US = 15000000
STEADY_US = 30000000
PAUSE_US_MIN = 1000000
PAUSE_US_MAX = 120000000
_PING_US = SILENCE_US // 3
_JOIN_US = 1000000
_MESSAGES_AT_ONCE = 4
_ARRIVED_MAX = 8
_STATE_CHARACTERS = 80


class MqttLink:
    """A link like the others (firmware/link.py); `settings` is the table `link` of node.json."""

    poll_us = 50000

    def __init__(self, hal, settings, identity) -> None:
        from umqtt import simple

        _checked(settings, hasattr(hal, "network"))
        self._mqtt = simple
        self._errors = errors(simple)
        self._hal = hal
        self._settings = settings
        self._node = identity.node.encode()
        self._up = b"twinrig/" + self._node + b"/up"
        self._down = b"twinrig/" + self._node + b"/down"
        self._spread = binascii.crc32(self._node) & 0xFF
        self._calendar = None
        self._client = None
        self._stream = MqttStream(hal.ticks_us)
        self._step = self._join
        self._arrived = []
        self._pause_us = PAUSE_US_MIN
        self._due_us = 0
        self._limit_us = 0
        self._ping_us = 0
        self._connections = 0
        self.dropped = 0
        """Messages that were none of ours, or came too fast."""
        self.state = "down: not connected yet"

    @property
    def restarts(self) -> int:
        """How often the connection had to be made again."""
        return max(0, self._connections - 1)

    def prepare(self, channels: int, schedule) -> None:
        """Values travel in sealed messages only."""

    def publish(self, first: int, values, time_us: int) -> None:
        """Values travel in sealed messages only."""

    def is_waiting(self) -> bool:
        """Whether `receive` should be asked: there is no telling without."""
        return self.state == "up"

    def has_room(self) -> bool:
        """Whether it is worth while to fetch a frame for `send`."""
        return self.state == "up"

    def send(self, message) -> bool:
        """Hand `message` to the connection; False while it is not there, or not free."""
        if self.state != "up":
            return False
        try:
            if not self._stream.flush():
                return False
            self._client.publish(self._up, message)
            self._stream.flush()
        except self._errors as error:
            self._lose(error)
            return False
        return True

    def receive(self) -> "list":
        """The messages that have arrived."""
        if self.state == "up":
            try:
                self._hear()
            except self._errors as error:
                self._lose(error)
        arrived, self._arrived = self._arrived, []
        return arrived

    def service(self, now_us: int) -> None:
        """Keep the connection alive, or take the next step towards one."""
        try:
            if self.state == "up":
                self._keep(now_us)
            elif now_us >= self._due_us:
                self._step(now_us)
        except self._errors as error:
            self._lose(error)

    # --- towards a connection, a step in a call ---------------------------------------------------

    def _join(self, now_us: int) -> None:
        """Be in the network, then call the broker."""
        settings = self._settings
        if settings.get("wifi"):
            try:
                # The attempt goes on by itself; nobody has to wait for it here.
                self._hal.network(dict(settings["wifi"], timeout_s=0))
            except OSError as error:
                if error.args[0] != errno.ETIMEDOUT:
                    raise
                self.state = "down: joining the Wi-Fi network"
                self._due_us = now_us + _JOIN_US
                return
        self._limit_us = now_us + WAIT_US
        self._stream.open(settings["host"], settings["port"])
        self._step = self._await_answer

    def _await_answer(self, now_us: int) -> None:
        if self._stream.is_open():
            self._step = self._greet
        elif now_us >= self._limit_us:
            raise OSError(errno.ETIMEDOUT)

    def _greet(self, now_us: int) -> None:
        settings, stream = self._settings, self._stream
        if settings.get("tls_ca"):
            self._encrypt(self._hal.read_file(settings["tls_ca"]))
        user = password = None
        if settings.get("user"):
            user, password = settings["user"].encode(), b""
            if settings.get("password_file"):
                password = self._hal.read_file(settings["password_file"]).strip()
        client = make_client(
            self._mqtt,
            stream,
            (self._node, settings["host"], settings["port"], user, password, KEEPALIVE_S),
        )
        client.set_callback(self._take)
        self._wait_until(now_us + WAIT_US)
        client.connect(True)
        self._client = client
        self._step = self._subscribe

    def _encrypt(self, authority: bytes) -> None:
        from firmware import mqtt_tls

        if self._calendar is None:
            self._calendar = mqtt_tls.Calendar(self._hal)
        self._calendar.prepare(authority)
        self._stream.encrypt(mqtt_tls.context(authority), self._settings["host"])

    def _subscribe(self, now_us: int) -> None:
        self._wait_until(now_us + WAIT_US)
        self._client.subscribe(self._down)
        self._wait_until(0)
        self._connections += 1
        self._limit_us = now_us + STEADY_US
        self._ping_us = now_us + _PING_US
        self.state = "up"

    def _wait_until(self, deadline_us: int) -> None:
        self._stream.deadline_us = deadline_us

    # --- while it stands --------------------------------------------------------------------------

    def _hear(self) -> None:
        stream = self._stream
        stream.flush()
        stream.fill()
        for _ in range(_MESSAGES_AT_ONCE):
            count = stream.packet_bytes()
            if not count:
                return
            behind = stream.left() - count
            self._client.check_msg()
            if stream.left() < behind:
                raise OSError(errno.EINVAL)
            # What umqtt did not want of the packet must not be taken for the next one.
            stream.drop(stream.left() - behind)

    def _keep(self, now_us: int) -> None:
        stream = self._stream
        if now_us - stream.heard_us > SILENCE_US:
            raise OSError(errno.ETIMEDOUT)
        if not stream.flush():
            if now_us - stream.moved_us > STALL_US:
                raise OSError(errno.ETIMEDOUT)
        elif now_us >= self._ping_us:
            self._ping_us = now_us + _PING_US
            self._client.ping()
            stream.moved_us = now_us
            stream.flush()
        if now_us >= self._limit_us:
            self._pause_us = PAUSE_US_MIN

    def _take(self, topic, message) -> None:
        if topic == self._down and len(self._arrived) < _ARRIVED_MAX:
            self._arrived.append(bytes(message))
        else:
            self.dropped += 1

    def _lose(self, error) -> None:
        """Say why, give the connection back, and try again after a pause."""
        self._stream.close()
        self._client = None
        self._step = self._join
        self.state = ("down: " + reason(self._mqtt, error))[:_STATE_CHARACTERS]
        pause_us = self._pause_us + (self._pause_us * self._spread >> 10)
        self._due_us = self._hal.ticks_us() + pause_us
        if "future" in self.state and self._calendar is not None and self._calendar.later():
            # Nobody is to blame but our calendar, which has got a step further.
            return
        self._pause_us = min(2 * self._pause_us, PAUSE_US_MAX)


def _checked(settings, has_wifi: bool) -> None:
    """ConfigError for what cannot be a connection."""
    host = settings.get("host")
    if not isinstance(host, str) or not 0 < len(host) <= 253:
        raise ConfigError("link.host: a name or address is needed")
    check.integer(settings, "port", "link", 1, 65535)
    if settings.get("wifi") and not has_wifi:
        raise ConfigError("link.wifi: this board has no Wi-Fi")
    if not settings.get("tls_ca") and settings.get("allow_unencrypted") is not True:
        raise ConfigError("link.tls_ca is missing: name the file of the broker's authority")
