"""Clocks, findings, links and the loss ledger as metrics in the text format of Prometheus.

Names are `twinrig_` and what the records say, in base units: seconds, ratios. A figure of a link
is a gauge of its own name; limits, budget and whether it is met have the figure as a label.

Promises: what is not known has no sample, so nobody averages a made-up zero; labels are names of
the site, causes and reasons only, so the number of series is bounded.
Left to others: the figures (`stages/kpi.py`), serving them (`server.py`).

Sources: Prometheus, Exposition formats, text format 0.0.4; Prometheus, Metric and label naming.
"""

from collections.abc import Iterable, Iterator
from typing import Final, final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.clock import NS_PER_S
from gateway.loss import LossLedger
from gateway.stages.kpi import Distribution
from gateway.stages.kpi_figures import FIGURES
from gateway.stages.kpi_link import DISTRIBUTIONS
from gateway.time_board import TimeBoard
from gateway.time_words import label

_LINK: Final = ("source", "link")
_SOURCE_COUNTS: Final = (
    "received", "verified", "announced", "numbered", "refused", "lost", "unanswered", "awaited",
    "declared", "unknown", "recovered", "delivered",
)  # fmt: skip


@final
class Metrics:
    """Makes the text of all metrics."""

    def __init__(self, board: TimeBoard, ledger: LossLedger) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Records(board))
        self._registry.register(_Ledger(ledger))

    def text(self) -> bytes:
        """Return all metrics as they are now."""
        return generate_latest(self._registry)


@final
class _Records(Collector):
    """What the board knows."""

    def __init__(self, board: TimeBoard) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        """Yield one family after the other."""
        yield from self._clocks()
        yield from self._checks()
        yield from self._links()
        yield from _histograms(self._board.distributions())

    def _clocks(self) -> Iterator[Metric]:
        offset = _gauge("clock_offset_seconds", "Gateway time less source time.")
        bound = _gauge("clock_bound_seconds", "Hard bound of the offset.")
        likely = _gauge("clock_uncertainty_seconds", "Uncertainty of the offset, k = 2.")
        skew = _gauge("clock_skew_ratio", "How much faster the gateway's clock runs.")
        skew_likely = _gauge("clock_skew_uncertainty_ratio", "Uncertainty of the skew, k = 2.")
        delay = _gauge("clock_probe_delay_seconds", "Round trip of the last probe.")
        probes = CounterMetricFamily(
            "twinrig_clock_probes", "Exchanges that were used.", labels=["source"]
        )
        for clock in self._board.clocks():
            source = [clock.source]
            _add(offset, source, _seconds(clock.offset_ns))
            _add(bound, source, _seconds(clock.bound_ns))
            _add(likely, source, _seconds(clock.uncertainty_ns))
            _add(skew, source, _millionths(clock.skew_ppm))
            _add(skew_likely, source, _millionths(clock.skew_uncertainty_ppm))
            _add(delay, source, _seconds(clock.delay_ns))
            probes.add_metric(source, clock.probes)
        yield from (offset, bound, likely, skew, skew_likely, delay, probes)

    def _checks(self) -> Iterator[Metric]:
        active = _gauge("sync_check_active", "1 while a finding lasts.", ("source", "cause"))
        found = CounterMetricFamily(
            "twinrig_sync_checks", "Findings since the start.", labels=["source", "cause"]
        )
        lasting = {(check.source, check.cause.value) for check in self._board.active()}
        for key, count in sorted(self._board.found().items()):
            active.add_metric(key, float(key in lasting))
            found.add_metric(key, count)
        yield from (active, found)

    def _links(self) -> Iterator[Metric]:
        links = self._board.links()
        up = _gauge("communication_service_up", "1 while the service is available.", _LINK)
        seen = _gauge("observed_seconds", "Time the figures are from.", _LINK)
        values = {
            name: _gauge(_base_units(name), f"TS 22.104: {label(name)}.", _LINK) for name in FIGURES
        }
        low = _gauge("figure_low", "Lower 95 % limit of a figure.", (*_LINK, "figure"))
        high = _gauge("figure_high", "Upper 95 % limit of a figure.", (*_LINK, "figure"))
        budget = _gauge("figure_budget", "What the site asks of a figure.", (*_LINK, "figure"))
        met = _gauge("figure_met", "1 if the budget is met, 0 if not.", (*_LINK, "figure"))
        for link in links:
            key = [link.source, link.link]
            up.add_metric(key, float(link.is_up))
            seen.add_metric(key, link.observed_s)
            for figure in link.figures:
                if figure.name in values:
                    _add(values[figure.name], key, figure.value)
                named = [*key, figure.name]
                _add(low, named, figure.low)
                _add(high, named, figure.high)
                _add(budget, named, figure.budget)
                _add(met, named, None if figure.is_met is None else float(figure.is_met))
        yield from (up, seen, *values.values(), low, high, budget, met)


