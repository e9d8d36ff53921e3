"""Living with a learnt model: one row in; what was expected, what stands out, what is true, out.

Five things are carried from row to row:

- the bank of every signal (evidence_steps.py): where its healthy level is, whether it has left it;
- the state of the factors (state_space.py), about the rows less those levels;
- the last innovations of all signals together (evidence_joint.py), where rows sufficed for them,
  and the last differences of each (evidence_spread.py, evidence_spectrum.py);
- the last rows, for change points (change.py), which are told apart from alarms.

The score is the largest log evidence against "normal": of a signal that has moved, of a window of
innovations, of a signal grown loud or quiet or of another rhythm; 0 if there is none. Its
contributions are the shares of the signals in it and sum to it. The probability is the logistic
function of how far the evidence lies above its calibrated limit, so it crosses 0.5 at the set-point
of false alarms.

A signal whose own evidence is above its limit is judged false or at least not to be believed: the
factors are then learnt from the others, and what is given as true is what those make expected.
A value may bring a variance of its own, of its time above all (alignment.py): the factors take it
with that much more noise, and evidence takes a stand-in as far from what the other signals expect
as a value without it would be, in deviations (of all together by evidence_joint.py):

    stand-in = expected + (value - expected) sqrt(own / (own + extra))

own is the variance of the value given the others, without the extra one. The stand-in has the law
of a well-timed value, so limits hold, and a value with a large extra variance says nothing.
While there is an alarm, what is given as true is as much wider as the level of a signal is away
from where it stood in quiet rows, in proportion to its share of the evidence: a ramp slow enough to
take its level along is not taken for the truth.

Promised: blind to anything but rows and gaps between them; gaps widen, and change no verdict;
evidence that is no number is an error and never "normal".
Left to others: limits (calibration.py), causes and words (causes.py), alarms (stages/judge.py).
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from gateway.models import (
    change,
    evidence_spectrum,
    evidence_spread,
    evidence_steps,
    regimes,
    state_space,
)
from gateway.models.calibration import LOG_PRIOR_ODDS, Calibration, left_out, uncalibrated
from gateway.models.change import Changes
from gateway.models.evidence_joint import Innovations, Weight
from gateway.models.evidence_spectrum import Rhythm
from gateway.models.scaling import scaled
from gateway.models.state_space import Belief
from gateway.models.twin_model import TwinModel

Floats = NDArray[np.float64]

QUIET_ROWS: Final = 1_000
"""Quiet rows over which it is averaged where a level stands."""
_FAR: Final = 10.0
"""Deviations from its level beyond which a value teaches the factors nothing."""
_EXTRA_MAX: Final = 1e6
"""Extra variance over that of a healthy value from which it says nothing: a thousand deviations."""
_SKIP_ROWS_MAX: Final = 1_000
"""Missing rows that are passed one by one for the factors; after more of them nothing is left."""


class NoEvidenceError(ValueError):
    """Evidence or its limit is no number; the message names the signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How the tracker lives; every number is a stated choice, none is learnt from labels."""

    distrust: float = 0.5
    """Probability from which a signal that has moved is not believed; 0.5 is the set-point."""


class Step(NamedTuple):
    """What the model says about one row; arrays (u,) in the signals' own units."""

    expected: Floats
    """Mean of each signal given the others of the row and the past."""
    deviation: Floats
    """Standard deviation of that prediction, own noise included."""
    log_density: float
    """Of the observed part of the row, scaled signals."""
    score: float
    contributions: Floats
    """Sum to `score`."""
    probability: float
    scale_rows: int
    """Rows of the loudest window; 0 for a signal that has moved, whose window is open."""
    kind: str
    """ "shift": a signal has left its level; "level": rows together are off;
    "variance", "clean": a signal is too loud, too quiet; "spectrum": its rhythm is another; ""
    below the limit."""
    regime: int
    fused: Floats
    """Best estimate of the true value, given all that is not judged false."""
    fused_deviation: Floats
    change: float = 0.0
    """Evidence above its limit that a signal is not as it was just before; 0: no change point."""


