"""The board's end of the rig bus: every act on the outside world is one transaction.

Promises: a request carries the operation, its arguments and the time the CPU has computed; the
call returns when the rig has answered, and the answer says what the board's clock now shows.
Leaves to `hal.py` how the bytes travel (semihosting or pipes): `exchange(line)` stamps REQUEST,
sends as many bytes of it as its own length says, and fills REPLY; `line` is whatever the HAL keeps
the connection in.

Frozen into the images of emulated boards only, with the buses of `rig_devices.py`.  `hil/bus.py` is
the other end.

    request  u16 length | u8 operation | u8 argument | u32 cpu_ns | payload
    reply    u8 status | u8 flags | u16 payload length | u64 now_us | payload

All integers are little-endian; the request's `length` counts all of it.  `cpu_ns` runs modulo
2**32; the rig unwraps it.  Bit n of `flags`: input is waiting on UART n (0 to 7); UART 0 is the
gateway's, and input there can end a sleep.
"""

import struct
import sys

import micropython

OP_HELLO = 0
OP_I2C = 1
OP_SPI = 2
OP_UART_WRITE = 3
OP_UART_READ = 4
OP_SLEEP = 5
OP_LOG = 6
OP_PIN = 7
OP_EXIT = 8

STATUS_OK = 0
STATUS_NACK = 1
STATUS_TIMEOUT = 2
STATUS_STOP = 3
STATUS_REFUSED = 4

FLAG_UART_PENDING = 1

REQUEST = bytearray(2112)
REPLY = bytearray(2112)
REQUEST_HEADER_BYTES = 8
REPLY_HEADER_BYTES = 12
PAYLOAD_BYTES_MAX = 2112 - REPLY_HEADER_BYTES
SLEEP_SLICE_US = 1000000000
"""Below 2**30, so that the comparison in every sleep is one of small integers."""

_ENODEV = 19
_ETIMEDOUT = 110


class RigStop(SystemExit):
    """The rig has ended the run; the application should return."""


@micropython.viper
def _put_header(request: ptr8, length: int, operation: int, argument: int):
    request[0] = length
    request[1] = length >> 8
    request[2] = operation
    request[3] = argument


class RigBus:
    """The transactions of one board, over `exchange(line) -> None`."""

    def __init__(self, exchange, line) -> None:
        self.exchange = exchange
        self.line = line

    def transact(self, operation: int, argument: int, payload_bytes: int) -> int:
        """Send the payload that stands in REQUEST[8:]; return the reply's payload length."""
        length = REQUEST_HEADER_BYTES + payload_bytes
        _put_header(REQUEST, length, operation, argument)
        self.exchange(self.line)
        if REPLY[0]:
            raise_for(REPLY[0])
        return REPLY[2] | (REPLY[3] << 8)

    def send_bytes(self, operation: int, argument: int, data) -> int:
        """One transaction whose payload is `data`."""
        count = len(data)
        if count > PAYLOAD_BYTES_MAX:
            raise ValueError("rig bus: %d bytes, at most %d" % (count, PAYLOAD_BYTES_MAX))
        REQUEST[REQUEST_HEADER_BYTES : REQUEST_HEADER_BYTES + count] = data
        return self.transact(operation, argument, count)

    def uart_pending(self) -> bool:
        """Whether input was waiting on UART 0 when the rig last answered."""
        return bool(REPLY[1] & FLAG_UART_PENDING)

    def now_us(self) -> int:
        """What the board's clock showed when the rig last answered."""
        return struct.unpack_from("<Q", REPLY, 4)[0]

    def sleep_for_us(self, duration_us: int, wake_on_uart: bool) -> bool:
        """Sleep; True when input waits on UART 0, which ends the sleep early if asked for.

        A request holds 32 bits of microseconds, so a long sleep goes out in slices.
        """
        while duration_us > SLEEP_SLICE_US:
            if self._sleep_slice(SLEEP_SLICE_US, wake_on_uart) and wake_on_uart:
                return True
            duration_us -= SLEEP_SLICE_US
        return self._sleep_slice(duration_us, wake_on_uart)

    def _sleep_slice(self, duration_us: int, wake_on_uart: bool) -> bool:
        struct.pack_into("<I", REQUEST, REQUEST_HEADER_BYTES, duration_us)
        self.transact(OP_SLEEP, int(wake_on_uart), 4)
        return self.uart_pending()

    def hello(self, text: str) -> None:
        """Tell the rig who is here; the rig's clock for this board starts at this transaction."""
        self.send_bytes(OP_HELLO, 0, text.encode())

    def log(self, text: str) -> None:
        """One line for the rig's log, at most 1,000 bytes of it."""
        self.send_bytes(OP_LOG, 0, text.encode()[:1000])

    def pin(self, number: int, level=None) -> int:
        """Drive pin `number` to `level`, or read it when `level` is None."""
        REQUEST[REQUEST_HEADER_BYTES] = 2 if level is None else int(bool(level))
        self.transact(OP_PIN, number, 1)
        return REPLY[REPLY_HEADER_BYTES]

    def exit(self) -> None:
        """The application has ended."""
        self.transact(OP_EXIT, 0, 0)


def raise_for(status: int) -> None:
    """Raise what a status other than STATUS_OK means; the reason of a refusal is in REPLY."""
    if status == STATUS_NACK:
        raise OSError(_ENODEV)
    if status == STATUS_TIMEOUT:
        raise OSError(_ETIMEDOUT)
    if status == STATUS_STOP:
        raise RigStop
    count = REPLY[2] | (REPLY[3] << 8)
    text = bytes(memoryview(REPLY)[REPLY_HEADER_BYTES : REPLY_HEADER_BYTES + count])
    raise RuntimeError("rig bus: refused: " + text.decode())


def identity() -> str:
    """What `sys` says inside this MicroPython."""
    version = ".".join(str(part) for part in sys.implementation.version[:3])
    return "%s %s | %s | %s" % (
        sys.implementation.name,
        version,
        getattr(sys.implementation, "_machine", "?"),
        sys.platform,
    )
