"""Estimates become `Verdict`s: one on every change of state, with evidence a person can check.

    LEARNING --first trained row below `alarm_on`--> NORMAL
    LEARNING, NORMAL --`rows_on` rows in a row at or above `alarm_on`--> ALARM
    ALARM --`rows_off` rows in a row at or below `alarm_off`, each with a usable value of
            every signal the alarm blamed--> NORMAL

Between the two thresholds the state stays (hysteresis). It stays too while a blamed sensor says
nothing: an alarm does not end because its sensor was lost. The return says in how many rows there
was no data from it. A row whose probability is not a number neither makes nor ends a run.
Where the time of a row is badly known its place among its neighbours is, too: a run has to be
longer by the rows that twice the worst time bound in it covers, up to double, and says so.

    needed = rows + min(2 bound // period, rows)
The evidence says in words and numbers which sensors, how far from what the others made expected,
how probable, since when; then the likeliest causes, as the row that decided has them
(`diagnosis.py`).
Numbers in a verdict are rounded, so that its text and its bytes say the same.
"""

import math
from collections import Counter, deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, final

from gateway import status
from gateway.records import (
    CAUSES_MAX,
    Blame,
    Cause,
    Estimate,
    SignalEstimate,
    State,
    Verdict,
)

_SHARE_MIN: Final = 0.05
"""Signals with a smaller part of the evidence, and less probable causes, are not named."""
_NAMED_MAX: Final = 3
_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Persistence:
    """When the state changes; probabilities 0..1, counts in rows."""

    alarm_on: float = 0.5
    rows_on: int = 3
    alarm_off: float = 0.2
    rows_off: int = 10


