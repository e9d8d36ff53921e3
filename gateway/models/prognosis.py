"""Remaining life as a probability, from units of a fleet that ran until they failed.

    p(remaining = r | rows) ~ p(rows | r)^trust p(r)

p(rows | r) is the exact density of the paths of degradation.py with everything about the unit
integrated out (its start, its wear, its time constant, its failure mode); p(r) is how often a unit
met at some moment of its life has r rows left: the share of training lives longer than r, or
whatever the caller knows of when the question is asked. No unit wears by a formula: `trust` below 1
widens what an exact model would be too sure of. If the plant counts the age of a unit (an
operating-hours counter), `age_rows` adds  log life | log tau ~ N(line, deviation^2);  without it
the answer is blind to how long the recording is.

Promised: scaling, factors, failure modes and time constants are chosen by the program from the
training runs (the number of factors and modes by the held-out log probability of remaining life,
folds of whole runs); no channel is named; missing values are integrated out. The number is a
posterior mean (least squared error), the interval holds equal tails. `sample` makes whole lives.

Left to others: which rows belong to one unit, and what a row is in hours. Rows are one operating
regime; several regimes are to be taken out first. A unit that fails in a way no training run did
is outside what this can know.

Sources: degradation.py; Holmes and Walker (2017), Biometrika 104 (trust: a power of the likelihood
of a model that is not quite true); Saxena, Goebel, Simon and Eklund (2008), Damage propagation
modeling for aircraft engine run-to-failure simulation, PHM08, sections IV-V (exponential wear).
"""

from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from gateway.models import degradation
from gateway.models.degradation import Degradation, Evidence, Floats


class LifeLaw(NamedTuple):
    """Log life (rows) given log tau: a line, and the deviation of what is left."""

    intercept: float
    slope: float
    deviation: float


