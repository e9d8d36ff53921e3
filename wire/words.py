"""Memory in words of 32 bits, the same on both interpreters, for kernels that step pointers.

On MicroPython words are an array, and a kernel gets its address. CPython has no addresses: there
`Words` stands for one, which wraps what is stored to 32 bits, gives it back without a sign, and is
moved by adding bytes. So `p = ptr32(uint(p) + 4)` is the next word on either, and a kernel that
holds on CPython holds on a board if it shifts and compares only what it has kept below 2^32.

`Slices` is for annotations only: a generator that yields between slices of work and returns bytes.
"""

from wire.kernel import IS_MICROPYTHON, Buffer, micropython, ptr8

Slices = object

_WORD = 0xFFFFFFFF

if IS_MICROPYTHON:
    from array import array

    Words = array

    @micropython.viper
    def _is_aligned(data: ptr8) -> bool:
        """Return whether the first byte of `data` lies on the boundary of a word."""
        return int(data) & 3 == 0

    def words(count: int) -> Buffer:
        """Return `count` words, all zero."""
        return array("I", bytes(4 * count))

    def words_of(data: bytes) -> Buffer:
        """Return little-endian `data` as words to read: itself where it lies on their boundary."""
        return data if _is_aligned(data) else bytearray(data)

else:

    class Words:
        """The address of a word among `content`."""

        def __init__(self, content: "list[int]", at: int = 0) -> None:
            self._content = content
            self._at = at

        def __getitem__(self, index: int) -> int:
            return self._content[self._at + index]

        def __setitem__(self, index: int, value: int) -> None:
            self._content[self._at + index] = value & _WORD

        def __add__(self, count_bytes: int) -> "Words":
            return Words(self._content, self._at + count_bytes // 4)

        def __sub__(self, count_bytes: int) -> "Words":
            return Words(self._content, self._at - count_bytes // 4)

    def words(count: int) -> Buffer:
        """Return `count` words, all zero."""
        return Words([0] * count)

    def words_of(data: bytes) -> Buffer:
        """Return little-endian `data` as words to read: itself where it lies on their boundary."""
        return Words([int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)])
