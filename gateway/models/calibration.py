"""From evidence to alarm: limits such that healthy rows cross them as often as was agreed.

Held out means: what is learnt from the first part of the training rows is tried on the rest, and
the other way round with time reversed, so drift between learning and use is part of what is tried.
All evidence is in log odds: that of windows is a log Bayes factor plus the same prior odds that the
bank of every signal has. How far above the highest value a limit must be is learnt from how far
one trial exceeds the other (evidence_tail.py), so a tail heavier than theory says costs a higher
limit. This holds as far as the trials do: healthy rows unlike any in training are not covered.

The set-point is that of all alarms of an asset together (signals that have moved, windows of all
together, loud, quiet, of another rhythm), and again that of all its change points together.

Promised: only healthy rows are looked at; a signal that wanders in training gets a high limit
instead of a bad name.
Left to others: evidence (evidence_*.py, change.py), living with it (tracker.py).

Sources: Gruenwald, de Heide and Koolen (2024), Safe testing, 1, for evidence that may be looked at
after every row; Bates and others (2023), Testing for outliers with conformal p-values, for
held-out limits.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.models import (
    change,
    drift,
    evidence_joint,
    evidence_spectrum,
    evidence_spread,
    evidence_steps,
    evidence_tail,
    joint_law,
    regimes,
    state_space,
)
from gateway.models.evidence_spectrum import SpectrumLaw
from gateway.models.evidence_spread import SpreadLaw
from gateway.models.evidence_steps import Law
from gateway.models.evidence_tail import Tail
from gateway.models.joint_law import JointLaw
from gateway.models.scaling import UnfitRowsError, scaled
from gateway.models.twin_model import TwinModel

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FALSE_ALARMS_PER_HOUR: Final = 1.0
"""Where nobody says what is wanted."""
LOG_PRIOR_ODDS: Final = math.log(evidence_steps.ENTRY / evidence_steps.RETURN)
"""Of a row in a fault over one in health, before anything is seen; makes odds of Bayes factors."""
ROWS_MAX: Final = 4_000
"""The last rows, at most so many, are tried; more cost time and change little."""
UNTRIED: Final = 1e6
"""Limit of what healthy rows could not be tried on: nothing reaches it."""
_BLOCKS_MIN: Final = 10
_BLOCKS_SEEN_MIN: Final = 2
"""Windows with a value that a signal needs in what is learnt from and in what is tried."""
_LEARNT_SHARE: Final = 0.6
"""Of the rows, to learn from when the others are tried."""
_NS_PER_HOUR: Final = 3_600_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Laws and limits of the evidence; u used signals."""

    false_alarms_per_hour: float
    rows_per_alarm: float
    """The same in rows."""
    rows: int
    """Healthy rows the limits were tried on."""
    steps: Law
    step_limits: Floats
    """(u,): log odds from which a signal that has moved is worth an alarm."""
    joint: JointLaw | None
    """None where rows are too few for the number of signals."""
    joint_limits: Floats
    """(windows,)."""
    spread: SpreadLaw
    spread_limits: Floats
    """(u,): log odds from which a signal is too loud or too quiet."""
    spectrum: SpectrumLaw
    spectrum_limits: Floats
    """(u,): log odds from which a signal has another rhythm."""
    change_limits: Floats
    """(u,): log Bayes factor from which a signal is not as it was just now."""
    alarm_tail: Tail
    """Of all evidence but that of changes: steps, joint, spread, spectrum, in this order."""
    change_tail: Tail