class _Evidence(NamedTuple):
    """The loudest evidence of a row, and the one furthest above its limit."""

    score: float
    contributions: Floats
    excess: float
    scale_rows: int
    kind: str


@final
class Tracker:
    """The live state of a model, from its last training row on."""

    def __init__(self, model: TwinModel, habits: Habits) -> None:
        found = model.calibration
        self._model = model
        self._habits = habits
        self._limits = found if isinstance(found, Calibration) else uncalibrated(model)
        self._bank = evidence_steps.start(self._limits.steps)
        self._belief = state_space.start(model.state_space)
        self._chain = model.regimes.weights
        self._far = _FAR * np.sqrt(np.diag(state_space.covariance(model.state_space)))
        joint = self._limits.joint
        self._joint = None if joint is None else Innovations(joint)
        self._left_out = left_out(self._limits)
        self._stood = self._limits.steps.level.copy()
        self._squares: deque[Floats] = deque(maxlen=evidence_spread.WINDOW_ROWS)
        self._before = np.full(len(model.drift), np.nan)
        self._rhythm = Rhythm(self._limits.spectrum)
        law = change.law(self._limits.steps, model.state_space)
        self._changes = Changes(law, self._limits.change_limits)
        self._age_rows = 0
        self._check_limits()

    @property
    def age_rows(self) -> int:
        """Rows since the last training row."""
        return self._age_rows

    def step(self, row: Floats, extra: Floats | None = None) -> Step:
        """Take one row (S,) in the signals' own units, NaN for a missing value.

        `extra` (S,) are the variances that its values have beyond those of usual ones.
        """
        model = self._model
        measured, own = _given(model, row, extra)
        level, spread = evidence_steps.levels(self._bank)
        spread = spread + self._limits.steps.drift
        wide = spread + own
        regime = self._regime(measured - level, wide)
        offset = model.regimes.offsets[regime]
        centre = level + offset
        ahead = state_space.predict(model.state_space, self._belief)
        mean, variance = state_space.conditional(model.state_space, ahead, measured - centre, wide)
        values = _stand_in(measured, centre + mean, variance, own)
        self._bank = evidence_steps.step(
            self._limits.steps, self._bank, values - offset, model.drift
        )
        odds = evidence_steps.log_odds(self._bank)
        together = self._windows(measured - offset, level, spread, own)
        evidence = self._weigh(odds, values - offset, together)
        is_false = _logistic(odds - self._limits.step_limits) >= self._habits.distrust
        is_false |= np.abs(values - centre) > self._far
        believed = np.where(is_false, np.nan, measured)
        log_density = self._believe(ahead, measured - centre, believed - centre, wide)
        fused, fused_variance = self._true(self._belief, believed, centre, spread, own)
        fused_variance = fused_variance + self._unsure(level, evidence)
        used = model.scaling.used
        location, scale = model.scaling.location[used], model.scaling.scale[used]
        self._age_rows += 1
        return Step(
            location + scale * (centre + mean),
            scale * model.conditional_widening * np.sqrt(variance),
            log_density,
            evidence.score,
            evidence.contributions,
            float(_logistic(evidence.excess)),
            evidence.scale_rows,
            evidence.kind,
            regime,
            location + scale * fused,
            scale * np.sqrt(fused_variance),
            float(self._changes.step(values - offset).max()),
        )

    def _believe(self, ahead: Belief, measured: Floats, believed: Floats, wide: Floats) -> float:
        """Take believed values (u,) into the factors; return the log density of all measured."""
        space = self._model.state_space
        updated = state_space.update(space, ahead, measured, wide)
        log_density = updated.log_density
        if (np.isnan(believed) & ~np.isnan(measured)).any():
            updated = state_space.update(space, ahead, believed, wide)
        self._belief = updated.belief
        return log_density

    def skip(self, rows: int) -> None:
        """Let `rows` rows pass of which nothing is known: levels age, factors go to rest."""
        if rows <= 0:
            return
        self._age_rows += rows
        self._bank = evidence_steps.age(self._limits.steps, self._bank, rows, self._model.drift)
        if self._joint is not None:
            self._joint.forget()
        self._squares.clear()
        self._rhythm.forget()
        self._changes.forget()
        self._before = np.full(len(self._before), np.nan)
        if rows > _SKIP_ROWS_MAX:
            self._belief = state_space.start(self._model.state_space)
            self._chain = self._model.regimes.weights
            return
        for _ in range(rows):
            self._belief = state_space.predict(self._model.state_space, self._belief)
            self._chain = self._chain @ self._model.regimes.transition

    def _regime(self, values: Floats, spread: Floats) -> int:
        """Return the regime a row less its level (u,) is most probably in."""
        if len(self._chain) == 1:
            return 0
        logs, _ = regimes.emissions(
            self._model.state_space, self._model.regimes.offsets, values[None, :], spread
        )
        ahead = self._chain @ self._model.regimes.transition
        weights = ahead * np.exp(logs[0] - logs[0].max())
        total = float(weights.sum())
        self._chain = weights / total if total > 0.0 else ahead
        return int(np.argmax(self._chain))

    def _weigh(
        self, odds: Floats, values: Floats, together: list[tuple[int, float, Weight]]
    ) -> _Evidence:
        """Return the loudest evidence, of signals (u,) or of windows of innovations."""
        limits = self._limits
        odds = self._heard(odds)
        excess = float((odds - limits.step_limits).max())
        rows, kind = 0, "shift"
        score = max(float(odds.max()), 0.0)
        contributions = _shared(np.maximum(odds, 0.0), score)
        for window, limit, weight in together:
            found = weight.evidence + LOG_PRIOR_ODDS
            if found - limit > excess:
                excess, rows, kind = found - limit, window, "level"
            if found > score:
                score = found
                contributions = _shared(weight.shares, score)
        for window, kinds, found_own, own_limits in self._own(values):
            evidence = self._heard(found_own)
            loudest = int(np.argmax(evidence - own_limits))
            if evidence[loudest] - own_limits[loudest] > excess:
                excess = float(evidence[loudest] - own_limits[loudest])
                rows, kind = window, kinds[loudest]
            if evidence.max() > score:
                score = float(evidence.max())
                contributions = _shared(np.maximum(evidence, 0.0), score)
        if not math.isfinite(excess) or not math.isfinite(score):
            raise NoEvidenceError(
                f"the evidence of {self._model.asset} is no number after row {self._age_rows} of "
                "this run; its model is damaged or a value is beyond all reason: check both"
            )
        return _Evidence(score, contributions, excess, rows, kind if excess >= 0.0 else "")

    def _heard(self, evidence: Floats) -> Floats:
        """Return evidence (u,) without that of signals that could not be tried on healthy rows."""
        return np.where(self._left_out, evidence_steps.ODDS_MIN, evidence)

    def _unsure(self, level: Floats, evidence: _Evidence) -> Floats:
        """Return what variance (u,) the levels have beyond what they say, while there is an alarm.

        A quiet row says where they stand.
        """
        if evidence.excess < 0.0 or not evidence.score:
            self._stood += (level - self._stood) / QUIET_ROWS
            return np.zeros(len(level))
        share = evidence.contributions / evidence.score
        away = np.where(self._limits.steps.is_slow, 0.0, level - self._stood)
        variance: Floats = np.maximum(share, 0.0) * away**2
        return variance

    def _check_limits(self) -> None:
        """Raise `NoEvidenceError` if a limit is no number, naming its signal."""
        limits, used = self._limits, np.flatnonzero(self._model.scaling.used)
        for name in ("step", "spread", "spectrum", "change"):
            bad = np.flatnonzero(np.isnan(getattr(limits, f"{name}_limits")))
            if len(bad):
                raise NoEvidenceError(
                    f"the {name} limit of {self._model.signals[used[bad[0]]]} in the model of "
                    f"{self._model.asset} is no number; fit the model anew"
                )
        if np.isnan(limits.joint_limits).any():
            raise NoEvidenceError(
                f"a joint limit in the model of {self._model.asset} is no number; fit it anew"
            )

    def _own(self, values: Floats) -> list[tuple[int, Sequence[str], Floats, Floats]]:
        """Return rows, kind, evidence and limit (u,) of windows of each signal by itself."""
        limits, law = self._limits, self._limits.spread
        self._squares.append(evidence_spread.square(law, self._before, values))
        self._before = values
        spread, is_quiet = evidence_spread.weigh(
            law, *evidence_spread.mean(np.array(self._squares))
        )
        kinds = ["clean" if quiet else "variance" for quiet in is_quiet]
        rhythm = self._rhythm.step(values)
        same = ["spectrum"] * len(values)
        return [
            (evidence_spread.WINDOW_ROWS, kinds, spread + LOG_PRIOR_ODDS, limits.spread_limits),
            (evidence_spectrum.WINDOW_ROWS, same, rhythm + LOG_PRIOR_ODDS, limits.spectrum_limits),
        ]

    def _windows(
        self, values: Floats, level: Floats, spread: Floats, own: Floats
    ) -> list[tuple[int, float, Weight]]:
        """Return rows, limit and weight of each full window of innovations after a row (u,)."""
        if self._joint is None:
            return []
        seen = np.where(self._left_out, np.nan, values)
        return [
            (window, float(self._limits.joint_limits[place]), weight)
            for place, window, weight in self._joint.step(seen, level, spread, own)
        ]

    def _true(
        self, belief: Belief, believed: Floats, centre: Floats, spread: Floats, own: Floats
    ) -> tuple[Floats, Floats]:
        """Return mean and variance (u,) of the values without own noise, scaled.

        `believed` are NaN where missing or judged false, `own` their extra variances. The level
        takes part of what the factors leave unexplained, in proportion to variances.
        """
        space = self._model.state_space
        block = belief.covariance[: space.factors, : space.factors]
        fitted = centre + space.current @ belief.mean[: space.factors]
        variance = np.einsum("sk,kl,sl->s", space.current, block, space.current) + spread
        is_seen = ~np.isnan(believed)
        gain = np.where(is_seen, spread / (spread + space.noise + own), 0.0)
        moved = gain * np.where(is_seen, believed - fitted, 0.0)
        return fitted + moved, variance - gain * spread


