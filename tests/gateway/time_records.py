"""Records about time, for tests of what shows them."""

from gateway.records_time import (
    ClockEstimate,
    KpiFigure,
    LinkKpi,
    SyncCause,
    SyncCheck,
    TimedEvent,
    Timing,
)
from gateway.stages.kpi_figures import FIGURES
from tests.gateway.plant import SECOND_NS, START_NS

NASTY = "<script>alert('&\"')</script>"


def clock(source: str = "a", **changes) -> ClockEstimate:
    facts = {
        "source": source,
        "time_ns": START_NS,
        "boot_id": 3,
        "is_two_way": True,
        "offset_ns": START_NS - 40 * SECOND_NS,
        "bound_ns": 1_512_000,
        "uncertainty_ns": 412_000,
        "skew_ppm": -12.345,
        "skew_uncertainty_ppm": 0.21,
        "delay_ns": 3_020_000,
        "probes": 401,
        "text": f"{source}: known within 1.51 ms",
    }
    return ClockEstimate(**(facts | changes))


def check(source: str = "a", cause: SyncCause = SyncCause.STEP, **changes) -> SyncCheck:
    facts = {
        "source": source,
        "cause": cause,
        "is_active": True,
        "time_ns": START_NS,
        "since_ns": START_NS - SECOND_NS,
        "size": -0.25,
        "size_uncertainty": 0.002,
        "unit": "s",
        "text": f"the clock of {source} jumped",
    }
    return SyncCheck(**(facts | changes))


def link(source: str = "a", **changes) -> LinkKpi:
    figures = [KpiFigure(name=name, value=0.5, unit=unit) for name, unit in FIGURES.items()]
    figures[5] = KpiFigure(
        name="end_to_end_latency_p99_s", value=0.25, unit="s",
        low=0.2, high=0.3, budget=0.1, is_met=False,
    )  # fmt: skip
    figures[13] = KpiFigure(
        name="communication_service_reliability_mtbf_s", value=None, unit="s",
        low=1000.0, budget=604_800.0,
    )  # fmt: skip
    facts = {
        "source": source,
        "link": "serial",
        "time_ns": START_NS,
        "observed_s": 4000.0,
        "is_up": True,
        "figures": tuple(figures),
    }
    return LinkKpi(**(facts | changes))


def event(machine: str = "pump") -> TimedEvent:
    return TimedEvent(
        machine=machine,
        time_ns=START_NS,
        bound_ns=500_000_000,
        before="starting",
        after="running",
        timing=Timing.TOO_LATE,
        elapsed_s=9.25,
        elapsed_bound_s=1.0,
        text="running came too late",
    )
