"""SHA-512 on any interpreter, against FIPS 180-4 and around the ends of a block."""

from wire.sha512 import BLOCK_BYTES, Sha512, sha512

# NIST's example messages, the empty one, and one of 200 bytes (two blocks).
CASES = (
    (
        b"",
        (
            "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
            "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
        ),
    ),
    (
        b"abc",
        (
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        ),
    ),
    (
        (
            b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
            b"hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"
        ),
        (
            "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
            "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"
        ),
    ),
)


def finished(work):
    """Return (digest, number of steps) of a hash that is begun."""
    steps = 1
    digest = work.step()
    while digest is None:
        steps += 1
        digest = work.step()
    return digest, steps


def test_the_examples_of_the_standard():
    work = Sha512()
    for message, digest in CASES:
        assert sha512(message).hex() == digest
        work.begin(message)
        assert finished(work)[0].hex() == digest


def test_parts_are_joined():
    work = Sha512()
    work.begin(b"a", b"", bytearray(b"b"), memoryview(b"c"))
    assert finished(work)[0] == sha512(b"abc")


def test_a_step_is_a_block():
    work = Sha512()
    for length, blocks in ((0, 1), (111, 1), (112, 2), (127, 2), (128, 2), (239, 2), (240, 3)):
        message = bytes(range(length % 256)) + bytes(length - length % 256)
        work.begin(message)
        digest, steps = finished(work)
        assert steps == blocks, length
        assert digest == sha512(message), length
    assert BLOCK_BYTES == 128


def test_what_is_begun_anew_forgets_the_old():
    work = Sha512()
    work.begin(bytes(500))
    work.step()
    work.begin(b"abc")
    assert finished(work) == (sha512(b"abc"), 1)
