"""What a start names after a power cut, when it is known how many numbers RAM can have held."""

from firmware.spool import POWER_CUT
from tests.device.test_spool import Flash, Node, message

UNCERTAIN = 20
BEHIND_BYTES = 150
SKIPPED = 9
"""Numbers that the counters leave out at a start."""


class Bounded(Node):
    """A node that knows the bound, and loses what is in RAM at `cut`."""

    uncertain = UNCERTAIN

    def boot(self):
        self.boot_with(self.uncertain)

    def live(self, count):
        """Frames that are receipted before they have to be written."""
        for _ in range(count):
            self.put()
            self.spool.forget(self.next - 1)

    def cut(self):
        """The losses that the next start declares."""
        self.next += SKIPPED
        before = self.next
        self.boot()
        return [self.losses[number] for number in range(before, self.next)]


def _grown(flash=None):
    """A node with a record in flash, and many frames since then that never came to be there."""
    node = Bounded(Flash() if flash is None else flash, BEHIND_BYTES)
    node.put(3)
    node.spool.flush()
    node.live(300)
    return node


def test_without_a_record_in_flash_only_what_ram_can_have_held_is_named():
    node = Bounded(Flash(), BEHIND_BYTES)
    node.live(300)
    assert node.flash.files == {}
    assert node.cut() == [(309 - UNCERTAIN, 308, 0, POWER_CUT)]
    assert node.flash.files


def test_numbers_that_went_by_ram_are_not_named_behind_a_record_either():
    node = _grown()
    start = node.next + SKIPPED
    assert node.cut() == [(start - UNCERTAIN, start - 1, 0, POWER_CUT)]
    # They leave no hole for the next start to find.
    start = node.next + SKIPPED
    assert node.cut() == [(node.next - 1 - SKIPPED, start - 1, 0, POWER_CUT)]
    node.put(2)
    node.spool.flush()
    assert [loss[3] for loss in node.cut()] == [POWER_CUT]


def test_what_ram_held_is_named():
    node = _grown()
    node.put(2)
    lost = (node.next - 2, node.next - 1)
    assert message(lost[0]) not in b"".join(node.flash.files.values())
    ((first, last, _, _),) = node.cut()
    assert first <= lost[0] and lost[1] <= last


def test_a_bound_beyond_the_newest_record_changes_nothing():
    node = Bounded(Flash(), BEHIND_BYTES)
    node.put(3)
    node.spool.flush()
    assert node.cut() == [(3, 3 + SKIPPED - 1, 0, POWER_CUT)]


def test_a_flash_with_damage_may_have_lost_more():
    for damage in ("torn", "flipped", "unreadable"):
        node = _grown()
        files = node.flash.files
        name = sorted(files)[-1]
        if damage == "torn":
            files[name] = files[name] + b"TF\x00"
        elif damage == "flipped":
            files[name] = files[name][:-1] + b"?"
        else:
            node.flash.read_errno = 5
        newest = 1 if damage == "flipped" else 2
        first, last, _, _ = node.cut()[0]
        assert first == (0 if damage == "unreadable" else newest + 1), damage
        assert last >= 303


def test_without_a_bound_all_is_named():
    node = _grown()
    node.uncertain = None
    start = node.next + SKIPPED
    assert node.cut() == [(3, start - 1, 0, POWER_CUT)]


def test_what_cannot_be_sealed_at_the_start_is_a_hole_until_it_is():
    node = _grown()
    node.refuses_to_seal = True
    assert node.cut() == []
    node.put()
    node.spool.flush()
    frame = node.next - 1
    assert node.held()[-1] == frame
    # The power goes before the record could be made: the frame says that something is missing.
    node.refuses_to_seal = False
    losses = node.cut()
    assert min([loss[0] for loss in losses]) <= frame - UNCERTAIN
    assert max([loss[1] for loss in losses if loss[1] < frame]) == frame - 1
