"""Synthetic healthy rows of a known model, for the tests of the models."""

import numpy as np

SIGNALS = 5
LOADINGS = np.array([[1.0, 0.0], [0.8, 0.0], [0.0, 1.0], [0.0, 0.7], [0.0, 0.0]])
NOISE = np.array([0.3, 0.4, 0.3, 0.5, 1.0])
LOCATION = np.array([10.0, -3.0, 0.05, 230.0, 0.0])
SCALE = np.array([1.0, 0.2, 0.001, 5.0, 3.0])
COVARIANCE = LOADINGS @ LOADINGS.T + np.diag(NOISE)


def rows(count, seed=0, drift=None):
    """Return (count, SIGNALS) rows; `drift` is the deviation of each level's step per row."""
    rng = np.random.default_rng(seed)
    scaled = rng.normal(size=(count, 2)) @ LOADINGS.T
    scaled += rng.normal(size=(count, SIGNALS)) * np.sqrt(NOISE)
    if drift is not None:
        scaled += np.cumsum(rng.normal(size=(count, SIGNALS)) * np.asarray(drift), axis=0)
    return LOCATION + SCALE * scaled
