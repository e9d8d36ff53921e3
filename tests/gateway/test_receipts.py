"""A receipt names what the gateway is done with: never more, never backwards, and in time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import NS_PER_S
from gateway.receipts import (
    FRESH_MAX,
    PATIENCE_NS,
    REPEAT_NS,
    SOON_NS,
    SPACING_NS,
    DueReceipt,
    Receipts,
)
from gateway.stages.replay_window import WINDOW, Lane, ReplayMark, ReplayWindow

START_NS = 1_700_000_000 * NS_PER_S


class Bench:
    """One node, its window, and the time."""

    def __init__(self):
        self.window = ReplayWindow(Lane.DATA)
        self.receipts = Receipts(["a"], self.window.marks)
        self.now_ns = START_NS
        self.is_ready = True

    def take(self, *numbers, boot=1, is_boot=False):
        for number in numbers:
            assert self.window.admit(boot, number) is None
            self.receipts.taken("a", number, is_boot=is_boot)

    def settle(self, *numbers):
        for number in numbers:
            self.receipts.settled("a", number)

    def done(self, *numbers, boot=1):
        self.take(*numbers, boot=boot)
        self.settle(*numbers)

    def due(self, later_ns=0):
        """Let time pass; return (highest, numbers seen), None if no receipt is due."""
        self.now_ns += later_ns
        found = self.receipts.due(self.now_ns, lambda node: self.is_ready and node == "a")
        if not found:
            return None
        ((node, highest, seen),) = found
        assert node == "a"
        return highest, {highest - place for place in range(WINDOW) if seen >> place & 1}


@pytest.fixture
def bench():
    return Bench()


def test_the_first_receipt_says_that_nothing_is_stored(bench):
    assert bench.receipts.due(START_NS, lambda _: True) == [DueReceipt("a", 0, 0)]
    assert bench.due() is None


def test_the_first_receipt_waits_for_the_clock_but_not_for_ever(bench):
    bench.is_ready = False
    assert bench.due() is None
    assert bench.due(PATIENCE_NS - 1) is None
    assert bench.due(1) == (0, set())


def test_what_is_not_settled_is_not_receipted(bench):
    bench.take(*range(FRESH_MAX))
    assert bench.due(SPACING_NS) is None, "not even (0, 0): it would ask for number 0 again"
    bench.settle(*range(3))
    assert bench.due() == (2, {0, 1, 2})


def test_numbers_above_one_that_is_open_wait_with_it(bench):
    """Else the node would take it for lost and send it again."""
    bench.due()
    bench.take(*range(10))
    bench.settle(0, 1, 3, 4)
    assert bench.due(SPACING_NS) == (1, {0, 1})
    bench.settle(2, 5, 6, 7, 8, 9)
    assert bench.due(SPACING_NS) == (9, set(range(10)))


def test_a_receipt_never_goes_back(bench):
    bench.due()
    bench.done(*range(5), 6)
    assert bench.due(SPACING_NS) == (6, {0, 1, 2, 3, 4, 6})
    bench.take(5)
    bench.done(7)
    assert bench.due(SPACING_NS) is None, "5 is open, and 6 was said before"
    bench.settle(5)
    assert bench.due() == (7, set(range(8)))


def test_it_is_due_after_some_frames_or_some_seconds(bench):
    bench.due()
    bench.done(*range(FRESH_MAX - 1))
    assert bench.due() is None
    bench.done(FRESH_MAX)
    assert bench.due() is not None
    bench.done(FRESH_MAX + 1)
    assert bench.due(SPACING_NS - 1) is None
    assert bench.due(1) is not None
    assert bench.due(SPACING_NS) is None, "nothing is new"


def test_it_is_repeated_for_a_node_that_has_backed_off(bench):
    bench.done(1, 2)
    said = bench.due()
    assert bench.due(REPEAT_NS - 1) is None
    assert bench.due(1) == said


def test_a_frame_seen_before_means_that_a_receipt_got_lost(bench):
    bench.done(1, 2)
    said = bench.due()
    bench.receipts.refused("a", was_seen=True)
    assert bench.due(SOON_NS - 1) is None
    assert bench.due(1) == said
    assert bench.due(SOON_NS) is None


def test_a_frame_refused_for_its_content_is_done_with(bench):
    bench.due()
    assert bench.window.admit(1, 7) is None
    bench.receipts.refused("a", was_seen=False)
    assert bench.due(SPACING_NS) == (7, {7})


def test_a_boot_record_is_receipted_at_once_when_the_clock_is_known(bench):
    bench.done(1, 2)
    bench.due()
    bench.is_ready = False
    bench.take(300, boot=2, is_boot=True)
    bench.settle(300)
    assert bench.due(SOON_NS) is None
    bench.is_ready = True
    assert bench.due() == (300, {300})


def test_boots_that_follow_closely_share_a_receipt(bench):
    """The node counts on: 95 of one boot and 100 of the next are both in flight."""
    bench.due()
    bench.done(94, 96)
    bench.done(100, boot=2)
    assert bench.due(SPACING_NS) == (100, {94, 96, 100})


def test_a_clock_set_back_does_not_silence_the_gateway(bench):
    bench.done(1)
    assert bench.due() is not None
    assert bench.due(-3600 * NS_PER_S) is not None


def test_nodes_without_receipts_are_left_alone():
    receipts = Receipts([], lambda node: pytest.fail(f"asked for {node}"))
    receipts.taken("old", 1)
    receipts.settled("old", 1)
    receipts.refused("old", was_seen=True)
    assert receipts.due(START_NS, lambda _: True) == []
    mark = ReplayMark(source="old", lane=Lane.DATA, boot_id=1, highest=4, seen=1)
    assert receipts.settled_marks([mark]) == [mark]


def test_marks_leave_out_what_is_not_done_with(bench):
    bench.take(*range(5))
    live = ReplayMark(source="a", lane=Lane.LIVE, boot_id=1, highest=4, seen=0b11)
    assert bench.receipts.settled_marks([*bench.window.marks("a"), live]) == [live]
    bench.settle(1, 2)
    (mark, _) = bench.receipts.settled_marks([*bench.window.marks("a"), live])
    assert (mark.highest, mark.seen) == (2, 0b11)
    bench.settle(0, 3, 4)
    assert bench.receipts.settled_marks(bench.window.marks("a")) == bench.window.marks("a")


STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 90)), max_size=120)


@given(STEPS)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_whatever_the_order_only_settled_numbers_are_ever_named(steps):
    bench = Bench()
    taken, settled, highest_said = set(), set(), 0
    for is_new, number in steps:
        if is_new and bench.window.admit(1, number) is None:
            bench.receipts.taken("a", number)
            taken.add(number)
        elif not is_new and number in taken:
            bench.settle(number)
            settled.add(number)
        said = bench.due(SPACING_NS)
        if said is not None:
            highest, seen = said
            assert seen <= settled
            assert highest >= highest_said
            assert not {open_ for open_ in taken - settled if open_ <= highest}
            highest_said = highest
