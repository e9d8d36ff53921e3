"""The stages in reading order: verify, sync, report, fuse, judge; what watches them beside them.

`feed` pushes one frame or poll through all of them and returns every record made, in the order
made, for the sinks. What verify rejects goes no further; the ledger knows. Several assets may
look at the same values. What a node says about itself becomes a report and meets no model; a value
whose time nobody knows is published as such and meets none either.
Rules of order: a record comes before the records made from it, what was found out about time after
those it was found in. A frame that sync holds back, because the clock it was stamped by is not
known yet, comes with its values when they have their time: until then no sink and no receipt knows
of it. What `tick` repeats because nothing newer has come is for the sinks alone: no model and no
judge sees it again.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import final

from gateway.loss import LossLedger
from gateway.models.clock_checks_host import HostState
from gateway.records import Aligned, Estimate, Input, Record, Verified
from gateway.records_time import ClockEstimate, SyncCheck
from gateway.stages.events import Events
from gateway.stages.fuse import Fuse
from gateway.stages.judge import Judge
from gateway.stages.kpi import Kpis
from gateway.stages.lag import LagWatch
from gateway.stages.report import report
from gateway.stages.silence import Silence
from gateway.stages.sync import UNPLACED_BOUND_NS, Sync
from gateway.stages.verify import Verify


@final
@dataclass(slots=True, kw_only=True)
class Watches:
    """What looks on: none of it changes a value or a verdict."""

    silence: Silence = field(default_factory=lambda: Silence({}, 1))
    events: Events = field(default_factory=lambda: Events(()))
    """State machines against their order and timing."""
    kpis: Kpis | None = None
    """How the links serve; told by the application of what went to the sinks."""


@final
@dataclass(slots=True)
class _Line:
    """The stages of one asset."""

    fuse: Fuse
    judge: Judge
    lag: LagWatch


@final
class Pipeline:
    """Verify, sync, then each asset's fuse and judge; shares `ledger` with verify."""

    def __init__(
        self,
        verify: Verify,
        sync: Sync,
        assets: Iterable[tuple[Fuse, Judge]],
        ledger: LossLedger,
        watches: Watches | None = None,
    ) -> None:
        self.verify = verify
        self.sync = sync
        self.ledger = ledger
        self.watches = Watches() if watches is None else watches
        self._found: Counter[str] = Counter()
        self._held: list[Verified] = []
        self._lines = [_Line(fuse, judge, LagWatch()) for fuse, judge in assets]

    @property
    def assets(self) -> list[tuple[Fuse, Judge]]:
        """Return the stages of every asset."""
        return [(line.fuse, line.judge) for line in self._lines]

    @property
    def kpis(self) -> Kpis | None:
        """Return who measures the links."""
        return self.watches.kpis

    def feed(self, item: Input, now_ns: int, /) -> list[Record]:
        """Take one frame or poll and return every record it leads to."""
        made: list[Record] = []
        for checked in self.verify.feed(item, now_ns):
            if not isinstance(checked, Verified):
                made.append(checked)
                self.sync.refused(checked, now_ns)
                continue
            values = self.sync.feed(checked, now_ns)
            if self.sync.is_holding(checked):
                self._held.append(checked)
            else:
                self._understand(checked, values, now_ns, made)
        self._release(now_ns, made)
        return self._with_findings(made)

    def tick(self, now_ns: int, host: HostState | None = None, /) -> list[Record]:
        """Let time pass without input: rows that waited long enough are judged as they are.

        `host` is what the machine says of its own clock.
        """
        made: list[Record] = []
        self.sync.tick(now_ns, host)
        self._release(now_ns, made)
        for line in self._lines:
            self._judge(line.fuse.tick(now_ns), line, now_ns, made)
        made.extend(self.watches.events.tick(now_ns))
        made.extend(self.watches.silence.tick(now_ns))
        made = self._with_findings(made)
        if self.watches.kpis is not None:
            made.extend(self.watches.kpis.tick(now_ns))
        return made

    def take_held(self) -> list[Verified]:
        """Return, and forget, the frames that `feed` has begun to hold back since the last call.

        They count as taken and as not done with: no receipt and no kept mark may name them yet.
        """
        held, self._held = self._held, []
        return held

    def _release(self, now_ns: int, made: list[Record]) -> None:
        """Go on with frames that sync has held back until now."""
        for checked, values in self.sync.released(now_ns):
            self._understand(checked, values, now_ns, made)

    def _understand(
        self, checked: Verified, values: list[Aligned], now_ns: int, made: list[Record]
    ) -> None:
        """Append a verified frame and its values, and let every watch and asset see them."""
        made.append(checked)
        self.ledger.account(checked.source).delivered += 1
        if checked.tick_us is not None:
            made.extend(report(checked, self.sync.place(checked, checked.tick_us)))
        for aligned in values:
            made.append(aligned)
            self.watches.silence.heard(aligned, now_ns)
            if aligned.bound_ns >= UNPLACED_BOUND_NS:
                continue
            made.extend(self.watches.events.feed(aligned, now_ns))
            for line in self._lines:
                self._judge(line.fuse.feed(aligned, now_ns), line, now_ns, made)

    def _judge(
        self, estimates: list[Estimate], line: _Line, now_ns: int, made: list[Record]
    ) -> None:
        """Append estimates, each followed by what it leads to, then older ones as revised."""
        for estimate in estimates:
            made.append(estimate)
            self.watches.silence.heard(estimate, now_ns)
            made.extend(line.judge.feed(estimate, now_ns))
            made.extend(line.lag.feed(estimate, line.fuse.model))
        made.extend(line.fuse.take_revisions())

    def _with_findings(self, made: list[Record]) -> list[Record]:
        """Append what was found out about time; number the findings of each source together."""
        found = [*self.sync.findings(), *self.watches.events.findings()]
        for record in found:
            if isinstance(record, ClockEstimate):
                for line in self._lines:
                    line.lag.note(record)
        made.extend(found)
        return [self._numbered(each) if isinstance(each, SyncCheck) else each for each in made]

    def _numbered(self, check: SyncCheck) -> SyncCheck:
        number = self._found[check.source]
        self._found[check.source] += 1
        return replace(check, sequence=number)
