"""The node's side of Modbus over a serial line: requests in, responses out, no I/O of its own.

Promises: a request counts only if it is whole, its CRC is right and it names our unit; anything
else on the bus, other units' traffic included, is let go at the next silence.  Broadcasts are not
obeyed.  A request for what is not there gets the exception that says so, and changes nothing.

Sources: MODBUS Application Protocol 1.1b3 (functions 3, 4, 6, 16, 20, 21; exceptions in section 7)
and MODBUS over Serial Line 1.02 (frame in 2.5.1, silence of 3.5 characters in 2.5.1.1).
"""

from struct import pack_into, unpack_from

from drivers.modbus import crc16_modbus

READ_HOLDING, READ_INPUT, WRITE_ONE, WRITE_MANY, READ_FILE, WRITE_FILE = 3, 4, 6, 16, 20, 21
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
FRAME_BYTES_MAX = 256
READ_REGISTERS_MAX = 125
WRITE_REGISTERS_MAX = 123
_REFERENCE_TYPE = 6


class _RefusalError(Exception):
    """Carries the exception code that answers a request."""


class Server:
    """Answers for `unit_id` out of `bank`, which holds the registers and files.

    The bank has `input_count`, `input_register(i)`, `holding_register(i)` and `write_holding(i,
    word)` (both None or False for an address it has not), `read_record(file, record)` and
    `write_record(file, record, word)` with 16-bit records, in the same way.
    """

    def __init__(self, unit_id: int, bank, silence_us: int) -> None:
        self._unit_id = unit_id
        self._bank = bank
        self._silence_us = silence_us
        self._buffer = bytearray(FRAME_BYTES_MAX)
        self._count = 0
        self._heard_us = 0
        self._response = bytearray(FRAME_BYTES_MAX)
        self.requests = 0
        """Requests to our unit, the refused ones included."""
        self.line_errors = 0
        """Stretches of the line that were no request at all."""

    def feed(self, data, now_us: int):
        """Take what the line brought; a response to be sent after the silence, or None."""
        if self._count and now_us - self._heard_us > self._silence_us:
            self.line_errors += 1
            self._count = 0
        if not data:
            return None
        self._heard_us = now_us
        room = FRAME_BYTES_MAX - self._count
        taken = min(len(data), room)
        self._buffer[self._count : self._count + taken] = data[:taken]
        self._count += taken
        length = self._length()
        if length is None or self._count < length:
            return None
        frame = memoryview(self._buffer)[:length]
        if crc16_modbus(frame, 0, length - 2) != frame[length - 2] | frame[length - 1] << 8:
            return None
        self._count = 0
        if frame[0] != self._unit_id:
            return None
        self.requests += 1
        return self._respond(frame)

    def _length(self):
        """Bytes of the request that is coming in, None while that cannot be told."""
        if self._count < 2:
            return None
        function = self._buffer[1]
        if function <= WRITE_ONE:
            return 8
        if function in (READ_FILE, WRITE_FILE):
            return None if self._count < 3 else min(5 + self._buffer[2], FRAME_BYTES_MAX)
        if function in (15, WRITE_MANY):
            return None if self._count < 7 else min(9 + self._buffer[6], FRAME_BYTES_MAX)
        # A function without a known shape ends with what has come in at once.
        return self._count if self._count >= 4 else None

    def _respond(self, frame):
        response = self._response
        response[0] = self._unit_id
        response[1] = frame[1]
        try:
            count = self._serve(frame[1], frame)
        except _RefusalError as refusal:
            response[1] = frame[1] | 0x80
            response[2] = refusal.args[0]
            count = 3
        check = crc16_modbus(response, 0, count)
        response[count] = check & 0xFF
        response[count + 1] = check >> 8
        return memoryview(response)[: count + 2]

    def _serve(self, function: int, frame) -> int:
        """Fill the response to a whole request; its bytes without the CRC."""
        if function in (READ_HOLDING, READ_INPUT):
            return self._read(function, *unpack_from(">HH", frame, 2))
        if function == WRITE_ONE:
            self._write(*unpack_from(">HH", frame, 2))
            self._response[2:6] = frame[2:6]
            return 6
        if function == WRITE_MANY:
            return self._write_many(frame)
        if function == READ_FILE:
            return self._read_file(frame)
        if function == WRITE_FILE:
            return self._write_file(frame)
        raise _RefusalError(ILLEGAL_FUNCTION)

    def _read(self, function: int, first: int, count: int) -> int:
        if not 0 < count <= READ_REGISTERS_MAX:
            raise _RefusalError(ILLEGAL_VALUE)
        bank = self._bank
        read = bank.input_register if function == READ_INPUT else bank.holding_register
        response = self._response
        response[2] = 2 * count
        for index in range(count):
            word = read(first + index)
            if word is None:
                raise _RefusalError(ILLEGAL_ADDRESS)
            pack_into(">H", response, 3 + 2 * index, word)
        return 3 + 2 * count

    def _write(self, address: int, word: int) -> None:
        if self._bank.holding_register(address) is None:
            raise _RefusalError(ILLEGAL_ADDRESS)
        if not self._bank.write_holding(address, word):
            raise _RefusalError(ILLEGAL_VALUE)

    def _write_many(self, frame) -> int:
        first, count = unpack_from(">HH", frame, 2)
        if not 0 < count <= WRITE_REGISTERS_MAX or frame[6] != 2 * count:
            raise _RefusalError(ILLEGAL_VALUE)
        for index in range(count):
            if self._bank.holding_register(first + index) is None:
                raise _RefusalError(ILLEGAL_ADDRESS)
        for index in range(count):
            self._write(first + index, unpack_from(">H", frame, 7 + 2 * index)[0])
        self._response[2:6] = frame[2:6]
        return 6

    def _read_file(self, frame) -> int:
        if frame[2] < 7 or frame[2] % 7:
            raise _RefusalError(ILLEGAL_VALUE)
        at = 3
        for start in range(3, 3 + frame[2], 7):
            kind, file, record, count = unpack_from(">BHHH", frame, start)
            if kind != _REFERENCE_TYPE:
                raise _RefusalError(ILLEGAL_ADDRESS)
            if not count or at + 2 + 2 * count > FRAME_BYTES_MAX - 2:
                raise _RefusalError(ILLEGAL_VALUE)
            self._response[at] = 1 + 2 * count
            self._response[at + 1] = _REFERENCE_TYPE
            at += 2
            for index in range(count):
                word = self._bank.read_record(file, record + index)
                if word is None:
                    raise _RefusalError(ILLEGAL_ADDRESS)
                pack_into(">H", self._response, at, word)
                at += 2
        self._response[2] = at - 3
        return at

    def _write_file(self, frame) -> int:
        end = 3 + frame[2]
        at = 3
        while at < end:
            if at + 7 > end:
                raise _RefusalError(ILLEGAL_VALUE)
            kind, file, record, count = unpack_from(">BHHH", frame, at)
            at += 7
            if kind != _REFERENCE_TYPE:
                raise _RefusalError(ILLEGAL_ADDRESS)
            if not count or at + 2 * count > end:
                raise _RefusalError(ILLEGAL_VALUE)
            for index in range(count):
                if not self._bank.write_record(
                    file, record + index, unpack_from(">H", frame, at + 2 * index)[0]
                ):
                    raise _RefusalError(ILLEGAL_ADDRESS)
            at += 2 * count
        self._response[2:end] = frame[2:end]
        return end
