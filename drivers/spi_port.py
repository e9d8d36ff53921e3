"""A chip's registers over SPI: `RegisterPort` with a first byte that says where and which way.

The bus has one method, `write_readinto(out, into)`: one transfer under the chip's own select, as
`hal.spi(n)` gives it. SPI has no acknowledge, so an absent chip is not an error of the bus: it
reads as all ones or all zeros. A driver therefore fetches, in the same burst as a result, bytes
that it knows, and refuses the result when they are not there.

`receive` is the hot call. It allocates a view once for each length of burst, nothing afterwards.
"""

from collections import namedtuple

from drivers.port import RegisterPort
from drivers.registers import Register
from wire.kernel import micropython, ptr8

# The first byte of a transfer is `address << shift | read` or `address << shift | write`.
SpiDialect = namedtuple("SpiDialect", "shift read write")


@micropython.viper
def _copy(source: ptr8, start: int, into: ptr8, count: int):
    for index in range(count):
        into[index] = source[start + index]


class SpiPort(RegisterPort):
    """The registers of the `part` that hangs on the chip select `spi`; `address` is None.

    A burst has at most `burst_bytes_max` bytes.
    """

    def __init__(self, part: str, spi, address, dialect: SpiDialect, burst_bytes_max: int):
        super().__init__(part, spi, address)
        self._dialect = dialect
        self._out = memoryview(bytearray(1 + burst_bytes_max))
        self._into = memoryview(bytearray(1 + burst_bytes_max))
        self._frames: dict = {}

    def where(self) -> str:
        """Return the bus as messages show it."""
        return str(self._bus)

    def receive(self, register: Register, count: int):
        """Read `count` bytes from `register` on; they stand at index 1 .. count of the answer.

        The answer is a view of the port's own buffer, valid until the next transfer.
        """
        frame = self._frames.get(count)
        if frame is None:
            frame = self._frames[count] = (self._out[: 1 + count], self._into[: 1 + count])
        out, into = frame
        out[0] = (register.address << self._dialect.shift) | self._dialect.read
        try:
            self._bus.write_readinto(out, into)
        except OSError as error:
            self._fail_of_bus(register, error)
        return into

    def read_into(self, register: Register, buffer) -> None:
        """Fill `buffer` from `register` on, in one transaction."""
        count = len(buffer)
        _copy(self.receive(register, count), 1, buffer, count)

    def write_from(self, register: Register, data) -> None:
        """Send `data`, packed already, to `register` in one transaction."""
        command = (register.address << self._dialect.shift) | self._dialect.write
        out = bytes((command,)) + bytes(data)
        try:
            self._bus.write_readinto(out, bytearray(len(out)))
        except OSError as error:
            self._fail_of_bus(register, error)