def calibrate(
    model: TwinModel, rows: Floats, false_alarms_per_hour: float = FALSE_ALARMS_PER_HOUR
) -> Calibration:
    """Learn the evidence's laws and limits from healthy rows (n, S) in the signals' own units.

    Rows are in order of time and end where the live rows begin. Raises `UnfitRowsError` if they are
    fewer than ten windows, or the set-point is not above zero.
    """
    if not false_alarms_per_hour > 0.0:
        raise UnfitRowsError(
            f"{false_alarms_per_hour} false alarms per hour cannot be kept; agree on a number "
            "above zero"
        )
    least = _BLOCKS_MIN * model.window_rows
    if len(rows) < least:
        raise UnfitRowsError(
            f"{len(rows)} rows of {model.asset} are too few to set limits with; at least {least} "
            "are needed"
        )
    values = residual(model, scaled(model.scaling, rows[-ROWS_MAX:]))
    trials = _tried(values, model.window_rows)
    steps = evidence_steps.learn(values, model.window_rows)
    kept = _is_tried(trials, model.window_rows)
    joint, windows = _joint(values, trials, kept)
    spread = evidence_spread.learn(values)
    tried = [
        np.hstack([trial.odds, window, _spread(trial), _spectrum(trial)])
        for trial, window in zip(trials, windows, strict=True)
    ]
    unset = Calibration(
        false_alarms_per_hour=false_alarms_per_hour,
        rows_per_alarm=_NS_PER_HOUR / (model.period_ns * false_alarms_per_hour),
        rows=len(values),
        steps=steps,
        step_limits=np.empty(0),
        joint=joint,
        joint_limits=np.empty(0),
        spread=spread,
        spread_limits=np.empty(0),
        spectrum=evidence_spectrum.learn(values, spread.variance),
        spectrum_limits=np.empty(0),
        change_limits=np.empty(0),
        alarm_tail=_silent(evidence_tail.learn(tried), kept, len(evidence_joint.WINDOWS)),
        change_tail=_silent(
            evidence_tail.learn([_changes(model, steps, trial) for trial in trials]), kept, 0
        ),
    )
    return _with_limits(unset)


def left_out(limits: Calibration) -> Bools:
    """Return which signals (u,) take no part in the evidence: too few rows to try them on."""
    result: Bools = limits.step_limits > 0.5 * UNTRIED
    return result


def calibrated(model: TwinModel, rows: Floats, false_alarms_per_hour: float) -> TwinModel:
    """Return the model with its limits (`calibrate`), and in its facts what the evidence lacks."""
    ready = replace(model, calibration=calibrate(model, rows, false_alarms_per_hour))
    known = model.facts.get("problems", ())
    listed = [str(each) for each in known] if isinstance(known, (list, tuple)) else []
    return replace(ready, facts={**model.facts, "problems": [*listed, *problems(ready)]})


def problems(model: TwinModel) -> tuple[str, ...]:
    """Return in words what the evidence of a calibrated model leaves out; empty if nothing."""
    limits = model.calibration
    if not isinstance(limits, Calibration):
        return ()
    places = np.flatnonzero(model.scaling.used)[left_out(limits)]
    found = [
        f"{model.signals[place]} raises no alarm: it has too few values in a part of the training "
        "rows; train with rows in which it is there from the start"
        for place in places
    ]
    if limits.joint is None and limits.rows:
        found.append(
            f"what the signals of {model.asset} say together raises no alarm: too few of its "
            f"{limits.rows} training rows are complete; train with more rows or fewer gaps"
        )
    return tuple(found)


def uncalibrated(model: TwinModel) -> Calibration:
    """Return laws and limits from the model alone, for one that nobody has calibrated."""
    row = np.diag(state_space.covariance(model.state_space))
    signals, window = len(row), evidence_spread.WINDOW_ROWS
    common = row - model.state_space.noise
    own = common + model.long_run * model.state_space.noise
    law = Law(row, own, model.drift, model.level, model.level_variance, model.is_slow)
    spread = SpreadLaw(2.0 * row, np.full(signals, 0.5 * window))
    rows = max(round((model.degrees + 1.0) * model.window_rows), 1)
    alarms, nothing = 3 * signals + len(evidence_joint.WINDOWS), np.empty(0)
    unset = Calibration(
        false_alarms_per_hour=FALSE_ALARMS_PER_HOUR,
        rows_per_alarm=_NS_PER_HOUR / (model.period_ns * FALSE_ALARMS_PER_HOUR),
        rows=0,
        steps=law,
        step_limits=nothing,
        joint=None,
        joint_limits=nothing,
        spread=spread,
        spread_limits=nothing,
        spectrum=evidence_spectrum.unknown(spread.variance),
        spectrum_limits=nothing,
        change_limits=nothing,
        alarm_tail=Tail(np.zeros(alarms), np.ones(alarms), 0, rows),
        change_tail=Tail(np.zeros(signals), np.ones(signals), 0, rows),
    )
    return _with_limits(unset)


