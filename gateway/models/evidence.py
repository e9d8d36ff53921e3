"""From a squared distance to evidence: two hypotheses, one formula, no look-up of thresholds.

    normal:   r ~ t_v(0, C)              the window mean r of `signals` signals
    anomaly:  r ~ t_v(0, (1 + s) C)      the mean has moved; s is how far, averaged over a grid

with v the degrees of freedom the covariance C was learnt from. Both densities depend on r through
the squared distance d = r' C^-1 r alone, so their ratio (the Bayes factor) is a function of d:

    factor(d) = mean over s of (1 + s)^(-p/2) * [(1 + d/v) / (1 + d/(v (1 + s)))]^((v + p)/2)

Its expectation under "normal" is 1, so it exceeds 1/a with probability at most a: an honest
false-alarm bound, as far as the model holds. The heavy tail of t_v is what keeps a few dozen
training blocks from claiming certainty.
"""

import math
from typing import Final

SHIFTS: Final = (3.0, 10.0, 30.0, 100.0, 300.0)
"""Variance of the shift over that of the window mean."""


def log_bayes_factor(distance: float, signals: int, degrees: float) -> float:
    """Return log density ratio, anomaly over normal, at squared distance `distance` >= 0."""
    half = 0.5 * (degrees + signals)
    near = math.log1p(distance / degrees)
    logs = [
        half * (near - math.log1p(distance / (degrees * (1.0 + shift))))
        - 0.5 * signals * math.log1p(shift)
        for shift in SHIFTS
    ]
    top = max(logs)
    return top + math.log(sum(math.exp(value - top) for value in logs) / len(logs))
