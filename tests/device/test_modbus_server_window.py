"""Values with status and age, and frames in the window: taken once, never lost, answers first."""

from firmware.modbus_bank import (
    GOOD,
    NO_VALID_VALUE,
    NO_VALUE_YET,
    TOO_OLD,
    Bank,
)
from wire import content
from wire.cose import Sealer
from wire.mac import HmacSha256

NAN_WORDS = [0x7FC0, 0]


class Schedule:
    overruns = 70000
    period_us = 100000
    block_samples = 10


def make_bank(channels=2):
    bank = Bank(lambda: 0)
    bank.prepare(channels, Schedule())
    return bank


def registers(bank, first, count):
    return [bank.input_register(address) for address in range(first, first + count)]


def sealed(sequence, content_type=content.SENML_CBOR, size=5):
    return bytes(
        Sealer(b"a", HmacSha256(b"k" * 32)).seal(content_type, sequence, 1, 0, b"x" * size)
    )


def shown(bank):
    """(message in the window, its ticket)."""
    count, ticket = bank.read_record(1, 0), bank.read_record(1, 1)
    words = [bank.read_record(1, 2 + index) for index in range((count + 1) // 2)]
    data = b"".join([bytes([word >> 8, word & 0xFF]) for word in words])
    assert data[count:] in (b"", b"\0")
    return data[:count], ticket


def take(bank):
    """What a master does: read the window, write its ticket."""
    message, ticket = shown(bank)
    assert bank.holding_register(0) == ticket
    assert bank.can_write_holding(0, ticket)
    bank.write_holding(0, ticket)
    return message


def test_the_head_says_what_there_is():
    bank = make_bank()
    bank.hold(70000 * 1000000 + 5)
    assert registers(bank, 0, 8) == [1, 2, 0, 70000 & 0xFFFF, 1, 70000 & 0xFFFF, 0, 0]
    assert bank.input_register(8 + 4 * 2) is None


def test_a_value_has_its_status_and_age():
    bank = make_bank()
    bank.publish(1, [21.5], 1000000)
    bank.hold(3500000)
    assert registers(bank, 8, 4) == NAN_WORDS + [NO_VALUE_YET, 0xFFFF]
    assert registers(bank, 12, 4) == [0x41AC, 0, GOOD, 25]


def test_no_value_is_nan_and_not_the_one_before():
    bank = make_bank(1)
    for nothing in (None, float("nan"), float("inf"), -float("inf")):
        bank.publish(0, [21.5], 0)
        bank.publish(0, [nothing], 1000000)
        bank.hold(1200000)
        assert registers(bank, 8, 4) == NAN_WORDS + [NO_VALID_VALUE, 2]


def test_a_value_that_nobody_renews_is_no_value_any_more():
    bank = make_bank(1)
    bank.publish(0, [21.5], 0)
    bank.hold(10000000)
    assert bank.input_register(10) == GOOD
    bank.hold(10000001)
    assert registers(bank, 8, 4) == NAN_WORDS + [TOO_OLD, 100]
    Schedule.block_samples = 100
    assert registers(bank, 8, 3) == [0x41AC, 0, GOOD]
    Schedule.block_samples = 10
    bank.hold(1 << 40)
    assert registers(bank, 8, 4) == NAN_WORDS + [TOO_OLD, 0xFFFF]


def test_an_empty_window_has_no_ticket():
    bank = make_bank()
    assert shown(bank) == (b"", 0)
    assert bank.holding_register(0) == 0
    for word in (0, 1, 0xFFFF):
        assert not bank.can_write_holding(0, word)


def test_a_frame_stays_until_its_ticket_is_written():
    bank = make_bank()
    first, second = sealed(1), sealed(2, size=6)
    assert bank.has_room()
    assert not bank.put(first)
    assert not bank.has_room()
    assert not bank.put(first)
    assert not bank.put(second)
    assert bank.input_register(2) == 1
    message, ticket = shown(bank)
    assert message == first
    assert not bank.can_write_holding(0, ticket ^ 1)
    assert take(bank) == first
    assert bank.input_register(2) == 0
    assert bank.put(first)
    assert not bank.put(second)
    assert take(bank) == second


def test_a_ticket_written_twice_takes_one_frame():
    bank = make_bank()
    bank.put(sealed(1))
    ticket = shown(bank)[1]
    take(bank)
    assert bank.put(sealed(1))
    bank.put(sealed(2))
    assert shown(bank)[1] != ticket
    # The response got lost, and the master writes it again.
    assert bank.can_write_holding(0, ticket)
    bank.write_holding(0, ticket)
    assert shown(bank)[0] == sealed(2)


def test_a_frame_that_got_lost_behind_the_master_is_shown_again():
    bank = make_bank()
    bank.put(sealed(1))
    take(bank)
    assert bank.put(sealed(1))
    assert not bank.put(sealed(1))
    assert take(bank) == sealed(1)


def test_answers_come_before_stored_frames_and_the_newest_ones_stay():
    bank = make_bank()
    answers = [sealed(sequence, content.TIME_ANSWER) for sequence in (2, 3, 4)]
    bank.put(sealed(1))
    for message in answers:
        assert bank.put(message)
    assert take(bank) == sealed(1)
    assert bank.put(sealed(1))
    assert not bank.put(sealed(5))
    assert take(bank) == answers[1]
    assert take(bank) == answers[2]
    assert not bank.put(sealed(5))
    assert take(bank) == sealed(5)


def test_a_message_is_taken_when_it_is_said_to_be_complete():
    bank = make_bank()
    for index, word in enumerate((0x0102, 0x0300)):
        assert bank.can_write_record(2, 2 + index)
        bank.write_record(2, 2 + index, word)
    assert bank.take_written() == []
    assert bank.can_write_holding(1, 3)
    bank.write_holding(1, 3)
    assert bank.take_written() == [b"\x01\x02\x03"]
    assert bank.take_written() == []


def test_what_is_not_there_is_not_there():
    bank = make_bank()
    assert bank.holding_register(2) is None
    assert bank.read_record(2, 2) is None
    assert bank.read_record(1, 2 + 1000) is None
    assert bank.read_record(1, 2 + 999) == 0
    assert not bank.can_write_record(1, 2)
    assert not bank.can_write_record(2, 1)
    assert not bank.can_write_record(2, 2 + 1000)
    assert not bank.can_write_holding(1, 0)
    assert not bank.can_write_holding(1, 2001)
