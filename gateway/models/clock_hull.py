"""Rate of a clock from the fastest messages: the line under all delays that lies closest to them.

One way (Moon, Skelly, Towsley: Estimation and removal of clock skew from network delay
measurements, INFOCOM 1999): of points (t_i, y_i), y_i = received - sent, find the line a t + b

    minimise  sum(y_i - a t_i - b)   subject to   y_i - a t_i - b >= 0.

For a given a the best b is min(y_i - a t_i), a corner of the lower convex hull, so the sum is
convex and piecewise linear in a and least at an edge of the hull: the one above the mean of t.

Two ways share the rate: y_up rises by it and y_down falls by it, each over its own least delay;

    F(a) = sum(up_i - a t_i - b_up(a)) + sum(down_j + a t_j - b_down(a))

is convex and piecewise linear too, its corners are the slopes of both hulls, and walking over them
finds the exact minimum. If delays above the least follow an exponential law with mean m, that line
is the most likely one, and integrating both intercepts out leaves p(a) ~ exp(-F(a) / m): moments in
closed form on every piece (Pitman's estimator of the rate, and its variance).

Promises: a point costs O(1) amortised (Andrew's monotone chain, 1979, with times that only grow),
a hull is bounded by `CORNERS_MAX`, and only the last one to two blocks of time count, so a crystal
that warms up is followed. Times in s and delays in ns from an origin of each block.
Left to others: whether the law of the delays is sharp enough to believe it (`sharpness`).
"""

import math
from itertools import pairwise
from typing import Final, NamedTuple, final

CORNERS_MAX: Final = 128
"""Corners of a hull. A random one has about 2 ln n; this many mean a curve, whose oldest part may
be forgotten."""
BLOCK_S: Final = 64.0
"""A block of points ends after this time: in it 0.01 ppm/s make 0.6 ppm, the order of what jitter
of 1 ms leaves open."""
BLOCK_POINTS: Final = 8
"""... but not with fewer points than these, from which no line could be told."""
_CUT: Final = 30.0
"""Pieces of the density below exp(-30) of its peak are left out."""


