"""The node's serial line: sealed messages as frames, COBS and CRC-16 around them.

A link is made of (hal, the table `link` of node.json, the node's identity); those over MQTT
(`mqtt_link.py`) and Modbus (`modbus_server.py`) offer the same as this one.  A line knows nothing
of who listens: that a message arrived is told by a receipt (`delivery.py`).
"""

from wire.framer import Framer
from wire.framing import Deframer

DOWNLINK_BYTES_MAX = 1792
"""The longest frame a node takes: a piece of an update, sealed and stuffed."""


class SerialLink:
    """Frames over `hal.uart(settings["uart"])`, 0 unless given."""

    state = "up"
    restarts = 0
    poll_us = 0
    """How often `receive` has to be asked; 0: `hal.sleep_until_us` wakes up by itself."""

    def __init__(self, hal, settings, _identity) -> None:
        self._uart = hal.uart(settings.get("uart", 0))
        self._framer = Framer()
        self._deframer = Deframer(DOWNLINK_BYTES_MAX)
        self.line_errors = 0
        """Frames that were damaged on the line; nobody is accused."""

    def prepare(self, channels: int, schedule) -> None:
        """Values travel in sealed messages only."""

    def publish(self, first: int, values, time_us: int) -> None:
        """Values travel in sealed messages only."""

    def send(self, message) -> bool:
        """Put `message` on the line; True when it was taken."""
        self._uart.write(self._framer.frame(message))
        return True

    def has_room(self) -> bool:
        """Whether `send` would take a message: a line always does."""
        return True

    def is_waiting(self) -> bool:
        """Whether something has arrived."""
        return bool(self._uart.any())

    def receive(self) -> "list":
        """The messages that have arrived whole."""
        found = []
        for message, line_error in self._deframer.feed(self._uart.read()):
            if line_error is None:
                found.append(message)
            else:
                self.line_errors += 1
        return found

    def service(self, now_us: int) -> None:
        """A line needs no upkeep."""
