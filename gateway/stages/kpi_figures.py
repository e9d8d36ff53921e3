"""The figures of a link, named as in TS 22.104, with their limits, and held against their budgets.

Promises: every `LinkKpi` has all figures of `FIGURES` in that order, so that tags can be made
before the first message; a figure without observations is None. A budget is met, or not, only when
the 95 % limits say so; in between it is open.
Left to others: the measurements (`kpi_link.py`), the limits (`models/reliability.py`).

The 99 % latency is within its budget if at most 1 % of the messages are late. Late messages come
in bursts, which limits of a quantile do not know and those of a ratio do; so its budget is met, or
not, only if both say so. The limits of a latency hold the time uncertainty of the values too, added
and not squared: it is the same clock in every message. Clock synchronicity is the hard bound of the
time of values against the gateway's clock: that share of the messages is guaranteed to be that well
timed; the uncertainty beside it is what is likely (k = 2). How far the gateway's clock is from UTC
is no part of it (`SyncCause.GATEWAY_CLOCK`).

Sources: 3GPP TS 22.104, 3.1, 5.6 and annex C; TS 22.261, 3.1.
"""

from dataclasses import replace
from typing import Final

from gateway.clock import NS_PER_S
from gateway.models.reliability import (
    UNKNOWN,
    Limits,
    availability_limits,
    mtbf_limits,
    ratio_limits,
)
from gateway.records_time import KpiFigure
from gateway.stages.kpi_link import Link

FIGURES: Final = {
    "transfer_interval_stated_s": "s",
    "transfer_interval_s": "s",
    "update_time_median_s": "s",
    "update_time_p99_s": "s",
    "end_to_end_latency_median_s": "s",
    "end_to_end_latency_p99_s": "s",
    "jitter_s": "s",
    "messages_count": "count",
    "message_loss_ratio": "/",
    "untimely_message_ratio": "/",
    "survival_time_s": "s",
    "longest_gap_s": "s",
    "communication_service_availability_ratio": "/",
    "communication_service_reliability_mtbf_s": "s",
    "communication_service_failures_count": "count",
    "communication_service_downtime_s": "s",
    "clock_synchronicity_bound_p99_s": "s",
    "clock_synchronicity_uncertainty_p99_s": "s",
}
"""SenML unit by the name of a figure."""
UNTIMELY_MAX: Final = 0.01
"""The latency is held against its budget at its 99th percentile: one in a hundred may be late."""


def figures(link: Link, sent: int, lost: int) -> tuple[KpiFigure, ...]:
    """Return all figures of a link; `sent` and `lost` are messages over all runs."""
    made = {
        figure.name: figure
        for figure in (*_timing(link), *_losses(link, sent, lost), *_service(link), *_clock(link))
    }
    return tuple(made[name] for name in FIGURES)


def _timing(link: Link) -> list[KpiFigure]:
    """Return transfer interval, update time, latency and jitter."""
    budget = link.budget
    latency = "end_to_end_latency"
    p99 = _quantile(
        link, latency, 0.99, "end_to_end_latency_p99_s", budget=budget.latency_ns / NS_PER_S
    )
    if p99.is_met != _untimely(link).is_met:
        p99 = replace(p99, is_met=None)
    jitter_s = link.jitter_s if link.distributions["update_time"].count else None
    return [
        _figure("transfer_interval_stated_s", budget.transfer_interval_ns / NS_PER_S),
        _quantile(link, "transfer_interval", 0.5, "transfer_interval_s"),
        _quantile(link, "update_time", 0.5, "update_time_median_s"),
        _quantile(link, "update_time", 0.99, "update_time_p99_s"),
        _quantile(link, latency, 0.5, "end_to_end_latency_median_s"),
        p99,
        _figure("jitter_s", jitter_s),
    ]


