"""What everybody can do: simple detectors and rules that read no sensor, on the same rows as ours.

Promises: thresholds from training rows alone; every verdict is causal. Two forms:

    rule(training (t, s), rows (n, s)) -> (n,) alarms          SKAB: rows follow the training
    learn(training (t, s)) -> score(rows (n, s)) -> (n,)       TEP: the protocol sets the limit

With z the rows standardised by the training rows, and (values l_i, vectors v_i) of their covariance
C in falling order, the first k explaining 85 % of the variance:

    T2 = sum_(i <= k) (v_i' z)^2 / l_i            Q = sum_(i > k) (v_i' z)^2
    joint Gaussian: d' D^-1 d with d = (z_t, ..., z_(t-p)) and D its covariance
    VAR(p): e' E^-1 e with e = z_t - sum_j B_j z_(t-j) - b by least squares and E its covariance
    probabilistic PCA: the Gaussian N(0, W W' + noise I) of k factors, in closed form

Leaves to others: scores (nab.py, truth.py) and everything that is ours.

Sources: J. Jackson, G. Mudholkar, Control procedures for residuals associated with principal
component analysis (1979); W. Ku, R. Storer, C. Georgakis, Disturbance detection and isolation by
dynamic PCA (1995); M. Tipping, C. Bishop, Probabilistic PCA (1999), section 3.2; M. Basseville,
I. Nikiforov, Detection of Abrupt Changes (1993), chapter 7.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rule = Callable[[Floats, Floats], Bools]
Score = Callable[[Floats], Floats]
Learner = Callable[[Floats], Score]

EXPLAINED: Final = 0.85
CONFIDENCE: Final = 0.999
STOPWATCH_ROWS: Final = (170, 570)
STOPWATCH_CHANGES: Final = (173, 230, 516, 574)
"""Test rows: where the labels of SKAB's valve1 change, in nearly every file."""
MEDIAN_ROWS: Final = 5
MEAN_ROWS: Final = 20
CHANGE_ROWS: Final = 15


class Principal(NamedTuple):
    """Principal components of standardised training rows (n, s)."""

    location: Floats
    scale: Floats
    values: Floats
    """(s,): eigenvalues of the covariance, falling."""
    vectors: Floats
    """(s, s): one column each."""
    kept: int
    covariance: Floats

    def components(self, rows: Floats) -> Floats:
        """Return the standardised rows (n, s) in the basis of the components."""
        projected: Floats = ((rows - self.location) / self.scale) @ self.vectors
        return projected

    def t2(self, rows: Floats) -> Floats:
        """Hotelling's statistic within the kept components, (n,)."""
        shown: Floats = np.square(self.components(rows)[:, : self.kept])
        return np.asarray((shown / self.values[: self.kept]).sum(axis=1))

    def q(self, rows: Floats) -> Floats:
        """Squared distance from the kept components, (n,)."""
        return np.asarray(np.square(self.components(rows)[:, self.kept :]).sum(axis=1))


def principal(rows: Floats, explained: float = EXPLAINED) -> Principal:
    """Find the principal components of rows (n, s); a constant signal keeps the scale 1."""
    location, scale = _standard(rows)
    covariance = np.cov((rows - location) / scale, rowvar=False)
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    share = np.cumsum(values) / values.sum()
    kept = min(int(np.searchsorted(share, explained, side="right")) + 1, len(values) - 1)
    return Principal(location, scale, values, vectors, kept, covariance)


# --- SKAB: rules ------------------------------------------------------------------------------


def t2_and_q(training: Floats, rows: Floats) -> Bools:
    """Say what the published T2 + Q says: either median of five rows above its limit.

    Its Q limit leaves out the first k eigenvalues in whatever order the general solver returns
    them, and takes powers of their sum for sums of their powers. That is kept here, because it is
    what the published figures are of; `t2_and_q_as_meant` has the limit of the source it names.
    """
    model = principal(training)
    left = float(np.real(np.linalg.eigvals(model.covariance))[model.kept :].sum())
    return _above_t2_or_q(model, training, rows, q_limit(left, left**2, left**3))


