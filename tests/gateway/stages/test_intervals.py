"""The set behaves as Python's own, and has one form."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.stages.intervals import IntervalSet, gaps, size

RANGES = st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda r: (r[0], r[0] + r[1]))


def numbers(pieces):
    """Return the numbers of some intervals."""
    return {number for first, last in pieces for number in range(first, last + 1)}


def test_neighbours_become_one():
    found = IntervalSet()
    found.add(1, 3)
    found.add(7, 9)
    found.add(4, 6)
    assert found.intervals() == [(1, 9)]
    assert len(found) == 1


def test_an_empty_range_adds_nothing():
    found = IntervalSet()
    found.add(5, 4)
    assert found.intervals() == []
    assert found.cut(0, 100) == []


def test_a_cut_in_the_middle_leaves_two():
    found = IntervalSet()
    found.add(0, 1 << 40)
    assert found.cut(10, 20) == [(10, 20)]
    assert found.intervals() == [(0, 9), (21, 1 << 40)]
    assert found.pop_first() == (0, 9)


@given(st.lists(st.tuples(st.booleans(), RANGES), max_size=40), st.integers(-1, 80))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_it_is_a_set(steps, limit):
    found, model = IntervalSet(), set()
    for is_added, (first, last) in steps:
        if is_added:
            found.add(first, last)
            model |= set(range(first, last + 1))
        else:
            pieces = found.cut(first, last)
            assert numbers(pieces) == model & set(range(first, last + 1))
            model -= set(range(first, last + 1))
        intervals = found.intervals()
        assert numbers(intervals) == model
        assert size(intervals) == len(model)
        ends = [end for interval in intervals for end in interval]
        assert ends == sorted(ends)
        assert all(b[0] - a[1] > 1 for a, b in pairwise(intervals))
    assert found.above(limit) == sum(number > limit for number in model)
    assert found.within(limit, limit + 9) == len(model & set(range(limit, limit + 10)))


@given(st.lists(RANGES, max_size=8), RANGES)
@settings(derandomize=True, deadline=None, max_examples=100)
def test_gaps_are_what_is_left(ranges, whole):
    found = IntervalSet()
    for first, last in ranges:
        found.add(first, last)
    pieces = found.cut(*whole)
    left = gaps(*whole, pieces)
    assert numbers(left) | numbers(pieces) == set(range(whole[0], whole[1] + 1))
    assert not numbers(left) & numbers(pieces)
