"""Checkpoints on any interpreter: when one is due, what it signs, frames that come meanwhile."""

from firmware.checkpoint import Checkpoints
from wire import content
from wire.cbor import encode
from wire.checkpoint import (
    EMPTY_LEAF,
    Checkpoint,
    decode_checkpoint,
    encode_checkpoint,
    frame_leaf,
)
from wire.cose import Sealer
from wire.ed25519 import public_key
from wire.errors import CborError, WireError
from wire.mac import HmacSha256
from wire.merkle import Tree, leaf_hash
from wire.sign1 import sign1_open

SEED = bytes(range(32))
PUBLIC = public_key(SEED)
SEALER = Sealer(b"pump-a", HmacSha256(bytes(32)))
# The worked example of wire/checkpoint.py.
EXAMPLE = (
    "a600070119020002010358206e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    "048158206e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d051a000f4240"
)


def sealed(sequence, content_type=content.SENML_CBOR):
    return bytes(SEALER.seal(content_type, sequence, 3, 1000 * sequence, b"\x80"))


def made(every_frames=4, every_us=1000000):
    return Checkpoints(b"pump-a", SEED, every_frames, every_us, PUBLIC)


def finished(checkpoints):
    """Return the checkpoint that is being signed, opened."""
    signed = None
    while signed is None:
        assert checkpoints.is_busy
        signed = checkpoints.step()
    assert not checkpoints.is_busy
    header, payload = sign1_open(signed, lambda signed, signature: len(signature) == 64)
    assert header == {1: -8, 3: content.CHECKPOINT, 4: b"pump-a"}
    return decode_checkpoint(payload)


def test_one_is_due_after_so_many_frames_or_so_long():
    checkpoints = made()
    assert not checkpoints.is_due(5000000), "there is nothing to sign"
    for sequence in range(3):
        checkpoints.append(sealed(sequence))
    assert not checkpoints.is_due(999999)
    assert checkpoints.is_due(1000000)
    checkpoints.append(sealed(3))
    assert checkpoints.is_due(0)
    checkpoints.begin(0, 3, 700000)
    assert not checkpoints.is_due(9000000), "one at a time"
    finished(checkpoints)
    assert not checkpoints.is_due(9000000), "nothing new"
    checkpoints.append(sealed(4))
    assert not checkpoints.is_due(1699999)
    assert checkpoints.is_due(1700000)


def test_it_signs_what_was_there_when_it_was_begun():
    checkpoints = made()
    tree = Tree()
    for sequence in range(7):
        checkpoints.append(sealed(sequence))
        tree.append(leaf_hash(sealed(sequence)))
    checkpoints.begin(512, 3, 70000)
    for sequence in range(7, 10):
        assert checkpoints.step() is None
        checkpoints.append(sealed(sequence))
    found = finished(checkpoints)
    assert found == Checkpoint(3, 512, 7, tree.root(), tuple(tree.hashes), 70000)
    assert checkpoints.step() is None


def test_only_one_at_a_time():
    checkpoints = made()
    checkpoints.append(sealed(0))
    checkpoints.begin(0, 3, 0)
    try:
        checkpoints.begin(0, 3, 0)
    except WireError as error:
        assert "step()" in str(error)
        return
    raise AssertionError


def test_the_public_key_is_that_of_the_seed():
    assert made().public_key == PUBLIC


def test_a_leaf_is_the_message_and_a_live_answer_is_empty():
    for content_type in (0, 23, 24, 112, 255, 256, content.BOOT_RECORD, 65535):
        message = sealed(1, content_type)
        assert frame_leaf(message) == leaf_hash(message), content_type
        assert frame_leaf(memoryview(message)) == leaf_hash(message)
    for content_type in content.LIVE:
        assert frame_leaf(sealed(1, content_type)) == EMPTY_LEAF == leaf_hash(b"")


def test_the_worked_example():
    checkpoint = Checkpoint(7, 512, 1, EMPTY_LEAF, (EMPTY_LEAF,), 1000000)
    assert encode_checkpoint(checkpoint).hex() == EXAMPLE
    assert decode_checkpoint(bytes.fromhex(EXAMPLE)) == checkpoint


def test_a_checkpoint_that_contradicts_itself_is_refused():
    good = {0: 7, 1: 512, 2: 1, 3: EMPTY_LEAF, 4: [EMPTY_LEAF], 5: 0}
    assert decode_checkpoint(encode(good)).size == 1
    for key, value in (
        (0, -1),
        (0, 1 << 32),
        (1, True),
        (2, 0),
        (2, 3),
        (3, bytes(32)),
        (3, b""),
        (4, []),
        (4, {}),
        (4, [EMPTY_LEAF, EMPTY_LEAF]),
        (4, ["no hash"]),
        (5, 1 << 64),
        (6, 0),
    ):
        fields = dict(good)
        fields[key] = value
        try:
            decode_checkpoint(encode(fields))
        except CborError:
            continue
        raise AssertionError((key, value))
