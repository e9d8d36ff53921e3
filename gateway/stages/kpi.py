"""How every link serves, in the terms of 3GPP TS 22.104: the last stage, fed with all records made.

A message of a source is a frame or poll with a signal of the shortest period that the source has;
frames of answers, status and slower signals are none. Where such signals come apart (an MQTT device
with a topic for each) a message begins with the first of them that repeats, and others that come
within half a transfer interval are parts of it. It is handed to the sinks at the `now_ns` of
`observe`.

Observed time is the gateway's own: it advances with `now_ns` from call to call, stands still across
a pause (no call for `PAUSE_NS`: the process was stopped, the machine slept, the clock was set
forward) and never goes back when the clock is set back. So the gateway's pauses are unobserved and
no downtime of a link, and figures go on over restarts (`state`, `restore`).

Promises: sources that the site does not name have no figures, so memory is bounded; no figure is
made up, what is not known is None; repeats of silent values are no messages.
Left to others: loss, which the ledger counts (`gateway/loss.py`); the file
(`gateway/kpi_state.py`); budgets (`gateway/site_kpi.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, final

from gateway.clock import NS_PER_S, Cadence
from gateway.loss import LossLedger
from gateway.records import Aligned, Record, Verified
from gateway.records_time import LinkKpi
from gateway.stages.kpi_figures import FIGURES, figures
from gateway.stages.kpi_link import Link, LinkBudget, LinkState, Message, stated
from gateway.stages.sync import UNPLACED_BOUND_NS

__all__ = ("FIGURES", "Distribution", "Kpis")

PERIOD_NS: Final = 10 * NS_PER_S
PAUSE_NS: Final = 1_250_000_000
"""The gateway looks at its links four times a second, and once a second, by a clock that may run
fast, in the rig; who did not for so long was not there."""
_LOOK_NS_MAX: Final = NS_PER_S
"""So much of the time between two looks is observed. It is the shortest survival time that a site
has without saying so: the gateway's own halt, or a clock set ahead by less than a pause, does not
make a failure."""
_SET_BACK_NS: Final = NS_PER_S
"""Arrivals are stamped before they are looked at, so `now_ns` may go back by a little."""
_OCTAVES: Final = range(7, 31)
"""Edges of buckets that are shown: 128 us to 18 minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A histogram of one link, for whoever draws or scrapes it."""

    source: str
    link: str
    name: str
    """One of `kpi_link.DISTRIBUTIONS`."""
    buckets: tuple[tuple[float, int], ...]
    """(edge in s, how many lie below it), edges rising."""
    count: int
    total_s: float


@final
class Kpis:
    """Measures the links of a site; `budgets` by source, `ledger` says what was lost."""

    def __init__(
        self,
        budgets: Mapping[str, LinkBudget],
        ledger: LossLedger,
        *,
        period_ns: int = PERIOD_NS,
    ) -> None:
        self._ledger = ledger
        self._at_ns = 0
        self._now_ns: int | None = None
        self._cadence = Cadence(period_ns)
        self._links = {source: Link(budget, 0) for source, budget in sorted(budgets.items())}
        self._told: dict[str, bool] = {}

    def observe(self, records: Iterable[Record], now_ns: int) -> None:
        """Take note of records that go to the sinks now."""
        self._advance(now_ns)
        frames: list[Verified] = []
        newest: dict[tuple[str, int], Aligned] = {}
        for record in records:
            if isinstance(record, Verified):
                frames.append(record)
            elif isinstance(record, Aligned):
                key = record.source, record.sequence
                if key not in newest or record.time_ns > newest[key].time_ns:
                    newest[key] = record
        for frame in frames:
            link = self._links.get(frame.source)
            if link is None or not link.begins((r.signal for r in frame.readings), self._at_ns):
                continue
            value = newest.get((frame.source, frame.sequence))
            lost = self._losses(frame.source, link)[1]
            link.message(_message(frame, value), lost, self._at_ns, now_ns)

    def tick(self, now_ns: int) -> list[LinkKpi]:
        """Return the figures that are due: of all links now and then, of one that goes up or down.

        Call it at least every second or so while the gateway runs, else it counts as paused.
        """
        self._advance(now_ns)
        is_due = self._cadence.take(now_ns)
        made = []
        for source, link in self._links.items():
            link.service.look(self._at_ns)
            if is_due or self._told.get(source, link.service.is_up) != link.service.is_up:
                made.append(self._kpi(source, link, now_ns))
            self._told[source] = link.service.is_up
        return made

    def latest(self, now_ns: int) -> list[LinkKpi]:
        """Return the figures of all links as they are now, sorted by source."""
        return [self._kpi(source, link, now_ns) for source, link in self._links.items()]

    def distributions(self) -> list[Distribution]:
        """Return the histograms of all links, in cumulative buckets that double."""
        return [
            Distribution(
                source=source,
                link=link.link,
                name=name,
                buckets=tuple(kept.below(_OCTAVES)),
                count=kept.count,
                total_s=kept.total_s,
            )
            for source, link in self._links.items()
            for name, kept in link.distributions.items()
        ]

    def state(self) -> dict[str, LinkState]:
        """Return what outlives the gateway, by source."""
        for link in self._links.values():
            link.service.look(self._at_ns)
        return {
            source: link.state(*self._losses(source, link)) for source, link in self._links.items()
        }

    def restore(self, states: Mapping[str, LinkState]) -> list[str]:
        """Go on from what was kept; return the sources that begin afresh, because of new budgets.

        What is kept of sources that the site no longer has is forgotten. Raises ValueError for
        histograms that cannot be, and changes nothing then.
        """
        links, afresh = dict(self._links), []
        for source, link in self._links.items():
            state = states.get(source)
            if state is None:
                continue
            if state.stated_ns != stated(link.budget):
                afresh.append(source)
                continue
            links[source] = Link(link.budget, self._at_ns, state)
        self._links = links
        return afresh

    def _advance(self, now_ns: int) -> None:
        """Let observed time pass."""
        passed_ns = 0 if self._now_ns is None else now_ns - self._now_ns
        if -_SET_BACK_NS <= passed_ns < 0:
            return
        self._now_ns = now_ns
        if 0 <= passed_ns <= PAUSE_NS:
            self._at_ns += min(passed_ns, _LOOK_NS_MAX)
            return
        for link in self._links.values():
            link.pause()

    def _kpi(self, source: str, link: Link, now_ns: int) -> LinkKpi:
        link.service.look(self._at_ns)
        state = link.service.state
        sent, lost = self._losses(source, link)
        return LinkKpi(
            source=source,
            link=link.link,
            time_ns=now_ns,
            observed_s=(state.up_ns + state.down_ns) / NS_PER_S,
            is_up=link.service.is_up,
            figures=figures(link, link.sent_before + sent, link.lost_before + lost),
        )

    def _losses(self, source: str, link: Link) -> tuple[int, int]:
        """Return how many messages of a source were sent and lost in this run."""
        account = self._ledger.account(source)
        if link.budget.is_polled:
            lost = account.line_errors["poll_failed"]
            return account.verified + lost, lost
        return account.announced, account.lost + account.declared + account.unknown


def _message(frame: Verified, value: Aligned | None) -> Message:
    """Return a frame as a message; its time is unknown where its values have none."""
    if value is None or value.bound_ns >= UNPLACED_BOUND_NS:
        return Message(frame.link, None, 0, 0)
    return Message(frame.link, value.time_ns, value.bound_ns, value.uncertainty_ns)
