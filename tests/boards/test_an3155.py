"""AN3155: the dialogues byte for byte, then a whole flash against a loader on a pseudo-terminal."""

from collections.abc import Generator
from typing import Any

import pytest
import serial
from hypothesis import given, settings
from hypothesis import strategies as st

from boards import an3155
from boards.an3155 import Exchange
from boards.errors import FlashError
from boards.flash_image import Piece
from tests.boards.fake_stm32_loader import FLASH_START, FakeStm32Loader

ACK, NACK = b"\x79", b"\x1f"


def play(dialogue: Generator[Exchange, bytes, Any], *answers: bytes) -> tuple[bytes, Any]:
    """What the dialogue wrote and what it returned, answered as given."""
    written = b""
    pending = list(answers)
    try:
        exchange = next(dialogue)
        while True:
            written += exchange.data
            answer = pending.pop(0)
            assert len(answer) == exchange.reply_bytes
            exchange = dialogue.send(answer)
    except StopIteration as stop:
        assert not pending
        return written, stop.value


def test_identify_as_in_the_application_note() -> None:
    commands = bytes([0x00, 0x01, 0x02, 0x11, 0x21, 0x31, 0x44])
    answers = (ACK, b"\x07", b"\x31" + commands, ACK, ACK, b"\x01", b"\x04\x21", ACK)
    written, identity = play(an3155.identify(), *answers)
    assert written == b"\x00\xff\x02\xfd"
    assert (identity.version, identity.chip_id) == (0x31, 0x421)
    assert identity.commands == frozenset(commands)


def test_write_read_go_and_erase_byte_for_byte() -> None:
    written, _ = play(an3155.write(0x08000000, b"\x01\x02\x03"), ACK, ACK, ACK)
    assert written == b"\x31\xce" + b"\x08\x00\x00\x00\x08" + b"\x03\x01\x02\x03\xff\xfc"
    written, data = play(an3155.read(0x08000004, 2), ACK, ACK, ACK + b"ab")
    assert written == b"\x11\xee" + b"\x08\x00\x00\x04\x0c" + b"\x01\xfe"
    assert data == b"ab"
    written, _ = play(an3155.go(0x08000000), ACK, ACK)
    assert written == b"\x21\xde" + b"\x08\x00\x00\x00\x08"
    written, _ = play(an3155.erase(frozenset({0x44})), ACK, ACK)
    assert written == b"\x44\xbb\xff\xff\x00"
    written, _ = play(an3155.erase(frozenset({0x43})), ACK, ACK)
    assert written == b"\x43\xbc\xff\x00"


def test_a_loader_that_is_synchronised_already_is_as_good() -> None:
    play(an3155.synchronise(), ACK)
    play(an3155.synchronise(), NACK)
    with pytest.raises(FlashError, match="no STM32 loader"):
        play(an3155.synchronise(), b"\x7f")


@pytest.mark.parametrize("step", [1, 2])
def test_a_refusal_names_the_command_and_the_address(step: int) -> None:
    answers = [ACK] * step + [NACK]
    with pytest.raises(FlashError, match=r"WRITE MEMORY at 0x08000010.*protected"):
        play(an3155.write(0x08000010, b"abcd"), *answers)


def test_a_byte_that_is_neither_is_noise() -> None:
    with pytest.raises(FlashError, match="0x55, neither ACK nor NACK"):
        play(an3155.go(0x08000000), b"\x55")


@pytest.mark.parametrize("size", [0, 257])
def test_blocks_that_do_not_fit_are_refused_before_anything_is_sent(size: int) -> None:
    with pytest.raises(ValueError, match="1 to 256"):
        play(an3155.write(0, bytes(size)))
    with pytest.raises(ValueError, match="1 to 256"):
        play(an3155.read(0, size))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.binary(min_size=1, max_size=256), st.integers(0, 2**32 - 1))
def test_every_message_ends_in_the_xor_of_its_bytes(data: bytes, address: int) -> None:
    written, _ = play(an3155.write(address, data), ACK, ACK, ACK)
    for message in (written[2:7], written[7:]):
        checksum = 0
        for byte in message:
            checksum ^= byte
        assert checksum == 0


def flash(device: FakeStm32Loader, pieces: tuple[Piece, ...], chip_id: int = 0x421) -> list[str]:
    """Flash over the pseudo-terminal; the steps that were reported."""
    steps: list[str] = []
    with serial.Serial(device.port, 115_200) as port:
        an3155.flash(port, pieces, chip_id, lambda step, done, total: steps.append(step))
    return steps


PIECES = (
    Piece(FLASH_START, bytes(range(256)) * 3 + b"end"),
    Piece(FLASH_START + 0x20000, b"text" * 100),
)


@pytest.mark.parametrize("has_extended_erase", [True, False])
def test_a_whole_flash(has_extended_erase: bool) -> None:
    with FakeStm32Loader(has_extended_erase=has_extended_erase) as device:
        steps = flash(device, PIECES)
        for piece in PIECES:
            start = piece.address - FLASH_START
            assert device.flash[start : start + len(piece.content)] == piece.content
        assert device.flash[0x10000:0x20000] == b"\xff" * 0x10000
        assert (device.erases, device.started_at) == (1, FLASH_START)
    assert list(dict.fromkeys(steps)) == ["erasing", "writing", "verifying"]


def test_the_wrong_chip_is_left_as_it_was() -> None:
    with FakeStm32Loader(0x413) as device:
        with pytest.raises(FlashError, match="says 0x413, this board has 0x421: nothing was"):
            flash(device, PIECES)
        assert (device.erases, device.writes) == (0, 0)


def test_a_byte_that_does_not_stick_is_named() -> None:
    with FakeStm32Loader(damaged=FLASH_START + 0x102) as device:
        with pytest.raises(FlashError, match="0x08000102 holds 0x12 instead of 0x02"):
            flash(device, PIECES)
        assert device.started_at is None


def test_a_protected_chip_says_so() -> None:
    with (
        FakeStm32Loader(refused=0x44) as device,
        pytest.raises(FlashError, match=r"refused EXTENDED ERASE.*protected"),
    ):
        flash(device, PIECES)


def test_a_port_without_a_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(an3155.Exchange, "__new__", _quick(an3155.Exchange.__new__))
    with (
        FakeStm32Loader(is_mute=True) as device,
        pytest.raises(FlashError, match=r"no answer within 0.05 s.*BOOT0"),
    ):
        flash(device, PIECES)


def _quick(new: Any) -> Any:
    """Deadlines of 50 ms, so that a test of silence does not last."""

    def make(cls: type, data: bytes, reply_bytes: int, timeout_s: float = 0.05) -> Exchange:
        return new(cls, data, reply_bytes, min(timeout_s, 0.05))

    return make


def test_a_cable_pulled_half_way_and_then_a_second_try() -> None:
    with (
        FakeStm32Loader(cut_after_writes=3) as device,
        pytest.raises((serial.SerialException, OSError, FlashError)),
    ):
        flash(device, PIECES)
    with FakeStm32Loader() as device:
        flash(device, PIECES)
        assert device.started_at == FLASH_START
