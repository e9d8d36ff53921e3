"""Counters, late data, dates, the host and the peers: each a verdict, whatever comes in."""

import random

import pytest

from gateway.models.clock_checks_frames import (
    MODULI_US,
    Arrivals,
    Counter,
    FrameOrder,
    Lateness,
)
from gateway.models.clock_checks_host import HostState, HostWatch, distrust
from gateway.models.clock_checks_peers import WAIT_NS, Step, StepPeers
from gateway.models.clock_checks_stamps import wrong_date

S = 1_000_000_000
US = 1_000_000


def frames(*items, is_live=False):
    """Feed (sequence, tick s, received s); return what was found."""
    order = FrameOrder()
    found = [
        order.frame(sequence, round(tick_s * US), round(at_s * S), is_live=is_live)
        for sequence, tick_s, at_s in items
    ]
    return [(each.counter, each.size_us / US) for each in found if each is not None]


def test_ticks_that_rise_with_the_numbers_are_right():
    assert frames((0, 1, 101), (1, 2, 102), (5, 3600, 3700), (6, 3600, 3700)) == []


def test_a_counter_that_goes_back_says_how_far_behind_it_is():
    assert frames((0, 500, 1000), (1, 498, 1001)) == [(Counter.BACKWARDS, 3.0)]
    assert frames((0, 500, 1000), (1, 499.5, 1001)) == []


def test_a_counter_that_begins_anew_is_a_restart():
    assert frames((0, 500, 1000), (1, 0.5, 1001)) == [(Counter.RESTARTED, 500.5)]
    assert frames((0, 500, 1000), (1, 30, 1100)) == [(Counter.RESTARTED, 570.0)]


@pytest.mark.parametrize(("words", "modulus_us"), MODULI_US)
def test_a_counter_that_wraps_names_its_modulus(words, modulus_us):
    order = FrameOrder()
    assert order.frame(0, modulus_us - 400_000, 1000 * S, is_live=False) is None
    found = order.frame(1, 600_000, 1001 * S, is_live=False)
    assert (found.counter, found.size_us, found.modulus) == (Counter.WRAPPED, modulus_us, words)
    assert order.frame(2, 1_600_000, 1002 * S, is_live=False) is None


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_counter_that_wrapped_more_than_once_in_an_outage_wrapped(times):
    order = FrameOrder()
    order.frame(0, 3_125 * US, 10_000 * S, is_live=False)
    later_us = times * (1 << 32) - 1_390 * US
    found = order.frame(1, 1_735 * US, 10_000 * S + later_us * 1000, is_live=False)
    assert (found.counter, found.modulus) == (Counter.WRAPPED, "2^32 us")


def test_a_counter_that_begins_anew_after_an_outage_is_a_restart():
    for outage_s in (3600, 7200, 86_400):
        assert frames((0, 5000, 10_000), (1, 30, 10_000 + outage_s)) == [
            (Counter.RESTARTED, 4970.0 + outage_s)
        ]


def test_data_behind_data_is_out_of_order_and_answers_are_not():
    order = FrameOrder()
    assert order.frame(1, 1, S, is_live=False) is None
    assert order.frame(4, 4, S, is_live=True) is None
    assert order.frame(3, 3, S, is_live=False) is None
    assert order.frame(2, 2, S, is_live=False).counter is Counter.REORDERED
    assert order.frame(0, 0, S, is_live=True) is None


@pytest.mark.parametrize("tick_us", [-1, 1 << 63, 1 << 80])
def test_an_absurd_tick_moves_nothing(tick_us):
    order = FrameOrder()
    order.frame(0, 5 * US, S, is_live=False)
    assert order.frame(1, tick_us, 2 * S, is_live=False).counter is Counter.ABSURD
    assert order.frame(1, 6 * US, 2 * S, is_live=False) is None


