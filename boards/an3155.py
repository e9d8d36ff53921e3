"""The UART loader in the ROM of every STM32: the protocol without I/O, and one flash over it.

Promises: `flash` leaves exactly the given pieces in an erased chip, read back and compared, or
raises FlashError with the address.  Every exchange has a deadline.  The functions in the middle are
generators: they yield an `Exchange` and are sent the bytes that answered it, so they can be tested
without a port; `Loader` plays them over a serial port.
Leaves to the caller how the loader is started: BOOT0 high, then a reset (AN2606).

Source: ST AN3155 "USART protocol used in the STM32 bootloader"; 8 data bits, even parity.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeVar

from boards.errors import FlashError
from boards.flash_image import Piece

ACK: Final = 0x79
NACK: Final = 0x1F
BLOCK_BYTES: Final = 256
_SYNC: Final = 0x7F
_GET, _GET_ID, _READ, _GO, _WRITE = 0x00, 0x02, 0x11, 0x21, 0x31
_ERASE, _EXTENDED_ERASE = 0x43, 0x44
_NAMES: Final = {
    _GET: "GET",
    _GET_ID: "GET ID",
    _READ: "READ MEMORY",
    _GO: "GO",
    _WRITE: "WRITE MEMORY",
    _ERASE: "ERASE",
    _EXTENDED_ERASE: "EXTENDED ERASE",
}
_REPLY_S: Final = 2.0
_ERASE_S: Final = 60.0
"""A mass erase lasts up to 16 s on an STM32F405, 8 s on an F446 (datasheets, flash memory)."""

Progress = Callable[[str, int, int], None]
"""Called with the step, the bytes done and the bytes there are."""
T = TypeVar("T")


class Exchange(NamedTuple):
    """Write `data`, then read exactly `reply_bytes` within `timeout_s`."""

    data: bytes
    reply_bytes: int
    timeout_s: float = _REPLY_S


Dialogue = Generator[Exchange, bytes, T]


class SerialPort(Protocol):
    """The part of `serial.Serial` that is used."""

    timeout: float | None

    def read(self, size: int) -> bytes: ...  # noqa: D102
    def write(self, data: bytes, /) -> int | None: ...  # noqa: D102
    def reset_input_buffer(self) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Identity:
    """What a loader says of itself: its version (BCD), its commands, the chip's product id."""

    version: int
    commands: frozenset[int]
    chip_id: int


def synchronise() -> Dialogue[None]:
    """Let the loader measure the baud rate; one that has done so before answers NACK."""
    answer = yield Exchange(bytes([_SYNC]), 1)
    if answer[0] not in (ACK, NACK):
        raise FlashError(
            f"the answer to 0x7F is 0x{answer[0]:02x}: this is no STM32 loader;"
            " set BOOT0 high, press reset and try again"
        )


def identify() -> Dialogue[Identity]:
    """GET and GET ID (AN3155 3.1, 3.3)."""
    yield from _command(_GET)
    content = yield from _counted(_GET)
    yield from _acknowledged(b"", _GET)
    yield from _command(_GET_ID)
    chip_id = yield from _counted(_GET_ID)
    yield from _acknowledged(b"", _GET_ID)
    return Identity(content[0], frozenset(content[1:]), int.from_bytes(chip_id, "big"))


def erase(commands: frozenset[int]) -> Dialogue[None]:
    """Erase the whole flash (3.7, 3.8); the file system on it too."""
    if _EXTENDED_ERASE in commands:
        yield from _command(_EXTENDED_ERASE)
        yield from _acknowledged(b"\xff\xff\x00", _EXTENDED_ERASE, timeout_s=_ERASE_S)
    else:
        yield from _command(_ERASE)
        yield from _acknowledged(b"\xff\x00", _ERASE, timeout_s=_ERASE_S)


def write(address: int, data: bytes) -> Dialogue[None]:
    """Write up to 256 bytes (3.6); filled up with 0xFF to a multiple of four."""
    data += b"\xff" * (-len(data) % 4)
    if not 0 < len(data) <= BLOCK_BYTES:
        raise ValueError(f"{len(data)} bytes; 1 to {BLOCK_BYTES} are possible")
    yield from _command(_WRITE)
    yield from _acknowledged(_with_checksum(address.to_bytes(4, "big")), _WRITE, address)
    block = bytes([len(data) - 1]) + data
    yield from _acknowledged(_with_checksum(block), _WRITE, address)


def read(address: int, size: int) -> Dialogue[bytes]:
    """Read up to 256 bytes (3.4)."""
    if not 0 < size <= BLOCK_BYTES:
        raise ValueError(f"{size} bytes; 1 to {BLOCK_BYTES} are possible")
    yield from _command(_READ)
    yield from _acknowledged(_with_checksum(address.to_bytes(4, "big")), _READ, address)
    count = size - 1
    answer = yield Exchange(bytes([count, count ^ 0xFF]), 1 + size)
    _check(answer[0], _READ, address)
    return answer[1:]


