"""What contradicts makes a clock unknown; two answers that agree make it known again."""

import pytest

from gateway import status
from gateway.models.node_clock import Crystal, ExchangeVerdict
from gateway.records_time import SyncCause, SyncCheck
from gateway.stages.sync_agreed import AgreedClock
from tests.gateway.stages.clocks import MS, Plant, S

# --- one clock ------------------------------------------------------------------------------------


def stamps(at_s, ahead_us=0):
    """Return an exchange of 4 ms with a clock that counts from 1000 s."""
    tick_us = (at_s - 1000) * 1_000_000 + 2000 + ahead_us
    return at_s * S, tick_us, tick_us, at_s * S + 4 * MS


@pytest.fixture
def clock():
    made = AgreedClock(Crystal(50.0))
    for at_s in (2000, 2010):
        assert made.exchange(stamps(at_s)).verdict is ExchangeVerdict.USED
    return made


def test_the_first_exchange_is_believed():
    made = AgreedClock(Crystal(50.0))
    made.exchange(stamps(2000))
    assert made.clock.is_known
    assert made.started_ns == 2000 * S + 4 * MS


@pytest.mark.parametrize("ahead_us", [100_000, -100_000])
def test_one_false_exchange_never_moves_a_clock(clock, ahead_us):
    assert clock.exchange(stamps(2020, ahead_us)).verdict is ExchangeVerdict.CONTRADICTION
    assert not clock.clock.is_known
    assert clock.exchange(stamps(2021)).verdict is ExchangeVerdict.CONTRADICTION
    assert not clock.clock.is_known
    assert clock.is_in_doubt
    assert clock.exchange(stamps(2022)).verdict is ExchangeVerdict.USED
    assert abs(clock.clock.at(2022 * S).offset_ns - 1000 * S) <= 3 * MS
    assert clock.started_ns == 2021 * S + 4 * MS


def test_a_clock_that_did_step_is_known_with_the_second_exchange(clock):
    clock.exchange(stamps(2020, 100_000))
    clock.exchange(stamps(2021, 100_000))
    assert not clock.is_in_doubt
    assert abs(clock.clock.at(2021 * S).offset_ns - 1000 * S + 100 * MS) <= 3 * MS


def test_after_doubt_of_another_kind_one_exchange_is_not_enough(clock):
    clock.doubt()
    clock.exchange(stamps(2020))
    assert not clock.clock.is_known
    clock.exchange(stamps(2021))
    assert clock.clock.is_known


def test_a_clock_that_was_withdrawn_believes_its_next_exchange(clock):
    clock.exchange(stamps(2020, 100_000))
    clock.restart()
    clock.exchange(stamps(2021))
    assert clock.clock.is_known


def test_an_impossible_exchange_ends_no_doubt(clock):
    clock.doubt()
    clock.exchange(stamps(2020))
    assert clock.exchange((2021 * S, 10, 5, 2021 * S)).verdict is ExchangeVerdict.NEGATIVE_DELAY
    assert not clock.clock.is_known


# --- nodes ----------------------------------------------------------------------------------------


def answer_off_by(plant, node, off_us):
    """Have the next probe of a node answered with stamps that are off."""
    while True:
        plant.now_ns += S // 10
        due = [each for each in plant.sync.due_probes(plant.now_ns) if each.source == node.name]
        if due:
            break
    plant.sync.probe_sent(node.name, due[0].probe_id, plant.now_ns)
    tick_us = node.tick_us(plant.now_ns + 3 * MS) + off_us
    data = node.sim.answer(node.sequence, due[0].probe_id, tick_us, tick_us)
    node.sequence += 1
    plant.push(node, data, plant.now_ns + 6 * MS)


@pytest.mark.parametrize("off_us", [100_000, -100_000, 900_000])
def test_one_false_answer_gives_no_value_a_time(off_us):
    plant = Plant("a", "b", "c")
    plant.run(120)
    node = plant.nodes["a"]
    answer_off_by(plant, node, off_us)
    accurate = []
    for second in range(30):
        for tenth in range(3, 10):
            at_ns = plant.now_ns + tenth * S // 10
            (value,) = plant.frame(node, at_ns=at_ns)
            assert abs(value.time_ns - (at_ns - node.up_ns)) <= value.bound_ns
            if value.status == status.GOOD:
                accurate.append(second)
        plant.now_ns += S // 2
        plant.second()
        plant.now_ns -= S // 2
    assert 1 <= accurate[0] <= 4
    assert len(accurate) >= 7 * 25
    (told,) = [each for each in plant.records if isinstance(each, SyncCheck)]
    assert told.cause is SyncCause.ABSURD_STAMP
    assert "followed anew without it" in told.text


