"""The offset interval always holds the truth while the drift limit holds, and faults are seen."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import InternalError
from gateway.models.clock import TICK_NS, OffsetInterval, relative_time_error_ns

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "clock" / "clock_examples.json"
MS = 1_000_000
S = 1_000_000_000


def test_the_textbook_exchange():
    """RFC 5905's formulas on the example of the clock vectors: theta 0.095 s, delta 0.030 s."""
    interval = OffsetInterval(0)
    assert interval.exchange(1000 * S, 1_000_110_000, 1_000_111_000, 1000 * S + 31 * MS)
    offset = interval.at(1000 * S)
    # theta is node minus gateway, ours is gateway minus node; the tick adds its own width.
    assert offset.offset_ns == pytest.approx(-95 * MS, abs=TICK_NS)
    assert offset.bound_ns == pytest.approx(15 * MS, abs=TICK_NS)


@pytest.mark.skipif(not VECTORS.exists(), reason=f"no vectors at {VECTORS}")
def test_the_recorded_vectors():
    for vector in json.loads(VECTORS.read_text())["ntp"]:
        interval = OffsetInterval(0)
        t1, t2, t3, t4 = (round(vector[f"t{i}"] * S) for i in (1, 2, 3, 4))
        assert interval.exchange(t1, t2 // 1000, t3 // 1000, t4)
        offset = interval.at(t4)
        assert offset.offset_ns == pytest.approx(-vector["offset"] * S, abs=2 * TICK_NS)
        assert offset.bound_ns == pytest.approx(vector["delay"] / 2 * S, abs=2 * TICK_NS)


def test_nothing_is_known_before_the_first_exchange():
    interval = OffsetInterval(50)
    assert interval.at(0) is None
    assert interval.time_of(0) is None
    assert interval.arrival(5, 3) is True


def test_the_bound_grows_with_age_by_the_drift():
    interval = OffsetInterval(20)
    interval.exchange(0, 0, 0, 0)
    fresh = interval.at(0).bound_ns
    assert interval.at(50 * S).bound_ns - fresh == 1 * MS


def test_a_second_exchange_narrows_and_never_widens():
    interval = OffsetInterval(0)
    interval.exchange(0, 0, 0, 10 * MS)
    wide = interval.at(10 * MS).bound_ns
    interval.exchange(20 * MS, 15_000, 15_000, 22 * MS)
    assert interval.at(22 * MS).bound_ns < wide


def test_a_contradiction_is_a_fault_and_the_newer_exchange_stands():
    interval = OffsetInterval(10)
    assert interval.exchange(0, 0, 0, 1 * MS)
    assert not interval.exchange(1 * S, 2_000_000, 2_000_000, 1 * S + MS)
    assert interval.at(1 * S).offset_ns == pytest.approx(-1 * S, abs=2 * MS)


@pytest.mark.parametrize("stamps", [(10, 0, 0, 5), (0, 7, 3, 10 * MS), (0, 0, 50_000, 10 * MS)])
def test_an_impossible_exchange_is_a_fault_and_nothing_is_known(stamps):
    interval = OffsetInterval(0)
    assert not interval.exchange(*stamps)
    assert not interval.is_known


def test_an_arrival_before_its_sending_is_a_fault():
    interval = OffsetInterval(0)
    interval.exchange(0, 0, 0, 1 * MS)
    assert interval.arrival(1_000_000, 1 * S + 1 * MS)
    assert not interval.arrival(2_000_000, 1 * S)
    assert not interval.is_known


def test_an_arrival_faster_than_the_probe_narrows_the_bound():
    interval = OffsetInterval(0)
    interval.exchange(0, 5_000, 5_000, 20 * MS)
    wide = interval.at(20 * MS).bound_ns
    assert interval.arrival(30_000, 31 * MS)
    assert interval.at(31 * MS).bound_ns < wide


@given(
    seed=st.integers(0, 10_000),
    ppm=st.floats(-49, 49),
    offset_ns=st.integers(-(10**15), 10**15),
)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_the_truth_is_always_inside_the_bound(seed, ppm, offset_ns):
    """A node with constant skew and an asymmetric, jittering path, for an hour of exchanges."""
    rng = random.Random(seed)
    interval = OffsetInterval(50)

    def tick_us(gateway_ns):
        node_ns = gateway_ns - offset_ns + round(gateway_ns * ppm * 1e-6)
        return node_ns // 1000

    now_ns = 0
    for _ in range(40):
        now_ns += rng.randrange(100 * S)
        there_ns = now_ns + rng.randrange(30 * MS)
        back_ns = there_ns + rng.randrange(5 * MS)
        home_ns = back_ns + rng.randrange(200 * MS)
        assert interval.exchange(now_ns, tick_us(there_ns), tick_us(back_ns), home_ns)
        now_ns = home_ns
        sample_ns = now_ns + rng.randrange(20 * S)
        time_ns, bound_ns = interval.time_of(tick_us(sample_ns))
        assert abs(time_ns - sample_ns) <= bound_ns
        now_ns = sample_ns + rng.randrange(50 * MS)
        assert interval.arrival(tick_us(sample_ns), now_ns)


@pytest.mark.parametrize("ppm", [100, -100])
@pytest.mark.parametrize("age_s", [-3600, 3600, 100_000])
def test_the_bound_holds_at_the_drift_limit_however_old_the_exchange(ppm, age_s):
    """The drift is per gateway time, the age is told in node time: they differ by drift^2 x age."""
    interval = OffsetInterval(100)
    start_ns, start_us = 10**18, 10**12
    interval.exchange(start_ns, start_us, start_us, start_ns)
    node_ns = age_s * (S + ppm * 1000)
    time_ns, bound_ns = interval.time_of(start_us + node_ns // 1000)
    assert abs(time_ns - (start_ns + age_s * S)) <= bound_ns
    assert bound_ns <= abs(age_s) * 100_000 * 1.000_21 + 3 * TICK_NS


@pytest.mark.parametrize("ppm", [-1, 1_000_000])
def test_a_drift_limit_that_bounds_nothing_is_an_error(ppm):
    with pytest.raises(InternalError, match="drift_ppm"):
        OffsetInterval(ppm)


def test_a_relative_time_is_off_by_two_roundings_and_half_a_microsecond():
    assert relative_time_error_ns(0) == 501
    assert relative_time_error_ns((1 << 23) - 1) == 1500
