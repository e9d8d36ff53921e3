"""Samples of rows that are closed, kept as long as a late one may join them.

Promises: 28 bytes for a sample that came in time; a late one, and those it joins, count as
`LATE_WEIGHT`. At most `rows_max` rows and `TOTAL_MAX` samples in all (about 30 MB): of more the
oldest rows go. A second sample for the same time replaces the first. Left to others: how long a
row is worth keeping (stages/rows.py), what its samples say (alignment_rows.py).
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from gateway.models.alignment_rows import ABSURD, Batch

TOTAL_MAX: Final = 1 << 20
ROW_MAX: Final = 64
"""Samples of one signal in one row."""
LATE_WEIGHT: Final = 8
"""A sample on its own takes about that much more than one in an array."""


class Sample(NamedTuple):
    """One sample of a closed row."""

    time_ns: int
    value: float
    unsure_ns: float
    """Standard uncertainty of the time."""


@dataclass(slots=True)
class _Closed:
    """The samples of one row by signal, those of place p from `starts[p]` to `starts[p + 1]`."""

    starts: NDArray[np.int32]
    times_ns: NDArray[np.int64]
    values: NDArray[np.float64]
    unsure_ns: NDArray[np.float64]
    weight: int
    changed: dict[int, dict[int, Sample]] = field(default_factory=dict)
    """By place and time, where a late sample has come: with those that came in time."""


@final
class History:
    """The samples of `signals` signals in the last closed rows, at most `rows_max`."""

    def __init__(self, signals: int, rows_max: int, total_max: int = TOTAL_MAX) -> None:
        self._signals = signals
        self._rows_max = rows_max
        self._total_max = total_max
        self._rows: OrderedDict[int, _Closed] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._rows)

    def keep(self, number: int, batch: Batch) -> None:
        """Keep the samples of a row; numbers ascend."""
        order = np.lexsort((batch.times_ns, batch.places))
        starts = np.searchsorted(batch.places[order], np.arange(self._signals + 1))
        weight = len(order) + self._signals // 2 + 1
        self._rows[number] = _Closed(
            starts.astype(np.int32),
            batch.times_ns[order],
            batch.values[order],
            batch.uncertainties_ns[order],
            weight,
        )
        self._weight += weight
        while next(iter(self._rows)) <= number - self._rows_max:
            self._forget_oldest()
        self._bound()

    def forget(self) -> None:
        """Forget all rows."""
        self._rows.clear()
        self._weight = 0

    def of(self, number: int, place: int) -> list[Sample]:
        """Return the samples of a signal in a row; none if the row is not known."""
        row = self._rows.get(number)
        if row is None:
            return []
        changed = row.changed.get(place)
        if changed is not None:
            return list(changed.values())
        part = slice(int(row.starts[place]), int(row.starts[place + 1]))
        parts = (row.times_ns[part], row.values[part], row.unsure_ns[part])
        return [Sample(*each) for each in zip(*(every.tolist() for every in parts), strict=True)]

    def add(self, number: int, place: int, sample: Sample) -> bool:
        """Let a late sample join its row; False if that changes nothing.

        So it is with a copy, with a row that is not known, with more than `ROW_MAX` samples of the
        signal, and with a number that cannot be computed with.
        """
        row = self._rows.get(number)
        if row is None or not abs(sample.value) < ABSURD:
            return False
        samples = row.changed.get(place)
        if samples is None:
            samples = {each.time_ns: each for each in self.of(number, place)}
        before = samples.get(sample.time_ns)
        if before == sample or (before is None and len(samples) >= ROW_MAX):
            return False
        gained = (len(samples) if place not in row.changed else 0) + (before is None)
        samples[sample.time_ns] = sample
        row.changed[place] = samples
        row.weight += LATE_WEIGHT * gained
        self._weight += LATE_WEIGHT * gained
        self._bound()
        return number in self._rows

    def has(self, number: int, place: int, time_ns: int) -> bool:
        """Tell whether a row has a sample of a signal at a time."""
        return any(sample.time_ns == time_ns for sample in self.of(number, place))

    def _bound(self) -> None:
        while self._weight > self._total_max and self._rows:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        _, gone = self._rows.popitem(last=False)
        self._weight -= gone.weight
