"""What sync finds out about clocks: each cause by its name, begun once and ended once."""

import random

import pytest

from gateway.loss import LossLedger
from gateway.models.clock_checks_host import HostState
from gateway.records import Polled, Reading, Rejected
from gateway.records_time import ClockEstimate, SyncCause, SyncCheck
from gateway.stages.sync import Sync, SyncOptions
from gateway.stages.verify import Verify
from tests.gateway.stages.frames import ROOT_KEY, NodeSim, received

S = 1_000_000_000
MS = 1_000_000
EPOCH = 1_600_000_000 * S


class Node:
    """A node whose clock the test sets; `offset_ns` is gateway minus node."""

    def __init__(self, name):
        self.name = name
        self.sim = NodeSim(name=name)
        self.sequence = 0
        self.offset_ns = EPOCH - 5 * S
        self.up_ns = self.down_ns = 2 * MS

    def tick_us(self, now_ns):
        return (now_ns - self.offset_ns) // 1000


class Plant:
    """Nodes, verify and sync in virtual time: a frame a second each, probes when sync asks."""

    def __init__(self, *names, **changed):
        self.nodes = {name: Node(name) for name in names}
        keys = dict.fromkeys(names, ROOT_KEY)
        self.verify = Verify(keys, LossLedger())
        options = {"options": SyncOptions(**changed.pop("options", {}))}
        settings = {"probe_period_ns": 10 * S, "drift_ppm": 50, "bound_max_ns": 20 * MS}
        self.sync = Sync(names, **{**settings, **options, **changed})
        self.now_ns = EPOCH
        self.rng = random.Random(1)
        self.records = []
        self.sent = {}

    def push(self, node, data, at_ns):
        """Give bytes to the gateway."""
        (checked,) = self.verify.feed(received(data, node.name, at_ns), at_ns)
        if isinstance(checked, Rejected):
            self.sync.refused(checked, at_ns)
            values = []
        else:
            values = self.sync.feed(checked, at_ns)
        self.records += self.sync.findings()
        return values

    def frame(self, node, tick_us=None, at_ns=None):
        """Let a node send a value; return it aligned."""
        at_ns = self.now_ns if at_ns is None else at_ns
        tick_us = node.tick_us(at_ns - node.up_ns) if tick_us is None else tick_us
        data = node.sim.frame(node.sequence, [("x", "V", 1.0, 0.0)], tick_us=tick_us)
        self.sent[node.name, node.sequence] = data
        node.sequence += 1
        return self.push(node, data, at_ns)

    def second(self, host=None):
        """Let a second pass."""
        self.now_ns += S
        for probe in self.sync.due_probes(self.now_ns):
            node = self.nodes[probe.source]
            self.sync.probe_sent(node.name, probe.probe_id, self.now_ns)
            there_ns = self.now_ns + node.down_ns + round(self.rng.expovariate(1 / MS))
            home_ns = there_ns + node.up_ns + round(self.rng.expovariate(1 / MS))
            tick_us = node.tick_us(there_ns)
            self.push(
                node, node.sim.answer(node.sequence, probe.probe_id, tick_us, tick_us), home_ns
            )
            node.sequence += 1
        self.now_ns += S // 2
        for node in self.nodes.values():
            self.frame(node)
        self.now_ns -= S // 2
        self.sync.tick(self.now_ns + S // 2, host)
        self.records += self.sync.findings()

    def run(self, seconds):
        """Let time pass; return the findings that began."""
        before = len(self.records)
        for _ in range(seconds):
            self.second()
        return self.begun(before)

    def begun(self, first=0):
        return [
            (each.source, each.cause, each.size)
            for each in self.records[first:]
            if isinstance(each, SyncCheck) and each.is_active
        ]


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


# --- sources that show a date ---------------------------------------------------------------------


def polled(plant, clock_ns=None, stamp_ns=None, *, resolution_ns=MS, took_ns=10 * MS, status=0):
    """Poll a PLC now; return its value aligned."""
    plant.now_ns += S
    reading = Reading(
        signal="plc:x", unit="V", value=1.0, tick_us=None, stamp_ns=stamp_ns, status=status
    )
    poll = Polled(
        source="plc", link="modbus", readings=(reading,), requested_ns=plant.now_ns - took_ns,
        received_ns=plant.now_ns, clock_ns=clock_ns, clock_resolution_ns=resolution_ns,
    )  # fmt: skip
    (checked,) = plant.verify.feed(poll, plant.now_ns)
    (value,) = plant.sync.feed(checked, plant.now_ns)
    plant.records += plant.sync.findings()
    return value


def test_the_clock_of_a_polled_source_has_a_bound_and_steps_are_found():
    plant = Plant()
    for _ in range(40):
        polled(plant, plant.now_ns + S - 5 * MS - 3600 * S)
    estimate = [each for each in plant.records if isinstance(each, ClockEstimate)][-1]
    assert estimate.is_two_way
    assert abs(estimate.offset_ns - 3600 * S) <= estimate.bound_ns < 20 * MS
    for _ in range(5):
        polled(plant, plant.now_ns + S - 5 * MS - 3595 * S)
    plant.sync.tick(plant.now_ns + 6 * S)
    plant.records += plant.sync.findings()
    ((_, cause, size),) = plant.begun()
    assert (cause, size) == (SyncCause.STEP, pytest.approx(5.0, abs=0.02))


def test_a_source_at_the_year_2000_is_unset_until_it_is_set():
    plant = Plant()
    for number in range(5):
        value = polled(plant, (946_684_800 + number) * S)
        assert value.bound_ns == 5 * MS
    polled(plant, plant.now_ns + S)
    told = [each for each in plant.records if isinstance(each, SyncCheck)]
    assert [(each.cause, each.is_active) for each in told] == [
        (SyncCause.CLOCK_UNSET, True),
        (SyncCause.CLOCK_UNSET, False),
    ]
    assert "2000-01-01" in told[0].text


def test_a_stamp_by_a_known_clock_keeps_its_bound_and_its_status():
    plant = Plant()
    for _ in range(20):
        shown_ns = plant.now_ns + S - 5 * MS - 60 * S
        value = polled(plant, shown_ns, shown_ns - S // 2, status=0x4000_0000)
    assert abs(value.time_ns - (plant.now_ns - 5 * MS - S // 2)) <= value.bound_ns < 20 * MS
    assert value.status == 0x4000_0000
    # What does not change keeps its stamp, and its time.
    assert polled(plant, shown_ns + S, shown_ns - S // 2).time_ns == pytest.approx(
        value.time_ns, abs=MS
    )


@pytest.mark.parametrize("behind_ns", [2 * S, 3600 * S, -S])
def test_a_stamp_of_a_clock_behind_the_server_is_not_taken_for_the_servers(behind_ns):
    plant = Plant()
    for _ in range(20):
        shown_ns = plant.now_ns + S - 5 * MS
        value = polled(plant, shown_ns, shown_ns - behind_ns)
        assert abs(value.time_ns - (plant.now_ns - 5 * MS)) <= value.bound_ns == 5 * MS


def test_a_slow_message_heard_one_way_is_inside_the_longest_delay_of_its_site():
    plant = Plant()
    for _ in range(20):
        taken_ns = plant.now_ns + S - 1700 * MS
        value = polled(plant, None, taken_ns, took_ns=2 * S)
        assert abs(value.time_ns - taken_ns) <= value.bound_ns


def test_a_jump_between_two_polls_that_follow_closely_is_a_step():
    plant = Plant()
    for _ in range(30):
        polled(plant, plant.now_ns + S - 5 * MS)
    for _ in range(6):
        plant.now_ns -= S - 20 * MS
        polled(plant, plant.now_ns + S - 5 * MS + 7200 * S)
    plant.sync.tick(plant.now_ns + 6 * S)
    plant.records += plant.sync.findings()
    assert [cause for _, cause, _ in plant.begun()] == [SyncCause.STEP]


def test_a_source_that_only_stamps_claims_no_offset():
    plant = Plant()
    for _ in range(60):
        value = polled(plant, None, plant.now_ns + S - 60 * S - plant.rng.randrange(MS))
    assert value.time_ns <= plant.now_ns
    assert value.bound_ns == S
    estimate = [each for each in plant.records if isinstance(each, ClockEstimate)][-1]
    assert (estimate.is_two_way, estimate.bound_ns, estimate.delay_ns) == (False, None, None)
    assert "cannot be known" in estimate.text
    assert plant.begun() == []
    polled(plant, None, plant.now_ns + S - 30 * S)
    ((_, cause, size),) = plant.begun()
    assert (cause, size) == (SyncCause.STEP, pytest.approx(30, abs=0.1))


@pytest.mark.parametrize("stamp_ns", [-(1 << 63), (1 << 63) - 1, 0, 1 << 62])
def test_absurd_dates_are_verdicts_and_the_value_gets_the_gateways_time(stamp_ns):
    plant = Plant()
    value = polled(plant, stamp_ns, stamp_ns)
    assert value.time_ns == plant.now_ns
    assert len(plant.begun()) == 1
