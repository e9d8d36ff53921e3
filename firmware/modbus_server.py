"""The node as a Modbus-RTU server: values for any PLC, sealed frames for whoever checks them.

Promises: a value is there with its status and age, and a register pair without a value, or with one
that is too old, holds NaN, never zero and never an old number.  The values themselves are as
unprotected as Modbus is; the sealed frames beside them, through the file window, are what proves
them.  The map of registers and files is in `modbus_bank.py`, with the steps in docs/node-links.md.

A frame stays in the spool until its ticket was written, so what a PLC did not take is not lost with
the power.  Who reads frames this way sends no receipts unless it speaks for a gateway; without a
gateway `"receipts": false` belongs to it.
"""

from firmware import fields as check
from firmware.errors import ConfigError
from firmware.modbus_bank import Bank
from firmware.modbus_line import FRAME_BYTES_MAX
from firmware.modbus_rtu import Server

_CHARACTER_BITS = 11
_SILENCE_US_MIN = 1750
_MASTER_GONE_US = 60000000
_DEFAULTS = {"unit_id": 1, "baud": 19200, "rs485": 1}


class ModbusLink:
    """A link like the others (firmware/link.py), over `hal.rs485(settings["rs485"])`."""

    restarts = 0
    poll_us = 4000

    def __init__(self, hal, settings, _identity) -> None:
        filled = dict(_DEFAULTS)
        filled.update(settings)
        unit_id = check.integer(filled, "unit_id", "link", 1, 247)
        baud = check.integer(filled, "baud", "link", 1200, 1000000)
        self._hal = hal
        self._silence_us = max(_SILENCE_US_MIN, 7 * _CHARACTER_BITS * 500000 // baud)
        try:
            self._line = hal.rs485(check.integer(filled, "rs485", "link", 0, 15))
        except ValueError as error:
            raise ConfigError("link.rs485: %s" % error) from None
        self._bank = Bank(hal.ticks_us)
        # Half a poll may lie between two pieces of one request.
        self._server = Server(unit_id, self._bank, self._silence_us + self.poll_us)
        self._asked = 0
        self._asked_us = hal.ticks_us()
        self.write_errors = 0
        """Responses that the line did not take."""
        self.state = "up"

    def prepare(self, channels: int, schedule) -> None:
        """Make room for so many values; `schedule` knows overruns and how long a block takes."""
        self._bank.prepare(channels, schedule)

    def publish(self, first: int, values, time_us: int) -> None:
        """Show `values`, of channel `first` and those after it, taken at `time_us`."""
        self._bank.publish(first, values, time_us)

    def has_room(self) -> bool:
        """Whether it is worth while to fetch a frame for `send`."""
        return self._bank.has_room()

    def send(self, message) -> bool:
        """Show `message` in the window as soon as it is free; True once it was taken."""
        return self._bank.put(message)

    def is_waiting(self) -> bool:
        """Whether something has arrived."""
        return bool(self._line.any())

    def receive(self) -> "list":
        """Answer whoever asks; the messages that were written whole."""
        now_us = self._hal.ticks_us()
        response = self._server.feed(self._line.read(FRAME_BYTES_MAX), now_us)
        if response is not None:
            self._hal.sleep_us(self._silence_us)
            try:
                self._line.write(response)
            except OSError:
                self.write_errors += 1
            # A line that hears itself brings our own words; nobody else spoke meanwhile.
            self._line.read(FRAME_BYTES_MAX)
        return self._bank.take_written()

    def service(self, now_us: int) -> None:
        """Notice whether anybody asks at all."""
        if self._server.requests != self._asked:
            self._asked = self._server.requests
            self._asked_us = now_us
        is_gone = now_us - self._asked_us > _MASTER_GONE_US
        self.state = "down: no Modbus master asks" if is_gone else "up"
