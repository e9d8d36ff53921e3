"""Finding the requests to one unit among all that passes on a Modbus serial line.

Promises: a request counts only if it is whole, its CRC is right, it names our unit and nothing
follows it: what is followed by something else has been answered, or given up.  Other units' frames
are stepped over as frames, so nothing inside them is taken for a request; noise is stepped over
byte by byte, and at a silence.  Broadcasts are not obeyed.  After ABSENT_US without a call the age
of what has come is not known, and it is thrown away: an answer that comes too late would be taken
for the answer to the next question.

Source: MODBUS over Serial Line 1.02 (frame in 2.5.1, silence of 3.5 characters in 2.5.1.1).
"""

from drivers.modbus import crc16_modbus

FRAME_BYTES_MAX = 256
FRAME_BYTES_MIN = 4
ABSENT_US = 250000
UNIT_MAX = 247
_NOT_YET, _NO_FRAME = 0, -1
_EXCEPTION = 0x80
# Functions by the shape of their frames, ours and others': bytes without a count in them ...
_FIXED = (1, 2, 3, 4, 5, 6)
# ... or the place of a count, and the bytes around what it counts.
_COUNTED_REQUESTS = {15: (6, 9), 16: (6, 9), 20: (2, 5), 21: (2, 5)}
_COUNTED_RESPONSES = {1: (2, 5), 2: (2, 5), 3: (2, 5), 4: (2, 5), 20: (2, 5), 21: (2, 5)}


class RequestFinder:
    """Requests to `unit_id`, found in what a line brings piece by piece."""

    def __init__(self, unit_id: int, silence_us: int) -> None:
        self._unit_id = unit_id
        self._silence_us = silence_us
        self._buffer = bytearray(FRAME_BYTES_MAX)
        self._count = 0
        self._heard_us = 0
        self._called_us = -ABSENT_US - 1
        self.errors = 0
        """Bytes that were in no frame, or came while nobody was there."""

    def feed(self, data, now_us: int):
        """Take what the line brought; the request it ends with, CRC included, or None.

        A request is a view that is valid until the next call.
        """
        absent_us, self._called_us = now_us - self._called_us, now_us
        if absent_us > ABSENT_US:
            self._forget(self._count + len(data))
            return None
        if self._count and now_us - self._heard_us > self._silence_us:
            self._forget(self._count)
        if not data:
            return None
        self._heard_us = now_us
        view = memoryview(data)
        length = at = 0
        while at < len(data):
            taken = min(len(data) - at, FRAME_BYTES_MAX - self._count)
            self._buffer[self._count : self._count + taken] = view[at : at + taken]
            self._count += taken
            at += taken
            length = self._request_bytes(at == len(data))
        if not length:
            return None
        self._count = 0
        return memoryview(self._buffer)[:length]

    def _forget(self, count: int) -> None:
        self.errors += count
        self._count = 0

    def _request_bytes(self, is_last: bool) -> int:
        """Step over all that is no request to us; its length when one stands at the end."""
        start = 0
        while start < self._count:
            length = self._request_at(start)
            if length > 0 and start + length == self._count and is_last:
                self._drop(start)
                return length
            if self._buffer[start] != self._unit_id:
                length = self._other_at(start)
            if length == _NOT_YET:
                if start or self._count < FRAME_BYTES_MAX:
                    break
                length = _NO_FRAME
            if length == _NO_FRAME:
                self.errors += 1
                length = 1
            start += length
        self._drop(start)
        return 0

    def _drop(self, count: int) -> None:
        if count:
            left = self._count - count
            self._buffer[:left] = self._buffer[count : self._count]
            self._count = left

    def _request_at(self, start: int) -> int:
        """Bytes of the request to us at `start`, _NOT_YET or _NO_FRAME."""
        left = self._count - start
        if self._buffer[start] != self._unit_id:
            return _NO_FRAME
        if left < FRAME_BYTES_MIN:
            return _NOT_YET
        function = self._buffer[start + 1]
        if function in _FIXED or function in _COUNTED_REQUESTS:
            return self._checked(start, 8, _COUNTED_REQUESTS.get(function))
        # A function without a known shape ends with what has come in at once.
        return left if self._has_crc(start, left) else _NOT_YET

    def _other_at(self, start: int) -> int:
        """The same for a request to another unit, or for what it says."""
        if self._buffer[start] > UNIT_MAX:
            return _NO_FRAME
        if self._count - start < 2:
            return _NOT_YET
        function = self._buffer[start + 1]
        if function & _EXCEPTION:
            return self._checked(start, 5, None)
        if function not in _FIXED and function not in _COUNTED_REQUESTS:
            return _NO_FRAME
        request = self._checked(start, 8, _COUNTED_REQUESTS.get(function))
        if request > 0:
            return request
        return max(request, self._checked(start, 8, _COUNTED_RESPONSES.get(function)))

    def _checked(self, start: int, length: int, counted) -> int:
        """Bytes of a frame of so many bytes, or with a count: (its place, bytes around it)."""
        left = self._count - start
        if counted is not None:
            if left <= counted[0]:
                return _NOT_YET
            length = counted[1] + self._buffer[start + counted[0]]
        if length > FRAME_BYTES_MAX:
            return _NO_FRAME
        if left < length:
            return _NOT_YET
        return length if self._has_crc(start, length) else _NO_FRAME

    def _has_crc(self, start: int, length: int) -> bool:
        end = start + length
        check = self._buffer[end - 2] | self._buffer[end - 1] << 8
        return crc16_modbus(self._buffer, start, length - 2) == check
