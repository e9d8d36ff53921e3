"""A connection to a broker that never waits by itself: TCP, TLS if asked for, bounded buffers.

Promises: `is_open`, `fill`, `flush` and `write` return at once; `read` waits until `deadline_us` at
most, however slowly the bytes drip.  What comes in is cut into MQTT packets here (MQTT 3.1.1, 2.2):
a packet that is longer than PACKET_BYTES_MAX is thrown away piece by piece and counted, and no
length that a packet claims makes memory grow.  With an authority's certificate the broker has to
prove `host` by it; only resolving that name is out of our hands, see docs/node-links.md.

It offers what `umqtt.simple` expects of its socket: read, write, setblocking, settimeout, connect.
"""

import errno
import select
import socket

PACKET_BYTES_MAX = 2112
"""The longest sealed message, its topic, and the packet's own head."""
_PIECE_BYTES = 512
_PIECES_AT_ONCE = 8
_WAIT_MS = 50
_LENGTH_BYTES_MAX = 4


class MqttStream:
    """One connection at a time; `open` forgets the one before."""

    def __init__(self, ticks_us) -> None:
        self._ticks_us = ticks_us
        self._plain = None
        self._stream = None
        self._input = bytearray(PACKET_BYTES_MAX)
        self._count = 0
        self._skip = 0
        self._output = bytearray(PACKET_BYTES_MAX)
        self._written = 0
        self._sent = 0
        self._promised = 0
        self.deadline_us = 0
        """When `read` gives up; a packet that is there already is read without waiting."""
        self.heard_us = 0
        """When anything last came in."""
        self.moved_us = 0
        """When anything last went out."""
        self.oversized = 0
        """Packets that were longer than any of ours."""

    def open(self, host: str, port: int) -> None:
        """Begin to connect; OSError when the name or the network is not there."""
        self.close()
        self._count = self._skip = self._written = self._sent = self._promised = 0
        address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][-1]
        plain = socket.socket()
        self._plain = self._stream = plain
        plain.setblocking(False)
        try:
            plain.connect(address)
        except OSError as error:
            if error.args[0] not in (errno.EINPROGRESS, errno.EAGAIN):
                raise

    def is_open(self) -> bool:
        """Whether somebody has taken the call; OSError when nobody does."""
        events = _poll(self._plain, select.POLLOUT, 0)
        if not events:
            return False
        if events[0][1] & (select.POLLERR | select.POLLHUP):
            raise OSError(errno.ECONNREFUSED)
        self.heard_us = self.moved_us = self._ticks_us()
        return True

    def encrypt(self, context, host: str) -> None:
        """Speak TLS from now on; the handshake goes along with the first bytes."""
        self._stream = context.wrap_socket(
            self._plain, server_hostname=host, do_handshake_on_connect=False
        )

    def close(self) -> None:
        """Give everything back; can always be called."""
        for part in (self._stream, self._plain):
            try:
                if part is not None:
                    part.close()
            except OSError:
                continue
        self._stream = self._plain = None

    # --- out -----------------------------------------------------------------------------------

    def write(self, data, count=None) -> int:
        """Put the first `count` bytes of `data` behind what is to go out."""
        view = memoryview(data)
        if count is not None:
            view = view[:count]
        end = self._written + len(view)
        if end > PACKET_BYTES_MAX:
            raise OSError(errno.ENOBUFS)
        self._output[self._written : end] = view
        self._written = end
        return len(view)

    def flush(self) -> bool:
        """Send what can be sent now; whether all of it is out."""
        while self._sent < self._written:
            if self._promised == self._sent:
                # What TLS could not send must be offered again in the same length.
                self._promised = self._written
            piece = memoryview(self._output)[self._sent : self._promised]
            sent = self._try("write", "send", piece)
            if not sent:
                return False
            self._sent += sent
            self.moved_us = self._ticks_us()
        self._sent = self._written = self._promised = 0
        return True

    # --- in ------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Take in what has come; OSError(ECONNRESET) when that is nothing any more."""
        for piece in range(_PIECES_AT_ONCE):
            room = PACKET_BYTES_MAX - self._count
            if not room:
                return
            data = self._try("read", "recv", min(room, _PIECE_BYTES))
            if data is None:
                return
            if not data:
                if piece:
                    # The last words are to be read first: they may say why.
                    return
                raise OSError(errno.ECONNRESET)
            self.heard_us = self._ticks_us()
            self._input[self._count : self._count + len(data)] = data
            self._count += len(data)
            self._drop_oversized()

    def packet_bytes(self) -> int:
        """Length of the packet at the front, 0 until it is whole; OSError when it is none."""
        length = self._claimed()
        return length if length <= self._count else 0

    def left(self) -> int:
        """Bytes that have come in and were not read."""
        return self._count

    def read(self, count: int) -> bytes:
        """The next `count` bytes; OSError(ETIMEDOUT) when they have not come in time."""
        if not 0 <= count <= PACKET_BYTES_MAX:
            raise OSError(errno.EINVAL)
        while self._count < count:
            self.flush()
            self.fill()
            if self._count >= count:
                break
            if self._ticks_us() >= self.deadline_us:
                raise OSError(errno.ETIMEDOUT)
            _poll(self._stream, select.POLLIN, _WAIT_MS)
        data = bytes(memoryview(self._input)[:count])
        self.drop(count)
        return data

    def drop(self, count: int) -> None:
        """Forget the first `count` bytes."""
        left = self._count - count
        self._input[:left] = self._input[count : self._count]
        self._count = left

    def _claimed(self) -> int:
        """The length that the front packet claims, 0 while that is not known (3.1.1, 2.2.3)."""
        value = 0
        for index in range(_LENGTH_BYTES_MAX):
            if self._count < index + 2:
                return 0
            digit = self._input[index + 1]
            value |= (digit & 0x7F) << (7 * index)
            if digit < 0x80:
                return value + index + 2
        raise OSError(errno.EINVAL)

    def _drop_oversized(self) -> None:
        """Throw away what belongs to a packet that does not fit."""
        if not self._skip:
            claimed = self._claimed()
            if claimed <= PACKET_BYTES_MAX:
                return
            self.oversized += 1
            self._skip = claimed
        count = min(self._skip, self._count)
        self._skip -= count
        self.drop(count)

    # --- the socket ----------------------------------------------------------------------------

    def _try(self, name: str, other_name: str, argument):
        """Call a method of the socket; None when it would have to wait."""
        method = getattr(self._stream, name, None) or getattr(self._stream, other_name)
        try:
            return method(argument)
        except OSError as error:
            # MicroPython's streams return None here; CPython's TLS has classes for it.
            is_wait = type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError")
            if is_wait or error.args[0] == errno.EAGAIN:
                return None
            raise

    # --- what umqtt asks of its socket, and is ours to do -----------------------------------------

    def connect(self, _address) -> None:
        """It is connected."""

    def setblocking(self, _is_blocking) -> None:
        """It waits as `read` says."""

    def settimeout(self, _timeout_s) -> None:
        """It waits as `read` says."""


def _poll(stream, events: int, wait_ms: int) -> "list":
    """What `select` says of one stream, within `wait_ms`."""
    poll = select.poll()
    poll.register(stream, events)
    return poll.poll(wait_ms)
