"""The node as a Modbus-RTU server: values for any PLC, sealed frames for whoever checks them.

Promises: a value is there with its status and age, and a register pair without a value holds NaN,
never zero or an old number.  The values themselves are as unprotected as Modbus is; the sealed
frames beside them, through the file window, are what proves them.

    input registers (function 4)
      0  1, the version of this map      1  number of channels n
      2  bit 0: a frame waits            3  overruns, modulo 65536
      4  uptime in seconds, high word    5  low word
      8 + 4 i  channel i: float32, high word first (2 registers), then
               status: 0 good, 1 no value yet, 2 the latest block has no valid value,
               age in tenths of a second, at most 65535
    file 1 (function 20)  the oldest frame: record 0 its bytes (0: none), record 1 its ticket, from
                          record 2 the message, two bytes a record
    file 2 (function 21)  a message to the node, from record 2 in the same way
    holding registers (functions 3, 6, 16)
      0  write the ticket: the frame was taken, the next one may come
      1  write the bytes of the message in file 2: it is complete

A frame that was not taken stays.  Who reads frames this way sends no receipts unless it speaks for
a gateway, so `"receipts": false` belongs to it; then the ticket is what ends a frame's stay.
"""

from struct import pack, unpack

from firmware.modbus_rtu import Server

MAP_VERSION = 1
MESSAGE_BYTES_MAX = 2000
NO_VALUE = b"\x7f\xc0\x00\x00"
GOOD, NO_VALUE_YET, NO_VALID_VALUE = 0, 1, 2
_HEAD = 8
_PER_CHANNEL = 4
_FIRST_RECORD = 2
_CHARACTER_BITS = 11
_SILENCE_US_MIN = 1750
_MASTER_GONE_US = 60000000


class ModbusLink:
    """A link like the others (firmware/link.py), over `hal.rs485(settings["rs485"])`."""

    restarts = 0
    poll_us = 4000

    def __init__(self, hal, settings, _identity) -> None:
        baud = settings.get("baud", 19200)
        self._hal = hal
        self._silence_us = max(_SILENCE_US_MIN, 7 * _CHARACTER_BITS * 500000 // baud)
        self._line = hal.rs485(settings.get("rs485", 1))
        self._bank = Bank(hal.ticks_us)
        # Half a poll may lie between two pieces of one request.
        silence_us = self._silence_us + self.poll_us
        self._server = Server(settings.get("unit_id", 1), self._bank, silence_us)
        self._asked = 0
        self._asked_us = 0
        self.state = "up"

    def prepare(self, channels: int, schedule) -> None:
        """Make room for the values of so many channels; `schedule` knows the overruns."""
        self._bank.prepare(channels, schedule)

    def publish(self, first: int, values, time_us: int) -> None:
        """Show `values`, of channel `first` and those after it, taken at `time_us`."""
        self._bank.publish(first, values, time_us)

    def send(self, message) -> bool:
        """Put `message` into the window if the one before was taken."""
        return self._bank.put(message)

    def is_waiting(self) -> bool:
        """Whether `receive` should be asked: there is no telling without."""
        return True

    def receive(self) -> "list":
        """Answer whoever asks; the messages that were written whole."""
        now_us = self._hal.ticks_us()
        response = self._server.feed(self._line.read(256), now_us)
        if response is not None:
            self._hal.sleep_us(self._silence_us)
            self._line.write(response)
        return self._bank.take_written()

    def service(self, now_us: int) -> None:
        """Notice whether anybody asks at all."""
        if self._server.requests != self._asked:
            self._asked = self._server.requests
            self._asked_us = now_us
        is_gone = now_us - self._asked_us > _MASTER_GONE_US
        self.state = "down: no Modbus master asks" if is_gone else "up"


class Bank:
    """The registers and files of the map above."""

    def __init__(self, ticks_us) -> None:
        self._ticks_us = ticks_us
        self._values = bytearray()
        self._status = bytearray()
        self._times_us = []
        self._window = bytearray(MESSAGE_BYTES_MAX)
        self._waiting = 0
        self._ticket = 0
        self._written = bytearray(MESSAGE_BYTES_MAX)
        self._complete = 0
        self._schedule = None

    def prepare(self, channels: int, schedule) -> None:
        """Room for `channels` values, none of which is there yet."""
        self._schedule = schedule
        self._values = bytearray(NO_VALUE * channels)
        self._status = bytearray([NO_VALUE_YET] * channels)
        self._times_us = [0] * channels

    def publish(self, first: int, values, time_us: int) -> None:
        """See ModbusLink.publish."""
        for offset, value in enumerate(values):
            index = first + offset
            self._times_us[index] = time_us
            self._status[index] = NO_VALID_VALUE if value is None else GOOD
            shown = NO_VALUE if value is None else pack(">f", value)
            self._values[4 * index : 4 * index + 4] = shown

    def put(self, message) -> bool:
        """See ModbusLink.send."""
        if self._waiting:
            return False
        count = len(message)
        self._window[:count] = message
        if count & 1:
            self._window[count] = 0
        self._ticket = (self._ticket + 1) & 0xFFFF
        self._waiting = count
        return True

    def take_written(self) -> "list":
        """The message that was written whole, in a list, or an empty list."""
        if not self._complete:
            return []
        message = bytes(self._written[: self._complete])
        self._complete = 0
        return [message]

    def input_register(self, address: int):
        """The word of an input register, None for one that is not there."""
        channels = len(self._status)
        if address < _HEAD:
            uptime_s = self._ticks_us() // 1000000
            return (
                MAP_VERSION,
                channels,
                1 if self._waiting else 0,
                self._schedule.overruns & 0xFFFF,
                (uptime_s >> 16) & 0xFFFF,
                uptime_s & 0xFFFF,
                0,
                0,
            )[address]
        index, part = divmod(address - _HEAD, _PER_CHANNEL)
        if index >= channels:
            return None
        if part < 2:
            return unpack(">H", self._values[4 * index + 2 * part : 4 * index + 2 * part + 2])[0]
        if part == 2:
            return self._status[index]
        if self._status[index] == NO_VALUE_YET:
            return 0xFFFF
        return min((self._ticks_us() - self._times_us[index]) // 100000, 0xFFFF)

    def holding_register(self, address: int):
        """The word of a holding register, None for one that is not there."""
        if address == 0:
            return self._ticket if self._waiting else 0
        return self._complete if address == 1 else None

    def write_holding(self, address: int, word: int) -> bool:
        """Do what writing a holding register means; whether that is possible."""
        if address == 0:
            if not self._waiting or word != self._ticket:
                return False
            self._waiting = 0
            return True
        if not 0 < word <= MESSAGE_BYTES_MAX or self._complete:
            return False
        self._complete = word
        return True

    def read_record(self, file: int, record: int):
        """The word of a record, None for one that is not there."""
        if file != 1 or record >= _FIRST_RECORD + MESSAGE_BYTES_MAX // 2:
            return None
        if record < _FIRST_RECORD:
            return (self._waiting, self._ticket)[record]
        at = 2 * (record - _FIRST_RECORD)
        return self._window[at] << 8 | self._window[at + 1]

    def write_record(self, file: int, record: int, word: int) -> bool:
        """Keep a word of a message; whether there is room."""
        at = 2 * (record - _FIRST_RECORD)
        if file != 2 or not 0 <= at < MESSAGE_BYTES_MAX or self._complete:
            return False
        self._written[at] = word >> 8
        self._written[at + 1] = word & 0xFF
        return True