def _given(model: TwinModel, row: Floats, extra: Floats | None) -> tuple[Floats, Floats]:
    """Return scaled values and their extra variances (u,) of a row (S,).

    A value whose extra variance is no number, or beyond reckoning, is missing.
    """
    values = scaled(model.scaling, row)
    if extra is None:
        return values, np.zeros(len(values))
    used = model.scaling.used
    own = np.maximum(extra[used] / model.scaling.scale[used] ** 2, 0.0)
    is_known = own <= _EXTRA_MAX
    return np.where(is_known, values, np.nan), np.where(is_known & ~np.isnan(values), own, 0.0)


def _stand_in(measured: Floats, expected: Floats, variance: Floats, own: Floats) -> Floats:
    """Return what evidence is taken from (u,): as far off, in deviations, as without `own`.

    `variance` (u,) is that of a value given the others, its extra variance included.
    """
    if not own.any():
        return measured
    shrunk: Floats = np.sqrt(np.maximum(1.0 - own / variance, 0.0))
    return np.where(own > 0.0, expected + (measured - expected) * shrunk, measured)


def _shared(parts: Floats, score: float) -> Floats:
    """Return contributions (u,) in proportion to parts, summing to the score."""
    total = float(parts.sum())
    return score * parts / total if total > 0.0 else np.zeros(len(parts))


def _logistic(value: Floats | float) -> Floats:
    """Return 1 / (1 + exp(-value)) without overflow."""
    result: Floats = 0.5 * (1.0 + np.tanh(0.5 * np.asarray(value, dtype=np.float64)))
    return result