@pytest.mark.parametrize("size_ns", [3 * S, -3 * S, 200 * MS, -200 * MS, 40 * MS])
def test_a_frame_sealed_before_a_step_does_not_get_the_clock_of_after_it(size_ns):
    plant = Plant("a", "b", "c", storing=["a"], options={"hold_ns": 5 * S})
    plant.run(120)
    node = plant.nodes["a"]
    kept = [(node.sequence + n, node.tick_us(plant.now_ns + n * S)) for n in range(3)]
    node.sequence += 3
    plant.now_ns += 3 * S
    node.offset_ns -= size_ns
    plant.run(40)
    for number, tick_us in kept:
        data = node.sim.frame(number, [("x", "V", 1.0, 0.0)], tick_us=tick_us)
        (value,) = plant.push(node, data, plant.now_ns)
        assert value.status != status.GOOD
        assert value.bound_ns > 3600 * S
    (value,) = plant.frame(node)
    assert abs(value.time_ns - (plant.now_ns - node.up_ns)) <= value.bound_ns < 20 * MS


def test_a_step_that_contradicts_nothing_is_followed_from_its_finding_on():
    """A path of 16 ms there and back leaves room for a step of 12 ms."""
    plant = Plant("a", "b")
    for node in plant.nodes.values():
        node.up_ns = node.down_ns = 8 * MS
    plant.run(300)
    node = plant.nodes["a"]
    node.offset_ns -= 12 * MS
    plant.run(120)
    assert plant.sync.clocks(plant.now_ns)[0].faults == {}
    told = [each.cause for each in plant.records if isinstance(each, SyncCheck) and each.is_active]
    assert told == [SyncCause.STEP]
    (value,) = plant.frame(node)
    assert abs(value.time_ns - (plant.now_ns - node.up_ns)) <= value.bound_ns < 20 * MS


def test_an_answer_sealed_before_a_break_is_not_used():
    plant = Plant("a")
    plant.run(60)
    node = plant.nodes["a"]
    plant.sync.probe_sent("a", 5, plant.now_ns)
    tick_us = node.tick_us(plant.now_ns)
    late = node.sim.answer(node.sequence, 5, tick_us, tick_us)
    node.sequence += 1
    node.offset_ns -= 3 * S
    plant.now_ns += S
    plant.frame(node)
    plant.push(node, late, plant.now_ns + 2 * MS)
    (state,) = plant.sync.clocks(plant.now_ns)
    assert (state.is_known, state.faults["answer_of_before"]) == (False, 1)


# --- nodes that store -----------------------------------------------------------------------------


def storing():
    plant = Plant("a", "b", storing=["a", "b"], options={"hold_ns": 5 * S})
    plant.run(60)
    plant.sync.released(plant.now_ns)
    return plant, plant.nodes["a"]


def test_after_the_gateways_clock_was_set_values_wait_and_keep_their_time():
    plant, node = storing()
    for each in plant.nodes.values():
        each.offset_ns -= 5 * S
    plant.now_ns -= 5 * S
    plant.sync.tick(plant.now_ns)
    times = [plant.now_ns + number * 100 * MS for number in range(3)]
    assert [plant.frame(node, at_ns=at_ns) for at_ns in times] == [[], [], []]
    plant.run(2)
    freed = [values[0] for item, values in plant.sync.released(plant.now_ns) if item.source == "a"]
    for value, at_ns in zip(freed, times, strict=False):
        assert abs(value.time_ns - (at_ns - node.up_ns)) <= value.bound_ns < 20 * MS


def test_after_a_step_live_values_wait_and_keep_their_time():
    plant, node = storing()
    node.offset_ns -= 3 * S
    plant.now_ns += S
    assert plant.frame(node) == []
    plant.run(3)
    (_, (value,)), *_ = plant.sync.released(plant.now_ns)
    assert abs(value.time_ns - (plant.now_ns - 3 * S - node.up_ns)) <= value.bound_ns < 20 * MS
