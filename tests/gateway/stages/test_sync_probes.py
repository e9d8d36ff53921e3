"""Probes come once per period, never at an exact one, and at the same times in every run."""

import itertools

import pytest

from gateway.records_time import SyncCheck
from gateway.stages.sync import Sync
from tests.gateway.stages.clocks import EPOCH, MS, Plant, S


def asked(name="a", count=400, period_ns=10 * S):
    """Return when a node is asked by a caller that sends at the very time."""
    sync = Sync([name], probe_period_ns=period_ns, drift_ppm=50, bound_max_ns=20 * MS)
    assert sync.next_probe_ns() == 0
    times = [EPOCH]
    for _ in range(count):
        assert [probe.source for probe in sync.due_probes(times[-1])] == [name]
        times.append(sync.next_probe_ns())
        assert sync.due_probes(times[-1] - 1) == []
    return times


def test_no_probe_is_due_without_a_node():
    assert Sync([], probe_period_ns=S, drift_ppm=50, bound_max_ns=S).next_probe_ns() is None


def test_the_time_between_two_probes_is_spread_over_the_last_quarter_of_the_period():
    times = asked()
    gaps = sorted((later - sooner) / S for sooner, later in itertools.pairwise(times))
    assert 7.5 <= gaps[0] < 7.6
    assert 9.9 < gaps[-1] <= 10
    assert gaps[len(gaps) // 2] == pytest.approx(8.75, abs=0.2)


def test_times_are_the_same_in_every_run_and_differ_between_sources():
    assert asked("a", 20) == asked("a", 20)
    assert not set(asked("a", 20)[2:]) & set(asked("b", 20)[2:])


def test_probes_meet_a_loop_of_the_node_in_every_phase():
    """A second of a node's loop: at an exact period each probe would meet it in one phase."""
    phases = [time_ns % S * 10 // S for time_ns in asked(count=1000)]
    counts = [phases.count(tenth) for tenth in range(10)]
    assert min(counts) > 60
    assert max(counts) < 140


def test_a_loop_that_keeps_answers_waiting_makes_no_finding():
    """A loop of 100 ms, 3 ppm off: at an exact period the wait is a saw tooth of nine hours."""
    plant = Plant("a")
    node = plant.nodes["a"]
    for _ in range(1000):
        plant.now_ns = max(plant.sync.next_probe_ns(), plant.now_ns)
        for probe in plant.sync.due_probes(plant.now_ns):
            plant.sync.probe_sent("a", probe.probe_id, plant.now_ns)
            waits_ns = -(plant.now_ns * 1_000_003 // 1_000_000) % (100 * MS)
            there_ns = plant.now_ns + node.down_ns + waits_ns
            home_ns = there_ns + node.up_ns + round(plant.rng.expovariate(10 / MS))
            tick_us = node.tick_us(there_ns)
            plant.push(
                node, node.sim.answer(node.sequence, probe.probe_id, tick_us, tick_us), home_ns
            )
            node.sequence += 1
        plant.sync.tick(plant.now_ns + S // 2)
        plant.records += plant.sync.findings()
    assert [each for each in plant.records if isinstance(each, SyncCheck)] == []
