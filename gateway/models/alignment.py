"""Samples at their own times become a value at a wanted one: conditional means and variances.

For one signal with samples y at times t, the wanted time at 0, x the signal and e_j the noise of a
sample (alignment_law.py), in units of the signal's variance:

    K = correlation(t_i - t_j) + M + noise I,   k = correlation(t_j) + M      M: mean is unknown
    mean = k' K^-1 y                            what the signal is, from all samples near
    variance = 1 + M - k' K^-1 k                how surely
    carried = mean + noise w' K^-1 y            what its own sensor would have read
    error = variance + noise^2 w' K^-1 w        of `carried` about the signal

w are equal weights of the samples that are the row's own. noise K^-1 y is what each sample has left
over what is known of the signal, so `carried` is the mean of the row's own readings, moved by what
the signal did between their times and the wanted one. One reading at the wanted time is itself, to
the last bit of an ideal computer. Only a row's own readings speak in it with what is new in them,
so rows of values stay as independent as sensors are; `mean` is smoother, and would hide a fault
that the law does not expect. `extra` is how much less `carried` is worth than one reading:

    extra = max(error - noise, 0) + (rise^2 + secant^2) u^2

where u is the standard uncertainty of the samples' time. It is common to samples of one clock and
does not average out. rise^2 is what the law expects, from the change within u; the secant is how
much faster the signal moves just now, as far as it stands out of the noise.

Promises: no sample, no value (NaN); a signal without a law gives the mean of its own samples and no
extra variance; numbers that run out are NaN as well. All signals at once, no loop over them.
Left to others: which samples are near (alignment_rows.py).

Sources: Rasmussen and Williams (2006), 2.2 and 2.7 (unknown mean as a wide prior); Cressie,
Statistics for Spatial Data (1993), 3.2, for the unknown mean; GUM (2008), 5.1.2, for |dx/dt| u(t).
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.models.alignment_law import Law, change_variance, correlation

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_MEAN_VARIANCE: Final = 100.0
"""Of the mean over that of the signal: ten deviations, so that a moved level is not pulled back."""
_NOISE_MIN: Final = 1e-9
_SECANT_REACH: Final = 4.0
"""Variances of noise that the square of a secant must exceed: two deviations."""


class Samples(NamedTuple):
    """Up to n samples for each of s signals, in any order; NaN where there are fewer."""

    times_s: Floats
    """(s, n): after the wanted time, negative before it."""
    values: Floats
    """(s, n)."""
    is_own: Bools
    """(s, n): whether a sample belongs to the row that is wanted."""


class Resampled(NamedTuple):
    """Each of s signals at the wanted time; arrays (s,) in the signals' own units."""

    mean: Floats
    """Of the signal without its sensor's noise; NaN without any sample."""
    variance: Floats
    carried: Floats
    """The row's own readings, carried to the wanted time; NaN without one of its own."""
    extra: Floats
    """Variance of `carried` beyond that of one reading at the wanted time."""


def resample(law: Law, samples: Samples, uncertainty_s: Floats | None = None) -> Resampled:
    """Return each signal at the wanted time; `uncertainty_s` (s,) is the standard one of times."""
    seen = np.isfinite(samples.values)
    own = np.logical_and(samples.is_own, seen)
    counts = own.sum(axis=1)
    weights = own / np.maximum(counts, 1)[:, None]
    middle = _middle(samples.values, seen, own)
    away = np.where(seen, samples.values - middle[:, None], 0.0)
    times_s = np.where(seen, samples.times_s, 0.0)
    mean, variance, residual, own_variance = _kriged(law, times_s, away, seen, weights)
    plain = (weights * away).sum(axis=1)
    mean = np.where(law.is_known, mean, plain)
    carried = np.where(law.is_known, mean + residual, plain)
    extra = np.maximum(variance + own_variance - law.noise, 0.0)
    if uncertainty_s is not None:
        extra = extra + time_variance(law, samples, uncertainty_s)
    extra = np.where(law.is_known, extra, 0.0)
    has_own, has_any = counts > 0, seen.any(axis=1)
    return Resampled(
        np.where(has_any, middle + mean, np.nan),
        np.where(has_any, variance, np.nan),
        np.where(has_own, middle + carried, np.nan),
        np.where(has_own, extra, np.nan),
    )


def time_variance(law: Law, samples: Samples, uncertainty_s: Floats) -> Floats:
    """Return what the uncertainty of times (s,), standard, adds to the variance of values (s,)."""
    risen = change_variance(law, uncertainty_s)
    result: Floats = risen + _secant_square(law, samples) * uncertainty_s**2
    return np.where(law.is_known, result, 0.0)


def _kriged(
    law: Law, times_s: Floats, away: Floats, seen: Bools, weights: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return mean, variance, own residual and its variance (s,), in the signals' own units."""
    scale = np.where(law.is_known, law.variance, 1.0)
    noise = np.maximum(np.where(law.is_known, law.noise / scale, 1.0), _NOISE_MIN)
    rate, smooth = law.rate[:, None, None], law.smooth[:, None, None]
    gaps_s = np.abs(times_s[:, :, None] - times_s[:, None, :])
    both = seen[:, :, None] & seen[:, None, :]
    known = np.where(both, correlation(rate, smooth, gaps_s) + _MEAN_VARIANCE, 0.0)
    diagonal = np.arange(times_s.shape[1])
    known[:, diagonal, diagonal] += np.where(seen, noise[:, None], 1.0)
    ahead = correlation(law.rate[:, None], law.smooth[:, None], np.abs(times_s)) + _MEAN_VARIANCE
    ahead = np.where(seen, ahead, 0.0)
    solved = np.linalg.solve(known, np.stack([ahead, away, weights], axis=2))
    mean = np.einsum("sn,sn->s", ahead, solved[:, :, 1])
    variance = 1.0 + _MEAN_VARIANCE - np.einsum("sn,sn->s", ahead, solved[:, :, 0])
    residual = noise * np.einsum("sn,sn->s", weights, solved[:, :, 1])
    left = noise**2 * np.einsum("sn,sn->s", weights, solved[:, :, 2])
    return mean, scale * np.maximum(variance, 0.0), residual, scale * left


def _middle(values: Floats, seen: Bools, own: Bools) -> Floats:
    """Return a value (s,) near those of each signal, so that differences keep their digits.

    A single own reading is it, so that it comes back as it was.
    """
    has_own = own.sum(axis=1) > 0
    chosen = np.where(has_own[:, None], own, seen)
    first = np.argmax(chosen, axis=1)
    value = values[np.arange(len(values)), first]
    return np.where(np.isfinite(value), value, 0.0)


def _secant_square(law: Law, samples: Samples) -> Floats:
    """Return the square of how fast each signal moves (s,) between its first and last sample.

    What noise alone would show is taken off, and what does not stand out of it is nothing.
    """
    seen = np.isfinite(samples.values)
    rows = np.arange(len(seen))
    first = np.argmin(np.where(seen, samples.times_s, np.inf), axis=1)
    last = np.argmax(np.where(seen, samples.times_s, -np.inf), axis=1)
    apart_s = samples.times_s[rows, last] - samples.times_s[rows, first]
    moved = samples.values[rows, last] - samples.values[rows, first]
    is_apart = np.isfinite(apart_s) & (apart_s > 0.0)
    square = np.where(is_apart, moved / np.where(is_apart, apart_s, 1.0), 0.0) ** 2
    noise = 2.0 * law.noise / np.where(is_apart, apart_s, 1.0) ** 2
    return np.where(square > _SECANT_REACH * noise, np.maximum(square - noise, 0.0), 0.0)
