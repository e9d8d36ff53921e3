"""The samples of one row as they come: cheap to put, bounded, as arrays when the row closes.

Promises: at most `SAMPLES_MAX` samples of a signal; a second one for the same time replaces the
first, in whatever order they come. Of each signal the newest usable value is kept as it came, or
the newest of the bad ones where none is usable. Left to others: which row a value belongs to
(`rows.py`), what samples say about the row's time (models/alignment_rows.py), what becomes of
those of closed rows (`row_history.py`).
"""

import math
from typing import Final, final

from gateway import status
from gateway.models import alignment_rows
from gateway.models.alignment_rows import Batch
from gateway.records import Aligned

SAMPLES_MAX: Final = 64
"""Of one signal in one row; of more the last one takes the place of the one before."""
UNSURE_MAX_NS: Final = 1 << 62
"""No time is less sure than this; 146 years, and twice as much still fits into 64 bits."""
DOUBLE: Final = "double"
CROWDED: Final = "crowded"


def is_usable(value: Aligned) -> bool:
    """Tell whether a value is a number that may be used."""
    return not status.is_bad(value.status) and math.isfinite(value.value)


def unsure_ns(value: Aligned) -> float:
    """Return the standard uncertainty of a value's time; records state it expanded with k = 2."""
    return 0.5 * min(value.uncertainty_ns, UNSURE_MAX_NS)


@final
class RowSamples:
    """What has come for one row of `signals` signals; `frame` is the one that began it."""

    __slots__ = ("_index", "_places", "_taken", "first_open", "frame", "has", "kept")

    def __init__(self, signals: int, frame: tuple[str, int] = ("", 0)) -> None:
        self.frame = frame
        self.kept: list[Aligned | None] = [None] * signals
        self.has = [False] * signals
        """Whether a value has come that its source does not call bad."""
        self.first_open = 0
        """All signals before this one have what is due in the row."""
        self._places: list[int] = []
        self._taken: list[Aligned] = []
        """The samples, and to which signal each belongs."""
        self._index: list[dict[int, int] | None] = [None] * signals
        """Where in the lists the sample of a signal at a time stands."""

    def __len__(self) -> int:
        return len(self._taken)

    def put(self, place: int, value: Aligned) -> str:
        """Take a value of the signal at a place; return what is odd about it, empty if nothing."""
        if not is_usable(value):
            return self._put_bad(place, value)
        index, before = self._index[place], self.kept[place]
        self.has[place] = True
        if index is None or before is None or value.time_ns >= before.time_ns:
            self.kept[place] = value
        if index is None:
            index = self._index[place] = {}
        at = index.get(value.time_ns)
        if at is not None:
            self._taken[at] = value
            return DOUBLE
        if len(index) >= SAMPLES_MAX:
            _, at = index.popitem()
            index[value.time_ns] = at
            self._taken[at] = value
            return CROWDED
        index[value.time_ns] = len(self._taken)
        self._places.append(place)
        self._taken.append(value)
        return ""

    def _put_bad(self, place: int, value: Aligned) -> str:
        """Take a value that is none: it is kept while there is nothing better."""
        index, before = self._index[place], self.kept[place]
        self.has[place] = self.has[place] or not status.is_bad(value.status)
        if index is None:
            self.kept[place] = value
            return DOUBLE if before is not None and before.time_ns == value.time_ns else ""
        return DOUBLE if value.time_ns in index else ""

    @property
    def coherence_ns(self) -> int:
        """The worst expanded uncertainty of the times of the samples; 0 without any."""
        worst_ns = max((value.uncertainty_ns for value in self._taken), default=0)
        return min(worst_ns, UNSURE_MAX_NS)

    @property
    def bound_ns(self) -> int:
        """The worst hard bound of those times; 0 without any."""
        return min(max((value.bound_ns for value in self._taken), default=0), UNSURE_MAX_NS)

    def batch(self) -> Batch:
        """Return all samples as arrays, in the order they came."""
        return alignment_rows.batch(
            self._places,
            [value.time_ns for value in self._taken],
            [value.value for value in self._taken],
            [unsure_ns(value) for value in self._taken],
        )

    def of(self, place: int) -> list[Aligned]:
        """Return the samples of one signal, in the order they came."""
        index = self._index[place] if self._index else None
        return [] if index is None else [self._taken[at] for at in index.values()]