@final
class _Ledger(Collector):
    """What the loss ledger knows."""

    def __init__(self, ledger: LossLedger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        """Yield frames by what became of them, and records by sink."""
        rows, sinks = self._ledger.rows(), self._ledger.sink_rows()
        frames = _gauge("frames", "Frames of a source by account of the ledger.",
                        ("source", "account"))  # fmt: skip
        rejected = CounterMetricFamily(
            "twinrig_frames_rejected", "Rejected frames.", labels=["source", "reason"]
        )
        lines = CounterMetricFamily(
            "twinrig_line_errors", "Bytes that became no frame.", labels=["source", "reason"]
        )
        for row in rows:
            for account in _SOURCE_COUNTS:
                frames.add_metric([row.source, account], getattr(row, account))
            for reason, count in row.rejected.items():
                rejected.add_metric([row.source, reason], count)
            for reason, count in row.line_errors.items():
                lines.add_metric([row.source, reason], count)
        offered = CounterMetricFamily(
            "twinrig_sink_records_offered", "Records handed to a sink.", labels=["sink"]
        )
        delivered = CounterMetricFamily(
            "twinrig_sink_records_delivered", "Records it delivered.", labels=["sink"]
        )
        queued = _gauge("sink_records_queued", "Records it holds.", ("sink",))
        dropped = CounterMetricFamily(
            "twinrig_sink_records_dropped", "Records it gave up.", labels=["sink", "reason"]
        )
        for sink in sinks:
            offered.add_metric([sink.sink], sink.offered)
            delivered.add_metric([sink.sink], sink.delivered)
            queued.add_metric([sink.sink], sink.queued)
            for reason, count in sink.dropped.items():
                dropped.add_metric([sink.sink, reason], count)
        yield from (frames, rejected, lines, offered, delivered, queued, dropped)


def _histograms(distributions: Iterable[Distribution]) -> Iterator[Metric]:
    """Yield the distributions of all links, one family for each kind."""
    families = {
        name: HistogramMetricFamily(
            f"twinrig_{name}_distribution_seconds",
            f"TS 22.104: {name.replace('_', ' ')} since the figures began.",
            labels=list(_LINK),
        )
        for name in DISTRIBUTIONS
    }
    for found in distributions:
        buckets = [(repr(edge), float(below)) for edge, below in found.buckets]
        families[found.name].add_metric(
            [found.source, found.link], [*buckets, ("+Inf", float(found.count))], found.total_s
        )
    yield from families.values()


def _gauge(name: str, words: str, labels: tuple[str, ...] = ("source",)) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"twinrig_{name}", words, labels=list(labels))


def _add(family: GaugeMetricFamily, labels: list[str], value: float | None) -> None:
    """Add a sample, if there is one to add."""
    if value is not None:
        family.add_metric(labels, value)


def _base_units(name: str) -> str:
    """Return the name of a figure with its unit spelt as Prometheus has it."""
    return f"{name.removesuffix('_s')}_seconds" if name.endswith("_s") else name


def _seconds(value_ns: int | None) -> float | None:
    return None if value_ns is None else value_ns / NS_PER_S


def _millionths(value_ppm: float | None) -> float | None:
    return None if value_ppm is None else value_ppm * 1e-6
