"""Every byte of a sealed frame: flipped, cut, repeated, reordered - and never seen by fuse."""

import pytest

from gateway.loss import LossLedger
from gateway.models.fit import Asset
from gateway.records import Rejected
from gateway.records_time import SyncCheck
from gateway.stages.fuse import Fuse
from gateway.stages.judge import Judge
from gateway.stages.pipeline import Pipeline
from gateway.stages.replay_window import WINDOW
from gateway.stages.sync import Sync
from gateway.stages.verify import Verify
from tests.gateway.stages.frames import (
    NODE,
    OTHER_ROOT_KEY,
    READINGS,
    ROOT_KEY,
    SECOND_NS,
    NodeSim,
    received,
)

MASKS = (0x01, 0x80, 0xFF)


class Guarded:
    """A pipeline in which anything that reaches fuse is seen."""

    def __init__(self):
        self.ledger = LossLedger()
        sync = Sync([NODE], probe_period_ns=SECOND_NS, drift_ppm=50, bound_max_ns=SECOND_NS)
        signals = tuple(f"{NODE}:{reading[0]}" for reading in READINGS)
        self.fuse = Fuse(Asset("pump", signals, ("V",) * len(signals), SECOND_NS), 200)
        self.pipeline = Pipeline(
            Verify({NODE: ROOT_KEY, "pump-b": OTHER_ROOT_KEY}, self.ledger),
            sync,
            [(self.fuse, Judge("pump"))],
            self.ledger,
        )

    def reason(self, data, source=NODE):
        """Feed bytes that must be rejected; return the reason."""
        made = self.pipeline.feed(received(data, source), 10 * SECOND_NS)
        rejected, *found = made
        assert isinstance(rejected, Rejected)
        assert all(isinstance(record, SyncCheck) for record in found), "it went further than verify"
        return rejected.reason


@pytest.fixture
def guarded():
    return Guarded()


@pytest.fixture
def frame():
    return NodeSim().frame(1000)


def kid_span(frame):
    """Return where the kid lies in the frame."""
    start = frame.index(NODE.encode())
    return range(start, start + len(NODE))


@pytest.mark.parametrize("mask", MASKS)
def test_a_flip_at_any_place_is_rejected_for_the_right_reason(guarded, frame, mask):
    kid = kid_span(frame)
    for at in range(len(frame)):
        flipped = bytearray(frame)
        flipped[at] ^= mask
        reason = guarded.reason(bytes(flipped))
        if at in kid:
            assert reason in {"unknown_kid", "bad_mac"}, at
        elif at >= len(frame) - 32:
            assert reason == "bad_mac", at
        else:
            assert reason in {"malformed", "bad_mac"}, at
    counted = guarded.ledger.balance(NODE)
    assert counted.rejected_total == counted.received == len(frame)
    assert counted.announced == 0
    assert guarded.ledger.adds_up()


def test_a_flip_in_the_payload_is_always_a_bad_mac(guarded, frame):
    start = frame.index(b"vibration-1")
    for at in range(start, len(frame) - 34):
        flipped = bytearray(frame)
        flipped[at] ^= 0x10
        assert guarded.reason(bytes(flipped)) == "bad_mac", at


def test_a_frame_cut_at_any_place_is_malformed(guarded, frame):
    for length in range(len(frame)):
        assert guarded.reason(frame[:length]) == "malformed", length
    for start in range(1, len(frame)):
        assert guarded.reason(frame[start:]) == "malformed", start


def test_a_byte_inserted_or_doubled_at_any_place_is_rejected(guarded, frame):
    for at in range(len(frame)):
        assert guarded.reason(frame[:at] + b"\x00" + frame[at:]) in {"malformed", "bad_mac"}, at
        doubled = frame[: at + 1] + frame[at : at + 1] + frame[at + 1 :]
        assert guarded.reason(doubled) in {"malformed", "bad_mac"}, at
    assert guarded.reason(frame + b"\x00") == "malformed"
    assert guarded.reason(frame + frame) == "malformed"


def test_a_repeated_frame_is_replayed(guarded, frame):
    guarded.pipeline.feed(received(frame), 10 * SECOND_NS)
    assert guarded.reason(frame) == "replayed"
    assert guarded.ledger.balance(NODE).rejected == {"replayed": 1}


def test_reordering_is_taken_inside_the_window_and_refused_beyond(guarded):
    node = NodeSim()
    first = [node.frame(sequence) for sequence in (0, 1)]
    guarded.pipeline.feed(received(node.frame(WINDOW)), 10 * SECOND_NS)
    assert guarded.reason(first[0]) == "too_old"
    made = guarded.pipeline.feed(received(first[1]), 10 * SECOND_NS)
    taken = [record for record in made if not isinstance(record, SyncCheck)]
    assert len(taken) == 1 + len(READINGS)
    assert guarded.ledger.adds_up()


def test_a_foreign_key_and_a_wrong_node_are_rejected(guarded):
    assert guarded.reason(NodeSim(root_key=OTHER_ROOT_KEY).frame(1)) == "bad_mac"
    assert guarded.reason(NodeSim("pump-b", ROOT_KEY).frame(1)) == "bad_mac"
    assert guarded.reason(NodeSim("pump-b", OTHER_ROOT_KEY).frame(1)) == "foreign_source"
    assert guarded.reason(NodeSim("pump-c").frame(1), "pump-c") == "unknown_kid"


def test_the_unharmed_frame_still_passes_after_all_attacks(guarded, frame):
    for at in range(len(frame)):
        guarded.reason(frame[:at] + bytes((frame[at] ^ 1,)) + frame[at + 1 :])
    assert len(guarded.pipeline.feed(received(frame), 10 * SECOND_NS)) == 1 + len(READINGS)
