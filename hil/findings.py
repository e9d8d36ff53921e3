"""What the gateway found out about time, held against what the scenario made go wrong.

Promises: a check belongs to the last fault of its source that had begun when it was made, until
that fault has been over for `SETTLE_NS`; one that belongs to none is a false alarm. `Finding` says
for every fault whether it was found, how soon, how large, and what else was named. Nothing here
knows how the gateway finds anything.
Leaves to others: what is printed (`clock_report.py`).

False alarms are a Poisson count n in T days of a source: the rate is n / T, and its one-sided 95 %
upper limit chi2(0.95, 2 n + 2) / (2 T), which is 3.0 / T for n = 0 (Garwood 1936).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, final

from scipy.stats import chi2

from gateway.records_time import SyncCheck
from hil.scenario_faults import FaultExpect

SETTLE_NS: Final = 90_000_000_000
"""The end of a fault is a change like its begin, and what was learnt meanwhile has to be unlearnt:
nine probes of the default period, after which a clock is known as well as before."""
_NS_PER_S: Final = 1_000_000_000
_DAY_S: Final = 86_400.0
_CONFIDENCE: Final = 0.95


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FaultTruth:
    """A fault as it was made; times are virtual, from the boards' start."""

    kind: str
    node: str
    sources: tuple[str, ...]
    """Whose checks it explains: the node, or every source for the gateway's own clock."""
    begin_ns: int
    end_ns: int
    breaks_bounds: bool
    """Whether the clock does what no clock of its class does, so that hard bounds break."""
    size: float | None
    """In `unit`; None where the fault has no size."""
    unit: str
    expect: FaultExpect

    def may_show(self, time_ns: int) -> bool:
        """Tell whether it is in force, or was a moment ago."""
        return self.begin_ns <= time_ns <= self.end_ns + SETTLE_NS


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TimedCheck:
    """A check and the virtual time at which the gateway made it."""

    check: SyncCheck
    emitted_ns: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault and what became of it."""

    truth: FaultTruth
    found: TimedCheck | None
    """First check that names the expected cause."""
    delay_s: float | None
    size_error: float | None
    """Told minus true, in the unit of the cause; None where there is no true size."""
    is_cause_right: bool
    """Found, and nothing untrue was named before it; of a quiet fault: nothing was named at all."""
    others: tuple[str, ...]
    """Causes that were named and are not true of this fault, in the order of their first check."""

    @property
    def is_size_right(self) -> bool:
        """Whether the size is within its tolerance, as far as both are given."""
        tolerance = self.truth.expect.tolerance
        if tolerance is None or self.size_error is None:
            return True
        return abs(self.size_error) <= tolerance

    def failures(self) -> list[str]:
        """Return one sentence per broken expectation, an empty list when all hold."""
        truth, expect = self.truth, self.truth.expect
        where = f"{truth.kind} of {truth.node}"
        found = []
        causes = " or ".join(expect.cause)
        if not expect.is_quiet and self.delay_s is None:
            found.append(f"{where}: {causes} expected, not found")
        elif self.delay_s is not None and self.delay_s > (expect.within_s or 0.0):
            found.append(
                f"{where}: {causes} expected within {expect.within_s:g} s,"
                f" came after {self.delay_s:.1f} s"
            )
        if not self.is_size_right:
            found.append(
                f"{where}: size off by {self.size_error:.3g} {truth.unit},"
                f" at most {expect.tolerance:g} expected"
            )
        if self.others:
            found.append(f"{where}: named {', '.join(self.others)}, which it is not")
        return found


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """All of it."""

    findings: tuple[Finding, ...]
    false_checks: tuple[TimedCheck, ...]
    """Checks that no fault explains."""
    quiet_s: float
    """Time in which none was in force or had just ended, summed over the sources."""

    @property
    def false_per_day(self) -> float:
        """Return the rate of false alarms of one source; 0 if there was no quiet time."""
        return len(self.false_checks) / (self.quiet_s / _DAY_S) if self.quiet_s > 0 else 0.0

    @property
    def false_per_day_high(self) -> float:
        """Return its one-sided 95 % upper limit; infinite if there was no quiet time."""
        if self.quiet_s <= 0:
            return float("inf")
        return float(chi2.ppf(_CONFIDENCE, 2 * len(self.false_checks) + 2)) / (
            2 * self.quiet_s / _DAY_S
        )


def judge_checks(
    checks: Sequence[TimedCheck],
    truths: Iterable[FaultTruth],
    end_ns: int,
    sources: Iterable[str],
) -> CheckResult:
    """Hold the checks of a run of `sources` that ended at `end_ns` against its faults."""
    ordered = sorted(truths, key=lambda truth: truth.begin_ns)
    begun = [item for item in checks if item.check.is_active]
    explained: dict[int, list[TimedCheck]] = {index: [] for index in range(len(ordered))}
    false = []
    for item in begun:
        index = _explains(item, ordered)
        if index is None:
            false.append(item)
        else:
            explained[index].append(item)
    return CheckResult(
        findings=tuple(_finding(truth, explained[k]) for k, truth in enumerate(ordered)),
        false_checks=tuple(false),
        quiet_s=sum(_quiet_ns(source, ordered, end_ns) for source in sources) / _NS_PER_S,
    )


def _explains(item: TimedCheck, ordered: Sequence[FaultTruth]) -> int | None:
    """Return the last fault that had begun and was not long over, or None."""
    for index in reversed(range(len(ordered))):
        truth = ordered[index]
        if item.check.source in truth.sources and truth.may_show(item.emitted_ns):
            return index
    return None


def _finding(truth: FaultTruth, checks: Sequence[TimedCheck]) -> Finding:
    expect = truth.expect
    found = next((item for item in checks if item.check.cause in expect.cause), None)
    true = {*expect.cause, *expect.also}
    untrue = [item for item in checks if item.check.cause not in true]
    size = truth.size if expect.size is None else expect.size
    if expect.is_quiet:
        is_right = not untrue
    else:
        is_right = found is not None and not (untrue and untrue[0].emitted_ns < found.emitted_ns)
    return Finding(
        truth=truth,
        found=found,
        delay_s=None if found is None else (found.emitted_ns - truth.begin_ns) / _NS_PER_S,
        size_error=None if found is None or size is None else found.check.size - size,
        is_cause_right=is_right,
        others=tuple(dict.fromkeys(item.check.cause.value for item in untrue)),
    )


def _quiet_ns(source: str, ordered: Sequence[FaultTruth], end_ns: int) -> int:
    """Return how much of the run no fault of a source explains anything in."""
    quiet_ns, from_ns = 0, 0
    for truth in (each for each in ordered if source in each.sources):
        quiet_ns += max(0, min(truth.begin_ns, end_ns) - from_ns)
        from_ns = max(from_ns, truth.end_ns + SETTLE_NS)
    return quiet_ns + max(0, end_ns - from_ns)
