"""One way shows the rate and the change, never the offset; impossible stamps move nothing."""

import random

import pytest

from gateway.models.clock_one_way import HeardVerdict, OneWayClock

S = 1_000_000_000
MS = 1_000_000
START = 1_790_000_000 * S


def listen(clock, *, ppm=0.0, seconds=200, first=0, seed=1, behind_ns=10**12):
    """Stamps of a source `behind_ns` behind; the gateway's clock gains `ppm` on it."""
    rng = random.Random(seed)
    for second in range(first, first + seconds):
        received = START + second * S
        gained = round(ppm * 1000 * second)
        late = round(rng.expovariate(1 / MS))
        clock.hear(received - behind_ns - gained - late - 5 * MS, received)
    return received


@pytest.mark.parametrize("ppm", [-80.0, 0.0, 3.0, 80.0])
def test_rate_and_change_are_told(ppm):
    clock = OneWayClock()
    now = listen(clock, ppm=ppm)
    told = clock.at(now)
    assert abs(told.skew_ppm - ppm) <= told.skew_uncertainty_ppm < 5
    assert abs(told.change_ns - ppm * 1000 * 199) <= told.uncertainty_ns < 2 * MS


def test_the_offset_hides_whatever_it_is():
    """Sources that differ in offset by an hour look the same: no number tells them apart."""
    told = []
    for behind_ns in (0, 3600 * S):
        clock = OneWayClock()
        told.append(clock.at(listen(clock, ppm=10, behind_ns=behind_ns)))
    assert told[0] == told[1]


def test_nothing_is_known_before_the_second_stamp():
    clock = OneWayClock()
    assert clock.at(START) is None
    clock.hear(START, START)
    assert clock.at(START) is None


@pytest.mark.parametrize("stamps", [(-1, START), (START, -5), (1 << 63, START), (0, 1 << 70)])
def test_an_absurd_stamp_is_told_and_changes_nothing(stamps):
    clock = OneWayClock()
    now = listen(clock)
    before = clock.at(now)
    assert clock.hear(*stamps).verdict is HeardVerdict.ABSURD
    assert clock.at(now) == before


def test_a_clock_set_forward_is_told_and_not_followed():
    clock = OneWayClock()
    now = listen(clock)
    before = clock.at(now)
    heard = clock.hear(now + S - 10**12 + 60 * S, now + S)
    assert heard.verdict is HeardVerdict.EARLY
    assert heard.excess_ns == pytest.approx(-60 * S, rel=1e-3)
    assert clock.at(now) == before


def test_a_clock_set_back_shows_as_excess_and_does_not_pull():
    """Late by a minute may be waiting: the line stays, the excess says how much."""
    clock = OneWayClock()
    now = listen(clock)
    before = clock.at(now)
    heard = clock.hear(now + S - 10**12 - 60 * S, now + S)
    assert heard.verdict is HeardVerdict.USED
    assert heard.excess_ns == pytest.approx(60 * S, rel=1e-3)
    assert clock.at(now).change_ns == pytest.approx(before.change_ns, abs=MS)


@pytest.mark.slow
def test_whole_seconds_are_a_resolution():
    """Stamps cut to seconds: uniform "waiting" up to a second, nine of ten covered."""
    covered = []
    for seed in range(20):
        clock = OneWayClock(resolution_ns=S)
        rng = random.Random(seed)
        for index in range(400):
            received = START + index * 7 * S // 3 + rng.randrange(S // 3)
            clock.hear((received - 10**12) // S * S, received)
        told = clock.at(received)
        covered += [abs(told.skew_ppm) <= told.skew_uncertainty_ppm]
        covered += [abs(told.change_ns) <= told.uncertainty_ns]
    assert sum(covered) >= 36, covered


def test_a_restart_forgets():
    clock = OneWayClock()
    now = listen(clock)
    clock.restart()
    assert clock.at(now) is None
    assert clock.heard == 0
