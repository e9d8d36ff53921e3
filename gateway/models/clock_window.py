"""The recent exchanges of a clock: the last one to two blocks of time, as hulls and least delays.

Points go into two windows, one that began with the block before and one that began with this block.
When the block ends the younger takes the place of the older and a new one begins, so that old
points are forgotten without being kept: a hull cannot give points back.

Promises: O(1) amortised per point, bounded memory, numbers relative to the start of each window (so
that years do not cost digits). Left to others: what a line means for the clock (node_clock.py).
"""

from typing import final

from gateway.models.clock_hull import BLOCK_POINTS, BLOCK_S, Hull, LineFit, fit


@final
class _Span:
    """Points since some moment, relative to the first of them."""

    __slots__ = ("down", "down_origin_ns", "least_ns", "origin_s", "up", "up_origin_ns")

    def __init__(self, time_s: float, up_ns: float, down_ns: float) -> None:
        self.origin_s, self.up_origin_ns, self.down_origin_ns = time_s, up_ns, down_ns
        self.up, self.down = Hull(), Hull()
        self.least_ns = up_ns + down_ns

    def add(self, time_s: float, up_ns: float, down_ns: float, *, is_two_way: bool) -> None:
        self.up.add(time_s - self.origin_s, up_ns - self.up_origin_ns)
        if is_two_way:
            self.down.add(time_s - self.origin_s, down_ns - self.down_origin_ns)
        self.least_ns = min(self.least_ns, up_ns + down_ns)

    def fit(self, limit: float, floor_ns: float, *, is_two_way: bool) -> LineFit | None:
        line = fit(self.up, self.down if is_two_way else None, limit, floor_ns)
        if line is None:
            return None
        up_ns, down_ns = self.up_origin_ns, self.down_origin_ns
        return line._replace(
            time_s=line.time_s + self.origin_s,
            offset_ns=line.offset_ns + ((up_ns - down_ns) / 2 if is_two_way else up_ns),
            half_ns=line.half_ns + ((up_ns + down_ns) / 2 if is_two_way else 0.0),
        )


@final
class ClockWindow:
    """Exchanges (or, one way, arrivals) of the last one to two blocks; see the module.

    `skew_max` in ns/s and `floor_ns` go to `clock_hull.fit`.
    """

    __slots__ = ("_floor_ns", "_is_two_way", "_limit", "_older", "_younger", "blocks")

    def __init__(self, *, skew_max: float, floor_ns: float, is_two_way: bool = True) -> None:
        self._limit, self._floor_ns, self._is_two_way = skew_max, floor_ns, is_two_way
        self._older: _Span | None = None
        self._younger: _Span | None = None
        self.blocks = 0
        """Blocks that have ended."""

    @property
    def points(self) -> int:
        """Points in the window."""
        return 0 if self._older is None else self._older.up.count

    @property
    def span_s(self) -> float:
        """Time from the first to the last point of the window."""
        corners = self._older.up.corners if self._older is not None else []
        return corners[-1][0] - corners[0][0] if corners else 0.0

    @property
    def least_ns(self) -> float:
        """Least up + down of the window; infinite while it is empty."""
        return float("inf") if self._older is None else self._older.least_ns

    def add(self, time_s: float, up_ns: float, down_ns: float = 0.0) -> LineFit | None:
        """Take a point; return the fit of the block it ends, None if it ends none.

        A point from before the one before it is left out: a hull takes them in order.
        """
        if self._older is None or self._younger is None:
            self._older = _Span(time_s, up_ns, down_ns)
            self._younger = _Span(time_s, up_ns, down_ns)
        older, younger = self._older, self._younger
        corners = older.up.corners
        if corners and time_s < corners[-1][0] + older.origin_s:
            return None
        older.add(time_s, up_ns, down_ns, is_two_way=self._is_two_way)
        younger.add(time_s, up_ns, down_ns, is_two_way=self._is_two_way)
        if time_s - younger.origin_s < BLOCK_S or younger.up.count < BLOCK_POINTS:
            return None
        self._older, self._younger = younger, _Span(time_s, up_ns, down_ns)
        self.blocks += 1
        return younger.fit(self._limit, self._floor_ns, is_two_way=self._is_two_way)

    def fit(self) -> LineFit | None:
        """Return the line under the whole window; None while it has too few points."""
        if self._older is None:
            return None
        return self._older.fit(self._limit, self._floor_ns, is_two_way=self._is_two_way)
