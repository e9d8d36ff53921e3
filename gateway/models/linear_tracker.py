"""Living with a learnt model: one row in, its prediction, density, evidence and probability out.

The age of the calibration widens the model: `age` rows after the last row the level was learnt
from, the level is uncertain by `level_covariance + age * diag(drift)`.

Learning on: a row joins the level only `trust_rows` rows later, and only if no row from it until
then was suspect (probability >= `suspect`). So an incipient fault is not learnt before it shows,
nothing is learnt while rows are suspect, and meanwhile the model grows honestly wider.

The matrices change every `RENEWAL_ROWS` rows, in between a row costs a handful of small products.
All live sums are over fixed, small shapes: same rows, same bits.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from gateway.models.evidence import anomaly_probability
from gateway.models.linear_gaussian import Floats, LinearGaussian, standardised, update

RENEWAL_ROWS: Final = 10
_LOG_TWO_PI: Final = math.log(2.0 * math.pi)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How the tracker lives; every number is a stated choice, none is learnt from labels."""

    trust_rows: int = 100
    """Rows that must follow without suspicion before a row is learnt from."""
    suspect: float = 0.3
    """Anomaly probability from which a row is suspect; well above `prior`, or nothing is learnt."""
    prior: float = 0.05
    """Probability of an anomaly in a row before anything is seen."""
    clip_deviations: float = 6.0
    """A single row's deviation counts no further, so one spike is not a shift of the mean."""


class Step(NamedTuple):
    """What the model says about one row; arrays (used signals,) in the signals' own units."""

    expected: Floats
    """Mean of each signal given the others of the row."""
    deviation: Floats
    """Standard deviation of that prediction."""
    log_density: float
    """Of the observed part of the row, scaled signals."""
    score: float
    contributions: Floats
    """Sum to `score`; 0 for a signal without any value in the window."""
    probability: float


class _Conditional(NamedTuple):
    """Prediction of every signal from one set of observed ones (o of them); residuals in, out."""

    precision: Floats
    """(o, o): inverse covariance of the observed signals."""
    gain: Floats
    """(signals, o): times the observed residuals gives the expected residual of every signal."""
    deviation: Floats
    """(signals,): standard deviation of what is then left."""
    log_normaliser: float


