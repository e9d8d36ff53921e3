"""Synthetic healthy rows of known state-space models, for the tests of the twin model."""

import numpy as np

from gateway.models import state_space
from gateway.models.fit import Settings, fit

PERIOD_NS = 1_000_000_000
SIGNALS = ("flow", "pressure", "current", "vibration", "temperature", "voltage")
UNITS = ("m3/s", "Pa", "A", "m/s2", "K", "V")
ROOTS = np.array([0.9, 0.4])
LOADINGS = np.array([[1.0, 0.2], [-0.8, 0.5], [0.5, 1.0], [0.0, 0.9], [0.7, -0.6], [0.3, 0.3]])
NOISE = np.array([0.3, 0.4, 0.3, 0.5, 0.4, 0.9])
LOCATION = np.array([0.05, 101_325.0, 3.0, 0.0, 300.0, 230.0])
SCALE = np.array([0.001, 500.0, 0.1, 2.0, 1.0, 5.0])
SPACE = state_space.assemble(np.diag(ROOTS), np.eye(2) - np.diag(ROOTS**2), LOADINGS, NOISE, 1)


def rows(count, seed=0, drift=None, modes=None):
    """Return (count, 6) rows in own units.

    `drift` (6,) is the deviation of each level's step per row, `modes` (6,) the offset, in scales,
    of a second way of running, which takes turns of about 60 rows.
    """
    rng = np.random.default_rng(seed)
    scaled = state_space.sample(SPACE, count, rng)
    if drift is not None:
        scaled += np.cumsum(rng.normal(size=scaled.shape) * np.asarray(drift), axis=0)
    if modes is not None:
        scaled += turns(count, seed)[:, None] * np.asarray(modes)
    return LOCATION + SCALE * scaled


def turns(count, seed=0):
    """Return which of two ways of running (count,) each row of `rows` is."""
    switches = np.random.default_rng([seed, 7]).random(count) < 1 / 60
    return np.cumsum(switches) % 2


def model(segments, **settings):
    """Return the fit of rows, or of several segments of them, with these settings."""
    return fit(
        segments, SIGNALS, UNITS, period_ns=PERIOD_NS, asset="pump", settings=Settings(**settings)
    )