def t2_and_q_as_meant(training: Floats, rows: Floats) -> Bools:
    """Do the same with the limit of Jackson and Mudholkar as they wrote it."""
    model = principal(training)
    left = model.values[model.kept :]
    sums = [float((left**power).sum()) for power in (1, 2, 3)]
    return _above_t2_or_q(model, training, rows, q_limit(*sums))


def q_limit(first: float, second: float, third: float) -> float:
    """Return the limit of Q at CONFIDENCE; sums of first to third powers of the left eigenvalues.

    limit = first * (c h sqrt(2 second) / first + second h (h - 1) / first^2 + 1)^(1/h),
    h = 1 - 2 first third / (3 second^2), c the normal quantile.
    """
    power = 1.0 - 2.0 * first * third / (3.0 * second**2)
    quantile = float(stats.norm.ppf(CONFIDENCE))
    spread = quantile * power * (2.0 * second) ** 0.5 / first
    bend = second * power * (power - 1.0) / first**2
    return float(first * (1.0 + spread + bend) ** (1.0 / power))


def probabilistic_pca(training: Floats, rows: Floats, factors: int = 3) -> Bools:
    """Alarm where the mean log density of up to 20 rows is below that of 99.9 % in training."""
    location, scale = _standard(training)
    scaled = (training - location) / scale
    values, vectors = np.linalg.eigh(np.cov(scaled, rowvar=False))
    values, vectors = values[::-1].copy(), vectors[:, ::-1]
    values[factors:] = values[factors:].mean()

    def surprise(given: Floats) -> Floats:
        shown = np.square(((given - location) / scale) @ vectors) / values
        return trailing_mean(np.asarray(0.5 * shown.sum(axis=1)), MEAN_ROWS)

    limit = np.quantile(surprise(training), CONFIDENCE)
    return np.asarray(surprise(rows) > limit)


def always(training: Floats, rows: Floats) -> Bools:
    """Alarm on every row."""
    del training
    return np.ones(len(rows), dtype=np.bool_)


def never(training: Floats, rows: Floats) -> Bools:
    """Alarm on no row."""
    del training
    return np.zeros(len(rows), dtype=np.bool_)


def stopwatch(training: Floats, rows: Floats) -> Bools:
    """Alarm by the clock alone: what the position of the labels gives away."""
    del training
    first, last = STOPWATCH_ROWS
    numbers = np.arange(len(rows))
    return np.asarray((numbers >= first) & (numbers < last))


# --- change points ----------------------------------------------------------------------------


def shift_detections(training: Floats, rows: Floats) -> NDArray[np.intp]:
    """Return the rows (d,) at which the mean of 15 rows has left that of the 15 before.

    GLR for a step of unknown size at a known lag w: w/2 * m' C^-1 m, m the difference of the two
    means, C the covariance of training rows. Limit: the most it reached in training. After a
    detection two windows pass before the next, since till then the old step is in them.
    """
    location, scale = _standard(training)
    scaled = (np.vstack([training, rows]) - location) / scale
    precision = np.linalg.pinv(np.cov(scaled[: len(training)], rowvar=False))
    means = sliding_window_view(scaled, CHANGE_ROWS, axis=0).mean(axis=2)
    moved = means[CHANGE_ROWS:] - means[:-CHANGE_ROWS]
    statistic = np.zeros(len(scaled))
    distance = np.einsum("ti,ij,tj->t", moved, precision, moved)
    statistic[2 * CHANGE_ROWS - 1 :] = 0.5 * CHANGE_ROWS * distance
    limit = statistic[: len(training)].max()
    found: list[int] = []
    for row in np.flatnonzero(statistic[len(training) :] > limit):
        if not found or row - found[-1] >= 2 * CHANGE_ROWS:
            found.append(int(row))
    return np.array(found, dtype=np.intp)


# --- TEP: scores ------------------------------------------------------------------------------


