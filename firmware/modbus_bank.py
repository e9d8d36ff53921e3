"""What a Modbus master finds in a node: registers of values, and two files of sealed messages.

    input registers (function 4)
      0  1, the version of this map      1  number of channels n
      2  bit 0: a frame waits            3  overruns, modulo 65536
      4  uptime in seconds, high word    5  low word          6, 7  0
      8 + 4 i  channel i: float32, high word first (2 registers), then
               status: 0 good, 1 no value yet, 2 the latest block has no valid value, 3 too old,
               age in tenths of a second, at most 65535
    file 1 (function 20)  the waiting frame: record 0 its bytes (0: none), record 1 its ticket,
                          from record 2 the message, two bytes a record, the last one padded with 0
    file 2 (function 21)  a message to the node, from record 2 in the same way
    holding registers (functions 3, 6, 16)
      0  the ticket of the waiting frame; written back: it was taken, the next one may come
      1  write the bytes of the message in file 2: it is complete

Promises: all of a response is of one moment.  The waiting frame does not change before its ticket
was written; writing a ticket twice does no harm.  A ticket comes from the frame's seal, so one of
an earlier start fits only by chance.  Answers to commands and probes come before stored frames.
"""

from struct import pack_into, unpack_from

from wire.content import is_live
from wire.cose import MESSAGE_BYTES_MAX, peek

MAP_VERSION = 1
NO_VALUE = b"\x7f\xc0\x00\x00"
GOOD, NO_VALUE_YET, NO_VALID_VALUE, TOO_OLD = 0, 1, 2, 3
FRAME_FILE, MESSAGE_FILE = 1, 2
STALE_US_MIN = 10000000
LIVE_MAX = 2
_STALE_BLOCKS = 3
_FLOAT32_MAX = 3.4e38
_HEAD = 8
_PER_CHANNEL = 4
_FIRST_RECORD = 2
_RECORDS = _FIRST_RECORD + MESSAGE_BYTES_MAX // 2
_KEY_BYTES = 8


class Bank:
    """The registers and files of the map above."""

    def __init__(self, ticks_us) -> None:
        self._now_us = ticks_us()
        self._values = bytearray()
        self._status = bytearray()
        self._times_us = []
        self._schedule = None
        self._window = bytearray(MESSAGE_BYTES_MAX)
        self._waiting = 0
        self._key = b""
        self._ticket = 0
        self._taken_ticket = 0
        self._taken_key = b""
        self._live = []
        self._written = bytearray(MESSAGE_BYTES_MAX)
        self._complete = 0

    # --- the node's side --------------------------------------------------------------------------

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
            # Neither NaN nor what no float32 can hold is a value.
            if value is not None and -_FLOAT32_MAX <= value <= _FLOAT32_MAX:
                self._status[index] = GOOD
                pack_into(">f", self._values, 4 * index, value)
            else:
                self._status[index] = NO_VALID_VALUE
                self._values[4 * index : 4 * index + 4] = NO_VALUE

    def put(self, message) -> bool:
        """Show `message` when the window is free; whether it was taken, or is kept as an answer."""
        key = bytes(memoryview(message)[-_KEY_BYTES:])
        if key == self._taken_key:
            # Said once: if it comes again it got lost behind the master, and is shown again.
            self._taken_key = b""
            return True
        if self._waiting and key == self._key:
            return False
        if is_live(peek(message)[0].content_type):
            if len(self._live) == LIVE_MAX:
                # Worth something only now, so the newer one is worth more.
                self._live.pop(0)
            self._live.append(bytes(message))
            self._show_next()
            return True
        if not self._waiting:
            self._show(message, key)
        return False

    def has_room(self) -> bool:
        """Whether `put` could do anything: the window is free, or a frame was taken from it."""
        return not self._waiting or bool(self._taken_key)

    def take_written(self) -> "list":
        """The message that was written whole, in a list, or an empty list."""
        if not self._complete:
            return []
        message = bytes(memoryview(self._written)[: self._complete])
        self._complete = 0
        return [message]

    def _show(self, message, key: bytes) -> None:
        count = len(message)
        self._window[:count] = message
        if count & 1:
            self._window[count] = 0
        ticket = key[-2] << 8 | key[-1]
        while ticket in (0, self._taken_ticket):
            ticket = (ticket + 1) & 0xFFFF
        self._key = key
        self._ticket = ticket
        self._waiting = count

    def _show_next(self) -> None:
        if self._live and not self._waiting:
            message = self._live.pop(0)
            self._show(message, message[-_KEY_BYTES:])

    # --- the master's side: registers -------------------------------------------------------------

    def hold(self, now_us: int) -> None:
        """What is asked from here on is asked at `now_us`."""
        self._now_us = now_us

    def input_register(self, address: int):
        """The word of an input register, None for one that is not there."""
        if address < _HEAD:
            return self._head_register(address)
        index, part = divmod(address - _HEAD, _PER_CHANNEL)
        if index >= len(self._status):
            return None
        age_us = self._now_us - self._times_us[index]
        status = self._status[index]
        if status == GOOD and age_us > self._stale_us():
            status = TOO_OLD
        if part < 2:
            shown = self._values if status == GOOD else NO_VALUE
            return unpack_from(">H", shown, (4 * index if status == GOOD else 0) + 2 * part)[0]
        if part == 2:
            return status
        return 0xFFFF if status == NO_VALUE_YET else min(max(0, age_us) // 100000, 0xFFFF)

    def _head_register(self, address: int) -> int:
        uptime_s = self._now_us // 1000000
        return (
            MAP_VERSION,
            len(self._status),
            1 if self._waiting else 0,
            self._schedule.overruns & 0xFFFF,
            (uptime_s >> 16) & 0xFFFF,
            uptime_s & 0xFFFF,
            0,
            0,
        )[address]

    def _stale_us(self) -> int:
        schedule = self._schedule
        return max(STALE_US_MIN, _STALE_BLOCKS * schedule.period_us * schedule.block_samples)

    def holding_register(self, address: int):
        """The word of a holding register, None for one that is not there."""
        if address == 0:
            return self._ticket if self._waiting else 0
        return self._complete if address == 1 else None

    def can_write_holding(self, address: int, word: int) -> bool:
        """Whether `write_holding` has a meaning."""
        if address == 0:
            is_repeated = word == self._taken_ticket
            return word != 0 and (is_repeated or (self._waiting > 0 and word == self._ticket))
        return 0 < word <= MESSAGE_BYTES_MAX

    def write_holding(self, address: int, word: int) -> None:
        """Do what writing a holding register means."""
        if address:
            self._complete = word
        elif self._waiting and word == self._ticket:
            self._taken_ticket = word
            self._taken_key = self._key
            self._waiting = 0
            self._show_next()

    # --- the master's side: files -----------------------------------------------------------------

    def read_record(self, file: int, record: int):
        """The word of a record, None for one that is not there."""
        if file != FRAME_FILE or record >= _RECORDS:
            return None
        if record < _FIRST_RECORD:
            return (self._waiting, self._ticket if self._waiting else 0)[record]
        return unpack_from(">H", self._window, 2 * (record - _FIRST_RECORD))[0]

    def can_write_record(self, file: int, record: int) -> bool:
        """Whether there is such a record to write."""
        return file == MESSAGE_FILE and _FIRST_RECORD <= record < _RECORDS

    def write_record(self, _file: int, record: int, word: int) -> None:
        """Keep two bytes of a message."""
        pack_into(">H", self._written, 2 * (record - _FIRST_RECORD), word)
