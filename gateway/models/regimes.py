"""Regimes: ways of running that differ by an offset of every signal, and a sticky chain of them.

m_r(t):  P(r(t) = j | r(t-1) = i) = transition[i, j]

The record; most assets have one regime.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Regimes(NamedTuple):
    """Offsets (r, u) in units of scale, transition (r, r), weights (r,) of the regimes."""

    offsets: Floats
    transition: Floats
    weights: Floats


def single(offset: Floats) -> Regimes:
    """Return the one regime with this offset (u,)."""
    return Regimes(offset[None, :], np.ones((1, 1)), np.ones(1))
