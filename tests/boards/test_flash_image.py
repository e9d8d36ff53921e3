"""Image files: what is written comes back piece by piece; what is damaged never passes."""

import contextlib
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boards.errors import ImageError
from boards.flash_image import Piece, parse_dfu, parse_hex, read_image

PIECES = [Piece(0x08000000, b"vectors" * 9), Piece(0x08020000, bytes(range(256)) * 3)]


def hex_record(kind: int, address: int, data: bytes) -> bytes:
    record = bytes([len(data)]) + address.to_bytes(2, "big") + bytes([kind]) + data
    return b":" + (record + bytes([-sum(record) & 0xFF])).hex().upper().encode() + b"\r\n"


def hex_file(pieces: list[Piece]) -> bytes:
    """Intel HEX with one upper address for every piece and every 64 KiB, 16 bytes a line."""
    lines = [hex_record(5, 0, b"\x08\x00\x01\x00")]
    for piece in pieces:
        upper = None
        for offset in range(0, len(piece.content), 16):
            address = piece.address + offset
            if address >> 16 != upper:
                upper = address >> 16
                lines.append(hex_record(4, 0, upper.to_bytes(2, "big")))
            data = piece.content[offset : offset + 16][: 0x10000 - (address & 0xFFFF)]
            lines.append(hex_record(0, address & 0xFFFF, data))
    return b"".join(lines) + b":00000001FF\r\n"


def dfu_file(pieces: list[Piece]) -> bytes:
    """A DfuSe file with one target (UM0391)."""
    elements = b"".join(
        struct.pack("<II", piece.address, len(piece.content)) + piece.content for piece in pieces
    )
    target = b"Target" + struct.pack("<BI255sII", 0, 1, b"ST", len(elements), len(pieces))
    body = b"DfuSe" + struct.pack("<BIB", 1, 11 + len(target) + len(elements), 1)
    body += target + elements + struct.pack("<HHHH3sB", 0xFFFF, 0xDF11, 0x0483, 0x011A, b"UFD", 16)
    return body + struct.pack("<I", ~zlib.crc32(body) & 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("suffix", "make"), [(".hex", hex_file), (".dfu", dfu_file), (".HEX", hex_file)]
)
def test_pieces_come_back_in_order(tmp_path: Path, suffix: str, make) -> None:
    path = tmp_path / f"image{suffix}"
    path.write_bytes(make(list(reversed(PIECES))))
    assert read_image(path, 0) == tuple(PIECES)


def test_a_raw_image_belongs_at_the_offset(tmp_path: Path) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(b"\xe9raw")
    assert read_image(path, 0x1000) == (Piece(0x1000, b"\xe9raw"),)


def test_segment_addresses_are_those_of_the_8086() -> None:
    content = hex_record(2, 0, b"\x10\x00") + hex_record(0, 0x10, b"ab") + b":00000001FF"
    assert parse_hex(content) == [Piece(0x10010, b"ab")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b":0000000", "line 1: not an Intel HEX"),
        (b"no record", "line 1: not an Intel HEX"),
        (b":00000001FE", "line 1: wrong checksum"),
        (hex_record(0, 0, b"ab"), "the end record is missing"),
        (hex_record(7, 0, b""), "no record of type 7"),
        (hex_record(4, 0, b"a"), "an address record has 2 bytes"),
    ],
)
def test_what_is_no_hex_file_says_where(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_hex(content)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data())
def test_a_damaged_dfu_file_never_passes(data: st.DataObject) -> None:
    content = bytearray(dfu_file(PIECES))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match=r"DfuSe|suffix|target|element"):
        parse_dfu(bytes(content))


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.integers(0, len(dfu_file(PIECES)) - 1))
def test_a_dfu_file_that_is_cut_short_never_passes(size: int) -> None:
    with pytest.raises(ValueError, match=r"DfuSe|suffix|target|element"):
        parse_dfu(dfu_file(PIECES)[:size])


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.binary(max_size=80))
def test_any_bytes_are_a_hex_file_or_a_value_error(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert all(piece.content for piece in parse_hex(content))


def test_pieces_that_overlap_and_files_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "image.dfu"
    path.write_bytes(dfu_file([Piece(0x100, b"abcd"), Piece(0x102, b"e")]))
    with pytest.raises(ImageError, match="two pieces at 0x00000102"):
        read_image(path, 0)
    path.write_bytes(dfu_file([]))
    with pytest.raises(ImageError, match="no content"):
        read_image(path, 0)
    path.write_bytes(b"")
    with pytest.raises(ImageError, match="empty"):
        read_image(path, 0)
    with pytest.raises(ImageError, match=r"none\.hex: cannot be read \(No such file"):
        read_image(tmp_path / "none.hex", 0)
