"""What values that come for closed rows make of those rows.

A late value joins the samples of its row at once; what the row has with it is worked out when it is
asked for, once for each row and signal and for all of them together, so a slow link that delivers a
thousand values costs little more than one. Neighbours are those of a row in time: samples of the
row before, of the row itself, and the first of the row after, closed or not.

Promises: bounded in rows, in samples (models/alignment_history.py) and in what nobody asks for.
Left to others: which row a value belongs to and whether it comes too late (`rows.py`), what becomes
of published values (`revisions.py`).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, final

from gateway.models.alignment_history import History, Sample
from gateway.models.alignment_rows import Again, Batch, Resampler, batch
from gateway.records import Aligned
from gateway.stages.row_samples import CROWDED, DOUBLE, RowSamples, is_usable, unsure_ns

_ASKED_MAX: Final = 1024


class Late(NamedTuple):
    """What late values make of a signal in a closed row."""

    number: int
    """Of the row."""
    place: int
    """Of the signal."""
    value: float
    """Of that signal in the row, with the late values."""
    extra: float
    """Variance beyond that of one reading at the right time."""
    status: int
    """Of the value that came last."""
    late_ns: int
    """Of that value after the end of the row; 0 if the row was closed before its end."""


@final
class RowHistory:
    """The last `rows_max` closed rows of `signals` signals; none are kept with 0."""

    def __init__(self, signals: int, rows_max: int, resampler: Resampler) -> None:
        self._rows_max = rows_max
        self._resampler = resampler
        self._history = History(signals, rows_max)
        self._asked: dict[tuple[int, int], tuple[int, int]] = {}
        """Status and lateness of the last value by row and signal."""

    def __len__(self) -> int:
        return len(self._history)

    def keep(self, number: int, samples: Batch) -> None:
        """Keep the samples of a row that was closed."""
        if self._rows_max:
            self._history.keep(number, samples)

    def forget(self) -> None:
        """Forget all rows."""
        self._history.forget()
        self._asked.clear()

    def put(self, number: int, place: int, value: Aligned, late_ns: int) -> str:
        """Take a value for a closed row; return what is odd about it, empty if nothing."""
        if not is_usable(value):
            return ""
        is_double = self._history.has(number, place, value.time_ns)
        sample = Sample(value.time_ns, value.value, unsure_ns(value))
        if self._history.add(number, place, sample):
            if (number, place) not in self._asked and len(self._asked) >= _ASKED_MAX:
                return CROWDED
            self._asked[number, place] = value.status, late_ns
        return DOUBLE if is_double else ""

    def take(
        self, under_way: Mapping[int, RowSamples], middle_ns: Callable[[int], int]
    ) -> list[Late]:
        """Return and forget what late values made of rows, in the order these were asked about."""
        asked, self._asked = self._asked, {}
        if not asked:
            return []
        rows = list(asked)
        before = _batch(self._history.of(number - 1, place) for number, place in rows)
        own = _batch(self._history.of(number, place) for number, place in rows)
        after = _batch(
            self._history.of(number + 1, place) or _of(under_way.get(number + 1), place)
            for number, place in rows
        )
        middles_ns = [middle_ns(number) for number, _ in rows]
        places = [place for _, place in rows]
        found = self._resampler.again(places, middles_ns, Again(before, own, after))
        answers = zip(asked.items(), found.values.tolist(), found.extra.tolist(), strict=True)
        return [
            Late(number, place, value, extra, code, late_ns)
            for ((number, place), (code, late_ns)), value, extra in answers
            if value == value  # noqa: PLR0124 - not NaN
        ]


def _of(row: RowSamples | None, place: int) -> list[Sample]:
    """Return the samples of a signal in a row that is still open."""
    values = [] if row is None else row.of(place)
    return [Sample(value.time_ns, value.value, unsure_ns(value)) for value in values]


def _batch(found: Iterable[list[Sample]]) -> Batch:
    """Return the samples of many signals as arrays, each signal by its place in the order."""
    each = [(place, sample) for place, samples in enumerate(found) for sample in samples]
    return batch(
        [place for place, _ in each],
        [sample.time_ns for _, sample in each],
        [sample.value for _, sample in each],
        [sample.unsure_ns for _, sample in each],
    )
