"""The node over MQTT: each sealed message is a payload; TLS and Wi-Fi underneath.

Promises: nothing here waits longer than WAIT_S, whatever the network does; a connection that fails
is tried again with a growing pause, and the node samples on.  Messages go with QoS 0: that one has
arrived, and is stored, only a receipt of the gateway can say (`delivery.py`); MQTT's own
acknowledgement would speak for the broker alone.  Topics: `twinrig/<node>/up` and `.../down`.

The client is `umqtt.simple` of the stock firmware.  It offers no deadline, so it gets its socket
through `_Patience`, which sets one.  With `tls_ca` the broker must prove its name by a certificate
of that authority; no `tls_ca` is refused unless `"allow_unencrypted": true` says so.
"""

import socket

from firmware.errors import ConfigError

WAIT_S = 4
KEEPALIVE_S = 60
MESSAGE_BYTES_MAX = 2000
_MESSAGES_AT_ONCE = 4
_PAUSE_US_MIN = 1000000
_PAUSE_US_MAX = 120000000
_PING_US = KEEPALIVE_S * 1000000 // 3


class MqttLink:
    """A link like the others (firmware/link.py); `settings` is the table `link` of node.json."""

    poll_us = 50000

    def __init__(self, hal, settings, identity) -> None:
        for key in ("host", "port"):
            if key not in settings:
                raise ConfigError("link.%s is missing" % key)
        if not settings.get("tls_ca") and not settings.get("allow_unencrypted"):
            raise ConfigError("link.tls_ca is missing: name the file of the broker's authority")
        self._hal = hal
        self._settings = settings
        self._node = identity.node
        self._up = ("twinrig/%s/up" % identity.node).encode()
        self._down = ("twinrig/%s/down" % identity.node).encode()
        self._client = None
        self._arrived = []
        self._pause_us = _PAUSE_US_MIN
        self._retry_us = 0
        self._ping_us = 0
        self.restarts = -1
        self.oversized = 0
        """Messages that were longer than any of ours, and were dropped."""
        self.state = "down: not connected yet"

    def prepare(self, channels: int, schedule) -> None:
        """Values travel in sealed messages only."""

    def publish(self, first: int, values, time_us: int) -> None:
        """Values travel in sealed messages only."""

    def send(self, message) -> bool:
        """Hand `message` to the broker's connection; False while there is none."""
        if self._client is None:
            return False
        try:
            self._client.publish(self._up, message)
        except OSError as error:
            self._lose(error)
            return False
        return True

    def is_waiting(self) -> bool:
        """Whether `receive` should be asked: there is no telling without."""
        return True

    def receive(self) -> "list":
        """The messages that have arrived."""
        if self._client is None:
            return []
        try:
            for _ in range(_MESSAGES_AT_ONCE):
                if self._client.check_msg() is None:
                    break
        except (OSError, AssertionError, IndexError, TypeError) as error:
            # What umqtt raises when the stream ends or is not MQTT.
            self._lose(error)
        arrived, self._arrived = self._arrived, []
        return arrived

    def service(self, now_us: int) -> None:
        """Connect if there is no connection and the pause is over; else keep it alive."""
        if self._client is None:
            if now_us >= self._retry_us:
                self._connect(now_us)
        elif now_us >= self._ping_us:
            self._ping_us = now_us + _PING_US
            try:
                self._client.ping()
            except OSError as error:
                self._lose(error)

    def _connect(self, now_us: int) -> None:
        settings = self._settings
        self._pause_us = min(2 * self._pause_us, _PAUSE_US_MAX)
        self._retry_us = now_us + self._pause_us
        try:
            if "wifi" in settings:
                self._hal.network(settings["wifi"])
            _knock(settings["host"], settings["port"])
            client = self._make_client()
            client.set_callback(self._take)
            client.connect(False)
            client.subscribe(self._down, 1)
        except Exception as error:  # noqa: BLE001 - umqtt raises classes of its own, and asserts
            self.state = "down: %s %s" % (type(error).__name__, error)
            return
        self._client = client
        self._ping_us = now_us + _PING_US
        self._pause_us = _PAUSE_US_MIN
        self.restarts += 1
        self.state = "up"

    def _make_client(self):
        from umqtt.simple import MQTTClient

        settings = self._settings
        password = None
        if settings.get("password_file"):
            password = self._hal.read_file(settings["password_file"]).strip()
        context = None
        if settings.get("tls_ca"):
            context = _context(self._hal.read_file(settings["tls_ca"]))
        return MQTTClient(
            self._node,
            settings["host"],
            port=settings["port"],
            user=settings.get("user"),
            password=password,
            keepalive=KEEPALIVE_S,
            ssl=_Patience(context),
        )

    def _take(self, _topic, message) -> None:
        if len(message) > MESSAGE_BYTES_MAX:
            self.oversized += 1
        else:
            self._arrived.append(bytes(message))

    def _lose(self, error) -> None:
        client, self._client = self._client, None
        self.state = "down: %s %s" % (type(error).__name__, error)
        try:
            client.sock.close()
        except OSError:
            return


class _Patience:
    """Stands where umqtt expects an SSL context, and bounds every wait on its socket."""

    def __init__(self, context) -> None:
        self._context = context

    def wrap_socket(self, plain, server_hostname: str):
        """The stream over `plain`, encrypted if there is a context."""
        plain.settimeout(WAIT_S)
        stream = plain
        if self._context is not None:
            stream = self._context.wrap_socket(plain, server_hostname=server_hostname)
        return _Stream(plain, stream)


class _Stream:
    """A socket whose "blocking" means WAIT_S at most."""

    def __init__(self, plain, stream) -> None:
        self._plain = plain
        self.read = stream.read
        self.write = stream.write
        self.close = stream.close

    def setblocking(self, is_blocking: bool) -> None:
        """Umqtt switches between looking for a message and reading one."""
        self._plain.settimeout(WAIT_S if is_blocking else 0)


def _context(authority: bytes):
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority)
    return context


def _knock(host: str, port: int) -> None:
    """Whether anybody is there, within WAIT_S: connecting itself has no deadline in umqtt."""
    door = socket.socket()
    try:
        door.settimeout(WAIT_S)
        door.connect(socket.getaddrinfo(host, port)[0][-1])
    finally:
        door.close()
