"""NAB: the score of change points, as the SKAB leaderboard counts it.

Promises: window of 60 s to the right of each change point, standard profile.
Of the detections in a window only the first counts; its value falls along

    value(u) = (tp - fp) / 2 * (1 - tanh(pi (u - 1/2)) / tanh(pi / 2)) + fp

from tp = 1 at the change point (u = 0) to fp = -0.11 at the end of the window (u = 1). A window
without detection costs 1, a detection outside every window 0.11. Summed over all files,

    score = 100 * (sum + windows) / (2 * windows)

so that saying nothing is worth 0 and perfection 100; always crying wolf is worth less than 0.
A window that begins before the one before it has ended is cut there on its left.
Leaves to others: how detections come from verdicts; `changes` is the leaderboard's own rule.

Source: A. Lavin, S. Ahmad, Evaluating real-time anomaly detection algorithms (2015), section II.C;
the window on the right and the tanh follow the public evaluation of SKAB (version 0.9), which reads
the curve off a table of 1,000 steps where this takes it exactly.
"""

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WINDOW_S: Final = 60.0
TRUE_POSITIVE: Final = 1.0
FALSE_POSITIVE: Final = -0.11
FALSE_NEGATIVE: Final = -1.0


class Tally(NamedTuple):
    """What one file, or several together, are worth."""

    value: float
    windows: int
    found: int
    false: int

    def __add__(self, other: tuple[float, ...]) -> "Tally":  # type: ignore[override]
        """Add number by number."""
        value, windows, found, false = other
        return Tally(
            self.value + value,
            self.windows + int(windows),
            self.found + int(found),
            self.false + int(false),
        )

    @property
    def score(self) -> float:
        """0 for silence, 100 for perfection; NaN without any change point."""
        if not self.windows:
            return math.nan
        silence = FALSE_NEGATIVE * self.windows
        return 100.0 * (self.value - silence) / (TRUE_POSITIVE * self.windows - silence)


def tally(detections_s: Floats, changes_s: Floats, window_s: float = WINDOW_S) -> Tally:
    """Compare times of detections (d,) with true times of change (c,), both rising, in seconds."""
    value, found = 0.0, 0
    unused = np.ones(len(detections_s), dtype=np.bool_)
    for first, last in _windows(changes_s, window_s):
        inside = (detections_s >= first) & (detections_s <= last)
        unused &= ~inside
        if inside.any():
            found += 1
            value += worth((float(detections_s[inside][0]) - first) / (last - first))
        else:
            value += FALSE_NEGATIVE
    false = int(unused.sum())
    return Tally(value + FALSE_POSITIVE * false, len(changes_s), found, false)


def worth(place: float) -> float:
    """Return the value of a detection at `place` in its window, 0 the change, 1 the end."""
    fall = math.tanh(math.pi * (place - 0.5)) / math.tanh(math.pi / 2.0)
    return (TRUE_POSITIVE - FALSE_POSITIVE) / 2.0 * (1.0 - fall) + FALSE_POSITIVE


def total(tallies: Iterable[Tally]) -> Tally:
    """Add up the files of a set."""
    result = Tally(0.0, 0, 0, 0)
    for each in tallies:
        result += each
    return result


def changes(alarmed: Bools) -> NDArray[np.intp]:
    """Return the rows at which a verdict (n,) changes, into alarm or out of it: (c,)."""
    before = np.concatenate([[False], alarmed[:-1]])
    return np.flatnonzero(alarmed != before)


def _windows(changes_s: Floats, window_s: float) -> list[tuple[float, float]]:
    """Return first and last second of each window; the later of two that overlap is cut."""
    spans: list[tuple[float, float]] = []
    for change_s in map(float, changes_s):
        first = max(change_s, spans[-1][1]) if spans else change_s
        spans.append((first, change_s + window_s))
    return spans