def test_any_stamps_lead_to_a_verdict():
    rng = random.Random(1)
    order, arrivals = FrameOrder(), Arrivals(30 * S)
    for _ in range(3000):
        numbers = [rng.choice([0, 1, -5, rng.randrange(1 << 64), 1 << 63]) for _ in range(4)]
        order.frame(numbers[0], numbers[1], numbers[2], is_live=rng.random() < 0.5)
        arrivals.frame(numbers[1], numbers[2], numbers[3])
        wrong_date(numbers[1], numbers[2])


def late(ages, *, gap_s=1.0, confirmed=True):
    """Feed one frame in time, then one of each age; return all that was found."""
    arrivals = Arrivals(30 * S)
    arrivals.frame(0, S // 10, 0)
    found = []
    for number, age_s in enumerate(ages):
        received_s = 1000 + number * gap_s
        sent_ns = round((received_s - age_s) * S)
        if arrivals.frame(sent_ns, round(received_s * S), 2000 * S if confirmed else 0):
            found.append(arrivals.found and arrivals.found.lateness)
    return found


def test_frames_that_were_held_back_come_as_a_batch():
    assert late([8, 7, 6, 5, 4, 3, 2, 1, 0.1], gap_s=0.01) == [Lateness.BATCH, None]


def test_frames_that_keep_coming_late_are_stale_once_the_clock_is_confirmed():
    assert late([60] * 6) == [Lateness.STALE]
    assert late([60] * 6, confirmed=False) == []
    assert late([10] * 6) == []


def test_what_a_node_kept_before_anything_came_in_time_is_no_batch():
    arrivals = Arrivals(30 * S)
    assert not any(arrivals.frame(number * S, 500 * S, 501 * S) for number in range(9))


DAY = 86_400 * S
NOW = 1_700_000_000 * S


@pytest.mark.parametrize(
    ("stamp_s", "epoch"),
    [
        (0, "1970-01-01"),
        (946_684_800 + 3600, "2000-01-01"),
        (315_532_800 + 30 * 86_400, "1980-01-01"),
        (2_085_978_496 + 5, "2036-02-07"),
        (-2_208_988_800, "1900-01-01"),
        (-11_644_473_600, "1601-01-01"),
    ],
)
def test_the_date_of_a_clock_nobody_set_names_its_epoch(stamp_s, epoch):
    found = wrong_date(stamp_s * S, NOW)
    assert (found.is_unset, found.epoch) == (True, epoch)
    assert found.away_ns == stamp_s * S - NOW


def test_a_date_near_the_gateways_is_right_even_at_an_epoch():
    assert wrong_date(946_684_800 * S, 946_684_800 * S + DAY) is None
    assert wrong_date(NOW + 2 * DAY, NOW) is None


@pytest.mark.parametrize("stamp_ns", [-(1 << 63), (1 << 63) - 1, 1 << 70, NOW + 4000 * DAY])
def test_a_date_no_clock_shows_is_absurd(stamp_ns):
    assert not wrong_date(stamp_ns, NOW).is_unset


def state(utc_s, monotonic_s, **changed):
    """A reading of a good machine."""
    reading = HostState(round(utc_s * S), round(monotonic_s * S), True, 10_000_000, 1_000, 37)
    return reading._replace(**changed)


def test_the_host_is_seen_to_step_and_not_to_slew():
    watch = HostWatch()
    assert watch.step(state(1000, 1)) is None
    assert watch.step(state(1010.005, 11)) is None
    step = watch.step(state(1020, 12))
    assert step.size_ns == pytest.approx(8.995 * S)
    assert watch.step(state(1021, 13)) is None
    assert watch.step(state(21, 14)).size_ns == -1001 * S
    assert watch.step(state(5, 14)) is None


def raw(seconds, rate_ppm=0.0, slept_s=0.0, set_s=0.0):
    """A machine whose clocks agreed at 0; UTC and its timer are pulled against its oscillator."""
    steady_s = seconds + slept_s
    state_ns = round(steady_s * S)
    raw_ns = round(seconds * (1 - rate_ppm * 1e-6) * S)
    return HostState(1000 * S + state_ns + round(set_s * S), state_ns, True, 1, 1, None, raw_ns)


def watched(*states):
    watch = HostWatch()
    for each in states:
        watch.step(each)
    return watch.slew


def test_utc_that_is_pulled_against_the_raw_oscillator_is_seen():
    slew = watched(*(raw(second, 450.0) for second in range(60)))
    assert slew.rate_ppm == pytest.approx(450, rel=0.01)
    assert slew.since_ns < 1021 * S
    assert 0 < slew.moved_ns < 0.02 * S
    for rate_ppm in (-450, 83_333, -100_000):
        found = watched(*(raw(second, float(rate_ppm)) for second in range(60)))
        assert found.rate_ppm == pytest.approx(rate_ppm, rel=0.15)


def test_what_a_crystal_does_a_sleep_and_a_step_are_not_slewing():
    assert watched(*(raw(second, 150.0) for second in range(60))) is None
    assert watched(*(raw(second, slept_s=3600 * (second > 30)) for second in range(60))) is None
    assert watched(*(raw(second, set_s=5 * (second > 30)) for second in range(60))) is None
    assert watched(*(raw(second)._replace(raw_ns=None) for second in range(60))) is None


def test_slewing_that_has_ended_is_over_after_a_window():
    states = [raw(second, 450.0) for second in range(30)]
    last_ns = states[-1].raw_ns
    states += [raw(second)._replace(raw_ns=last_ns + (second - 29) * S) for second in range(30, 75)]
    assert watched(*states[:30]) is not None
    assert watched(*states) is None


def test_a_host_is_distrusted_for_what_it_says_itself():
    assert distrust(state(1, 1), S) is None
    assert "STA_UNSYNC" in distrust(state(1, 1, is_synchronised=False), S)
    assert "16000 ms" in distrust(state(1, 1, max_error_ns=16 * S), S).replace("1.6e+04", "16000")
    assert distrust(state(1, 1, max_error_ns=None), S) is None


def peers(*stepped, others=(), sizes=None):
    """Let sources step at 10 s; the others are heard before and after."""
    found = StepPeers()
    for name in (*stepped, *others):
        found.heard(name, 9 * S, is_sure=True)
    for number, name in enumerate(stepped):
        size = 5e6 if sizes is None else sizes[number]
        found.stepped(Step(name, 8 * S, 10 * S, size, 1e5))
    return found


def test_sources_that_step_alike_show_the_gateways_step():
    (decision,) = peers("a", "b", "c").decide(10 * S, 60 * S)
    assert decision.is_common
    assert len(decision.steps) == 3


def test_a_step_waits_for_the_others_and_is_the_sources_if_they_saw_none():
    waiting = peers("a", others=("b", "c"))
    assert waiting.decide(11 * S, 60 * S) == []
    waiting.heard("b", 11 * S, is_sure=True)
    waiting.heard("c", 11 * S, is_sure=False)
    assert waiting.decide(11 * S, 60 * S) == []
    waiting.heard("c", 12 * S, is_sure=True)
    (decision,) = waiting.decide(12 * S, 60 * S)
    assert (decision.is_common, decision.asked) == (False, 2)
    assert not waiting.is_waiting


def test_a_step_does_not_wait_for_ever_nor_for_the_dead():
    assert len(peers("a", others=("b",)).decide(10 * S + WAIT_NS, 60 * S)) == 1
    assert len(peers("a", others=("b",)).decide(11 * S, S)) == 1
    assert len(peers("a", others=("b",)).decide(0, 60 * S)) == 1


def test_steps_of_different_sizes_are_the_sources_own():
    found = peers("a", "b", sizes=(5e6, -7e6)).decide(10 * S, 60 * S)
    assert [decision.is_common for decision in found] == [False, False]
