"""A small known law, its windows and the faults put into them, for the tests of causes."""

import numpy as np

from gateway.models.hypotheses_window import Law, own_covariance
from gateway.models.state_space import assemble, autocovariance, sample

SIGNALS = 5
ROWS = 40
RESOLUTION = 1e-3


def law(persistence=0.0, drift=0.0, resolution=RESOLUTION, hold=0.002, degrees=40.0):
    """Return five signals with two factors of one lag; the last signal has none."""
    current = np.array([[1.0, 0.0], [0.9, 0.0], [0.0, 1.0], [0.3, 0.8], [0.0, 0.0]])
    noise = np.array([0.1, 0.1, 0.1, 0.2, 1.0])
    space = assemble(np.diag([0.8, 0.5]), np.diag([0.36, 0.75]), current, noise, 1)
    same = np.ones(SIGNALS)
    return Law(
        space,
        persistence * same,
        0.05 * same,
        drift * same,
        resolution * same,
        hold * same,
        0.005 * same,
        degrees,
    )


def healthy(known, seed, rows=ROWS):
    """Return rows (rows, SIGNALS) of a law, on its resolution."""
    drawn = sample(known.state_space, rows, np.random.default_rng(seed))
    return np.round(drawn / known.resolution) * known.resolution


def joint_covariance(known, rows):
    """Return the covariance (SIGNALS * rows, SIGNALS * rows) of all values, signal by signal."""
    full = np.zeros((SIGNALS, rows, SIGNALS, rows))
    noise = np.diag(known.state_space.noise)
    for later in range(rows):
        for row in range(rows):
            among = autocovariance(known.state_space, abs(later - row))
            among = among if later >= row else among.T
            full[:, later, :, row] = among - noise if later == row else among
    own = own_covariance(known, rows)
    for signal in range(SIGNALS):
        full[signal, :, signal] += own[signal]
    return full.reshape(SIGNALS * rows, SIGNALS * rows)
