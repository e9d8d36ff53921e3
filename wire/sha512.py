"""SHA-512 (FIPS 180-4, 6.4) on 32-bit integers, block by block: a board's hashlib has SHA-256 only.

A `Sha512` does one block of 128 bytes per step, so that a caller with other duties can stop in
between; `sha512` does all at once, and on CPython that is OpenSSL's. Each 64-bit word is two words
of 32, upper half first; `u` and `v` are those of one word. Additions are made in pieces of 16 bits,
whose carries show without a comparison: no branch and no address depends on what is hashed.
"""

from wire.kernel import IS_MICROPYTHON, Buffer, const, micropython, ptr8, ptr32, uint
from wire.sha512_table_generated import INITIAL, ROUNDS
from wire.words import words, words_of

BLOCK_BYTES = const(128)
DIGEST_BYTES = const(64)

_WORD = 0xFFFFFFFF
_LENGTH_BYTES = const(16)


class Sha512:
    """One hash after the other in the same 1.4 KiB of memory."""

    def __init__(self) -> None:
        self._initial = words_of(INITIAL)
        self._constants = words_of(ROUNDS)
        self._state = words(16)
        self._schedule = words(160)
        self._rounds = words(176)
        self._message = b""
        self._at = 0

    def begin(self, *parts: Buffer) -> None:
        """Begin to hash all `parts`, joined; an unfinished hash is forgotten."""
        message = b"".join([bytes(part) for part in parts])
        zeros = -(len(message) + 1 + _LENGTH_BYTES) % BLOCK_BYTES
        length = (8 * len(message)).to_bytes(_LENGTH_BYTES, "big")
        self._message = b"".join((message, b"\x80", bytes(zeros), length))
        self._at = 0
        copy_kernel(self._state, 0, self._initial)

    def step(self) -> "bytes | None":
        """Hash the next block; return the 64 bytes of the digest if it was the last."""
        load_kernel(self._schedule, self._message, self._at)
        schedule_kernel(self._schedule, _WORD)
        copy_kernel(self._rounds, 640, self._state)
        compress_kernel(self._rounds, self._schedule, self._constants, _WORD)
        add_kernel(self._state, self._rounds)
        self._at += BLOCK_BYTES
        if self._at < len(self._message):
            return None
        self._message = b""
        digest = bytearray(DIGEST_BYTES)
        store_kernel(digest, self._state)
        return bytes(digest)


if IS_MICROPYTHON:

    def sha512(data: Buffer) -> bytes:
        """Return the 64 bytes of the digest of `data`."""
        work = Sha512()
        work.begin(data)
        digest = None
        while digest is None:
            digest = work.step()
        return digest

else:
    import hashlib

    def sha512(data: Buffer) -> bytes:
        """Return the 64 bytes of the digest of `data`."""
        return hashlib.sha512(data).digest()


@micropython.viper
def copy_kernel(to: ptr32, at: int, source: ptr32) -> int:
    """Copy 16 words to `to`, `at` bytes from its start."""
    to = ptr32(uint(to) + uint(at))
    count = 16
    while count:
        to[0] = source[0]
        to = ptr32(uint(to) + 4)
        source = ptr32(uint(source) + 4)
        count -= 1
    return 0


@micropython.viper
def load_kernel(schedule: ptr32, data: ptr8, at: int) -> int:
    """Set the first 32 words of `schedule` to the block of `data` at `at`, upper byte first."""
    count = 32
    while count:
        word = (data[at] << 24) | (data[at + 1] << 16) | (data[at + 2] << 8) | data[at + 3]
        schedule[0] = word
        schedule = ptr32(uint(schedule) + 4)
        at += 4
        count -= 1
    return 0


@micropython.viper
def store_kernel(data: ptr8, state: ptr32) -> int:
    """Set 64 bytes of `data` to the 16 words of `state`, upper byte first."""
    at = 0
    while at < 64:
        word = uint(state[0])
        data[at] = int(word >> 24)
        data[at + 1] = int(word >> 16) & 255
        data[at + 2] = int(word >> 8) & 255
        data[at + 3] = int(word) & 255
        state = ptr32(uint(state) + 4)
        at += 4
    return 0


