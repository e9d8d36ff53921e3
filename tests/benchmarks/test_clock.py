"""The benchmark of clocks: simulated links tell the truth, baselines are what they say."""

import numpy as np
import pytest

from benchmarks.clock import after_a_minute, population
from benchmarks.clock_baselines import LastProbe, LeastSquares, NtpFilter
from benchmarks.clock_links import (
    CLASSES_PPM,
    LINKS,
    START_NS,
    Link,
    Oscillator,
    exponential,
    oscillator,
    record,
)
from benchmarks.clock_polled import backwards, polled


@pytest.mark.parametrize("class_ppm", CLASSES_PPM)
def test_a_crystal_keeps_its_class(class_ppm):
    rng = np.random.default_rng(1)
    for _ in range(50):
        crystal = oscillator(rng, class_ppm)
        skews = [crystal.skew_ppm(second) for second in np.linspace(0, 8_000, 200)]
        assert max(map(abs, skews)) <= class_ppm


def test_a_tuning_fork_of_the_data_sheet():
    """-0.03 ppm/C^2: at 45 C the fork is 12 ppm slow, so the gateway's clock gains 12 ppm."""
    warm = Oscillator(20.0, 0.0, 0.03, 45.0, 0.0, 3600.0)
    assert warm.skew_ppm(0.0) == pytest.approx(12.0)
    assert warm.offset_ns(np.array([100.0]))[0] == pytest.approx(1_200_000)


def test_the_offset_is_the_integral_of_the_rate():
    crystal = oscillator(np.random.default_rng(2), 100.0)
    seconds = np.linspace(0.0, 5_000.0, 50_001)
    rates = np.array([crystal.skew_ppm(second) for second in seconds])
    integral = np.trapezoid(rates, seconds) * 1_000
    assert crystal.offset_ns(seconds[-1:])[0] == pytest.approx(integral, rel=1e-6)


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.name)
def test_stamps_are_in_order_and_of_the_asymmetry_drawn(link: Link):
    seen = record(np.random.default_rng(3), link, 20.0, 300)
    for t1, t2, t3, t4, look in zip(
        seen.t1_ns, seen.t2_us, seen.t3_us, seen.t4_ns, seen.look_ns, strict=True
    ):
        assert START_NS <= t1 < t4 <= look
        assert t2 <= t3
        assert t4 - t1 >= (t3 - t2 - 1) * 1000
    assert (len(seen.t1_ns) < 300) == (link.lost > 0)


def test_baselines():
    last, ntp, line = LastProbe(), NtpFilter(), LeastSquares()
    for second in range(20):
        # Offset grows by 10 us/s; the delay is least at 14 s, within the last eight.
        delay = 1e6 if second == 14 else 5e6
        for one in (last, ntp, line):
            one.exchange(float(second), 10_000.0 * second, delay)
    assert last.offset_at(25.0) == 190_000.0
    assert ntp.offset_at(25.0) == 140_000.0
    assert line.offset_at(25.0) == pytest.approx(250_000.0)
    assert line.skew_ppm == pytest.approx(10.0)
    assert last.skew_ppm == ntp.skew_ppm == 0.0


def test_least_delay_is_of_the_last_eight_only():
    ntp = NtpFilter()
    for second in range(9):
        ntp.exchange(float(second), float(second), float(second))
    assert ntp.offset_at(9.0) == 1.0


@pytest.mark.slow
def test_the_hard_bound_holds_and_the_estimate_beats_the_last_probe():
    tallies = population(len(LINKS) * 2 * 1_000, seed=5)
    for link in LINKS:
        tally = tallies[link.name]
        assert tally.violations == 0
        assert tally.probes > 1_500
        assert (tally.restarts > 0) == link.steps
    errors = tallies["symmetric"].errors_ns
    assert np.median(errors["Twinrig"]) < 0.5 * np.median(errors["least squares"])
    assert np.median(errors["Twinrig"]) < 0.2 * np.median(errors["last probe"])


@pytest.mark.slow
def test_the_rate_after_a_minute():
    told = after_a_minute("exponential", 60, seed=1)
    assert np.median(told[:, 0]) < 1.0
    assert (told[:, 0] <= told[:, 1]).mean() > 0.85


def test_the_same_seed_is_the_same_recording():
    link = Link("any", exponential, 0.1, is_asymmetric=True)
    one, other = (record(np.random.default_rng(9), link, 5.0, 50) for _ in range(2))
    assert one == other


@pytest.mark.parametrize(("step_ns", "period_s"), [(16_000_000, 1.1), (1_000_000_000, 1.0)])
def test_polled_clocks_of_coarse_steps_are_covered(step_ns, period_s):
    told = polled(step_ns, period_s, 300_000, clocks=2, seed=5)
    assert told.violations == 0
    assert min(told.offsets, told.stamps) >= 0.93
    assert told.error_ns <= step_ns / 2


def test_few_samples_of_a_slow_link_are_turned_around():
    pairs, back, worst_ms = backwards(1000, clocks=2, seed=1)
    assert pairs == 2 * 59
    assert back <= pairs // 10
    assert worst_ms < 50
