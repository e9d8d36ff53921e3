"""Image files of an interpreter as pieces with addresses: `.bin`, `.hex` and `.dfu`.

Promises: `read_image` returns the pieces in order of address, without overlap, or raises ImageError
with the file and the place; a file that is cut short or damaged never passes.  Nothing is written.

Sources: Intel "Hexadecimal Object File Format Specification", 1988; ST UM0391 "DfuSe file format";
CRC of a DFU suffix from the USB DFU 1.1 specification, appendix B.
"""

import itertools
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from boards.errors import ImageError

IMAGE_BYTES_MAX: Final = 32 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """`content` belongs at `address`."""

    address: int
    content: bytes

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.address + len(self.content)


def read_image(path: Path, offset: int) -> tuple[Piece, ...]:
    """The pieces of an image file; `offset` is where a raw one belongs."""
    try:
        size = path.stat().st_size
        if size > IMAGE_BYTES_MAX:
            raise ImageError(f"{path}: {size} bytes; no image has more than {IMAGE_BYTES_MAX}")
        content = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if not content:
        raise ImageError(f"{path}: empty; download it again")
    readers = {".hex": parse_hex, ".dfu": parse_dfu}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        return (Piece(offset, content),)
    try:
        pieces = reader(content)
    except ValueError as error:
        raise ImageError(f"{path}: {error}; download it again") from error
    return _ordered(pieces, path)


def parse_hex(content: bytes) -> list[Piece]:
    """Intel HEX records 00, 01, 02, 04; 03 and 05 (start addresses) are checked and skipped.

    Raises ValueError with the line.
    """
    pieces: list[Piece] = []
    run = bytearray()
    start = base = 0
    for number, line in enumerate(content.split(), start=1):
        kind, low, data = _hex_record(line, number)
        if kind == 1:
            if run:
                pieces.append(Piece(start, bytes(run)))
            return pieces
        if kind in (2, 4):
            base = int.from_bytes(data, "big") << (4 if kind == 2 else 16)
        elif kind == 0:
            address = base + low
            if run and address != start + len(run):
                pieces.append(Piece(start, bytes(run)))
                run.clear()
            if not run:
                start = address
            run += data
        elif kind not in (3, 5):
            raise ValueError(f"line {number}: no record of type {kind} is known")
    raise ValueError("the end record is missing")


def _hex_record(line: bytes, number: int) -> tuple[int, int, bytes]:
    try:
        record = bytes.fromhex(line[1:].decode("ascii"))
    except ValueError:
        record = b""
    if line[:1] != b":" or len(record) < 5 or record[0] != len(record) - 5:
        raise ValueError(f"line {number}: not an Intel HEX record")
    if sum(record) & 0xFF:
        raise ValueError(f"line {number}: wrong checksum")
    kind, data = record[3], record[4:-1]
    if kind in (2, 4) and len(data) != 2:
        raise ValueError(f"line {number}: an address record has 2 bytes")
    return kind, int.from_bytes(record[1:3], "big"), data


def parse_dfu(content: bytes) -> list[Piece]:
    """The elements of a DfuSe file with one target (UM0391, 2.1 to 2.4).

    Raises ValueError with what is wrong.
    """
    if len(content) < 11 + 274 + 16 or content[:5] != b"DfuSe":
        raise ValueError("not a DfuSe file")
    crc = (~zlib.crc32(content[:-4])) & 0xFFFFFFFF
    if content[-8:-5] != b"UFD" or content[-5] != 16 or struct.unpack("<I", content[-4:])[0] != crc:
        raise ValueError("the suffix or its CRC is wrong")
    image_bytes, targets = struct.unpack_from("<IB", content, 6)
    if image_bytes != len(content) - 16 or targets != 1 or content[11:17] != b"Target":
        raise ValueError("one whole target is expected")
    target_bytes, elements = struct.unpack_from("<II", content, 11 + 266)
    end = 11 + 274 + target_bytes
    if end > len(content) - 16:
        raise ValueError("the target is cut short")
    pieces = []
    position = 11 + 274
    for _ in range(elements):
        if position + 8 > end:
            raise ValueError("an element is cut short")
        address, size = struct.unpack_from("<II", content, position)
        position += 8
        if position + size > end:
            raise ValueError("an element is cut short")
        pieces.append(Piece(address, content[position : position + size]))
        position += size
    return pieces


def _ordered(pieces: list[Piece], path: Path) -> tuple[Piece, ...]:
    ordered = sorted((piece for piece in pieces if piece.content), key=lambda piece: piece.address)
    if not ordered:
        raise ImageError(f"{path}: no content; download it again")
    for before, after in itertools.pairwise(ordered):
        if after.address < before.end:
            raise ImageError(f"{path}: two pieces at 0x{after.address:08x}; download it again")
    return tuple(ordered)
