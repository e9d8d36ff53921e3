"""Sequence numbers over reboots and power cuts."""

from firmware.counters import RESERVED_BLOCK, STATE_FILE, Counters
from firmware.errors import StateError


class Flash:
    """A file store that can lose power before a write."""

    def __init__(self):
        self.files = {}
        self.writes = 0
        self.writes_max = None

    def read_file(self, name):
        if name not in self.files:
            raise OSError(2)
        return self.files[name]

    def write_file(self, name, content):
        if self.writes == self.writes_max:
            raise OSError(5)
        self.writes += 1
        self.files[name] = content


def _boot(flash):
    counters = Counters(flash)
    counters.start()
    return counters


def test_the_first_boot_starts_at_zero():
    counters = _boot(Flash())
    assert counters.boot_id == 1
    assert [counters.next_sequence() for _ in range(3)] == [0, 1, 2]


def test_a_reboot_skips_what_was_reserved():
    flash = Flash()
    first = _boot(flash)
    used = [first.next_sequence() for _ in range(10)]
    second = _boot(flash)
    assert second.boot_id == 2
    assert second.sequence_start == RESERVED_BLOCK
    assert second.next_sequence() > used[-1]


def test_no_number_is_used_twice_over_many_reboots():
    flash = Flash()
    used = []
    for uses in (1, RESERVED_BLOCK, 3, RESERVED_BLOCK + 1, 2):
        counters = _boot(flash)
        used += [counters.next_sequence() for _ in range(uses)]
    assert used == sorted(set(used))


def test_the_reservation_is_written_before_the_number_is_used():
    flash = Flash()
    counters = _boot(flash)
    for _ in range(RESERVED_BLOCK):
        counters.next_sequence()
    flash.writes_max = flash.writes
    try:
        counters.next_sequence()
    except OSError:
        return
    raise AssertionError("a number was handed out that is not reserved")


def test_a_damaged_state_file_stops_the_node():
    for content in (b"", b"{", b"[]", b'{"boot": 1}', b'{"boot": -1, "sequence": 0}'):
        flash = Flash()
        flash.files[STATE_FILE] = content
        try:
            _boot(flash)
        except StateError as error:
            assert "provision" in str(error)
            continue
        raise AssertionError(content)