@micropython.viper
def schedule_kernel(w: ptr32, ones: int) -> int:
    """Extend 16 words of 64 bits to 80 (FIPS 180-4, 6.4.2, step 1); `ones` is 2^32 - 1."""
    word = uint(ones)
    count = 64
    while count:
        u = uint(w[2])
        v = uint(w[3])
        hi = ((u >> 1) ^ (v << 31) ^ (u >> 8) ^ (v << 24) ^ (u >> 7)) & word
        lo = ((v >> 1) ^ (u << 31) ^ (v >> 8) ^ (u << 24) ^ (v >> 7) ^ (u << 25)) & word
        low = (lo & 0xFFFF) + (uint(w[1]) & 0xFFFF) + (uint(w[19]) & 0xFFFF)
        middle = (lo >> 16) + (uint(w[1]) >> 16) + (uint(w[19]) >> 16)
        high = hi + uint(w[0]) + uint(w[18])
        u = uint(w[28])
        v = uint(w[29])
        hi = ((u >> 19) ^ (v << 13) ^ (v >> 29) ^ (u << 3) ^ (u >> 6)) & word
        lo = ((v >> 19) ^ (u << 13) ^ (u >> 29) ^ (v << 3) ^ (v >> 6) ^ (u << 26)) & word
        low = low + (lo & 0xFFFF)
        middle = middle + (lo >> 16) + (low >> 16)
        w[32] = int(high + hi + (middle >> 16))
        w[33] = int((middle << 16) | (low & 0xFFFF))
        w = ptr32(uint(w) + 8)
        count -= 1
    return 0


@micropython.viper
def compress_kernel(p: ptr32, w: ptr32, k: ptr32, ones: int) -> int:
    """Do 80 rounds (FIPS 180-4, 6.4.2, step 3) over the scheduled words `w` and constants `k`.

    a to h are the words 160 to 175 of `p` at first. Each round puts the next a before them and the
    next e in place of d, and steps down, so that nothing else moves; in the end they are 0 to 15.
    """
    word = uint(ones)
    p = ptr32(uint(p) + 632)
    count = 80
    while count:
        # T1, its lower half in two parts.
        u = uint(p[10])
        v = uint(p[11])
        x = ((v >> 14) ^ (u << 18) ^ (v >> 18) ^ (u << 14) ^ (u >> 9) ^ (v << 23)) & word
        y = uint(p[15]) ^ (v & (uint(p[13]) ^ uint(p[15])))
        low = (x & 0xFFFF) + (y & 0xFFFF) + (uint(p[17]) & 0xFFFF)
        low = low + (uint(k[1]) & 0xFFFF) + (uint(w[1]) & 0xFFFF)
        middle = (x >> 16) + (y >> 16) + (uint(p[17]) >> 16)
        middle = middle + (uint(k[1]) >> 16) + (uint(w[1]) >> 16)
        x = ((u >> 14) ^ (v << 18) ^ (u >> 18) ^ (v << 14) ^ (v >> 9) ^ (u << 23)) & word
        y = uint(p[14]) ^ (u & (uint(p[12]) ^ uint(p[14])))
        high = x + y + uint(p[16]) + uint(k[0]) + uint(w[0])
        # The next e is d + T1.
        x = low + (uint(p[9]) & 0xFFFF)
        y = middle + (uint(p[9]) >> 16) + (x >> 16)
        p[9] = int((y << 16) | (x & 0xFFFF))
        p[8] = int(high + uint(p[8]) + (y >> 16))
        # The next a is T1 + T2.
        u = uint(p[2])
        v = uint(p[3])
        x = ((v >> 28) ^ (u << 4) ^ (u >> 2) ^ (v << 30) ^ (u >> 7) ^ (v << 25)) & word
        y = (v & uint(p[5])) | (uint(p[7]) & (v | uint(p[5])))
        low = low + (x & 0xFFFF) + (y & 0xFFFF)
        middle = middle + (x >> 16) + (y >> 16) + (low >> 16)
        x = ((u >> 28) ^ (v << 4) ^ (v >> 2) ^ (u << 30) ^ (v >> 7) ^ (u << 25)) & word
        y = (u & uint(p[4])) | (uint(p[6]) & (u | uint(p[4])))
        p[1] = int((middle << 16) | (low & 0xFFFF))
        p[0] = int(high + x + y + (middle >> 16))
        p = ptr32(uint(p) - 8)
        w = ptr32(uint(w) + 8)
        k = ptr32(uint(k) + 8)
        count -= 1
    return 0


@micropython.viper
def add_kernel(state: ptr32, rounds: ptr32) -> int:
    """Add the last a to h, the words 0 to 15 of `rounds`, to the state (step 4)."""
    count = 8
    while count:
        low = (uint(state[1]) & 0xFFFF) + (uint(rounds[1]) & 0xFFFF)
        middle = (uint(state[1]) >> 16) + (uint(rounds[1]) >> 16) + (low >> 16)
        state[1] = int((middle << 16) | (low & 0xFFFF))
        state[0] = int(uint(state[0]) + uint(rounds[0]) + (middle >> 16))
        state = ptr32(uint(state) + 8)
        rounds = ptr32(uint(rounds) + 8)
        count -= 1
    return 0
