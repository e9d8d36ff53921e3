"""Who reads an old value sees that it is old."""

from dataclasses import replace

from gateway import status
from gateway.stages.silence import REPEATED, Silence, is_repeat
from tests.gateway.plant import SECOND_NS, START_NS, aligned, estimate

PERIODS_NS = {"a:flow": SECOND_NS, "pump": SECOND_NS, "a:fast": SECOND_NS // 100}


def at(second):
    return START_NS + int(second * SECOND_NS)


def watching():
    """Return a watch over a flow that last spoke at second 10."""
    silence = Silence(PERIODS_NS, 5)
    for second in range(11):
        silence.heard(aligned(second=second), at(second))
    return silence


def test_a_silent_signal_is_repeated_once_with_its_own_time_and_an_uncertain_status():
    silence = watching()
    assert silence.tick(at(15)) == []
    (repeat,) = silence.tick(at(15.1))
    assert repeat == replace(aligned(second=10), status=REPEATED)
    assert is_repeat(repeat)
    assert not status.is_good(repeat.status)
    assert not status.is_bad(repeat.status)
    assert silence.tick(at(999)) == []


def test_the_next_value_ends_the_silence_and_it_can_fall_silent_again():
    silence = watching()
    silence.tick(at(20))
    silence.heard(aligned(second=30), at(30))
    assert silence.tick(at(34)) == []
    (repeat,) = silence.tick(at(36))
    assert repeat.time_ns == at(30)


def test_old_values_that_a_node_had_kept_are_not_taken_for_the_last_one():
    silence = watching()
    silence.heard(aligned(second=3, value=99.0), at(11))
    assert silence.tick(at(16)) == []
    (repeat,) = silence.tick(at(16.1))
    assert repeat.time_ns == at(10)


def test_a_bad_value_stays_bad():
    silence = watching()
    silence.heard(aligned(second=11, status=status.BAD_SENSOR_FAILURE), at(11))
    assert silence.tick(at(60)) == []


def test_a_fast_signal_has_a_second_and_an_unknown_one_is_not_watched():
    silence = Silence(PERIODS_NS, 5)
    silence.heard(aligned("a:fast"), at(0))
    silence.heard(aligned("b:unknown"), at(0))
    assert silence.tick(at(1)) == []
    assert [repeat.signal for repeat in silence.tick(at(1.1))] == ["a:fast"]


def test_an_asset_without_rows_has_an_uncertain_estimate_down_to_its_signals():
    silence = Silence(PERIODS_NS, 5)
    record = estimate(second=0)
    dead = replace(record.values[0], signal="a:dead", fused_status=status.BAD_OUT_OF_SERVICE)
    silence.heard(replace(record, values=(*record.values, dead)), at(0))
    (repeat,) = silence.tick(at(9))
    assert (repeat.status, repeat.time_ns) == (REPEATED, START_NS)
    assert [value.fused_status for value in repeat.values] == [REPEATED, status.BAD_OUT_OF_SERVICE]


def test_a_clock_set_back_keeps_watching():
    silence = watching()
    silence.heard(aligned(second=-3600), at(-3600))
    assert silence.tick(at(-3595)) == []
    (repeat,) = silence.tick(at(-3594))
    assert repeat.time_ns == at(-3600)


def test_what_falls_silent_as_the_clock_is_set_back_is_said_without_waiting_for_the_clock():
    silence = watching()
    assert silence.tick(at(-3600)) == []
    assert silence.tick(at(-3595)) == []
    (repeat,) = silence.tick(at(-3594))
    assert repeat.time_ns == at(10)
