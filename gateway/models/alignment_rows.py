"""The samples of many signals become rows: laws learnt on the way, samples before kept.

A row is of a time; a signal's value in it is carried from its own samples in the row to its place:

    place of a signal   its usual phase, if it has one (regular, once a row), else the row's middle
    samples near        `BEFORE` samples before the row, all in it, the first one after it

A regular signal is thus left where it is sampled: a constant phase is part of what the model of the
asset learns, and what a signal does between two samples that are always a row apart nobody knows.

    z <- z + (exp(2 pi i phase) - z) / PHASE_ROWS        |z| >= REGULAR: a usual phase, arg z

Promises: bounded memory: a ring of samples for each signal, `alignment_law.SAMPLES` of them while
its law is learnt, twice, from its first samples. At most `LEARN_MAX` laws are learnt at a row, so a
row costs no more than a stated time. Until then samples are averaged, nothing is moved. The same
samples give the same rows; a value that is no number or absurd teaches and carries nothing.
Left to others: which row a sample belongs to, when it closes (stages/rows.py).

Source: Fisher, Statistical Analysis of Circular Data (1993), 2.3, for the mean of phases.
"""

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from gateway.models import alignment_law
from gateway.models.alignment import Resampled, Samples, resample, time_variance
from gateway.models.alignment_law import Law

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Places = NDArray[np.intp]
Instants = NDArray[np.int64]

