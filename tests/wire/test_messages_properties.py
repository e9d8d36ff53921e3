"""Probe, answer and boot record: round trips, and nothing but CborError from any bytes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.strategies import MODEST, nearly_cbor, plain_values
from wire.cbor import encode
from wire.errors import CborError
from wire.messages import (
    BOOT_FIELDS,
    decode_answer,
    decode_boot,
    decode_probe,
    encode_answer,
    encode_boot,
    encode_probe,
)

numbers = st.integers(0, 2**64 - 1)
boot_values = numbers | st.text(max_size=64) | st.binary(max_size=64)


@MODEST
@given(numbers, numbers, st.dictionaries(st.sampled_from(BOOT_FIELDS), boot_values))
def test_what_is_encoded_is_decoded(probe_id: int, tick_us: int, fields: dict[str, object]) -> None:
    assert decode_probe(encode_probe(probe_id)) == probe_id
    assert decode_answer(encode_answer(probe_id, tick_us)) == (probe_id, tick_us)
    assert decode_boot(encode_boot(fields)) == fields


@pytest.mark.parametrize("decode", [decode_probe, decode_answer, decode_boot])
@MODEST
@given(st.binary(max_size=40) | nearly_cbor | plain_values.map(encode))
def test_any_bytes_are_a_message_or_a_cbor_error(
    decode: Callable[[bytes], object], data: bytes
) -> None:
    try:
        decode(data)
    except CborError:
        return
    assert data[0] >> 5 == 5