class Remaining(NamedTuple):
    """The remaining life of a unit in rows after the newest one."""

    probability: Floats
    """(horizon,): of 0, 1, 2, ... rows left."""
    mean: float
    median: float
    low: float
    """5 % quantile."""
    high: float
    """95 % quantile."""

    def quantile(self, level: float) -> float:
        """Return the quantile at `level` in 0..1, linear within a row."""
        return _quantile(self.probability, level)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Prognosis:
    """A fleet's law of degradation; S signals as recorded, s used ones."""

    fleet: str
    signals: tuple[str, ...]
    used: NDArray[np.bool_]
    """(S,): varied in training."""
    location: Floats
    """(S,), in each signal's own unit."""
    scale: Floats
    """(S,), in each signal's own unit; 1 for an unused one."""
    degradation: Degradation
    lives: Floats
    """(runs,): rows of each training life, sorted."""
    life_law: LifeLaw
    trust: float
    """Exponent of p(rows | r), 1 if paths were exactly of the family; from held-out units."""
    asked: Floats
    """(horizon,): how often a unit is met with 0, 1, 2, ... rows left; sums to 1."""
    held_out: tuple[tuple[int, int, float], ...]
    """(factors, kinds, mean held-out log probability of remaining life) as tried; taken: last."""

    def start(self) -> Evidence:
        """Return the evidence of a unit of which nothing was seen yet."""
        return degradation.no_evidence(int(self.used.sum()), self.degradation.taus)

    def observe(self, evidence: Evidence, row: Floats) -> Evidence:
        """Return the evidence after one more row (S,) in the signals' own units, NaN = missing."""
        return degradation.observe(evidence, self._scaled(row), self.degradation.taus)

    def gather(self, rows: Floats) -> Evidence:
        """Return the evidence of all rows (n, S) of a unit so far, the last one the newest."""
        return degradation.gather(self._scaled(rows), self.degradation.taus)

    def remaining(
        self, evidence: Evidence, *, age_rows: int | None = None, prior: Floats | None = None
    ) -> Remaining:
        """Return the remaining life given a unit's evidence.

        `prior` (horizon,) weighs 0, 1, 2, ... rows left before anything is seen, default `asked`;
        `age_rows` is how many rows the unit has lived, if that is known.
        """
        weights = self.asked if prior is None else prior
        asked = np.flatnonzero(weights > 0.0)
        logs = self.trust * self.log_density(evidence, asked.astype(np.float64), age_rows)
        logs = logs + np.log(weights[asked])
        probability = np.zeros(len(weights))
        probability[asked] = np.exp(logs - np.logaddexp.reduce(logs))
        return summarise(probability)

    def log_density(self, evidence: Evidence, asked: Floats, age_rows: int | None = None) -> Floats:
        """Return log p(rows | remaining) for each of `asked` (h,), up to a constant."""
        log_weight = degradation.infer(self.degradation, evidence, asked)
        if age_rows is not None:
            law, logs = self.life_law, np.log(self.degradation.taus)
            life = np.log(age_rows + np.maximum(asked, 0.5))[:, None]
            surprise = (life - law.intercept - law.slope * logs) / law.deviation
            log_weight = log_weight + (-0.5 * surprise**2 - life)[:, None, :]
        densities: Floats = np.logaddexp.reduce(log_weight.reshape(len(asked), -1), axis=1)
        return densities

    def sample(self, rng: np.random.Generator) -> Floats:
        """Return the rows (life, S) of one made-up unit until it fails; unused signals stay put."""
        model = self.degradation
        shares = np.array([kind.weight for kind in model.kinds])
        kind = model.kinds[int(rng.choice(len(shares), p=shares / shares.sum()))]
        place = int(rng.choice(len(model.taus), p=np.exp(degradation.log_tau_weights(model, kind))))
        mean = degradation.coefficient_means(model, kind)[place]
        start, wear = np.split(rng.multivariate_normal(mean, kind.covariance), 2)
        law, tau = self.life_law, model.taus[place]
        log_life = law.intercept + law.slope * np.log(tau) + law.deviation * rng.normal()
        left = np.arange(max(int(np.exp(log_life)), 1))[::-1]
        factors = start + np.exp(-left / tau)[:, None] * wear
        noise = rng.normal(size=(len(left), len(model.noise))) * np.sqrt(model.noise)
        rows = np.tile(self.location, (len(left), 1))
        rows[:, self.used] += self.scale[self.used] * (
            model.offset + factors @ model.loadings.T + noise
        )
        return rows

    def _scaled(self, rows: Floats) -> Floats:
        """Return used signals in scaled units."""
        scaled: Floats = ((rows - self.location) / self.scale)[..., self.used]
        return scaled


def survival(lives: Floats) -> Floats:
    """Return the share of sorted `lives` (runs,) in rows that are longer than 0, 1, 2, ... rows.

    Scaled to sum to 1 it is the law of what is left to a unit met at a moment of its life of which
    nothing is known.
    """
    longer = len(lives) - np.searchsorted(lives, np.arange(int(lives[-1])), "right")
    weights: Floats = longer / longer.sum()
    return weights


def summarise(probability: Floats) -> Remaining:
    """Return mean, median and the 90 % interval of a law of remaining rows (horizon,)."""
    mean = float(probability @ np.arange(len(probability)))
    low, median, high = (_quantile(probability, level) for level in (0.05, 0.5, 0.95))
    return Remaining(probability, mean, median, low, high)


def _quantile(probability: Floats, level: float) -> float:
    """Return the quantile of a law on 0, 1, 2, ..., each spread evenly over +- half a row."""
    reached = np.concatenate([[0.0], np.cumsum(probability)])
    place = int(np.searchsorted(reached, level * reached[-1], "right"))
    place = min(max(place, 1), len(probability))
    mass = float(probability[place - 1])
    within = (level * float(reached[-1]) - float(reached[place - 1])) / mass if mass > 0.0 else 0.5
    return max(place - 1.5 + within, 0.0)
