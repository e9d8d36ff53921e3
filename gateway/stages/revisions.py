"""A value that comes late corrects what was fused without it: a `Revision`, no new verdict.

A fused value f with deviation s is a Gaussian belief about the truth. A reading y that comes late,
with the noise of its sensor and what its time adds, r, is one more witness; a reading y0, r0 that
the row had instead is taken back first:

    1/s'^2 = 1/s^2 - 1/r0 + 1/r,    f' = s'^2 (f/s^2 - y0/r0 + y/r)

So the model is not run again and verdicts stand: what was decided was decided on what was known.
A late value further than `FAR` deviations from what the row makes expected is not believed, as it
would not have been in time; it revises nothing and is counted `unrevised`, as is one whose row is
no longer known.

Promises: bounded in rows and in revisions that nobody takes; a revision says how late it is and the
how manieth of its value it is. Left to others: what the late value makes of its row
(`row_history.py`).

Source: Kalman (1960) in information form; Simon, Optimal State Estimation (2006), 10.1, for
measurements out of order, of which this is the case where only the value itself is revised.
"""

import math
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, final

from gateway.records import SignalEstimate
from gateway.records_time import Revision
from gateway.stages import rows
from gateway.stages.row_history import Late

FAR: Final = 6.0
"""Deviations beyond which a late value is not believed: one in 10^9 by chance."""
ROWS_MAX: Final = rows.ROWS_MAX + 2
WAITING_MAX: Final = 4096
"""Revisions that wait to be taken; of more the oldest go, counted `revisions_dropped`."""


class Witness(NamedTuple):
    """A reading and its variance as a witness of the true value."""

    value: float
    variance: float


class Belief(NamedTuple):
    """What is believed of a true value."""

    mean: float
    deviation: float


@dataclass(slots=True)
class _Published:
    """What was said of one signal in one row, and what it was said from."""

    signal: str
    belief: Belief
    witness: Witness | None
    """The row's own reading; None if it had none or it was judged false."""
    number: int = 0
    """Of the last revision."""


@dataclass(frozen=True, slots=True)
class _PublishedRow:
    time_ns: int
    signals: tuple[_Published | None, ...]


def revised(belief: Belief, before: Witness | None, after: Witness) -> Belief | None:
    """Return a belief with one reading in place of another; None if that cannot be believed."""
    precision = _inverse(belief.deviation**2)
    total = precision * belief.mean
    if before is not None:
        precision -= _inverse(before.variance)
        total -= before.value * _inverse(before.variance)
    if not (math.isfinite(precision) and precision > 0.0 and after.variance > 0.0):
        return None
    apart = abs(after.value - total / precision)
    if not apart <= FAR * math.sqrt(1.0 / precision + after.variance):
        return None
    precision += 1.0 / after.variance
    total += after.value / after.variance
    return Belief(total / precision, math.sqrt(1.0 / precision))


@final
class Revisions:
    """Remembers the last rows of `asset`, at most `rows_max`, and revises their values."""

    def __init__(self, asset: str, rows_max: int) -> None:
        self._asset = asset
        self._rows_max = min(max(rows_max, 0), ROWS_MAX)
        self._rows: OrderedDict[int, _PublishedRow] = OrderedDict()
        self._made: deque[Revision] = deque(maxlen=WAITING_MAX)
        self.counts: Counter[str] = Counter()
        """Revisions made (revised), refused (unrevised) and never taken (revisions_dropped)."""

    def remember(
        self,
        number: int,
        time_ns: int,
        values: Sequence[SignalEstimate],
        variances: Sequence[float],
    ) -> None:
        """Keep what was published of a row; `variances` are those of its readings."""
        if not self._rows_max:
            return
        if self._rows and number <= next(reversed(self._rows)):
            # The clock was set back, and numbers begin anew.
            self._rows.clear()
        both = zip(values, variances, strict=True)
        self._rows[number] = _PublishedRow(time_ns, tuple(_published(*each) for each in both))
        while len(self._rows) > self._rows_max:
            self._rows.popitem(last=False)

    def revise(self, late: Late, variance: float) -> None:
        """Revise the value of a row; `variance` is that of the late reading."""
        row = self._rows.get(late.number)
        known = None if row is None else row.signals[late.place]
        after = Witness(late.value, variance)
        found = None if known is None else revised(known.belief, known.witness, after)
        if row is None or known is None or found is None:
            self.counts["unrevised"] += 1
            return
        known.number += 1
        if len(self._made) == WAITING_MAX:
            self.counts["revisions_dropped"] += 1
        self._made.append(
            Revision(
                asset=self._asset,
                signal=known.signal,
                time_ns=row.time_ns,
                before=known.belief.mean,
                after=found.mean,
                deviation=found.deviation,
                number=known.number,
                late_ns=late.late_ns,
                status=late.status,
            )
        )
        self.counts["revised"] += 1
        known.belief, known.witness = found, after

    def take(self) -> list[Revision]:
        """Return and forget the revisions made, in the order made."""
        made = list(self._made)
        self._made.clear()
        return made


def _published(value: SignalEstimate, variance: float) -> _Published | None:
    """Return what was said of a signal; None if nothing was."""
    if not (math.isfinite(value.fused) and value.fused_deviation > 0.0):
        return None
    is_witness = math.isfinite(value.value) and variance > 0.0 and value.trust >= 0.5
    witness = Witness(value.value, variance) if is_witness else None
    return _Published(value.signal, Belief(value.fused, value.fused_deviation), witness)


def _inverse(variance: float) -> float:
    return 1.0 / variance if variance > 0.0 else math.inf
