"""Records of what is known about time, for the tests of the sinks; all of the small site."""

from gateway import status
from gateway.records_time import (
    ClockEstimate,
    KpiFigure,
    LinkKpi,
    Revision,
    SyncCause,
    SyncCheck,
    TimedEvent,
    Timing,
)
from tests.gateway.plant import SECOND_NS, SITE, START_NS

SITE_WITH_MACHINE = (
    SITE
    + """
[[machines]]
name = "pump-run"
signal = "plc:setpoint"
states = { starting = 1, running = 2 }
transitions = [{ before = "starting", after = "running", max_s = 10.0 }]
"""
)


def clock_estimate(second: int = 0, **changes) -> ClockEstimate:
    """Return a clock that is known within 1.5 ms."""
    facts = {
        "source": "a",
        "time_ns": START_NS + second * SECOND_NS,
        "boot_id": 3,
        "is_two_way": True,
        "offset_ns": START_NS - 5 * SECOND_NS,
        "bound_ns": 1_500_000,
        "uncertainty_ns": 900_000,
        "skew_ppm": 12.5,
        "skew_uncertainty_ppm": 0.75,
        "delay_ns": 2_000_000,
        "probes": 7,
        "text": "known within 1.5 ms",
    }
    return ClockEstimate(**(facts | changes))


def one_way(second: int = 0, **changes) -> ClockEstimate:
    """Return a clock that is heard and cannot be asked."""
    nothing = dict.fromkeys(("bound_ns", "delay_ns", "boot_id"))
    facts = {"source": "plc", "is_two_way": False, "offset_ns": -250_000, "probes": 0}
    return clock_estimate(second, **(nothing | facts | changes))


def sync_check(second: int = 0, **changes) -> SyncCheck:
    """Return a step of a quarter of a second."""
    facts = {
        "source": "a",
        "cause": SyncCause.STEP,
        "is_active": True,
        "time_ns": START_NS + second * SECOND_NS,
        "since_ns": START_NS,
        "size": 0.25,
        "size_uncertainty": 0.002,
        "unit": "s",
        "text": "the clock of a stepped by +0.250 s",
        "sequence": second,
    }
    return SyncCheck(**(facts | changes))


def timed_event(second: int = 0, **changes) -> TimedEvent:
    """Return a state of the machine `pump-run` that came too late."""
    facts = {
        "machine": "pump-run",
        "time_ns": START_NS + second * SECOND_NS,
        "bound_ns": 500_000_000,
        "before": "starting",
        "after": "running",
        "timing": Timing.TOO_LATE,
        "elapsed_s": 12.5,
        "elapsed_bound_s": 0.5,
        "text": "running after 12.5 s, expected within 10 s",
        "sequence": second,
    }
    return TimedEvent(**(facts | changes))


def revision(second: int = 0, **changes) -> Revision:
    """Return the fused flow as it is after a value that came two seconds late."""
    facts = {
        "asset": "pump",
        "signal": "a:flow",
        "time_ns": START_NS + second * SECOND_NS,
        "before": 0.0019,
        "after": 0.00185,
        "deviation": 0.00004,
        "number": 1,
        "late_ns": 2 * SECOND_NS,
        "status": status.GOOD,
    }
    return Revision(**(facts | changes))


def link_kpi(second: int = 0, **changes) -> LinkKpi:
    """Return two figures of a link: one with limits and a budget, one not known yet."""
    figures = (
        KpiFigure(
            name="communication_service_availability_ratio",
            value=0.9995,
            unit="/",
            low=0.998,
            high=0.99995,
            budget=0.9999,
            is_met=False,
        ),
        KpiFigure(name="end_to_end_latency_p99_s", value=None, unit="s"),
    )
    facts = {
        "source": "a",
        "link": "rig",
        "time_ns": START_NS + second * SECOND_NS,
        "observed_s": 3600.0,
        "is_up": True,
        "figures": figures,
    }
    return LinkKpi(**(facts | changes))
