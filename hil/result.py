"""What came out of a run, and what of it is not as the scenario expects.

Promises: every figure is counted, none is rounded; what a trace cannot tell is said to be unjudged
and never taken for good.  Leaves to others: running (run.py), printing (report.py).
"""

from dataclasses import dataclass, replace

from gateway.loss import SourceBalance
from gateway.records import State, Verdict
from hil.clock_truth import NodeTruth
from hil.findings import CheckResult
from hil.scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardResult:
    """What one board did in a run."""

    node: str
    board: str
    identity: str
    sent_frames: int
    transactions: int
    transactions_sha256: str
    computed_ns: int
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedVerdict:
    """A verdict and the virtual UTC at which the gateway came to it."""

    verdict: Verdict
    emitted_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What came out of one run; `alarm_delay_s` is None without a label or without an alarm."""

    scenario: str
    trace_sha256: str
    origin: str
    is_simulated: bool
    frames_sha256: str
    verdicts_sha256: str
    checks_sha256: str
    boards: tuple[BoardResult, ...]
    ledger: tuple[SourceBalance, ...]
    ledger_adds_up: bool
    verdicts: tuple[TimedVerdict, ...]
    label_start_ns: int | None
    alarm: TimedVerdict | None
    alarm_delay_s: float | None
    false_alarms: int | None
    """Alarms outside labelled rows; None when the trace has no labels."""
    checks: CheckResult
    """Findings about time against the faults of the scenario."""
    truth: tuple[NodeTruth, ...]
    """The times that were stated against the true ones, by node."""
    virtual_s: float
    real_s: float
    failures: tuple[str, ...]
    """One sentence for every expectation that does not hold."""
    unjudged: tuple[str, ...]
    """One sentence for every expectation that this trace cannot be judged by."""

    @property
    def hashes(self) -> tuple[str, str, str]:
        """What has to be the same in every run: of frames, verdicts and findings about time."""
        return self.frames_sha256, self.verdicts_sha256, self.checks_sha256

    @property
    def sent(self) -> int:
        """Frames that the boards have put on their lines."""
        return sum(board.sent_frames for board in self.boards)

    @property
    def verified(self) -> int:
        """Frames of nodes that passed every check."""
        return sum(row.verified for row in self._node_rows())

    @property
    def rejected(self) -> int:
        """Frames of nodes that failed a check, line errors included."""
        return sum(row.rejected_total + sum(row.line_errors.values()) for row in self._node_rows())

    @property
    def lost(self) -> int:
        """Frames that a node has numbered and the gateway does not have at the end.

        A node may send a frame twice, so this is no difference of counts on the line but what the
        ledger says of the numbers. Answers of the moment are not among them: see `unanswered`.
        """
        return sum(row.lost + row.awaited + row.declared for row in self._node_rows())

    @property
    def unanswered(self) -> int:
        """Answers of the live lane that the line took; nothing of the plant was in them."""
        return sum(row.unanswered for row in self._node_rows())

    def _node_rows(self) -> list[SourceBalance]:
        nodes = {board.node for board in self.boards}
        return [row for row in self.ledger if row.source in nodes]

    @property
    def speed(self) -> float:
        """Virtual time over real time."""
        return self.virtual_s / self.real_s


def judge_alarms(
    verdicts: list[TimedVerdict], spans_ns: list[tuple[int, int]] | None
) -> tuple[TimedVerdict | None, int | None]:
    """The first alarm inside a labelled span, and how many alarms began outside of all spans.

    spans_ns: None when nobody labelled the trace; then no alarm can be called false, and the first
    alarm is simply the first.  An empty list means that all of the trace is known to be healthy.
    """
    alarms = [item for item in verdicts if item.verdict.state is State.ALARM]
    if spans_ns is None:
        return (alarms[0] if alarms else None), None
    inside = [
        item for item in alarms if any(first <= item.emitted_ns <= last for first, last in spans_ns)
    ]
    return (inside[0] if inside else None), len(alarms) - len(inside)


def with_failures(result: RunResult, scenario: Scenario) -> RunResult:
    """The result with what was expected and did not come, and with what could not be judged."""
    expect = scenario.expect
    unjudged = []
    if result.label_start_ns is None:
        about_fault = {"alarm_within_s": None, "blamed": (), "causes": ()}
        given = [name for name, nothing in about_fault.items() if getattr(expect, name) != nothing]
        unjudged += [f"{name}: no labelled fault in what was played" for name in given]
        expect = expect.model_copy(update=about_fault)
    alarm = None if result.alarm is None else result.alarm.verdict
    if result.false_alarms is None and expect.false_alarms_max is not None:
        unjudged.append(f"false_alarms_max: no label column {scenario.trace.label_column!r}")
        expect = expect.model_copy(update={"false_alarms_max": None})
    failures = expect.failures(
        rejected=result.rejected,
        lost=result.lost,
        alarm_delay_s=result.alarm_delay_s,
        false_alarms=result.false_alarms or 0,
        blamed=alarm.blamed[0].signal if alarm is not None and alarm.blamed else None,
        cause=alarm.causes[0].cause if alarm is not None and alarm.causes else None,
    )
    failures += time_failures(result, expect.sync_checks_max)
    if not result.ledger_adds_up:
        failures.append("loss ledger: the counters do not add up; see its rows")
    return replace(result, failures=tuple(failures), unjudged=tuple(unjudged))


def time_failures(result: RunResult, false_checks_max: int | None) -> list[str]:
    """One sentence for each thing about time that is not as the scenario and the bounds promise."""
    found = [sentence for finding in result.checks.findings for sentence in finding.failures()]
    false = result.checks.false_checks
    if false_checks_max is not None and len(false) > false_checks_max:
        named = ", ".join(sorted({f"{item.check.source} {item.check.cause}" for item in false}))
        found.append(f"sync checks: at most {false_checks_max} false, got {len(false)} ({named})")
    found += [
        f"time of {node.node}: {broken} of {claims} hard bounds do not hold the truth"
        for node in result.truth
        for claims, broken in (
            (node.values.claims, node.values.broken),
            (node.estimates.claims, node.estimates.broken),
        )
        if broken
    ]
    return found