@final
class Tracker:
    """The live state of a model: level, age, window, rows awaiting trust."""

    def __init__(self, model: LinearGaussian, habits: Habits) -> None:
        self._model = model
        self._habits = habits
        self._level = model.level
        self._level_covariance = model.level_covariance
        self._age_rows = 0
        self._calm_rows = 0
        self._window = np.vstack([np.full((1, len(model.scale)), np.nan), model.tail])
        self._waiting: deque[Floats] = deque()
        self._until_renewal = 0
        self._renew()

    @property
    def age_rows(self) -> int:
        """Rows since the last one the level was learnt from."""
        return self._age_rows

    def step(self, row: Floats) -> Step:
        """Take one row (used signals,), NaN for a missing value, and say what it means."""
        model = self._model
        scaled = standardised(row, model.location, model.scale)
        level = self._level
        expected, deviation, log_density = self._predict(scaled - level)
        self._shift(scaled)
        score, contributions, signals = self._weigh()
        probability = anomaly_probability(score, signals, model.degrees, self._habits.prior)
        self._calm_rows = 0 if probability >= self._habits.suspect else self._calm_rows + 1
        self._grow_older(1)
        return Step(
            model.location + model.scale * (level + expected),
            model.scale * deviation,
            log_density,
            score,
            contributions,
            probability,
        )

    def skip(self, rows: int) -> None:
        """Let `rows` rows pass of which nothing is known: the window empties, the model ages."""
        nothing = np.full(len(self._model.scale), np.nan)
        for _ in range(min(rows, len(self._window) + self._habits.trust_rows)):
            self._shift(nothing)
            self._grow_older(1)
        self._grow_older(max(0, rows - len(self._window) - self._habits.trust_rows))
        self._renew()

    def _predict(self, residual: Floats) -> tuple[Floats, Floats, float]:
        """Return expected residual and deviation of each signal, and the row's log density."""
        seen = ~np.isnan(residual)
        key = seen.tobytes()
        conditional = self._conditionals.get(key)
        if conditional is None:
            conditional = self._conditionals[key] = _condition(self._row_covariance, seen)
        observed = residual[seen]
        distance = float(observed @ (conditional.precision @ observed))
        return (
            conditional.gain @ observed,
            conditional.deviation,
            conditional.log_normaliser - 0.5 * distance,
        )

    def _weigh(self) -> tuple[float, Floats, int]:
        """Return the window mean's squared distance, its shares, and how many signals have one."""
        residuals = self._window - self._level
        seen = residuals == residuals  # noqa: PLR0124 - the fast way to tell NaN
        if seen.all():
            np.clip(residuals, -self._limit, self._limit, out=residuals)
            mean = residuals.sum(axis=0) / len(residuals)
            contributions = mean * (self._window_precision @ mean)
            return float(contributions.sum()), contributions, len(mean)
        return self._weigh_gaps(residuals, seen)

    def _weigh_gaps(self, residuals: Floats, seen: NDArray[np.bool_]) -> tuple[float, Floats, int]:
        """Do the same exactly with gaps: cov(mean_i, mean_j) = cov_ij n_ij / (n_i n_j)."""
        counts = seen.sum(axis=0)
        present = counts > 0
        contributions = np.zeros(len(counts))
        if not present.any():
            return 0.0, contributions, 0
        clipped = np.where(seen, np.clip(residuals, -self._limit, self._limit), 0.0)
        mean = clipped.sum(axis=0)[present] / counts[present]
        weights = seen[:, present].astype(np.float64)
        overlap = np.einsum("ti,tj->ij", weights, weights)
        overlap /= np.outer(counts[present], counts[present])
        chosen = np.ix_(present, present)
        covariance = self._model.long_run_covariance[chosen] * overlap + self._aged[chosen]
        contributions[present] = mean * np.linalg.solve(covariance, mean)
        return float(contributions.sum()), contributions, int(present.sum())

    def _shift(self, scaled: Floats) -> None:
        """Move the window on by one row and let the row wait for trust."""
        self._window[:-1] = self._window[1:]
        self._window[-1] = scaled
        self._waiting.append(scaled)

    def _grow_older(self, rows: int) -> None:
        """Count the age, and learn, forget and renew when it is time."""
        self._age_rows += rows
        self._until_renewal -= rows
        if self._until_renewal <= 0:
            self._learn()
            self._renew()

    def _learn(self) -> None:
        """Let the oldest waiting rows into the level if nothing since was suspect; drop them."""
        waiting_max = self._habits.trust_rows + RENEWAL_ROWS
        while len(self._waiting) >= waiting_max:
            oldest = np.array([self._waiting.popleft() for _ in range(RENEWAL_ROWS)])
            if self._calm_rows < waiting_max or np.isnan(oldest).all():
                continue
            age_rows = len(self._waiting)
            aged = (self._age_rows - age_rows) * np.diag(self._model.drift)
            residuals = np.clip(oldest - self._level, -self._limit, self._limit)
            seen = ~np.isnan(residuals)
            counts = seen.sum(axis=0)
            total = np.where(seen, residuals, 0.0).sum(axis=0)
            mean = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
            self._level, self._level_covariance = update(
                self._level,
                self._level_covariance + aged,
                self._level + mean,
                self._model.long_run_covariance / RENEWAL_ROWS,
            )
            self._age_rows = age_rows

    def _renew(self) -> None:
        """Make the matrices for the coming rows; the age they will reach is taken at once."""
        model = self._model
        age_rows = self._age_rows + RENEWAL_ROWS
        self._aged = self._level_covariance + age_rows * np.diag(model.drift)
        self._row_covariance = model.row_covariance + self._aged
        self._limit = self._habits.clip_deviations * np.sqrt(np.diag(self._row_covariance))
        window_covariance = model.long_run_covariance / len(self._window) + self._aged
        self._window_precision = np.linalg.inv(window_covariance)
        self._conditionals: dict[bytes, _Conditional] = {}
        self._until_renewal = RENEWAL_ROWS


def _condition(covariance: Floats, seen: NDArray[np.bool_]) -> _Conditional:
    """Return how to predict each signal from the other seen ones, (signals, signals) in.

    With L the precision of the seen signals, a seen one is predicted from the others by
    x_j - (L x)_j / L_jj with variance 1 / L_jj; an unseen one by its regression on all seen.
    """
    among = covariance[np.ix_(seen, seen)]
    precision: Floats = np.asarray(np.linalg.inv(among), dtype=np.float64)
    _, log_determinant = np.linalg.slogdet(among)
    gain: Floats = covariance[:, seen] @ precision
    explained = np.einsum("ij,ij->i", gain, covariance[:, seen])
    variance: Floats = np.subtract(np.diag(covariance), explained)
    own = np.diag(precision)
    gain[seen] = np.eye(len(own)) - precision / own[:, None]
    variance[seen] = 1.0 / own
    deviation: Floats = np.sqrt(variance)
    normaliser = -0.5 * (len(own) * _LOG_TWO_PI + float(log_determinant))
    return _Conditional(precision, gain, deviation, normaliser)
