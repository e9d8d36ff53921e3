"""Windows forget without keeping points, and lose no digits over years."""

import math

import pytest

from gateway.models.clock_hull import BLOCK_POINTS, BLOCK_S
from gateway.models.clock_window import ClockWindow

MS = 1e6


def window(**changes):
    return ClockWindow(**({"skew_max": 50_000.0, "floor_ns": 100.0} | changes))


def test_nothing_is_known_of_an_empty_window():
    assert window().fit() is None
    assert window().least_ns == math.inf
    assert window().points == 0


def test_the_rate_of_delays_without_waiting():
    """Skew 20 ppm: the way up grows by 20 us/s, the way down shrinks by as much."""
    ours = window()
    for second in range(40):
        ours.add(float(second), 3 * MS + 20_000 * second, 5 * MS - 20_000 * second)
    line = ours.fit()
    assert line.skew == pytest.approx(20_000, abs=20)
    assert line.half_ns == pytest.approx(4 * MS, rel=1e-3)
    assert line.offset_ns == pytest.approx(-MS + 20_000 * line.time_s, rel=1e-3)


def test_two_blocks_at_most_and_the_old_is_forgotten():
    ours = window()
    told = []
    for second in range(4 * int(BLOCK_S)):
        is_old = second < 2 * BLOCK_S
        told.append(ours.add(float(second), 1 * MS if is_old else 9 * MS, 1 * MS))
        assert ours.points <= 2 * BLOCK_S + 2
    assert ours.blocks == sum(line is not None for line in told) == 3
    assert ours.least_ns == 10 * MS


def test_a_slow_source_fills_a_block_by_count():
    ours = window()
    for minute in range(3 * BLOCK_POINTS):
        ours.add(60.0 * minute, MS, MS)
    assert ours.blocks == 3


def test_a_point_from_before_is_left_out():
    ours = window()
    ours.add(10.0, MS, MS)
    ours.add(5.0, 0.0, 0.0)
    assert ours.points == 1
    assert ours.least_ns == 2 * MS


def test_ten_years_cost_no_digits():
    """At 50 ppm the offset has grown by 16 ks; microseconds are still told."""
    ours = window()
    for second in range(int(3e8), int(3e8) + 200):
        drifted = 50_000.0 * second
        ours.add(float(second), 2 * MS + drifted, 2 * MS - drifted)
    line = ours.fit()
    assert line.skew == pytest.approx(50_000, abs=10)
    assert line.offset_ns == pytest.approx(50_000 * line.time_s, abs=1_000)


def test_one_way_has_no_round_trip():
    ours = window(is_two_way=False)
    for second in range(30):
        ours.add(float(second), 7 * MS - 30_000 * second)
    line = ours.fit()
    assert line.skew == pytest.approx(-30_000, abs=20)
    assert line.half_ns == 0.0
