"""What a path does is no finding about the clock: shorter ways, ramps, minutes of load."""

import math
import random

import pytest

from gateway.models.clock_checks import Change, ChangeKind
from gateway.models.clock_checks_delay import ShortestDelay
from gateway.models.clock_checks_exchange import ExchangeChecks, ExchangeFinding
from gateway.models.clock_checks_path import RecentTrips
from gateway.models.node_clock import Crystal

MS = 1e6
S = 1_000_000_000
OF_THE_PATH = {ExchangeFinding.ASYMMETRY, ExchangeFinding.ASYMMETRY_OVER}


def watched(wait, *, exchanges, seed=1, skew=lambda _: 20.0):
    """Play exchanges over ways of 2 ms and `wait(rng, time_s)` (down, up) more; return findings."""
    rng, time_s, offset_ns, found = random.Random(seed), 0.0, 5e17, []
    checks = ExchangeChecks(
        Crystal(100.0), false_alarms_per_day=0.01, period_s=10.0, asymmetry_min_ns=5 * MS
    )
    for _ in range(exchanges):
        step_s = 1.0 if checks.is_suspect else 10.0
        time_s += step_s
        offset_ns += skew(time_s) * 1e3 * step_s
        down, up = (2 * MS + rng.expovariate(1 / MS) + more for more in wait(rng, time_s))
        at_ns = round(time_s * S)
        found += [
            (time_s, each)
            for each in checks.exchange(at_ns, round(offset_ns + (up - down) / 2), round(up + down))
        ]
    return found


def names(found):
    return {each.finding for _, each in found}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("is_up", [True, False])
def test_a_way_that_becomes_shorter_is_no_step(seed, is_up):
    def wait(_, time_s):
        more = 30 * MS if time_s < 3000 else 0.0
        return (0.0, more) if is_up else (more, 0.0)

    assert watched(wait, exchanges=500, seed=seed) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_queue_that_grows_for_an_hour_and_is_gone_is_no_clock(seed):
    def wait(_, time_s):
        return (60 * MS * (time_s % 7200) / 3600 if time_s % 7200 < 3600 else 0.0), 0.0

    assert names(watched(wait, exchanges=2200, seed=seed)) <= OF_THE_PATH


@pytest.mark.parametrize(
    ("mean_ms", "load_s", "period_s", "seed"),
    [(40, 300, 3600, 3), (40, 300, 3600, 5), (5, 600, 3600, 2), (40, 900, 7200, 4)],
)
def test_minutes_of_load_on_one_way_are_no_clock(mean_ms, load_s, period_s, seed):
    def wait(rng, time_s):
        return (rng.expovariate(1 / (mean_ms * MS)) if time_s % period_s < load_s else 0.0), 0.0

    assert names(watched(wait, exchanges=4000, seed=seed)) <= OF_THE_PATH


def test_a_slow_loop_that_beats_with_the_probes_is_no_rate():
    """A loop of 100 ms, asked 20 us later in it every second: it looks like 10 ppm, then a step."""
    found = watched(lambda _, time_s: (time_s % 5000 / 5000 * 100 * MS, 0.0), exchanges=2500)
    assert names(found) <= OF_THE_PATH


@pytest.mark.parametrize("seed", [0, 11, 34, 75, 81])
def test_a_rate_is_told_with_a_deviation_that_knows_not_when_it_began(seed):
    """One exchange earlier it would have been as much smaller."""
    found = watched(
        lambda *_: (0.0, 0.0), exchanges=100, seed=seed,
        skew=lambda time_s: 20.0 if time_s <= 600 else -130.0,
    )  # fmt: skip
    told = {each.finding: each for _, each in reversed(found)}
    for finding, size in ((ExchangeFinding.SKEW_CHANGE, 150), (ExchangeFinding.BEYOND_CLASS, 130)):
        assert abs(told[finding].size - size) <= 2 * told[finding].deviation


def test_a_tuning_fork_in_the_weather_makes_no_steps():
    """30 C in half an hour is 4.7 times the wander that is stated: told as rates that change."""
    found = watched(
        lambda *_: (0.0, 0.0), exchanges=2500,
        skew=lambda t: 20 - 0.03 * (15 * math.sin(t * 2 * math.pi / 3600) - 15) ** 2,
    )  # fmt: skip
    assert names(found) == {ExchangeFinding.SKEW_CHANGE}
    assert len(found) <= 8  # a swing an hour, for seven hours


def test_a_shorter_way_is_one_below_what_could_be_expected():
    shortest = ShortestDelay(S)
    assert shortest.shorter_ns(0.0) == 0.0
    for number in range(32):
        shortest.take(number, 10.0 + number % 2)
    assert shortest.shorter_ns(9.99) == 0.0
    assert shortest.shorter_ns(4.0) == pytest.approx(6.0)


def trips(before_ms, since_ms):
    recent = RecentTrips()
    for number in range(10):
        recent.take(number * S, before_ms * MS)
    for number in range(10, 14):
        recent.take(number * S, since_ms * MS)
    return recent


@pytest.mark.parametrize(
    ("kind", "size", "is_explained"),
    [
        (ChangeKind.STEP, -50 * MS, True),
        (ChangeKind.STEP, 80 * MS, False),
        (ChangeKind.FALSE_STAMP, 50 * MS, False),
        (ChangeKind.SKEW, 12_000.0, True),  # 48 ms in four seconds
        (ChangeKind.SKEW, 30_000.0, False),
    ],
)
def test_half_of_what_a_round_trip_changed_by_is_the_paths(kind, size, is_explained):
    change = Change(kind, 9 * S, size, 1.0)
    assert trips(100, 4).explain(change, 13 * S) is is_explained
    assert not trips(4, 4).explain(change, 13 * S)


def test_a_path_that_changed_a_moment_before_explains_as_well():
    change = Change(ChangeKind.STEP, 12 * S, 50 * MS, 1.0)
    assert trips(100, 4).explain(change, 13 * S)


def test_without_a_round_trip_before_it_nothing_is_explained():
    assert not RecentTrips().explain(Change(ChangeKind.STEP, 0, 1.0, 1.0), 1)


def busy_start(more_ns, *, exchanges=40):
    """Play a first answer after seconds, then a link of 16 ms, slower up by `more_ns` later on."""
    checks = ExchangeChecks(
        Crystal(100.0), false_alarms_per_day=0.01, period_s=10.0, asymmetry_min_ns=5 * MS
    )
    rng, found = random.Random(2), checks.exchange(S, round(5e17 - 0.9e9), 1_800_000_000)
    for index in range(1, exchanges):
        up = 8 * MS + rng.expovariate(1 / MS) + (more_ns if index >= exchanges // 2 else 0.0)
        down = 8 * MS + rng.expovariate(1 / MS)
        step_ns = 50 * MS if index >= exchanges // 2 and not more_ns else 0.0
        offset_ns = round(5e17 - step_ns + (up - down) / 2)
        found += checks.exchange((1 + 10 * index) * S, offset_ns, round(up + down))
    return found


def test_an_answer_that_waited_at_the_start_hides_no_step():
    (told,) = busy_start(0.0)
    assert told.finding is ExchangeFinding.STEP
    assert told.size == pytest.approx(50 * MS, abs=3 * MS)


def test_an_answer_that_waited_at_the_start_makes_no_delay_smaller():
    (told,) = busy_start(200 * MS)
    assert told.finding is ExchangeFinding.ASYMMETRY
    assert told.size == pytest.approx(200 * MS, abs=5 * MS)
    assert told.deviation < 5 * MS
