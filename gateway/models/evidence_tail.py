"""How far above what healthy rows have shown a limit must be, for the agreed rate to be kept.

    limit_i = max(0, highest_i + scale_i * log(rows per false alarm * evidences / rows tried))

Every evidence is tried on several held-out parts of the training rows. What one part exceeds the
highest of the others by is an excess; excesses less than `APART` rows apart are one cluster, which
counts with its peak. That is what live rows do to a limit learnt from training, so clusters show
both how often new healthy rows exceed and how far:

    scale_i = (PRIOR_CLUSTERS * 1 + sum of peaks_i) / (PRIOR_CLUSTERS + clusters_i)
    evidences = 1 + clusters of all together

An honest Bayes factor exceeds e^x with probability at most e^-x, hence a scale of one where nothing
speaks against it. False alarms of several evidences add up, hence the number of those that were
seen to exceed: the rate is that of all together, not of each.

The tail is exponential, a generalised Pareto law of shape 0. Some hundred rows hold one or two
clusters of an evidence, from which no shape can be told; bounding it at zero states so.

Left to others: evidence and its trials (calibration.py).

Sources: Pickands (1975) for the law of excesses; Davison and Smith (1990), Models for exceedances
over high thresholds, 2 and 3, for clusters; Ville (1939) for the scale of one.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

APART: Final = 20
"""Rows between two excesses that are not the same event; one window."""
PRIOR_CLUSTERS: Final = 2.0
"""Clusters whose mean is one nat, worth as much as what theory says."""


class Tail(NamedTuple):
    """What held-out rows said about k evidences."""

    highest: Floats
    """(k,): log odds, 0 at least."""
    scale: Floats
    """(k,): nats for a factor e in the rate."""
    clusters: int
    """Of excesses, all evidences together."""
    rows: int
    """That were tried."""


def learn(parts: Sequence[Floats]) -> Tail:
    """Learn from evidences (n, k) on each of at least two held-out parts, in the same columns."""
    highest = np.maximum(np.array([part.max(axis=0) for part in parts]), 0.0)
    count = parts[0].shape[1]
    peaks, clusters = np.zeros(count), np.zeros(count)
    for place, part in enumerate(parts):
        others = np.delete(highest, place, axis=0).max(axis=0)
        for column in np.flatnonzero(highest[place] > others):
            found = _peaks(part[:, column] - others[column])
            peaks[column] += found.sum()
            clusters[column] += len(found)
    scale = (PRIOR_CLUSTERS + peaks) / (PRIOR_CLUSTERS + clusters)
    rows = sum(len(part) for part in parts)
    return Tail(highest.max(axis=0), scale, int(clusters.sum()), rows)


def limits(tail: Tail, rows_per_alarm: float) -> Floats:
    """Return the limits (k,) at which all together have one false alarm in so many rows."""
    beyond = math.log(rows_per_alarm * (1 + tail.clusters) / tail.rows)
    result: Floats = np.maximum(tail.highest + tail.scale * beyond, 0.0)
    return result


def _peaks(excess: Floats) -> Floats:
    """Return the peak (c,) of each cluster of rows (n,) above zero."""
    rows = np.flatnonzero(excess > 0.0)
    starts = np.flatnonzero(np.diff(rows, prepend=-APART - 1) > APART)
    peaks: Floats = np.maximum.reduceat(excess[rows], starts)
    return peaks