def _losses(link: Link, sent: int, lost: int) -> list[KpiFigure]:
    """Return how many messages came, were lost, and came too late."""
    budget = link.budget.loss_ratio
    lost_limits = ratio_limits(lost, sent, link.loss_squares(lost))
    return [
        _figure("messages_count", float(link.messages)),
        _figure("message_loss_ratio", lost / sent if sent else None, lost_limits, at_most=budget),
        _untimely(link),
    ]


def _untimely(link: Link) -> KpiFigure:
    """Return the share of messages that were not in time."""
    untimely, messages = link.untimely, link.messages
    return _figure(
        "untimely_message_ratio",
        untimely / messages if messages else None,
        ratio_limits(untimely, messages, link.untimely_squares),
        at_most=UNTIMELY_MAX,
    )


def _service(link: Link) -> list[KpiFigure]:
    """Return gaps, availability and reliability of the communication service."""
    budget, state = link.budget, link.service.state
    up_s, down_s = state.up_ns / NS_PER_S, state.down_ns / NS_PER_S
    seen_s, failures = up_s + down_s, state.failures
    gap_s, grace_s = state.longest_gap_ns / NS_PER_S, budget.grace_ns / NS_PER_S
    availability = availability_limits(up_s, down_s, failures, repair_s=budget.repair_s)
    if not up_s and down_s:
        # It has never been up, and no law is needed to hold that against it.
        availability = Limits(0.0, 0.0)
    mtbf_s = up_s / failures if failures else None
    return [
        _figure("survival_time_s", budget.survival_ns / NS_PER_S),
        _figure(
            "longest_gap_s",
            gap_s if state.has_begun else None,
            Limits(gap_s, gap_s) if state.has_begun else UNKNOWN,
            at_most=grace_s,
        ),
        _figure(
            "communication_service_availability_ratio",
            up_s / seen_s if seen_s else None,
            availability,
            at_least=budget.availability,
        ),
        _figure(
            "communication_service_reliability_mtbf_s",
            mtbf_s,
            mtbf_limits(up_s, failures),
            at_least=budget.mtbf_s,
        ),
        _figure("communication_service_failures_count", float(failures)),
        _figure("communication_service_downtime_s", down_s),
    ]


def _clock(link: Link) -> list[KpiFigure]:
    """Return how well the values are timed."""
    budget_s = link.budget.synchronicity_ns / NS_PER_S
    bound, likely = "clock_synchronicity_bound_p99_s", "clock_synchronicity_uncertainty_p99_s"
    return [
        _quantile(link, "time_bound", 0.99, bound, budget=budget_s),
        _quantile(link, "time_uncertainty", 0.99, likely, budget=budget_s),
    ]


def _quantile(
    link: Link,
    distribution: str,
    probability: float,
    name: str,
    *,
    budget: float | None = None,
) -> KpiFigure:
    """Return a quantile as a figure; limits of a latency are wider by the same quantile of u(t)."""
    kept, spread_s = link.distributions[distribution], 0.0
    if distribution == "end_to_end_latency":
        spread_s = link.distributions["time_uncertainty"].quantile(probability) or 0.0
    low, high = kept.quantile_limits(probability)
    limits = Limits(
        None if low is None else low - spread_s, None if high is None else high + spread_s
    )
    return _figure(name, kept.quantile(probability), limits, at_most=budget)


def _figure(
    name: str,
    value: float | None,
    limits: Limits = UNKNOWN,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> KpiFigure:
    """Return a figure, held against a budget that it must not exceed, or must reach."""
    low, high = limits
    is_met: bool | None = None
    if at_most is not None:
        if high is not None and high <= at_most:
            is_met = True
        elif low is not None and low > at_most:
            is_met = False
    elif at_least is not None:
        if low is not None and low >= at_least:
            is_met = True
        elif high is not None and high < at_least:
            is_met = False
    return KpiFigure(
        name=name,
        value=value,
        unit=FIGURES[name],
        low=low,
        high=high,
        budget=at_least if at_most is None else at_most,
        is_met=is_met,
    )
