"""[[kpi]] of `site.toml`: what is asked of the links, in the terms of 3GPP TS 22.104.

Promises: without any table every link is measured against budgets that follow from what the site
says anyway: its periods, `[time] silent_periods` and `[time] bound_max_ms`. Left to others: the
measurements (`stages/kpi.py`).

    transfer interval   the shortest period of the signals of the source
    survival time       silent_periods - 1 transfer intervals, at least 1 s: after them the values
                        are shown as uncertain
    latency             transfer interval + survival time: what comes later is of no use any more
    synchronicity       bound_max_ms: beyond it the values are uncertain
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from pydantic import Field

from gateway.clock import NS_PER_MS, NS_PER_S, NS_PER_US
from gateway.site_fields import Name, Positive, Table
from gateway.site_rules import hint, tables
from gateway.stages.kpi_link import LinkBudget

SURVIVAL_NS_MIN: Final = NS_PER_S
"""Lines and brokers hold values back for so long; `stages/silence.py` waits as long. No look of the
gateway (`stages/kpi.py`) is longer."""


class KpiBudget(Table):
    """[[kpi]] What is asked of the link of a source; a key left out has its default."""

    source: Name | None = None
    """A node or device; left out: every source without a table of its own."""
    survival_ms: Annotated[float, Field(ge=0, le=86_400_000, allow_inf_nan=False)] | None = None
    """How long whoever reads the values lives without the message that is expected."""
    latency_ms: Positive | None = None
    """Largest end-to-end latency of a message in time, from its newest value to the sinks."""
    synchronicity_us: Positive | None = None
    """Largest distance between the time of a value and the truth."""
    availability: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the time the service has to be up, such as 0.9999."""
    mtbf_h: Positive | None = None
    """Mean up time between failures, such as 168 for a week."""
    loss: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of messages that may be lost."""
    repair_s: Positive = 60.0
    """How long an outage is taken to last while none was seen: without that no time without a
    failure proves an availability. Default: twice the longest pause between attempts to connect."""


def link_budgets(
    asked: Sequence[KpiBudget],
    periods_ns: Mapping[str, int],
    *,
    silent_periods: int,
    bound_max_ms: float,
    polled: frozenset[str] = frozenset(),
) -> dict[str, LinkBudget]:
    """Return the budget of every source by its name.

    `periods_ns` by resolved signal, as `Site.periods_ns` has them; `polled` are the sources that
    the gateway asks.
    """
    own = {budget.source: budget for budget in asked}
    rest = own.get(None, KpiBudget())
    by_source: dict[str, dict[str, int]] = {}
    for signal, period_ns in periods_ns.items():
        by_source.setdefault(signal.partition(":")[0], {})[signal] = period_ns
    made = {}
    for source, signals in by_source.items():
        budget, interval_ns = own.get(source, rest), min(signals.values())
        survival_ns = max((silent_periods - 1) * interval_ns, SURVIVAL_NS_MIN)
        if budget.survival_ms is not None:
            survival_ns = int(budget.survival_ms * NS_PER_MS)
        latency_ns, synchronicity_ns = interval_ns + survival_ns, int(bound_max_ms * NS_PER_MS)
        if budget.latency_ms is not None:
            latency_ns = int(budget.latency_ms * NS_PER_MS)
        if budget.synchronicity_us is not None:
            synchronicity_ns = int(budget.synchronicity_us * NS_PER_US)
        made[source] = LinkBudget(
            transfer_interval_ns=interval_ns,
            signals=frozenset(name for name, period in signals.items() if period == interval_ns),
            survival_ns=survival_ns,
            latency_ns=latency_ns,
            synchronicity_ns=synchronicity_ns,
            is_polled=source in polled,
            availability=budget.availability,
            mtbf_s=None if budget.mtbf_h is None else budget.mtbf_h * 3600.0,
            loss_ratio=budget.loss,
            repair_s=budget.repair_s,
        )
    return made


def kpi_problems(data: Mapping[str, object]) -> list[str]:
    """Return what one table of [[kpi]] alone cannot tell: unknown and repeated sources."""
    known = [
        name
        for table in ("nodes", "modbus", "opcua_servers", "mqtt_sources")
        for _, row in tables(data.get(table))
        if isinstance(name := row.get("name"), str)
    ]
    problems: list[str] = []
    first: dict[object, int] = {}
    for index, row in tables(data.get("kpi")):
        source = row.get("source")
        if isinstance(source, str) and source not in known:
            problems.append(
                f"kpi[{index}].source: {source!r} is no source of this site; {hint(source, known)}"
            )
        if source is not None and not isinstance(source, str):
            continue
        if first.setdefault(source, index) != index:
            whom = "all sources" if source is None else repr(source)
            problems.append(
                f"kpi[{index}].source: kpi[{first[source]}] is about {whom} already; join the two"
            )
    return problems
