"""Slots with names and counts of their own; what a power cut does to them is in test_counters."""

from firmware.errors import StateError
from firmware.slots import SLOT_FILES, Slots

FILES = ("some.state.a", "some.state.b")


class Flash:
    def __init__(self):
        self.files = {}

    def read_file(self, name):
        if name not in self.files:
            raise OSError(2)
        return self.files[name]

    def write_file(self, name, content):
        self.files[name] = bytes(content)


def test_the_default_is_the_format_of_the_counters():
    flash = Flash()
    Slots(flash).write((1, 2, 3, 4))
    assert list(flash.files) == [SLOT_FILES[0]]
    content = flash.files[SLOT_FILES[0]]
    assert content[:12] == b"TWS1" + bytes(7) + b"\x01"
    assert len(content) == 52


def test_numbers_come_back_in_turn_of_the_slots():
    for numbers in (1, 2, 7):
        flash = Flash()
        for value in range(5):
            slots = Slots(flash, FILES, numbers)
            slots.read()
            slots.write([value] * numbers)
            assert Slots(flash, FILES, numbers).read() == ((value,) * numbers, value > 0)
        assert sorted(flash.files) == sorted(FILES)


def test_the_largest_number_is_kept():
    flash = Flash()
    Slots(flash, FILES, 1).write(((1 << 64) - 1,))
    assert Slots(flash, FILES, 1).read()[0] == ((1 << 64) - 1,)


def test_slots_of_another_length_are_damaged():
    flash = Flash()
    slots = Slots(flash, FILES, 2)
    slots.write((1, 2))
    slots.write((3, 4))
    try:
        Slots(flash, FILES, 3).read()
    except StateError as error:
        assert FILES[0] in str(error)
        return
    raise AssertionError("slots of another length were read")
