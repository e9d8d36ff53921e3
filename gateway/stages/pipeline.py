"""The stages in reading order: verify, sync, report, fuse, judge; silence beside them.

`feed` pushes one frame or poll through all of them and returns every record made, in the order
made, for the sinks. What verify rejects goes no further; the ledger knows. Several assets may
look at the same values. What a node says about itself becomes a report and meets no model; a value
whose time nobody knows is published as such and meets none either.
Rule of order: a record comes before the records made from it. What `tick` repeats because nothing
newer has come is for the sinks alone: no model and no judge sees it again.
"""

from collections.abc import Iterable
from typing import final

from gateway.loss import LossLedger
from gateway.records import Estimate, Input, Record, Verified
from gateway.stages.fuse import Fuse
from gateway.stages.judge import Judge
from gateway.stages.report import report
from gateway.stages.silence import Silence
from gateway.stages.sync import UNPLACED_BOUND_NS, Sync
from gateway.stages.verify import Verify


@final
class Pipeline:
    """Verify, sync, then each asset's fuse and judge; shares `ledger` with verify."""

    def __init__(
        self,
        verify: Verify,
        sync: Sync,
        assets: Iterable[tuple[Fuse, Judge]],
        ledger: LossLedger,
        silence: Silence | None = None,
    ) -> None:
        self.verify = verify
        self.sync = sync
        self.assets = tuple(assets)
        self.ledger = ledger
        self.silence = Silence({}, 1) if silence is None else silence

    def feed(self, item: Input, now_ns: int, /) -> list[Record]:
        """Take one frame or poll and return every record it leads to."""
        made: list[Record] = []
        for checked in self.verify.feed(item, now_ns):
            made.append(checked)
            if isinstance(checked, Verified):
                self._understand(checked, now_ns, made)
                self.ledger.account(checked.source).delivered += 1
        return made

    def tick(self, now_ns: int, /) -> list[Record]:
        """Let time pass without input: rows that waited long enough are judged as they are."""
        made: list[Record] = []
        for fuse, judge in self.assets:
            self._judge(fuse.tick(now_ns), judge, now_ns, made)
        made.extend(self.silence.tick(now_ns))
        return made

    def _understand(self, checked: Verified, now_ns: int, made: list[Record]) -> None:
        """Align a verified frame, and let every asset see its values."""
        values = self.sync.feed(checked, now_ns)
        if checked.tick_us is not None:
            made.extend(report(checked, self.sync.place(checked, checked.tick_us)))
        for aligned in values:
            made.append(aligned)
            self.silence.heard(aligned, now_ns)
            if aligned.bound_ns >= UNPLACED_BOUND_NS:
                continue
            for fuse, judge in self.assets:
                self._judge(fuse.feed(aligned, now_ns), judge, now_ns, made)

    def _judge(
        self, estimates: list[Estimate], judge: Judge, now_ns: int, made: list[Record]
    ) -> None:
        """Append estimates, each followed by the verdict it leads to."""
        for estimate in estimates:
            made.append(estimate)
            self.silence.heard(estimate, now_ns)
            made.extend(judge.feed(estimate, now_ns))
