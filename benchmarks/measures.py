"""What is counted: rows by label and alarm, delays, detection rates, and aims that are met or not.

Promises: plain counts, no point adjustment, no tolerance; counts of files are added before a rate
is taken.

    F1 = TP / (TP + (FN + FP) / 2)    FAR = FP / (FP + TN)    MAR = FN / (FN + TP)

Leaves to others: change points (nab.py).
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TEP_FAULT_ROW: Final = 160
TEP_FALSE_ALARM_RATE: Final = 0.01
UNDETECTABLE: Final = (3, 9, 15)
"""Faults of Tennessee Eastman that every published method reports as not found."""


class Counts(NamedTuple):
    """Rows by label and alarm."""

    true_alarms: int
    false_alarms: int
    missed: int
    quiet: int

    def __add__(self, other: tuple[int, ...]) -> "Counts":  # type: ignore[override]
        """Add number by number."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0..1."""
        return _share(self.true_alarms, (self.missed + self.false_alarms) / 2)

    @property
    def false_alarm_rate(self) -> float:
        """Share of normal rows that are alarmed."""
        return _share(self.false_alarms, self.quiet)

    @property
    def missed_rate(self) -> float:
        """Share of anomalous rows that are not alarmed."""
        return _share(self.missed, self.true_alarms)


class Aim(NamedTuple):
    """A figure that was aimed at before anything was measured."""

    what: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def is_reached(self) -> bool:
        """Whether the value lies within its bounds; not known is not reached."""
        low = -math.inf if self.least is None else self.least
        high = math.inf if self.most is None else self.most
        return low <= self.value <= high

    def __str__(self) -> str:
        """Say what was aimed at, what came out, and by how much it fell short."""
        low = "" if self.least is None else f">= {self.least:g}"
        high = "" if self.most is None else f"<= {self.most:g}"
        wanted = " and ".join(part for part in (low, high) if part)
        text = f"{self.what} {wanted}: {self.value:.4g}"
        return f"{text}, reached" if self.is_reached else f"{text}, NOT reached{self._short()}"

    def _short(self) -> str:
        if math.isnan(self.value):
            return ""
        low = -math.inf if self.least is None else self.least
        high = math.inf if self.most is None else self.most
        return f", short by {max(low - self.value, self.value - high):.2g}"


def count(anomalies: Bools, alarmed: Bools) -> Counts:
    """Count rows (n,) by label and alarm."""
    return Counts(
        int((anomalies & alarmed).sum()),
        int((~anomalies & alarmed).sum()),
        int((anomalies & ~alarmed).sum()),
        int((~anomalies & ~alarmed).sum()),
    )


def delay_rows(anomalies: Bools, alarmed: Bools) -> int | None:
    """Return the rows from the first labelled row to the first alarm within the label, or None.

    An alarm that already stands at the first labelled row counts as 0: it is no merit, and the
    false-alarm rate beside it says so.
    """
    within = np.flatnonzero(anomalies & alarmed)
    return int(within[0] - np.argmax(anomalies)) if len(within) else None


def median_delay(delays: list[int | None]) -> tuple[float, int]:
    """Return the median of the delays that there are, and how many there are not."""
    known = [delay for delay in delays if delay is not None]
    return (float(np.median(known)) if known else math.nan), len(delays) - len(known)


def detection_rates(scores: dict[int, Floats]) -> dict[int, float]:
    """Return for each fault the share of rows from row 160 on that are above the limit.

    `scores` holds (960,) for each fault; that of fault 0, the run without fault, sets the limit
    which one in a hundred of its rows exceeds. NaN (no value yet) is no alarm.
    """
    limit = _limit(scores)
    return {
        fault: float((values[TEP_FAULT_ROW:] > limit).mean())
        for fault, values in scores.items()
        if fault
    }


def early_rate(scores: dict[int, Floats]) -> float:
    """Return the share of rows before row 160, still without fault, that are above the limit.

    The limit is of one run; on the others it need not hold, and then a detection is worth less.
    """
    limit = _limit(scores)
    early = [values[:TEP_FAULT_ROW] > limit for fault, values in scores.items() if fault]
    return float(np.mean(early))


def mean_rate(rates: dict[int, float], *, without_undetectable: bool = False) -> float:
    """Return the mean over faults, all of them or those that some method finds."""
    left_out = UNDETECTABLE if without_undetectable else ()
    return float(np.mean([rate for fault, rate in rates.items() if fault not in left_out]))


def _limit(scores: dict[int, Floats]) -> float:
    return float(np.nanquantile(scores[0], 1.0 - TEP_FALSE_ALARM_RATE))


def _share(part: float, rest: float) -> float:
    """Return part / (part + rest), NaN if both are 0."""
    return part / (part + rest) if part + rest else math.nan
