"""The samples of one row as they come: cheap to put, bounded, as arrays when the row closes.

Promises: at most `SAMPLES_MAX` samples of a signal; a second one for the same time replaces the
first. Of each signal the newest usable value is kept as it came, or the newest of the bad ones
where none is usable. Left to others: which row a value belongs to (`rows.py`), what samples say
about the row's time (models/alignment_rows.py).
"""

import math
from collections.abc import Iterable
from typing import Final, final

from gateway import status
from gateway.models import alignment_rows
from gateway.models.alignment_rows import Batch
from gateway.records import Aligned

SAMPLES_MAX: Final = 64
"""Of one signal in one row; of more the last one takes the place of the one before."""
DOUBLE: Final = "double"
CROWDED: Final = "crowded"


def is_usable(value: Aligned) -> bool:
    """Tell whether a value is a number that may be used."""
    return not status.is_bad(value.status) and math.isfinite(value.value)


@final
class RowSamples:
    """What has come for one row of `signals` signals."""

    __slots__ = ("_counts", "_last", "_places", "_taken", "first_open", "has", "kept")

    def __init__(self, signals: int) -> None:
        self.kept: list[Aligned | None] = [None] * signals
        self.has = [False] * signals
        """Whether a value has come that its source does not call bad."""
        self.first_open = 0
        """All signals before this one have what is due in the row."""
        self._places: list[int] = []
        self._taken: list[Aligned] = []
        """The samples, and to which signal each belongs."""
        self._counts = [0] * signals
        self._last = [-1] * signals
        """Where in the lists the last sample of each signal stands."""

    def put(self, place: int, value: Aligned) -> str:
        """Take a value of the signal at a place; return what is odd about it, empty if nothing."""
        at, before = self._last[place], self.kept[place]
        is_double = before is not None and before.time_ns == value.time_ns
        if status.is_bad(value.status) or not math.isfinite(value.value):
            self.has[place] = self.has[place] or not status.is_bad(value.status)
            if at < 0:
                self.kept[place] = value
            return DOUBLE if is_double else ""
        self.has[place] = True
        if at < 0 or before is None or value.time_ns >= before.time_ns:
            self.kept[place] = value
        if at >= 0 and (is_double or self._counts[place] >= SAMPLES_MAX):
            self._taken[at] = value
            return DOUBLE if is_double else CROWDED
        self._last[place] = len(self._places)
        self._counts[place] += 1
        self._places.append(place)
        self._taken.append(value)
        return ""

    @property
    def coherence_ns(self) -> int:
        """The worst expanded uncertainty of the times of the samples; 0 without any."""
        return max((value.uncertainty_ns for value in self._taken), default=0)

    @property
    def bound_ns(self) -> int:
        """The worst hard bound of those times; 0 without any."""
        return max((value.bound_ns for value in self._taken), default=0)

    def batch(self) -> Batch:
        """Return all samples as arrays."""
        return _batch(self._places, self._taken)

    def of(self, place: int) -> list[Aligned]:
        """Return the samples of one signal."""
        both = zip(self._places, self._taken, strict=True)
        return [value for at, value in both if at == place]


def joined(rows: Iterable[RowSamples], place: int) -> Batch:
    """Return the samples of one signal in several rows."""
    found = [value for row in rows for value in row.of(place)]
    return _batch([0] * len(found), found)


def _batch(places: list[int], taken: list[Aligned]) -> Batch:
    return alignment_rows.batch(
        places,
        [value.time_ns for value in taken],
        [value.value for value in taken],
        # Uncertainties of records are expanded with k = 2.
        [0.5 * value.uncertainty_ns for value in taken],
    )
