"""All messages: round trips, and nothing but CborError from any bytes."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.strategies import MODEST, containers, nearly_cbor, plain_values, scalars
from wire.cbor import encode
from wire.commands import (
    ARGUMENTS,
    RESULTS,
    VERBS,
    check_arguments,
    decode_command,
    decode_command_answer,
    encode_command,
    encode_command_answer,
)
from wire.errors import CborError, WireError
from wire.keys import rotated_root
from wire.measurement import decode_measurement, encode_measurement, files_sha256
from wire.messages import (
    BOOT_FIELDS,
    LOSS_REASONS,
    decode_answer,
    decode_boot,
    decode_loss,
    decode_probe,
    decode_receipt,
    encode_answer,
    encode_boot,
    encode_loss,
    encode_probe,
    encode_receipt,
)
from wire.raw_block import RawBlock, counts, decode_raw_block, encode_raw_block
from wire.senml import unpack
from wire.status import STATUS_FIELDS, decode_status, encode_status

DECODERS = [
    decode_probe,
    decode_answer,
    decode_boot,
    decode_receipt,
    decode_loss,
    decode_command,
    decode_command_answer,
    decode_status,
    decode_measurement,
    decode_raw_block,
]

numbers = st.integers(0, 2**64 - 1)
sequences = st.integers(0, 2**40 - 1)
boot_values = numbers | st.text(max_size=64) | st.binary(max_size=64)
argument_values = (
    st.integers(-(2**64) + 1, 2**64 - 1)
    | st.text(max_size=40)
    | st.binary(max_size=40)
    | st.floats(allow_nan=False, allow_infinity=False)
)
of_kind = {
    int: numbers,
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(max_size=40),
    bytes: st.binary(min_size=32, max_size=32),
}
commands = st.sampled_from(sorted(VERBS)).flatmap(
    lambda verb: st.tuples(
        st.just(verb),
        st.fixed_dictionaries({k: of_kind[kind] for k, (_, kind) in enumerate(ARGUMENTS[verb])}),
    )
)
status_values = dict.fromkeys(STATUS_FIELDS, numbers) | {
    "update_state": st.text(max_size=32),
    "problems": st.lists(st.text(max_size=96), max_size=16),
}
entries = st.lists(
    st.tuples(st.text(max_size=64), st.binary(min_size=32, max_size=32)), max_size=16
)
# Maps as messages are: small keys, values of every kind, right and wrong.
nearly_messages = st.dictionaries(
    st.integers(-1, 20), scalars | containers(scalars), max_size=8
).map(encode)


@MODEST
@given(numbers, numbers, st.dictionaries(st.sampled_from(BOOT_FIELDS), boot_values))
def test_what_is_encoded_is_decoded(probe_id: int, tick_us: int, fields: dict[str, object]) -> None:
    assert decode_probe(encode_probe(probe_id)) == probe_id
    assert decode_answer(encode_answer(probe_id, tick_us)) == (probe_id, tick_us)
    assert decode_boot(encode_boot(fields)) == fields


@MODEST
@given(sequences, sequences, numbers, st.sampled_from(sorted(LOSS_REASONS)), st.data())
def test_receipts_and_losses_come_back(
    one: int, other: int, seen: int, reason: int, data: st.DataObject
) -> None:
    assert decode_receipt(encode_receipt(one, seen)) == (one, seen)
    first, last = sorted((one, other))
    frames = data.draw(st.integers(0, last - first + 1))
    assert decode_loss(encode_loss(first, last, frames, reason)) == (first, last, frames, reason)


@MODEST
@given(st.integers(0, 2**32 - 1), commands)
def test_commands_come_back(command_id: int, command: tuple[int, dict[int, object]]) -> None:
    verb, arguments = command
    assert decode_command(encode_command(command_id, verb, arguments)) == (
        command_id,
        verb,
        arguments,
    )


@MODEST
@given(st.sampled_from(sorted(VERBS)), st.dictionaries(st.integers(0, 23), argument_values))
def test_what_may_be_sent_is_what_passes_the_check(verb: int, arguments: dict[int, object]) -> None:
    try:
        check_arguments(verb, arguments)
    except CborError:
        with pytest.raises(CborError):
            encode_command(1, verb, arguments)
        return
    assert decode_command(encode_command(1, verb, dict(list(arguments.items())[:16]))).verb == verb


@MODEST
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(sorted(RESULTS)),
    st.text(max_size=96),
    st.none() | st.integers(0, 2**32 - 1),
)
def test_command_answers_come_back(
    command_id: int, result: int, detail: str, last_id: int | None
) -> None:
    answer = encode_command_answer(command_id, result, detail, last_id)
    assert decode_command_answer(answer) == (command_id, result, detail, last_id)


@MODEST
@given(st.fixed_dictionaries({}, optional=status_values), entries, st.data())
def test_status_and_measurement_come_back(
    fields: dict[str, object], listed: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    assert decode_status(encode_status(fields)) == fields
    parts = data.draw(st.integers(1, 64))
    part = data.draw(st.integers(0, parts - 1))
    assert decode_measurement(encode_measurement(part, parts, listed)) == (part, parts, listed)
    ordered = sorted({path: (path, digest) for path, digest in listed if path}.values())
    digests = {files_sha256(ordered[:count]) for count in range(len(ordered) + 1)}
    assert len(digests) == len(ordered) + 1
    for first, second in pairwise(ordered):
        with pytest.raises(CborError, match="ascending"):
            files_sha256([second, first])


@MODEST
@given(
    st.sampled_from([(77, 16), (78, 32)]),
    st.integers(1, 8),
    st.integers(0, 20),
    st.floats(2**-20, 1000, width=32),
    st.data(),
)
def test_raw_blocks_come_back(
    layout: tuple[int, int], axes: int, samples: int, lsb: float, data: st.DataObject
) -> None:
    tag, bits = layout
    count = axes * samples
    limit = 2 ** (bits - 1)
    values = data.draw(st.lists(st.integers(-limit, limit - 1), min_size=count, max_size=count))
    body = b"".join(value.to_bytes(bits // 8, "little", signed=True) for value in values)
    block = RawBlock(1, 3, 3 + samples, 250_000, lsb, axes, tag, body)
    (record,) = unpack(encode_raw_block("a:", "b", "m/s2", -1.5, block))
    assert isinstance(record.value, bytes)
    found = decode_raw_block(record.value)
    assert found == block
    assert counts(found) == tuple(values)


@pytest.mark.parametrize("decode", DECODERS)
@MODEST
@given(st.binary(max_size=40) | nearly_cbor | nearly_messages | plain_values.map(encode))
def test_any_bytes_are_a_message_or_a_cbor_error(
    decode: Callable[[bytes], object], data: bytes
) -> None:
    try:
        decode(data)
    except CborError:
        return
    assert data[0] >> 5 == 5


def test_a_rotated_root_is_hkdf_over_node_and_epoch() -> None:
    root, salt = bytes(range(32)), bytes(range(32, 64))
    info = b"twinrig v1 rotate|pump-a|\x00\x00\x01\x02"
    expected = HKDF(hashes.SHA256(), 32, salt, info).derive(root)
    assert rotated_root(root, b"pump-a", 258, salt) == expected
    others = {rotated_root(root, b"pump-a", 259, salt), rotated_root(root, b"pump-b", 258, salt)}
    assert len(others | {expected, rotated_root(root, b"pump-a", 258, root)}) == 4


@pytest.mark.parametrize(
    ("root", "epoch", "salt"),
    [
        (bytes(31), 1, bytes(32)),
        (bytes(32), 0, bytes(32)),
        (bytes(32), 1, bytes(31)),
        (bytes(32), 2**32, bytes(32)),
        (bytes(32), -1, bytes(32)),
    ],
)
def test_a_rotation_without_its_parts_is_refused(root: bytes, epoch: int, salt: bytes) -> None:
    with pytest.raises(WireError):
        rotated_root(root, b"pump-a", epoch, salt)
