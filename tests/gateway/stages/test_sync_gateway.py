"""The gateway's own clock: set, distrusted, both at once; and a time server that sources share."""

import pytest

from gateway.models.clock_checks_host import HostState
from gateway.models.clock_checks_peers import Step
from gateway.records_time import SyncCause, SyncCheck
from gateway.stages.sync_findings import Findings
from gateway.stages.sync_gateway import GatewayClock
from tests.gateway.stages.clocks import EPOCH, MS, Plant, S


def machine(plant, away_ns=0, *, is_synchronised=True):
    """Return what the machine says; `away_ns` is by how much its clock was set since the start."""
    return HostState(plant.now_ns, plant.now_ns - EPOCH - away_ns, is_synchronised, MS, MS, None)


def watched(plant, seconds, away_ns=0, *, is_synchronised=True):
    """Let time pass with a machine; return the findings that began."""
    first = len(plant.records)
    for _ in range(seconds):
        plant.now_ns += S
        host = machine(plant, away_ns, is_synchronised=is_synchronised)
        plant.now_ns -= S
        plant.second(host)
    return plant.begun(first)


def set_gateway(plant, size_ns):
    plant.now_ns += size_ns
    for node in plant.nodes.values():
        node.offset_ns += size_ns


def told_of_gateway(plant):
    return [
        (each.is_active, round(each.size, 3), each.text)
        for each in plant.records
        if isinstance(each, SyncCheck) and each.source == "gateway"
    ]


@pytest.mark.parametrize("size_ns", [-S // 2, S // 2, -5 * S, 5 * S])
@pytest.mark.parametrize("is_synchronised", [True, False])
def test_a_clock_that_is_set_is_told_whether_the_machine_trusts_it_or_not(size_ns, is_synchronised):
    plant = Plant("a")
    watched(plant, 60, is_synchronised=is_synchronised)
    set_gateway(plant, size_ns)
    begun = watched(plant, 30, size_ns, is_synchronised=is_synchronised)
    ((source, cause, size),) = begun
    assert (source, cause) == ("gateway", SyncCause.GATEWAY_CLOCK)
    assert size == pytest.approx(size_ns / S, abs=2)
    text = told_of_gateway(plant)[-1][2]
    assert "was set" in text


def test_distrust_is_told_again_when_the_setting_is_over_and_ends_when_it_ends():
    plant = Plant("a")
    watched(plant, 30, is_synchronised=False)
    set_gateway(plant, 2 * S)
    watched(plant, 90, 2 * S, is_synchronised=False)
    assert [is_active for is_active, *_ in told_of_gateway(plant)] == [
        True, False, True, False, True,
    ]  # fmt: skip
    assert "STA_UNSYNC" in told_of_gateway(plant)[-1][2]
    watched(plant, 3, 2 * S)
    assert not told_of_gateway(plant)[-1][0]
    assert len(told_of_gateway(plant)) == 6


def test_trust_that_comes_back_does_not_end_the_finding_that_the_clock_was_set():
    plant = Plant("a")
    watched(plant, 30, is_synchronised=False)
    set_gateway(plant, 2 * S)
    watched(plant, 20, 2 * S)
    assert told_of_gateway(plant)[-1][:2] == (True, 2.0)
    watched(plant, 60, 2 * S)
    assert told_of_gateway(plant)[-1][:2] == (False, 2.0)


@pytest.mark.parametrize("size_ns", [3600 * S, -40 * MS])
def test_sources_that_jump_together_while_the_machine_did_not_share_a_time_server(size_ns):
    plant = Plant("a", "b")
    watched(plant, 120)
    # A counter that leaps by 1000 s or more is no clock that was set.
    size_ns = max(min(size_ns, 900 * S), -900 * S)
    for node in plant.nodes.values():
        node.offset_ns -= size_ns
    begun = watched(plant, 30)
    assert sorted((source, cause) for source, cause, _ in begun) == [
        ("a", SyncCause.STEP), ("b", SyncCause.STEP),
    ]  # fmt: skip
    for _, _, size in begun:
        assert size == pytest.approx(size_ns / S, abs=0.01)
    texts = [each.text for each in plant.records if isinstance(each, SyncCheck)]
    assert all("the time server they share" in text for text in texts)


@pytest.mark.parametrize(("size_ns", "sources"), [(9 * MS, ["gateway"]), (20 * MS, ["a", "b"])])
def test_what_the_machine_cannot_see_is_still_told_as_the_gateways(size_ns, sources):
    """Within 10 s it may be slewed by 10 ms, which is no step for it."""
    own, findings = GatewayClock("gateway", S, 30 * S), Findings()
    own.machine(HostState(EPOCH, 0, True, MS, MS, None), EPOCH, findings)
    for source in "ab":
        step = Step(source, EPOCH, EPOCH + 10 * S, float(size_ns), 1e5)
        own.peers.stepped(step)
    own.decide(EPOCH + 10 * S, findings, is_tick=True)
    assert [each.source for each in findings.take()] == sources