BEFORE: Final = 3
"""Samples before a row: a level, its slope, and one to doubt them with."""
OWN_MAX: Final = 16
"""Samples of one signal in one row; of more the newest count. Filters belong to the node."""
LESSONS: Final = (alignment_law.SAMPLES // 4, alignment_law.SAMPLES)
"""Samples after which a law is learnt: roughly as soon as there is something to say, then well."""
LEARN_MAX: Final = 4
"""About 15 ms of a core."""
PHASE_ROWS: Final = 16
REGULAR: Final = 0.9
"""Length of the mean of unit vectors, 1 for a clockwork: phases within about a tenth of a row."""
ABSURD: Final = 1e100
_NS_PER_S: Final = 1e9
_SAME_NS: Final = 1.0
"""A sample so near its place, or nearer than its time is known, is there and is taken as it is."""


class Batch(NamedTuple):
    """Samples of several signals, m in number, in any order."""

    places: Places
    """(m,): which signal."""
    times_ns: Instants
    """(m,)."""
    values: Floats
    """(m,): finite and not absurd."""
    uncertainties_ns: Floats
    """(m,): standard uncertainty of the times."""


class Carried(NamedTuple):
    """What a row has of each of s signals."""

    values: Floats
    """(s,): NaN where the row has no sample."""
    extra: Floats
    """(s,): variance beyond that of one reading at the right time; 0 where there is no value."""


def batch(
    places: list[int], times_ns: list[int], values: list[float], uncertainties_ns: list[float]
) -> Batch:
    """Return samples as arrays; those that cannot be computed with are left out."""
    numbers = np.array(values, dtype=np.float64)
    sound = np.abs(numbers) < ABSURD
    return Batch(
        np.array(places, dtype=np.intp)[sound],
        np.array(times_ns, dtype=np.int64)[sound],
        numbers[sound],
        np.array(uncertainties_ns, dtype=np.float64)[sound],
    )


@final
class Resampler:
    """Carries the samples of `signals` signals to rows of `period_ns`."""

    def __init__(self, signals: int, period_ns: int) -> None:
        self._signals = signals
        self._period_ns = period_ns
        self.law = alignment_law.unknown(signals)
        self._times_ns = np.zeros((signals, BEFORE), dtype=np.int64)
        self._values = np.full((signals, BEFORE), np.nan)
        self._phase = np.zeros(signals, dtype=np.complex128)
        self._lessons = {place: _Lesson() for place in range(signals)}

    def forget(self) -> None:
        """Forget samples and phases, for a clock that was set; laws stay."""
        self._values[:] = np.nan
        self._phase[:] = 0.0
        for place in self._lessons:
            self._lessons[place] = _Lesson()

    def close(self, own: Batch, after: Batch, middle_ns: int) -> Carried:
        """Return the row around `middle_ns`, of its own samples, and keep them for the next ones.

        `after` are samples of later rows that are already there.
        """
        grouped = _grouped(own, self._signals)
        carried = self._carry(grouped, after, middle_ns)
        self._remember(grouped)
        self._learn(own)
        return carried

    def again(self, place: int, near: Batch, middle_ns: int) -> tuple[float, float]:
        """Return value and extra variance of one signal in a row that is closed.

        `near` are its samples in that row and in the rows beside it.
        """
        target_ns = int(self._targets(middle_ns)[place])
        apart_ns = near.times_ns - target_ns
        own = np.abs(near.times_ns - middle_ns) <= self._period_ns // 2
        samples = Samples(apart_ns[None] / _NS_PER_S, near.values[None], own[None])
        uncertainty_s = np.array([near.uncertainties_ns.max(initial=0.0) / _NS_PER_S])
        found = resample(self.law.of(np.array([place])), samples, uncertainty_s)
        return float(found.carried[0]), float(found.extra[0])

    def _targets(self, middle_ns: int) -> Instants:
        """Return the time (s,) in the row around `middle_ns` that each signal is carried to."""
        begin_ns = middle_ns - self._period_ns // 2
        turns = np.angle(self._phase) / (2.0 * math.pi) % 1.0
        phase_ns = np.rint(turns * self._period_ns).astype(np.int64)
        usual_ns = begin_ns + (phase_ns - begin_ns) % self._period_ns
        return np.where(np.abs(self._phase) >= REGULAR, usual_ns, np.int64(middle_ns))

    def _carry(self, own: "_Grouped", after: Batch, middle_ns: int) -> Carried:
        """Carry every signal to its place; one sample that is there already is not computed."""
        targets_ns = self._targets(middle_ns)
        values, extra = own.means.copy(), np.zeros(self._signals)
        seen = own.counts > 0
        reach_ns = np.maximum(own.uncertainty_ns, _SAME_NS)
        is_there = (own.counts == 1) & (np.abs(own.times_ns[:, -1] - targets_ns) <= reach_ns)
        is_sure = own.uncertainty_ns == 0.0
        places = np.flatnonzero(seen & self.law.is_known & ~(is_there & is_sure))
        if not len(places):
            return Carried(values, extra)
        following = _first(after, self._signals)
        times_ns = np.hstack([self._times_ns, own.times_ns, following.times_ns[:, None]])[places]
        numbers = np.hstack([self._values, own.values, following.values[:, None]])[places]
        is_own = np.zeros(numbers.shape, dtype=np.bool_)
        is_own[:, BEFORE : BEFORE + own.values.shape[1]] = True
        apart_s = (times_ns - targets_ns[places, None]) / _NS_PER_S
        samples = Samples(apart_s, numbers, is_own)
        uncertainty_s = own.uncertainty_ns[places] / _NS_PER_S
        law = self.law.of(places)
        there = is_there[places]
        moved = np.flatnonzero(~there)
        extra[places] = time_variance(law, samples, uncertainty_s)
        if len(moved):
            found = _resampled(law, samples, moved)
            fit = np.isfinite(found.carried) & np.isfinite(found.extra)
            chosen = places[moved][fit]
            values[chosen] = found.carried[fit]
            extra[chosen] += found.extra[fit]
        return Carried(values, extra)

    def _remember(self, own: "_Grouped") -> None:
        """Keep the newest samples of each signal, and where in the row it speaks."""
        places = np.flatnonzero(own.counts > 0)
        times_ns = np.hstack([self._times_ns[places], own.times_ns[places]])
        values = np.hstack([self._values[places], own.values[places]])
        # Those without a value go first, then by time; the sort keeps the order of equals.
        key = np.where(np.isfinite(values), times_ns, np.iinfo(np.int64).min)
        order = np.argsort(key, axis=1, kind="stable")[:, -BEFORE:]
        self._times_ns[places] = np.take_along_axis(times_ns, order, axis=1)
        self._values[places] = np.take_along_axis(values, order, axis=1)
        single = np.flatnonzero(own.counts == 1)
        turns = own.times_ns[single, -1] % self._period_ns / self._period_ns
        pointed = np.exp(2j * math.pi * turns)
        fresh = self._phase[single] == 0.0
        rate = np.where(fresh, 1.0, 1.0 / PHASE_ROWS)
        self._phase[single] += rate * (pointed - self._phase[single])
        self._phase[own.counts > 1] *= 1.0 - 1.0 / PHASE_ROWS

    def _learn(self, own: Batch) -> None:
        """Keep samples for the lessons, and learn the laws of signals that have enough of them."""
        if not self._lessons:
            return
        for place, time_ns, value in zip(
            own.places.tolist(), own.times_ns.tolist(), own.values.tolist(), strict=True
        ):
            kept = self._lessons.get(place)
            if kept is not None and len(kept.times_ns) < kept.wanted:
                kept.times_ns.append(time_ns)
                kept.values.append(value)
        ready = [
            place for place, kept in self._lessons.items() if len(kept.times_ns) >= kept.wanted
        ]
        if ready:
            wanted = self._lessons[ready[0]].wanted
            alike = [place for place in ready if self._lessons[place].wanted == wanted]
            self._take_laws(alike[:LEARN_MAX], is_last=wanted == LESSONS[-1])

    def _take_laws(self, ready: list[int], *, is_last: bool) -> None:
        """Learn the laws of some signals from equally many samples.

        After the last lesson they are forgotten; a signal that has not moved is tried again later.
        """
        lessons = [self._lessons[place] for place in ready]
        times_ns = np.array([kept.times_ns for kept in lessons], dtype=np.int64)
        values = np.array([kept.values for kept in lessons])
        order = np.argsort(times_ns, axis=1, kind="stable")
        times_ns = np.take_along_axis(times_ns, order, axis=1)
        values = np.take_along_axis(values, order, axis=1)
        found = alignment_law.learn((times_ns - times_ns[:, :1]) / _NS_PER_S, values)
        self.law = _with(self.law, ready, found)
        for place, is_known in zip(ready, found.is_known.tolist(), strict=True):
            if is_last and is_known:
                del self._lessons[place]
            elif is_last:
                self._lessons[place] = _Lesson()
            else:
                self._lessons[place].wanted = LESSONS[-1]


@dataclass(slots=True)
class _Lesson:
    """Samples of a signal whose law is being learnt, and how many are wanted."""

    times_ns: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    wanted: int = LESSONS[0]


@final
class Usual:
    """What extra variance each of `signals` signals had in the rows a model was learnt from.

    The model has learnt it as noise; only what goes beyond it is to be added. A model learnt
    elsewhere has learnt nothing of it.
    """

    def __init__(self, signals: int) -> None:
        self.extra = np.zeros(signals)
        """(s,): mean over the rows."""
        self._counts = np.zeros(signals)

    def learn(self, carried: Carried) -> None:
        """Take a row the model is learnt from."""
        seen = np.isfinite(carried.values)
        self._counts += seen
        apart = np.where(seen, carried.extra - self.extra, 0.0)
        self.extra += apart / np.maximum(self._counts, 1.0)

    def beyond(self, extra: Floats) -> Floats:
        """Return what of extra variances (s,) is not usual."""
        result: Floats = np.maximum(extra - self.extra, 0.0)
        return result


class _Grouped(NamedTuple):
    """Samples by signal, (s, n), in order of time, the last ones at the end; NaN before them."""

    times_ns: Instants
    values: Floats
    counts: NDArray[np.intp]
    """(s,)."""
    means: Floats
    """(s,): NaN without a sample."""
    uncertainty_ns: Floats
    """(s,): the worst of a signal's samples."""


class _First(NamedTuple):
    """The first sample (s,) of each signal; NaN for none."""

    times_ns: Instants
    values: Floats


def _with(law: Law, places: list[int], found: Law) -> Law:
    """Return laws with those of some signals replaced by what was found."""
    whole = law.of(np.arange(len(law.rate)))
    for part, new in zip(whole, found, strict=True):
        part[places] = new
    return whole


def _grouped(samples: Batch, signals: int) -> _Grouped:
    """Return samples by signal, at most `OWN_MAX` of each."""
    order = np.lexsort((samples.times_ns, samples.places))
    places = samples.places[order]
    counts = np.bincount(places, minlength=signals)
    ends = np.cumsum(counts)
    from_end = ends[places] - np.arange(len(places))
    kept = from_end <= OWN_MAX
    order, places, from_end = order[kept], places[kept], from_end[kept]
    counts = np.minimum(counts, OWN_MAX)
    width = max(int(counts.max(initial=0)), 1)
    times_ns = np.zeros((signals, width), dtype=np.int64)
    values = np.full((signals, width), np.nan)
    times_ns[places, width - from_end] = samples.times_ns[order]
    values[places, width - from_end] = samples.values[order]
    uncertainty_ns = np.zeros(signals)
    np.maximum.at(uncertainty_ns, places, samples.uncertainties_ns[order])
    return _Grouped(times_ns, values, counts, _means(values, counts), uncertainty_ns)


def _means(values: Floats, counts: NDArray[np.intp]) -> Floats:
    """Return the mean (s,) of samples (s, n); a single one as it is."""
    last = values[:, -1]
    away = np.where(np.isfinite(values), values - last[:, None], 0.0)
    return np.where(counts > 1, last + away.sum(axis=1) / np.maximum(counts, 1), last)


def _first(samples: Batch, signals: int) -> _First:
    """Return the first sample of each signal."""
    order = np.lexsort((samples.times_ns, samples.places))[::-1]
    times_ns, values = np.zeros(signals, dtype=np.int64), np.full(signals, np.nan)
    # Of several to one place the last written stays, which is the earliest.
    times_ns[samples.places[order]] = samples.times_ns[order]
    values[samples.places[order]] = samples.values[order]
    return _First(times_ns, values)


def _resampled(law: Law, samples: Samples, moved: Places) -> Resampled:
    """Resample some of the signals; what cannot be solved is NaN."""
    part = Samples(samples.times_s[moved], samples.values[moved], samples.is_own[moved])
    with np.errstate(all="ignore"):
        try:
            return resample(law.of(moved), part)
        except np.linalg.LinAlgError:
            nothing = np.full(len(moved), np.nan)
            return Resampled(nothing, nothing, nothing, nothing)
