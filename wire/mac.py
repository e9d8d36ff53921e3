"""HMAC-SHA256 (RFC 2104), HKDF-SHA256 (RFC 5869) and a comparison in constant time.

MicroPython has hashlib.sha256 and nothing above it, and its hash objects cannot be copied; so the
padded keys are made once and hashed anew for each message. CPython copies the two prepared states
instead. Where the key comes from is the business of keys.py.
"""

from hashlib import sha256

from wire.errors import WireError
from wire.kernel import IS_MICROPYTHON, Buffer, const, micropython, ptr8

DIGEST_BYTES = const(32)
BLOCK_BYTES = const(64)
_HKDF_BYTES_MAX = const(8160)


class HmacSha256:
    """HMAC-SHA256 under one key of any length; keep it, making it costs more than using it."""

    def __init__(self, key: Buffer) -> None:
        block = bytes(key)
        if len(block) > BLOCK_BYTES:
            block = sha256(block).digest()
        block = block + bytes(BLOCK_BYTES - len(block))
        self.inner_pad = bytes([byte ^ 0x36 for byte in block])
        self._outer_pad = bytes([byte ^ 0x5C for byte in block])
        self._inner = sha256(self.inner_pad)
        self._outer = sha256(self._outer_pad)

    if IS_MICROPYTHON:

        def digest(self, *parts: Buffer) -> bytes:
            """Return the 32 bytes of the code over all `parts`, joined."""
            inner = sha256(self.inner_pad)
            for part in parts:
                inner.update(part)
            outer = sha256(self._outer_pad)
            outer.update(inner.digest())
            return outer.digest()

        @micropython.native
        def digest_padded(self, padded: Buffer) -> bytes:
            """Return the code over what follows `inner_pad`, with which `padded` begins."""
            outer = sha256(self._outer_pad)
            outer.update(sha256(padded).digest())
            return outer.digest()

    else:

        def digest(self, *parts: Buffer) -> bytes:
            """Return the 32 bytes of the code over all `parts`, joined."""
            inner = self._inner.copy()
            inner.update(b"".join(parts))
            outer = self._outer.copy()
            outer.update(inner.digest())
            return outer.digest()

        def digest_padded(self, padded: Buffer) -> bytes:
            """Return the code over what follows `inner_pad`, with which `padded` begins."""
            outer = self._outer.copy()
            outer.update(sha256(padded).digest())
            return outer.digest()


def hkdf_sha256(key_material: Buffer, salt: Buffer, info: Buffer, length: int) -> bytes:
    """Return `length` bytes (0 to 8160) from `key_material`; no salt means 32 zero bytes.

    RFC 5869, 2.2 and 2.3. Raises WireError when more is asked for than the function can give.
    """
    if not 0 <= length <= _HKDF_BYTES_MAX:
        raise WireError("HKDF-SHA256 gives 0 to 8160 bytes, not %d" % length)
    expand = HmacSha256(HmacSha256(salt).digest(key_material))
    block = b""
    output = b""
    counter = 1
    while len(output) < length:
        block = expand.digest(block, info, bytes((counter,)))
        output += block
        counter += 1
    return output[:length]


@micropython.viper
def differences_kernel(left: ptr8, right: ptr8, count: int) -> int:
    """Return 0 if the first `count` bytes of both buffers are the same; every byte is looked at."""
    differences = 0
    while count:
        count -= 1
        differences |= left[count] ^ right[count]
    return differences


if IS_MICROPYTHON:

    def equal(left: bytes, right: bytes) -> bool:
        """Return whether both byte strings are the same, in a time that tells only their length."""
        return len(left) == len(right) and differences_kernel(left, right, len(left)) == 0

else:
    from hmac import compare_digest

    def equal(left: bytes, right: bytes) -> bool:
        """Return whether both byte strings are the same, in a time that tells only their length."""
        return compare_digest(left, right)
