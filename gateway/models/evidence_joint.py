"""What all signals say together: innovations of a vector autoregression with a full covariance.

    e_t = y_t - mean - sum over lags of B_l (y_(t-l) - mean),   e ~ (0, precision^-1)
    d   = (m - G o)' (covariance / w + G diag(v) G')^-1 (m - G o),   G = I - sum over lags of B_l'

m is the mean of the last w innovations; o and v say where the healthy levels are by now, away from
the mean of training, and how well that is known. Whether levels move at all is a question to the
rows: an asset that is regulated keeps its means, and then o = v = 0 sees smaller faults; one that
wanders does not, and then a fixed mean cries wolf. The hypothesis that predicts held-out windows
better is kept (`follows_levels`).

The state space of the model is low rank plus diagonal, so it stays fast and can be learnt from few
rows; relations among many signals that hold to a thousandth (a valve and the flow behind it) are
beyond its rank. Where rows suffice, this unrestricted regression is kept beside it.

The evidence of a window is the log Bayes factor "its mean has moved" over "it has not" at squared
distance d (evidence.py). Its shares, component by component of d, are additive over the signals.

Values may be missing in any pattern. What is not seen is integrated out: the distance is that of
the seen signals under their own covariance, each with its own number of rows in the window. A
missing value is filled in for the rows after it with its expectation given what was seen, and how
unsure that is widens their innovations: the Kalman filter of the autoregression, exact but for
levels, which count as known there. In windows of several rows an innovation beyond `REACH`
deviations counts no further.

A value with an extra variance of its own, of its time (alignment.py), is replaced by a stand-in as
far from what all others make expected as it would be without, in deviations: with e the innovations
less what levels explain, P the inverse of covariance + diag(extra), v_i = 1 / P_ii,

    stand-in = y_i - (1 - sqrt(1 - extra_i / v_i)) (P e)_i / P_ii

Left to others: learning the law (joint_law.py), levels (evidence_steps.py), limits
(calibration.py).

Source: Willsky and Jones (1976) for evidence on innovations.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from gateway.models.evidence import log_bayes_factor
from gateway.models.joint_law import JointLaw

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Key = TypeVar("Key")
Value = TypeVar("Value")

WINDOWS: Final = (1, 10)
"""Rows whose mean is weighed: what breaks at once, and what lasts."""
REACH: Final = 4.0
"""Deviations beyond which a row counts no further in the mean of several."""
RENEWAL_ROWS: Final = 10
"""Rows after which the covariance of the levels is taken into that of the windows anew."""
PATTERNS_KEPT: Final = 64
"""Patterns of missing values whose matrices are kept; a lost sensor needs one or two."""
_SETTLED: Final = 1e-9
"""Relative change per row below which how unsure a filled-in past is stays as it is."""
_NEGLIGIBLE: Final = 0.01
"""Extra variance over that of a value given all others, below which it changes nothing."""
_REST_DOUBLINGS: Final = 6
"""Doublings to the law of rows of which nothing is known: what 64 rows can add."""


class Weight(NamedTuple):
    """Evidence of one window."""

    evidence: float
    """Log Bayes factor, moved over not moved."""
    shares: Floats
    """(u,): parts of the squared distance."""
    cost: float = 0.0
    """Minus the log density of the mean when it has not moved, less a constant."""


class Inverse(NamedTuple):
    """What a covariance says about the signals that are seen."""

    seen: Bools
    """(u,)."""
    precision: Floats
    """(u, u): inverse of the covariance of the seen signals, 0 elsewhere."""
    log_determinant: float
    """Of the covariance of the seen signals."""


def without(law: JointLaw, kept: Bools) -> JointLaw:
    """Return a law of the kept signals as one of all (u,); those left out predict nothing."""
    places = np.flatnonzero(kept)
    signals, lags = len(kept), law.lags
    mean, covariance = np.zeros(signals), np.eye(signals)
    mean[places] = law.mean
    covariance[np.ix_(places, places)] = law.covariance
    coefficients = np.zeros((lags, signals, signals))
    own = law.coefficients.reshape(lags, len(places), len(places))
    coefficients[np.ix_(np.arange(lags), places, places)] = own
    return law._replace(
        mean=mean,
        coefficients=coefficients.reshape(lags * signals, signals),
        covariance=covariance,
    )


def inverse(covariance: Floats, seen: Bools) -> Inverse:
    """Return what a covariance (u, u) says about the seen signals; at least one."""
    places = np.flatnonzero(seen)
    block = covariance[np.ix_(places, places)]
    precision = np.zeros(covariance.shape)
    precision[np.ix_(places, places)] = np.linalg.inv(block)
    return Inverse(seen, precision, float(np.linalg.slogdet(block)[1]))


def weigh(law: JointLaw, away: Floats, known: Inverse) -> Weight:
    """Weigh a mean of innovations (u,), less what levels explain; what is unseen has no say."""
    filled = np.where(known.seen, away, 0.0)
    shares = filled * (known.precision @ filled)
    distance = max(float(shares.sum()), 0.0)
    evidence = log_bayes_factor(distance, int(known.seen.sum()), law.degrees)
    return Weight(evidence, shares, 0.5 * (known.log_determinant + distance))


class _Take(NamedTuple):
    """How a row with one pattern of seen signals is taken into one state of the past."""

    number: int
    """Names pattern and state; 0: all seen, and all of the past."""
    state: int
    """Names the state of the past before the row."""
    seen: Bools
    covariance: Floats
    """(u, u): of the innovation, of all signals."""
    reach: Floats
    """(u,): what counts of an innovation at most."""
    gain: Floats
    """(lags u, seen): what a seen innovation says about the values filled in."""
    unsure: Floats
    """(lags u, lags u): covariance of what is filled in, after the row."""
    next_state: int
    """0: nothing of the past is filled in."""


@final
class Innovations:
    """The last innovations of an asset, in any pattern of missing values, and their evidence."""

    def __init__(self, law: JointLaw) -> None:
        self._law = law
        self._passed = law.passed_on
        self._rest = _rest(law)
        self._past = np.zeros(len(law.coefficients))
        self._rows: deque[tuple[_Take, Floats]] = deque(maxlen=max(WINDOWS))
        self._takes: dict[tuple[int, bytes], _Take] = {}
        self._inverses: dict[tuple[int, ...], Inverse] = {}
        self._made = 1
        self._until_renewal = 0
        self._levels = np.zeros(len(law.mean))
        self._sharpness = np.diag(np.linalg.inv(law.covariance))
        self.forget()

    def forget(self) -> None:
        """Let so many rows pass unseen that nothing is left of the past."""
        self._past[:] = 0.0
        self._rows.clear()
        self._last: _Take | None = None
        self._before = 0

    def step(
        self, values: Floats, level: Floats, spread: Floats, own: Floats | None = None
    ) -> list[tuple[int, int, Weight]]:
        """Take a scaled row (u,); return place, rows and weight of each full window.

        `level` and `spread` (u,) are mean and variance of the healthy levels before the row, `own`
        the extra variances of its values.
        """
        law = self._law
        offset = self._passed @ (level - law.mean) if law.follows_levels else 0.0 * level
        if own is not None:
            values = self._stand_in(values, offset, own)
        self._take(values, offset)
        if law.follows_levels and self._until_renewal == 0:
            self._levels = spread
            self._inverses.clear()
        self._until_renewal = (self._until_renewal + 1) % RENEWAL_ROWS
        return [
            (place, window, self._weigh(window, offset))
            for place, window in enumerate(WINDOWS)
            if len(self._rows) >= window
        ]

    def _stand_in(self, values: Floats, offset: Floats, own: Floats) -> Floats:
        """Return a row (u,) whose values are as far off as without their extra variances."""
        places = np.flatnonzero(~np.isnan(values))
        if not (own[places] * self._sharpness[places] > _NEGLIGIBLE).any():
            return values
        law = self._law
        away = (values - law.mean - self._past @ law.coefficients - offset)[places]
        covariance = law.covariance[np.ix_(places, places)] + np.diag(own[places])
        precision = np.linalg.inv(covariance)
        sharpness = np.diag(precision)
        kept = np.sqrt(np.maximum(1.0 - own[places] * sharpness, 0.0))
        result = values.copy()
        result[places] -= (1.0 - kept) * (precision @ away) / sharpness
        return result

    def _take(self, values: Floats, offset: Floats) -> None:
        """Keep the innovation of a row (u,), and the row, gaps filled in, for those after it."""
        law, signals = self._law, len(values)
        seen = values == values  # noqa: PLR0124 - the fast way to tell NaN
        take = self._taken(seen)
        predicted = self._past @ law.coefficients
        innovation = values - law.mean - predicted
        self._past[signals:] = self._past[:-signals].copy()
        self._past[:signals] = np.where(seen, values - law.mean, predicted + offset)
        if take.number:
            self._past += take.gain @ (innovation - offset)[seen]
        self._last = take
        self._before += 1
        # The first rows have no rows before them that could predict them.
        if self._before > law.lags:
            self._rows.append((take, innovation))

    def _taken(self, seen: Bools) -> _Take:
        """Return how a row is taken after those before it."""
        state = 1 if self._last is None else self._last.next_state
        key = (state, seen.tobytes())
        found = self._takes.get(key)
        if found is None:
            before = self._rest if self._last is None else self._last.unsure
            found = self._new_take(state, before, seen)
            _keep(self._takes, key, found)
        return found

    def _new_take(self, state: int, before: Floats, seen: Bools) -> _Take:
        """Return how a row with this pattern is taken after a past that is unsure by `before`."""
        law, signals = self._law, len(seen)
        size = len(before)
        ahead = np.zeros((size, size))
        ahead[signals:, signals:] = before[:-signals, :-signals]
        if state:
            cross = law.coefficients.T @ before
            ahead[:signals, :signals] = cross @ law.coefficients
            ahead[:signals, signals:] = cross[:, :-signals]
            ahead[signals:, :signals] = ahead[:signals, signals:].T
        ahead[:signals, :signals] += law.covariance
        covariance = ahead[:signals, :signals].copy()
        places = np.flatnonzero(seen)
        block = covariance[np.ix_(places, places)]
        gain: Floats = np.asarray(np.linalg.solve(block, ahead[places]).T, dtype=np.float64)
        unsure = ahead - gain @ ahead[places]
        gain[places], unsure[places], unsure[:, places] = 0.0, 0.0, 0.0
        unsure = 0.5 * (unsure + unsure.T)
        reach = REACH * np.sqrt(np.diag(covariance))
        number, following = self._named(state, before, seen, unsure)
        return _Take(number, state, seen, covariance, reach, gain, unsure, following)

    def _named(self, state: int, before: Floats, seen: Bools, unsure: Floats) -> tuple[int, int]:
        """Return the name of a new take and of the state it leaves.

        The same pattern row by row leaves ever the same state, which then keeps its name, so that
        nothing has to be made anew.
        """
        if state == 0 and seen.all():
            return 0, 0
        self._made += 1
        settled = _SETTLED * np.abs(before).max()
        if state > 1 and np.abs(unsure - before).max() <= settled:
            return self._made, state
        return self._made, self._made if unsure.any() else 0

    def _weigh(self, window: int, offset: Floats) -> Weight:
        """Weigh the mean of the last innovations less what levels (u,) leave in it."""
        last = list(self._rows)[-window:]
        rows = np.array([innovation for _, innovation in last])
        if window > 1:
            reach = np.array([take.reach for take, _ in last])
            rows = np.clip(rows, -reach, reach)
        key = (window, *(take.number for take, _ in last))
        known = self._inverses.get(key)
        if not any(key[1:]):
            mean = rows.mean(axis=0)
        else:
            seen = np.array([take.seen for take, _ in last])
            mean = np.where(seen, rows, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
            if not seen.any():
                return Weight(0.0, np.zeros(len(offset)))
        if known is None:
            known = self._inverse([take for take, _ in last])
            _keep(self._inverses, key, known)
        return weigh(self._law, mean - offset, known)

    def _inverse(self, takes: Sequence[_Take]) -> Inverse:
        """Return what is known about the means of innovations that were taken so.

        Each signal has its own number of rows; two have in common the rows in which both are seen.
        """
        seen = np.array([take.seen for take in takes])
        counts = np.maximum(seen.sum(axis=0), 1).astype(np.float64)
        if any(take.number for take in takes):
            covariance = sum(
                take.covariance * np.outer(take.seen, take.seen) for take in takes
            ) / np.outer(counts, counts)
        else:
            covariance = self._law.covariance / len(takes)
        if self._law.follows_levels:
            # A signal long unseen is filled in about its level, wherever that is by now.
            lately = np.array([take.seen for take, _ in self._rows]).any(axis=0)
            passed = self._passed * np.where(lately, self._levels, 0.0)
            covariance = covariance + passed @ self._passed.T
        return inverse(covariance, seen.sum(axis=0) > 0)


def _rest(law: JointLaw) -> Floats:
    """Return the covariance (lags u, lags u) of the past when nothing has been seen for long."""
    signals, size = len(law.mean), len(law.coefficients)
    moves, covariance = np.zeros((size, size)), np.zeros((size, size))
    moves[:signals] = law.coefficients.T
    moves[signals:, :-signals] = np.eye(size - signals)
    covariance[:signals, :signals] = law.covariance
    for _ in range(_REST_DOUBLINGS):
        covariance = covariance + moves @ covariance @ moves.T
        moves = moves @ moves
    return covariance


def _keep(kept: dict[Key, Value], key: Key, value: Value) -> None:
    """Keep a value, and no more than `PATTERNS_KEPT` of them: the oldest goes."""
    if len(kept) >= PATTERNS_KEPT:
        kept.pop(next(iter(kept)))
    kept[key] = value