def go(address: int) -> Dialogue[None]:
    """Start the program whose vector table is at `address` (3.5)."""
    yield from _command(_GO)
    yield from _acknowledged(_with_checksum(address.to_bytes(4, "big")), _GO, address)


def _command(code: int) -> Dialogue[None]:
    yield from _acknowledged(bytes([code, code ^ 0xFF]), code)


def _acknowledged(
    data: bytes, code: int, address: int | None = None, *, timeout_s: float = _REPLY_S
) -> Dialogue[None]:
    answer = yield Exchange(data, 1, timeout_s)
    _check(answer[0], code, address)


def _check(answer: int, code: int, address: int | None) -> None:
    if answer == ACK:
        return
    where = "" if address is None else f" at 0x{address:08x}"
    if answer == NACK:
        raise FlashError(
            f"the loader refused {_NAMES[code]}{where}: the flash may be read- or write-protected;"
            " lift the protection with ST's programmer, or check the address"
        )
    raise FlashError(
        f"the answer to {_NAMES[code]}{where} is 0x{answer:02x}, neither ACK nor NACK:"
        " check wiring and parity, press reset and try again"
    )


def _counted(code: int) -> Dialogue[bytes]:
    count = yield Exchange(b"", 1)
    if count[0] > 64:
        raise FlashError(f"{_NAMES[code]} announces {count[0] + 1} bytes; press reset, try again")
    return (yield Exchange(b"", count[0] + 1))


def _with_checksum(data: bytes) -> bytes:
    """AN3155 2.3: the XOR of all bytes before it."""
    checksum = 0
    for byte in data:
        checksum ^= byte
    return data + bytes([checksum])


class Loader:
    """Plays dialogues over an open port (even parity)."""

    def __init__(self, port: SerialPort) -> None:
        self._port = port

    def play(self, dialogue: Dialogue[T]) -> T:
        """What the dialogue returns; FlashError when the loader falls silent."""
        try:
            exchange = next(dialogue)
            while True:
                exchange = dialogue.send(self._exchange(exchange))
        except StopIteration as stop:
            value: T = stop.value
            return value

    def _exchange(self, exchange: Exchange) -> bytes:
        if exchange.data:
            self._port.reset_input_buffer()
            self._port.write(exchange.data)
        self._port.timeout = exchange.timeout_s
        answer = self._port.read(exchange.reply_bytes)
        if len(answer) == exchange.reply_bytes or answer[:1] == bytes([NACK]):
            return answer
        raise FlashError(
            f"no answer within {exchange.timeout_s:g} s ({len(answer)} of"
            f" {exchange.reply_bytes} bytes): set BOOT0 high, press reset and check RX and TX"
        )


def connect(port: SerialPort, chip_id: int | None) -> tuple[Loader, Identity]:
    """A loader that answers, on the chip that is expected; FlashError on another one."""
    loader = Loader(port)
    loader.play(synchronise())
    identity = loader.play(identify())
    if chip_id is not None and identity.chip_id != chip_id:
        raise FlashError(
            f"the chip says 0x{identity.chip_id:03x}, this board has 0x{chip_id:03x}:"
            " nothing was changed; name the right board"
        )
    return loader, identity


def flash(
    port: SerialPort, pieces: Sequence[Piece], chip_id: int | None, progress: Progress
) -> None:
    """Erase the chip, write the pieces, read them back and start the first one."""
    loader, identity = connect(port, chip_id)
    progress("erasing", 0, 1)
    loader.play(erase(identity.commands))
    total = sum(len(piece.content) for piece in pieces)
    for step, work in (("writing", _write_block), ("verifying", _verify_block)):
        done = 0
        for piece in pieces:
            for start in range(0, len(piece.content), BLOCK_BYTES):
                block = piece.content[start : start + BLOCK_BYTES]
                work(loader, piece.address + start, block)
                done += len(block)
                progress(step, done, total)
    loader.play(go(pieces[0].address))


def _write_block(loader: Loader, address: int, block: bytes) -> None:
    loader.play(write(address, block))


def _verify_block(loader: Loader, address: int, block: bytes) -> None:
    stored = loader.play(read(address, len(block)))
    if stored != block:
        wrong = next(index for index, byte in enumerate(block) if stored[index] != byte)
        raise FlashError(
            f"0x{address + wrong:08x} holds 0x{stored[wrong]:02x} instead of 0x{block[wrong]:02x}:"
            " flash it again; if it stays, the chip's flash is worn out"
        )
