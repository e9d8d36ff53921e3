"""Seals: round trips, one encoding each, and no changed, cut or foreign one accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.strategies import MODEST, headers, nearly_cbor
from wire.cbor import Tagged, decode, encode
from wire.cose import Header, Sealer, open_sealed, peek, verify
from wire.errors import CoseError
from wire.keys import downlink_key, uplink_key
from wire.mac import HmacSha256
from wire.mac0 import mac0_verify
from wire.senml import pack

pytestmark = pytest.mark.slow

ROOT_KEY = bytes(range(32))
KID = b"pump-a"
KEY = uplink_key(ROOT_KEY, KID)
MAC = HmacSha256(KEY)
READINGS = [("vibration-1", "m/s2", 1.2345, -0.45), ("temperature", "Cel", 23.456, -0.45)]
PAYLOAD = pack("pump-a:", READINGS)
SEALED = Sealer(KID, MAC).seal(112, 70000, 7, 123456789, PAYLOAD)


@MODEST
@given(headers, st.binary(min_size=1, max_size=32), st.binary(max_size=400))
def test_what_is_sealed_opens(
    header: tuple[int, int, int, int], kid: bytes, payload: bytes
) -> None:
    content_type, sequence, boot_id, tick_us = header
    sealed = Sealer(kid, MAC).seal(content_type, sequence, boot_id, tick_us, payload)
    expected = Header(5, content_type, kid, sequence, boot_id, tick_us)
    assert open_sealed(sealed, MAC, kid) == (expected, payload)
    assert mac0_verify(sealed, KEY) == payload
    protected, unprotected, _, tag = decode(sealed, deterministic=True).value  # type: ignore[attr-defined]
    assert unprotected == {}
    assert encode(Tagged(17, [protected, {}, payload, tag])) == sealed
    assert decode(protected, deterministic=True) == {
        1: 5,
        3: content_type,
        4: kid,
        6: sequence.to_bytes(max(1, (sequence.bit_length() + 7) // 8), "big"),
        -65537: boot_id,
        -65538: tick_us,
    }


def test_every_flipped_bit_is_refused() -> None:
    assert open_sealed(SEALED, MAC, KID)[1] == PAYLOAD
    for position in range(8 * len(SEALED)):
        damaged = bytearray(SEALED)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(CoseError) as caught:
            open_sealed(damaged, MAC, KID)
        assert caught.value.reason in {"malformed", "unknown_kid", "bad_mac"}


def test_no_other_value_of_any_byte_is_accepted() -> None:
    """Also by `verify` alone, which is asked with the key that the changed kid would have."""
    for index, byte in enumerate(SEALED):
        damaged = bytearray(SEALED)
        for value in (0x00, 0xFF, byte ^ 0x20, (byte + 1) & 0xFF):
            if value == byte:
                continue
            damaged[index] = value
            with pytest.raises(CoseError):
                verify(peek(damaged), MAC)


def test_every_truncation_and_extension_is_malformed() -> None:
    for length in range(len(SEALED)):
        for wrong in (
            SEALED[:length],
            SEALED[length + 1 :],
            SEALED[:length] + SEALED[length + 1 :],
        ):
            with pytest.raises(CoseError):
                open_sealed(wrong, MAC, KID)
    for extra in (b"\x00", b"\xa0", SEALED):
        with pytest.raises(CoseError) as caught:
            peek(SEALED + extra)
        assert caught.value.reason == "malformed"


@MODEST
@given(st.binary(max_size=300) | nearly_cbor)
def test_any_bytes_are_refused_with_a_cose_error(data: bytes) -> None:
    for function in (peek, lambda message: mac0_verify(message, KEY)):
        with pytest.raises(CoseError):
            function(data)


@MODEST
@given(st.integers(2, len(SEALED) - 1), nearly_cbor)
def test_any_ending_of_a_good_beginning_is_refused(length: int, ending: bytes) -> None:
    wrong = SEALED[:length] + ending
    if wrong == SEALED:
        return
    with pytest.raises(CoseError):
        open_sealed(wrong, MAC, KID)


@MODEST
@given(nearly_cbor)
def test_whatever_peek_accepts_has_our_one_encoding(data: bytes) -> None:
    message = b"\xd1\x84" + encode(data) + b"\xa0" + encode(b"") + encode(bytes(32))
    try:
        header, *_ = peek(message)
    except CoseError:
        return
    sealed = Sealer(header.kid, MAC).seal(*header[1:2], *header[3:], b"")
    assert sealed[:-32] == message[:-32]


@MODEST
@given(headers, st.binary(max_size=40))
def test_seals_do_not_cross_directions_nodes_or_keys(
    header: tuple[int, int, int, int], payload: bytes
) -> None:
    sealed = Sealer(KID, MAC).seal(*header, payload)
    for key in (
        downlink_key(ROOT_KEY, KID),
        uplink_key(ROOT_KEY, b"pump-b"),
        uplink_key(bytes(32), KID),
    ):
        with pytest.raises(CoseError) as caught:
            open_sealed(sealed, HmacSha256(key), KID)
        assert caught.value.reason == "bad_mac"
