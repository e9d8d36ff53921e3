"""The kernels under Ed25519 against Python's own integers, signatures against OpenSSL."""

import hashlib
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.strategies import MODEST
from wire import ed25519_field as field
from wire import ed25519_linear as linear
from wire.ed25519 import sign
from wire.ed25519_scalar import DIGITS_BYTES, L, Scalars, digit_kernel, recode
from wire.ed25519_verify import verify
from wire.sha512 import Sha512
from wire.words import words, words_of

FEW = settings(MODEST, max_examples=12)
A, B, R = (field.REGISTERS + index * field.REGISTER_BYTES for index in range(3))
EDGES = (-4096, 4103, 0, -1, 1, 4095)
limbs = st.lists(st.sampled_from(EDGES) | st.integers(-4096, 4103), min_size=20, max_size=20)
numbers = st.sampled_from((0, 1, L - 1, L, L + 1, 2 * L, 2**252, 2**256 - 1)) | st.integers(
    0, 2**256 - 1
)
# Factors that are sums of m and of n reduced numbers, with m * n up to 6.
sums = st.sampled_from(((1, 1), (1, 6), (6, 1), (2, 3), (3, 2), (2, 2), (4, 1)))


class Memory:
    """A field memory of three numbers, read and written as integers."""

    def __init__(self) -> None:
        self.m = field.memory(3)
        self.resting = self.columns()

    def columns(self) -> list[int]:
        return [self.m[index] for index in range(field.REGISTERS // 4)]

    def put(self, at: int, values: list[int], times: int = 1) -> int:
        for index, value in enumerate(values):
            self.m[at // 4 + index] = value * times
        return self.number(at)

    def values(self, at: int) -> list[int]:
        found = [self.m[at // 4 + index] for index in range(20)]
        return [value - (value >> 31 << 32) for value in found]

    def number(self, at: int) -> int:
        return sum(value << (13 * index) for index, value in enumerate(self.values(at)))

    def is_reduced(self, at: int) -> bool:
        return all(-4096 <= value <= 4103 for value in self.values(at))


@pytest.mark.slow
@MODEST
@given(limbs, limbs, sums)
def test_a_product(left: list[int], right: list[int], times: tuple[int, int]) -> None:
    memory = Memory()
    a, b = memory.put(A, left, times[0]), memory.put(B, right, times[1])
    field.multiply(memory.m, R, A, B)
    assert (memory.number(R) - a * b) % field.P == 0
    assert memory.is_reduced(R)
    assert memory.columns() == memory.resting
    field.multiply(memory.m, A, A, B)
    assert (memory.number(A) - a * b) % field.P == 0, "in place"


@pytest.mark.slow
@MODEST
@given(limbs, st.sampled_from((1, 2)))
def test_a_square(values: list[int], times: int) -> None:
    memory = Memory()
    a = memory.put(A, values, times)
    field.square(memory.m, R, A)
    assert (memory.number(R) - a * a) % field.P == 0
    assert memory.is_reduced(R)
    assert memory.columns() == memory.resting


@pytest.mark.slow
@MODEST
@given(limbs, limbs, st.sampled_from((1, -1, 2, -2)))
def test_sums_and_what_carries_them(left: list[int], right: list[int], factor: int) -> None:
    memory = Memory()
    a, b = memory.put(A, left), memory.put(B, right)
    linear.combine_kernel(memory.m, R, A, B, factor)
    assert memory.number(R) == a + factor * b
    field.carry(memory.m, R)
    assert (memory.number(R) - a - factor * b) % field.P == 0
    assert memory.is_reduced(R)
    assert field.get(memory.m, R) == (a + factor * b) % field.P


@MODEST
@given(st.binary(min_size=32, max_size=32))
def test_bytes_to_limbs(data: bytes) -> None:
    memory = Memory()
    number = int.from_bytes(data, "little")
    for mask, expected in ((0, number), (-1, -number)):
        linear.unpack_kernel(memory.m, R, words_of(bytes(8) + data), 8, mask)
        assert memory.number(R) == expected
    linear.set_kernel(memory.m, R, 1)
    assert memory.values(R) == [1, *[0] * 19]


@FEW
@given(st.binary(min_size=1536, max_size=1536))
def test_a_choice_reads_the_entry_it_is_told(table: bytes) -> None:
    chosen = words(24)
    for index in range(16):
        linear.choose_kernel(chosen, words_of(bytes(4) + table), 4, index)
        entry = table[96 * index : 96 * index + 96]
        assert b"".join(chosen[at].to_bytes(4, "little") for at in range(24)) == entry
        for mask, expected in ((0, entry), (-1, entry[32:64] + entry[:32] + entry[64:])):
            again = words_of(entry)
            linear.swap_kernel(again, mask)
            assert b"".join(again[at].to_bytes(4, "little") for at in range(24)) == expected


@pytest.mark.slow
@MODEST
@given(numbers, numbers, numbers)
def test_scalars(a: int, b: int, c: int) -> None:
    scalars = Scalars()
    left, right, more = (number.to_bytes(32, "little") for number in (a, b, c))
    expected = (a * b + c) % L
    scalars.multiply_add(left, right, more)
    assert scalars.result() == expected.to_bytes(32, "little")
    both = int.from_bytes(left + right, "little")
    assert scalars.reduce(left + right) == (both % L).to_bytes(32, "little")


@MODEST
@given(numbers)
def test_digits_are_a_sum_of_signed_powers(scalar: int) -> None:
    digits = bytearray(DIGITS_BYTES)
    recode(digits, scalar.to_bytes(32, "little"))
    bits = int.from_bytes(digits, "little")
    assert bits < 2**260
    total = sum((1 if bits >> at & 1 else -1) << at for at in range(260))
    assert (total - scalar) % L == 0
    for column in (0, 7, 25):
        expected = sum((bits >> (column + 26 * tooth) & 1) << tooth for tooth in range(5))
        assert digit_kernel(digits, column, 26) == expected


@MODEST
@given(st.binary(max_size=400), st.integers(0, 400))
def test_sha512_is_that_of_the_standard_library(message: bytes, cut: int) -> None:
    work = Sha512()
    work.begin(message[:cut], message[cut:])
    digest = None
    while digest is None:
        digest = work.step()
    assert digest == hashlib.sha512(message).digest()


@pytest.mark.slow
@FEW
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300), st.data())
def test_signatures_are_those_of_openssl(seed: bytes, message: bytes, data: st.DataObject) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes_raw()
    signature = sign(seed, message)
    assert signature == key.sign(message)
    assert verify(public, message, signature)
    case = SimpleNamespace(public=public, message=message, signature=signature)
    part = data.draw(st.sampled_from(("public", "signature") + (("message",) if message else ())))
    damaged = bytearray(getattr(case, part))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    setattr(case, part, bytes(damaged))
    assert not verify(case.public, case.message, case.signature)
