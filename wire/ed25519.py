"""Ed25519 (RFC 8032, 5.1): keys and signatures on a node.

A `Signer` makes one signature at a time in slices: `begin(message)`, then `step()` until it gives
the 64 bytes. Who needs no pauses calls `sign`. A node checks no signature, so that is elsewhere:
ed25519_verify.py is a reference, and the gateway uses OpenSSL.

What a secret goes through takes the same steps for every secret and looks at the same memory: the
hashes, both products modulo L, the multiple of the base point, the inversion. What remains is that
of the interpreter and the machine: a multiplication of 32 bits may take longer for large numbers on
a Cortex-M3 (not on M4 and later), small integers are boxed by their size, memory is not cleared
after use, and nothing hides what is done from somebody who measures the current.
"""

from wire.ed25519_comb import BasePoint
from wire.ed25519_scalar import Scalars
from wire.errors import WireError
from wire.kernel import Buffer, const
from wire.sha512 import Sha512, sha512
from wire.words import Slices

SEED_BYTES = const(32)
PUBLIC_KEY_BYTES = const(32)
SIGNATURE_BYTES = const(64)


class Signer:
    """Signs with the 32-byte seed `seed`, whose public key is `public_key`.

    Making one costs a hash. Without that it also makes that, which takes as long as a signature
    and is not cut into slices. Raises WireError for a seed or public key of another length.
    """

    def __init__(self, seed: Buffer, public_key: Buffer = b"") -> None:
        if len(seed) != SEED_BYTES or len(public_key) not in (0, PUBLIC_KEY_BYTES):
            raise WireError(
                "an Ed25519 seed and public key have 32 bytes each, not %d and %d"
                % (len(seed), len(public_key))
            )
        self._secret, self._prefix = _expand(seed)
        self._base_point = BasePoint()
        self._scalars = Scalars()
        self._hash = Sha512()
        self._work: "Slices | None" = None
        self.public_key = bytes(public_key) or _run(self._base_point.multiply(self._secret))

    @property
    def is_busy(self) -> bool:
        """Whether a signature is begun and not given yet."""
        return self._work is not None

    def begin(self, message: Buffer) -> None:
        """Begin to sign `message`; one that is begun and not finished is given up."""
        self._work = self._sign(bytes(message))

    def step(self) -> "bytes | None":
        """Do the next slice; return the signature if it was the last. Nothing begun: None."""
        if self._work is None:
            return None
        try:
            next(self._work)
        except StopIteration as stop:
            self._work = None
            return bytes(stop.value)
        return None

    def _sign(self, message: bytes) -> Slices:
        """Yield between slices; return the signature of `message` (RFC 8032, 5.1.6)."""
        digest = yield from self._digest(self._prefix, message)
        yield
        nonce = self._scalars.reduce(digest)
        yield
        point = yield from self._base_point.multiply(nonce)
        yield
        digest = yield from self._digest(point, self.public_key, message)
        yield
        challenge = self._scalars.reduce(digest)
        yield
        self._scalars.multiply_add(challenge, self._secret, nonce)
        yield
        return point + self._scalars.result()

    def _digest(self, *parts: bytes) -> Slices:
        self._hash.begin(*parts)
        yield
        digest = self._hash.step()
        while digest is None:
            yield
            digest = self._hash.step()
        return digest


def public_key(seed: Buffer) -> bytes:
    """Return the 32 bytes of the public key of `seed`."""
    return Signer(seed).public_key


def sign(seed: Buffer, message: Buffer) -> bytes:
    """Return the 64 bytes of the signature of `message` under `seed`."""
    signer = Signer(seed)
    signer.begin(message)
    signature = None
    while signature is None:
        signature = signer.step()
    return signature


def _expand(seed: Buffer) -> "tuple[bytes, bytes]":
    """Return the secret scalar and the prefix of nonces (RFC 8032, 5.1.5)."""
    digest = sha512(seed)
    scalar = bytearray(digest[:32])
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    return bytes(scalar), digest[32:]


def _run(work: Slices) -> bytes:
    """Return what `work` returns, without a pause."""
    try:
        while True:
            next(work)
    except StopIteration as stop:
        return bytes(stop.value)
