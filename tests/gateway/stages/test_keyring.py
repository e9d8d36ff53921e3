"""While keys are rotated both are believed as far as they must be, and no farther."""

import hashlib
import hmac

import pytest

from gateway.stages.keyring import Keyring, NodeKeys, Retired, root_id
from gateway.stages.replay_window import WINDOW
from wire.keys import rotated_root, uplink_key

KID = b"pump-a"
OLD = bytes(range(32))
NEW = rotated_root(OLD, KID, 1, bytes(32))


def tag(root, structure=b"structure"):
    """Return the tag of a frame under a root key."""
    return hmac.digest(uplink_key(root, KID), structure, "sha256")


def opens(ring, root, sequence=0):
    """Tell whether a frame under this root key is believed."""
    return ring.opens(b"structure", tag(root), sequence) is not None


def confirm(ring, root, sequence, *, is_live=False):
    """Let a frame come; tell whether the keys changed."""
    key = ring.opens(b"structure", tag(root), sequence)
    assert key is not None
    return ring.confirm(key, sequence, is_live=is_live)


@pytest.fixture
def rotating():
    return Keyring(KID, NodeKeys(root=OLD, following=NEW))


def test_without_a_rotation_there_is_one_key():
    ring = Keyring(KID, NodeKeys(root=OLD))
    assert opens(ring, OLD)
    assert not opens(ring, NEW)
    assert not confirm(ring, OLD, 1)


def test_both_keys_are_believed_until_the_first_frame_under_the_new_one(rotating):
    assert opens(rotating, OLD)
    assert not confirm(rotating, OLD, 10)
    assert confirm(rotating, NEW, 20)
    assert rotating.keys == NodeKeys(root=NEW, retired=Retired(root=OLD, before=20))
    assert not opens(rotating, OLD, 20)
    assert not opens(rotating, OLD, 21)


def test_frames_that_waited_in_the_spool_are_believed_under_the_old_key(rotating):
    confirm(rotating, NEW, 20, is_live=True)
    assert opens(rotating, OLD, 19)
    assert not confirm(rotating, OLD, 15)
    assert confirm(rotating, NEW, 17), "the first number of the new key is lower than was known"
    assert not opens(rotating, OLD, 18)
    assert opens(rotating, OLD, 16)


def test_the_old_key_is_forgotten_when_the_data_lane_has_left_it_behind(rotating):
    confirm(rotating, NEW, 20)
    assert not confirm(rotating, NEW, 19 + WINDOW)
    assert not confirm(rotating, NEW, 20 + WINDOW, is_live=True), "an answer overtakes"
    assert confirm(rotating, NEW, 20 + WINDOW)
    assert rotating.keys == NodeKeys(root=NEW)
    assert not opens(rotating, OLD, 3)


def test_a_root_key_has_a_name_that_does_not_tell_it(rotating):
    key = rotating.opens(b"structure", tag(NEW), 3)
    assert rotating.root_id_of(key) == root_id(NEW) == rotating.keys.root_ids[1]
    assert root_id(OLD) != root_id(NEW)
    assert root_id(bytes(32)) == hashlib.sha256(b"twinrig v1 root id|" + bytes(32)).hexdigest()[:16]


def test_keys_of_an_interrupted_rotation_come_back():
    ring = Keyring(KID, NodeKeys(root=NEW, retired=Retired(root=OLD, before=20)))
    assert opens(ring, OLD, 19)
    assert not opens(ring, OLD, 20)
    ring.use(NodeKeys(root=NEW))
    assert not opens(ring, OLD, 19)