def learn_t2(training: Floats, lags: int = 0) -> Score:
    """Hotelling's T2 of principal components of rows with `lags` rows before them."""
    model = principal(with_lags(training, lags))
    return lambda rows: _padded(model.t2(with_lags(rows, lags)), lags)


def learn_q(training: Floats, lags: int = 0) -> Score:
    """Q of principal components; with lags it is the dynamic PCA of Ku, Storer, Georgakis."""
    model = principal(with_lags(training, lags))
    return lambda rows: _padded(model.q(with_lags(rows, lags)), lags)


def learn_joint_gaussian(training: Floats, lags: int = 3, mean_rows: int = 10) -> Score:
    """Mean over `mean_rows` rows of the squared distance of a row together with its lags."""
    location, scale = _standard(training)
    shown = with_lags((training - location) / scale, lags)
    centre = shown.mean(axis=0)
    precision = np.linalg.pinv(np.cov(shown, rowvar=False), hermitian=True)

    def score(rows: Floats) -> Floats:
        apart = with_lags((rows - location) / scale, lags) - centre
        distance = np.einsum("ti,ij,tj->t", apart, precision, apart)
        return _padded(trailing_mean(distance, mean_rows), lags)

    return score


def learn_var(training: Floats, lags: int = 2) -> Score:
    """Squared distance of the innovation of a vector autoregression."""
    location, scale = _standard(training)
    signals = training.shape[1]

    def regressors(given: Floats) -> tuple[Floats, Floats]:
        shown = with_lags((given - location) / scale, lags)
        return np.hstack([shown[:, signals:], np.ones((len(shown), 1))]), shown[:, :signals]

    before, now = regressors(training)
    weights = np.linalg.lstsq(before, now, rcond=None)[0]
    precision = np.linalg.inv(np.cov(now - before @ weights, rowvar=False))

    def score(rows: Floats) -> Floats:
        before, now = regressors(rows)
        apart = now - before @ weights
        return _padded(np.einsum("ti,ij,tj->t", apart, precision, apart), lags)

    return score


# --- shared -----------------------------------------------------------------------------------


def with_lags(rows: Floats, lags: int) -> Floats:
    """Return each row with the `lags` rows before it at its side: (n - lags, s * (lags + 1))."""
    last = len(rows) - lags
    return np.hstack([rows[lags - lag : lags - lag + last] for lag in range(lags + 1)])


def trailing_mean(values: Floats, rows: int) -> Floats:
    """Return the mean of up to `rows` values ending at each one, (n,)."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - rows)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def trailing_median(values: Floats, rows: int) -> Floats:
    """Return the median of the `rows` values ending at each one; NaN where there are fewer."""
    result = np.full(len(values), np.nan)
    result[rows - 1 :] = np.median(sliding_window_view(values, rows), axis=1)
    return result


def _above_t2_or_q(model: Principal, training: Floats, rows: Floats, limit: float) -> Bools:
    """Return (n,): either statistic, median of five rows, above its limit."""
    count, kept = len(training), model.kept
    factor = kept * (count - 1) * (count + 1) / (count * (count - kept))
    t2_limit = factor * float(stats.f.ppf(CONFIDENCE, kept, count - kept))
    both = np.vstack([training[-(MEDIAN_ROWS - 1) :], rows])
    high = trailing_median(model.t2(both), MEDIAN_ROWS) > t2_limit
    high |= trailing_median(model.q(both), MEDIAN_ROWS) > limit
    return np.asarray(high[MEDIAN_ROWS - 1 :])


def _standard(rows: Floats) -> tuple[Floats, Floats]:
    """Return mean and deviation (s,) of rows; 1 in place of a deviation of 0."""
    deviation = rows.std(axis=0)
    return rows.mean(axis=0), np.where(deviation > 0.0, deviation, 1.0)


def _padded(values: Floats, missing: int) -> Floats:
    """Put NaN in front for the rows that have no value yet."""
    return np.concatenate([np.full(missing, np.nan), values])
