"""How fast a healthy signal wanders: a local level model of block means, one signal at a time.

    mean_b = level_b + n_b,   level_b = level_(b-1) + w_b,   n ~ N(0, noise),   w ~ N(0, drift)

`noise` also holds what neighbouring rows have in common, so block means are not believed to be
better than they are. A few dozen blocks say little about two variances: both are averaged over
their posterior on a grid (geometric mean), and the drift is taken on the safe side, since a drift
rated too small is a false alarm later.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NOISE_FACTORS: Final = np.geomspace(0.35, 8.0, 14)
_DRIFT_FACTORS: Final = np.geomspace(1e-3, 1e3, 40)
_LOG_NOISE_DEVIATION: Final = 0.7
"""Prior on log(noise / white noise): within a factor of two, two times out of three."""


class Wander(NamedTuple):
    """Variances of one signal's block means: own noise, and drift from one block to the next."""

    noise: float
    drift: float


def learn(means: Floats, white: float, safety: float) -> Wander:
    """Learn from block means (blocks,) whose noise would be `white` if rows were independent.

    `safety` is how many posterior standard deviations (of its logarithm) the drift is raised.
    """
    noise, drift = np.meshgrid(white * _NOISE_FACTORS, white * _DRIFT_FACTORS, indexing="ij")
    log_posterior = -0.5 * (np.log(noise / white) / _LOG_NOISE_DEVIATION) ** 2
    level = np.full(noise.shape, means[0])
    variance = noise.copy()
    for mean in means[1:]:
        variance = variance + drift
        total = variance + noise
        surprise = mean - level
        log_posterior -= 0.5 * (np.log(total) + surprise**2 / total)
        gain = variance / total
        level = level + gain * surprise
        variance = variance * (1.0 - gain)
    weights = np.exp(log_posterior - log_posterior.max())
    weights /= weights.sum()
    log_noise = float((weights * np.log(noise)).sum())
    log_drift = float((weights * np.log(drift)).sum())
    deviation = float(np.sqrt((weights * (np.log(drift) - log_drift) ** 2).sum()))
    return Wander(float(np.exp(log_noise)), float(np.exp(log_drift + safety * deviation)))
