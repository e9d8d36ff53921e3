"""Estimates and verdicts in the address space: what goes to which variable, with which status.

Promises: a missing measurement does not make the model's own prediction of it bad, but uncertain; a
fused value is uncertain too while its signal is missing or left out because it is judged false, and
bad when there is none; a number the model does not have is null with a bad status, never NaN. In a
verdict State comes last, so that whoever waits for it finds the rest in place.
Left to others: the variables themselves (`opcua_space.py`), what is too late to be shown
(`opcua.py`).
"""

import math

from gateway import status
from gateway.records import Cause, Estimate, SignalEstimate, Verdict
from gateway.sinks.opcua_space import Space, utc


async def show_estimate(space: Space, estimate: Estimate, now_ns: int) -> None:
    """Write the estimate of an asset and of each of its signals."""
    path = f"{estimate.asset}/Estimate"
    facts: dict[str, object] = {
        "AnomalyProbability": estimate.anomaly_probability,
        "Score": estimate.score,
        "IsTrained": estimate.is_trained,
        "Kind": estimate.kind,
        "ScaleRows": estimate.scale_rows,
        "Regime": estimate.regime,
        "ModelId": estimate.model_id,
        "CoherenceK2Ns": estimate.coherence_ns,
        "TimeBoundNs": estimate.bound_ns,
        **_causes(estimate.causes),
    }
    await space.write_all(path, facts, estimate.time_ns, now_ns, estimate.status)
    for signal in estimate.values:
        for name, fact, code in _facts(signal):
            await space.write(
                f"{path}/{signal.signal}/{name}",
                fact,
                code=code,
                source_ns=estimate.time_ns,
                server_ns=now_ns,
            )


async def show_verdict(space: Space, verdict: Verdict, now_ns: int) -> None:
    """Write a verdict."""
    facts: dict[str, object] = {
        "Probability": verdict.probability,
        "Time": utc(verdict.time_ns),
        "Since": utc(verdict.since_ns),
        "Blamed": [blame.signal for blame in verdict.blamed],
        "BlamedShare": [blame.share for blame in verdict.blamed],
        "Evidence": verdict.evidence,
        **_causes(verdict.causes),
        "Sequence": verdict.sequence,
        "State": verdict.state.value,
    }
    await space.write_all(f"{verdict.asset}/Verdict", facts, verdict.time_ns, now_ns)


def _facts(signal: SignalEstimate) -> list[tuple[str, object, int]]:
    """Return (variable, value, status) of what the model says about one signal."""
    predicted = signal.status
    if status.is_bad(signal.status):
        predicted = status.UNCERTAIN_SUBSTITUTE_VALUE
    elif status.is_good(signal.status):
        predicted = status.GOOD
    numbers = [
        ("Expected", signal.expected, predicted),
        ("StandardDeviation", signal.standard_deviation, predicted),
        ("Fused", signal.fused, signal.fused_status),
        ("FusedDeviation", signal.fused_deviation, signal.fused_status),
        ("Contribution", signal.contribution, status.GOOD),
        ("Trust", signal.trust, status.GOOD),
    ]
    facts: list[tuple[str, object, int]] = [
        (name, number, _code(number, code)) for name, number, code in numbers
    ]
    low, high = signal.interval
    facts.append(("Interval", [low, high], _code(high - low, signal.fused_status)))
    return facts


def _code(number: float, code: int) -> int:
    """Return the status of a number: bad, whatever was meant, if it is none."""
    return code if math.isfinite(number) or status.is_bad(code) else status.BAD_NO_DATA


def _causes(causes: tuple[Cause, ...]) -> dict[str, object]:
    """Return the variables of causes; empty ones when there is none."""
    top = causes[0] if causes else None
    return {
        "Cause": "" if top is None else top.cause,
        "CauseSignal": "" if top is None or top.signal is None else top.signal,
        "CauseProbability": 0.0 if top is None else top.probability,
        "Causes": [cause.text for cause in causes],
    }
