"""What a third party learns from an export: true ones, and every way to cheat that we know of."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware.checkpoint import Checkpoints
from gateway.node_proof import Proof, Range, Verdict, prove
from wire import content
from wire.checkpoint import Checkpoint, encode_checkpoint, frame_leaf
from wire.cose import JoiningSealer, peek
from wire.ed25519_scalar import L
from wire.mac import HmacSha256
from wire.merkle import Tree
from wire.messages import encode_loss
from wire.sign1 import protected_header, sign1_message, to_be_signed

SEED = bytes(range(32))
PUBLIC = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
MAC_KEY = bytes(32)


@dataclass
class Node:
    """A node that seals, and signs when it is told to; `frames` is by number."""

    boot: int = 1
    start: int = 0
    name: str = "pump-a"
    seed: bytes = SEED
    tree: Tree = field(default_factory=Tree)
    frames: dict[int, bytes] = field(default_factory=dict)

    def seal(self, content_type: int = content.SENML_CBOR, payload: bytes | None = None) -> int:
        """Seal a frame; return its number."""
        number = self.start + self.tree.size
        sealer = JoiningSealer(self.name.encode(), HmacSha256(MAC_KEY))
        body = b"\x80%d" % number if payload is None else payload
        self.frames[number] = bytes(sealer.seal(content_type, number, self.boot, 10 * number, body))
        self.tree.append(frame_leaf(self.frames[number]))
        return number

    def seals(self, count: int) -> "Node":
        for _ in range(count):
            self.seal()
        return self

    def signs(self) -> "Node":
        """Seal a checkpoint over all frames so far."""
        self.seal(content.CHECKPOINT, self.checkpoint())
        return self

    def checkpoint(self) -> bytes:
        """A signed checkpoint over all frames so far."""
        tree = self.tree
        payload = encode_checkpoint(
            Checkpoint(self.boot, self.start, tree.size, tree.root(), tuple(tree.hashes), 5)
        )
        protected = protected_header(self.name.encode(), content.CHECKPOINT)
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        return sign1_message(protected, payload, key.sign(to_be_signed(protected, payload)))

    def restarts(self, skip: int) -> "Node":
        """The next boot, whose numbers begin `skip` above the last one."""
        start = self.start + self.tree.size + skip
        return Node(boot=self.boot + 1, start=start, frames=self.frames)


@pytest.fixture
def proven(tmp_path: Path) -> Callable[..., Proof]:
    """Return a function that writes frames into an export and proves it."""

    def run(frames: dict[int, bytes] | list[bytes], **bounds: int) -> Proof:
        listed = list(frames.values()) if isinstance(frames, dict) else frames
        lines = [
            json.dumps({"t_ns": 7, "source": "pump-a", "hex": frame.hex()}) for frame in listed
        ]
        path = tmp_path / "export.jsonl"
        path.write_text("\n".join(lines) + "\n")
        return prove(path, PUBLIC, **bounds)

    return run


def standard() -> Node:
    """25 frames: three checkpoints over 10, 18 and 23, and one frame after the last."""
    node = Node().seals(10).signs().seals(7).signs().seals(4).signs()
    assert sorted(node.frames) == list(range(24))
    node.seal()
    return node


# --- what is true -------------------------------------------------------------------------------


def test_a_whole_export_is_complete(proven) -> None:
    proof = proven(standard().frames)
    assert (proof.verdict, proof.node, proof.boots) == (Verdict.COMPLETE, "pump-a", (1,))
    assert (proof.frames, proof.checkpoints) == (25, 3)
    assert proof.proven == (Range(0, 22),)
    assert (proof.missing, proof.unproven, proof.live) == ((), (), ())


def test_what_the_node_really_makes_is_proven(proven) -> None:
    checkpoints = Checkpoints(b"pump-a", SEED, 4, 10**6, PUBLIC)
    node = Node(start=512)
    for _ in range(5):
        checkpoints.append(node.frames[node.seal()])
    assert checkpoints.is_due(0)
    checkpoints.begin(512, 1, 60)
    signed = None
    while signed is None:
        signed = checkpoints.step()
    node.seal(content.CHECKPOINT, signed)
    proof = proven(node.frames)
    assert (proof.verdict, proof.proven) == (Verdict.COMPLETE, (Range(512, 516),))


def test_order_and_repetition_of_lines_do_not_matter(proven) -> None:
    frames = list(standard().frames.values())
    assert proven([*reversed(frames), frames[3], frames[10]]).verdict == Verdict.COMPLETE
    frames[2], frames[3] = frames[3], frames[2]
    assert proven(frames).proven == (Range(0, 22),)


def test_a_range_is_judged_alone(proven) -> None:
    frames = standard().frames
    del frames[12]
    assert proven(frames).verdict == Verdict.INCOMPLETE
    assert proven(frames, last=9).verdict == Verdict.COMPLETE
    assert proven(frames, first=18).proven == (Range(18, 22),)
    late = proven(frames, first=20, last=24)
    assert (late.verdict, late.unproven) == (Verdict.INCOMPLETE, (Range(24, 24),))
    assert late.signed == (Range(23, 23),), "the checkpoint itself"
    beyond = proven(frames, first=20, last=30)
    assert beyond.missing == (Range(25, 30),)


def test_a_missing_live_answer_is_proven_to_be_one(proven) -> None:
    node = Node().seals(3)
    live = [node.seal(content.TIME_ANSWER), node.seals(2).seal(content.COMMAND_ANSWER)]
    node.seals(1).signs()
    whole = proven(node.frames)
    assert (whole.verdict, whole.live) == (Verdict.COMPLETE, ())
    for number in live:
        del node.frames[number]
    proof = proven(node.frames)
    assert (proof.verdict, proof.live) == (Verdict.COMPLETE, (Range(3, 3), Range(6, 6)))
    assert proof.proven == (Range(0, 2), Range(4, 5), Range(7, 7))


def test_two_boots_in_one_export(proven) -> None:
    first = Node().seals(6).signs()
    second = first.restarts(0).seals(5).signs().seals(2).signs()
    proof = proven(second.frames)
    assert proof.boots == (1, 2)
    assert proof.proven == (Range(0, 5), Range(7, 14))
    assert (proof.verdict, proof.signed) == (Verdict.DECLARED, (Range(6, 6),))
    assert "1 proven by a signature of its own except for its number (6)" in proof.reason
    assert proven(second.frames, first=7).verdict == Verdict.COMPLETE


def test_what_came_after_the_last_checkpoint_of_a_boot_is_unproven(proven) -> None:
    first = Node().seals(6).signs().seals(3)
    proof = proven(first.restarts(0).seals(5).signs().frames)
    assert (proof.verdict, proof.unproven) == (Verdict.INCOMPLETE, (Range(7, 9),))
    assert "3 of them after the last checkpoint of their boot" in proof.reason
    assert (proof.signed, proof.missing) == ((Range(6, 6),), ())


def test_a_checkpoint_that_is_there_twice_stands_for_one_number(proven) -> None:
    """The MAC is not looked at, so a copy with another number can be made."""
    first = Node().seals(6)
    payload = first.checkpoint()
    for _ in range(2):
        first.seal(content.CHECKPOINT, payload)
    proof = proven(first.restarts(0).seals(5).signs().frames)
    assert (proof.signed, proof.unproven) == ((Range(6, 6),), (Range(7, 7),))
    assert proof.verdict == Verdict.INCOMPLETE


def test_what_is_asked_for_below_the_lowest_frame_is_missing(proven) -> None:
    node = Node(boot=3, start=512).seals(4).signs()
    proof = proven(node.frames, first=0, last=515)
    assert (proof.verdict, proof.missing) == (Verdict.INCOMPLETE, (Range(0, 511),))
    assert proof.proven == (Range(512, 515),)
    assert proven(node.frames, first=100, last=200).missing == (Range(100, 200),)
    del node.frames[512]
    assert proven(node.frames, first=510).missing == (Range(510, 512),)


def test_numbers_that_a_boot_skipped_are_missing_until_declared(proven) -> None:
    first = Node().seals(6)
    second = first.restarts(100).seals(2).signs()
    assert proven(second.frames, first=6).missing == (Range(6, 105),)
    second.seal(content.LOSS_RECORD, encode_loss(6, 105, 0, 3))
    undeclared = proven(second.frames, first=6)
    assert (undeclared.verdict, undeclared.declared) == (Verdict.INCOMPLETE, ())
    second.signs()
    proof = proven(second.frames, first=6)
    assert proof.missing == proof.declared == (Range(6, 105),)
    assert proof.verdict == Verdict.DECLARED, "the node's word is no frame"


# --- what is missing ----------------------------------------------------------------------------


def test_a_removed_frame_is_missing_and_takes_its_subtree_along(proven) -> None:
    frames = standard().frames
    del frames[12]
    proof = proven(frames)
    assert (proof.verdict, proof.missing) == (Verdict.INCOMPLETE, (Range(12, 12),))
    assert proof.proven == (Range(0, 9), Range(16, 22))
    assert proof.unproven == (Range(10, 11), Range(13, 15))
    assert "12" in proof.reason
    assert "declares 0" in proof.reason


def test_a_declared_loss_is_said_to_be_declared(proven) -> None:
    node = standard()
    del node.frames[12]
    node.seal(content.LOSS_RECORD, encode_loss(12, 13, 1, 1))
    node.signs()
    proof = proven(node.frames)
    assert proof.missing == proof.declared == (Range(12, 12),)
    assert proof.verdict == Verdict.INCOMPLETE, "its neighbours are not proven"


def test_truncation_shows_when_the_end_is_asked_for(proven) -> None:
    frames = standard().frames
    cut = [frames[number] for number in range(14)]
    assert proven(cut).proven == (Range(0, 9),)
    assert proven(cut, last=22).verdict == Verdict.INCOMPLETE
    late = [frames[number] for number in range(5, 25)]
    assert proven(late).missing == (Range(0, 4),)


def test_without_a_checkpoint_nothing_is_proven(proven) -> None:
    proof = proven(Node().seals(3).frames)
    assert proof.verdict == Verdict.INCOMPLETE
    assert "no checkpoint" in proof.reason
    assert proof.proven == ()


def test_a_wide_gap_costs_nothing(proven) -> None:
    node = Node().seals(2)
    first, second = node.frames[0], node.frames[1]
    node.tree = Tree(1 << 30, (bytes(32),))
    node.signs()
    node.frames = {0: first, 1: second, 1 << 30: node.frames[1 << 30]}
    assert proven(node.frames).missing == (Range(2, (1 << 30) - 1),)


# --- what is forged -----------------------------------------------------------------------------


def forged(proof: Proof) -> str:
    """The violation, in words."""
    assert proof.verdict == Verdict.FORGED, proof
    assert proof.proven == ()
    return proof.reason


@pytest.mark.slow
def test_any_flipped_byte_of_any_signed_frame(proven) -> None:
    frames = standard().frames
    for number in (0, 5, 10, 17):
        for at in range(len(frames[number])):
            damaged = bytearray(frames[number])
            damaged[at] ^= 1
            proof = proven({**frames, number: bytes(damaged)})
            assert proof.verdict != Verdict.COMPLETE, (number, at)
            if proof.verdict == Verdict.INCOMPLETE:
                # The number itself was changed: then it is missing under its own.
                assert Range(number, number) in proof.missing


def test_an_added_frame(proven) -> None:
    node = standard()
    other = Node(start=8)
    added = other.frames[other.seal(payload=b"\x81\x00")]
    assert "line 26: another frame than line 9 with number 8" in forged(
        proven([*node.frames.values(), added])
    )


def test_frames_in_each_other_s_place(proven) -> None:
    frames = standard().frames
    sealer = JoiningSealer(b"pump-a", HmacSha256(MAC_KEY))
    for mine, its in ((3, 4), (4, 3)):
        payload = peek(standard().frames[its])[2]
        frames[mine] = bytes(sealer.seal(content.SENML_CBOR, mine, 1, 10 * mine, payload))
    assert "numbers 0 to 7" in forged(proven(frames))


def test_a_measurement_made_a_live_answer(proven) -> None:
    frames = standard().frames
    sealer = JoiningSealer(b"pump-a", HmacSha256(MAC_KEY))
    frames[4] = bytes(sealer.seal(content.TIME_ANSWER, 4, 1, 40, b"\xa0"))
    assert "signed other frames" in forged(proven(frames))


def test_a_frame_of_another_boot_among_the_numbers(proven) -> None:
    frames = standard().frames
    frames[4] = Node(boot=2, start=4).seals(1).frames[4]
    assert "boot 2" in forged(proven(frames))


def test_a_checkpoint_by_another_key(proven) -> None:
    foreign = Node(seed=bytes(32)).seals(3).signs()
    assert "line 4: no checkpoint of this key" in forged(proven(foreign.frames))


def test_a_checkpoint_of_another_node_with_the_same_key(proven) -> None:
    node = Node().seals(3)
    node.seal(content.CHECKPOINT, Node(name="pump-b").seals(3).checkpoint())
    assert "no checkpoint of pump-a" in forged(proven(node.frames))


def test_another_message_of_the_same_key(proven) -> None:
    node = Node().seals(3)
    protected = protected_header(b"pump-a", content.MEASUREMENT)
    payload = encode_checkpoint(Checkpoint(1, 0, 3, node.tree.root(), tuple(node.tree.hashes), 5))
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    signature = key.sign(to_be_signed(protected, payload))
    node.seal(content.CHECKPOINT, sign1_message(protected, payload, signature))
    assert "no checkpoint of pump-a" in forged(proven(node.frames))


def test_a_checkpoint_replayed_from_another_boot(proven) -> None:
    old = Node().seals(4).checkpoint()
    node = Node(boot=2, start=100).seals(4)
    node.seal(content.CHECKPOINT, old)
    assert "checkpoint of boot 1 in a frame of boot 2" in forged(proven(node.frames))


def test_a_checkpoint_over_what_came_after_it(proven) -> None:
    node = Node().seals(4)
    early = node.checkpoint()
    cheat = Node().seals(2)
    cheat.seal(content.CHECKPOINT, early)
    assert "came after it" in forged(proven(cheat.frames))


def test_two_histories_of_one_boot(proven) -> None:
    one, two = Node().seals(4), Node()
    two.seal(payload=b"\x81\x00")
    two.seals(3)
    one.signs()
    one.seal(content.CHECKPOINT, two.checkpoint())
    assert "signs other frames than that of line 5" in forged(proven(one.frames))
    two.seals(2)
    longer = Node().seals(4).signs().seals(3)
    longer.seal(content.CHECKPOINT, two.checkpoint())
    assert "contradicts the one in line 5" in forged(proven(longer.frames))


def test_two_beginnings_of_one_boot(proven) -> None:
    node = Node().seals(4).signs()
    other = Node(start=1).seals(3)
    node.seal(content.CHECKPOINT, other.checkpoint())
    assert "begins with number 1" in forged(proven(node.frames))


def test_boots_that_overlap(proven) -> None:
    first = Node().seals(4).signs()
    second = Node(boot=2, start=3)
    second.tree = Tree(4, (bytes(32),))
    second.start = 3
    second.signs()
    first.frames[7] = second.frames[7]
    assert "among those of another boot" in forged(proven(first.frames))


def test_a_signature_in_its_other_form(proven) -> None:
    node = Node().seals(3)
    signed = node.checkpoint()
    scalar = int.from_bytes(signed[-32:], "little") + L
    node.seal(content.CHECKPOINT, signed[:-32] + scalar.to_bytes(32, "little"))
    assert "no checkpoint of this key" in forged(proven(node.frames))


def test_a_frame_of_another_node(proven) -> None:
    frames = standard().frames
    frames[24] = Node(name="pump-b", start=24).seals(1).frames[24]
    assert "'pump-b'" in forged(proven(frames))


def test_what_is_no_sealed_frame(proven) -> None:
    assert "line 26: no sealed frame" in forged(proven([*standard().frames.values(), b"\xd1"]))


def test_a_loss_record_that_is_none(proven) -> None:
    node = Node().seals(1)
    node.seal(content.LOSS_RECORD, b"\xa0")
    assert "line 2: no loss record" in forged(proven(node.frames))
