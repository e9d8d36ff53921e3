"""Made-up units of a known fleet that wear out, for the tests of prognosis."""

import numpy as np

SIGNALS = 5
"""In scaled units; the last one never tells anything."""
LOADINGS = np.array([1.0, -0.8, 0.5, 1.5, 0.0])
TAU = 15.0
WEAR = 12.0


def runs(count, seed=0):
    """Return `count` runs (life, SIGNALS): one index from about 0 to 12 at failure, plus noise."""
    rng = np.random.default_rng(seed)
    return [_run(rng) for _ in range(count)]


def _run(rng):
    tau = TAU * np.exp(0.2 * rng.normal())
    life = int(4.0 * tau * np.exp(0.1 * rng.normal()))
    start = 0.5 * rng.normal()
    index = start + (WEAR - start) * np.exp(-np.arange(life)[::-1] / tau)
    return index[:, None] * LOADINGS + rng.normal(size=(life, SIGNALS))
