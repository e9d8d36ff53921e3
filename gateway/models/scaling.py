"""Units a model can compare: robust location and scale of every channel.

scaled = (value - location) / scale

Channels that cannot take part are told apart here, each by its name.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FAR_DEVIATIONS: Final = 1e6


class Scaling(NamedTuple):
    """Arrays (S,) over all signals, in their own units; 0 and 1 for a signal not used."""

    location: Floats
    scale: Floats
    used: Bools
    resolution: Floats
    """Smallest step between neighbouring values."""


def scaled(scaling: Scaling, rows: Floats) -> Floats:
    """Return rows (..., S) as (..., u), scaled; absurd values are held at a limit.

    The limit is far beyond anything a model can tell apart and keeps squares from overflowing.
    """
    used = scaling.used
    values = (rows[..., used] - scaling.location[used]) / scaling.scale[used]
    clipped: Floats = np.clip(values, -_FAR_DEVIATIONS, _FAR_DEVIATIONS)
    return clipped
