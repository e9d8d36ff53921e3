"""Two lanes of a node, its losses and its keys, as verify keeps them apart."""

from dataclasses import replace

import pytest

from gateway.loss import LossLedger
from gateway.records import Rejected, Verified
from gateway.stages.keyring import NodeKeys, Retired, root_id
from gateway.stages.verify import Verify
from tests.gateway.stages.frames import NODE, OTHER_ROOT_KEY, ROOT_KEY, NodeSim, received
from wire import content, keys, messages


@pytest.fixture
def ledger():
    return LossLedger()


@pytest.fixture
def verify(ledger):
    return Verify({NODE: ROOT_KEY}, ledger)


@pytest.fixture
def node():
    return NodeSim()


def reason_of(verify, item):
    """Feed one item; return its reason, or None if it was verified."""
    (record,) = verify.feed(item, 0)
    return record.reason if isinstance(record, Rejected) else None


def test_boot_ids_only_grow_in_the_live_lane(verify):
    """Stored frames of an earlier boot may come late, answers of one may not."""
    assert reason_of(verify, received(NodeSim(boot_id=5).answer(100, 1, 10, 20))) is None
    assert reason_of(verify, received(NodeSim(boot_id=4).answer(99, 1, 10, 20))) == "stale_boot"
    assert reason_of(verify, received(NodeSim(boot_id=6).answer(300, 1, 10, 20))) is None
    assert reason_of(verify, received(NodeSim(boot_id=5).answer(101, 1, 10, 20))) == "stale_boot"


def test_stored_frames_of_an_earlier_boot_are_taken_once_after_newer_answers(verify, ledger):
    old, new = NodeSim(boot_id=5), NodeSim(boot_id=6)
    assert reason_of(verify, received(old.frame(100))) is None
    assert reason_of(verify, received(new.answer(256, 1, 10, 20))) is None
    assert reason_of(verify, received(old.frame(101))) is None
    assert reason_of(verify, received(old.frame(101))) == "replayed"
    assert reason_of(verify, received(NodeSim(boot_id=4).frame(99))) == "stale_boot"
    assert ledger.adds_up()


def test_an_answer_of_now_makes_no_stored_frame_too_old(verify, node, ledger):
    assert reason_of(verify, received(node.frame(10))) is None
    assert reason_of(verify, received(node.answer(5000, 1, 10, 20))) is None
    assert reason_of(verify, received(node.frame(11))) is None
    assert ledger.balance(NODE).awaited == 4988
    assert ledger.balance(NODE).lost == 0
    assert ledger.adds_up()


def test_a_loss_record_declares_its_numbers(verify, node, ledger):
    verify.feed(received(node.frame(10)), 0)
    loss = messages.encode_loss(11, 18, 8, messages.SPOOL_FULL)
    (record,) = verify.feed(received(node.seal(19, loss, content.LOSS_RECORD)), 0)
    assert isinstance(record, Verified)
    balance = ledger.balance(NODE)
    assert (balance.lost, balance.declared, balance.announced) == (0, 8, 10)
    verify.feed(received(node.frame(12)), 0)
    balance = ledger.balance(NODE)
    assert (balance.declared, balance.recovered) == (7, 1)
    assert ledger.adds_up()


def test_a_frame_keeps_its_sealed_bytes_and_a_refusal_its_authentic_number(verify, node):
    data = node.frame(7)
    (record,) = verify.feed(received(data), 0)
    assert record.frame == data
    (replayed,) = verify.feed(received(data), 0)
    assert (replayed.sequence, replayed.content_type) == (7, content.SENML_CBOR)
    (forged,) = verify.feed(received(NodeSim(root_key=OTHER_ROOT_KEY).frame(8)), 0)
    assert (forged.sequence, forged.content_type) == (None, None)


def test_a_rotation_is_believed_once_it_has_happened(ledger):
    new_root = keys.rotated_root(ROOT_KEY, NODE.encode(), 1, bytes(32))
    verify = Verify({NODE: NodeKeys(root=ROOT_KEY, following=new_root)}, ledger)
    old, new = NodeSim(), NodeSim(root_key=new_root)
    assert reason_of(verify, received(old.frame(1))) is None
    assert verify.take_changed_keys() == {}
    assert reason_of(verify, received(new.frame(5))) is None
    changed = NodeKeys(root=new_root, retired=Retired(root=ROOT_KEY, before=5))
    assert verify.take_changed_keys() == {NODE: changed}
    assert verify.take_changed_keys() == {}
    assert reason_of(verify, received(old.frame(4))) is None, "it waited in the spool"
    assert reason_of(verify, received(old.frame(6))) == "bad_mac"
    assert ledger.adds_up()


def test_a_replay_under_the_new_key_changes_no_keys(ledger):
    new_root = keys.rotated_root(ROOT_KEY, NODE.encode(), 1, bytes(32))
    data = NodeSim(root_key=new_root).frame(5)
    first = Verify({NODE: new_root}, LossLedger())
    first.feed(received(data), 0)
    rotating = NodeKeys(root=ROOT_KEY, following=new_root)
    verify = Verify({NODE: rotating}, ledger, first.marks())
    assert reason_of(verify, received(data)) == "replayed"
    assert verify.take_changed_keys() == {}


def test_a_board_with_a_new_key_meets_no_marks_of_the_one_before(ledger):
    """It counts its boots and frames from the start, and all of them are new."""
    before = Verify({NODE: ROOT_KEY}, LossLedger())
    for boot_id in range(3, 7):
        before.feed(received(NodeSim(boot_id=boot_id).frame(100 * boot_id)), 0)
    verify = Verify({NODE: OTHER_ROOT_KEY}, ledger, before.marks())
    assert verify.data_marks(NODE) == [], "so no receipt says that anything is stored"
    board = NodeSim(root_key=OTHER_ROOT_KEY, boot_id=1)
    assert [reason_of(verify, received(board.frame(n))) for n in (0, 1, 1)] == [
        None, None, "replayed",
    ]  # fmt: skip
    (mark,) = verify.data_marks(NODE)
    assert (mark.boot_id, mark.highest, mark.seen) == (1, 1, 0b11)
    assert ledger.balance(NODE).announced == 2


@pytest.mark.parametrize("is_known", [True, False])
def test_marks_outlive_a_rotation_and_those_without_a_key_are_of_any(ledger, is_known):
    new_root = keys.rotated_root(ROOT_KEY, NODE.encode(), 1, bytes(32))
    before = Verify({NODE: ROOT_KEY}, LossLedger())
    data = NodeSim().frame(4)
    before.feed(received(data), 0)
    marks = [mark if is_known else replace(mark, root_id="") for mark in before.marks()]
    rotated = NodeKeys(root=new_root, retired=Retired(root=ROOT_KEY, before=5))
    verify = Verify({NODE: rotated}, ledger, marks)
    assert reason_of(verify, received(data)) == "replayed"
    assert reason_of(verify, received(NodeSim(root_key=new_root).frame(5))) is None
    later = Verify({NODE: new_root}, LossLedger(), verify.marks())
    assert {mark.root_id for mark in later.marks()} == {root_id(new_root)}
    assert later.data_marks(NODE)[0].seen == 0b11