def at_set_point(limits: Calibration, false_alarms_per_hour: float) -> Calibration:
    """Return limits for another rate: each moves by its scale times the logarithm of the ratio."""
    ratio = limits.false_alarms_per_hour / false_alarms_per_hour
    return _with_limits(
        replace(
            limits,
            false_alarms_per_hour=false_alarms_per_hour,
            rows_per_alarm=limits.rows_per_alarm * ratio,
        )
    )


def _with_limits(unset: Calibration) -> Calibration:
    """Return the same with the limits that the tails ask for at its rate."""
    signals, windows = len(unset.steps.unit), len(evidence_joint.WINDOWS)
    found = evidence_tail.limits(unset.alarm_tail, unset.rows_per_alarm)
    ends = np.cumsum([signals, windows, signals])
    steps, joint, spread, spectrum = np.split(found, ends)
    return replace(
        unset,
        step_limits=steps,
        joint_limits=joint,
        spread_limits=spread,
        spectrum_limits=spectrum,
        change_limits=evidence_tail.limits(unset.change_tail, unset.rows_per_alarm),
    )


def residual(model: TwinModel, values: Floats) -> Floats:
    """Return scaled rows (n, u) less the offset of the regime each is most probably in."""
    if len(model.regimes.weights) == 1:
        within: Floats = values - model.regimes.offsets[0]
        return within
    logs, _ = regimes.emissions(
        model.state_space, model.regimes.offsets, values - model.level, model.level_variance
    )
    chain = regimes.forward(model.regimes, logs).filtered
    offsets: Floats = model.regimes.offsets[chain.argmax(axis=1)]
    return values - offsets


class _Trial(NamedTuple):
    """Healthy rows (n, u), what other rows taught, and what was then found row by row."""

    rows: Floats
    learnt: Floats
    odds: Floats
    """(n, u)."""
    levels: Floats
    """(n, u): before each row."""
    level_variances: Floats
    """(n, u)."""


def _tried(values: Floats, window_rows: int) -> list[_Trial]:
    """Try each end of the rows (n, u) under what the rest taught, the first end backwards."""
    share = int(_LEARNT_SHARE * len(values))
    parts = (
        (values[:share], values[share:]),
        (values[: len(values) - share - 1 : -1], values[len(values) - share - 1 :: -1]),
    )
    return [_try(learnt, rows, window_rows) for learnt, rows in parts]


def _try(learnt: Floats, rows: Floats, window_rows: int) -> _Trial:
    """Run the bank of every signal over rows (n, u)."""
    law = evidence_steps.learn(learnt, window_rows)
    bank = evidence_steps.start(law)
    found = _Trial(rows, learnt, *(np.empty(rows.shape) for _ in range(3)))
    for place, row in enumerate(rows):
        found.levels[place], found.level_variances[place] = evidence_steps.levels(bank)
        bank = evidence_steps.step(law, bank, row)
        found.odds[place] = evidence_steps.log_odds(bank)
    return found


def _is_tried(trials: list[_Trial], window_rows: int) -> Bools:
    """Return which signals (u,) are there in each part of the rows, learnt from and tried."""
    counts = [
        (drift.block_means(part, window_rows)[1] > 0.0).sum(axis=0)
        for trial in trials
        for part in (trial.learnt, trial.rows)
    ]
    result: Bools = np.min(counts, axis=0) >= _BLOCKS_SEEN_MIN
    return result


