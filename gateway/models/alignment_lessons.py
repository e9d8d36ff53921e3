"""Laws are learnt from the first samples of each signal, watched, and learnt again when they fail.

A law is learnt after 64 samples and again after 256. From then on it is watched by how far each
sample lies from the mean of the n = 3 before, against what the law expects of that, with c(d) the
variance of the change within d (a mean and not the last alone: much of that would be its noise):

    z^2 = (y - mean y_i)^2 / v,     at most REACH^2
    v = sum c(t - t_i) / n - sum c(t_i - t_k) / n^2 + noise (1 + 1 / n),    of all i, and of i < k

Over `WATCHED` samples its mean is 1 under the law. Outside `BAND` a new lesson begins; above it as
soon as nothing that may follow could bring it back. The old law holds until the new one is known.
The band is a factor of two each way: a law from 256 samples, on a grid of rates and noises, is true
to about a third, and a mean of 256 squares to an eighth.

A row that is suspect neither teaches nor counts, as long as `SUSPECT_MAX` at a stretch: a state
that lasts longer is how the signal moves now. A sample whose time is too badly known to judge by
does not count. Equal values teach nothing: a lesson begins with the first that differs. A lesson
that gives no law doubles the number of samples before the next one.

Promises: bounded memory; at most `AT_ONCE` laws in `BETWEEN_NS` of row time, in the order in which
lessons began, so that signals that fail again and again hold up nobody. The same rows give the same
laws. Left to others: which rows are suspect (stages/fuse.py), what laws are for
(alignment_rows.py).

Source: Bar-Shalom, Li, Kirubarajan (2001), 5.4, for the mean of normalised innovations squared.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from gateway.models import alignment_law
from gateway.models.alignment_law import REACH, Law, change_variance

Floats = NDArray[np.float64]

LESSONS: Final = (alignment_law.SAMPLES // 4, alignment_law.SAMPLES)
"""Samples after which a law is learnt: roughly as soon as there is something to say, then well."""
WATCHED: Final = 256
BAND: Final = (0.5, 2.0)
SUSPECT_MAX: Final = 1_024
AT_ONCE: Final = 8
"""About 20 ms of a core; eight at once cost little more than one."""
BETWEEN_NS: Final = 1_000_000_000
WAIT_MAX: Final = 1 << 16
_UNSURE_SHARE: Final = 0.1
"""What the time may add to what the law expects for a sample to count."""
_NS_PER_S: Final = 1e9


class Heard(NamedTuple):
    """The samples of m signals in a row, in any order."""

    places: NDArray[np.intp]
    times_ns: NDArray[np.int64]
    values: Floats


class Recent(NamedTuple):
    """The newest n + 1 samples of each signal, the last one of this row."""

    times_s: Floats
    """(s, n + 1): before the last."""
    values: Floats
    """(s, n + 1): NaN where there are fewer, or the last is not of this row."""
    unsure_s: Floats
    """(s,): standard uncertainty of the times."""


@dataclass(slots=True)
class _Lesson:
    """Samples of a signal whose law is being learnt."""

    times_ns: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    is_begun: bool = False
    """Whether the first law has been tried."""
    skip: int = 0
    """Samples before the first that is kept."""
    wait: int = LESSONS[-1]
    """Samples to skip if this lesson fails."""

    def take(self, time_ns: int, value: float) -> None:
        """Keep a sample; of equal ones at the beginning only the last."""
        if self.skip:
            self.skip -= 1
            return
        if len(self.values) == 1 and self.values[0] == value:
            self.times_ns[0] = time_ns
        elif len(self.values) < LESSONS[-1]:
            self.times_ns.append(time_ns)
            self.values.append(value)

    @property
    def ready(self) -> int:
        """How many samples a law can be learnt from now; 0 while more are to come."""
        if len(self.values) == LESSONS[-1]:
            return LESSONS[-1]
        return LESSONS[0] if len(self.values) >= LESSONS[0] and not self.is_begun else 0


@final
class Lessons:
    """The laws of `signals` signals, and what is needed to learn them."""

    def __init__(self, signals: int) -> None:
        # A copy, since laws are written in place.
        self.law = alignment_law.unknown(signals).of(np.arange(signals))
        self._open = {place: _Lesson() for place in range(signals)}
        self._square = np.zeros(signals)
        self._count = np.zeros(signals)
        self._suspect_rows = 0
        self._learnt_ns: int | None = None

    @property
    def under_way(self) -> frozenset[int]:
        """The signals whose law is being learnt or is not known."""
        return frozenset(self._open)

    def forget(self) -> None:
        """Begin the open lessons anew, for a clock that was set; laws stay."""
        self._open = {place: _Lesson() for place in self._open}
        self._learnt_ns = None

    def take(self, heard: Heard, recent: Recent, row_ns: int, *, is_suspect: bool) -> None:
        """Learn from a row: its samples, the newest ones of each signal, the time of the row."""
        self._suspect_rows = self._suspect_rows + 1 if is_suspect else 0
        if 0 < self._suspect_rows <= SUSPECT_MAX:
            return
        self._watch(recent)
        self._teach(heard)
        if self._learnt_ns is None or row_ns - self._learnt_ns >= BETWEEN_NS:
            self._learn(row_ns)

    def _watch(self, recent: Recent) -> None:
        """Compare samples with what laws expect, and begin lessons where they fail."""
        law = self.law
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            away = recent.values[:, -1] - recent.values[:, :-1].mean(axis=1)
            expected = _expected(law, recent.times_s)
            unsure = change_variance(law, recent.unsure_s)
            square = np.minimum(away**2 / expected, REACH**2)
            counts = law.is_known & np.isfinite(square) & (expected > 0.0)
            counts &= unsure <= _UNSURE_SHARE * expected
        self._square += np.where(counts, square, 0.0)
        self._count += counts
        is_full = self._count >= WATCHED
        fails = (self._square > BAND[1] * WATCHED) | (is_full & (self._square < BAND[0] * WATCHED))
        for place in np.flatnonzero(fails).tolist():
            lesson = self._open.get(place)
            # One whose first law fails has samples of two ways of moving, and begins anew.
            if lesson is None or lesson.is_begun:
                self._open[place] = _Lesson()
        done = is_full | fails
        self._square[done] = 0.0
        self._count[done] = 0.0

    def _teach(self, heard: Heard) -> None:
        """Keep samples for the lessons."""
        if not self._open:
            return
        parts = (heard.places.tolist(), heard.times_ns.tolist(), heard.values.tolist())
        for place, time_ns, value in zip(*parts, strict=True):
            lesson = self._open.get(place)
            if lesson is not None:
                lesson.take(time_ns, value)

    def _learn(self, row_ns: int) -> None:
        """Learn the laws of some signals that have enough samples, equally many of each."""
        ready = {place: kept.ready for place, kept in self._open.items() if kept.ready}
        if not ready:
            return
        self._learnt_ns = row_ns
        count = next(iter(ready.values()))
        places = [place for place, enough in ready.items() if enough == count][:AT_ONCE]
        found = _learnt([self._open[place] for place in places], count)
        for at, place in enumerate(places):
            is_known = bool(found.is_known[at])
            if is_known:
                _write(self.law, place, found, at)
                self._square[place] = self._count[place] = 0.0
            lesson = self._open[place]
            lesson.is_begun = True
            if count < LESSONS[-1]:
                continue
            del self._open[place]
            if not is_known:
                wait = min(2 * lesson.wait, WAIT_MAX)
                self._open[place] = _Lesson(skip=lesson.wait, wait=wait)


def _expected(law: Law, times_s: Floats) -> Floats:
    """Return the variance (s,) of the last of samples (s, n + 1) about the mean of the others."""
    count = times_s.shape[1] - 1
    result: Floats = law.noise * (1.0 + 1.0 / count)
    for at in range(count):
        result = result + change_variance(law, np.abs(times_s[:, -1] - times_s[:, at])) / count
        for other in range(at):
            apart_s = np.abs(times_s[:, at] - times_s[:, other])
            result = result - change_variance(law, apart_s) / count**2
    return result


def _learnt(lessons: list[_Lesson], count: int) -> Law:
    """Return the laws that the first samples of some signals speak for."""
    times_ns = np.array([kept.times_ns[:count] for kept in lessons], dtype=np.int64)
    values = np.array([kept.values[:count] for kept in lessons])
    order = np.argsort(times_ns, axis=1, kind="stable")
    times_ns = np.take_along_axis(times_ns, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    return alignment_law.learn((times_ns - times_ns[:, :1]) / _NS_PER_S, values)


def _write(law: Law, place: int, found: Law, at: int) -> None:
    """Put what was found of one signal in place of its law."""
    for part, new in zip(law, found, strict=True):
        part[place] = new[at]
