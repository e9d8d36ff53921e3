"""Stored frames of an earlier boot keep its clock; what has no clock never looks as new."""

import pytest

from gateway import status
from gateway.loss import LossLedger
from gateway.stages.sync import BOOTS_MAX, UNPLACED_BOUND_NS, Sync
from gateway.stages.verify import Verify
from tests.gateway.stages.frames import NODE, ROOT_KEY, SECOND_NS, NodeSim, received

MS = 1_000_000


class Bench:
    """One node over several boots; the gateway's time is chosen by the test."""

    def __init__(self, storing=()):
        self.verify = Verify({NODE: ROOT_KEY}, LossLedger())
        self.sync = Sync(
            [NODE],
            probe_period_ns=10 * SECOND_NS,
            drift_ppm=50,
            bound_max_ns=20 * MS,
            storing=storing,
        )
        self.sequence = 0

    def feed(self, data, received_ns):
        (checked,) = self.verify.feed(received(data, received_ns=received_ns), received_ns)
        self.sequence += 1
        self.checked = checked
        return self.sync.feed(checked, received_ns)

    def value(self, boot_id, tick_us, received_ns):
        """Feed one value, read as it was sealed; return it aligned."""
        data = NodeSim(boot_id=boot_id).frame(
            self.sequence, [("x", "V", 1.0, 0.0)], tick_us=tick_us
        )
        (value,) = self.feed(data, received_ns)
        return value

    def exchange(self, boot_id, tick_us, now_ns):
        """Let the boot be heard of, then make a two-way exchange that takes 2 ms."""
        self.value(boot_id, tick_us, now_ns - 3 * MS)
        probe_id = 1000 + self.sequence
        self.sync.probe_sent(NODE, probe_id, now_ns - 2 * MS)
        data = NodeSim(boot_id=boot_id).answer(self.sequence, probe_id, tick_us, tick_us)
        assert self.feed(data, now_ns) == []


@pytest.fixture
def bench():
    return Bench()


def test_each_boot_has_a_clock_of_its_own(bench):
    bench.exchange(1, 5_000_000, 1000 * SECOND_NS)
    bench.exchange(2, 1_000_000, 2000 * SECOND_NS)
    old = bench.value(1, 6_000_000, 2001 * SECOND_NS)
    new = bench.value(2, 2_000_000, 2001 * SECOND_NS)
    assert old.time_ns == pytest.approx(1001 * SECOND_NS, abs=3 * MS)
    assert new.time_ns == pytest.approx(2001 * SECOND_NS, abs=3 * MS)
    assert {old.status, new.status} == {status.GOOD}


def test_an_earlier_boot_does_not_become_the_present_one(bench):
    bench.value(1, 5_000_000, 1000 * SECOND_NS)
    bench.exchange(2, 1_000_000, 2000 * SECOND_NS)
    bench.value(1, 6_000_000, 2001 * SECOND_NS)
    (state,) = bench.sync.clocks(2001 * SECOND_NS)
    assert (state.boot_id, state.is_known) == (2, True)
    assert bench.sync.is_known(NODE)


def test_an_answer_of_another_boot_is_nobodys(bench):
    bench.sync.probe_sent(NODE, 7, 100 * SECOND_NS)
    bench.value(3, 1_000_000, 100 * SECOND_NS)
    bench.feed(NodeSim(boot_id=2).answer(bench.sequence, 7, 10, 10), 101 * SECOND_NS)
    (state,) = bench.sync.clocks(101 * SECOND_NS)
    assert (state.answers, state.faults) == (0, {"unsolicited_answer": 1})


def test_a_new_boot_is_probed_at_once_an_old_one_is_not(bench):
    bench.value(1, 1_000_000, 99 * SECOND_NS)
    assert len(bench.sync.due_probes(100 * SECOND_NS)) == 1
    bench.value(2, 1_000_000, 100 * SECOND_NS)
    assert len(bench.sync.due_probes(101 * SECOND_NS)) == 1
    bench.value(1, 1_000_000, 101 * SECOND_NS)
    assert bench.sync.due_probes(101 * SECOND_NS) == []
    bench.value(3, 1_000_000, 102 * SECOND_NS)
    assert len(bench.sync.due_probes(102 * SECOND_NS)) == 1
    assert not bench.sync.is_known(NODE)


def test_of_many_boots_the_last_few_are_remembered(bench):
    for boot_id in range(1, BOOTS_MAX + 2):
        bench.exchange(boot_id, 1_000_000, boot_id * 100 * SECOND_NS)
    now_ns = (BOOTS_MAX + 2) * 100 * SECOND_NS
    checked = bench.checked
    assert bench.sync.place(checked, 1_000_000).is_known
    clock = bench.sync._clocks[NODE]
    assert sorted(clock.boots) == list(range(2, BOOTS_MAX + 2))
    assert bench.value(BOOTS_MAX, 2_000_000, now_ns).status == status.GOOD


def test_a_stored_value_without_a_clock_says_that_it_may_be_years_old():
    bench = Bench(storing=[NODE])
    value = bench.value(1, 6_000_000, 2000 * SECOND_NS)
    assert value.time_ns == 2000 * SECOND_NS
    assert value.bound_ns == UNPLACED_BOUND_NS
    assert value.status == status.UNCERTAIN_SENSOR_NOT_ACCURATE
    bench.exchange(1, 7_000_000, 2001 * SECOND_NS)
    known = bench.value(1, 6_500_000, 2002 * SECOND_NS)
    assert known.time_ns == pytest.approx(2000.5 * SECOND_NS, abs=3 * MS)
    assert known.bound_ns < 3 * MS


def test_a_frame_can_be_placed_without_readings(bench):
    bench.exchange(1, 5_000_000, 1000 * SECOND_NS)
    placed = bench.sync.place(bench.checked, 4_000_000)
    assert placed.is_known
    assert placed.time_ns == pytest.approx(999 * SECOND_NS, abs=3 * MS)
    assert placed.bound_ns < 3 * MS
