"""One link under observation: what every message adds to its figures.

    latency        handed to the sinks - time of the newest value in the message
    in time        the latency is known, at most the budget, and not certainly below zero
    update time    between two messages in time, at the sinks
    transfer interval   the same by the times of their values, at the source
    jitter         J <- J + (|latency - latency before| - J) / 16          RFC 3550, 6.4.1

Promises: constant work and bounded memory for every message; a time that nobody knows counts as not
in time and enters no distribution; nothing is measured across a pause of the gateway.
Left to others: which records are one message (`kpi.py`), what the site asks for (`site_kpi.py`),
figures and limits (`kpi_figures.py`).

Sources: 3GPP TS 22.104, 3.1 and annex C; RFC 3550 (2003), 6.4.1 and A.8.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, final

from gateway.clock import NS_PER_S
from gateway.models.log_histogram import HistogramState, LogHistogram
from gateway.stages.kpi_service import NEW, Service, ServiceState

DISTRIBUTIONS: Final = (
    "transfer_interval", "update_time", "end_to_end_latency", "time_bound", "time_uncertainty",
)  # fmt: skip
"""What is kept as a histogram of seconds."""
_JITTER_GAIN: Final = 1 / 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkBudget:
    """What a site states of a link, and what it asks of it."""

    transfer_interval_ns: int
    signals: frozenset[str]
    """Resolved names; frames or polls with them are messages of the service."""
    survival_ns: int
    latency_ns: int
    synchronicity_ns: int
    is_polled: bool = False
    """Asked by the gateway; a poll without an answer is a lost message."""
    availability: float | None = None
    mtbf_s: float | None = None
    loss_ratio: float | None = None
    repair_s: float = 60.0
    """How long an outage is taken to last while none was seen."""

    @property
    def grace_ns(self) -> int:
        """Return how long after a message the service is still up without the next."""
        return self.transfer_interval_ns + self.survival_ns


class Message(NamedTuple):
    """A message as it goes to the sinks."""

    link: str
    time_ns: int | None
    """Time of its newest value; None if nobody knows it."""
    bound_ns: int
    uncertainty_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """What is kept of a link over a restart of the gateway."""

    stated_ns: tuple[int, int, int]
    """Transfer interval, survival time and latency it was measured against."""
    link: str = ""
    service: ServiceState = NEW
    messages: int = 0
    untimely: int = 0
    sent: int = 0
    """Messages that the source is known to have sent, or was asked for."""
    lost: int = 0
    lost_squares: int = 0
    """Sum of the squared lengths of bursts of lost messages, and of late ones."""
    untimely_squares: int = 0
    lost_in_a_row: int = 0
    """Lost since the last message that came, and late ones since the last in time: bursts that are
    not over, whose squares are not in the sums of lost ones yet, and in those of late ones."""
    untimely_in_a_row: int = 0
    jitter_s: float = 0.0
    histograms: Mapping[str, HistogramState] = field(default_factory=dict)


@final
class Link:
    """The measurements of one source; `at_ns` is observed time, `now_ns` the gateway's UTC."""

    def __init__(self, budget: LinkBudget, at_ns: int, state: LinkState | None = None) -> None:
        """Begin afresh, or go on; raise ValueError for histograms that cannot be."""
        known = LinkState(stated_ns=stated(budget)) if state is None else state
        self.budget = budget
        self.link = known.link
        self.service = Service(budget.grace_ns, at_ns, known.service)
        self.messages, self.untimely = known.messages, known.untimely
        self.sent_before, self.lost_before = known.sent, known.lost
        """Of earlier runs; the ledger counts this one."""
        self.lost_squares, self.untimely_squares = known.lost_squares, known.untimely_squares
        self._lost = 0
        """Of this run, when the last message came."""
        self._lost_before = known.lost_in_a_row
        """In a row, and in earlier runs: the next loss goes on from there."""
        self._late = known.untimely_in_a_row
        """Messages in a row that were not in time."""
        self.jitter_s = known.jitter_s
        self.distributions = {
            name: LogHistogram(known.histograms.get(name)) for name in DISTRIBUTIONS
        }
        self._heard: frozenset[str] = frozenset()
        """Signals of the message that came last, and when it began."""
        self._begun_ns = at_ns
        self._last: tuple[int, int, float] | None = None
        """Observed time, time of the value and latency of the last message in time."""

    def begins(self, signals: Iterable[str], at_ns: int) -> bool:
        """Take note of a frame or poll; tell whether a message begins with it.

        One that adds signals to a message and repeats none is a part of it, if it comes in the
        first half of a transfer interval: later it is of the next one, whose beginning was lost.
        """
        heard = self.budget.signals.intersection(signals)
        if not heard:
            return False
        is_near = 2 * (at_ns - self._begun_ns) <= self.budget.transfer_interval_ns
        if self._heard and is_near and self._heard.isdisjoint(heard):
            self._heard |= heard
            return False
        self._heard, self._begun_ns = heard, at_ns
        return True

    def message(self, message: Message, lost: int, at_ns: int, now_ns: int) -> None:
        """Take note of a message, before which `lost` had been lost in this run."""
        self.link = message.link
        self.messages += 1
        self.lost_squares += self._burst(lost) ** 2
        self._lost, self._lost_before = lost, 0
        if message.time_ns is None:
            self._count_late()
            return
        latency_ns = now_ns - message.time_ns
        latency_s = latency_ns / NS_PER_S
        self._add("end_to_end_latency", latency_s)
        self._add("time_bound", message.bound_ns / NS_PER_S)
        self._add("time_uncertainty", message.uncertainty_ns / NS_PER_S)
        if not -message.bound_ns <= latency_ns <= self.budget.latency_ns:
            self._count_late()
            return
        self._late = 0
        self.service.message(at_ns)
        if self._last is not None:
            before_ns, value_ns, latency_before_s = self._last
            self._add("update_time", (at_ns - before_ns) / NS_PER_S)
            if message.time_ns > value_ns:
                self._add("transfer_interval", (message.time_ns - value_ns) / NS_PER_S)
            self.jitter_s += _JITTER_GAIN * (abs(latency_s - latency_before_s) - self.jitter_s)
        self._last = at_ns, message.time_ns, latency_s

    def pause(self) -> None:
        """Measure nothing from the last message to the next: the gateway was not there."""
        self._last, self._heard = None, frozenset()

    def state(self, sent: int, lost: int) -> LinkState:
        """Return what is to be kept; `sent` and `lost` are counts of this run."""
        return LinkState(
            stated_ns=stated(self.budget),
            link=self.link,
            service=self.service.state,
            messages=self.messages,
            untimely=self.untimely,
            sent=self.sent_before + sent,
            lost=self.lost_before + lost,
            lost_squares=self.lost_squares,
            untimely_squares=self.untimely_squares,
            lost_in_a_row=self._burst(lost),
            untimely_in_a_row=self._late,
            jitter_s=self.jitter_s,
            histograms={name: kept.state() for name, kept in self.distributions.items()},
        )

    def loss_squares(self, lost: int) -> int:
        """Return the sum of the squared bursts of losses, the one that goes on included.

        `lost` is a count of all runs.
        """
        return self.lost_squares + self._burst(lost - self.lost_before) ** 2

    def _burst(self, lost: int) -> int:
        """Return how many were lost in a row since a message came; `lost` counts this run."""
        return self._lost_before + max(lost - self._lost, 0)

    def _count_late(self) -> None:
        self.untimely += 1
        # (n + 1)^2 - n^2: the burst is longer by one.
        self.untimely_squares += 2 * self._late + 1
        self._late += 1

    def _add(self, name: str, value_s: float) -> None:
        self.distributions[name].add(value_s)


def stated(budget: LinkBudget) -> tuple[int, int, int]:
    """Return what decides whether a message is in time and the service up."""
    return budget.transfer_interval_ns, budget.survival_ns, budget.latency_ns
