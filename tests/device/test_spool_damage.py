"""The spool on a flash that tears, decays, fills up or refuses: nothing is lost in silence."""

from firmware.spool import QUEUE_BYTES_MAX
from tests.device.test_spool import Flash, Node


def _corrupt(flash, name, index):
    content = bytearray(flash.files[name])
    content[index] ^= 0x40
    flash.files[name] = bytes(content)


def test_a_torn_tail_is_cut_off_and_nothing_is_written_behind_it():
    node = Node(Flash())
    node.put(3)
    whole = dict(node.flash.files)
    for torn in range(1, 52):
        node.flash.files = dict(whole)
        node.flash.files["spool.00"] += whole["spool.00"][-52:][:torn]
        node.next = 4
        node.losses = {}
        node.boot()
        assert list(node.losses.values()) == [(3, 3, 0, 3)]
        node.put(2)
        node.boot()
        assert node.held() == [0, 1, 2, 4, 5, 6]
        assert len(node.losses) == 1


def test_damage_is_cut_off_and_declared_once():
    node = Node(Flash())
    node.put(10)
    node.flash.files["spool.00"] = node.flash.files["spool.00"][:70] + b"\x00" * 100
    node.boot()
    ((first, _, _, reason),) = node.losses.values()
    assert (first, reason) == (1, 2)
    node.check_all_accounted()
    node.boot()
    assert len(node.losses) == 1
    node.check_all_accounted()


def test_damage_that_only_reading_sees_is_declared_then():
    node = Node(Flash())
    node.put(10)
    _corrupt(node.flash, "spool.00", 70)
    held = node.held()
    assert held[0] == 0
    assert node.losses[held[-1]][0] == 1
    assert node.losses[held[-1]][3] == 2
    assert node.spool.dropped > 0
    node.check_all_accounted()


def test_files_that_are_gone_or_garbage_are_declared():
    for damage in (None, b"", b"\xff" * 300, b"TF" + bytes(40)):
        node = Node(Flash())
        node.put(9)
        for name in ("spool.00", "spool.01"):
            if damage is None:
                del node.flash.files[name]
            else:
                node.flash.files[name] = damage
        node.boot()
        assert len(node.losses) == 1
        node.check_all_accounted()
        node.put(30)
        node.check_all_accounted()


def test_records_of_another_node_are_not_believed():
    other = Node(Flash())
    other.put(9)
    node = Node(Flash())
    node.flash.files = other.flash.files
    node.boot()
    assert node.held() == []
    node.put(3)
    assert node.held() == [0, 1, 2]


def test_a_full_flash_gives_up_the_oldest_and_goes_on():
    node = Node(Flash(), segments=16)
    node.flash.room = 1000
    node.put(400)
    assert node.held()[-1] >= 399
    assert node.spool.flash_errors > 0
    assert node.spool.dropped > 0
    node.check_all_accounted()
    node.flash.room = 1 << 30
    node.put(3)
    node.boot()
    assert node.held()[-1] == node.next - 1
    node.check_all_accounted()


def test_a_failing_flash_stops_nothing_and_is_declared():
    node = Node(Flash())
    node.put(5)
    node.flash.errno = 5
    node.put(400)
    assert node.spool.bytes < QUEUE_BYTES_MAX + 5 * 64
    assert {reason for _, _, _, reason in node.losses.values()} == {4}
    assert node.held()[:5] == [0, 1, 2, 3, 4]
    node.check_all_accounted()
    node.flash.errno = None
    node.put()
    assert node.held()[-1] == node.next - 1
    node.check_all_accounted()
    node.boot()
    node.check_all_accounted()


def test_a_flash_that_does_not_read_is_declared_and_found_again():
    node = Node(Flash(), segments=8)
    node.put(6)
    node.flash.read_errno = 5
    assert set(node.held()) <= set(node.losses)
    assert {reason for _, _, _, reason in node.losses.values()} == {4}
    node.put(2)
    node.flash.read_errno = None
    node.check_all_accounted()
    node.boot()
    node.check_all_accounted()
    assert node.held()[:6] == list(range(6))


def test_a_loss_that_cannot_be_sealed_is_said_later():
    node = Node(Flash())
    node.refuses_to_seal = True
    node.put(60)
    assert node.losses == {}
    node.refuses_to_seal = False
    node.put()
    node.check_all_accounted()
