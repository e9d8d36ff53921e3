"""Every number announced is arrived, awaited, lost or declared, whatever comes in what order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.loss import Account
from gateway.stages.numbering import INTERVALS_MAX, Numbering
from gateway.stages.replay_window import BOOTS_MAX, WINDOW, Lane, ReplayMark


class Node:
    """A numbering and its account; `count` is what has arrived."""

    def __init__(self, marks=(), *, is_storing=False):
        self.account = Account("n")
        self.numbering = Numbering(self.account, list(marks), is_storing=is_storing)
        self.count = 0

    def data(self, *numbers, boot=1):
        for number in numbers:
            self._arrived(boot, number, is_live=False)

    def live(self, *numbers, boot=1):
        for number in numbers:
            self._arrived(boot, number, is_live=True)

    def loss(self, first, last, frames):
        self.numbering.declare(first, last, frames)
        self.check()

    def _arrived(self, boot, number, *, is_live):
        self.numbering.arrived(boot, number, is_live=is_live)
        self.count += 1
        self.check()

    def check(self):
        account = self.account
        gone = account.lost + account.unanswered + account.awaited + account.declared
        gone += account.unknown
        assert account.unknown >= 0
        assert account.announced == self.count + gone, account
        assert min(account.lost, account.awaited, account.declared, account.recovered) >= 0

    @property
    def sums(self):
        """(lost, awaited, declared, recovered)."""
        account = self.account
        return account.lost, account.awaited, account.declared, account.recovered

    def asked(self, count=1):
        for _ in range(count):
            self.numbering.asked()
            self.check()


@pytest.fixture
def node():
    return Node()


def test_in_order_nothing_is_missing(node):
    node.data(*range(5))
    assert node.sums == (0, 0, 0, 0)
    assert node.account.announced == 5


def test_a_gap_is_lost_until_it_is_filled_late(node):
    node.data(10, 13)
    assert node.sums == (2, 0, 0, 0)
    node.data(12)
    assert node.sums == (1, 0, 0, 1)


def test_gaps_are_counted_over_both_lanes(node):
    node.data(10)
    node.live(11)
    node.data(12)
    assert node.sums == (0, 0, 0, 0)


def test_what_the_spool_may_still_hold_is_awaited_and_not_lost(node):
    """The gateway was away: the answer of now overtakes an hour of stored frames."""
    node.data(10)
    node.live(100)
    assert node.sums == (0, 89, 0, 0)
    node.data(11, 12, 14)
    assert node.sums == (1, 85, 0, 0), "13 was passed over"
    node.data(13)
    assert node.sums == (0, 85, 0, 1)
    node.data(*range(15, 100))
    assert node.sums == (0, 0, 0, 1)


def test_a_live_frame_that_got_lost_is_noticed_by_the_next_stored_one(node):
    node.data(10, 12)
    assert node.sums == (1, 0, 0, 0)


def test_a_node_heard_first_by_an_answer_announces_what_it_delivers_later(node):
    node.live(100)
    node.data(97)
    assert node.sums == (0, 2, 0, 0)
    node.data(98, 99, 101)
    assert node.sums == (0, 0, 0, 0)
    assert node.account.announced == 5


def test_a_loss_record_moves_numbers_from_lost_to_declared(node):
    node.data(10, 21)
    node.loss(11, 15, 5)
    assert node.sums == (5, 0, 5, 0)
    node.loss(11, 15, 5)
    assert node.sums == (5, 0, 5, 0), "the same numbers are not declared twice"


def test_a_declared_number_that_arrives_later_is_recovered(node):
    node.data(10, 21)
    node.loss(11, 20, 10)
    node.data(13)
    assert node.sums == (0, 0, 9, 1)


def test_numbers_of_which_the_node_knows_nothing_are_no_declared_frames(node):
    """A power cut: what was sealed last, and what the start left out, look the same to the node."""
    node.data(10, 15)
    node.loss(11, 30, 0)
    assert node.sums == (0, 0, 0, 0)
    assert node.account.unknown == 19, "4 of the boot before, 15 after it"
    node.loss(11, 30, 0)
    assert node.account.unknown == 19, "the same numbers, said again"
    node.data(31, 32, boot=2)
    assert (node.account.unknown, node.account.announced) == (19, 23)
    node.data(12)
    node.data(20, boot=2)
    assert (node.account.unknown, node.account.recovered) == (17, 2)
    node.loss(5, 33, 5)
    assert node.account.declared == 5, "5 to 9 are new"
    assert node.account.unknown == 17


def test_awaited_numbers_can_be_declared_too(node):
    node.data(10)
    node.live(100)
    node.loss(11, 99, 89)
    assert node.sums == (0, 0, 89, 0)


def test_numbers_outside_of_what_was_seen_are_announced_by_the_record(node):
    """From before the gateway's start; of 100 numbers only 40 were frames."""
    node.data(200)
    node.loss(100, 199, 40)
    assert node.sums == (0, 0, 40, 0)
    assert node.account.announced == 41
    node.data(150)
    assert node.account.recovered == 1
    assert node.account.declared == 49, "150 to 199 are known to be numbers of this boot now"


def test_a_record_that_names_earlier_losses_again_declares_only_what_is_new(node):
    """A node widens every loss record until one was receipted."""
    node.data(300)
    node.loss(100, 199, 70)
    assert node.sums == (0, 0, 70, 0)
    node.loss(100, 260, 110)
    assert node.sums == (0, 0, 110, 0)
    node.data(304)
    node.loss(100, 303, 113)
    assert node.sums == (0, 0, 113, 0)
    node.loss(100, 303, 113)
    assert node.sums == (0, 0, 113, 0)


