"""A lane takes each number once, in any order; the data lane remembers a few boots."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.stages.replay_window import BOOTS_MAX, WINDOW, Lane, ReplayWindow

LANES = pytest.mark.parametrize("lane", list(Lane))


def admit_all(window, numbers, boot_id=1):
    """Return what the window says to each number."""
    return [window.admit(boot_id, number) for number in numbers]


@LANES
def test_in_order_numbers_pass(lane):
    assert admit_all(ReplayWindow(lane), range(5)) == [None] * 5


@LANES
def test_a_late_number_passes_once(lane):
    window = ReplayWindow(lane)
    assert admit_all(window, [10, 13, 12, 12, 13]) == [None, None, None, "replayed", "replayed"]


@LANES
def test_the_edge_of_the_window(lane):
    window = ReplayWindow(lane)
    assert admit_all(window, [WINDOW, 1, 0]) == [None, None, "too_old"]


@LANES
def test_a_jump_over_the_whole_number_space_is_cheap_and_empties_the_window(lane):
    highest = (1 << 40) - 1
    assert admit_all(ReplayWindow(lane), [0, highest, 0]) == [None, None, "too_old"]


def test_the_live_lane_remembers_one_boot():
    window = ReplayWindow(Lane.LIVE)
    assert window.admit(1, 50) is None
    assert window.admit(2, 3) is None
    assert window.admit(1, 51) == "stale_boot"


def test_what_a_node_stored_before_it_restarted_may_come_after_what_came_later():
    window = ReplayWindow(Lane.DATA)
    assert window.admit(3, 95) is None
    assert window.admit(4, 100) is None
    assert [window.admit(3, number) for number in (94, 95, 94)] == [None, "replayed", "replayed"]
    assert window.admit(3, 97) is None
    assert window.admit(4, 100) == "replayed"


def test_a_boot_between_two_known_ones_was_never_seen():
    window = ReplayWindow(Lane.DATA)
    admit_all(window, [10], 3)
    admit_all(window, [30], 5)
    assert admit_all(window, [20, 20], 4) == [None, "replayed"]


def test_nothing_below_the_first_boot_and_none_that_was_forgotten_is_taken():
    window = ReplayWindow(Lane.DATA)
    assert window.admit(2, 200) is None
    assert window.admit(1, 100) == "stale_boot"
    for boot_id in range(3, 3 + BOOTS_MAX):
        assert window.admit(2, 190 + boot_id) is None
        assert window.admit(boot_id, 100 * boot_id) is None
    assert window.admit(2, 201) == "stale_boot"
    assert window.admit(3, 301) is None


@LANES
def test_marks_restore_the_lane(lane):
    first = ReplayWindow(lane)
    admit_all(first, [1, 2, 4], 1)
    admit_all(first, [9], 2)
    later = ReplayWindow(lane, first.marks("n"))
    assert later.marks("n") == first.marks("n")
    assert [mark.boot_id for mark in later.marks("n")] == ([1, 2] if lane is Lane.DATA else [2])
    assert {mark.lane for mark in later.marks("n")} == {lane}
    expected = "replayed" if lane is Lane.DATA else "stale_boot"
    assert later.admit(1, 2) == expected
    assert later.admit(2, 9) == "replayed"


@LANES
def test_a_lane_that_saw_nothing_leaves_no_mark(lane):
    assert ReplayWindow(lane).marks("n") == []


@LANES
@given(offers=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 200)), max_size=120))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_each_number_is_taken_at_most_once(lane, offers):
    window = ReplayWindow(lane)
    taken = set()
    for boot_id, number in offers:
        marks = window.marks("n")
        reason = window.admit(boot_id, number)
        boots = {boot for boot, _ in taken}
        if reason is None:
            assert (boot_id, number) not in taken
            taken.add((boot_id, number))
            continue
        assert window.marks("n") == marks, "a refusal moves nothing"
        if reason == "replayed":
            assert (boot_id, number) in taken
        elif reason == "too_old":
            assert number <= max(n for b, n in taken if b == boot_id) - WINDOW
        else:
            assert reason == "stale_boot"
            assert boot_id < max(boots)
    assert len(window.marks("n")) <= (BOOTS_MAX if lane is Lane.DATA else 1)
