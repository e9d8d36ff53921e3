"""Addresses of bytes and words for kernels that step pointers, where CPython has none.

With them the kernels of a frame run on CPython as they do on a board.
"""

from typing import Self

from wire.cobs import stuff_kernel, stuff_runs
from wire.framer import check_kernel
from wire.words import Words


class Bytes:
    """The address of a byte of `content`: moved by adding, compared as an integer."""

    def __init__(self, content: bytearray, at: int = 0) -> None:
        self._content = content
        self._at = at

    def __getitem__(self, index: int) -> int:
        return self._content[self._place(index)]

    def __setitem__(self, index: int, value: int) -> None:
        self._content[self._place(index)] = value

    def __add__(self, count: int) -> Self:
        return type(self)(self._content, self._at + count)

    def __sub__(self, count: int) -> Self:
        return type(self)(self._content, self._at - count)

    def __int__(self) -> int:
        return self._at

    def _place(self, index: int) -> int:
        """The index from the beginning; nothing before it may be touched."""
        place = self._at + index
        assert place >= 0, place
        return place


def stuffed(data: bytes) -> bytes:
    """`data` stuffed by the kernel, or by runs where it cannot."""
    content = bytearray(1) + data
    if stuff_kernel(Bytes(content), len(data), len(data) + 1):
        return bytes(content)
    return stuff_runs(data)


def check(data: bytes) -> int:
    """The CRC of `data` by the kernel, or -1 where it cannot."""
    end = 44 + len(data)
    line = bytearray((end + 5) // 4 * 4)
    line[44:end] = data
    if not check_kernel(words_in(line), line, len(data)):
        return -1
    assert line[:44] == bytes(44), "the state is left as it was found"
    assert line[44:end] == data
    return int.from_bytes(line[end : end + 2], "big")


def words_in(content: bytearray) -> Words:
    """The address of the first word of `content`, the same memory, whole words little-endian."""
    return Words(memoryview(content).cast("I"))  # type: ignore[arg-type]
