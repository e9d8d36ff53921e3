"""COBS against the 319 conformance cases, CRC-16 against the catalogue."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.wire import memory
from wire.cobs import decode, encode, stuff_runs
from wire.crc import SEED, crc16, crc16_kernel
from wire.errors import FrameError


def test_every_conformance_case_both_ways(vectors: Callable[[str], Any]) -> None:
    cases = vectors("framing/cobs_vectors.json")["vectors"]
    assert len(cases) == 319
    for case in cases:
        data, stuffed = bytes.fromhex(case["decoded"]), bytes.fromhex(case["cobs"])
        assert encode(data) == stuff_runs(data) == memory.stuffed(data) == stuffed, case
        assert decode(stuffed) == data, case


def test_every_decoding_case(vectors: Callable[[str], Any]) -> None:
    refused = 0
    for case in vectors("framing/cobs_vectors.json")["decode_errors"]:
        stuffed = bytes.fromhex(case["encoded"])
        if case["cobs"] is not None:
            assert decode(stuffed).hex() == case["cobs"], case
            continue
        refused += 1
        with pytest.raises(FrameError):
            decode(stuffed)
    assert refused >= 10


def test_crc_has_the_parameters_of_the_catalogue(vectors: Callable[[str], Any]) -> None:
    (ours,) = [
        row
        for row in vectors("framing/crc_parameters.json")["algorithms"]
        if "CCITT-FALSE" in row["name"]
    ]
    assert not ours["refin"]
    assert not ours["refout"]
    assert int(ours["xorout"], 16) == 0
    assert int(ours["init"], 16) == SEED
    expected = int(ours["check_123456789"], 16)
    assert crc16(b"123456789") == crc16_kernel(b"123456789", 0, SEED, 9) == expected
    # The CRC of a single 1 bit, shifted through, is the polynomial itself.
    assert crc16(b"\x00\x01", 0) == int(ours["poly"], 16)
