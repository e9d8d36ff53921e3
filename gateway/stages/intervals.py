"""A set of integers kept as intervals: few gaps among many numbers cost little.

Promises: intervals are disjoint, ascending and never adjacent, so a set has one form; every
operation is linear in the intervals it touches. Left to the caller: how many there may be.
"""

from bisect import bisect_left, bisect_right
from typing import final

Interval = tuple[int, int]
"""(first, last), both inside."""


@final
class IntervalSet:
    """Integers from 0; `len` is how many intervals there are."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __len__(self) -> int:
        return len(self._firsts)

    def intervals(self) -> list[Interval]:
        """Return all intervals, ascending."""
        return list(zip(self._firsts, self._lasts, strict=True))

    def add(self, first: int, last: int) -> None:
        """Add the numbers `first` to `last`, whether some are in already or not; none if empty."""
        if last < first:
            return
        # Intervals that touch or adjoin the new one become one with it.
        begin = bisect_left(self._lasts, first - 1)
        end = bisect_right(self._firsts, last + 1)
        if begin < end:
            first = min(first, self._firsts[begin])
            last = max(last, self._lasts[end - 1])
        self._firsts[begin:end] = [first]
        self._lasts[begin:end] = [last]

    def cut(self, first: int, last: int) -> list[Interval]:
        """Remove the numbers `first` to `last` and return those that were in, as intervals."""
        begin = bisect_left(self._lasts, first)
        end = bisect_right(self._firsts, last)
        if begin >= end:
            return []
        low, high = self._firsts[begin], self._lasts[end - 1]
        pieces = self.among(first, last)
        left = [(low, first - 1)] if low < first else []
        left += [(last + 1, high)] if high > last else []
        self._firsts[begin:end] = [each for each, _ in left]
        self._lasts[begin:end] = [each for _, each in left]
        return pieces

    def among(self, first: int, last: int) -> list[Interval]:
        """Return those of the numbers `first` to `last` that are in, as intervals."""
        begin = bisect_left(self._lasts, first)
        end = bisect_right(self._firsts, last)
        return [
            (max(first, each_first), min(last, each_last))
            for each_first, each_last in zip(
                self._firsts[begin:end], self._lasts[begin:end], strict=True
            )
        ]

    def within(self, first: int, last: int) -> int:
        """Return how many of the numbers `first` to `last` are in."""
        return size(self.among(first, last))

    def pop_first(self) -> Interval:
        """Remove and return the lowest interval; the set must not be empty."""
        return self._firsts.pop(0), self._lasts.pop(0)

    def above(self, limit: int) -> int:
        """Return how many numbers are greater than `limit`."""
        begin = bisect_right(self._lasts, limit)
        return sum(
            last - max(first - 1, limit)
            for first, last in zip(self._firsts[begin:], self._lasts[begin:], strict=True)
        )


def size(pieces: list[Interval]) -> int:
    """Return how many numbers are in disjoint intervals."""
    return sum(last - first + 1 for first, last in pieces)


def gaps(first: int, last: int, pieces: list[Interval]) -> list[Interval]:
    """Return the numbers `first` to `last` that are in none of the ascending `pieces`."""
    left: list[Interval] = []
    for piece_first, piece_last in pieces:
        if piece_first > first:
            left.append((first, piece_first - 1))
        first = piece_last + 1
    if first <= last:
        left.append((first, last))
    return left