@final
class Hull:
    """Lower convex hull of points whose times only grow, and the sums over all points."""

    __slots__ = ("corners", "count", "sum_square", "sum_time", "sum_time_square", "sum_time_value",
                 "sum_value")  # fmt: skip

    def __init__(self) -> None:
        self.corners: list[tuple[float, float]] = []
        self.count = 0
        self.sum_time = 0.0
        self.sum_value = 0.0
        self.sum_square = 0.0
        self.sum_time_value = 0.0
        self.sum_time_square = 0.0

    def add(self, time: float, value: float) -> None:
        """Add a point; of points at the same time the lowest counts for the hull."""
        self.count += 1
        self.sum_time += time
        self.sum_value += value
        self.sum_square += value * value
        self.sum_time_value += time * value
        self.sum_time_square += time * time
        corners = self.corners
        if corners and corners[-1][0] >= time:
            if corners[-1][1] <= value:
                return
            corners.pop()
        while len(corners) > 1:
            (time_0, value_0), (time_1, value_1) = corners[-2], corners[-1]
            if (value_1 - value_0) * (time - time_0) < (value - value_0) * (time_1 - time_0):
                break
            corners.pop()
        corners.append((time, value))
        if len(corners) > CORNERS_MAX:
            del corners[0]

    def slopes(self) -> list[float]:
        """Return the slopes of the edges, which ascend."""
        corners = self.corners
        return [
            (after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(corners)
        ]

    def support(self, slope: float) -> tuple[float, float]:
        """Return the corner on which a line of this slope rests from below."""
        return min(self.corners, key=lambda corner: corner[1] - slope * corner[0])

    def edge_scale(self, slope: float, floor_ns: float) -> tuple[float, float]:
        """Return the scale m of the delays just above that line, and their sharpness.

        What counts is how dense they are at the edge: 1 / m for an exponential law of mean m. Of a
        law that is flatter there, mean times sharpness comes near it (uniform: 0.87 of it).
        """
        excess = self.mean_excess(slope)
        sharpness = excess / max(self.spread(slope), floor_ns)
        # Slope and intercept were fitted to the points, which takes two of them.
        excess *= self.count / (self.count - 2)
        return max(excess * max(sharpness, 1.0), floor_ns), sharpness

    def mean_excess(self, slope: float) -> float:
        """Return the mean height of the points above that line."""
        time, value = self.support(slope)
        return (self.sum_value - slope * self.sum_time) / self.count - (value - slope * time)

    def spread(self, slope: float) -> float:
        """Return the standard deviation of the points about a line of this slope."""
        mean = (self.sum_value - slope * self.sum_time) / self.count
        square = self.sum_square - 2 * slope * self.sum_time_value
        return math.sqrt(max((square + slope**2 * self.sum_time_square) / self.count - mean**2, 0))


class Line(NamedTuple):
    """The line that minimises the sum of the delays above it."""

    slope: float
    intercept: float


class LineFit(NamedTuple):
    """Rate and offset of a clock from a window of points, as moments of their density."""

    time_s: float
    """Time at which `offset_ns` and the rate are independent."""
    offset_ns: float
    """Middle between the fitted shortest ways; for one way the fitted shortest way."""
    offset_variance: float
    half_ns: float
    """Half of the fitted shortest round trip; 0 for one way."""
    skew: float
    """ns/s."""
    skew_variance: float
    up_excess_ns: float
    """Mean delay above the fitted shortest way up."""
    down_excess_ns: float
    sharpness: float
    """Mean excess over spread, the larger of both ways: 1 for an exponential law, above 1.7 for one
    without a sharp lower edge (uniform 1.7, normal 2.3 for 60 points)."""
    span_s: float
    points: int


class _Piece(NamedTuple):
    low: float
    high: float
    gradient: float


def lowest_line(hull: Hull) -> Line:
    """Return the optimum of the linear program of one way; a level line for a single point.

    Moon, Skelly, Towsley (1999), section IV; the hull has at least one corner.
    """
    pieces = _pieces(hull, None, (1.0, 0.0), math.inf)
    slope = _lowest(pieces) if pieces else 0.0
    time, value = hull.support(slope)
    return Line(slope, value - slope * time)


def shared_slope(up: Hull, down: Hull, weights: tuple[float, float], limit: float) -> float:
    """Return the rate that minimises the weighted sum of the delays of both ways."""
    return _lowest(_pieces(up, down, weights, limit))


def fit(up: Hull, down: Hull | None, limit: float, floor_ns: float) -> LineFit | None:
    """Return rate and offset from one way or two; None below `BLOCK_POINTS` points.

    `limit` is the largest rate believed possible, ns/s; `floor_ns` the least mean delay above the
    shortest one that is believed (a step of the clock).
    """
    span_s = up.corners[-1][0] - up.corners[0][0] if up.corners else 0.0
    if up.count < BLOCK_POINTS or span_s <= 0 or (down is not None and not down.corners):
        return None
    slope = _lowest(_pieces(up, down, (1.0, 1.0), limit))
    up_ns, sharpness = up.edge_scale(slope, floor_ns)
    down_ns, down_sharpness = up_ns, sharpness
    if down is not None:
        down_ns, down_sharpness = down.edge_scale(-slope, floor_ns)
    pieces = _pieces(up, down, (1 / up_ns, 1 / down_ns), limit)
    skew, variance = _moments(pieces, _lowest(pieces))
    place = _place(up, down, skew, (up_ns / up.count, down_ns / up.count))
    return LineFit(
        *place, skew, variance, up_ns, down_ns, max(sharpness, down_sharpness), span_s, up.count
    )


def _place(
    up: Hull, down: Hull | None, skew: float, edges: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Return time, offset, variance of it and half round trip of lines of this rate.

    Given the rate, an intercept lies below its hull by an exponential law of mean m / n (`edges`).
    """
    time, value = up.support(skew)
    if down is None:
        return time, value - edges[0], edges[0] ** 2, 0.0
    down_time, down_value = down.support(-skew)
    middle = (time + down_time) / 2
    high = value + skew * (middle - time) - edges[0]
    low = edges[1] + skew * (middle - down_time) - down_value
    variance = (edges[0] ** 2 + edges[1] ** 2) / 4
    return middle, (high + low) / 2, variance, (high - low) / 2


def _pieces(
    up: Hull, down: Hull | None, weights: tuple[float, float], limit: float
) -> list[_Piece]:
    """Return the pieces on which F is linear, ascending, each with its gradient.

    dF/da = w_up (n t_up - sum t) + w_down (sum t - n t_down), where t_up and t_down are the corners
    that support the lines: with a growing rate the one moves on, the other back.
    """
    steps = [
        (slope, weights[0] * up.count * (after[0] - before[0]))
        for slope, before, after in zip(up.slopes(), up.corners, up.corners[1:], strict=False)
    ]
    gradient = weights[0] * (up.count * up.corners[0][0] - up.sum_time)
    if down is not None:
        corners = down.corners
        steps += [
            (-slope, weights[1] * down.count * (after[0] - before[0]))
            for slope, before, after in zip(down.slopes(), corners, corners[1:], strict=False)
        ]
        gradient += weights[1] * (down.sum_time - down.count * corners[-1][0])
    steps.sort()
    pieces, low = [], -limit
    for slope, step in steps:
        if slope > low:
            high = min(slope, limit)
            pieces.append(_Piece(low, high, gradient))
            low = high
        gradient += step
    if low < limit:
        pieces.append(_Piece(low, limit, gradient))
    return pieces


def _lowest(pieces: list[_Piece]) -> float:
    """Return where F is least; the middle if it is level there."""
    for piece in pieces:
        if piece.gradient > 0:
            return piece.low
        if piece.gradient == 0:
            return (piece.low + piece.high) / 2
    return pieces[-1].high


def _moments(pieces: list[_Piece], lowest: float) -> tuple[float, float]:
    """Return mean and variance of a density proportional to exp(-F), F given by its gradients."""
    above = [(p.gradient, p.high - max(p.low, lowest)) for p in pieces if p.high > lowest]
    below = [(-p.gradient, min(p.high, lowest) - p.low) for p in pieces[::-1] if p.low < lowest]
    total = first = second = 0.0
    for sign, side in ((1.0, above), (-1.0, below)):
        start = height = 0.0
        for gradient, length in side:
            mass, mean, square = _piece_moments(gradient, length)
            weight = math.exp(-height)
            total += weight * mass
            first += sign * weight * (start * mass + mean)
            second += weight * (start**2 * mass + 2 * start * mean + square)
            start += length
            height += gradient * length
            if height > _CUT:
                break
    mean = first / total
    return lowest + mean, max(second / total - mean**2, 0.0)


def _piece_moments(gradient: float, length: float) -> tuple[float, float, float]:
    """Return the integrals of 1, x and x^2 times exp(-gradient x) over 0..length."""
    k = gradient * length
    if k < 1e-3:
        return (
            length * (1 - k / 2), length**2 * (1 / 2 - k / 3), length**3 * (1 / 3 - k / 4)
        )  # fmt: skip
    rest = math.exp(-k) if k < 700 else 0.0
    return (
        (1 - rest) / gradient,
        (1 - rest * (1 + k)) / gradient**2,
        (2 - rest * (2 + 2 * k + k * k)) / gradient**3,
    )