@final
class Judge:
    """Keeps the state of one asset whose rows are `period_ns` apart; 0: their times are exact."""

    def __init__(
        self, asset: str, persistence: Persistence | None = None, *, period_ns: int = 0
    ) -> None:
        self.asset = asset
        self._period_ns = period_ns
        self.state = State.LEARNING
        self._rule = Persistence() if persistence is None else persistence
        longest = max(self._rule.rows_on, self._rule.rows_off)
        self._run: deque[Estimate] = deque(maxlen=2 * longest if period_ns else longest)
        self._run_rows = 0
        self._run_bound_ns = 0
        """Worst time bound of the run's rows."""
        self._run_start_ns = 0
        self._sequence = 0
        self._blamed: tuple[Blame, ...] = ()
        self._silent_rows: Counter[str] = Counter()

    def feed(self, item: Estimate, _now_ns: int, /) -> list[Verdict]:
        """Take one estimate; return a verdict if the state changes with it."""
        if not item.is_trained or not math.isfinite(item.anomaly_probability):
            return []
        speaks = self._speaks_for_change(item)
        if speaks:
            if self._run_rows == 0:
                self._run_start_ns = item.time_ns
                self._run_bound_ns = 0
                self._run.clear()
            self._run_rows += 1
            self._run_bound_ns = max(self._run_bound_ns, item.bound_ns)
            self._run.append(item)
        else:
            self._run_rows = 0
        if self.state is State.LEARNING and not speaks:
            return [self._change(State.NORMAL, item, item.time_ns, ())]
        rows_asked = self._rule.rows_off if self.state is State.ALARM else self._rule.rows_on
        needed = rows_asked + self._covered(rows_asked)
        if self._run_rows < needed:
            return []
        after = State.NORMAL if self.state is State.ALARM else State.ALARM
        rows = tuple(self._run)[-needed:]
        # The clock may have been set back within the run: it cannot have begun after its end.
        return [self._change(after, item, min(self._run_start_ns, item.time_ns), rows)]

    def _covered(self, rows: int) -> int:
        """Return by how many rows a run has to be longer, for how badly its time is known."""
        if self._period_ns <= 0:
            return 0
        return min(2 * self._run_bound_ns // self._period_ns, rows)

    def _speaks_for_change(self, item: Estimate) -> bool:
        """Tell whether a row speaks for leaving the present state."""
        if self.state is not State.ALARM:
            return item.anomaly_probability >= self._rule.alarm_on
        heard = {value.signal for value in item.values if _is_usable(value)}
        silent = [blame.signal for blame in self._blamed if blame.signal not in heard]
        self._silent_rows.update(silent)
        return not silent and item.anomaly_probability <= self._rule.alarm_off

    def _change(
        self, state: State, item: Estimate, since_ns: int, rows: tuple[Estimate, ...]
    ) -> Verdict:
        """Enter a state and say so."""
        before, self.state, self._run_rows = self.state, state, 0
        blamed = _blame(rows) if state is State.ALARM else ()
        evidence = _evidence(before, state, item, since_ns, rows, blamed)
        asked = self._rule.rows_on if state is State.ALARM else self._rule.rows_off
        if len(rows) > asked:
            evidence += (
                f"; {len(rows) - asked} rows longer than asked for, since times are known to "
                f"+-{self._run_bound_ns / _NS_PER_S:.3g} s only"
            )
        causes = _causes(item.causes) if state is State.ALARM else ()
        evidence += _silence(self._silent_rows)
        evidence += "".join(f"; likely cause: {cause.text}" for cause in causes[:_NAMED_MAX])
        self._blamed = blamed
        self._silent_rows.clear()
        verdict = Verdict(
            asset=self.asset,
            time_ns=item.time_ns,
            state=state,
            probability=round(item.anomaly_probability, 6),
            since_ns=since_ns,
            blamed=blamed,
            evidence=evidence,
            sequence=self._sequence,
            causes=causes,
        )
        self._sequence += 1
        return verdict


def _causes(causes: tuple[Cause, ...]) -> tuple[Cause, ...]:
    """Return the causes a verdict names, rounded, in their order."""
    rounded = [replace(cause, probability=round(cause.probability, 4)) for cause in causes]
    return tuple(cause for cause in rounded if cause.probability >= _SHARE_MIN)[:CAUSES_MAX]


def _is_usable(value: SignalEstimate) -> bool:
    """Tell whether the row has a value of this signal that says something."""
    return math.isfinite(value.value) and not status.is_bad(value.status)


def _silence(silent_rows: Counter[str]) -> str:
    """Return which blamed signals said nothing during an alarm, and in how many rows."""
    return "".join(
        f"; no data from {signal} in {rows} rows of the alarm"
        for signal, rows in sorted(silent_rows.items())
    )


def _blame(rows: tuple[Estimate, ...]) -> tuple[Blame, ...]:
    """Return the signals with their shares of the positive evidence of the rows, largest first."""
    totals: dict[str, float] = {}
    for row in rows:
        for value in row.values:
            totals[value.signal] = totals.get(value.signal, 0.0) + _positive(value)
    whole = sum(totals.values())
    if whole <= 0.0:
        return ()
    shares = [(round(total / whole, 4), signal) for signal, total in totals.items()]
    named = sorted((pair for pair in shares if pair[0] >= _SHARE_MIN), key=lambda p: (-p[0], p[1]))
    return tuple(Blame(signal=signal, share=share) for share, signal in named)


def _positive(value: SignalEstimate) -> float:
    """Return what a signal adds to the evidence; nothing if that is not a number."""
    return max(value.contribution, 0.0) if math.isfinite(value.contribution) else 0.0


def _evidence(
    before: State,
    state: State,
    item: Estimate,
    since_ns: int,
    rows: tuple[Estimate, ...],
    blamed: tuple[Blame, ...],
) -> str:
    """Return the reason of a change in words and numbers."""
    probability = item.anomaly_probability
    if before is State.LEARNING and state is State.NORMAL:
        return f"model trained on {len(item.values)} signals; anomaly probability {probability:.3f}"
    when = datetime.fromtimestamp(since_ns // _NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    head = f"anomaly probability {probability:.3f}, {len(rows)} rows in a row since {when}"
    if state is State.NORMAL:
        return f"back to normal: {head}"
    named = [_sensor(blame, rows) for blame in blamed[:_NAMED_MAX]]
    return "; ".join([f"not normal: {head}", *named])


def _sensor(blame: Blame, rows: tuple[Estimate, ...]) -> str:
    """Return what one blamed sensor did, as means over the rows that have a value of it."""
    seen = [
        value
        for row in rows
        for value in row.values
        if value.signal == blame.signal and _is_comparable(value)
    ]
    share = f"{blame.share:.0%} of the evidence"
    if not seen:
        return f"{blame.signal} has no value, {share}"
    measured = sum(value.value for value in seen) / len(seen)
    expected = sum(value.expected for value in seen) / len(seen)
    sigmas = sum(_sigmas(value) for value in seen) / len(seen)
    return (
        f"{blame.signal} {measured:.6g} instead of {expected:.6g} "
        f"({sigmas:+.1f} sigma given the others), {share}"
    )


def _is_comparable(value: SignalEstimate) -> bool:
    """Tell whether a measured value can be held against what was expected."""
    numbers = (value.value, value.expected, value.standard_deviation)
    return all(map(math.isfinite, numbers)) and value.standard_deviation > 0.0


def _sigmas(value: SignalEstimate) -> float:
    """Return the distance from the conditional prediction in its standard deviations."""
    return (value.value - value.expected) / value.standard_deviation