def _without(trial: _Trial, kept: Bools) -> _Trial:
    """Return a trial in which the signals that are not kept are missing."""
    return trial._replace(rows=np.where(kept, trial.rows, np.nan))


def _silent(tail: Tail, kept: Bools, between: int) -> Tail:
    """Return a tail that no evidence of a signal (u,) that is not kept can exceed.

    Each kind of evidence has a column for every signal, but the `between` after the first kind.
    """
    out = np.tile(~kept, 3 if between else 1)
    out = np.insert(out, len(kept), np.zeros(between, dtype=np.bool_))
    return tail._replace(highest=np.where(out, UNTRIED, tail.highest))


def _spread(trial: _Trial) -> Floats:
    """Return evidences (n, u) that a signal is too loud or too quiet, on tried rows."""
    law = evidence_spread.learn(trial.learnt)
    evidence, _ = evidence_spread.weigh(law, *evidence_spread.means(law, trial.rows))
    return np.vstack([np.zeros((1, trial.rows.shape[1])), evidence]) + LOG_PRIOR_ODDS


def _spectrum(trial: _Trial) -> Floats:
    """Return evidences (n, u) that a signal has another rhythm, on tried rows."""
    variance = evidence_spread.learn(trial.learnt).variance
    law = evidence_spectrum.learn(trial.learnt, variance)
    evidence = evidence_spectrum.over_rows(law, trial.rows)
    return np.vstack([np.zeros((1, trial.rows.shape[1])), evidence]) + LOG_PRIOR_ODDS


def _changes(model: TwinModel, steps: Law, trial: _Trial) -> Floats:
    """Return evidences (n, u) of change points, on tried rows and the few before them.

    Which signals are slow is known better from all rows than from a part of them.
    """
    law = evidence_steps.learn(trial.learnt, model.window_rows)._replace(is_slow=steps.is_slow)
    rows = np.vstack([trial.learnt[-change.ROWS :], trial.rows])
    return change.over_rows(change.law(law, model.state_space), rows)


def _joint(
    values: Floats, trials: list[_Trial], kept: Bools
) -> tuple[JointLaw | None, list[Floats]]:
    """Return the joint law of rows (n, u) and its evidences (n, windows) on the trials.

    Signals that are not kept are as ever missing.
    Levels are followed if that predicts the means of held-out windows better.
    """
    law = joint_law.learn(values[:, kept]) if kept.any() else None
    laws = [joint_law.learn(trial.learnt[:, kept]) if law else None for trial in trials]
    if law is None or None in laws:
        return None, [np.zeros((len(trial.rows), len(evidence_joint.WINDOWS))) for trial in trials]
    law = evidence_joint.without(law, kept)
    costs, evidences = {}, {}
    for follows in (False, True):
        found = [
            _windows(
                evidence_joint.without(each, kept)._replace(follows_levels=follows),
                _without(trial, kept),
            )
            for each, trial in zip(laws, trials, strict=True)
            if each is not None
        ]
        evidences[follows] = [evidence for evidence, _ in found]
        costs[follows] = sum(cost for _, cost in found)
    chosen = costs[True] < costs[False]
    return law._replace(follows_levels=chosen), evidences[chosen]


def _windows(law: JointLaw, trial: _Trial) -> tuple[Floats, float]:
    """Return evidences (n, windows) on tried rows, and minus the log density of disjoint means.

    Rows are taken by the same filter as live (evidence_joint.py), whatever is missing. Levels are
    those before each block, so that no mean is predicted by a level that has seen its rows.
    """
    longest = max(evidence_joint.WINDOWS)
    last = evidence_joint.Innovations(law)
    table, cost = np.zeros((len(trial.rows), len(evidence_joint.WINDOWS))), 0.0
    for row, values in enumerate(trial.rows):
        first = row - row % longest
        found = last.step(values, trial.levels[first], trial.level_variances[first])
        for place, window, weight in found:
            table[row, place] = weight.evidence + LOG_PRIOR_ODDS
            if window == longest == row - first + 1:
                cost += weight.cost
    return table, cost
