"""Frames wait for a clock: each source for itself, in order, bounded."""

import pytest

from gateway.stages.sync_held import HELD_MAX, HeldFrames
from tests.gateway.plant import verified
from tests.gateway.stages.clocks import S


def frames(source, count, first=0):
    return [verified(number, source=source) for number in range(first, first + count)]


def undecided(_item):
    return False


@pytest.fixture
def held():
    return HeldFrames(5 * S)


def test_without_a_hold_nothing_waits():
    assert not HeldFrames(0).hold(verified(0), 0)


def test_too_many_frames_push_out_the_oldest_of_their_source(held):
    quiet, busy = frames("a", 3), frames("b", HELD_MAX + 2)
    for item in quiet + busy:
        assert held.hold(item, 0)
    assert held.released(0, undecided) == busy[:2]
    assert not held.is_holding(busy[1])
    assert all(map(held.is_holding, quiet + busy[2:]))


def test_frames_of_a_source_are_released_in_their_order_when_their_clock_is_decided(held):
    items = frames("a", 2) + frames("b", 2)
    for item in items:
        held.hold(item, 0)
    assert held.released(S, lambda item: item.source == "b") == items[2:]
    assert held.released(S, lambda _: True) == items[:2]
    assert held.released(S, lambda _: True) == []


@pytest.mark.parametrize(("now_ns", "count"), [(6 * S, 0), (7 * S, 1), (8 * S, 2), (S, 2)])
def test_a_wait_ends_after_its_time_and_when_the_clock_is_set_back(held, now_ns, count):
    for number, item in enumerate(frames("a", 2)):
        held.hold(item, (2 + number) * S)
    assert len(held.released(now_ns, undecided)) == count


def test_to_ask_costs_as_much_as_there_are_sources_that_wait(held):
    for item in frames("a", HELD_MAX):
        held.hold(item, 0)
    asked = []
    held.released(0, lambda item: asked.append(item) or False)
    assert len(asked) == 1
