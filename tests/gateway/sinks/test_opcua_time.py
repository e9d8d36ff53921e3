"""What is known about time, as a foreign OPC UA client reads it."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from asyncua import Client, ua

from gateway import status
from gateway.records_time import SyncCause, Timing
from gateway.sinks.opcua_space import utc
from gateway.sinks.time_tags import ACTIVE_MAX, active_after, active_facts, figure_tags
from tests.gateway.plant import SECOND_NS, START_NS, aligned, estimate
from tests.gateway.sinks.opcua_server import node, read, serving, value
from tests.gateway.sinks.time_records import (
    SITE_WITH_MACHINE,
    clock_estimate,
    link_kpi,
    one_way,
    revision,
    sync_check,
    timed_event,
)

slow = pytest.mark.slow
"""asyncua builds its standard address space for more than a second."""
WAITING = status.BAD_WAITING_FOR_INITIAL_DATA


async def facts(client: Client, path: str, *names: str) -> dict[str, object]:
    """Return the values of variables below a path."""
    return {name: await value(client, f"{path}/{name}") for name in names}


@slow
async def test_how_clocks_stand_and_what_cannot_be_known(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.client() as client:
        for source in ("a", "plc", "skid"):
            assert (await read(client, f"Time/{source}/OffsetNs")).StatusCode.value == WAITING
            nothing = await read(client, f"Time/{source}/ActiveCauses")
            assert nothing.StatusCode.value == status.GOOD, "nothing was found"
            assert nothing.Value.Value in ([], None)
        served.sink.put(clock_estimate(3))
        served.sink.put(one_way(4))
        await served.sink.drain()
        offset = await read(client, "Time/a/OffsetNs")
        assert offset.Value == ua.Variant(START_NS - 5 * SECOND_NS, ua.VariantType.Int64)
        assert offset.SourceTimestamp == utc(START_NS + 3 * SECOND_NS)
        names = ("IsTwoWay", "BootId", "BoundNs", "UncertaintyK2Ns", "SkewPpm", "Probes", "DelayNs",
                 "SkewUncertaintyK2Ppm", "Text")  # fmt: skip
        assert await facts(client, "Time/a", *names) == {
            "IsTwoWay": True, "BootId": 3, "BoundNs": 1_500_000, "UncertaintyK2Ns": 900_000,
            "SkewPpm": 12.5, "SkewUncertaintyK2Ppm": 0.75, "DelayNs": 2_000_000, "Probes": 7,
            "Text": "known within 1.5 ms",
        }  # fmt: skip
        assert await value(client, "Time/plc/OffsetChangeNs") == -250_000
        for unknown in ("Time/plc/OffsetNs", "Time/plc/BoundNs", "Time/a/OffsetChangeNs"):
            found = await read(client, unknown)
            assert (found.Value.Value, found.StatusCode.value) == (None, status.BAD_NO_DATA)
        served.sink.put(clock_estimate(2, probes=6))
        served.sink.put(clock_estimate(source="stranger"))
        await served.sink.drain()
        assert await value(client, "Time/a/Probes") == 7
        dropped = served.ledger.sink_balance("opcua").dropped
        assert dropped == {"late": 1, "not_configured": 1}
        served.sink.put(clock_estimate(5, boot_id=1 << 63, skew_ppm=math.inf, probes=9))
        await served.sink.drain()
        assert await value(client, "Time/a/Probes") == 9, "numbers without end hurt nobody"
        for unknown in ("BootId", "SkewPpm"):
            assert (await read(client, f"Time/a/{unknown}")).Value.Value is None


@slow
async def test_findings_are_active_until_they_are_over(tmp_path: Path) -> None:
    lag = sync_check(2, cause=SyncCause.LAG, signal="a:flow", text="2 rows\nbehind", size=-2.0)
    async with serving(tmp_path) as served, served.client() as client:
        for check in (sync_check(4), lag):
            served.sink.put(check)
        await served.sink.drain()
        assert await facts(client, "Time/a", "ActiveCauses", "ActiveChecks") == {
            "ActiveCauses": ["step", "lag of a:flow"],
            "ActiveChecks": [f"step: {sync_check().text}", "lag of a:flow: 2 rows behind"],
        }
        names = ("Cause", "Signal", "IsActive", "Time", "Since", "Size", "SizeUncertaintyK2",
                 "Unit", "Text", "Sequence")  # fmt: skip
        assert await facts(client, "Time/a/LastCheck", *names) == {
            "Cause": "lag", "Signal": "a:flow", "IsActive": True,
            "Time": utc(START_NS + 2 * SECOND_NS), "Since": utc(START_NS), "Size": -2.0,
            "SizeUncertaintyK2": 0.002, "Unit": "s", "Text": "2 rows\nbehind", "Sequence": 2,
        }  # fmt: skip
        served.sink.put(sync_check(5, is_active=False, size_uncertainty=None))
        served.sink.put(sync_check(source="skid", cause=SyncCause.GATEWAY_CLOCK))
        await served.sink.drain()
        assert await value(client, "Time/a/ActiveCauses") == ["lag of a:flow"]
        assert await value(client, "Time/a/LastCheck/IsActive") is False
        unknown = await read(client, "Time/a/LastCheck/SizeUncertaintyK2")
        assert unknown.StatusCode.value == status.BAD_NO_DATA
        assert await value(client, "Time/skid/ActiveCauses") == ["gateway_clock"]
        served.sink.put(replace(lag, is_active=False, time_ns=START_NS + 9 * SECOND_NS))
        await served.sink.drain()
        assert await value(client, "Time/a/ActiveCauses") in ([], None)
        assert served.ledger.sink_balance("opcua").dropped == {}


@slow
async def test_figures_events_and_revisions(tmp_path: Path) -> None:
    async with serving(tmp_path, text=SITE_WITH_MACHINE) as served, served.client() as client:
        row = replace(estimate(3), coherence_ns=1_250_000, bound_ns=3_000_000)
        for record in (link_kpi(1), timed_event(2), row, revision(3), aligned(second=4)):
            served.sink.put(record)
        await served.sink.drain()
        assert await facts(client, "Kpi/a", "Link", "ObservedS", "IsUp") == {
            "Link": "rig", "ObservedS": 3600.0, "IsUp": True,
        }  # fmt: skip
        figure = "Kpi/a/CommunicationServiceAvailabilityRatio"
        assert await value(client, figure) == 0.9995
        assert await facts(client, figure, "Low", "High", "Budget", "IsMet") == {
            "Low": 0.998, "High": 0.99995, "Budget": 0.9999, "IsMet": False,
        }  # fmt: skip
        latency = await read(client, "Kpi/a/EndToEndLatencyP99S")
        assert (latency.Value.Value, latency.StatusCode.value) == (None, status.BAD_NO_DATA)
        units = await value(client, "Kpi/a/EndToEndLatencyP99S/EngineeringUnits")
        assert units.DisplayName.Text == "s"
        assert (await read(client, "Kpi/plc/JitterS")).StatusCode.value == WAITING

        event = await facts(client, "pump/Machines/pump-run", "Before", "After", "Timing",
                            "ElapsedS", "ElapsedBoundS", "TimeBoundNs", "Sequence")  # fmt: skip
        assert event == {
            "Before": "starting", "After": "running", "Timing": "too_late", "ElapsedS": 12.5,
            "ElapsedBoundS": 0.5, "TimeBoundNs": 500_000_000, "Sequence": 2,
        }  # fmt: skip

        path = "pump/Estimate/a:flow/Revision"
        shown = await read(client, f"{path}/Value")
        assert (shown.Value.Value, shown.SourceTimestamp) == (
            0.00185,
            utc(START_NS + 3 * SECOND_NS),
        )
        assert await facts(client, path, "Before", "Deviation", "Number", "LateNs") == {
            "Before": 0.0019, "Deviation": 0.00004, "Number": 1, "LateNs": 2 * SECOND_NS,
        }  # fmt: skip
        assert (await value(client, f"{path}/Value/EngineeringUnits")).DisplayName.Text == "m³/s"
        assert await value(client, "pump/Estimate/a:flow/Fused") == 0.0019, "verdicts rest on it"
        assert await value(client, "pump/a:flow/TimeUncertaintyK2Ns") == 900_000
        assert await facts(client, "pump/Estimate", "CoherenceK2Ns", "TimeBoundNs") == {
            "CoherenceK2Ns": 1_250_000, "TimeBoundNs": 3_000_000,
        }  # fmt: skip
        served.sink.put(revision(3, number=2, after=0.0018, status=status.BAD_NO_DATA))
        served.sink.put(timed_event(machine="another", timing=Timing.IN_TIME))
        served.sink.put(revision(signal="plc:setpoint"))
        await served.sink.drain()
        assert (await read(client, f"{path}/Value")).StatusCode.value == status.BAD_NO_DATA
        assert served.ledger.sink_balance("opcua").dropped == {"not_configured": 2}


@slow
async def test_a_client_finds_a_folder_of_every_source_before_anything_came(tmp_path: Path) -> None:
    async with serving(tmp_path, text=SITE_WITH_MACHINE) as served, served.client() as client:

        async def below(path: str) -> set[str]:
            children = await (await node(client, path)).get_children()
            return {(await child.read_browse_name()).Name for child in children}

        assert await below("Time") == {"a", "plc", "skid"}
        assert await below("Kpi") == {"a", "plc"}
        assert await below("Kpi/plc") == {"Link", "ObservedS", "IsUp", *figure_tags()}
        assert await below("pump/Machines") == {"pump-run"}
        writable = await (await node(client, "Time/a/OffsetNs")).read_attribute(
            ua.AttributeIds.UserAccessLevel
        )
        assert writable.Value.Value == ua.AccessLevel.CurrentRead.mask


def test_what_holds_is_bounded_and_a_repetition_changes_nothing() -> None:
    active: tuple[str, ...] = ()
    for number in range(2 * ACTIVE_MAX):
        check = sync_check(cause=SyncCause.LAG, signal=f"a:{number}", text=f"{number}")
        active = active_after(active, check)
        assert active_after(active, check) == active
    assert len(active) == ACTIVE_MAX
    assert active[-1] == f"lag of a:{2 * ACTIVE_MAX - 1}: {2 * ACTIVE_MAX - 1}"
    assert active_facts(active)["ActiveCauses"][0] == f"lag of a:{ACTIVE_MAX}"
    assert active_after(active, sync_check(is_active=False)) == active, "another cause"


def test_causes_that_begin_alike_are_not_confused() -> None:
    step = sync_check(cause=SyncCause.TICKS_JUMPED)
    active = active_after(active_after((), step), sync_check(cause=SyncCause.TICKS_WRAPPED))
    active = active_after(active, sync_check(cause=SyncCause.LAG, signal="a:flow-1"))
    over = sync_check(cause=SyncCause.LAG, signal="a:flow", is_active=False)
    assert active_facts(active_after(active, over))["ActiveCauses"] == [
        "ticks_jumped", "ticks_wrapped", "lag of a:flow-1",
    ]  # fmt: skip
