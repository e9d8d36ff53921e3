"""A link that sends, and what is measured of it."""

from gateway.loss import LossLedger
from gateway.records import Reading, Record
from gateway.records_time import LinkKpi
from gateway.stages.kpi import Kpis
from gateway.stages.kpi_link import LinkBudget
from tests.gateway.plant import SECOND_NS, START_NS, aligned, verified

S = SECOND_NS
MS = 1_000_000


def budget(**changes) -> LinkBudget:
    facts = {
        "transfer_interval_ns": S,
        "signals": frozenset({"a:flow"}),
        "survival_ns": 4 * S,
        "latency_ns": 2 * S,
        "synchronicity_ns": 50 * MS,
    }
    return LinkBudget(**(facts | changes))


class Watch:
    """A node that sends, and what is measured of it; times are seconds from the start."""

    def __init__(self, ledger: LossLedger | None = None, **changes) -> None:
        self.ledger = LossLedger() if ledger is None else ledger
        self.kpis = Kpis({"a": budget(**changes)}, self.ledger)
        self.number = 0
        self.tick(0.0)

    def send(self, at_s: float, latency_s: float = 0.1, **changes) -> None:
        """Let a frame with one value come that was measured `latency_s` before."""
        now_ns = START_NS + round(at_s * S)
        self.number += 1
        value = aligned(
            "a:flow", time_ns=now_ns - round(latency_s * S), sequence=self.number, **changes
        )
        self.kpis.observe([self.frame("a:flow"), value], now_ns)

    def frame(self, signal: str, **changes) -> Record:
        reading = Reading(signal=signal, unit="m3/s", value=1.0, tick_us=1)
        return verified(self.number, readings=(reading,), **changes)

    def tick(self, at_s: float) -> list[LinkKpi]:
        return self.kpis.tick(START_NS + round(at_s * S))

    def run(self, seconds: range, latency_s: float = 0.1) -> None:
        """Let a frame come every second, and the gateway look in between."""
        for second in seconds:
            self.send(float(second), latency_s)
            self.tick(second + 0.5)

    def kpi(self, at_s: float) -> LinkKpi:
        (link,) = self.kpis.latest(START_NS + round(at_s * S))
        return link

    def value(self, name: str, at_s: float) -> float | None:
        figure = self.kpi(at_s).figure(name)
        assert figure is not None
        return figure.value
