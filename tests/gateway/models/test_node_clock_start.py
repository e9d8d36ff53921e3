"""How a clock is found at a busy start, when the first answers have waited for seconds."""

from gateway.models.node_clock import Crystal, NodeClock

US = 1_000
MS = 1_000_000
S = 1_000_000_000
START = 1_790_000_000 * S
BEHIND_NS = 10**15
UP_NS, DOWN_NS = 8_800 * US, 7_765 * US


def probe(clock, asked_ns, *, up_ns=UP_NS, down_ns=DOWN_NS):
    """Let a node without rate error answer at once."""
    came_us = (asked_ns + down_ns - BEHIND_NS) // US
    back_ns = asked_ns + down_ns + up_ns
    return clock.exchange(asked_ns, came_us, came_us, back_ns)


def error_ns(clock, now_ns):
    return clock.at(now_ns).offset_ns - BEHIND_NS


def test_a_busy_start_and_two_late_answers_do_not_make_a_rate():
    """A node that starts answers after seconds; later two answers in a row wait for a frame."""
    clock, now_ns = NodeClock(Crystal(100.0)), START
    probe(clock, now_ns, down_ns=2_359 * MS, up_ns=14_800 * US)
    for index in range(30):
        now_ns = START + (3 + 9 * index) * S
        probe(clock, now_ns, up_ns=UP_NS + (10 * MS if index in (5, 6) else 120 * US * (index % 4)))
    belief = clock.at(now_ns)
    assert abs(error_ns(clock, now_ns)) < MS
    assert abs(error_ns(clock, now_ns)) <= belief.uncertainty_ns < 5 * MS
    assert abs(belief.skew_ppm) < 1.0


def test_one_short_round_trip_after_long_ones_starts_the_estimate_anew():
    clock = NodeClock(Crystal(100.0))
    for index in range(4):
        probe(clock, START + index * S, down_ns=900 * MS)
    assert clock.exchanges == 4
    probe(clock, START + 10 * S)
    assert clock.exchanges == 1, "those before were all waiting"
    assert abs(error_ns(clock, START + 10 * S)) < MS


def test_the_hard_interval_is_kept_when_the_estimate_starts_anew():
    kept, fresh = NodeClock(Crystal(0.0)), NodeClock(Crystal(0.0))
    probe(kept, START, down_ns=900 * MS, up_ns=2 * MS)
    for clock in (kept, fresh):
        probe(clock, START + S, up_ns=20 * MS, down_ns=4 * MS)
        assert clock.exchanges == 1
        assert abs(error_ns(clock, START + S)) <= clock.at(START + S).bound_ns
    assert kept.at(START + S).bound_ns < fresh.at(START + S).bound_ns - 3 * MS