# --- nodes that store their frames ---------------------------------------------------------------


def test_a_storing_node_may_still_have_what_the_window_reaches():
    node = Node(is_storing=True)
    node.data(10, 12, 11 + WINDOW - 1)
    assert node.sums == (0, WINDOW - 2, 0, 0)
    node.data(11 + WINDOW)
    assert node.sums == (1, WINDOW - 3, 0, 0), "11 is not sent again"
    node.data(11)
    assert node.sums == (0, WINDOW - 3, 0, 1)


def test_a_storing_node_may_still_have_frames_of_its_last_start():
    node = Node(is_storing=True)
    node.data(10, 12)
    node.data(20, boot=2)
    assert node.sums == (0, 1, 0, 0)
    node.data(11)
    assert node.sums == (0, 0, 0, 0)


def test_what_is_gone_is_an_answer_only_if_there_was_a_question():
    node = Node(is_storing=True)
    node.asked(2)
    node.data(0, *range(4, 100))
    assert node.sums == (1, 0, 0, 0)
    assert node.account.unanswered == 2
    node.live(100)
    assert (node.account.lost, node.account.unanswered) == (2, 1), "one question has its answer"
    node.loss(2, 2, 1)
    assert node.sums == (1, 0, 1, 0)
    assert node.account.unanswered == 1


def test_of_a_node_that_stores_nothing_everything_missing_is_lost(node):
    node.asked(5)
    node.data(0, 2)
    assert (node.account.lost, node.account.unanswered) == (1, 0)


def test_numbers_that_a_power_cut_left_out_are_no_frames(node):
    node.data(10, boot=1)
    node.loss(11, 255, 0)
    node.data(256, boot=2)
    assert node.sums == (0, 0, 0, 0)


def test_a_new_boot_ends_the_waiting_for_the_one_before(node):
    node.data(10, boot=1)
    node.live(20, boot=1)
    assert node.sums == (0, 9, 0, 0)
    node.data(256, boot=2)
    assert node.sums == (9, 0, 0, 0)
    node.data(11, boot=1)
    assert node.sums == (8, 0, 0, 1)


def test_what_an_earlier_run_counted_is_not_counted_again():
    mark = {"source": "n", "boot_id": 1, "seen": 1}
    marks = [
        ReplayMark(lane=Lane.DATA, highest=50, **mark),
        ReplayMark(lane=Lane.LIVE, highest=60, **mark),
    ]
    node = Node(marks)
    node.data(51, 55)
    assert node.sums == (0, 0, 0, 0)
    assert node.account.announced == 2
    node.data(63)
    assert node.sums == (2, 0, 0, 0)


def test_memory_is_bounded_and_the_sums_stay_right(node):
    last = 4 * INTERVALS_MAX
    node.data(*range(0, last + 1, 2))
    assert node.account.lost == last // 2
    node.data(1, last - 1)
    assert node.account.lost == last // 2 - 2
    assert node.account.recovered == 2
    (boot,) = node.numbering._boots.values()
    assert len(boot.missing) <= INTERVALS_MAX


def test_unknown_numbers_are_bounded_too(node):
    node.data(0, 4 * INTERVALS_MAX)
    for number in range(1, 4 * INTERVALS_MAX, 2):
        node.loss(number, number, 0)
    (boot,) = node.numbering._boots.values()
    assert len(boot.unknown) <= INTERVALS_MAX
    node.data(*range(1, 4 * INTERVALS_MAX))
    assert (node.account.unknown, node.account.lost) == (0, 0)
    for number in range(10_000, 10_000 + 4 * INTERVALS_MAX, 2):
        node.loss(number, number, 0)
    assert len(node.numbering._open) <= INTERVALS_MAX


def test_of_old_boots_only_the_sums_are_left(node):
    for boot in range(2 * BOOTS_MAX):
        node.data(100 * boot, 100 * boot + 3, boot=boot)
    assert node.account.lost == 2 * 2 * BOOTS_MAX
    assert len(node.numbering._boots) == BOOTS_MAX


NUMBERS = st.integers(0, 40)
STEPS = st.one_of(
    st.tuples(st.just("data"), st.integers(1, 6), NUMBERS),
    st.tuples(st.just("live"), st.integers(1, 6), NUMBERS),
    st.tuples(st.just("loss"), NUMBERS, st.integers(0, 15), st.integers(0, 16)),
    st.tuples(st.just("asked")),
)


@given(st.lists(STEPS, max_size=60), st.booleans())
@settings(derandomize=True, deadline=None, max_examples=400)
def test_the_sums_hold_for_any_node_even_one_that_lies(steps, is_storing):
    node = Node(is_storing=is_storing)
    seen = set()
    for step in steps:
        if step[0] == "asked":
            node.asked()
            continue
        if step[0] == "loss":
            node.loss(step[1], step[1] + step[2], min(step[3], step[2] + 1))
        elif step[1:] not in seen:
            seen.add(step[1:])
            getattr(node, step[0])(step[2], boot=step[1])


@given(st.lists(NUMBERS, unique=True, min_size=1), st.sets(NUMBERS))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_one_boot_of_data_agrees_with_plain_sets(numbers, declared):
    node = Node()
    node.data(*numbers)
    missing = set(range(min(numbers), max(numbers))) - set(numbers)
    for number in declared & missing:
        node.loss(number, number, 1)
    assert node.account.lost == len(missing - declared)
    assert node.account.declared == len(missing & declared)
    assert node.account.awaited == 0
