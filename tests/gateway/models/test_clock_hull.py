"""The line under all delays: the published example, an LP solver, and the law of its errors."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gateway.models.clock_hull import (
    BLOCK_POINTS,
    CORNERS_MAX,
    Hull,
    fit,
    lowest_line,
    shared_slope,
)

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "clock" / "clock_examples.json"
MS = 1e6
points = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 10**6)), min_size=3, max_size=40)


def hull_of(times, values):
    hull = Hull()
    for time, value in zip(times, values, strict=True):
        hull.add(float(time), float(value))
    return hull


@pytest.mark.skipif(not VECTORS.exists(), reason=f"no vectors at {VECTORS}")
def test_the_recorded_example():
    """Skew by linear programming and lower hull of the clock vectors (synthetic, 25 ppm)."""
    example = json.loads(VECTORS.read_text())["skew"]
    hull = hull_of(*zip(*example["points_sender_time__apparent_delay"], strict=True))
    assert hull.corners == [tuple(corner) for corner in example["lower_hull"]]
    line = lowest_line(hull)
    assert line.slope * 1e6 == pytest.approx(example["lp_skew_ppm"], rel=1e-9)
    assert line.intercept == pytest.approx(example["lp_intercept_us"], rel=1e-9)


@given(steps=points)
@settings(derandomize=True, deadline=None, max_examples=80)
def test_every_point_lies_on_or_above_the_hull(steps):
    times = list(itertools.accumulate(step for step, _ in steps))
    values = [value for _, value in steps]
    hull = hull_of(times, values)
    slopes = hull.slopes()
    assert slopes == sorted(slopes)
    corners = np.array(hull.corners)
    below = np.interp(times, corners[:, 0], corners[:, 1])
    assert np.all(np.array(values) >= below - 1e-6)


@given(steps=points)
@settings(derandomize=True, deadline=None, max_examples=30)
def test_one_way_agrees_with_a_solver_of_linear_programs(steps):
    """The sum of y - a t - b, never negative, by HiGHS: the same least sum, whatever the corner."""
    times = np.cumsum([step for step, _ in steps]).astype(float)
    values = np.array([value for _, value in steps], dtype=float)
    line = lowest_line(hull_of(times, values))
    solved = linprog(
        [-times.sum(), -len(times)],
        A_ub=np.column_stack([times, np.ones_like(times)]),
        b_ub=values,
        bounds=[(None, None)] * 2,
    )
    ours = -(line.slope * times.sum() + line.intercept * len(times))
    assert ours == pytest.approx(solved.fun, rel=1e-7, abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_two_ways_agree_with_a_solver_of_linear_programs(seed):
    """One slope, two intercepts, both sums in one program."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.5, 1.5, 30))
    up = 7_000 * times + rng.exponential(MS, 30)
    down = -7_000 * times + rng.exponential(MS, 30)
    slope = shared_slope(hull_of(times, up), hull_of(times, down), (1.0, 1.0), 50_000.0)
    ones, none = np.ones(30), np.zeros(30)
    solved = linprog(
        [0.0, -30.0, -30.0],
        A_ub=np.vstack(
            [np.column_stack([times, ones, none]), np.column_stack([-times, none, ones])]
        ),
        b_ub=np.concatenate([up, down]),
        bounds=[(-50_000, 50_000), (None, None), (None, None)],
    )
    ours = -30 * ((up - slope * times).min() + (down + slope * times).min())
    assert ours == pytest.approx(solved.fun, rel=1e-9)
    assert slope == pytest.approx(solved.x[0], rel=1e-6)


def test_moments_are_those_of_the_density():
    """p(a) ~ exp(-F(a)/m), integrated on a fine grid."""
    rng = np.random.default_rng(4)
    times = np.arange(24.0)
    up, down = rng.exponential(MS, 24), rng.exponential(MS, 24)
    line = fit(hull_of(times, up), hull_of(times, down), 50_000.0, 1.0)
    grid = np.linspace(-50_000, 50_000, 200_001)
    f_up = (up - grid[:, None] * times).min(axis=1)
    f_down = (down + grid[:, None] * times).min(axis=1)
    total = (up.sum() - grid * times.sum() - 24 * f_up) / line.up_excess_ns
    total += (down.sum() + grid * times.sum() - 24 * f_down) / line.down_excess_ns
    weights = np.exp(total.min() - total)
    mean = (weights * grid).sum() / weights.sum()
    variance = (weights * (grid - mean) ** 2).sum() / weights.sum()
    assert line.skew == pytest.approx(mean, abs=1.0)
    assert line.skew_variance == pytest.approx(variance, rel=1e-3)


@pytest.mark.slow
def test_exponential_waiting_is_covered_and_sharp():
    """300 minutes at 1 probe/s: most true rates within two deviations, errors near 0.6 ppm."""
    rng = np.random.default_rng(2)
    times = np.arange(60.0)
    errors, covered, sharpness = [], 0, []
    for _ in range(300):
        waiting = rng.exponential(MS, (2, 60))
        line = fit(hull_of(times, waiting[0]), hull_of(times, waiting[1]), 50_000.0, 100.0)
        errors.append(abs(line.skew))
        covered += abs(line.skew) <= 2 * math.sqrt(line.skew_variance)
        sharpness.append(line.sharpness)
    assert np.median(errors) < 750
    assert covered / 300 > 0.90
    assert np.quantile(sharpness, 0.95) < 1.5


def test_a_law_without_a_lower_edge_is_seen_to_be_blunt():
    rng = np.random.default_rng(3)
    blunt = hull_of(np.arange(100.0), rng.normal(0, MS, 100))
    assert fit(blunt, blunt, 50_000.0, 100.0).sharpness > 1.9


def test_two_corners_that_tie_give_the_middle():
    """Both ways level between two slopes: neither is likelier, so half way."""
    up, down = hull_of([0, 1], [0, 10]), hull_of([0, 1], [0, 10])
    assert shared_slope(up, down, (1.0, 1.0), 50.0) == pytest.approx(0.0)


def test_bounded_and_patient():
    hull = Hull()
    for time in range(1000):
        hull.add(float(time), float(time * time))
    assert len(hull.corners) == CORNERS_MAX
    few = hull_of(range(BLOCK_POINTS - 1), range(BLOCK_POINTS - 1))
    assert fit(few, None, 1e5, 1.0) is None
    assert fit(hull_of([5.0] * 20, range(20)), None, 1e5, 1.0) is None
