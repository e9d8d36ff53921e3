"""What happens to frames between a board and the gateway."""

import random

from hil.link_path import Ambient, Arrival, Disturbance, LinkPath

S = 1_000_000_000
MS = 1_000_000


def path(*disturbances: Disturbance, ambient: Ambient | None = None, seed: int = 1) -> LinkPath:
    return LinkPath(ambient or Ambient(), disturbances, random.Random(seed))


def disturbance(kind, size_ns: int = 0, share: float = 1.0) -> Disturbance:
    return Disturbance(kind=kind, from_ns=10 * S, until_ns=20 * S, size_ns=size_ns, share=share)


def frame(number: int) -> bytes:
    return bytes([number + 1]) * 3 + b"\x00"


def test_on_a_good_path_every_frame_arrives_at_once_however_it_is_cut():
    line = path()
    assert line.up(5, b"ab") == []
    assert line.up(7, b"c\x00de\x00f") == [Arrival(7, b"abc\x00"), Arrival(7, b"de\x00")]
    assert line.up(9, b"\x00") == [Arrival(9, b"f\x00")]
    assert line.down(11, b"xyz") == [Arrival(11, b"xyz")]


def test_what_never_ends_is_not_kept_for_ever():
    line = path()
    for _ in range(40):
        assert line.up(0, b"a" * 4096) == []
    assert [len(each.data) for each in line.up(0, b"\x00")] < [65_537]


def test_a_delay_concerns_one_direction_and_keeps_the_order():
    line = path(disturbance("delay_up", 300 * MS))
    assert line.up(9 * S, frame(0))[0].at_ns == 9 * S
    assert line.up(20 * S - 1, frame(1))[0].at_ns == 20 * S - 1 + 300 * MS
    # It is over, but nobody overtakes on a line.
    assert line.up(20 * S, frame(2))[0].at_ns == 20 * S - 1 + 300 * MS
    assert line.up(21 * S, frame(3))[0].at_ns == 21 * S
    assert line.down(15 * S, b"x") == [Arrival(15 * S, b"x")]
    assert path(disturbance("delay_down", MS)).down(15 * S, b"x") == [Arrival(15 * S + MS, b"x")]


def test_what_is_held_back_comes_together_and_in_order():
    line = path(disturbance("hold_back"))
    arrivals = [line.up((10 + k) * S, frame(k))[0] for k in range(11)]
    assert [each.at_ns for each in arrivals] == [20 * S] * 11
    assert [each.data for each in arrivals] == [frame(k) for k in range(11)]


def test_duplicates_come_twice():
    assert path(disturbance("duplicate")).up(15 * S, frame(0)) == [Arrival(15 * S, frame(0))] * 2


def test_reordered_frames_are_overtaken():
    line = path(disturbance("reorder", 1500 * MS, share=0.5), seed=3)
    arrivals = [arrival for k in range(10) for arrival in line.up((10 + k) * S, frame(k))]
    order = [each.data[0] - 1 for each in sorted(arrivals)]
    assert sorted(order) == list(range(10))
    assert order != sorted(order)


def test_a_replay_sends_again_what_was_heard_so_long_ago_even_if_it_was_lost():
    line = path(disturbance("replay", 8 * S), disturbance("loss"))
    assert line.up(S, frame(0)) == [Arrival(S, frame(0))]
    assert line.up(2 * S, frame(1)) == [Arrival(2 * S, frame(1)), Arrival(10 * S, frame(1))]
    assert line.up(11 * S, frame(2)) == [Arrival(19 * S, frame(2))]
    assert line.up(12 * S, frame(3)) == []


def test_loss_and_jitter_follow_the_seed():
    ambient = Ambient(delay_up_ns=5 * MS, jitter_up_ns=2 * MS, jitter_down_ns=3 * MS, loss=0.2)

    def played(seed: int) -> list[Arrival]:
        line = path(ambient=ambient, seed=seed)
        return [each for k in range(500) for each in line.up(k * S, frame(k % 200))]

    assert played(1) == played(1) != played(2)
    arrivals = played(1)
    assert 360 < len(arrivals) < 440
    extra = [each.at_ns % S - 5 * MS for each in arrivals]
    assert min(extra) >= 0
    assert 1.6 * MS < sum(extra) / len(extra) < 2.4 * MS
