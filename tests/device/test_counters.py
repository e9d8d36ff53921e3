"""Sequence numbers and accepted commands over reboots, and power cuts at every write."""

from firmware.counters import COMMAND_BLOCK, RESERVED_BLOCK, Counters
from firmware.errors import StateError
from firmware.slots import SLOT_FILES

CUTS = ("before", "emptied", "halfway", "after")


class PowerCutError(Exception):
    """The flash lost power."""


class Flash:
    """A file store that loses power at write number `cut_at`, in the way of `cut`."""

    def __init__(self):
        self.files = {}
        self.writes = 0
        self.cut_at = None
        self.cut = ""
        self.read_errno = None

    def read_file(self, name):
        if self.read_errno is not None:
            raise OSError(self.read_errno)
        if name not in self.files:
            raise OSError(2)
        return self.files[name]

    def write_file(self, name, content):
        is_cut = self.writes == self.cut_at
        self.writes += 1
        if is_cut and self.cut == "fails":
            raise OSError(5)
        if not is_cut or self.cut == "after":
            self.files[name] = bytes(content)
        elif self.cut == "emptied":
            self.files[name] = b""
        elif self.cut == "halfway":
            self.files[name] = bytes(content[: len(content) // 2])
        if is_cut:
            raise PowerCutError


class Life:
    """A node over many boots: all it ever used, and whether that only grew."""

    def __init__(self, flash):
        self.flash = flash
        self.boots = []
        self.numbers = []
        self.commands = []

    def boot(self, uses, commands=()):
        """One boot that takes numbers and hears commands until the power is cut, if it is."""
        try:
            counters = _boot(self.flash)
            self.boots.append(counters.boot_id)
            for _ in range(uses):
                self.numbers.append(counters.next_sequence())
            for command in commands:
                if counters.accept_command(*command):
                    self.commands.append(command)
        except PowerCutError:
            return

    def check(self):
        for used in (self.boots, self.numbers, self.commands):
            assert used == sorted(set(used)), used[-3:]


def _boot(flash):
    counters = Counters(flash)
    counters.start()
    return counters


def _newer_slot(flash):
    return max(SLOT_FILES, key=lambda name: flash.files[name][4:12])


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
    life = Life(Flash())
    for uses in (1, RESERVED_BLOCK, 3, RESERVED_BLOCK + 1, 2):
        life.boot(uses)
    life.check()
    assert len(life.boots) == 5


def test_a_power_cut_at_any_write_repeats_nothing_and_locks_nothing():
    for cut in CUTS:
        for first in range(8):
            for second in range(1, 4):
                _live_through(cut, first, second)


def _live_through(cut, first, second):
    """Two cuts, the second `second` writes after the first; then the node has to run again."""
    flash = Flash()
    life = Life(flash)
    flash.cut = cut
    flash.cut_at = first
    heard = [(1, 0), (1, 1), (2, 0), (2, COMMAND_BLOCK)]
    for _ in range(3):
        life.boot(RESERVED_BLOCK + 1, heard)
        if flash.writes > flash.cut_at:
            flash.cut_at = first + second
    assert flash.writes > first
    flash.cut_at = None
    boots = len(life.boots)
    heard.append((3, 0))
    life.boot(RESERVED_BLOCK + 1, heard)
    assert len(life.boots) == boots + 1
    assert life.commands[-1] == (3, 0)
    life.check()


def test_a_failed_write_hands_out_no_number_however_often_it_is_asked():
    flash = Flash()
    counters = _boot(flash)
    used = [counters.next_sequence() for _ in range(RESERVED_BLOCK)]
    flash.cut = "fails"
    for _ in range(3):
        flash.cut_at = flash.writes
        try:
            counters.next_sequence()
        except OSError:
            continue
        raise AssertionError("a number was handed out that is not reserved")
    flash.cut_at = None
    assert counters.next_sequence() == used[-1] + 1


def test_a_slot_that_decays_repeats_no_number():
    for uses in (1, RESERVED_BLOCK + 1, 2 * RESERVED_BLOCK + 1):
        for damage in (b"", b"{}", None):
            flash = Flash()
            life = Life(flash)
            life.boot(uses, [(1, 0), (1, COMMAND_BLOCK)])
            if damage is None:
                del flash.files[_newer_slot(flash)]
            else:
                flash.files[_newer_slot(flash)] = damage
            life.boot(1, [(1, 0), (1, COMMAND_BLOCK)])
            assert len(life.boots) == 2
            life.check()


def test_any_flipped_bit_is_seen():
    flash = Flash()
    _boot(flash)
    name = _newer_slot(flash)
    whole = flash.files[name]
    for index in range(len(whole)):
        flash.files[name] = whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :]
        assert Counters(flash)._slots.read()[1] is False


def test_two_damaged_slots_stop_the_node():
    for content in (b"", b"{", bytes(52)):
        flash = Flash()
        for name in SLOT_FILES:
            flash.files[name] = content
        _refused(flash, "provision")


def test_only_a_file_that_is_not_there_means_a_new_node():
    flash = Flash()
    _boot(flash)
    for code in (5, 13, 24):
        flash.read_errno = code
        _refused(flash, "errno %d" % code)


def _refused(flash, what):
    writes = flash.writes
    try:
        _boot(flash)
    except StateError as error:
        assert what in str(error)
        assert flash.writes == writes
        return
    raise AssertionError("the node started")


def test_a_command_is_accepted_once_over_a_reboot():
    flash = Flash()
    first = _boot(flash)
    assert first.accept_command(7, 3)
    assert not first.accept_command(7, 3)
    assert not first.accept_command(6, 99)
    second = _boot(flash)
    refused = [n for n in range(100) if not second.accept_command(7, n)]
    assert refused == list(range(3 + COMMAND_BLOCK))
    assert not second.accept_command(6, 1000)
    assert _boot(flash).accept_command(8, 0)


def test_commands_cost_one_write_a_block():
    flash = Flash()
    counters = _boot(flash)
    writes = flash.writes
    for number in range(4 * COMMAND_BLOCK):
        assert counters.accept_command(1, number)
    assert flash.writes == writes + 4
