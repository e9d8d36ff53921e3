"""What sync shows of its clocks: states for display, estimates for the sinks, times of values.

Promises: frozen records made from clocks, nothing is changed. What cannot be known is None and said
in words: of a source heard one way only, the offset.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.models.node_clock import ClockBelief
from gateway.records_time import ClockEstimate
from gateway.stages.sync_clock import SourceClock
from gateway.stages.sync_dated import DatedClock
from gateway.stages.sync_words import seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """A time probe that is due now."""

    source: str
    probe_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """What is known of one node's clock, for display."""

    source: str
    boot_id: int | None
    is_known: bool
    offset_ns: int
    bound_ns: int
    answers: int
    faults: Mapping[str, int]


def node_state(clock: SourceClock, now_ns: int, unknown_bound_ns: int) -> ClockState:
    """Return how a node's newest clock stands."""
    boot = clock.newest
    belief = None if boot is None else boot.clock.at(now_ns)
    return ClockState(
        source=clock.source,
        boot_id=clock.boot_id,
        is_known=belief is not None,
        offset_ns=0 if belief is None else belief.offset_ns,
        bound_ns=unknown_bound_ns if belief is None else belief.bound_ns,
        answers=clock.answers,
        faults=dict(clock.faults),
    )


def node_estimate(clock: SourceClock, now_ns: int) -> ClockEstimate | None:
    """Return how a node's newest clock stands, as a record; None while it is unknown."""
    boot = clock.newest
    belief = None if boot is None else boot.clock.at(now_ns)
    if belief is None:
        return None
    return _two_way(clock.source, clock.boot_id, belief, now_ns, clock.answers)


def dated_estimate(clock: DatedClock, now_ns: int, period_ns: int) -> ClockEstimate | None:
    """Return how a calendar stands, as a record; None while unknown, or told within `period_ns`."""
    if clock.told_ns is not None and 0 <= now_ns - clock.told_ns < period_ns:
        return None
    two_way = None if clock.clock is None else clock.clock.at(now_ns)
    estimate = None
    if two_way is not None:
        estimate = _two_way(clock.source, None, two_way, now_ns, clock.answers)
    elif clock.is_one_way:
        estimate = _one_way(clock, now_ns)
    if estimate is not None:
        clock.told_ns = now_ns
    return estimate


def _two_way(
    source: str, boot_id: int | None, belief: ClockBelief, now_ns: int, probes: int
) -> ClockEstimate:
    return ClockEstimate(
        source=source,
        time_ns=now_ns,
        boot_id=boot_id,
        is_two_way=True,
        offset_ns=belief.offset_ns,
        bound_ns=belief.bound_ns,
        uncertainty_ns=belief.uncertainty_ns,
        skew_ppm=belief.skew_ppm,
        skew_uncertainty_ppm=belief.skew_uncertainty_ppm,
        delay_ns=belief.delay_ns,
        probes=probes,
        text=f"known to {seconds(belief.uncertainty_ns)} (k = 2), certain to "
        f"{seconds(belief.bound_ns)}; rate {belief.skew_ppm:.3g} +- "
        f"{belief.skew_uncertainty_ppm:.2g} ppm; shortest round trip {seconds(belief.delay_ns)}; "
        "a difference of its two ways cannot be seen, and is part of the uncertainty",
    )


def _one_way(clock: DatedClock, now_ns: int) -> ClockEstimate | None:
    belief = clock.change(now_ns)
    if belief is None:
        return None
    return ClockEstimate(
        source=clock.source,
        time_ns=now_ns,
        boot_id=None,
        is_two_way=False,
        offset_ns=belief.change_ns,
        bound_ns=None,
        uncertainty_ns=belief.uncertainty_ns,
        skew_ppm=belief.skew_ppm,
        skew_uncertainty_ppm=belief.skew_uncertainty_ppm,
        delay_ns=None,
        probes=0,
        text=f"heard one way: since first heard its offset changed by {seconds(belief.change_ns)} "
        f"+- {seconds(belief.uncertainty_ns)} (k = 2), rate {belief.skew_ppm:.3g} +- "
        f"{belief.skew_uncertainty_ppm:.2g} ppm; the offset itself cannot be known, for the "
        "shortest delay of the path is not",
    )
