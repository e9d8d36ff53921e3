"""What a board's counter shows: rates, jumps, temperature, wraps; when its timers end."""

import itertools
import random

import pytest

from hil.board_clock import NOMINAL, BoardClock, Jump, Rate, added, warming

S = 1_000_000_000


def test_a_nominal_clock_shows_the_time_since_the_board_s_start():
    for now_ns, started_ns in ((0, 0), (1, 0), (7 * S + 3, 2 * S)):
        assert NOMINAL.reading_ns(now_ns, started_ns) == now_ns - started_ns
        assert NOMINAL.timer_ns(now_ns, 5 * S) == now_ns + 5 * S


def test_20_ppm_are_72_ms_in_an_hour():
    # standards.md 8.2: 1 ppm is 86.4 ms a day.
    clock = BoardClock([Rate(0, 20.0)])
    assert clock.reading_ns(3600 * S) == 3600 * S + 72_000_000
    assert BoardClock([Rate(0, 1.0)]).reading_ns(86_400 * S) - 86_400 * S == 86_400_000


def test_a_rate_holds_from_its_own_moment_and_the_phase_never_leaps():
    clock = BoardClock([Rate(10 * S, 100.0), Rate(20 * S, 0.0)])
    assert clock.reading_ns(10 * S) == 10 * S
    assert clock.reading_ns(20 * S) == 20 * S + 1_000_000
    assert clock.reading_ns(30 * S) == 30 * S + 1_000_000
    assert (clock.ppm_at(9 * S), clock.ppm_at(10 * S), clock.ppm_at(20 * S)) == (0.0, 100.0, 0.0)


def test_jumps_move_the_reading_and_not_the_timer():
    clock = BoardClock([Rate(0, 50.0)], [Jump(5 * S, 2 * S), Jump(8 * S, -S)])
    before, after = clock.reading_ns(5 * S - 1), clock.reading_ns(5 * S)
    assert after - before in (2 * S, 2 * S + 1)
    assert clock.reading_ns(8 * S) == 8 * S + S + 8 * 50_000
    # Three seconds by the crystal, whatever the counter does meanwhile.
    assert clock.timer_ns(4 * S, 3 * S) == BoardClock([Rate(0, 50.0)]).timer_ns(4 * S, 3 * S)


def test_a_counter_that_begins_anew_forgets_its_jumps_and_its_preset():
    clock = BoardClock(jumps=[Jump(2 * S, S), Jump(10 * S, None), Jump(12 * S, S)], preset_ns=7 * S)
    assert clock.reading_ns(3 * S) == 3 * S + S + 7 * S
    assert clock.reading_ns(10 * S) == 0
    assert clock.reading_ns(13 * S) == 3 * S + S
    # The power goes at 11 s: another start, from zero, with what comes after it.
    assert clock.reading_ns(11 * S + 5, 11 * S) == 5
    assert clock.reading_ns(13 * S, 11 * S) == 2 * S + S


def test_a_counter_wraps_at_its_modulus_and_stops_at_zero():
    wrapping = BoardClock(preset_ns=90 * S, modulus_ns=100 * S)
    assert wrapping.reading_ns(10 * S - 1) == 100 * S - 1
    assert wrapping.reading_ns(10 * S) == 0
    assert BoardClock(jumps=[Jump(S, -5 * S)]).reading_ns(2 * S) == 0


def test_a_tuning_fork_loses_twelve_ppm_twenty_degrees_from_its_top():
    # The data sheet's own example, standards.md 8.2: -12 ppm at 45 degrees.
    clock = BoardClock(warming(100 * S, 50 * S, 45.0, 300 * S))
    assert clock.ppm_at(100 * S) == 0.0
    assert clock.ppm_at(125 * S) == pytest.approx(-3.0), "a quarter at half the difference"
    assert clock.ppm_at(150 * S) == pytest.approx(-12.0)
    assert clock.ppm_at(299 * S) == pytest.approx(-12.0)
    assert clock.ppm_at(325 * S) == pytest.approx(-3.0)
    assert clock.ppm_at(400 * S) == pytest.approx(0.0, abs=1e-9)
    # The integral of -12 u^2 over the ramp is a third of it: 50 s x 4 ppm.
    assert clock.reading_ns(150 * S) == 150 * S - 200_000


def test_several_laws_add_up():
    warm, skew = warming(10 * S, 20 * S, 65.0, None), [Rate(0, 30.0), Rate(15 * S, -10.0)]
    together = BoardClock(added([warm, skew]))
    one, other = BoardClock(warm), BoardClock(skew)
    for now_ns in range(0, 60 * S, S // 3):
        gained = [clock.reading_ns(now_ns) - now_ns for clock in (together, one, other)]
        assert gained[0] == pytest.approx(gained[1] + gained[2], abs=2)


def test_a_timer_ends_when_the_oscillator_has_counted_its_duration():
    draw = random.Random(4)
    clock = BoardClock(
        [Rate(0, 99_000.0), *warming(S, 30 * S, 85.0, 90 * S), Rate(200 * S, -99_000.0)]
    )
    for _ in range(300):
        now_ns, duration_ns = draw.randrange(300 * S), draw.randrange(20 * S)
        end_ns = clock.timer_ns(now_ns, duration_ns)
        counted_ns = clock.reading_ns(end_ns) - clock.reading_ns(now_ns)
        assert counted_ns == pytest.approx(duration_ns, abs=1)
        assert end_ns >= now_ns


def test_a_clock_without_jumps_never_runs_backwards():
    clock = BoardClock(warming(S, 3 * S, 125.0, 10 * S))
    shown = [clock.reading_ns(now_ns) for now_ns in range(0, 20 * S, 7_919_003)]
    assert all(later > earlier for earlier, later in itertools.pairwise(shown))
