"""The gateway's own clock: set, distrusted, both at once; and a time server that sources share."""

import pytest

from gateway.models.clock_checks_host import HostState
from gateway.models.clock_checks_peers import Step
from gateway.records import Polled
from gateway.records_time import SyncCause, SyncCheck
from gateway.stages.sync_findings import Claim, Findings
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


# --- a clock that is pulled ----------------------------------------------------------------------


def pulled(plant, seconds, rate_ppm, host=None):
    """Let the gateway's clock be slewed; return the findings that began."""
    first = len(plant.records)
    for _ in range(seconds):
        for node in plant.nodes.values():
            node.offset_ns += rate_ppm * 1000
        plant.second(None if host is None else host())
    return plant.begun(first)


def test_rates_that_change_together_are_the_gateways():
    plant = Plant("a", "b", "c", drift_ppm=100)
    assert plant.run(120) == []
    begun = pulled(plant, 90, 450)
    assert [(source, cause) for source, cause, _ in begun] == [("gateway", SyncCause.GATEWAY_CLOCK)]
    assert "pulled" in told_of_gateway(plant)[-1][2]


def test_a_rate_that_changes_alone_is_told_of_its_source():
    plant = Plant("a", "b", "c", drift_ppm=1000)
    assert plant.run(120) == []
    for _ in range(200):
        plant.nodes["b"].offset_ns -= 100_000
        plant.second()
    ((source, cause, size),) = plant.begun()
    assert (source, cause) == ("b", SyncCause.SKEW_CHANGE)
    assert size == pytest.approx(100, abs=25)


def test_a_machine_whose_clock_is_pulled_is_told_until_it_is_not_and_no_source_is():
    plant = Plant("a", "b", drift_ppm=100)
    steady_ns, raw_ns = [0], [0]

    def host(rate_ppm):
        steady_ns[0] += S
        raw_ns[0] += S - rate_ppm * 1000
        return HostState(EPOCH + steady_ns[0], steady_ns[0], True, MS, MS, None, raw_ns[0])

    assert pulled(plant, 120, 0, lambda: host(0)) == []
    ((source, cause, size),) = pulled(plant, 90, 450, lambda: host(450))
    assert (source, cause) == ("gateway", SyncCause.GATEWAY_CLOCK)
    assert 0 < size < 0.02
    assert pulled(plant, 120, 0, lambda: host(0)) == []
    assert [is_active for is_active, *_ in told_of_gateway(plant)] == [True, False]


def test_sources_whose_rates_change_while_the_machine_is_not_pulled_are_told_themselves():
    plant = Plant("a", "b", drift_ppm=1000)
    count = [0]

    def host():
        count[0] += S
        return HostState(EPOCH + count[0], count[0], True, MS, MS, None, count[0])

    assert pulled(plant, 120, 0, host) == []
    begun = pulled(plant, 90, 450, host)
    assert sorted(source for source, *_ in begun) == ["a", "b"]
    assert {cause for _, cause, _ in begun} == {SyncCause.SKEW_CHANGE}


def test_a_finding_that_was_deferred_is_told_once_or_never():
    findings = Findings()
    claim = Claim(cause=SyncCause.SKEW_CHANGE, since_ns=EPOCH, size=1.0, unit="ppm", text="x")
    for is_told, count in ((False, 0), (True, 1), (True, 0)):
        if count or not is_told:
            findings.defer("a", claim, lasts=False)
        findings.settle("a", claim.cause, EPOCH, is_told=is_told)
        assert len(findings.take()) == count
    findings.over("a", claim.cause, EPOCH)
    findings.take()
    findings.defer("a", claim, lasts=True)
    findings.over("a", claim.cause, EPOCH)
    findings.settle("a", claim.cause, EPOCH, is_told=True)
    assert findings.take() == []


# --- a wrong date --------------------------------------------------------------------------------


def polls(plant, shown_ns, seconds=30):
    """Poll devices by their names every second; `shown_ns` is what each shows of now."""
    first = len(plant.records)
    for _ in range(seconds):
        plant.now_ns += S
        for source, show in shown_ns.items():
            poll = Polled(
                source=source, link="modbus", readings=(), requested_ns=plant.now_ns - 4 * MS,
                received_ns=plant.now_ns, clock_ns=show(plant.now_ns), clock_resolution_ns=MS,
            )  # fmt: skip
            (checked,) = plant.verify.feed(poll, plant.now_ns)
            plant.sync.feed(checked, plant.now_ns)
        plant.sync.tick(plant.now_ns)
        plant.records += plant.sync.findings()
    return plant.begun(first)


@pytest.mark.parametrize("away_ns", [26 * 366 * 86_400 * S, 3 * 86_400 * S, -100 * S])
def test_a_gateway_with_a_wrong_date_is_found_and_its_sources_are_not_blamed(away_ns):
    plant = Plant()
    shown = dict.fromkeys("pqr", lambda now_ns: now_ns + away_ns - 2 * MS)
    begun = polls(plant, shown)
    assert ("gateway", SyncCause.GATEWAY_CLOCK, pytest.approx(-away_ns / S, abs=1)) in begun
    # The first one is alone when it is asked; it is cleared with the next look at all.
    assert [source for source, *_ in begun if source != "gateway"] in ([], ["p"])
    assert not plant.sync._findings.is_active("p", SyncCause.ABSURD_STAMP)
    polls(plant, dict.fromkeys("pqr", lambda now_ns: now_ns))
    dates = [active for active, _, text in told_of_gateway(plant) if "the calendars of" in text]
    assert dates == [True, False]


def test_one_absurd_calendar_among_others_is_blamed_itself():
    plant = Plant()
    right = dict.fromkeys("qr", lambda now_ns: now_ns)
    begun = polls(plant, {**right, "p": lambda now_ns: now_ns + 30 * 366 * 86_400 * S})
    assert [(source, cause) for source, cause, _ in begun] == [("p", SyncCause.ABSURD_STAMP)]


def test_calendars_nobody_set_do_not_show_that_the_gateways_is_wrong():
    plant = Plant()
    begun = polls(plant, dict.fromkeys("pqr", lambda now_ns: now_ns - EPOCH + 946_684_800 * S))
    assert len(begun) == 3
    assert {cause for _, cause, _ in begun} == {SyncCause.CLOCK_UNSET}
