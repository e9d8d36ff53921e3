"""Polled clocks that show coarse steps: covered, however steps and polls beat."""

import math
import random

import pytest

from gateway.models.clock_coarse import is_coarse, open_ns, rate_sureness
from gateway.models.clock_uncertainty import expanded
from gateway.models.node_clock import Crystal, NodeClock

US = 1_000
MS = 1_000_000
S = 1_000_000_000
START = 1_790_000_000 * S


def polled(*, step_ns, period_ns, dither_ns, ppm=20.0, probes=300, seed=1, check=None):
    """Ask a clock that shows whole steps; `check` gets it with the offset there was."""
    clock, rng, now = NodeClock(Crystal(100.0, tick_ns=step_ns)), random.Random(seed), START
    phase_ns = rng.randrange(step_ns)
    for index in range(probes):
        now = START + index * period_ns + rng.randrange(dither_ns + 1)
        came, back = now + 2 * MS + rng.randrange(MS), now + 5 * MS
        node_ns = came - 10**15 - phase_ns + round((came - START) * ppm * 1e-6)
        shown_us = node_ns // step_ns * step_ns // US
        clock.exchange(now, shown_us, shown_us, back)
        if check is not None and index > 30:
            check(clock, back, came - node_ns)
    return clock, now


def test_the_budget_of_a_coarse_clock_adds_up():
    clock, now = polled(step_ns=S, period_ns=S, dither_ns=20 * MS)
    lines = clock.budget(now)
    assert expanded(line.standard_ns for line in lines) == pytest.approx(
        clock.time_of((now - 10**15) // S * S // US).uncertainty_ns, rel=0.01
    )


@pytest.mark.parametrize("dither_ns", [0, 20 * MS])
@pytest.mark.parametrize("period_ns", [S // 2, S, 11 * S // 10, 10 * S])
@pytest.mark.parametrize("step_ns", [US, MS, 16 * MS, S])
def test_a_step_that_beats_with_the_polls_is_no_noise(step_ns, period_ns, dither_ns):
    """Asked at the same place of its step for hours: no number of answers averages that out."""
    covered = []

    def check(clock, at_ns, offset_ns):
        belief = clock.at(at_ns)
        error_ns = abs(belief.offset_ns - offset_ns)
        assert error_ns <= belief.bound_ns
        covered.append(error_ns <= belief.uncertainty_ns)

    for seed in range(4):
        ppm = (20.0, -45.0, 3.0, 0.0)[seed]
        polled(step_ns=step_ns, period_ns=period_ns, dither_ns=dither_ns, ppm=ppm, seed=seed,
               probes=120, check=check)  # fmt: skip
    assert sum(covered) / len(covered) >= 0.93


def test_a_rate_that_a_coarse_step_hides_is_not_claimed():
    """Whole seconds, asked every second: after five minutes 45 ppm have moved it by 14 ms."""
    clock, now = polled(step_ns=S, period_ns=S, dither_ns=0, ppm=45.0)
    belief = clock.at(now)
    assert abs(belief.skew_ppm + 45.0) <= belief.skew_uncertainty_ppm


def test_polls_at_all_places_of_a_step_narrow_it():
    clock, now = polled(step_ns=16 * MS, period_ns=S, dither_ns=40 * MS, probes=500)
    assert clock.at(now).uncertainty_ns < 4 * MS


def test_a_step_is_coarse_against_the_round_trip():
    assert is_coarse(16 * MS, 4 * MS)
    assert is_coarse(US, 0)
    assert not is_coarse(US, 100 * US)


def test_what_an_interval_leaves_open():
    """GUM 4.3.7: +- 8 ms beyond a path of 4 ms round trip, of which the prior takes a quarter."""
    left, path = open_ns(10 * MS, 4 * MS, 0.25)
    assert left == pytest.approx(8 * MS / math.sqrt(3))
    assert path == pytest.approx(0.5 * MS)
    assert open_ns(MS, 4 * MS, 0.25) == (0.0, 0.25 * MS)


def test_a_rate_is_weighed_with_its_class():
    assert rate_sureness(5.0, 1.0, 100.0, S, 0.0) == (0.0, pytest.approx(100.0**2 / 3))
    skew, variance = rate_sureness(5.0, 1.0, 1e6, 1, 1e6)
    assert skew == pytest.approx(5.0)
    assert variance == pytest.approx(1.0)
