"""What sync finds out about clocks: each cause by its name, begun once and ended once."""

import pytest

from gateway.models.clock_checks_host import HostState
from gateway.records_time import ClockEstimate, SyncCause, SyncCheck
from tests.gateway.stages.clocks import EPOCH, MS, Plant, S
from tests.gateway.stages.frames import received


@pytest.fixture
def plant():
    made = Plant("a", "b", "c")
    assert made.run(120) == []
    return made


def test_each_answer_leads_to_one_estimate(plant):
    estimates = [each for each in plant.records if isinstance(each, ClockEstimate)]
    assert len(estimates) == sum(state.answers for state in plant.sync.clocks(plant.now_ns))
    last = estimates[-1]
    assert abs(last.offset_ns - plant.nodes["c"].offset_ns) <= last.bound_ns
    assert last.uncertainty_ns <= last.bound_ns
    assert "cannot be seen" in last.text


@pytest.mark.parametrize("size_ns", [30 * MS, -30 * MS, 3 * S, -S // 2])
def test_one_node_that_steps_is_told_to_have_stepped(plant, size_ns):
    plant.nodes["a"].offset_ns -= size_ns
    ((source, cause, size),) = plant.run(30)
    assert (source, cause) == ("a", SyncCause.STEP)
    assert size == pytest.approx(size_ns / S, abs=0.01)
    told = [each for each in plant.records if isinstance(each, SyncCheck)][-1]
    assert "it is this source's" in told.text
    plant.run(70)
    over = [each for each in plant.records if isinstance(each, SyncCheck)][-1]
    assert (over.cause, over.is_active, over.sequence) == (SyncCause.STEP, False, 1)
    (value,) = plant.frame(plant.nodes["a"])
    assert abs(value.time_ns - (plant.now_ns - 2 * MS)) <= value.bound_ns < 20 * MS


def test_nodes_that_step_together_show_the_gateways_step(plant):
    for node in plant.nodes.values():
        node.offset_ns += 40 * MS
    ((source, cause, size),) = plant.run(30)
    assert (source, cause) == ("gateway", SyncCause.GATEWAY_CLOCK)
    assert size == pytest.approx(0.04, abs=0.01)


def test_a_lone_source_cannot_tell_whose_clock_stepped():
    alone = Plant("a")
    assert alone.run(60) == []
    alone.nodes["a"].offset_ns += 40 * MS
    alone.run(30)
    (told,) = [each for each in alone.records if isinstance(each, SyncCheck)]
    assert told.cause is SyncCause.STEP
    assert "may as well be the gateway's" in told.text


def test_the_gateways_clock_set_back_is_told_and_everything_follows_anew(plant):
    plant.now_ns -= 3600 * S
    for node in plant.nodes.values():
        node.offset_ns -= 3600 * S
    ((source, cause, size),) = plant.run(60)
    assert (source, cause) == ("gateway", SyncCause.GATEWAY_CLOCK)
    assert size == pytest.approx(-3600, abs=3)
    assert plant.sync.is_known("a")


def test_what_the_machine_says_decides_over_what_sources_show(plant):
    monotonic_ns = 0
    for number in range(40):
        monotonic_ns += S
        leapt_ns = 40 * MS if number >= 20 else 0
        if number == 20:
            for node in plant.nodes.values():
                node.offset_ns += 40 * MS
        host = HostState(EPOCH + monotonic_ns + leapt_ns, monotonic_ns, True, MS, MS, 37)
        plant.second(host)
    assert [cause for _, cause, _ in plant.begun()] == [SyncCause.GATEWAY_CLOCK]


def test_a_machine_that_is_not_synchronised_is_told_until_it_is(plant):
    for number in range(6):
        plant.second(HostState(EPOCH + number * S, number * S, number > 3, MS, MS, None))
    told = [each for each in plant.records if isinstance(each, SyncCheck)]
    assert [(each.cause, each.is_active) for each in told] == [
        (SyncCause.GATEWAY_CLOCK, True),
        (SyncCause.GATEWAY_CLOCK, False),
    ]


def test_a_slow_way_is_told_while_it_lasts(plant):
    plant.nodes["b"].up_ns += 100 * MS
    ((source, cause, size),) = plant.run(60)
    assert (source, cause) == ("b", SyncCause.ASYMMETRIC_DELAY)
    assert size == pytest.approx(0.1, abs=0.01)
    plant.nodes["b"].up_ns -= 100 * MS
    assert plant.run(60) == []
    last = [each for each in plant.records if isinstance(each, SyncCheck)][-1]
    assert (last.cause, last.is_active) == (SyncCause.ASYMMETRIC_DELAY, False)


def test_a_counter_that_begins_anew_is_a_restart(plant):
    node = plant.nodes["a"]
    lost_s = (plant.now_ns - node.offset_ns) / S
    node.offset_ns = plant.now_ns + S // 4
    ((source, cause, size),) = plant.run(30)
    assert (source, cause) == ("a", SyncCause.UNANNOUNCED_RESTART)
    assert size == pytest.approx(lost_s, abs=1)


def test_a_leap_of_an_hour_is_no_setting_of_a_clock(plant):
    plant.nodes["a"].offset_ns -= 3600 * S
    ((source, cause, size),) = plant.run(30)
    assert (source, cause) == ("a", SyncCause.TICKS_JUMPED)
    assert size == pytest.approx(3600, abs=1)


def test_a_frame_that_comes_twice_is_a_duplicate_and_later_a_replay(plant):
    node = plant.nodes["a"]
    first = len(plant.records)
    data = plant.sent["a", node.sequence - 2]
    plant.push(node, data, plant.now_ns + S // 2)
    plant.push(node, data, plant.now_ns + S // 2)
    plant.now_ns += 30 * S
    plant.push(node, data, plant.now_ns)
    assert [cause for _, cause, _ in plant.begun(first)] == [
        SyncCause.DUPLICATED, SyncCause.REPLAYED,
    ]  # fmt: skip


def test_frames_that_come_together_were_held_back(plant):
    node = plant.nodes["a"]
    first = len(plant.records)
    ticks = [node.tick_us(plant.now_ns + number * S) for number in range(1, 9)]
    plant.now_ns += 9 * S
    for tick_us in ticks:
        plant.frame(node, tick_us)
    ((_, cause, size),) = plant.begun(first)
    assert cause is SyncCause.BATCH_DELAY
    assert size == pytest.approx(8, abs=0.1)


def test_an_answer_to_nobody_is_counted_and_moves_nothing(plant):
    node = plant.nodes["a"]
    before = plant.sync.clocks(plant.now_ns)[0].offset_ns
    for probe_id in (77, 77):
        node.sequence += 1
        plant.push(
            node,
            node.sim.answer(node.sequence, probe_id, 1, node.tick_us(plant.now_ns)),
            plant.now_ns + S,
        )
    assert [cause for _, cause, _ in plant.begun()] == [SyncCause.ANSWER_REPEATED]
    assert plant.sync.clocks(plant.now_ns)[0].offset_ns == before


def test_an_answer_that_ended_before_it_began_changes_nothing(plant):
    node = plant.nodes["a"]
    plant.sync.probe_sent("a", 5, plant.now_ns + S)
    node.sequence += 1
    tick_us = node.tick_us(plant.now_ns + S)
    data = node.sim.answer(node.sequence, 5, tick_us + 10, tick_us)
    plant.push(node, data, plant.now_ns + S + 4 * MS)
    assert [cause for _, cause, _ in plant.begun()] == [SyncCause.NEGATIVE_DELAY]
    assert plant.sync.is_known("a")


def test_any_ticks_lead_to_verdicts_and_to_bounded_records(plant):
    node = plant.nodes["a"]
    for _ in range(300):
        tick_us = plant.rng.choice([0, 1, (1 << 63) - 1, plant.rng.randrange(1 << 62)])
        plant.now_ns += S // 10
        for value in plant.frame(node, tick_us):
            assert 0 <= value.uncertainty_ns <= value.bound_ns
    assert len(plant.records) < 2000


# --- values that wait -----------------------------------------------------------------------------


def storing():
    """A plant of one node that stores its frames."""
    return Plant("a", storing=["a"], options={"hold_ns": 5 * S})


def test_values_of_a_new_boot_wait_for_its_clock():
    plant = storing()
    node = plant.nodes["a"]
    (checked,) = plant.verify.feed(
        received(node.sim.frame(0, [("x", "V", 1.0, 0.0)], tick_us=7_000_000), "a", EPOCH), EPOCH
    )
    node.sequence = 1
    assert plant.sync.feed(checked, EPOCH) == []
    assert plant.sync.is_holding(checked)
    assert plant.sync.released(EPOCH) == []
    plant.second()
    ((item, (value,)), *_) = plant.sync.released(plant.now_ns)
    assert item is checked
    assert not plant.sync.is_holding(checked)
    assert abs(value.time_ns - (7 * S + node.offset_ns)) <= value.bound_ns < 20 * MS


def test_a_value_does_not_wait_for_ever_nor_for_a_boot_that_is_gone():
    plant = storing()
    node = plant.nodes["a"]
    assert plant.frame(node) == []
    assert plant.sync.released(EPOCH + 4 * S) == []
    node.sim.boot_id = 4
    assert plant.frame(node) == []
    ((_, (old,)),) = plant.sync.released(EPOCH + 4 * S)
    assert old.bound_ns > 10**17
    ((_, (new,)),) = plant.sync.released(EPOCH + 5 * S)
    assert new.bound_ns > 10**17
