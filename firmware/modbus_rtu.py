"""The node's side of Modbus over a serial line: requests in, responses out, no I/O of its own.

Promises: a request that is refused gets the exception that says why, and changes nothing; one that
writes is checked to its end before anything is written.  What is a request, and to whom,
`modbus_line.py` decides.

Source: MODBUS Application Protocol 1.1b3 (functions 3, 4, 6, 16, 20, 21; exceptions in section 7).
"""

from struct import pack_into, unpack_from

from drivers.modbus import crc16_modbus
from firmware.modbus_line import FRAME_BYTES_MAX, RequestFinder

READ_HOLDING, READ_INPUT, WRITE_ONE, WRITE_MANY, READ_FILE, WRITE_FILE = 3, 4, 6, 16, 20, 21
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
READ_REGISTERS_MAX = 125
WRITE_REGISTERS_MAX = 123
READ_FILE_BYTES = (7, 0xF5)
WRITE_FILE_BYTES = (9, 0xFB)
_REFERENCE_TYPE = 6
_EXCEPTION = 0x80


class _RefusalError(Exception):
    """Carries the exception code that answers a request."""


class Server:
    """Answers for `unit_id` out of `bank`, which holds the registers and files.

    The bank has `hold(now_us)`, called before each request; `input_register(i)`,
    `holding_register(i)` and `read_record(file, record)`, 16 bits or None for what is not there;
    `can_write_holding(i, word)`, `can_write_record(file, record)` and `write_holding`,
    `write_record(file, record, word)`, which then cannot fail.
    """

    def __init__(self, unit_id: int, bank, silence_us: int) -> None:
        self._unit_id = unit_id
        self._bank = bank
        self._line = RequestFinder(unit_id, silence_us)
        self._response = bytearray(FRAME_BYTES_MAX)
        self.requests = 0
        """Requests to our unit, the refused ones included."""

    def feed(self, data, now_us: int):
        """Take what the line brought; a response to be sent after the silence, or None.

        A response is a view that is valid until the next call.
        """
        frame = self._line.feed(data, now_us)
        if frame is None:
            return None
        self.requests += 1
        self._bank.hold(now_us)
        return self._respond(frame)

    @property
    def line_errors(self) -> int:
        """Bytes that were in no frame, or came while nobody was there."""
        return self._line.errors

    def _respond(self, frame):
        response = self._response
        response[0] = self._unit_id
        response[1] = frame[1]
        try:
            count = self._serve(frame[1], frame)
        except _RefusalError as refusal:
            response[1] = frame[1] | _EXCEPTION
            response[2] = refusal.args[0]
            count = 3
        check = crc16_modbus(response, 0, count)
        response[count] = check & 0xFF
        response[count + 1] = check >> 8
        return memoryview(response)[: count + 2]

    def _serve(self, function: int, frame) -> int:
        """Fill the response to a whole request; its bytes without the CRC."""
        if function in (READ_HOLDING, READ_INPUT):
            first, count = unpack_from(">HH", frame, 2)
            return self._read(function, first, count)
        if function == WRITE_ONE:
            return self._write(frame, 1, 4)
        if function == WRITE_MANY:
            count = unpack_from(">H", frame, 4)[0]
            if not 0 < count <= WRITE_REGISTERS_MAX or frame[6] != 2 * count:
                raise _RefusalError(ILLEGAL_VALUE)
            return self._write(frame, count, 7)
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

    def _write(self, frame, count: int, start: int) -> int:
        """Write the `count` words at `start` of the frame, all of them or none."""
        bank = self._bank
        first = unpack_from(">H", frame, 2)[0]
        for index in range(count):
            if bank.holding_register(first + index) is None:
                raise _RefusalError(ILLEGAL_ADDRESS)
        for index in range(count):
            if not bank.can_write_holding(first + index, _word(frame, start, index)):
                raise _RefusalError(ILLEGAL_VALUE)
        for index in range(count):
            bank.write_holding(first + index, _word(frame, start, index))
        self._response[2:6] = frame[2:6]
        return 6

    def _read_file(self, frame) -> int:
        if not READ_FILE_BYTES[0] <= frame[2] <= READ_FILE_BYTES[1] or frame[2] % 7:
            raise _RefusalError(ILLEGAL_VALUE)
        response = self._response
        at = 3
        for start in range(3, 3 + frame[2], 7):
            kind, file, record, count = unpack_from(">BHHH", frame, start)
            if kind != _REFERENCE_TYPE:
                raise _RefusalError(ILLEGAL_ADDRESS)
            if not count or at + 2 + 2 * count > 3 + READ_FILE_BYTES[1]:
                raise _RefusalError(ILLEGAL_VALUE)
            response[at] = 1 + 2 * count
            response[at + 1] = _REFERENCE_TYPE
            at += 2
            for index in range(count):
                word = self._bank.read_record(file, record + index)
                if word is None:
                    raise _RefusalError(ILLEGAL_ADDRESS)
                pack_into(">H", response, at, word)
                at += 2
        response[2] = at - 3
        return at

    def _write_file(self, frame) -> int:
        end = 3 + frame[2]
        if not WRITE_FILE_BYTES[0] <= frame[2] <= WRITE_FILE_BYTES[1]:
            raise _RefusalError(ILLEGAL_VALUE)
        # Once to see whether all of it can be written, once to do it.
        for is_trial in (True, False):
            at = 3
            while at < end:
                at = self._write_records(frame, at, end, is_trial)
        self._response[2:end] = frame[2:end]
        return end

    def _write_records(self, frame, at: int, end: int, is_trial: bool) -> int:
        """One group of records at `at`; where the next one begins."""
        if at + 7 > end:
            raise _RefusalError(ILLEGAL_VALUE)
        kind, file, record, count = unpack_from(">BHHH", frame, at)
        at += 7
        if kind != _REFERENCE_TYPE:
            raise _RefusalError(ILLEGAL_ADDRESS)
        if not count or at + 2 * count > end:
            raise _RefusalError(ILLEGAL_VALUE)
        for index in range(count):
            if not is_trial:
                self._bank.write_record(file, record + index, _word(frame, at, index))
            elif not self._bank.can_write_record(file, record + index):
                raise _RefusalError(ILLEGAL_ADDRESS)
        return at + 2 * count


def _word(frame, start: int, index: int) -> int:
    return unpack_from(">H", frame, start + 2 * index)[0]
